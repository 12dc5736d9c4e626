"""The order in which crops are gone through, and batches of them as tensors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapter._settings.pixelda import LabelledCrops


@dataclass(frozen=True)
class LabelledBatch:
    """N crops with their labels, as `LabelledCrops` has them."""

    x: Tensor  # (N, C, H, W)
    mask: Tensor  # (N, H, W)
    class_index: Tensor  # (N,)
    quaternion: Tensor  # (N, 4)
    pose_weight: Tensor  # (N,)
    symmetries: Tensor | None  # (N, S, 4), each crop's own object's

    def __len__(self) -> int:
        return len(self.x)

    def first_half_twice(self) -> LabelledBatch:
        """The first N / 2 crops, and the same once more."""
        half = len(self) // 2
        twice = {k: torch.cat([v[:half]] * 2) for k, v in vars(self).items() if v is not None}
        return dataclasses.replace(self, **twice)


class Rows:
    """Which crops belong to a batch: a pure function of (seed, stream, draw).

    The crops are gone through in a new order each time round.

    Args:
        n: number of crops.
        batch: crops in each batch.
        seed, stream: of the orders; different streams go different ways.
    """

    def __init__(self, n: int, batch: int, seed: int, stream: int) -> None:
        self.n, self.batch, self.seed, self.stream = n, batch, seed, stream
        self._orders: dict[int, NDArray[np.int64]] = {}

    def draw(self, draw: int) -> NDArray[np.int64]:
        """(batch,) positions of the crops of batch number `draw`."""
        position = draw * self.batch + np.arange(self.batch)
        rounds, place = np.divmod(position, self.n)
        rows = np.empty(self.batch, dtype=np.int64)
        for round_number in np.unique(rounds):
            in_round = rounds == round_number
            rows[in_round] = self._order(int(round_number))[place[in_round]]
        return rows

    def _order(self, round_number: int) -> NDArray[np.int64]:
        if round_number not in self._orders:
            # A batch may span several rounds where there are fewer crops than it takes.
            recent = {k: v for k, v in self._orders.items() if k >= round_number - 1}
            random = np.random.default_rng([self.seed, round_number, self.stream])
            self._orders = recent | {round_number: random.permutation(self.n)}
        return self._orders[round_number]


class LabelledBatches:
    """Batches of labelled crops on a device, in the order that `Rows` gives."""

    def __init__(
        self, crops: LabelledCrops, batch: int, seed: int, stream: int, device: str
    ) -> None:
        self.crops, self.device = crops, device
        self.rows = Rows(len(crops), batch, seed, stream)

    def draw(self, draw: int) -> LabelledBatch:
        """Batch number `draw`."""
        return labelled_batch(self.crops, self.rows.draw(draw), self.device)


def labelled_batch(crops: LabelledCrops, rows: NDArray[Any], device: str) -> LabelledBatch:
    """The crops at `rows`, as float32 tensors on `device`."""
    classes = crops.class_index[rows]
    weight = np.ones(len(rows)) if crops.pose_weight is None else crops.pose_weight[rows]
    symmetries = None if crops.symmetries is None else crops.symmetries[classes]
    return LabelledBatch(
        x=image_tensor(crops.images[rows], device),
        mask=torch.from_numpy(crops.masks[rows]).to(device),
        class_index=torch.from_numpy(classes.astype(np.int64)).to(device),
        quaternion=image_tensor(crops.quaternion[rows], device),
        pose_weight=image_tensor(weight, device),
        symmetries=None if symmetries is None else image_tensor(symmetries, device),
    )


def image_tensor(array: NDArray[Any], device: str) -> Tensor:
    """The array as a float32 tensor on `device`."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)


def seed_of(seed: int, index: int, stream: int) -> int:
    """A seed for torch from the three numbers that a random stream has."""
    state = np.random.SeedSequence([seed, index, stream]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
