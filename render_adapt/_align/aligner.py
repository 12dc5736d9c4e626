"""From crops to poses: the network, perspective-n-point, render and compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.batches import pictures
from render_adapt._align.evidence import Agreement, Evidence, joined_evidence, picture_edges
from render_adapt._align.network import CoordinateNetwork
from render_adapt._align.pnp import (
    FEWEST,
    INLIER,
    inlier_share,
    model_points,
    pixel_centres,
    pose_from_points,
)
from render_adapt._align.search import Poses, PoseSearch
from renderer import centre_points

_AT_ONCE = 64
_SEEN = 0.5
"""Probability of the mask from which on a pixel counts for the pose."""
_NEARER, _FARTHER = 0.5, 2.0
"""Of the distance at which a crop's window is measured: where its object may be."""
_LEAST_CHANCE = 1e-4
"""Of an object: the network is never surer than this."""

FEATURES = ("object", "inliers", "silhouette", "edges", "coordinates", "depth")
"""What a pose is trusted by: see `Aligner.features`."""


@dataclass(frozen=True)
class TargetView:
    """N crops as they are aligned."""

    rgb: NDArray[np.uint8]
    """(N, S, S, 3)."""
    depth: NDArray[np.float32] | None
    """(N, S, S), millimetres behind the crop's centre, NaN where nothing was measured; None where
    the crops have none."""
    camera_matrix: NDArray[np.float64]
    """(N, 3, 3), of a camera that looks straight at the crop's middle."""
    centre_depth: NDArray[np.float64]
    """(N,), millimetres: where the crop's window is measured."""
    numbers: NDArray[np.int64]
    """(N,), each crop's own."""

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> TargetView:
        return TargetView(
            self.rgb[rows], None if self.depth is None else self.depth[rows],
            self.camera_matrix[rows], self.centre_depth[rows], self.numbers[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Aligned:
    """Poses of N crops and what they are to be trusted by."""

    poses: Poses
    features: NDArray[np.float64]
    """(N, `FEATURES`)."""
    found: NDArray[np.bool_]
    """(N,), whether there is a pose at all."""


@dataclass(frozen=True)
class Seen:
    """What the network sees in N crops of S x S pixels, s = S / 2."""

    chances: NDArray[np.float64]
    """(N, C), of the objects."""
    mask: NDArray[np.float32]
    """(N, s, s), the probability that the object is seen."""
    coordinates: NDArray[np.float32]
    """(N, C, s, s, 3), 0 to 1."""


class Aligner:
    """Finds poses in crops.

    Args:
        network: a trained one, in evaluation mode.
        models: its objects.
        autocast: its arithmetic.
        device: where it is.
        size: pixels of the crops.
        threads: of the processor.
        seed: decides which poses are tried.
    """

    def __init__(
        self,
        network: CoordinateNetwork,
        models: Sequence[CadModel],
        autocast: torch.autocast,
        device: str,
        size: int,
        threads: int,
        seed: int,
    ) -> None:
        self.network, self.models, self.seed, self.size = network, models, seed, size
        self.search = PoseSearch(models, size, threads)
        self._autocast, self._device = autocast, device
        self._middles = centre_points(models, "box")
        self._reach = np.array([np.linalg.norm(np.ptp(m.bounds, axis=0)) / 2 for m in models])

    def align(self, view: TargetView, on_progress: Callable[[int], None] | None = None) -> Aligned:
        """Find what N crops show and how it lies.

        Args:
            view: the crops.
            on_progress: called with how many are done.
        """
        parts = []
        for first in range(0, len(view), _AT_ONCE):
            some = view[first : first + _AT_ONCE]
            seen = self.look(some)
            poses, found = self.first_poses(some, seen)
            parts.append(self.improved(some, seen, poses, found))
            if on_progress:
                on_progress(first + len(some))
        return joined(parts)

    def look(self, view: TargetView) -> Seen:
        """What the network sees."""
        with torch.inference_mode(), self._autocast:
            dense = self.network(pictures(view.rgb, self._device))
            coordinates = dense.coordinates.permute(0, 1, 3, 4, 2).clamp(0, 1)
        return Seen(
            torch.softmax(dense.classes, dim=1).double().cpu().numpy(),
            torch.sigmoid(dense.mask).cpu().numpy(),
            np.ascontiguousarray(coordinates.cpu().numpy()),
        )

    def first_poses(self, view: TargetView, seen: Seen) -> tuple[Poses, NDArray[np.bool_]]:
        """Poses of the likeliest objects by perspective-n-point, and which crops have one."""
        objects = seen.chances.argmax(axis=1)
        poses = self._upright(view, objects)
        found = np.zeros(len(view), np.bool_)
        for row, which in enumerate(objects):
            points, pixels = self._points(seen, row, int(which))
            pose = pose_from_points(points, pixels, view.camera_matrix[row], INLIER * self.size)
            if pose is not None and self._is_plausible(view, row, int(which), *pose):
                poses.rotation[row], poses.translation[row] = pose
                found[row] = True
        return poses, found

    def improved(
        self, view: TargetView, seen: Seen, poses: Poses, found: NDArray[np.bool_]
    ) -> Aligned:
        """The poses after render and compare, with what they are to be trusted by."""
        features = np.zeros((len(view), len(FEATURES)))
        rows = np.flatnonzero(found)
        if not len(rows):
            return Aligned(poses, features, found)
        evidence = self._seen_evidence(view, seen)[rows]
        better, agreed = self.search.improve(evidence, poses[rows], view.numbers[rows], self.seed)
        poses.rotation[rows], poses.translation[rows] = better.rotation, better.translation
        features[rows] = self.features(seen, poses, agreed, rows)
        return Aligned(poses, features, found)

    def judged(self, view: TargetView, poses: Poses, found: NDArray[np.bool_]) -> Aligned:
        """Poses as they are, with what they are to be trusted by."""
        parts = []
        for first in range(0, len(view), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            some, here, which = view[part], poses[part], found[part]
            seen, rows = self.look(some), np.flatnonzero(which)
            features = np.zeros((len(some), len(FEATURES)))
            if len(rows):
                agreed = self.search.compare(self._seen_evidence(some, seen)[rows], here[rows])
                features[rows] = self.features(seen, here, agreed, rows)
            parts.append(Aligned(here, features, which))
        return joined(parts)

    def evidence(self, view: TargetView) -> Evidence:
        """What speaks for poses in N crops."""
        parts = [view[first : first + _AT_ONCE] for first in range(0, len(view), _AT_ONCE)]
        return joined_evidence([self._seen_evidence(some, self.look(some)) for some in parts])

    def features(
        self, seen: Seen, poses: Poses, agreed: Agreement, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(R, `FEATURES`), what the poses of some crops are to be trusted by.

        The log-odds of the object; the share of the network's points that the pose puts where they
        are seen; agreement of silhouette and edges; how far the network's points are from the
        pose's own, of the object's diameter; agreement of depth.

        Args:
            seen: in N crops.
            poses: of all of them.
            agreed: of those in `rows`.
            rows: (R,).
        """
        chance = np.clip(
            seen.chances[rows, poses.object_index[rows]], _LEAST_CHANCE, 1 - _LEAST_CHANCE
        )
        inliers, apart = np.empty(len(rows)), np.empty(len(rows))
        drawn = self.search.draw(poses[rows])
        assert drawn.object_coordinates is not None
        for place, row in enumerate(rows):
            which = int(poses.object_index[row])
            points, pixels = self._points(seen, int(row), which)
            inliers[place] = inlier_share(
                points, pixels, poses.camera_matrix[row], poses.rotation[row],
                poses.translation[row], INLIER * self.size,
            )  # fmt: skip
            apart[place] = self._apart(
                which, points, pixels, drawn.object_coordinates[place], drawn.mask[place]
            )
        return np.stack(
            [
                np.log(chance / (1 - chance)), inliers, agreed.silhouette, agreed.edges, apart,
                agreed.depth,
            ],
            axis=1,
        )  # fmt: skip

    def _seen_evidence(self, view: TargetView, seen: Seen) -> Evidence:
        size = (self.size, self.size)
        mask = [cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in seen.mask]
        return Evidence(np.stack(mask), picture_edges(view.rgb), view.depth)

    def _points(
        self, seen: Seen, row: int, which: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(P, 3) points of an object where the network sees it, and the (P, 2) pixels that they
        are seen at, of the crop."""
        inside = seen.mask[row] > _SEEN
        points = model_points(seen.coordinates[row, which][inside], self.models[which].bounds)
        return points, 2.0 * pixel_centres(len(inside))[inside]

    def _apart(
        self,
        which: int,
        points: NDArray[np.float64],
        pixels: NDArray[np.float64],
        drawn: NDArray[np.float32],
        mask: NDArray[np.bool_],
    ) -> float:
        """Of the object's diameter, 1 at most: the middle of how far points are from those that a
        pose shows at their pixels; 1 where it shows none."""
        column, row = pixels.astype(np.int64).T
        there = mask[row, column]
        if there.sum() < FEWEST:
            return 1.0
        model = self.models[which]
        own = model_points(drawn[row[there], column[there]], model.bounds)
        off = np.linalg.norm(points[there] - own, axis=1)
        return float(min(np.median(off) / model.diameter, 1.0))

    def _upright(self, view: TargetView, objects: NDArray[np.int64]) -> Poses:
        """The objects in the crops' middles, not turned: what stands for a pose where none is."""
        rotation = np.tile(np.eye(3), (len(view), 1, 1))
        translation = -self._middles[objects]
        translation[:, 2] += view.centre_depth
        return Poses(objects.astype(np.int64), rotation, translation, view.camera_matrix.copy())

    def _is_plausible(
        self,
        view: TargetView,
        row: int,
        which: int,
        rotation: NDArray[np.float64],
        translation: NDArray[np.float64],
    ) -> bool:
        """Whether an object is about where its crop was cut."""
        middle = rotation @ self._middles[which] + translation
        depth = view.centre_depth[row]
        least = max(_NEARER * depth, 1.2 * self._reach[which] + 20)
        if not least < middle[2] < _FARTHER * depth:
            return False
        seen = view.camera_matrix[row] @ middle
        return bool((np.abs(seen[:2] / seen[2] - self.size / 2) < self.size / 2).all())


def nominal_cameras(
    centre_depth: NDArray[np.float64], window: float, size: int
) -> NDArray[np.float64]:
    """(N, 3, 3), of cameras that look straight at the middle of their crops."""
    cameras = np.zeros((len(centre_depth), 3, 3))
    cameras[:, 0, 0] = cameras[:, 1, 1] = size * centre_depth / window
    cameras[:, :2, 2] = size / 2
    cameras[:, 2, 2] = 1.0
    return cameras


def joined(parts: Sequence[Aligned]) -> Aligned:
    """One after the other."""
    names = vars(parts[0].poses)
    return Aligned(
        Poses(*(np.concatenate([vars(one.poses)[name] for one in parts]) for name in names)),
        np.concatenate([one.features for one in parts]),
        np.concatenate([one.found for one in parts]),
    )
