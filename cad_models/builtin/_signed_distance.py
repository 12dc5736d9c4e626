"""Coloured solids as signed-distance functions: a few primitives and the ways to combine them.

A solid is a pair of functions of space: the distance to its surface (negative inside) and the
colour of the surface nearest by. Only operations that IEEE 754 rounds exactly are used on points
(+ - * / and square roots), so that the same numbers come out on every processor.

The formulas of the primitives are those of Inigo Quilez, "Distance functions" (iquilezles.org).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float, float]
Outline = Sequence[tuple[float, float]]
Color = tuple[int, int, int]

_AXES = {"x": (1, 2, 0), "y": (0, 2, 1), "z": (0, 1, 2)}
"""For each axis, which coordinates an outline across it has, then the axis itself."""


@dataclass(frozen=True)
class Solid:
    """A coloured solid.

    Convention:
        Points are (3, N) float64, millimetres. Distances are (N,), negative inside; colours are
        (N, 3) RGB in 0..255.
    """

    distance: Callable[[Floats], Floats]
    color: Callable[[Floats], Floats] = lambda points: np.full((points.shape[1], 3), 128.0)

    def colored(self, color: Color) -> Solid:
        """The same solid, all of one colour."""
        return replace(self, color=lambda p: np.tile(np.array(color, float), (p.shape[1], 1)))

    def painted(self, color: Color, region: Solid) -> Solid:
        """The same solid, with the part of its surface that lies inside `region` in `color`."""

        def paint(points: Floats) -> Floats:
            colors = self.color(points)
            colors[region.distance(points) < 0] = color
            return colors

        return replace(self, color=paint)

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> Solid:
        """Translated."""
        return self._seen_through(lambda p: np.stack([p[0] - x, p[1] - y, p[2] - z]))

    def turned(self, axis: str, degrees: float) -> Solid:
        """Turned about an axis through the origin, right-handed."""
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]

        def turn_back(points: Floats) -> Floats:
            turned = points.copy()
            turned[first] = cosine * points[first] + sine * points[second]
            turned[second] = cosine * points[second] - sine * points[first]
            return turned

        return self._seen_through(turn_back)

    def mirrored(self, *axes: str) -> Solid:
        """The half at positive coordinates, repeated on the other side of each axis' plane."""

        def fold(points: Floats) -> Floats:
            folded = points.copy()
            for axis in axes:
                folded["xyz".index(axis)] = np.abs(folded["xyz".index(axis)])
            return folded

        return self._seen_through(fold)

    def grown(self, thickness: float) -> Solid:
        """With its surface moved outward, which also rounds outer edges."""
        return replace(self, distance=lambda p: self.distance(p) - thickness)

    def cut(self, *tools: Solid, blend: float = 0.0) -> Solid:
        """Without the tools; `blend` is the width in millimetres over which edges are rounded."""

        def distance(points: Floats) -> Floats:
            result = self.distance(points)
            for tool in tools:
                result = -_smooth_minimum(-result, tool.distance(points), blend)
            return result

        return replace(self, distance=distance)

    def within(self, region: Solid, blend: float = 0.0) -> Solid:
        """Only what lies inside `region` too."""
        return replace(
            self,
            distance=lambda p: -_smooth_minimum(-self.distance(p), -region.distance(p), blend),
        )

    def _seen_through(self, change: Callable[[Floats], Floats]) -> Solid:
        return Solid(lambda p: self.distance(change(p)), lambda p: self.color(change(p)))


def union(*solids: Solid, blend: float = 0.0) -> Solid:
    """All the solids as one, melted together over `blend` millimetres; each keeps its colour."""

    def distance(points: Floats) -> Floats:
        result = solids[0].distance(points)
        for solid in solids[1:]:
            result = _smooth_minimum(result, solid.distance(points), blend)
        return result

    def color(points: Floats) -> Floats:
        nearest = np.argmin([solid.distance(points) for solid in solids], axis=0)
        colors = np.empty((points.shape[1], 3))
        for index, solid in enumerate(solids):
            is_nearest = nearest == index
            colors[is_nearest] = solid.color(points[:, is_nearest])
        return colors

    return Solid(distance, color)


