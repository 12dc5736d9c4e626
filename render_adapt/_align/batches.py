"""Batches of renders, changed a little each time that they are seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from adapter._batches import Rows, seed_of
from render_adapt._align.network import DenseLabels
from render_adapt._align.source import DenseCrops

_ORDER, _CHANGES = 40, 41
"""Streams of random numbers."""
_GAIN, _OFFSET, _NOISE = 0.3, 0.25, 0.04
"""Each colour times 1 up to so much more or less, plus up to so much of [-1, 1]; the greatest
standard deviation of the noise, which is drawn for each crop."""


class Batches:
    """Batch number k, a function of the crops, the seed and k.

    Args:
        crops: the renders; on a GPU they are copied there, 16 kB each at 64 pixels.
        batch: crops in each.
        seed: of the order and of the changes.
        device: cpu or cuda.
    """

    def __init__(self, crops: DenseCrops, batch: int, seed: int, device: str) -> None:
        self._rows, self._seed, self._device = Rows(len(crops), batch, seed, _ORDER), seed, device
        self._rgb = torch.from_numpy(crops.rgb).to(device)
        self._classes = torch.from_numpy(crops.object_index).to(device)
        self._mask = torch.from_numpy(crops.mask).to(device)
        self._coordinates = torch.from_numpy(crops.coordinates).to(device)

    def draw(self, number: int) -> tuple[Tensor, DenseLabels]:
        """(B, 3, S, S) crops in about [-1, 1], channels last in memory, with their labels."""
        rows = torch.from_numpy(self._rows.draw(number)).to(self._device)
        random = torch.Generator(self._device).manual_seed(seed_of(self._seed, number, _CHANGES))
        colors = self._rgb[rows].permute(0, 3, 1, 2)
        coordinates = self._coordinates[rows].permute(0, 3, 1, 2).float().div_(255.0)
        return _changed(colors, random), DenseLabels(
            self._classes[rows], self._mask[rows], coordinates
        )


class MixedBatches:
    """Batch number k of several sets of crops, as many of each as of the others.

    Args:
        parts: the sets.
        batch: crops in each batch, of all sets together.
        seed, device: as for `Batches`.
    """

    def __init__(self, parts: Sequence[DenseCrops], batch: int, seed: int, device: str) -> None:
        ends = [batch * (k + 1) // len(parts) for k in range(len(parts))]
        self._parts = [
            Batches(crops, end - start, seed, device)
            for crops, start, end in zip(parts, [0, *ends], ends, strict=False)
        ]

    def draw(self, number: int) -> tuple[Tensor, DenseLabels]:
        """As `Batches.draw`, the sets one after the other."""
        drawn = [part.draw(number) for part in self._parts]
        if len(drawn) == 1:
            return drawn[0]
        labels = [vars(labels) for _, labels in drawn]
        joined = {name: torch.cat([one[name] for one in labels]) for name in labels[0]}
        return torch.cat([x for x, _ in drawn]), DenseLabels(**joined)


def pictures(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], device: str) -> Tensor:
    """(N, 3, S, S) in [-1, 1] of (N, S, S, 3), as they are."""
    colors = torch.from_numpy(np.ascontiguousarray(rgb)).to(device).permute(0, 3, 1, 2)
    return colors.float().div_(127.5).sub_(1.0)


def _changed(colors: Tensor, random: torch.Generator) -> Tensor:
    count, device = len(colors), colors.device
    draws = torch.rand(count, 7, 1, 1, generator=random, device=device)
    gain = 1 + _GAIN * (2 * draws[:, :3] - 1)
    offset = _OFFSET * (2 * draws[:, 3:6] - 1)
    # One pass over the batch: to [-1, 1], gain and offset at once.
    x = colors.float().mul_(gain / 127.5).add_(offset - gain)
    noise = torch.randn((count, *colors.shape[2:], 3), generator=random, device=device).permute(
        0, 3, 1, 2
    )
    return x.addcmul_(noise, _NOISE * draws[:, 6:])
