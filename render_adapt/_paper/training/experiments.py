"""Jobs: one training of one system, in a folder that it can be stopped in and continued from."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from adapter import (
    CHECKPOINT,
    FREE_SETTINGS,
    Progress,
    TaskProgress,
    TrainingCollapsed,
    TrainingDiverged,
    checkpoint_step,
)
from checked_settings import RenderAdaptError
from render_adapt._exceptions import DatasetError
from render_adapt._paper.files import make_folder, read_json, write_json
from render_adapt._paper.machine import commit, hardware
from render_adapt._paper.scenarios.registry import SCENARIOS, Load
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.training.presets import PresetName
from render_adapt._paper.training.stages import Stage, stages
from safe_files import FolderLock

Record = dict[str, Any]
"""What was measured at a checkpoint: step, seconds, and figures on each set of crops."""

AnyProgress = Progress | TaskProgress
Status = Literal["not run", "unfinished", "failed", "done"]

_CLOCK = "seconds.json"
_PROGRESS_SECONDS = 2.0  # between two writings of how far an experiment is


@dataclass(frozen=True)
class Experiment:
    """One training of one system on one scenario, with one variant of its settings and one seed."""

    system: str
    scenario: str
    variant: str
    preset: PresetName
    seed: int

    @property
    def name(self) -> str:
        """The experiment in a line of progress, and its folder below the preset's."""
        return f"{self.scenario}/{self.system}-{self.variant}/seed{self.seed}"


@dataclass(frozen=True)
class Workplace:
    """Where experiments read and write, and what they do otherwise than their preset."""

    work: Path
    """Folder of the experiments' own folders."""
    data: Path
    """Folder with the digits and LINEMOD's crops."""
    scenarios: Mapping[str, Load] = field(default_factory=lambda: SCENARIOS)
    """What loads each scenario."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings in place of the preset's."""

    def folder(self, experiment: Experiment) -> Path:
        """Where an experiment trains."""
        return self.work / experiment.preset / experiment.name

    def stage_folder(self, experiment: Experiment, stage: Stage) -> Path:
        """Where a stage of an experiment trains: shared ones beside all of the scenario."""
        if not stage.shared:
            return self.folder(experiment) / stage.name
        return (
            self.work
            / experiment.preset
            / experiment.scenario
            / stage.name
            / f"seed{experiment.seed}"
        )

    def stages(self, experiment: Experiment) -> tuple[Stage, ...]:
        """The trainings that an experiment is made of."""
        made = stages(experiment.system, experiment.scenario, experiment.preset, experiment.variant)
        return tuple(stage.changed(seed=experiment.seed, **self.overrides) for stage in made)

    def load_scenario(self, scenario: str) -> Scenario:
        """The crops of a scenario."""
        return self.scenarios[scenario](self.data, self.work / "data")


@dataclass(frozen=True)
class ExperimentState:
    """How far an experiment is and what it measured."""

    status: Status
    step: int
    """Steps done, in all stages."""
    steps: int
    """Steps that it was asked for."""
    seconds: float = 0.0
    """Training so far, over all continuations; measuring is not counted."""
    history: tuple[Record, ...] = ()
    """What was measured at each checkpoint of the last stage, in order."""
    message: str = ""
    """Why it failed."""
    is_final: bool = False
    """It failed, and would fail alike if it were tried again."""
    hardware: str = ""
    commit: str = ""
    losses: Mapping[str, float] = field(default_factory=dict)
    """The last step's, while it is unfinished."""


def state_of(experiment: Experiment, place: Workplace) -> ExperimentState:
    """What an experiment's folder holds; an experiment of other settings counts as failed."""
    planned, folder = place.stages(experiment), place.folder(experiment)
    steps = sum(stage.config.steps for stage in planned)
    progress = read_json(folder / "progress.json")
    if progress is None:
        return ExperimentState("not run", 0, steps)
    result = read_json(folder / "result.json")
    message, is_final = progress["message"], progress.get("final", False)
    status: Status = "failed" if message else "unfinished"
    if result is not None and result["steps"] >= steps:
        status = "done"
    changed = _differences(progress["settings"], settings_of(planned))
    if changed:
        status, is_final = "failed", True
        message = (
            f"trained with other settings ({changed}); delete its folder or give another `work`"
        )
    return ExperimentState(
        status=status,
        step=progress["step"],
        steps=max(steps, progress["step"]),
        seconds=progress["seconds"] + shared_seconds(experiment, place),
        history=tuple(read_json(folder / "history.json") or ()),
        message=message if status == "failed" else "",
        is_final=is_final and status == "failed",
        hardware=progress["hardware"],
        commit=progress["commit"],
        losses=progress["losses"],
    )


