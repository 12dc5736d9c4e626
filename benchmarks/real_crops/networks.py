"""A residual network that regresses rotations, and the paper's tower, with one way to ask both."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapter import TaskTower

_MAPS, _STRIDES = (64, 128, 256, 512), (2, 2, 2, 1)


class ResidualNetwork(nn.Module):
    """ResNet-18 (He et al., CVPR 2016) for crops of 64 pixels: 11 million weights.

    Its four stages are 16, 8, 4 and 4 pixels a side: as many at the end as a crop of 128 pixels
    would have left.

    Args:
        classes: number of objects.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, _MAPS[0], 5, 2, 2, bias=False), nn.BatchNorm2d(_MAPS[0]), nn.ReLU()
        )
        blocks = []
        for inputs, outputs, stride in zip((_MAPS[0], *_MAPS), _MAPS, _STRIDES, strict=False):
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        self.stages = nn.Sequential(*blocks)
        self.head = nn.Linear(_MAPS[-1], classes)
        self.turn = nn.Linear(_MAPS[-1], 6)

    def features(self, x: Tensor) -> Tensor:
        """(N, 512) of (N, 3, 64, 64) crops in [-1, 1]."""
        maps: Tensor = self.stages(self.stem(x))
        return maps.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, classes) log-odds and (N, 3, 3) rotations of (N, 3, 64, 64) crops in [-1, 1]."""
        features = self.features(x)
        return self.head(features).float(), rotation_from_six(self.turn(features).float())


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(outputs)
        # The block begins as its shortcut alone.
        nn.init.zeros_(last.weight)
        self.inside = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), last,
        )  # fmt: skip
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return torch.relu(self.inside(x) + self.shortcut(x))


def rotation_from_six(six: Tensor) -> Tensor:
    """(N, 3, 3) rotations whose first two columns are (N, 6) made orthonormal (Zhou et al., "On the
    Continuity of Rotation Representations in Neural Networks", CVPR 2019)."""
    first = functional.normalize(six[:, :3], dim=1)
    second = six[:, 3:] - (first * six[:, 3:]).sum(dim=1, keepdim=True) * first
    second = functional.normalize(second, dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)


def rotation_from_quaternion(q: Tensor) -> Tensor:
    """(..., 3, 3) of unit quaternions (..., 4), w, x, y, z."""
    w, x, y, z = q.unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).view(*q.shape[:-1], 3, 3)


def chordal_distance(said: Tensor, quaternion: Tensor, symmetries: Tensor) -> Tensor:
    """(N,) Frobenius norms of what rotations differ by: 0 to 2.83, 2.83 sin of half the angle.

    Args:
        said: (N, 3, 3).
        quaternion: (N, 4), what is true.
        symmetries: (N, S, 4), of which the nearest counts.
    """
    true = rotation_from_quaternion(quaternion)[:, None] @ rotation_from_quaternion(symmetries)
    trace = (said[:, None] * true).sum(dim=(2, 3)).amax(dim=1)
    # The root is steep at 0.
    return torch.sqrt((6.0 - 2.0 * trace).clamp_min(0.0) + 1e-6)


def tower(classes: int, size: int, *, modern: bool) -> TaskTower:
    """The paper's task tower; the modern one has batch normalisation and no dropout."""
    dropout = 0.0 if modern else None
    return TaskTower(3, size, classes, "pose", batch_norm=modern, dropout=dropout)
