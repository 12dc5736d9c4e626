"""The engine of every training: steps, checkpoints, exact continuation, progress."""

from __future__ import annotations

import itertools
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import seed_of
from adapter._errors import AdapterError, TrainingDiverged
from adapter._processes import is_first, sharing_batches, started
from adapter._settings.progress import TaskProgress
from adapter._training.arithmetic import torch_of
from adapter._training.averages import MovingAverage
from adapter._training.checkpoint import (
    CHECKPOINT,
    FREE_SETTINGS,
    THREADS,
    check_same_run,
    describe,
    fingerprint_of,
    note_on,
    read_checkpoint,
    restore,
    threads_of,
    write_checkpoint,
)
from adapter._training.lock import only_training
from adapter._training.monitor import SCALARS_EVERY, Board, board
from adapter._training.processes import first_says, refuse_different
from adapter._training.threads import chosen_text, fastest, step_seconds
from safe_files import write_file

_READ_EVERY = 10
"""Steps on a GPU between two looks at the losses, each of which waits until it has caught up."""


class TrainingSettings(Protocol):
    """What `run_training` reads of a training's settings, a dataclass of numbers and texts."""

    @property
    def steps(self) -> int:
        """Training steps."""

    @property
    def max_minutes(self) -> float:
        """Stop after this long, with a checkpoint to continue from; 0 means no limit."""

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""

    @property
    def seed(self) -> int:
        """Decides all randomness."""

    @property
    def device(self) -> str:
        """cpu or cuda."""

    @property
    def threads(self) -> int:
        """Processor threads; 0 has the fastest number found by a few steps, on a GPU torch's."""


@dataclass(frozen=True)
class Snapshot:
    """What goes with a checkpoint beside the state that a training continues from."""

    networks: Mapping[str, nn.Module] = field(default_factory=dict)
    """Networks made for it, by their names in it."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What it says of itself, beside its step and the settings."""
    picture: NDArray[np.uint8] | None = None
    """(H, W, 3), BGR: how far the training is, for people. It lies in `samples/` beside it."""


class Training(ABC):
    """What is trained, and one step of it: all of a training that `run_training` does not do.

    A subclass makes its networks in `__init__`, where they belong on `config.device`, and puts them
    into `networks`, `averages` and `optimizers` by their names in a checkpoint. Torch's generators
    are the training's own then; it seeds them before it draws weights.

    Args:
        config: settings. `run_training` refuses to continue with others.
    """

    config: TrainingSettings
    networks: dict[str, nn.Module]
    averages: dict[str, MovingAverage[Any]]
    """Moved after every step."""
    optimizers: dict[str, torch.optim.Optimizer]
    depends_on_steps: bool = False
    """Whether what a step does depends on how many there are to be; then they are fixed."""
    shares_batches: bool = False
    """Whether several processes may share its batches: see `adapter._processes`."""

    def __init__(self, config: TrainingSettings) -> None:
        self.config = config
        self.networks, self.averages, self.optimizers = {}, {}, {}

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """One step, after `step` others; the same whenever it is done.

        All its randomness comes from torch's generators, which `run_training` has seeded, or from
        `step` itself.

        Returns:
            Losses by name, numbers on the device. (Reading one waits for a GPU.)
        """

    def seed(self, step: int) -> int:
        """Torch's seed for a step."""
        return seed_of(self.config.seed, step, 0)

    def learning_rates(self, step: int) -> Mapping[str, float]:
        """The learning rates of a step by optimiser; those that are left out stay as they are."""
        return {}

    def data(self) -> Iterable[NDArray[Any] | None]:
        """All that is learnt from: a training continues with the same alone."""
        return ()

    def snapshot(self, step: int) -> Snapshot:
        """What goes with the checkpoint after `step` steps.

        Raises:
            AdapterError: the training must not go on; nothing is written.
        """
        return Snapshot()

    def continue_from(self, checkpoint: Path, metadata: Mapping[str, str]) -> None:  # noqa: B027 (most need not look)
        """Look at a checkpoint's metadata before its state is put back.

        Raises:
            AdapterError: it is of another kind of training.
        """


Settings = TypeVar("Settings", bound=TrainingSettings)
AnyTraining = TypeVar("AnyTraining", bound=Training)


