"""The dense coordinate network: what a crop shows, where, and which point of it at every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

HALVINGS = 4
"""A crop's size is a multiple of 2 to this power."""
_MAPS = (32, 64, 128, 256)
_CLASS_WEIGHT, _COORDINATES_WEIGHT = 0.3, 4.0


@dataclass(frozen=True)
class Dense:
    """What the network says of N crops of S x S pixels, at s = S / 2 pixels a side."""

    classes: Tensor
    """(N, C), log-odds of the objects, up to a constant."""
    mask: Tensor
    """(N, s, s), log-odds that the object is seen there."""
    coordinates: Tensor
    """(N, C, 3, s, s), of each object, 0 to 1 along x, y and z of its bounding box (as
    `CropBatch.object_coordinates`), where it is seen."""


@dataclass(frozen=True)
class DenseLabels:
    """What is true of N crops."""

    classes: Tensor
    """(N,), positions among the objects."""
    mask: Tensor
    """(N, s, s), bool, where the object is seen."""
    coordinates: Tensor
    """(N, 3, s, s), 0 to 1; anything off the mask."""


class CoordinateNetwork(nn.Module):
    """A U-Net whose bottom sees the whole crop: 2 million weights in convolutions.

    As Zakharov et al. (DPOD, ICCV 2019) and Wang et al. (NOCS, CVPR 2019), small: renders teach it
    a pose far sooner than they teach one that regresses rotations.

    Args:
        classes: number of objects.
        size: pixels of the crops, a multiple of 16.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.classes = classes
        bottom = _MAPS[-1] * (size // 2**HALVINGS) ** 2
        self.stem = _convolution(3, _MAPS[0], 5, 2)
        self.down = nn.ModuleList(
            nn.Sequential(
                _convolution(inputs, outputs, 3, 1 if inputs == outputs else 2),
                _convolution(outputs, outputs, 3, 1),
            )
            for inputs, outputs in zip((_MAPS[0], *_MAPS), _MAPS, strict=False)
        )
        self.whole = nn.Linear(bottom, 256)
        self.head = nn.Linear(256, classes)
        self.back = nn.Linear(256, bottom)
        self.up = nn.ModuleList(
            _convolution(inputs + outputs, outputs, 3, 1)
            for inputs, outputs in zip(_MAPS[:0:-1], _MAPS[-2::-1], strict=True)
        )
        self.out = nn.Conv2d(_MAPS[0], 1 + 3 * classes, 1)

    def forward(self, x: Tensor) -> Dense:
        """Look at (N, 3, S, S) crops in [-1, 1]."""
        x = self.stem(x)
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        whole = torch.relu(self.whole(x.flatten(1)))
        x = x + torch.relu(self.back(whole)).view(x.shape)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1))
        x = self.out(x).float()
        coordinates = x[:, 1:].reshape(len(x), self.classes, 3, *x.shape[2:])
        return Dense(self.head(whole).float(), x[:, 0], coordinates)


def dense_losses(found: Dense, true: DenseLabels) -> tuple[Tensor, dict[str, Tensor]]:
    """What is to be made small, and its parts: cross-entropy of the object, binary cross-entropy
    of its mask, and the mean error of its own coordinates where it is seen (L1)."""
    rows = torch.arange(len(true.classes), device=true.classes.device)
    seen = true.mask.float()
    off = (found.coordinates[rows, true.classes] - true.coordinates).abs().sum(dim=1)
    parts = {
        "class": functional.cross_entropy(found.classes, true.classes),
        "mask": functional.binary_cross_entropy_with_logits(found.mask, seen),
        "coordinates": (off * seen).sum() / (3 * seen.sum()).clamp(min=1.0),
    }
    weighted = _CLASS_WEIGHT * parts["class"] + parts["mask"]
    return weighted + _COORDINATES_WEIGHT * parts["coordinates"], parts


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
