"""The closest points of a triangle mesh: how far two meshes are apart, and what lies there."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from renderer._engines.raster.compiled import compiled, compiled_part

_MOST_CELLS = 4e6


class ClosestPoints:
    """Finds the closest point of a mesh, for points within `reach` of it.

    Space is cut into cells that list the faces within reach of them, so that a point looks through
    one short list.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        reach: points farther than this have no closest point.
    """

    def __init__(self, vertices: NDArray[np.float64], faces: NDArray[np.int32], reach: float):
        self._corners = np.ascontiguousarray(vertices, np.float64)[faces]
        self._reach = reach
        middles = self._corners.mean(axis=1)
        radii = np.linalg.norm(self._corners - middles[:, None], axis=2).max(axis=1)
        winding = np.cross(
            self._corners[:, 1] - self._corners[:, 0], self._corners[:, 2] - self._corners[:, 0]
        )
        self._spheres = np.column_stack([middles, radii])
        self._normals = winding / np.maximum(np.linalg.norm(winding, axis=1), 1e-300)[:, None]
        self._low = self._corners.min(axis=(0, 1)) - 1.001 * reach
        size = self._corners.max(axis=(0, 1)) + 1.001 * reach - self._low
        cell = max(2 * reach, float(radii.mean()), float((size.prod() / _MOST_CELLS) ** (1 / 3)))
        self._cell = max(cell, float(size.max()) / 2000)
        self._counts = tuple(int(count) for count in np.floor(size / self._cell) + 1)
        ends = np.zeros(math.prod(self._counts), np.int64)
        grid = (self._low, self._cell, self._counts, reach)
        cells = np.empty((2, 3), np.int64)
        _file_faces(self._corners, self._normals, *grid, ends, np.empty(0, np.int32), cells)
        self._faces = np.empty(int(ends.sum()), np.int32)
        ends = np.concatenate([[0], np.cumsum(ends)[:-1]])
        _file_faces(self._corners, self._normals, *grid, ends, self._faces, cells)
        self._ends = ends

    def __call__(
        self, points: NDArray[np.float64], facing: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """The closest points.

        Args:
            points: (P, 3).
            facing: (P, 3), directions: faces that look the same way are preferred, so that a thin
                wall's other side is not taken. Distances are to any face all the same.

        Returns:
            distance: (P,), infinite beyond reach.
            face: (P,), -1 beyond reach.
            weights: (P, 3), what the face's corners count for at the closest point.
        """
        count = len(points)
        distance, face = np.empty(count), np.empty(count, np.int64)
        weights = np.zeros((count, 3))
        _find(
            np.ascontiguousarray(points, np.float64),
            np.zeros((0, 3)) if facing is None else np.ascontiguousarray(facing, np.float64),
            self._corners, self._normals, self._spheres, self._low, self._cell, self._counts,
            self._reach, self._ends, self._faces, distance, face, weights,
        )  # fmt: skip
        return distance, face, weights


@compiled_part
def _cells(least, greatest, low, cell, count):
    """First and last cell along one axis."""
    return max(0, int((least - low) / cell)), min(count - 1, int((greatest - low) / cell))


@compiled
def _file_faces(corners, normals, low, cell, counts, reach, ends, faces, cells):
    """Count the faces of each cell into `ends`, or list them in `faces` if that has room.

    For listing, `ends` holds each cell's first place and is moved on to the one after its last.
    `cells` (2, 3) is memory to work in.
    """
    list_them = len(faces) > 0
    far = reach + 0.5 * cell * math.sqrt(3.0)
    first, last = cells[0], cells[1]
    for face in range(len(corners)):
        for axis in range(3):
            a, b, c = corners[face, 0, axis], corners[face, 1, axis], corners[face, 2, axis]
            first[axis], last[axis] = _cells(
                min(a, b, c) - reach, max(a, b, c) + reach, low[axis], cell, counts[axis]
            )
        nx, ny, nz = normals[face, 0], normals[face, 1], normals[face, 2]
        for i in range(first[0], last[0] + 1):
            x = low[0] + (i + 0.5) * cell - corners[face, 0, 0]
            for j in range(first[1], last[1] + 1):
                y = low[1] + (j + 0.5) * cell - corners[face, 0, 1]
                for k in range(first[2], last[2] + 1):
                    z = low[2] + (k + 0.5) * cell - corners[face, 0, 2]
                    # Cells off the face's plane are out of reach: large faces lie slantwise.
                    if abs(nx * x + ny * y + nz * z) > far:
                        continue
                    place = (i * counts[1] + j) * counts[2] + k
                    if list_them:
                        faces[ends[place]] = face
                    ends[place] += 1


@compiled_part
def _on_segment(dx, dy, dz, px, py, pz):
    """How far along a segment (0 to 1) its closest point lies, and its squared distance."""
    square = dx * dx + dy * dy + dz * dz
    along = 0.0
    if square > 0.0:
        along = min(1.0, max(0.0, (dx * px + dy * py + dz * pz) / square))
    x, y, z = px - along * dx, py - along * dy, pz - along * dz
    return along, x * x + y * y + z * z


@compiled_part
def _on_triangle(px, py, pz, corners):
    """Squared distance of a point to a triangle, and its second and third corner's weights."""
    ax, ay, az = corners[0, 0], corners[0, 1], corners[0, 2]
    bx, by, bz = corners[1, 0] - ax, corners[1, 1] - ay, corners[1, 2] - az
    cx, cy, cz = corners[2, 0] - ax, corners[2, 1] - ay, corners[2, 2] - az
    px, py, pz = px - ax, py - ay, pz - az
    bb, bc = bx * bx + by * by + bz * bz, bx * cx + by * cy + bz * cz
    cc = cx * cx + cy * cy + cz * cz
    bp, cp = bx * px + by * py + bz * pz, cx * px + cy * py + cz * pz
    area = bb * cc - bc * bc
    if area > 0.0:
        wb, wc = (cc * bp - bc * cp) / area, (bb * cp - bc * bp) / area
        if wb >= 0.0 and wc >= 0.0 and wb + wc <= 1.0:
            x = px - wb * bx - wc * cx
            y = py - wb * by - wc * cy
            z = pz - wb * bz - wc * cz
            return x * x + y * y + z * z, wb, wc
    wb, least = _on_segment(bx, by, bz, px, py, pz)
    wc = 0.0
    along, square = _on_segment(cx, cy, cz, px, py, pz)
    if square < least:
        least, wb, wc = square, 0.0, along
    along, square = _on_segment(cx - bx, cy - by, cz - bz, px - bx, py - by, pz - bz)
    if square < least:
        least, wb, wc = square, 1.0 - along, along
    return least, wb, wc


