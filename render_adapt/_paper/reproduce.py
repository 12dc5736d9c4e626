"""The command `render-adapt reproduce`: train what a table needs, then write the table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from checked_settings import AtLeast, SettingError, check
from render_adapt._config import available_cores
from render_adapt._own_packages import refuse_own_name
from render_adapt._paper.machine import commit
from render_adapt._paper.results.page import PageOrigin
from render_adapt._paper.results.table_page import write_table
from render_adapt._paper.results.tables import TableName, experiments_of, rows, table
from render_adapt._paper.training.experiments import (
    Experiment,
    ExperimentState,
    Workplace,
    state_of,
)
from render_adapt._paper.training.pool import run_all
from render_adapt._paper.training.presets import PresetName

Target = Literal["table1", "table2", "table3", "table4", "table5", "table6", "figures", "timing"]

_Count = Annotated[int, AtLeast(1)]
_TIMED_SECONDS = {"smoke": 0.1, "cpu": 20.0, "full": 20.0}  # of each system
_TIMED_SYSTEMS = 20  # about as many are timed

_WITHOUT_PEER = (
    "PyTorch-GAN's networks are left out: `peer` names a checkout of eriklindernoren/PyTorch-GAN"
)

OnLook = Callable[[Mapping[Experiment, ExperimentState], int, int], None]
"""Called with the states of the experiments that run, how many have ended, and how many there
are."""


@dataclass(frozen=True)
class ReproduceRun:
    """What to reproduce, and where.

    Raises:
        SettingError: a value out of range.
    """

    what: Target
    """A table of the paper, its figures, or how fast training is."""
    preset: PresetName = "cpu"
    """How much: smoke (minutes), cpu (hours on two cores), full (a GPU)."""
    seeds: _Count | None = None
    """Trainings of each system; None takes the table's own number."""
    data: Path = Path("../shared/data")
    """Folder with the digits and LINEMOD's crops."""
    work: Path = Path("build/paper")
    """Folder of the trainings."""
    out: Path = Path("benchmarks/results/paper")
    """Folder of the tables."""
    jobs: _Count | None = None
    """Trainings side by side; None takes one per core, and one in all for full."""
    max_minutes: Annotated[float, AtLeast(0)] = 0.0
    """Stop all trainings after this long, with checkpoints; 0 means no limit."""
    only: tuple[str, ...] = ()
    """Train only experiments whose name has one of these in it."""
    steps: _Count | None = None
    """Steps of each training in place of the preset's."""
    device: Literal["cpu", "cuda"] | None = None
    """Where to train in place of the preset's."""
    precision: Literal["fp32", "bf16"] | None = None
    """Arithmetic in place of the preset's."""
    peer: Path | None = None
    """A checkout of PyTorch-GAN whose networks are timed beside ours."""
    command: str = ""
    """The command line, for the table's header."""

    def __post_init__(self) -> None:
        check(self)
        refuse_own_name("out", self.out)
        refuse_own_name("work", self.work)

    @property
    def place(self) -> Workplace:
        """Where the experiments train."""
        overrides = {"steps": self.steps, "device": self.device, "precision": self.precision}
        set_overrides = {name: value for name, value in overrides.items() if value is not None}
        return Workplace(self.work, self.data, overrides=set_overrides)

    @property
    def processes(self) -> int:
        """Trainings side by side."""
        return self.jobs or (1 if self.preset == "full" else available_cores())


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    files: tuple[Path, ...]
    """What was written."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Why trainings failed, by their names."""
    unfinished: int = 0
    """Trainings that the same command would go on with."""
    notes: tuple[str, ...] = ()
    """What was left out, and how to have it."""


def reproduce(run: ReproduceRun, on_look: OnLook | None = None) -> Outcome:
    """Train what is missing, and write the table, the figures or the timing.

    Args:
        run: what, and where.
        on_look: called about once a second while experiments are trained.

    Raises:
        SettingError: data, settings or a machine that do not allow it.
        DatasetError: a folder that cannot be written.
        WorkerError: a training process that was killed.
    """
    date = datetime.now(UTC).date().isoformat()
    origin = PageOrigin(command=run.command, date=date, commit=commit())
    if run.what == "figures":
        from render_adapt._paper.results.figures_page import write_pictures

        return Outcome(write_pictures(run.preset, run.place, run.out, origin))
    if run.what == "timing":
        return _time(run, origin)
    return _reproduce_table(run, run.what, origin, on_look)


def _time(run: ReproduceRun, origin: PageOrigin) -> Outcome:
    from render_adapt._paper.results.timing import time_systems
    from render_adapt._paper.results.timing_page import write_timing

    device = run.device or ("cuda" if run.preset == "full" else "cpu")
    _refuse_without_gpu({device})
    seconds = _TIMED_SECONDS[run.preset]
    if run.max_minutes:
        seconds = min(seconds, 60.0 * run.max_minutes / _TIMED_SYSTEMS)
    # The fewest steps of large batches take minutes on a processor.
    batches = (8,) if run.preset == "smoke" else (32, 64)
    measured = time_systems(run.data, seconds, available_cores(), run.peer, device, batches=batches)
    files = write_timing(run.preset, measured, run.out, origin)
    return Outcome(files, notes=() if run.peer else (_WITHOUT_PEER,))


def _reproduce_table(
    run: ReproduceRun, name: TableName, origin: PageOrigin, on_look: OnLook | None
) -> Outcome:
    asked_table, place = table(name, run.preset), run.place
    seeds = run.seeds or asked_table.seeds
    experiments = experiments_of(asked_table, run.preset, seeds)
    selected = [
        experiment
        for experiment in experiments
        if not run.only or any(part in experiment.name for part in run.only)
    ]
    if not selected:
        raise SettingError(
            f"`only` {','.join(run.only)} leaves no training: names are like {experiments[0].name}"
        )
    _train(selected, run, on_look)
    states = {experiment: state_of(experiment, place) for experiment in experiments}
    figures = rows(asked_table, run.preset, seeds, states)
    return Outcome(
        files=write_table(asked_table, run.preset, figures, run.out, origin),
        failed={
            experiment.name: states[experiment].message
            for experiment in selected
            if states[experiment].message
        },
        unfinished=sum(
            states[experiment].status in ("not run", "unfinished") for experiment in selected
        ),
    )


def _train(experiments: Sequence[Experiment], run: ReproduceRun, on_look: OnLook | None) -> None:
    """Train the experiments that are not done."""
    deadline = time.time() + 60.0 * run.max_minutes if run.max_minutes else math.inf
    place = run.place
    missing = [
        experiment for experiment in experiments if state_of(experiment, place).status != "done"
    ]
    _refuse_without_gpu(
        stage.config.device for experiment in missing for stage in place.stages(experiment)
    )
    finished = len(experiments) - len(missing)

    def look(running: Sequence[Experiment], ended: int) -> None:
        if on_look is not None:
            on_look(
                {experiment: state_of(experiment, place) for experiment in running},
                finished + ended,
                len(experiments),
            )

    run_all(missing, place, run.processes, deadline=deadline, on_look=look)


def _refuse_without_gpu(devices: Iterable[str]) -> None:
    if "cuda" in devices:
        import torch

        if not torch.cuda.is_available():
            raise SettingError(
                "the preset full is for a GPU, and torch finds none: use `preset` cpu, or add "
                "`device` cpu, which takes weeks"
            )
