"""The largest distance between two of many points, with numpy alone.

scipy's hull would not do: every vertex of a ball is on its hull, and Blender's Python has no scipy,
where the same mesh has to get the same diameter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ERROR = 1e-6
"""Relative; how much larger than stated the distance may be where it is not exact."""
_MOST_EXACT = 40_000
"""Points that may be an end of the longest pair; of more, only pairs that `ERROR` notices count."""
_FINEST = 10
"""Levels of the octree above the points."""
_MOST_PAIRS = 1_000_000
"""Of cells or points, looked at together."""
_ROUNDING = 1e-12


def largest_distance(points: NDArray[np.float64]) -> float:
    """The largest distance between two of (N, 3) points.

    Exact, but for point sets of which more than `_MOST_EXACT` points survive the test below (those
    of balls); of these, at least 1 / (1 + `ERROR`) of it.

    With c the centre of a ball around all points and r their distances from it, |p - q| <=
    r_p + r_q <= r_p + max r. A point with r_p + max r < s f is therefore no end of a pair longer
    than s f, where f is the longest pair known, s = 1 for an exact answer and s = 1 + `ERROR`
    otherwise. Of the points left, pairs of an octree's cells are followed down as long as they may
    hold a pair longer than s f (`_bounds`). What is dropped is at most s f long, so that the
    answer f satisfies f <= truth <= s f.

    A million points take some seconds at most, but for those of bodies of constant width that are
    no balls (a minute): each of their points has a partner almost as far away as any.
    """
    centre = _enclosing_centre(points)
    lower_bound = _long_pair(points)
    radii = np.linalg.norm(points - centre, axis=1)
    slack, most = 1.0, float(radii.max())
    ends = radii >= (lower_bound - most) * (1 - _ROUNDING)
    if ends.sum() > _MOST_EXACT:
        slack = 1 + ERROR
        ends = radii >= (lower_bound * slack - most) * (1 - _ROUNDING)
    if not lower_bound or not ends.any():
        return lower_bound
    return _Search(points[ends], centre, lower_bound, slack).result()


def _enclosing_centre(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,), centre of the smallest ball around the points, up to rounding.

    The ball around a few of them takes in the farthest point outside until there is none.
    """
    support, centre, radius = points[:1], points[0], 0.0
    for _ in range(100):
        away = points - centre
        distances = np.einsum("ij,ij->i", away, away)
        farthest = int(distances.argmax())
        if np.sqrt(distances[farthest]) <= radius * (1 + _ROUNDING):
            break
        support = np.vstack([support, points[farthest]])
        centre, radius, support = _smallest_ball(support)
    return np.asarray(centre)


