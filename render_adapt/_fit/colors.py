"""Where objects have other colours than their models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render_adapt._fit.measures import Measures


def object_colors(
    seen: Measures, drawn: Measures, objects: NDArray[np.int32], kinds: int
) -> NDArray[np.float64]:
    """(K, 3), how many times as much red, green and blue K objects have as their models, where 1 is
    how bright they are together; NaN of an object that no crop shows well.

    Args:
        seen: of N crops of the camera.
        drawn: of renders in their poses.
        objects: (N,), which of the K objects each shows.
        kinds: K.
    """
    gains = np.full((kinds, 3), np.nan)
    for kind in np.unique(objects):
        rows = (objects == kind) & np.isfinite(seen.seen[:, 0])
        if rows.any():
            gains[kind] = np.median(seen.seen[rows] / np.maximum(drawn.seen[rows], 1.0), axis=0)
    shown = np.isfinite(gains[:, 0])
    weights = own_colors(seen, objects, kinds)
    bright = (gains * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    return gains / float(np.median(bright[shown]))


def own_colors(measures: Measures, objects: NDArray[np.int32], kinds: int) -> NDArray[np.float64]:
    """(K, 3), the models' mean colours, of 255; 0 of an object that no crop shows well."""
    colors = np.zeros((kinds, 3))
    for kind in np.unique(objects):
        rows = (objects == kind) & np.isfinite(measures.own[:, 0])
        if rows.any():
            colors[kind] = np.median(measures.own[rows], axis=0)
    return colors


def jitter(colors: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """`Randomization.color_jitter` that changes colours as much, in grey levels, as models are off.

    Args:
        colors: (K, 3), of `object_colors`.
        own: (K, 3), of `own_colors`.
    """
    shown = np.isfinite(colors[:, 0])
    wrong = own[shown] * (colors[shown] - 1)
    share = np.sqrt((wrong**2).sum() / max((own[shown] ** 2).sum(), 1e-9))
    return float(min(1.0, np.sqrt(3) * share))
