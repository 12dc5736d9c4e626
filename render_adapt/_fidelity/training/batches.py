"""Batches that the judge learns from: spoilt pictures, and labels that are true of them or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render_adapt._fidelity.training.harden import harden
from render_adapt._fidelity.training.pairs import Pairs

BATCH = 64


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