@compiled
def _find(
    points, facing, corners, normals, spheres, low, cell, counts, reach, ends, faces,
    distance, closest_face, weights,
):  # fmt: skip
    picky = len(facing) > 0
    for number in range(len(points)):
        px, py, pz = points[number, 0], points[number, 1], points[number, 2]
        distance[number], closest_face[number] = np.inf, -1
        i, j, k = (px - low[0]) / cell, (py - low[1]) / cell, (pz - low[2]) / cell
        if min(i, j, k) < 0.0 or i >= counts[0] or j >= counts[1] or k >= counts[2]:
            continue
        place = (int(i) * counts[1] + int(j)) * counts[2] + int(k)
        least = least_facing = reach * reach
        for entry in range(ends[place - 1] if place > 0 else 0, ends[place]):
            face = faces[entry]
            x, y = px - spheres[face, 0], py - spheres[face, 1]
            z, radius = pz - spheres[face, 2], spheres[face, 3]
            square = x * x + y * y + z * z
            same_way = (
                picky
                and (
                    facing[number, 0] * normals[face, 0]
                    + facing[number, 1] * normals[face, 1]
                    + facing[number, 2] * normals[face, 2]
                )
                > 0.0
            )
            needed = math.sqrt(least_facing if same_way else least) + radius
            if square > needed * needed:
                continue
            square, wb, wc = _on_triangle(px, py, pz, corners[face])
            if square <= least:
                least = square
                distance[number] = math.sqrt(square)
                if least_facing == reach * reach:
                    closest_face[number] = face
                    weights[number, 0], weights[number, 1] = 1.0 - wb - wc, wb
                    weights[number, 2] = wc
            if same_way and square < least_facing:
                least_facing = square
                closest_face[number] = face
                weights[number, 0], weights[number, 1], weights[number, 2] = 1.0 - wb - wc, wb, wc
