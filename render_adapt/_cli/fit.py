"""`render-adapt fit`: randomisation like a camera's crops."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from render_adapt._cli.bars import steps_bar
from render_adapt._cli.consoles import errors, output
from render_adapt._fit.settings import FitConfig, FitSummary


def fit(*, config: Annotated[FitConfig, Parameter(name="*")]) -> None:
    """Find the randomisation whose renders are most like your camera's aligned crops.

    Writes it as a file for --randomize, and a picture of crops beside renders.
    """
    from render_adapt._fit.run import fit as find_randomization

    with steps_bar() as progress:
        task = progress.add_task("reading", total=None)

        def show(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total)
            if not errors.is_terminal:
                errors.print(f"{stage}: {done} of {total}", soft_wrap=True)

        summary = find_randomization(config, show)
    _print_summary(summary)


def _print_summary(summary: FitSummary) -> None:
    table = Table("eight in ten have", "crops", "renders", box=None)
    for one in summary.likeness:
        table.add_row(one.name, *(f"{a:.2f} to {b:.2f}" for a, b in (one.crops, one.renders)))
    output.print(table)
    crops = ", ".join(f"{name} {count}" for name, count in summary.by_object.items())
    output.print(f"measured: {crops}", soft_wrap=True)
    if summary.distance is not None:
        near, far = summary.distance
        output.print(f"distance: --distance {near:.0f} {far:.0f}", soft_wrap=True)
    output.print(f"settings: --randomize {summary.file}", soft_wrap=True)
    output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)
