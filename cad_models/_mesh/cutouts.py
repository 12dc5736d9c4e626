"""The part of a surface that is there, where alpha hides the rest of it.

Renderers know no alpha, and a mask in a label must not have what nobody sees: so faces are cut.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
"""(V, K), all that belongs to each vertex: first its position, (V, 3)."""


@dataclass(frozen=True)
class Alpha:
    """Alpha over a surface, and below what it hides."""

    coordinates: int
    """The columns of a table with across and down in the picture, of 1, are this and the next."""
    column: int | None
    """The column with each vertex's own factor, None where there is none."""
    picture: NDArray[np.float64] | None
    """(H, W), it repeats. None where there is no picture."""
    cutoff: float
    """What is below is hidden."""

    @functools.cached_property
    def sums(self) -> NDArray[np.float64]:
        """Of what is seen of the picture alone, as `_sums` has them."""
        return _sums(np.ones((1, 1)) if self.picture is None else self.picture, self.cutoff)

    def at(self, table: Table) -> NDArray[np.float64]:
        """(V,), at each vertex."""
        value = np.ones(len(table)) if self.picture is None else self._smooth(table, self.picture)
        return value if self.column is None else value * table[:, self.column]

    def texels(self, table: Table) -> Table:
        """(V, 2), where each vertex is in the picture, across and down."""
        if self.picture is None:
            return np.zeros((len(table), 2))
        size = self.picture.shape[::-1]
        return np.asarray(table[:, self.coordinates : self.coordinates + 2] * size - 0.5)

    def _smooth(self, table: Table, picture: NDArray[np.float64]) -> NDArray[np.float64]:
        height, width = picture.shape
        place = self.texels(table)
        corner = np.floor(place)
        (fx, fy), (x, y) = (place - corner).T, corner.T
        left, right = (np.mod(x + k, width).astype(np.int64) for k in (0, 1))
        top, bottom = (np.mod(y + k, height).astype(np.int64) for k in (0, 1))
        above = (1 - fx) * picture[top, left] + fx * picture[top, right]
        below = (1 - fx) * picture[bottom, left] + fx * picture[bottom, right]
        return np.asarray((1 - fy) * above + fy * below)


def cut(
    table: Table, faces: NDArray[np.int64], alpha: Alpha, most: int
) -> tuple[Table, NDArray[np.int64], bool]:
    """The faces, or parts of faces, where alpha is not below its cutoff.

    Faces that are hidden in part are divided until their edges are no longer than a texel, all
    that share an edge at the same point, and then cut along the line of the cutoff.

    Args:
        table: (V, K).
        faces: (F, 3).
        alpha: what hides.
        most: faces beyond which no more are divided.

    Returns:
        Table and faces, and whether the limit made the cut coarser than a texel.
    """
    visibility = _Seen(table, alpha)
    position = np.unique(table[:, :3] + 0.0, axis=0, return_inverse=True)[1].reshape(-1)
    while True:
        share = visibility.share(table, faces)
        faces, share = faces[share > 0], share[share > 0]
        place = alpha.texels(table)[faces]
        edges = np.abs(np.roll(place, -1, axis=1) - place).max(axis=2)
        divided_edges = (edges > 1) & (share < 1)[:, None]
        if not divided_edges.any():
            return *_clipped(table, faces, alpha.at(table) - alpha.cutoff), False
        divided = _divided(table, faces, position, divided_edges)
        if len(divided[1]) > most:
            break
        table, faces, position = divided
    # Corners say too little of faces that are still large.
    large = divided_edges.any(axis=1)
    fine = _clipped(table, faces[~large], alpha.at(table) - alpha.cutoff)
    whole = faces[large & (share >= 0.5)]
    return fine[0], np.concatenate([fine[1], whole]), True


class _Seen:
    """How much of each face can be seen, from sums over rectangles of the picture."""

    def __init__(self, table: Table, alpha: Alpha) -> None:
        self._alpha = alpha
        self._surely = self._perhaps = alpha.sums
        if alpha.column is not None:
            picture = np.ones((1, 1)) if alpha.picture is None else alpha.picture
            factors = table[:, alpha.column]
            self._surely = _sums(picture * factors.min(), alpha.cutoff)
            self._perhaps = _sums(picture * factors.max(), alpha.cutoff)

    def share(self, table: Table, faces: NDArray[np.int64]) -> NDArray[np.float64]:
        """(F,), 0 where all of a face is hidden, 1 where all of it is seen, else between."""
        place = self._alpha.texels(table)[faces]
        low, high = np.floor(place.min(axis=1)), np.floor(place.max(axis=1)) + 2
        area = (high - low).prod(axis=1)
        surely, perhaps = (_within(sums, low, high) for sums in (self._surely, self._perhaps))
        mixed = np.clip((surely + perhaps) / (2 * area), 1e-6, 1 - 1e-6)
        return np.where(perhaps == 0, 0.0, np.where(surely == area, 1.0, mixed))


