"""Crops of a camera, and renders in their poses with the fitted settings below them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._fit.views import AlignedViews
from render_adapt._runs.sheet import (
    BACKGROUND,
    GAP,
    MARGIN,
    TILE,
    TITLE_HEIGHT,
    draw_text,
    enlarge,
    save_sheet,
)

_COLUMNS, _MOST = 10, 50


def write_fit_sheet(path: Path, views: AlignedViews, renders: NDArray[np.uint8]) -> None:
    """Write one picture of 50 crops at most, evenly over the dataset, each above its render.

    Args:
        path: the PNG to write.
        views: N crops.
        renders: (N, S, S, 3), before what the crops have behind.
    """
    rows = np.linspace(0, len(views) - 1, min(len(views), _MOST)).round().astype(np.int64)
    tiles = [_tile(views, renders, int(row)) for row in rows]
    tiles += [np.full_like(tiles[0], BACKGROUND)] * (-len(tiles) % _COLUMNS)
    bands = [np.hstack(tiles[k : k + _COLUMNS]) for k in range(0, len(tiles), _COLUMNS)]
    sheet = cv2.copyMakeBorder(
        np.vstack(bands), MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    save_sheet(path, np.asarray(sheet, np.uint8))


def _tile(views: AlignedViews, renders: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
    tile = np.full((TITLE_HEIGHT + 2 * TILE + 3 * GAP, TILE + GAP, 3), BACKGROUND, np.uint8)
    draw_text(tile, views.models[views.plans.object_index[row]].name[:14], 0, TITLE_HEIGHT - 6)
    for place, picture in enumerate((views.rgb[row], renders[row])):
        top = TITLE_HEIGHT + place * (TILE + GAP)
        tile[top : top + TILE, :TILE] = enlarge(picture)
    return tile