def shared_seconds(experiment: Experiment, place: Workplace) -> float:
    """What the shared stages of an experiment have taken so far; it is kept beside them."""
    folders = [
        place.stage_folder(experiment, stage) for stage in place.stages(experiment) if stage.shared
    ]
    return sum(read_json(folder / _CLOCK) or 0.0 for folder in folders)


def settings_of(planned: tuple[Stage, ...]) -> list[dict[str, Any]]:
    """The settings that decide what an experiment learns, as JSON has them."""
    settings = [stage.settings(without=FREE_SETTINGS) for stage in planned]
    plain: list[dict[str, Any]] = json.loads(json.dumps(settings))
    return plain


def _differences(stored: list[dict[str, Any]], asked: list[dict[str, Any]]) -> str:
    """What differs between the settings in a folder and those asked for; empty for nothing."""
    if len(stored) != len(asked):
        return f"{len(stored)} trainings there, {len(asked)} now"
    # A setting that the folder does not know is newer than it, and had no effect then.
    changed = [
        f"{name} {old[name]} there, {new[name]} now"
        for old, new in zip(stored, asked, strict=True)
        for name in new
        if name in old and old[name] != new[name]
    ]
    return "; ".join(changed)


def run_experiment(
    experiment: Experiment,
    place: Workplace,
    *,
    deadline: float = math.inf,
    on_progress: Callable[[AnyProgress], None] | None = None,
) -> ExperimentState:
    """Train an experiment from where it stands until it is done, has failed, or the time is up.

    A training that fails is recorded, and one that diverged is not tried again: its seed makes it
    diverge again. An experiment that another process is training is left to that process.

    Args:
        experiment: what to train.
        place: where.
        deadline: when to stop with a checkpoint, as `time.time()` has it.
        on_progress: called after every step.

    Raises:
        SettingError: the scenario's data is not there.
        DatasetError: the folder cannot be written.
    """
    before = state_of(experiment, place)
    if before.status == "done" or before.is_final:
        return before
    make_folder(place.folder(experiment))
    try:
        lock = FolderLock(place.folder(experiment) / "lock", _TrainedElsewhereError(), patience=0.0)
    except _TrainedElsewhereError:
        return state_of(experiment, place)
    with lock:
        training = _Training(experiment, place, state_of(experiment, place), on_progress)
        try:
            training.run(deadline)
        except RenderAdaptError as error:
            is_final = isinstance(error, TrainingDiverged | TrainingCollapsed)
            training.write_progress(str(error), is_final=is_final)
    return state_of(experiment, place)


class _TrainedElsewhereError(Exception):
    """Another process trains the experiment."""


