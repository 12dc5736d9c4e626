"""Render and compare: among many poses near one, that which agrees best with what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.evidence import Agreement, Evidence, agreement
from renderer import (
    CropBatch,
    Instances,
    Plans,
    RasterRenderer,
    Surfaces,
    centre_points,
    rotation_about,
)

_STREAM = 43
_POSES_AT_ONCE = 512
"""In memory: 160 kB each at 64 pixels."""


@dataclass(frozen=True)
class Round:
    """How many poses are tried around the best so far, and how far from it: standard deviations."""

    poses: int
    degrees: float
    """Of the turn, over all axes together."""
    shift: float
    """Of a crop's side, across and down."""
    distance: float
    """Of its own."""


ROUNDS = (
    Round(40, 10.0, 0.020, 0.016),
    Round(30, 7.0, 0.014, 0.011),
    Round(30, 4.5, 0.009, 0.007),
    Round(30, 3.0, 0.006, 0.005),
    Round(30, 2.0, 0.004, 0.003),
    Round(20, 1.2, 0.0025, 0.0025),
    Round(20, 0.8, 0.0018, 0.0015),
)


@dataclass(frozen=True)
class Poses:
    """Where N objects are.

    Convention:
        As for `renderer.Plans`.
    """

    object_index: NDArray[np.int64]
    """(N,), position among the objects."""
    rotation: NDArray[np.float64]
    """(N, 3, 3)."""
    translation: NDArray[np.float64]
    """(N, 3), millimetres."""
    camera_matrix: NDArray[np.float64]
    """(N, 3, 3), each crop's."""

    def __len__(self) -> int:
        return len(self.object_index)

    def __getitem__(self, rows: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Poses:
        """Those of some crops."""
        return Poses(
            self.object_index[rows], self.rotation[rows], self.translation[rows],
            self.camera_matrix[rows],
        )  # fmt: skip


class PoseSearch:
    """Draws poses, and finds better ones.

    Args:
        models: what `Poses.object_index` counts.
        size: pixels of the crops.
        threads: of the processor; the result does not depend on it.
        levels: as for `RasterRenderer`.
    """

    def __init__(
        self, models: Sequence[CadModel], size: int, threads: int, levels: bool = True
    ) -> None:
        self.renderer = RasterRenderer(models, threads, levels=levels)
        self._middles = centre_points(models, "box")
        self._size = size

    def plans(self, poses: Poses) -> Plans:
        """Poses as the renderer takes them, each object alone in its crop."""
        count = len(poses)
        return Plans(
            index=np.arange(count),
            object_index=poses.object_index.astype(np.int32),
            rotation=poses.rotation,
            translation=poses.translation,
            others=Instances.none(count),
            camera_matrix=poses.camera_matrix,
            centre_depth=self._centres(poses)[:, 2],
            light_direction=np.tile(np.array([0, 0, -1], np.float32), (count, 1, 1)),
            light_color=np.full((count, 1, 3), 0.6, np.float32),
            ambient_color=np.full((count, 3), 0.4, np.float32),
            surfaces=Surfaces.plain(count),
            width=self._size,
            height=self._size,
        )

    def draw(self, poses: Poses) -> CropBatch:
        """The objects in these poses, with surface maps."""
        return self.renderer.render(self.plans(poses), surface_maps=True)

    def compare(self, evidence: Evidence, poses: Poses) -> Agreement:
        """How well N x K poses agree with what is seen in N crops, K for each in turn."""
        return agreement(evidence, self.draw(poses), self._centres(poses)[:, 2])

    def improve(
        self,
        evidence: Evidence,
        poses: Poses,
        numbers: NDArray[np.int64],
        seed: int,
        rounds: Sequence[Round] = ROUNDS,
    ) -> tuple[Poses, Agreement]:
        """Better poses than those given, or the same: none agrees less.

        Args:
            evidence: of N crops.
            poses: N.
            numbers: (N,), each crop's: what is tried for it depends on this, not on its company.
            seed: decides what is tried.
            rounds: how far around; each begins at the best of the one before.

        Returns:
            N poses, and how well they agree.
        """
        at_once = max(1, _POSES_AT_ONCE // (1 + max(one.poses for one in rounds)))
        parts = [
            self._improve(evidence[some], poses[some], numbers[some], seed, rounds)
            for some in (slice(k, k + at_once) for k in range(0, len(poses), at_once))
        ]
        found, agreed = zip(*parts, strict=True)
        return _joined_poses(found), Agreement(
            *(np.concatenate([vars(one)[name] for one in agreed]) for name in vars(agreed[0]))
        )

    def _improve(
        self,
        evidence: Evidence,
        poses: Poses,
        numbers: NDArray[np.int64],
        seed: int,
        rounds: Sequence[Round],
    ) -> tuple[Poses, Agreement]:
        count = len(poses)
        best = self.compare(evidence, poses)
        for place, one in enumerate(rounds):
            draws = np.stack(
                [
                    np.random.default_rng([seed, int(number), _STREAM, place]).standard_normal(
                        (one.poses, 6)
                    )
                    for number in numbers
                ]
            )
            tried = self._around(poses, one, draws)
            agreed = self.compare(evidence, tried)
            chosen = np.arange(count) * one.poses + agreed.total.reshape(count, -1).argmax(axis=1)
            better = agreed.total[chosen] > best.total
            poses = _either(better, tried[chosen], poses)
            best = Agreement(
                *(np.where(better, vars(agreed)[k][chosen], vars(best)[k]) for k in vars(best))
            )
        return poses, best

    def _around(self, poses: Poses, one: Round, draws: NDArray[np.float64]) -> Poses:
        """(N x K) poses that differ from N by (N, K, 6) standard normal numbers."""
        count, tried = draws.shape[:2]
        rows = np.repeat(np.arange(count), tried)
        old, draws = poses[rows], draws.reshape(-1, 6)
        angle = np.linalg.norm(draws[:, :3], axis=1)
        turn = rotation_about(draws[:, :3], np.radians(one.degrees) / np.sqrt(3) * angle)
        rotation = turn @ old.rotation
        middle = self._centres(old)
        focal = old.camera_matrix[:, [0, 1], [0, 1]]
        moved = middle * (1 + one.distance * draws[:, 5:])
        moved[:, :2] += one.shift * self._size * draws[:, 3:5] / focal * moved[:, 2:]
        shift = (rotation @ self._middles[old.object_index][:, :, None])[:, :, 0]
        return Poses(old.object_index, rotation, moved - shift, old.camera_matrix)

    def _centres(self, poses: Poses) -> NDArray[np.float64]:
        """(N, 3), where the middles of the objects' boxes are in the camera's frame."""
        middles = self._middles[poses.object_index][:, :, None]
        return np.asarray((poses.rotation @ middles)[:, :, 0] + poses.translation)


def _either(where: NDArray[np.bool_], first: Poses, second: Poses) -> Poses:
    return Poses(
        second.object_index,
        np.where(where[:, None, None], first.rotation, second.rotation),
        np.where(where[:, None], first.translation, second.translation),
        second.camera_matrix,
    )


def _joined_poses(parts: Sequence[Poses]) -> Poses:
    return Poses(*(np.concatenate([vars(one)[name] for one in parts]) for name in vars(parts[0])))
