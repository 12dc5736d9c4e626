"""Training an estimator on a set, in pieces where one likes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapter import Snapshot, TaskProgress, Training, run_training
from adapter._batches import Rows, seed_of
from adapter._training.descent import descend
from benchmarks.real_crops.crops import LabelledCrops
from benchmarks.real_crops.estimators import Labels, Task, make_estimator
from benchmarks.real_crops.figures import angles_off
from cad_models import CadModel
from render_adapt._align.batches import changed
from render_adapt._align.network import DenseLabels
from render_adapt._align.training import autocast, rate
from renderer import symmetry_quaternions

_ORDER, _CHANGES, _WEIGHTS = 60, 61, 62
"""Streams of random numbers."""
_WEIGHT_DECAY = 1e-4
LOOKS = 8
"""How often it is looked how good an estimator is on what was held out of its training set."""
SETTLED = 0.1
"""Of the mean error on what was held out: an estimator has converged that took less off it in the
last quarter of its training."""


@dataclass(frozen=True)
class EstimatorSettings:
    """What decides a training."""

    estimator: str
    steps: int
    batch: int
    learning_rate: float
    seed: int
    max_minutes: float = 0.0
    checkpoint_every: int = 500
    device: str = "cpu"
    threads: int = 0
    precision: str = "auto"


def train(
    crops: LabelledCrops,
    held_out: LabelledCrops,
    models: list[CadModel],
    settings: EstimatorSettings,
    folder: Path,
    show: Any = None,
) -> EstimatorTraining:
    """Train on from the checkpoint in a folder, to the last step or for `max_minutes`.

    Args:
        crops: to learn from.
        held_out: others of the same set.
        models: `OBJECTS`.
        settings: how.
        folder: of the checkpoint.
        show: called with (steps done, in all) after each step.

    Raises:
        AdapterError: a checkpoint of another set or other settings, or a training that diverged.
    """

    def on_progress(state: TaskProgress) -> None:
        if show is not None:
            show(state.step, state.steps)

    return run_training(
        partial(EstimatorTraining, crops, held_out, models), settings, folder,
        on_progress=on_progress,
    )  # fmt: skip


class EstimatorTraining(Training):
    """An estimator, and how it learns from a batch: AdamW, up in a line and down along a cosine."""

    depends_on_steps = True
    config: EstimatorSettings

    def __init__(
        self,
        crops: LabelledCrops,
        held_out: LabelledCrops,
        models: list[CadModel],
        settings: EstimatorSettings,
    ) -> None:
        super().__init__(settings)
        self.crops, self.held_out, self.done = crops, held_out, 0
        self.symmetries = symmetry_quaternions(models)
        torch.manual_seed(seed_of(settings.seed, 0, _WEIGHTS))
        task = Task(models, autocast(settings), settings.device, settings.threads or 1)
        self.estimator = make_estimator(settings.estimator, task)
        self.adam = torch.optim.AdamW(
            self.estimator.parameters(), lr=settings.learning_rate,
            weight_decay=_WEIGHT_DECAY, fused=True,
        )  # fmt: skip
        self.networks["estimator"] = self.estimator.network
        self.optimizers["estimator"] = self.adam
        # Copied once: a GPU would wait for a batch's copy in every step.
        self.learnt = {
            name: torch.from_numpy(np.ascontiguousarray(values)).to(settings.device)
            for name, values in (*vars(crops.dense).items(), ("quaternion", crops.quaternion))
        }
        self.rows = Rows(len(crops), settings.batch, settings.seed, _ORDER)
        self.curve: dict[int, dict[str, float]] = {}
        self._spent, self._began = 0.0, time.process_time()

    @property
    def minutes(self) -> float:
        """Of the processor, over all pieces."""
        return self._spent + (time.process_time() - self._began) / 60

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.done >= self.config.steps

    def data(self) -> Iterable[NDArray[Any]]:
        return [*vars(self.crops.dense).values(), self.crops.quaternion]

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return {"estimator": self.config.learning_rate * rate(step, self.config.steps)}

    def step(self, step: int) -> dict[str, Tensor]:
        self.estimator.network.train()
        loss, parts = self.estimator.losses(*self.batch(step))
        descend(self.adam, loss)
        self.done = step + 1
        return parts

    def batch(self, number: int) -> tuple[Tensor, Labels]:
        """Batch number `number`: crops in about [-1, 1], changed, with their labels."""
        rows, device = self.rows.draw(number), self.config.device
        seed = seed_of(self.config.seed, number, _CHANGES)
        random = torch.Generator(device).manual_seed(seed)
        places = torch.from_numpy(rows).to(device)
        taken = {name: values[places] for name, values in self.learnt.items()}
        coordinates = taken["coordinates"].permute(0, 3, 1, 2).float().div_(255.0)
        labels = DenseLabels(taken["object_index"], taken["mask"], coordinates)
        x = changed(taken["rgb"].permute(0, 3, 1, 2), random)
        return x, Labels(labels, taken["quaternion"])

    def snapshot(self, step: int) -> Snapshot:
        due = step % self.config.checkpoint_every == 0 or step == self.config.steps
        if due and step > 0:
            self.curve[step] = self.on_held_out()
        return Snapshot(
            metadata={"curve": json.dumps(self.curve), "minutes": f"{self.minutes:.3f}"}
        )

    def on_held_out(self) -> dict[str, float]:
        """How good the estimator is on crops of its own set that it has not seen."""
        said = self.estimator.estimate(self.held_out.dense.rgb)
        which = self.held_out.dense.object_index
        off = angles_off(said, self.held_out.rotation, which, self.symmetries)
        return {
            "class_percent": round(100 * float((said.object_index == which).mean()), 3),
            "mean": round(float(off.mean()), 3),
            "median": round(float(np.median(off)), 3),
        }

    def continue_from(self, checkpoint: Path, metadata: Mapping[str, str]) -> None:
        self.done = int(metadata["step"])
        self._spent = float(metadata.get("minutes", 0))
        self.curve = {int(k): v for k, v in json.loads(metadata.get("curve", "{}")).items()}


def has_settled(curve: Mapping[int, Mapping[str, float]]) -> bool | None:
    """Whether an estimator has converged on its own set; None where too little is known.

    Args:
        curve: step to figures on what was held out, the last step among them.
    """
    if not curve:
        return None
    last = max(curve)
    before = [step for step in curve if step <= 0.75 * last]
    if not before:
        return None
    return curve[last]["mean"] > (1 - SETTLED) * curve[max(before)]["mean"]
