"""Trains the judge anew: `python -m render_adapt._fidelity.training.train --out DIR`.

About 25 minutes of one core. A training that was stopped continues in the same folder. The
judge never sees an adapter's work: it learns from renders with strong randomisation, hardened
further by what is drawn here, and from labels that are true of them or not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adapter._training.checkpoint import read_checkpoint, restore, write_checkpoint
from adapter._training.lock import only_training
from cad_models import CadModel, load_models
from render_adapt._fidelity.calibrate import calibrate
from render_adapt._fidelity.calibration import CALIBRATION, Calibration, write_calibration
from render_adapt._fidelity.label_view import SIDE
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
BATCH = 64
STEPS = 8000
_POSE_WEIGHT = 0.5


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
    """
    with only_training(out):
        return _train_judge(pairs, steps, out, checkpoint_every, stop_at)


def _train_judge(
    pairs: Pairs, steps: int, out: Path, checkpoint_every: int, stop_at: int | None
) -> JudgeNetwork:
    torch.manual_seed(0)
    network = JudgeNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
    checkpoint, first = out / "checkpoint.safetensors", 0
    if checkpoint.exists():
        state, metadata = read_checkpoint(checkpoint)
        first = restore(checkpoint, state, metadata, {"judge": network}, {"judge": optimizer})
    network.train()
    mean, started = 0.0, time.process_time()
    for step in range(first, min(steps, stop_at or steps)):
        random = np.random.default_rng([7, step])
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * _schedule(step / steps)
        loss = _loss(network, draw_batch(pairs, random))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        mean += 0.02 * (float(loss.detach()) - mean)
        if (step + 1) % checkpoint_every == 0:
            write_checkpoint(
                checkpoint, {"judge": network}, {"judge": optimizer}, {"step": str(step + 1)}
            )
            print(f"{step + 1} {mean:.4f} {time.process_time() - started:.0f} s", flush=True)  # noqa: T201
    return network.eval()


def _schedule(done: float) -> float:
    """Up in the first twentieth, then down to 0 along a cosine."""
    return min(1.0, 20 * done + 0.01) * 0.5 * (1 + float(np.cos(np.pi * done)))


@dataclass(frozen=True)
class JudgeBatch:
    """Pictures, labels, and what is true of them."""

    planes: Tensor
    """(B, 8, 64, 64)."""
    true: Tensor
    """(B,), 1 where the label is true."""
    same: Tensor
    """(B,), 1 where the picture shows the labelled object."""
    shift: Tensor
    """(B, 2), pixels."""
    turn: Tensor
    """(B, 3), degrees; NaN where it cannot be told."""


