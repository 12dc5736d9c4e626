"""The estimators: each has a loss to learn by, and says what it sees in crops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adapter.losses import task_loss
from benchmarks.real_crops.figures import Estimates
from benchmarks.real_crops.networks import ResidualNetwork, chordal_distance, tower
from cad_models import CadModel
from render_adapt._align.aligner import Aligner, TargetView, nominal_cameras
from render_adapt._align.batches import pictures
from render_adapt._align.network import CoordinateNetwork, DenseLabels, dense_losses
from render_adapt._paper.scenarios.linemod_crops import SIZE, WINDOW
from renderer import matrix_from_quaternion, symmetry_quaternions

DISTANCE = 880.0
"""Millimetres: LINEMOD's, about; how far real crops are taken to be."""
_AT_ONCE = 128
_CLASS_WEIGHT = 0.3


@dataclass(frozen=True)
class Labels:
    """What is true of N crops."""

    dense: DenseLabels
    quaternion: Tensor
    """(N, 4)."""


@dataclass(frozen=True)
class Task:
    """What an estimator is made for."""

    models: Sequence[CadModel]
    arithmetic: torch.autocast
    device: str
    threads: int


class Estimator(ABC):
    """A network and what it is for.

    Args:
        network: a fresh one.
        task: what it is made for.
    """

    def __init__(self, network: nn.Module, task: Task) -> None:
        self.network = network.to(task.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.task = task
        symmetries = symmetry_quaternions(task.models).astype(np.float32)
        self.symmetries = torch.from_numpy(symmetries).to(task.device)

    def parameters(self) -> list[nn.Parameter]:
        """What is learnt."""
        return [one for one in self.network.parameters() if one.requires_grad]

    @abstractmethod
    def losses(self, x: Tensor, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        """What is to be made small of (N, 3, S, S) crops in [-1, 1], and its parts."""

    @abstractmethod
    def look(self, rgb: NDArray[np.uint8]) -> Estimates:
        """What (N, S, S, 3) crops show; `network` in evaluation mode."""

    def estimate(self, rgb: NDArray[np.uint8]) -> Estimates:
        """What (N, S, S, 3) crops show, in parts that fit into memory."""
        self.network.eval()
        parts = [
            vars(self.look(rgb[first : first + _AT_ONCE])) for first in range(0, len(rgb), _AT_ONCE)
        ]
        return Estimates(
            **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        )


class Dense(Estimator):
    """Object coordinates and a mask, then perspective-n-point with inliers: as `render-adapt align`
    has it, without render and compare."""

    def __init__(self, task: Task) -> None:
        network = CoordinateNetwork(len(task.models), SIZE)
        super().__init__(network, task)
        self.aligner = Aligner(
            network, task.models, task.arithmetic, task.device, SIZE, task.threads, 0
        )

    def losses(self, x: Tensor, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        with self.task.arithmetic:
            found = self.network(x)
        return dense_losses(found, labels.dense)

    def look(self, rgb: NDArray[np.uint8]) -> Estimates:
        distance = np.full(len(rgb), DISTANCE)
        cameras = nominal_cameras(distance, WINDOW, SIZE)
        view = TargetView(rgb, None, cameras, distance, np.arange(len(rgb)))
        poses, found = self.aligner.first_poses(view, self.aligner.look(view))
        return Estimates(poses.object_index, poses.rotation, found)


class Residual(Estimator):
    """`ResidualNetwork`: cross-entropy, and the chordal distance of rotations."""

    def __init__(self, task: Task) -> None:
        super().__init__(ResidualNetwork(len(task.models)), task)

    def losses(self, x: Tensor, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        with self.task.arithmetic:
            logits, rotation = self.network(x)
        classes = labels.dense.classes
        parts = {
            "class": functional.cross_entropy(logits, classes),
            "turn": chordal_distance(rotation, labels.quaternion, self.symmetries[classes]).mean(),
        }
        return _CLASS_WEIGHT * parts["class"] + parts["turn"], parts

    def look(self, rgb: NDArray[np.uint8]) -> Estimates:
        with torch.inference_mode(), self.task.arithmetic:
            logits, rotation = self.network(pictures(rgb, self.task.device))
        which = logits.argmax(dim=1).cpu().numpy()
        return Estimates(which, rotation.double().cpu().numpy(), np.ones(len(rgb), np.bool_))


class Tower(Estimator):
    """The paper's task tower or the modern one, by the paper's loss.

    Args:
        task: what it is made for.
        modern: which; the pose's loss has weight 1 then, 0.2 else.
    """

    def __init__(self, task: Task, *, modern: bool) -> None:
        network = tower(len(task.models), SIZE, modern=modern)
        network.private[1].requires_grad_(False)  # all crops take path 0
        super().__init__(network, task)
        self._pose_weight = 1.0 if modern else 0.2

    def losses(self, x: Tensor, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        with self.task.arithmetic:
            logits, said = self.network(x, 0)
        classes = labels.dense.classes
        loss = task_loss(
            logits, said.float(), classes, labels.quaternion, pose_weight=self._pose_weight,
            symmetries=self.symmetries[classes],
        )  # fmt: skip
        return loss, {"task": loss}

    def look(self, rgb: NDArray[np.uint8]) -> Estimates:
        with torch.inference_mode(), self.task.arithmetic:
            logits, said = self.network(pictures(rgb, self.task.device), 0)
        rotation = matrix_from_quaternion(functional.normalize(said.double()).cpu().numpy())
        which = logits.argmax(dim=1).cpu().numpy()
        return Estimates(which, rotation, np.ones(len(rgb), np.bool_))


@dataclass(frozen=True)
class Recipe:
    """How an estimator is trained; the same on every set."""

    says: str
    steps: int
    learning_rate: float
    batch: int = 64


RECIPES = {
    "dense": Recipe("dense coordinates, mask and PnP", 4000, 2e-3),
    "resnet": Recipe("ResNet-18 for 64 pixels, 6-D rotation", 5000, 1e-3),
    "modern": Recipe("the paper's tower with batch normalisation, no dropout", 5000, 1e-3),
    "paper": Recipe("the paper's tower", 5000, 1e-3),
}


def make_estimator(name: str, task: Task) -> Estimator:
    """A fresh one of `RECIPES`."""
    if name == "dense":
        return Dense(task)
    if name == "resnet":
        return Residual(task)
    return Tower(task, modern=name == "modern")
