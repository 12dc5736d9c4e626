"""Trains the judge anew: `python -m render_adapt._fidelity.training.train --out DIR`.

About 25 minutes of one core. A training that was stopped continues in the same folder. The
judge never sees an adapter's work: it learns from renders with strong randomisation, hardened
further by what is drawn here, and from labels that are true of them or not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adapter import TaskProgress, Training, run_training
from cad_models import CadModel, load_models
from render_adapt._fidelity.calibrate import calibrate
from render_adapt._fidelity.calibration import CALIBRATION, Calibration, write_calibration
from render_adapt._fidelity.training.batches import JudgeBatch, draw_batch
from render_adapt._fidelity.training.harden import harden
from render_adapt._fidelity.training.network import (
    SHIFT_UNIT,
    TURN_UNIT,
    JudgeNetwork,
    export_judge,
)
from render_adapt._fidelity.training.pairs import Pairs, make_pairs, random_shapes
from renderer import RANDOMIZATIONS, CropBatch, PlanConfig, capture
from safe_files import write_file

OBJECTS = (
    "bowl", "can", "cup", "driller", "eggbox", "glue", "holepuncher", "iron", "lamp", "phone",
)  # fmt: skip
"""The built-in objects that the judge learns from. The shipped adapter's are not among them, so
that what is measured on those is what holds for objects that the judge never saw."""
SHAPES = 40
PAIRS = 24576
STEPS = 8000
_POSE_WEIGHT = 0.5
_LEARNING_RATE = 3e-3


def main() -> None:
    """Read the command line, make pairs, train, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [*load_models(OBJECTS), *random_shapes(SHAPES, 0)]
    network = train_judge(make_pairs(models, options.pairs, 100), options.steps, options.out)
    export_judge(network, options.out / "judge.onnx")
    calibration = calibrate_on_renders(load_models(OBJECTS), options.out / "judge.onnx")
    write_file(options.out / CALIBRATION, write_calibration(calibration))


def calibrate_on_renders(models: Sequence[CadModel], network: Path) -> Calibration:
    """The general calibration: hardened renders, strongly randomised, whose labels are true."""
    camera = replace(RANDOMIZATIONS["strong"], occluders=(0, 0), neighbours=(0, 0))

    def take(renders: CropBatch) -> CropBatch:
        crops = capture(renders, camera, 0, models)
        random = np.random.default_rng([0, int(crops.plans.index[0])])
        rgb = np.rint((harden(crops.rgb, crops.mask_visib, random) + 1) * 127.5).astype(np.uint8)
        return replace(crops, rgb=np.ascontiguousarray(np.moveaxis(rgb, 1, -1)))

    return calibrate(take, None, models, PlanConfig(), 4000, network)


@dataclass(frozen=True)
class JudgeSettings:
    """What decides what the judge learns from its pairs."""

    steps: int = STEPS
    """Batches to learn from, or to stop at for now."""
    schedule_steps: int = STEPS
    """Batches over which the learning rate falls to 0."""
    checkpoint_every: int = 250
    seed: int = 0
    max_minutes: float = 0.0
    device: str = "cpu"
    threads: int = 0


def train_judge(
    pairs: Pairs,
    steps: int,
    out: Path,
    *,
    checkpoint_every: int = 250,
    stop_at: int | None = None,
) -> JudgeNetwork:
    """Train, or go on from the checkpoint in `out`; ends like a training that never stopped.

    Args:
        pairs: what to learn from.
        steps: batches; they also decide how the learning rate falls.
        out: folder of the checkpoint.
        checkpoint_every: steps.
        stop_at: a step to stop at before the last.

    Raises:
        AdapterError: a checkpoint of other pairs or steps, a training that diverged, a folder that
            cannot be written.
    """
    settings = JudgeSettings(min(steps, stop_at or steps), steps, checkpoint_every)
    tell = _printed(checkpoint_every)
    return run_training(partial(JudgeTraining, pairs), settings, out, on_progress=tell).judge.eval()


def _printed(interval: int) -> Callable[[TaskProgress], None]:
    """Prints how the training goes: steps, loss, seconds of the processor."""
    mean, started = 0.0, time.process_time()

    def tell(state: TaskProgress) -> None:
        nonlocal mean
        mean += 0.02 * (state.losses["judge"] - mean)
        if state.step % interval == 0:
            print(f"{state.step} {mean:.4f} {time.process_time() - started:.0f} s", flush=True)  # noqa: T201

    return tell


class JudgeTraining(Training):
    """The judge, and how it learns from a batch of pairs.

    Args:
        pairs: what to learn from.
        settings: how long, and how often to save.
    """

    def __init__(self, pairs: Pairs, settings: JudgeSettings) -> None:
        super().__init__(settings)
        self.pairs, self.schedule_steps = pairs, settings.schedule_steps
        torch.manual_seed(settings.seed)
        self.judge = JudgeNetwork().train()
        self.judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adam = torch.optim.AdamW(self.judge.parameters(), lr=_LEARNING_RATE, weight_decay=0.02)
        self.networks["judge"], self.optimizers["judge"] = self.judge, self.adam

    def data(self) -> Iterable[NDArray[Any]]:
        return vars(self.pairs).values()

    def seed(self, step: int) -> int:
        return step

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return {"judge": _LEARNING_RATE * _schedule(step / self.schedule_steps)}

    def step(self, step: int) -> dict[str, Tensor]:
        loss = _loss(self.judge, draw_batch(self.pairs, np.random.default_rng([7, step])))
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.judge.parameters(), 5.0)
        self.adam.step()
        return {"judge": loss}


def _schedule(progress: float) -> float:
    """Up in the first twentieth, then down to 0 along a cosine."""
    return min(1.0, 20 * progress + 0.01) * 0.5 * (1 + float(np.cos(np.pi * progress)))


def _loss(network: JudgeNetwork, batch: JudgeBatch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        verdict = network(batch.planes.contiguous(memory_format=torch.channels_last))
    verdict = verdict.float()
    loss = functional.binary_cross_entropy_with_logits(verdict[:, 0], batch.true)
    loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(verdict[:, 1], batch.same)
    has_turn = (batch.same > 0) & torch.isfinite(batch.turn).all(dim=1)
    shift = functional.smooth_l1_loss(verdict[has_turn, 2:4], batch.shift[has_turn] / SHIFT_UNIT)
    turn = functional.smooth_l1_loss(verdict[has_turn, 4:7], batch.turn[has_turn] / TURN_UNIT)
    return loss + _POSE_WEIGHT * (shift + turn)


if __name__ == "__main__":
    main()