def _smallest_ball(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Centre and radius of the smallest ball around up to five points, and those on its surface."""
    best = points[0], np.inf, points
    for count in range(1, min(len(points), 4) + 1):
        for subset in itertools.combinations(range(len(points)), count):
            corners = points[list(subset)]
            arms = corners[1:] - corners[0]
            squares = np.einsum("ij,ij->i", arms, arms)
            centre = corners[0] + np.linalg.lstsq(2 * arms, squares, rcond=None)[0]
            radius = float(np.linalg.norm(corners - centre, axis=1).max())
            inside = np.linalg.norm(points - centre, axis=1).max() <= radius * (1 + 1e-11)
            if inside and radius < best[1]:
                best = centre, radius, corners
    return best


def _long_pair(points: NDArray[np.float64]) -> float:
    """Length of a pair that going to the farthest point, again and again, ends at."""
    longest = -1.0
    point = points[np.linalg.norm(points - points.mean(axis=0), axis=1).argmax()]
    while True:
        distances = np.linalg.norm(points - point, axis=1)
        if distances.max() <= longest:
            return longest
        longest = float(distances.max())
        point = points[distances.argmax()]


@dataclass(frozen=True)
class _Level:
    """Cells of one size, in the order of the points that they hold."""

    first: NDArray[np.int64]
    """(C + 1,), where each one's cells of the next level begin there, and the end of the last's."""
    low: NDArray[np.float64]
    """(C, 3), least corner of the box around its points, from the centre."""
    high: NDArray[np.float64]
    radius: NDArray[np.float64]
    """(C,), largest distance of its points from the centre."""


class _Search:
    """Branch and bound over pairs of cells, from the coarsest level to the points."""

    def __init__(
        self,
        points: NDArray[np.float64],
        centre: NDArray[np.float64],
        lower_bound: float,
        slack: float,
    ) -> None:
        codes = _cell_codes(points)
        order = np.argsort(codes, kind="stable")
        self._points = points[order]
        self._levels = _levels(codes[order], self._points - centre)
        self._found = lower_bound
        self._slack = slack

    def result(self) -> float:
        cells = np.arange(len(self._levels[0].radius))
        first, second = (index.ravel() for index in np.meshgrid(cells, cells))
        self._descend(0, first[first <= second], second[first <= second])
        return self._found

    def _descend(self, level: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        """Follow pairs of cells of a level, those that may hold the longest pair first."""
        if level == len(self._levels):
            if len(first):
                distances = np.linalg.norm(self._points[first] - self._points[second], axis=1)
                self._found = max(self._found, float(distances.max()))
            return
        bounds = _bounds(self._levels[level], first, second)
        order = np.argsort(-bounds, kind="stable")
        first, second, bounds = first[order], second[order], bounds[order]
        first_child = self._levels[level].first
        counts = np.diff(first_child)
        ends = np.cumsum(counts[first] * counts[second])
        at = 0
        while at < len(first) and bounds[at] * (1 + _ROUNDING) > self._found * self._slack:
            before = int(ends[at - 1]) if at else 0
            # The first alone raises what is found, and spares most of the others.
            limit = _MOST_PAIRS if at else 1000
            stop = max(at + 1, int(np.searchsorted(ends, before + limit, side="right")))
            may_be_longer = bounds[at:stop] * (1 + _ROUNDING) > self._found * self._slack
            self._descend(
                level + 1,
                *_products(
                    first_child, first[at:stop][may_be_longer], second[at:stop][may_be_longer]
                ),
            )
            at = stop


def _cell_codes(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,), the finest cell of an octree that each is in; the bits of x, y and z take turns."""
    low = points.min(axis=0)
    size = float((points.max(axis=0) - low).max()) or 1.0
    cells = ((points - low) * ((2**_FINEST - 1) / size)).astype(np.int64)
    codes = np.zeros(len(points), dtype=np.int64)
    for bit in range(_FINEST):
        for axis in range(3):
            codes |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return codes


def _levels(codes: NDArray[np.int64], points: NDArray[np.float64]) -> Sequence[_Level]:
    """From the coarsest to the finest, whose cells hold points, down to cells of a few points."""
    radii = np.linalg.norm(points, axis=1)
    starts = []
    for depth in range(2, _FINEST + 1, 2):
        prefix = codes >> 3 * (_FINEST - depth)
        starts.append(np.flatnonzero(np.diff(prefix, prepend=-1)))
        if len(starts[-1]) * 4 > len(points):
            break
    return [
        _level(points, radii, start, below)
        for start, below in zip(starts, [*starts[1:], np.arange(len(points))], strict=True)
    ]


def _level(
    points: NDArray[np.float64],
    radii: NDArray[np.float64],
    start: NDArray[np.int64],
    below: NDArray[np.int64],
) -> _Level:
    """The cells whose points begin at `start`; those of the next level begin at `below`."""
    return _Level(
        first=np.append(np.searchsorted(below, start), len(below)),
        low=np.minimum.reduceat(points, start),
        high=np.maximum.reduceat(points, start),
        radius=np.maximum.reduceat(radii, start),
    )


def _bounds(
    level: _Level, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What no pair of points of each two cells exceeds.

    Either the diagonal of the box around both, or, sharper for balls, by the identity
    |p - q|^2 = 2 |p|^2 + 2 |q|^2 - |p + q|^2 with |p + q| the distance of p from q's mirror image.
    """
    low, high = level.low, level.high
    across = np.maximum(high[first] - low[second], high[second] - low[first])
    mirrored = np.maximum(low[first] + low[second], -(high[first] + high[second])).clip(0)
    by_box = np.einsum("ij,ij->i", across, across)
    by_radius = 2 * (level.radius[first] ** 2 + level.radius[second] ** 2)
    by_radius -= np.einsum("ij,ij->i", mirrored, mirrored)
    return np.asarray(np.sqrt(np.minimum(by_box, by_radius).clip(0)))


def _products(
    first_child: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of a part of `first` and a part of `second`, for each two cells."""
    counts = first_child[first + 1] - first_child[first]
    second_counts = first_child[second + 1] - first_child[second]
    products = counts * second_counts
    row = np.repeat(np.arange(len(first)), products)
    within = np.arange(len(row)) - np.repeat(np.cumsum(products) - products, products)
    of_first, of_second = within // second_counts[row], within % second_counts[row]
    return first_child[first][row] + of_first, first_child[second][row] + of_second