def sphere(center: Point, radius: float) -> Solid:
    """A ball."""
    return ellipsoid(center, (radius, radius, radius))


def ellipsoid(center: Point, radii: Point) -> Solid:
    """An ellipsoid along the axes; its distance is approximate away from the surface."""

    def distance(points: Floats) -> Floats:
        offsets = [(points[i] - center[i]) / radii[i] for i in range(3)]
        near = _length(*offsets)
        slope = _length(*(offset / radius for offset, radius in zip(offsets, radii, strict=True)))
        at_center: Floats = near * (near - 1) / np.maximum(slope, 1e-9)
        return np.where(near < 1e-6, -min(radii), at_center)

    return Solid(distance)


def box(center: Point, size: Point, rounding: float = 0.0) -> Solid:
    """A box along the axes, its edges rounded."""

    def distance(points: Floats) -> Floats:
        beyond = [np.abs(points[i] - center[i]) - size[i] / 2 + rounding for i in range(3)]
        return _joined(*beyond) - rounding

    return Solid(distance)


def capsule(start: Point, end: Point, radius: float, end_radius: float | None = None) -> Solid:
    """The hull of two balls. Where one ball holds the other, only that one is left."""
    end_radius = radius if end_radius is None else end_radius
    axis = [end[i] - start[i] for i in range(3)]
    length_squared = sum(a * a for a in axis)
    shrinking = radius - end_radius
    slant_squared = length_squared - shrinking * shrinking
    if slant_squared <= 0:
        return sphere(start, radius) if shrinking > 0 else sphere(end, end_radius)
    slant = math.sqrt(slant_squared)

    def distance(points: Floats) -> Floats:
        offsets = [points[i] - start[i] for i in range(3)]
        along = sum(offsets[i] * axis[i] for i in range(3)) / length_squared
        across = _length(*(offsets[i] - along * axis[i] for i in range(3)))
        # Slide down the slanted side to the balls' common axis: there the nearest ball's centre is.
        nearest = np.clip(along - across * (shrinking / (slant * math.sqrt(length_squared))), 0, 1)
        to_center = _length(*(offsets[i] - nearest * axis[i] for i in range(3)))
        return np.asarray(to_center - (radius - nearest * shrinking))

    return Solid(distance)


def tube(path: Sequence[Point], radii: float | Sequence[float], steps: int = 6) -> Solid:
    """A round bar along a smooth curve through the points of `path`, `steps` pieces for each."""
    widths = [float(radii)] * len(path) if isinstance(radii, int | float) else list(radii)
    knots = smooth_curve(
        [(*point, width) for point, width in zip(path, widths, strict=True)], steps
    )
    return union(
        *(
            capsule((a[0], a[1], a[2]), (b[0], b[1], b[2]), a[3], b[3])
            for a, b in pairwise(smooth_curve(knots, steps))
        )
    )


def torus(center: Point, radius: float, thickness: float, axis: str = "z") -> Solid:
    """A ring of round bar, `thickness` its bar's radius."""
    across, over, along = _AXES[axis]

    def distance(points: Floats) -> Floats:
        ring = _length(points[across] - center[across], points[over] - center[over]) - radius
        return _length(ring, points[along] - center[along]) - thickness

    return Solid(distance)


def cylinder(
    center: Point, radius: float, height: float, axis: str = "z", rounding: float = 0.0
) -> Solid:
    """A cylinder, `center` in the middle of its height."""
    across, over, along = _AXES[axis]

    def distance(points: Floats) -> Floats:
        side = _length(points[across] - center[across], points[over] - center[over]) - radius
        end = np.abs(points[along] - center[along]) - height / 2
        return _joined(side + rounding, end + rounding) - rounding

    return Solid(distance)


def revolution(profile: Outline, axis: str = "z", rounding: float = 0.0) -> Solid:
    """An outline of (radius, position along the axis), turned about that axis.

    An outline that starts and ends at radius 0 makes a solid without a hole.
    """
    across, over, along = _AXES[axis]

    def distance(points: Floats) -> Floats:
        radius = _length(points[across], points[over])
        return _outline_distance(profile, radius, points[along], turned=True) - rounding

    return Solid(distance)