def run_training(
    make: Callable[[Settings], AnyTraining],
    config: Settings,
    out: Path,
    *,
    tensorboard: bool = False,
    on_progress: Callable[[TaskProgress], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> AnyTraining:
    """Train up to `config.steps` or `config.max_minutes`, from the start or from a checkpoint.

    At least one step is taken, however short the time, so that the same command always comes
    further.

    A folder that holds a checkpoint is continued from it: k steps, a stop and m steps give the
    same parameters, bit for bit, as k + m steps (on one machine, CPU, same number of threads).
    Where `config.threads` is 0 that number is found by a few steps of another training, made for
    that alone, or is the checkpoint's; a note says so.

    In each process of a group of `torch.distributed`, where there is one, it is the same training:
    they share each batch, and come to one process' parameters but for rounding. The first writes
    to `out`, which all must see, and calls back; with `threads` 0 each has torch's number.

    Args:
        make: the training's class, or what makes one of the settings.
        config: settings, a dataclass whose values JSON can hold.
        out: folder for `checkpoint.safetensors` and pictures; made if absent.
        tensorboard: whether to write curves and pictures for TensorBoard there, too.
        on_progress: called after every step; on a GPU after every tenth.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The training after its last step.

    Raises:
        AdapterError: a checkpoint of another run, a run that diverged, a folder that cannot be
            written or that another training is at work in, a device that is not there.
    """
    with torch_of(config), only_training(out):
        training = make(config)
        if started() > 1 and not training.shares_batches:
            raise AdapterError("this training is of one process: begin it without torchrun")
        run = _Run(training, out / CHECKPOINT, on_progress, on_checkpoint)
        run.refuse_different()
        run.choose_threads(partial(make, config))
        with board(tensorboard and is_first(), out / "tensorboard", run.step) as opened:
            run.train(opened)
    return training


def take_step(training: Training, step: int) -> dict[str, Tensor]:
    """One whole step: random numbers, learning rates, the step itself, averages.

    Returns:
        What the step reports, on the device.
    """
    # All randomness of a step comes from (seed, step), so that a checkpoint holds no state
    # of random generators and a continued run draws what an unbroken one would have drawn.
    torch.manual_seed(training.seed(step))
    for name, rate in training.learning_rates(step).items():
        for group in training.optimizers[name].param_groups:
            group["lr"] = rate
    with sharing_batches():
        report = training.step(step)
    for average in training.averages.values():
        average.move(step)
    return {name: value.detach() for name, value in report.items()}


class _Run:
    """A training at work in a folder: where it stands, and what of it is saved."""

    def __init__(
        self,
        training: Training,
        checkpoint: Path,
        on_progress: Callable[[TaskProgress], None] | None,
        on_checkpoint: Callable[[Path], None] | None,
    ) -> None:
        self.training, self.config = training, training.config
        self.checkpoint = checkpoint
        self.on_progress = on_progress if is_first() else None
        self.on_checkpoint = on_checkpoint if is_first() else None
        self.fingerprint = fingerprint_of(training.data())
        self.step = 0
        self.threads_before = 0  # of the checkpoint that the run goes on from
        self.note = ""  # on that, and on threads
        self.picture: Path | None = None  # that nobody has been told of
        if checkpoint.exists():
            self._restore()
        self.first = self.step
        self.saved = self.step if self.step > 0 else -1
        self.started = time.monotonic()

    def refuse_different(self) -> None:
        """Refuse processes of one training that would not train the same.

        Raises:
            AdapterError: there are such.
        """
        # How much of its time is left each process may see differently; the first one's counts.
        config: Any = self.config
        alike = describe(replace(config, max_minutes=0.0), self.fingerprint, self.step)
        refuse_different(json.dumps(alike))

    def choose_threads(self, make: Callable[[], Training]) -> None:
        """Set torch's threads where they are left open, by steps of a training that is thrown away.

        A training that goes on keeps the number that it began with, and with it its bits.
        """
        most, config = torch.get_num_threads(), self.config
        if config.threads or config.device != "cpu" or self.step >= config.steps:
            return
        if 0 < self.threads_before <= most:
            torch.set_num_threads(self.threads_before)
            self._add_note(f"`threads` {self.threads_before}, as this training began with")
        elif most > 1 and started() == 1:
            with torch.random.fork_rng():
                trial, steps = make(), itertools.count(1)
                seconds = step_seconds(lambda: take_step(trial, next(steps)), most)
            torch.set_num_threads(fastest(seconds))
            self._add_note(chosen_text(seconds))

    def _add_note(self, note: str) -> None:
        self.note = f"{self.note}; {note}" if self.note else note

    def train(self, board: Board | None) -> None:
        """Step after step, to the end or to the time limit."""
        config, report = self.config, dict[str, Tensor]()
        look_every = _READ_EVERY if config.device == "cuda" else 1
        while self.step < config.steps:
            if self._is_out_of_time() and self.step > self.first:
                break
            report = take_step(self.training, self.step)
            self.step += 1
            due = self.step % config.checkpoint_every == 0
            if due or self.step == config.steps or self.step % look_every == 0:
                numbers = self._read(report)
                if due:
                    self._save(board)
                self._tell(numbers, board)
        if self.saved != self.step:
            self._read(report)
            self._save(board)

    def _is_out_of_time(self) -> bool:
        limit = 60.0 * self.config.max_minutes
        return limit > 0 and first_says(time.monotonic() - self.started >= limit)

    def _read(self, report: Mapping[str, Tensor]) -> dict[str, float]:
        """The report's numbers, with one wait for all of them.

        Raises:
            TrainingDiverged: one is not finite.
        """
        values = torch.stack(list(report.values())).tolist() if report else []
        numbers: dict[str, float] = dict(zip(report, values, strict=True))
        for name, value in numbers.items():
            if not math.isfinite(value):
                checkpoint_note = "none was saved yet"
                if self.saved >= 0:
                    checkpoint_note = f"the checkpoint of step {self.saved} is kept"
                raise TrainingDiverged(
                    f"training diverged at step {self.step}: the {name} loss is not a finite "
                    f"number; lower `learning_rate` or use `precision` fp32 ({checkpoint_note})"
                )
        return numbers

    def _tell(self, numbers: dict[str, float], board: Board | None) -> None:
        seconds = time.monotonic() - self.started
        rate = (self.step - self.first) / seconds
        left = (self.config.steps - self.step) / rate
        if self.config.max_minutes:
            left = min(left, max(0.0, 60.0 * self.config.max_minutes - seconds))
        steps, note, picture = self.config.steps, self.note, self.picture
        state = TaskProgress(self.step, steps, numbers, rate, left, note, picture)
        self.note, self.picture = "", None
        if board is not None and self.step % SCALARS_EVERY == 0:
            optimizers = self.training.optimizers.items()
            board.curves(state, {name: o.param_groups[0]["lr"] for name, o in optimizers})
        if self.on_progress is not None:
            self.on_progress(state)

    def _stored(self) -> dict[str, nn.Module]:
        """All networks that are continued from, by their names in a checkpoint."""
        averages = {name: average.network for name, average in self.training.averages.items()}
        return {**self.training.networks, **averages}

    def _save(self, board: Board | None) -> None:
        """Write the checkpoint at one stroke, and then its picture beside it.

        All processes look at what goes with it, for what they see may end the training.
        """
        snapshot = self.training.snapshot(self.step)
        self.saved = self.step
        if is_first():
            self._write(snapshot, board)
        first_says(True)

    def _write(self, snapshot: Snapshot, board: Board | None) -> None:
        metadata = {**snapshot.metadata, **describe(self.config, self.fingerprint, self.step)}
        metadata[THREADS] = str(torch.get_num_threads())
        networks = {**self._stored(), **snapshot.networks}
        write_checkpoint(self.checkpoint, networks, self.training.optimizers, metadata)
        if snapshot.picture is not None:
            samples = self.checkpoint.parent / "samples"
            samples.mkdir(exist_ok=True)
            _, encoded = cv2.imencode(".png", snapshot.picture)
            self.picture = samples / f"step_{self.step:07d}.png"
            write_file(self.picture, encoded.tobytes())
            if board is not None:
                board.picture(snapshot.picture, self.step)
        if self.on_checkpoint is not None:
            self.on_checkpoint(self.checkpoint)

    def _restore(self) -> None:
        tensors, metadata = read_checkpoint(self.checkpoint)
        self.training.continue_from(self.checkpoint, metadata)
        free = FREE_SETTINGS - ({"steps"} if self.training.depends_on_steps else set())
        check_same_run(self.checkpoint, metadata, self.config, self.fingerprint, free=free)
        self.note = note_on(self.checkpoint, metadata)
        self.threads_before = threads_of(self.checkpoint, metadata)
        optimizers = self.training.optimizers
        self.step = restore(self.checkpoint, tensors, metadata, self._stored(), optimizers)