def _sums(picture: NDArray[np.float64], cutoff: float) -> NDArray[np.float64]:
    """(H + 1, W + 1), how many texels are seen of those above and left of each corner."""
    is_visible = picture >= cutoff
    sums = np.zeros((is_visible.shape[0] + 1, is_visible.shape[1] + 1))
    np.cumsum(np.cumsum(is_visible, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    return sums


def _within(
    sums: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(F,), how many texels between two corners, across and down, of the repeated picture."""

    def before(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
        height, width = sums.shape[0] - 1, sums.shape[1] - 1
        (columns, x), (rows, y) = np.divmod(across, width), np.divmod(down, height)
        x, y = x.astype(np.int64), y.astype(np.int64)
        return np.asarray(
            columns * rows * sums[-1, -1] + columns * sums[y, -1] + rows * sums[-1, x] + sums[y, x]
        )

    (left, top), (right, bottom) = low.T, high.T
    return before(right, bottom) - before(left, bottom) - before(right, top) + before(left, top)


def _divided(
    table: Table,
    faces: NDArray[np.int64],
    position: NDArray[np.int64],
    divided_edges: NDArray[np.bool_],
) -> tuple[Table, NDArray[np.int64], NDArray[np.int64]]:
    """All faces that have a wanted edge, divided at its middle; vertices that lie in one place
    have the same number in `position`."""
    start, end = faces, np.roll(faces, -1, axis=1)
    along = _pairs(position[start], position[end])
    _, place = np.unique(along, return_inverse=True)
    place = place.reshape(faces.shape)
    marked_places = np.zeros(int(place.max()) + 1, dtype=bool)
    marked_places[place[divided_edges]] = True
    marked = marked_places[place]

    pairs, first, middle = np.unique(
        _pairs(start, end)[marked], return_index=True, return_inverse=True
    )
    start_vertex, end_vertex = start[marked][first], end[marked][first]
    middles = np.full(faces.shape, -1)
    middles[marked] = len(table) + middle.reshape(-1)
    grown = np.concatenate([table, (table[start_vertex] + table[end_vertex]) / 2])
    new_position = int(position.max()) + 1 + place[marked][first]
    assert len(pairs) == len(new_position)
    return grown, _parts(faces, middles), np.concatenate([position, new_position])


def _pairs(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each pair, whichever comes first."""
    count = int(max(first.max(), second.max())) + 1
    return np.minimum(first, second) * count + np.maximum(first, second)


def _parts(faces: NDArray[np.int64], middles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces into one to four, by which of their edges have a middle (else -1)."""
    marked = middles >= 0
    count = marked.sum(axis=1)
    # One marked edge comes first; of two the one that is not comes last.
    first = marked.argmax(axis=1), (~marked).argmax(axis=1) + 1
    turn = np.select([count == 1, count == 2], first)
    order = (turn[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(faces, order, axis=1).T
    ab, bc, ca = np.take_along_axis(middles, order, axis=1).T
    templates = {
        0: [(a, b, c)],
        1: [(a, ab, c), (ab, b, c)],
        2: [(ab, b, bc), (a, ab, bc), (a, bc, c)],
        3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
    }
    return np.concatenate(
        [
            np.stack([corner[count == k] for corner in corners], axis=1)
            for k, template in templates.items()
            for corners in template
        ]
    )


def _clipped(
    table: Table, faces: NDArray[np.int64], height: NDArray[np.float64]
) -> tuple[Table, NDArray[np.int64]]:
    """The faces, or parts of them, where what is linear between the vertices is not below 0."""
    is_visible = height >= 0
    count = is_visible[faces].sum(axis=1)
    whole, partly = faces[count == 3], faces[(count == 1) | (count == 2)]
    if not len(partly):
        return table, whole
    # The corner that differs from the other two comes first.
    alone = is_visible[partly] == (is_visible[partly].sum(axis=1) == 1)[:, None]
    order = (alone.argmax(axis=1)[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(partly, order, axis=1).T
    low, high = np.concatenate([np.sort([a, b], axis=0), np.sort([a, c], axis=0)], axis=1)
    share = (height[low] / (height[low] - height[high]))[:, None]
    crossings = table[low] + share * (table[high] - table[low])
    ab = len(table) + np.arange(len(partly))
    ac = ab + len(partly)
    tip = is_visible[a]
    parts = [
        whole,
        np.stack([a, ab, ac], axis=1)[tip],
        np.stack([ab, b, c], axis=1)[~tip],
        np.stack([ab, c, ac], axis=1)[~tip],
    ]
    return np.concatenate([table, crossings]), np.concatenate(parts)
