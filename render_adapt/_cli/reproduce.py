"""`render-adapt reproduce`: the paper's tables and figures."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checked_settings import SettingError
from render_adapt._cli.bars import JobLines, errors, output, steps_bar
from render_adapt._cli.settings import in_flags
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted

_PAPER_NEEDS = ("torch", "h5py", "sklearn", "tensorboard")


def reproduce(
    what: str,
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
        Folder of the trainings [default: build/paper in the checkout].
    out
        Folder of the tables [default: benchmarks/results/paper in the checkout].
    peer
        timing: a checkout of eriklindernoren/PyTorch-GAN, whose networks are timed beside ours.
    """
    paper = _paper()
    settings = {"seeds": seeds, "only": ",".join(only), "steps": steps, "device": device}
    settings["precision"] = precision
    folders = {
        "data": data or os.environ.get("RENDER_ADAPT_DATA"),
        "work": work,
        "out": out,
        "peer": peer,
    }
    run = paper.ReproduceRun(
        what=what,
        preset=preset,
        seeds=seeds,
        max_minutes=max_minutes,
        jobs=jobs,
        only=tuple(part for given in only for part in given.split(",")),
        steps=steps,
        device=device,
        precision=precision,
        command=f"render-adapt reproduce {what} --preset {preset}{_given(settings)}",
        **{name: Path(folder) for name, folder in folders.items() if folder},
    )
    with saying_when_interrupted(lambda: CONTINUES), steps_bar() as progress:
        outcome = paper.reproduce(run, JobLines(progress))
    for name, message in outcome.failed.items():
        errors.print(in_flags(f"failed: {name}: {message}"), soft_wrap=True)
    if outcome.unfinished:
        output.print(f"{outcome.unfinished} trainings are unfinished; the same command continues")
    for file in outcome.files:
        output.print(f"written: {file}", soft_wrap=True)


def _given(settings: Mapping[str, object]) -> str:
    """Settings as on a command line, without those that were not given."""
    return "".join(f" --{name} {value}" for name, value in settings.items() if value)


def _paper() -> Any:
    """`benchmarks.paper`, which is in the checkout and not in the installed packages."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "benchmarks/paper/__init__.py").is_file():
        raise SettingError(
            "reproduce runs from a checkout of the repository, and this is an installed package: "
            "install the checkout with pip install -e '.[train,paper]'"
        )
    # The script's own path does not hold the checkout's folder.
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    try:
        return importlib.import_module("benchmarks.paper")
    except ModuleNotFoundError as error:
        if error.name not in _PAPER_NEEDS:
            raise
        raise SettingError(
            f"reproduce needs {error.name}; install the checkout with pip install -e "
            "'.[train,paper]'"
        ) from error
