"""Training the coordinate network, in pieces where one likes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from adapter import Training, run_training
from adapter._batches import seed_of
from adapter._training.arithmetic import Precision
from adapter._training.descent import descend
from render_adapt._align.batches import MixedBatches
from render_adapt._align.network import CoordinateNetwork, dense_losses
from render_adapt._align.settings import AlignConfig
from render_adapt._align.source import DenseCrops

_WEIGHTS = 42
"""Stream of random numbers."""
_WARM_UP = 200
"""Steps; of short trainings a twentieth."""
_WEIGHT_DECAY = 1e-4
_FURTHER = 0.5
"""Of the learning rate, where a network is trained on."""
_NAME = "coordinates"

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class NetworkSettings:
    """What `adapter.run_training` reads, and what a checkpoint must agree in with the run that goes
    on from it."""

    objects: str
    size: int
    steps: int
    batch: int
    learning_rate: float
    seed: int
    max_minutes: float
    checkpoint_every: int
    device: str
    threads: int


def train_network(
    crops: tuple[DenseCrops, ...],
    objects: tuple[str, ...],
    config: AlignConfig,
    folder: Path,
    on_progress: OnProgress | None = None,
) -> tuple[CoordinateNetwork, int]:
    """Train up to `config.steps`, or for `config.max_minutes`, from where the checkpoint is.

    Args:
        crops: to learn from, as many of each set in a batch as of the others.
        objects: their names.
        config: how.
        folder: of the checkpoint; what is there is continued.
        on_progress: called with (steps done, in all) after each step, on a GPU after every tenth.

    Returns:
        The network, in evaluation mode, and the steps that it has.

    Raises:
        AdapterError: the checkpoint is damaged or of another run, or the training diverged.
    """
    return _train(Lesson(crops), objects, config, folder, on_progress)


def train_further(
    network: CoordinateNetwork,
    crops: tuple[DenseCrops, ...],
    sure: DenseCrops,
    objects: tuple[str, ...],
    config: AlignConfig,
    number: int,
    on_progress: OnProgress | None = None,
) -> tuple[CoordinateNetwork, int]:
    """Train a network on, with crops of the target in each batch, as many as of every other set.

    Args:
        network: as it is.
        crops: what it has learnt from so far.
        sure: crops of the target with what is taken for their labels.
        objects: their names.
        config: how.
        number: of the round, from 1.
        on_progress: as for `train_network`.

    Returns:
        Another network, in evaluation mode, and the steps that it has of this round.

    Raises:
        AdapterError: as for `train_network`.
    """
    first = config.steps + (number - 1) * config.round_steps
    lesson = Lesson((*crops, sure), first, network.state_dict())
    further = replace(
        config, steps=config.round_steps, learning_rate=_FURTHER * config.learning_rate
    )
    return _train(lesson, objects, further, config.working / f"round_{number}", on_progress)


@dataclass(frozen=True)
class Lesson:
    """What a network learns from."""

    crops: tuple[DenseCrops, ...]
    """Each has the same part of a batch."""
    first: int = 0
    """The number of the first batch."""
    start: Mapping[str, Tensor] | None = None
    """The weights to begin with; random ones if not given."""


def _train(
    lesson: Lesson,
    objects: tuple[str, ...],
    config: AlignConfig,
    folder: Path,
    on_progress: OnProgress | None,
) -> tuple[CoordinateNetwork, int]:
    settings = NetworkSettings(
        ",".join(objects), config.size, config.steps, config.batch, config.learning_rate,
        config.seed, config.max_minutes, config.checkpoint_every, config.device, config.threads,
    )  # fmt: skip
    show = on_progress or (lambda done, steps: None)
    training = run_training(
        partial(CoordinateTraining, lesson, autocast(config)), settings, folder,
        on_progress=lambda state: show(state.step, state.steps),
    )  # fmt: skip
    return training.network.eval(), training.done


class CoordinateTraining(Training):
    """The coordinate network, and how it learns from a batch.

    Args:
        lesson: what to learn from.
        arithmetic: of the network.
        settings: how.
    """

    depends_on_steps = True

    def __init__(
        self, lesson: Lesson, arithmetic: torch.autocast, settings: NetworkSettings
    ) -> None:
        super().__init__(settings)
        self.settings, self.lesson, self.arithmetic, self.done = settings, lesson, arithmetic, 0
        self.batches = MixedBatches(lesson.crops, settings.batch, settings.seed, settings.device)
        torch.manual_seed(seed_of(settings.seed, 0, _WEIGHTS))
        self.network = CoordinateNetwork(settings.objects.count(",") + 1, settings.size)
        if lesson.start is not None:
            self.network.load_state_dict(lesson.start)
        self.network.to(settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adam = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=_WEIGHT_DECAY,
            fused=True,
        )  # fmt: skip
        self.networks[_NAME], self.optimizers[_NAME] = self.network, self.adam

    def data(self) -> Iterable[NDArray[Any]]:
        return [array for crops in self.lesson.crops for array in vars(crops).values()]

    def continue_from(self, checkpoint: Path, metadata: Mapping[str, str]) -> None:
        self.done = int(metadata["step"])

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return {_NAME: self.settings.learning_rate * rate(step, self.settings.steps)}

    def step(self, step: int) -> dict[str, Tensor]:
        x, labels = self.batches.draw(self.lesson.first + step)
        with self.arithmetic:
            found = self.network.train()(x)
        loss, parts = dense_losses(found, labels)
        descend(self.adam, loss)
        self.done = step + 1
        return parts


def autocast(config: Precision) -> torch.autocast:
    """The arithmetic of the network: what is fast on the machine, where it is left to it."""
    precision = config.precision
    if precision == "auto":
        has_matrices = config.device == "cuda" or torch.cpu._is_amx_tile_supported()
        precision = "bf16" if has_matrices else "fp32"
    return torch.autocast(config.device, torch.bfloat16, enabled=precision == "bf16")


def rate(step: int, steps: int) -> float:
    """Of the learning rate: up in a line, then down to 0 along a cosine."""
    warm_up = max(1, min(_WARM_UP, steps // 20))
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / steps))
