"""Whether a surface has an inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def is_closed(faces: NDArray[np.integer]) -> bool:
    """Whether a surface has no border and is wound one way: it has every directed edge once, and
    the edge's opposite once.

    Args:
        faces: (F, 3), the vertices' numbers; vertices in one place have one number.
    """
    start, end = faces.ravel().astype(np.int64), np.roll(faces, -1, axis=1).ravel().astype(np.int64)
    count = int(faces.max(initial=0)) + 1
    edges, reversed_edges = np.sort(start * count + end), np.sort(end * count + start)
    return bool(np.array_equal(edges, reversed_edges) and (edges[1:] != edges[:-1]).all())
