"""Polygons into triangles, concave ones too, and strips of triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models._mesh.checked import MAX_FACES, too_many
from cad_models._model import ModelError

_MOST_CLIPPING = 5_000_000
"""Sum of the squares of the corner counts of polygons of which no corner sees all others."""

_MOST_STARTS = 64
"""Corners of a polygon that are tried."""


def triangulated(
    vertices: NDArray[np.float64],
    counts: NDArray[np.int64],
    corners: NDArray[np.int64],
    subject: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles of polygons.

    Args:
        vertices: (V, 3).
        counts: (P,), how many corners each polygon has; those with fewer than 3 give no triangle.
        corners: (sum of counts,), the polygons' vertices, one polygon after the other.
        subject: what messages begin with.

    Returns:
        (T, 3) places in `corners`, and (T,) the polygon of each; in the order of the polygons.

    Raises:
        ModelError: there are too many triangles, a vertex is not there, or concave polygons have
            too many corners.
    """
    triangles = int(np.maximum(counts - 2, 0).sum())
    if triangles > MAX_FACES:
        raise too_many(subject, triangles, len(vertices))
    if len(corners) and (corners.min() < 0 or corners.max() >= len(vertices)):
        raise ModelError(
            f"{subject} has faces that name vertices it does not have; export the mesh again"
        )
    starts = np.cumsum(counts) - counts
    corner_rows, owners, clipping = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)], 0
    for count in np.unique(counts[counts >= 3]).tolist():
        polygons = np.flatnonzero(counts == count)
        places = starts[polygons][:, None] + np.arange(count)
        fans, rest = _fans(vertices[corners[places]])
        clipping += len(rest) * count**2
        if clipping > _MOST_CLIPPING:
            raise ModelError(
                f"{subject} has concave faces of too many corners; export it as triangles"
            )
        for number in rest.tolist():
            fans[number] = _clipped(vertices[corners[places[number]]])
        corner_rows.append(np.take_along_axis(places[:, None, :], fans, axis=2).reshape(-1, 3))
        owners.append(np.repeat(polygons, count - 2))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(corner_rows)[order], owner[order]


def _fans(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(P, K - 2, 3) triangles of (P, K, 3) polygons, and which polygons have no such fan.

    A fan is from a corner that sees all others: no triangle looks the other way or has no area.
    """
    polygons, count = points.shape[:2]
    after = np.arange(1, count - 1)
    first = np.stack([np.zeros(count - 2, int), after, after + 1], axis=1)
    fans = np.broadcast_to(first, (polygons, count - 2, 3)).copy()
    rest = np.arange(polygons)
    if count == 3:
        return fans, rest[:0]
    centred = points - points[:, :1]
    normals = np.cross(centred, np.roll(centred, -1, axis=1)).sum(axis=1)
    least = 1e-9 * np.einsum("pd,pd->p", normals, normals)
    starts = [(start, least) for start in range(min(count, _MOST_STARTS))]
    if count == 4:
        # Two corners in one place, as at the poles of balls.
        starts += [(start, -least) for start in range(4)]
    for start, limit in starts:
        fan = (first + start) % count
        a, b, c = (centred[rest][:, fan[:, k]] for k in range(3))
        facing = np.einsum("ptd,pd->pt", np.cross(b - a, c - a), normals[rest])
        sees_all = (facing >= limit[rest, None]).all(axis=1)
        fans[rest[sees_all]] = fan
        rest = rest[~sees_all]
    return fans, rest


def _clipped(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(K - 2, 3) triangles of one (K, 3) polygon, its ears cut off one by one."""
    flat = _flattened(points)
    left = list(range(len(flat)))
    triangles, ear = [], 0
    while len(left) > 3:
        # Where one ear was is most often the next.
        around = ((ear - 1 + step) % len(left) for step in range(len(left)))
        ear = next((at for at in around if _is_ear(flat, left, at)), 0)
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*triangles, left])


def _flattened(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 2), seen along the axis that it faces most, counter-clockwise."""
    centred = points - points[0]
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)
    axis = int(np.abs(normal).argmax())
    flat = np.delete(centred, axis, axis=1)
    # Leaving out y gives (x, z), which is left-handed.
    return np.asarray(flat * [1, 1 if (normal[axis] > 0) != (axis == 1) else -1])


def _is_ear(flat: NDArray[np.float64], left: list[int], at: int) -> bool:
    """Whether the corner turns left and its triangle holds no other corner."""
    a, b, c = flat[left[at - 1]], flat[left[at]], flat[left[(at + 1) % len(left)]]
    if _side(a, b, c) <= 0:
        return False
    other_corners = flat[left]
    other_corners = other_corners[
        ~((other_corners == a) | (other_corners == b) | (other_corners == c)).all(axis=1)
    ]
    inside = (
        (_side(a, b, other_corners) >= 0)
        & (_side(b, c, other_corners) >= 0)
        & (_side(c, a, other_corners) >= 0)
    )
    return not inside.any()


def _side(start: Any, end: Any, points: Any) -> Any:
    """Above 0 where points are left of the line from start to end."""
    along, away = end - start, points - start
    return along[0] * away[..., 1] - along[1] * away[..., 0]


def triangles_of_strips(counts: NDArray[np.int64], corners: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T, 3) vertices of strips of triangles, one after the other; -1 begins a strip anew."""
    ends = np.zeros(len(corners), dtype=bool)
    ends[(np.cumsum(counts) - counts)[counts > 0]] = True
    number = np.arange(len(corners))
    restart = np.maximum.accumulate(np.where(ends, number, np.where(corners < 0, number + 1, 0)))
    last = number[2:]
    whole = (last - restart[2:] >= 2) & (corners[2:] >= 0)
    triangles = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    turned = (last - restart[2:]) % 2 == 1
    triangles[turned] = triangles[turned][:, [1, 0, 2]]
    return np.asarray(triangles[whole])