def _loss(network: JudgeNetwork, batch: JudgeBatch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        verdict = network(batch.planes.contiguous(memory_format=torch.channels_last))
    verdict = verdict.float()
    loss = functional.binary_cross_entropy_with_logits(verdict[:, 0], batch.true)
    loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(verdict[:, 1], batch.same)
    known = (batch.same > 0) & torch.isfinite(batch.turn).all(dim=1)
    shift = functional.smooth_l1_loss(verdict[known, 2:4], batch.shift[known] / SHIFT_UNIT)
    turn = functional.smooth_l1_loss(verdict[known, 4:7], batch.turn[known] / TURN_UNIT)
    return loss + _POSE_WEIGHT * (shift + turn)


def draw_batch(pairs: Pairs, random: np.random.Generator) -> JudgeBatch:
    """Draw pictures, spoil them, and lay a label over each that is true or false of it."""
    # Spoiling a picture costs as much as learning from it: each is shown with two labels.
    half = random.integers(len(pairs), size=BATCH // 2)
    rows = np.tile(half, 2)
    kind = random.choice(4, size=BATCH, p=[0.5, 0.2, 0.25, 0.05])
    moved, wrong, foreign = kind == 1, kind == 2, kind == 3
    label = (
        np.where(
            wrong[:, None, None, None], pairs.false_label[rows], pairs.true_label[rows]
        ).astype(np.float32)
        / 127
    )
    label[foreign] = np.roll(label, 1, axis=0)[foreign]
    length, angle = random.uniform(1.5, 10.0, BATCH), random.uniform(0, 2 * np.pi, BATCH)
    shift = np.rint(length * np.stack([np.cos(angle), np.sin(angle)])).T * moved[:, None]
    for row in np.flatnonzero(moved):
        label[row] = _moved(label[row], -int(shift[row, 0]), -int(shift[row, 1]))
    picture = np.tile(harden(pairs.picture[half], pairs.inside[half], random), (2, 1, 1, 1))
    gone = pairs.erased[rows]
    same = ~gone & ~foreign & ~(wrong & pairs.swapped[rows])
    turn = np.where(wrong[:, None], pairs.turn[rows], np.float32(0))
    unknown = wrong & (turn == 0).all(axis=1)
    turn[unknown] = np.nan
    # A turn that no one can see says nothing about the label.
    true = same & ~moved & (~wrong | unknown)
    planes = torch.from_numpy(np.concatenate([picture, label], axis=1))
    batch = JudgeBatch(planes, _floats(true), _floats(same), _floats(shift), torch.from_numpy(turn))
    return turned_about(batch, int(random.integers(4)), bool(random.integers(2)))


def _floats(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def _moved(planes: NDArray[np.float32], right: int, down: int) -> NDArray[np.float32]:
    """Moved by whole pixels; what comes in from outside is 0."""
    size = planes.shape[-1]
    result = np.zeros_like(planes)
    rows, columns = (
        slice(max(down, 0), size + min(down, 0)),
        slice(max(right, 0), size + min(right, 0)),
    )
    source = (
        slice(max(-down, 0), size + min(-down, 0)),
        slice(max(-right, 0), size + min(-right, 0)),
    )
    result[:, rows, columns] = planes[:, source[0], source[1]]
    return result


def turned_about(batch: JudgeBatch, quarters: int, mirror: bool) -> JudgeBatch:
    """The whole batch turned by quarters, counter-clockwise, and mirrored left to right."""
    planes, shift, turn = batch.planes, batch.shift, batch.turn
    planes = torch.rot90(planes, quarters, (2, 3))
    for _ in range(quarters):
        shift = torch.stack([shift[:, 1], -shift[:, 0]], dim=1)
        turn = torch.stack([turn[:, 1], -turn[:, 0], turn[:, 2]], dim=1)
    if mirror:
        planes = planes.flip(3)
        shift = shift * torch.tensor([-1.0, 1.0])
        turn = turn * torch.tensor([1.0, -1.0, -1.0])
    return JudgeBatch(planes, batch.true, batch.same, shift, turn)


def harden(
    pictures: NDArray[np.uint8], inside: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float32]:
    """Spoil pictures as adapters do, without moving anything.

    Blotches of all sizes, little of them on the object; backgrounds of nothing but blotches, or of
    the object's own colour; the object's colours and contrast changed; blur; noise.

    Args:
        pictures: (B, 64, 64, 3), RGB.
        inside: (B, 64, 64), the target.
        random: draws it all.

    Returns:
        (B, 3, 64, 64) in [-1, 1].
    """
    planes = np.ascontiguousarray(np.moveaxis(pictures, -1, 1))
    spoilt = [_harden(*pair, random) for pair in zip(planes, inside, strict=True)]
    return np.stack(spoilt) * 2 - 1


def _harden(
    picture: NDArray[np.uint8], inside: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float32]:
    x = picture.astype(np.float32) / 255
    gain, offset = _uniform(random, 0.6, 1.3, 3), _uniform(random, -0.06, 0.06, 3)
    inner = x * gain + (offset + _uniform(random, -0.15, 0.15))
    shown = inside if inside.any() else np.ones_like(inside)
    own = inner[:, shown].mean(axis=1)[:, None, None]
    inner = own + (inner - own) * _uniform(random, 0.4, 1.1)
    inner += _blotches(random) * _uniform(random, 0.0, 0.1)
    strength = _uniform(random, 0.0, 0.2)
    if random.random() < 0.4:
        outer = _blotches(random) * (0.1 + strength) + _uniform(random, 0.0, 1.0, 3)
    else:
        outer = x + _blotches(random) * strength
    if random.random() < 0.3:
        outer += (own - outer.mean(axis=(1, 2), keepdims=True)) * _uniform(random, 0.3, 1.0)
    x = np.where(inside, inner, outer)
    if random.random() < 0.6:
        soft = np.stack([cv2.blur(plane, (3, 3)) for plane in x])
        x += (soft - x) * _uniform(random, 0.0, 1.0)
    x += random.standard_normal(x.shape, dtype=np.float32) * _uniform(random, 0.0, 0.06)
    return np.clip(x, 0, 1)


def _uniform(
    random: np.random.Generator, low: float, high: float, count: int = 1
) -> NDArray[np.float32]:
    """(count, 1, 1)."""
    return random.uniform(low, high, (count, 1, 1)).astype(np.float32)


def _blotches(random: np.random.Generator) -> NDArray[np.float32]:
    """(3, 64, 64), about unit variance, a mixture of sizes."""
    total = np.zeros((3, SIDE, SIDE), np.float32)
    for cells, weight in zip((4, 8, 16, 32), random.dirichlet(np.ones(4)) ** 0.5, strict=True):
        noise = random.standard_normal((3, cells, cells), dtype=np.float32)
        noise *= np.float32(1.4 * weight)
        total += np.stack([cv2.resize(plane, (SIDE, SIDE)) for plane in noise])
    return total


if __name__ == "__main__":
    main()
