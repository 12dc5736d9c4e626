"""`render-adapt align`: what unlabelled crops show, and how it lies."""

from __future__ import annotations

import math
from typing import Annotated

from cyclopts import Parameter

from render_adapt._align.settings import AlignConfig, AlignSummary
from render_adapt._cli.bars import steps_bar
from render_adapt._cli.consoles import errors, output
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted
from render_adapt._cli.target import print_target

_LINES = 20
"""Of progress for each thing that is done, in a log file, which has no bar."""


def align(*, config: Annotated[AlignConfig, Parameter(name="*")]) -> None:
    """Find out, without labels, what each camera crop shows and how it lies.

    Writes those that are sure as a labelled dataset, and a table of all. The same command
    continues.
    """
    from render_adapt._align.run import align as find_alignment

    with saying_when_interrupted(lambda: CONTINUES), steps_bar() as progress:
        task = progress.add_task("starting", total=None)

        told: dict[str, int] = {}

        def show(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total)
            line = _LINES * done // max(total, 1)
            if not errors.is_terminal and line != told.get(stage, 0):
                told[stage] = line
                errors.print(f"{stage}: {done} of {total}", soft_wrap=True)

        summary = find_alignment(config, show, print_target)
    if not summary.finished:
        output.print(
            f"{summary.trained} of {summary.steps} training steps are done: the same command goes "
            "on",
            soft_wrap=True,
        )
        return
    _print_summary(summary, config)


def _print_summary(summary: AlignSummary, config: AlignConfig) -> None:
    by_object = ", ".join(f"{name} {count}" for name, count in summary.by_object.items())
    output.print(
        f"{summary.kept} of {summary.crops} crops are aligned with a confidence of "
        f"{config.min_confidence:g} or more: {by_object}",
        soft_wrap=True,
    )
    if math.isfinite(summary.right):
        output.print(
            f"of renders that are as sure, {100 * summary.right:.1f} % are right to 20 degrees",
            soft_wrap=True,
        )
    output.print(f"dataset: {summary.folder}", soft_wrap=True)
    output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)
    output.print(f"table: {summary.table}", soft_wrap=True)
