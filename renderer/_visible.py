"""Where what is seen of a crop's target lies in the picture, before anything is rendered."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import Plans
from renderer._placing import Extents, board_under, measure

_GRID = 512
"""Squares across the picture of a partly hidden target: its box is found to half of one."""
_SUBPIXEL_BITS = 6


def visible_middles(plans: Plans, models: Sequence[CadModel]) -> NDArray[np.float64]:
    """(N, 2), the middle (x / z, y / z) of the 2-D box of what is seen of each target.

    What stands before it hides it; the picture's border does not, since it is not yet known. A
    target of which nothing is seen has the middle of its whole box.

    Args:
        plans: N crops whose poses are known, nothing intersecting anything (`place_around`).
        models: what `object_index` counts.
    """
    middles = np.empty((len(plans), 2))
    extents = measure(models)
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
    seen = _drawn((points - low) / step, target)
    others = plans.others
    for place in hiding:
        model = models[others.object_index[row, place]]
        there = _seen_from_camera(
            model, others.rotation[row, place], others.translation[row, place]
        )
        seen &= ~_drawn((there - low) / step, model)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    middle = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    return np.asarray(low + step * middle)


def _drawn(points: NDArray[np.float64], model: CadModel) -> NDArray[np.bool_]:
    """(G, G), the silhouette of a model whose (V, 2) vertices are at places of the grid."""
    canvas = np.zeros((_GRID, _GRID), np.uint8)
    # OpenCV counts from the first square's middle.
    fixed = np.rint((points - 0.5) * 2**_SUBPIXEL_BITS).astype(np.int64)
    near = np.clip(fixed, -(2**20), 2**20).astype(np.int32)
    corners = near[model.mesh.faces]
    inside = (corners.max(axis=1) >= 0) & (corners.min(axis=1) < _GRID << _SUBPIXEL_BITS)
    for corner in corners[inside.all(axis=1)]:
        cv2.fillConvexPoly(canvas, corner, 1, shift=_SUBPIXEL_BITS)
    return canvas.astype(bool)


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
    here = (plans.rotation @ extents.centre[first][..., None])[..., 0] + plans.translation
    there = (others.rotation @ extents.centre[second][..., None])[..., 0] + others.translation
    apart = np.linalg.norm(there - here[:, None], axis=2)
    balls = apart >= extents.radius[first][:, None] + extents.radius[second]
    up, _ = board_under(plans, models)
    nearer = []
    for centre, to_target, sizes in (
        (there, here, extents.radius),
        (_flat(there, up[:, None]), _flat(here, up), extents.footprint),
    ):
        of_target = (to_target**2).sum(axis=1) - sizes[first] ** 2
        of_others = (centre**2).sum(axis=2) - sizes[second] ** 2
        nearer.append(of_others < of_target[:, None])
    return np.asarray((others.object_index >= 0) & np.where(balls, nearer[0], nearer[1]))


def _flat(points: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points, seen from above."""
    return np.asarray(points - (points * up).sum(axis=-1, keepdims=True) * up)