def extrusion(
    outline: Outline, axis: str, start: float, end: float, rounding: float = 0.0
) -> Solid:
    """A closed outline drawn across an axis, and drawn out along it.

    The outline's coordinates are (y, z) across x, (x, z) across y, (x, y) across z. Rounding takes
    the edges in and adds nothing to the outline.
    """
    across, over, along = _AXES[axis]

    def distance(points: Floats) -> Floats:
        flat = _outline_distance(outline, points[across], points[over]) + rounding
        depth = np.abs(points[along] - (start + end) / 2) - (end - start) / 2 + rounding
        return _joined(flat, depth) - rounding

    return Solid(distance)


def half_space(axis: str, beyond: float | None = None, below: float | None = None) -> Solid:
    """All points with the coordinate greater than `beyond`, or less than `below`."""
    index = "xyz".index(axis)
    if beyond is not None:
        return Solid(lambda p: beyond - p[index])
    return Solid(lambda p: p[index] - (below or 0.0))


def smooth_curve(
    knots: Sequence[Sequence[float]], steps: int, closed: bool = False
) -> list[tuple[float, ...]]:
    """Points on the Catmull-Rom curve through the knots, `steps` for each piece."""
    rows = [tuple(float(value) for value in knot) for knot in knots]
    rows = [rows[-1], *rows, rows[0], rows[1]] if closed else [rows[0], *rows, rows[-1]]
    curve = []
    for before, start, end, after in zip(rows, rows[1:], rows[2:], rows[3:], strict=False):
        for step in range(steps):
            t = step / steps
            weights = (
                (-t + 2 * t * t - t * t * t) / 2,
                (2 - 5 * t * t + 3 * t * t * t) / 2,
                (t + 4 * t * t - 3 * t * t * t) / 2,
                (t * t * t - t * t) / 2,
            )
            curve.append(
                tuple(
                    sum(weight * value for weight, value in zip(weights, values, strict=True))
                    for values in zip(before, start, end, after, strict=True)
                )
            )
    return curve if closed else [*curve, rows[-1]]


def smooth_outline(knots: Outline, steps: int = 5) -> list[tuple[float, float]]:
    """A closed smooth outline through the knots."""
    return [(point[0], point[1]) for point in smooth_curve(knots, steps, closed=True)]


def _smooth_minimum(first: Floats, second: Floats, blend: float) -> Floats:
    if blend <= 0:
        return np.minimum(first, second)
    overlap = np.maximum(blend - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - overlap * overlap / (4 * blend))


def _length(*coordinates: Floats) -> Floats:
    total = coordinates[0] * coordinates[0]
    for coordinate in coordinates[1:]:
        total = total + coordinate * coordinate
    return np.asarray(np.sqrt(total))


def _joined(*beyond: Floats) -> Floats:
    """The distance to what lies within several orthogonal bounds at once."""
    inside = beyond[0]
    for bound in beyond[1:]:
        inside = np.maximum(inside, bound)
    outside = _length(*(np.maximum(bound, 0) for bound in beyond))
    return np.asarray(outside + np.minimum(inside, 0))


def _outline_distance(outline: Outline, x: Floats, y: Floats, turned: bool = False) -> Floats:
    """Signed distance to a closed polygon in its own plane, whichever way it winds.

    Where the polygon is to be turned about x = 0, an edge that lies there is no surface.
    """
    nearest = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        edge_x, edge_y = x1 - x0, y1 - y0
        length_squared = edge_x * edge_x + edge_y * edge_y
        if length_squared == 0:
            continue
        from_x, from_y = x - x0, y - y0
        along = np.clip((from_x * edge_x + from_y * edge_y) / length_squared, 0, 1)
        away_x, away_y = from_x - along * edge_x, from_y - along * edge_y
        if not (turned and x0 == x1 == 0):
            nearest = np.minimum(nearest, away_x * away_x + away_y * away_y)
        turn = edge_x * from_y - edge_y * from_x
        inside ^= np.where(from_y >= 0, (y < y1) & (turn > 0), (y >= y1) & (turn < 0))
    distance: Floats = np.sqrt(nearest)
    return np.where(inside, -distance, distance)
