"""`render-adapt reproduce`: the paper's tables and figures."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from checked_settings import MissingDependency
from render_adapt._cli.bars import ExperimentLines, steps_bar
from render_adapt._cli.consoles import errors, output
from render_adapt._cli.settings import in_flags
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted

_NEEDS = ("torch", "onnx", "h5py", "sklearn", "tensorboard")
"""What the experiments import, of the extra `paper`."""


What = Literal["table1", "table2", "table3", "table4", "table5", "table6", "figures", "timing"]


def reproduce(
    what: What,
    /,
    *,
    preset: str = "cpu",
    seeds: int | None = None,
    max_minutes: float = 0.0,
    jobs: int | None = None,
    only: tuple[str, ...] = (),
    steps: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    data: Path | None = None,
    work: Path | None = None,
    out: Path | None = None,
    peer: Path | None = None,
) -> None:
    """Train and measure what a table of the PixelDA paper holds; the same command continues.

    Parameters
    ----------
    what
        table1 (digits), table2 (LineMod), table3 (backgrounds), table4 (unseen objects), table5
        (stability), table6 (semi-supervised), figures or timing.
    preset
        smoke (minutes), cpu (hours on two cores) or full (the paper's networks, on a GPU).
    seeds
        Trainings of each system [default: the table's own number].
    max_minutes
        Stop after this long, with checkpoints to continue from; 0 means no limit.
    jobs
        Trainings side by side [default: one per core; full: 1].
    only
        Train only those whose folder's name has this in it, such as mnist-usps/pixelda.
    steps
        Steps of each training, in place of the preset's.
    device
        cpu or cuda, in place of the preset's.
    precision
        fp32 or bf16, in place of the preset's; on processors without AMX bf16 may be slower.
    data
        Folder with the digits and LINEMOD [default: RENDER_ADAPT_DATA, or ../shared/data].
    work
        Folder of the trainings [default: build/paper].
    out
        Folder of the tables [default: benchmarks/results/paper].
    peer
        timing: a checkout of eriklindernoren/PyTorch-GAN, whose networks are timed beside ours.
    """
    _refuse_without_packages()
    from render_adapt._paper.reproduce import ReproduceRun
    from render_adapt._paper.reproduce import reproduce as run_experiments

    settings = {"seeds": seeds, "only": ",".join(only), "steps": steps, "device": device}
    settings["precision"] = precision
    folders = {
        "data": data or os.environ.get("RENDER_ADAPT_DATA"),
        "work": work,
        "out": out,
        "peer": peer,
    }
    # `ReproduceRun` checks each of them.
    run_settings: dict[str, Any] = {
        "what": what, "preset": preset, "device": device, "precision": precision,
        **{name: Path(folder) for name, folder in folders.items() if folder},
    }  # fmt: skip
    run = ReproduceRun(
        seeds=seeds,
        max_minutes=max_minutes,
        jobs=jobs,
        only=tuple(part for names in only for part in names.split(",")),
        steps=steps,
        command=f"render-adapt reproduce {what} --preset {preset}{_given(settings)}",
        **run_settings,
    )
    with saying_when_interrupted(lambda: CONTINUES), steps_bar() as progress:
        outcome = run_experiments(run, ExperimentLines(progress))
    for name, message in outcome.failed.items():
        errors.print(in_flags(f"failed: {name}: {message}"), soft_wrap=True)
    if outcome.unfinished:
        output.print(f"{outcome.unfinished} trainings are unfinished; the same command continues")
    for note in outcome.notes:
        output.print(in_flags(note), soft_wrap=True)
    for file in outcome.files:
        output.print(f"written: {file}", soft_wrap=True)


def _given(settings: Mapping[str, object]) -> str:
    """Settings as on a command line, without those that were not given."""
    return "".join(f" --{name} {value}" for name, value in settings.items() if value)


def _refuse_without_packages() -> None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency("reproduce", ", ".join(missing), "'render-adapt[paper]'")
