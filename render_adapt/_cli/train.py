"""`render-adapt train`: an adapter, of unlabelled crops of a camera."""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated, Any

from cyclopts import Parameter

from adapter import PRESETS, TrainConfig
from checked_settings import WrongValue, alternatives
from render_adapt._cli.bars import TrainingBar
from render_adapt._cli.consoles import output
from render_adapt._cli.settings import Flag, given_settings, in_flags, optional_fields
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted
from render_adapt._cli.target import print_target
from render_adapt._train import FoundTarget, TrainRun, find_target, train_adapter
from render_adapt._verdict.words import paragraph

_Settings: Any = optional_fields(TrainConfig, "the preset's")


def train(
    *,
    run: Annotated[TrainRun, Parameter(name="*")],
    preset: str = "fast",
    dry_run: Flag = False,
    settings: Annotated[_Settings, Parameter(name="*")] = None,
) -> None:
    """Train an adapter on unlabelled crops of your camera.

    Says first what was found to learn from, and in the end what the adapter is worth.

    Parameters
    ----------
    preset
        Settings to start from: fast (for processors without a GPU); best (for what `render-adapt
        align` wrote of the camera's crops, docs/best.md); or the paper's linemod, linemod-masked,
        mnistm, usps.
    dry_run
        Say what there is to learn from, draw it, and stop.
    """
    if preset not in PRESETS:
        raise WrongValue("preset", preset, alternatives(PRESETS))
    config = dataclasses.replace(PRESETS[preset], **given_settings(settings))
    if dry_run:
        _print_found(find_target(run, config))
        return
    if not _speaks_for_all():
        train_adapter(run, config, preset)
        return
    with saying_when_interrupted(lambda: _saved_so_far(run)), TrainingBar() as show:
        info = train_adapter(run, config, preset, show, _print_found, show.say)
    output.print(f"adapter: {run.out}, {info.steps} steps", soft_wrap=True)
    output.print(in_flags(f"verdict: {paragraph(info)}"), soft_wrap=True)
    output.print(f"use it with --adapter {run.out}", soft_wrap=True)


def _speaks_for_all() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK") == "0"


def _print_found(target: FoundTarget) -> None:
    print_target(target)
    output.print(f"target: {target.enough}", soft_wrap=True)


def _saved_so_far(run: TrainRun) -> str:
    return CONTINUES if run.has_saved else "nothing was saved yet"