class _Training:
    """An experiment while it runs."""

    def __init__(
        self,
        experiment: Experiment,
        place: Workplace,
        before: ExperimentState,
        on_progress: Callable[[AnyProgress], None] | None,
    ) -> None:
        self.experiment, self.on_progress = experiment, on_progress
        self.folder, self.planned = place.folder(experiment), place.stages(experiment)
        self.scenario = place.load_scenario(experiment.scenario)
        self.history: list[Record] = list(before.history)
        self.step, self.losses = before.step, dict(before.losses)
        self.place = place
        # One that is begun when its shared stage is done has none of that stage's time yet.
        self.seconds = max(0.0, before.seconds - shared_seconds(experiment, place))
        self.started = time.monotonic()
        self.stage = self.planned[0]
        self.previous: Path | None = None  # the checkpoint of the stage before
        self.first_step = 0  # of the stage that runs, among those of all stages
        self.written = -math.inf

    def run(self, deadline: float) -> None:
        """Run the stages that are not done, one after the other."""
        self.write_progress()
        for stage in self.planned:
            left = (deadline - time.time()) / 60.0
            if left <= 0:
                return
            limited = stage if math.isinf(left) else stage.changed(max_minutes=left)
            with _threads(stage.config.threads):
                is_done = self._run_stage(limited)
            self.write_progress()
            if not is_done:
                return
        self._finish()

    def _run_stage(self, stage: Stage) -> bool:
        """Train a stage; whether it is done."""
        from render_adapt._paper.training.systems import train_stage

        self.stage = stage
        folder = self.place.stage_folder(self.experiment, stage)
        if stage.shared:
            return self._run_shared(stage, folder)
        if (folder / CHECKPOINT).exists():
            self._measure(folder / CHECKPOINT)  # a kill may have come before it was measured
        checkpoint = train_stage(
            stage, self.scenario, self.previous, folder, self._progressed, self._measure
        )
        self._stop_clock()
        if checkpoint_step(checkpoint) < stage.config.steps:
            return False
        self.previous = checkpoint
        self.first_step += stage.config.steps
        return True

    def _run_shared(self, stage: Stage, folder: Path) -> bool:
        """Train a stage that other experiments begin with too, or wait while one of them does."""
        from render_adapt._paper.training.systems import train_stage

        make_folder(folder)
        clock = folder / _CLOCK
        refusal = DatasetError(f"another process trains in {folder}: try again when it is done")
        with FolderLock(folder / "lock", refusal, patience=math.inf):
            seconds_before, started = read_json(clock) or 0.0, time.monotonic()

            def progressed(progress: AnyProgress) -> None:
                self.started = time.monotonic()  # it is not this experiment's own time
                if time.monotonic() - self.written >= _PROGRESS_SECONDS:
                    write_json(clock, seconds_before + time.monotonic() - started)
                self._progressed(progress)

            checkpoint = train_stage(
                stage, self.scenario, None, folder, progressed, lambda path: None
            )
            write_json(clock, seconds_before + time.monotonic() - started)
            is_done = checkpoint_step(checkpoint) >= stage.config.steps
        self.previous = checkpoint
        self.first_step += stage.config.steps
        self.started = time.monotonic()
        return is_done

    def write_progress(self, message: str = "", *, is_final: bool = False) -> None:
        """Say in the folder how far the experiment is."""
        self.written = time.monotonic()
        write_json(
            self.folder / "progress.json",
            {
                "job": dataclasses.asdict(self.experiment),
                "settings": settings_of(self.planned),
                "step": self.step,
                "steps": sum(stage.config.steps for stage in self.planned),
                "seconds": self._clock(),
                "losses": self.losses,
                "message": message.replace(f"{self.place.work}/", ""),
                "final": is_final,
                "hardware": hardware(self.planned[-1].config.device),
                "commit": commit(),
            },
        )

    def _clock(self) -> float:
        return self.seconds + time.monotonic() - self.started

    def _stop_clock(self) -> None:
        self.seconds, self.started = self._clock(), time.monotonic()

    def _progressed(self, progress: AnyProgress) -> None:
        self.step = self.first_step + progress.step
        self.losses = dict(progress.losses)
        if time.monotonic() - self.written >= _PROGRESS_SECONDS:
            self.write_progress()
        if self.on_progress is not None:
            self.on_progress(progress)

    def _measure(self, checkpoint: Path) -> None:
        """Add a checkpoint's figures to the history, once."""
        config = self.stage.config
        step = checkpoint_step(checkpoint)
        self.step = self.first_step + step
        # Where a run was stopped by time is chance, and no part of its history.
        due = step % config.checkpoint_every == 0 or step >= config.steps
        measured_steps = {record["step"] for record in self.history}
        if self.stage.name != self.planned[-1].name or not due or self.step in measured_steps:
            return
        from render_adapt._paper.training.systems import measure_stage

        self._stop_clock()
        figures = measure_stage(self.stage, checkpoint, self.scenario, self.previous)
        self.started = time.monotonic()
        self.history.append({"step": self.step, "seconds": self.seconds, **figures})
        write_json(self.folder / "history.json", self.history)
        self.write_progress()

    def _finish(self) -> None:
        write_json(
            self.folder / "result.json",
            {
                "job": dataclasses.asdict(self.experiment),
                "settings": settings_of(self.planned),
                "steps": self.step,
                "seconds": self.seconds,
                "hardware": hardware(self.planned[-1].config.device),
                "commit": commit(),
                "last": self.history[-1],
            },
        )


@contextlib.contextmanager
def _threads(n: int) -> Iterator[None]:
    """Measure with as many threads as training has, so that figures are the same everywhere."""
    import torch

    before = torch.get_num_threads()
    if n:
        torch.set_num_threads(n)
    yield
    torch.set_num_threads(before)
