"""Which of many points may be corners of their convex hull, with numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEPS = (3, 9, 27)
"""How finely the octahedron's faces are divided, one time after the other: 8 n^2 directions."""
_FEWEST = 100
"""Points that are not worth looking at."""
_INSIDE = 1 - 1e-9
"""Relative, far more than rounding: what is as far out as this stays."""
_MOST_PAIRS = 30_000_000
"""Of points and directions: where more are left, as of a ball, looking on takes longer than having
them."""
_AT_ONCE = 250_000


def outermost(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices, ascending, of (N, 3) points among which are all corners of their convex hull.

    Others are those within 1e-9 of its surface, relatively, and some near it: of LINEMOD's models
    there are about twice as many as corners. A point goes that lies in a tetrahedron of the middle
    and of three points that are farthest in three directions: such a tetrahedron is in the hull.
    """
    kept = np.arange(len(points))
    off = points - points.mean(axis=0)
    for step in _STEPS:
        directions, triangles = _sphere(step)
        if not _FEWEST < len(kept) < _MOST_PAIRS / len(triangles):
            break
        farthest = np.concatenate(
            [
                (off @ some.T).argmax(axis=0)
                for some in np.array_split(directions, 1 + len(off) * len(directions) // _AT_ONCE)
            ]
        )
        corners = off[np.unique(np.sort(farthest[triangles], axis=1), axis=0)]
        outside = ~_within(off, corners)
        kept, off = kept[outside], off[outside]
    return kept


def _sphere(step: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Directions, and (T, 3) of their numbers: triangles that cover all directions."""
    places = [(i, j) for i in range(step + 1) for j in range(step + 1 - i)]
    number = {place: row for row, place in enumerate(places)}
    grid = np.array([(i, j, step - i - j) for i, j in places], np.float64)
    faces = []
    for i, j in places:
        if i + j < step:
            faces.append((number[i, j], number[i + 1, j], number[i, j + 1]))
        if i + j < step - 1:
            faces.append((number[i + 1, j], number[i + 1, j + 1], number[i, j + 1]))
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, 8).T
    directions = (grid * signs[:, None]).reshape(-1, 3)
    triangles = (np.array(faces) + len(grid) * np.arange(8)[:, None, None]).reshape(-1, 3)
    return directions, triangles


def _within(off: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,), whether points lie in one of the tetrahedra of the origin and (T, 3, 3) corners."""
    volumes = np.linalg.det(corners)
    corners = corners[np.abs(volumes) > 1e-12 * np.abs(volumes).max(initial=0)]
    inverses = np.linalg.inv(corners)
    within = np.zeros(len(off), bool)
    for rows in np.array_split(np.arange(len(off)), 1 + len(off) * len(corners) // _AT_ONCE):
        shares = [off[rows] @ inverses[:, :, corner].T for corner in range(3)]
        inside = shares[0] + shares[1] + shares[2] < _INSIDE
        for share in shares:
            inside &= share >= 0
        within[rows] = inside.any(axis=1)
    return within
