"""Where what is seen of a crop's target lies in the picture, before anything is rendered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import Plans
from renderer._plans.cutting import target_points
from renderer._plans.placing import Extents, board_under, measure_extents

_GRID = 256
"""Squares across the picture of a partly hidden target: its box is found to half of one."""


def visible_middles(plans: Plans, models: Sequence[CadModel]) -> NDArray[np.float64]:
    """(N, 2), the middle (x / z, y / z) of the 2-D box of what is seen of each target.

    What stands before it hides it; the picture's border does not, since it is not yet known. A
    target of which nothing is seen has the middle of its whole box.

    Args:
        plans: N crops whose poses are known, nothing intersecting anything (`place_around`).
        models: what `object_index` counts.
    """
    middles = np.empty((len(plans), 2))
    extents = measure_extents(models)
    before = _stands_before(plans, models, extents)
    for row in range(len(plans)):
        points = _seen_from_camera(
            models[plans.object_index[row]], plans.rotation[row], plans.translation[row]
        )
        low, high = points.min(axis=0), points.max(axis=0)
        middles[row] = (low + high) / 2
        hiding = np.flatnonzero(before[row])
        if len(hiding):
            box = _partly_hidden(plans, models, row, hiding, points, (low, high))
            middles[row] = middles[row] if box is None else box
    return middles


def _seen_from_camera(
    model: CadModel, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(V, 2), x / z and y / z of the vertices."""
    points = model.mesh.vertices.astype(np.float64) @ rotation.T + translation
    return np.asarray(points[:, :2] / points[:, 2:])


def _partly_hidden(
    plans: Plans,
    models: Sequence[CadModel],
    row: int,
    hiding: NDArray[np.int64],
    points: NDArray[np.float64],
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64] | None:
    """(2,), the middle of what is left of a target; None where nothing is."""
    low, high = box
    step = float((high - low).max()) / _GRID
    if step <= 0:
        return None
    target = models[plans.object_index[row]]
    visible = _drawn((points - low) / step, target)
    others = plans.others
    for place in hiding:
        model = models[others.object_index[row, place]]
        in_view = _seen_from_camera(
            model, others.rotation[row, place], others.translation[row, place]
        )
        visible &= ~_drawn((in_view - low) / step, model)
    rows, columns = (np.flatnonzero(visible.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    middle = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    return np.asarray(low + step * middle)


def _drawn(points: NDArray[np.float64], model: CadModel) -> NDArray[np.bool_]:
    """(G, G), whose middles a model covers, its (V, 2) vertices given as places of the grid."""
    # From the first square's middle on, middles are whole numbers.
    corners = (points - 0.5)[model.mesh.faces]  # (F, 3, 2)
    low, high = _least(corners), _greatest(corners)
    first = np.ceil(np.clip(low[:, 1], 0, _GRID)).astype(np.int64)
    last = np.floor(np.clip(high[:, 1], -1, _GRID - 1)).astype(np.int64)
    outside = (high[:, 0] < 0) | (low[:, 0] > _GRID - 1)
    rows = np.where(outside, 0, np.maximum(last - first + 1, 0))
    face = np.repeat(np.arange(len(corners)), rows)
    row = first[face] + np.arange(len(face)) - (np.cumsum(rows) - rows)[face]
    left, right = _between_edges(corners[face], row)
    start = np.ceil(np.clip(left, 0, _GRID)).astype(np.int64)
    end = np.floor(np.clip(right, -1, _GRID - 1)).astype(np.int64) + 1
    row, start, end = (values[start < end] for values in (row, start, end))
    size, width = _GRID * (_GRID + 1), _GRID + 1
    opened = np.bincount(row * width + start, minlength=size)
    closed = np.bincount(row * width + end, minlength=size)
    covered = np.cumsum((opened - closed).reshape(_GRID, width), axis=1)
    return np.asarray(covered[:, :_GRID] > 0)


def _least(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, 2) of (F, 3, 2); numpy's own takes five times as long over so short an axis."""
    return np.minimum(np.minimum(corners[:, 0], corners[:, 1]), corners[:, 2])


def _greatest(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(np.maximum(corners[:, 0], corners[:, 1]), corners[:, 2])


def _between_edges(
    corners: NDArray[np.float64], row: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(S,) twice, from where to where (S, 3, 2) triangles reach in (S,) rows."""
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for start_corner, end_corner in ((0, 1), (1, 2), (2, 0)):
        x, y = corners[:, start_corner].T
        across, down = (corners[:, end_corner] - corners[:, start_corner]).T
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (row - y) / down
        crosses = (share >= 0) & (share <= 1)
        at = x + np.where(crosses, share, 0.0) * across
        left = np.where(crosses, np.minimum(left, at), left)
        right = np.where(crosses, np.maximum(right, at), right)
    return left, right


def _stands_before(plans: Plans, models: Sequence[CadModel], extents: Extents) -> NDArray[np.bool_]:
    """(N, K), whether others stand between the camera and the target.

    Of two balls apart, or of two cylinders upright on one board, the one is before the other that
    has the lesser power with respect to the camera: the camera is on its side of the plane (of
    equal power) that parts them.
    """
    others = plans.others
    if others.object_index.shape[1] == 0:
        return np.zeros(others.object_index.shape, bool)
    first = plans.object_index.astype(np.int64)
    second = np.maximum(others.object_index, 0).astype(np.int64)
    target_centre = target_points(plans, models, "box")
    other_centres = (others.rotation @ extents.centre[second][..., None])[
        ..., 0
    ] + others.translation
    distances = np.linalg.norm(other_centres - target_centre[:, None], axis=2)
    balls = distances >= extents.radius[first][:, None] + extents.radius[second]
    up, _ = board_under(plans, models)
    nearer = []
    for centre, to_target, sizes in (
        (other_centres, target_centre, extents.radius),
        (_flat(other_centres, up[:, None]), _flat(target_centre, up), extents.footprint),
    ):
        of_target = (to_target**2).sum(axis=1) - sizes[first] ** 2
        of_others = (centre**2).sum(axis=2) - sizes[second] ** 2
        nearer.append(of_others < of_target[:, None])
    return np.asarray((others.object_index >= 0) & np.where(balls, nearer[0], nearer[1]))


def _flat(points: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points, seen from above."""
    return np.asarray(points - (points * up).sum(axis=-1, keepdims=True) * up)
