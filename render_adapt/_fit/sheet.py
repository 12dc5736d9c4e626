"""Crops of a camera, and renders in their poses with the fitted settings below them."""

from __future__ import annotations

from dataclasses import replace
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
from renderer import Randomization

_COLUMNS, _MOST = 10, 50
_REACH = 5
"""Pixels across, of an outline's blur."""


def write_fit_sheet(
    path: Path, views: AlignedViews, randomization: Randomization, seed: int
) -> None:
    """Write one picture of 50 crops at most, evenly over the dataset, each above its render.

    Args:
        path: the PNG to write.
        views: the crops.
        randomization: what renders are drawn with.
        seed: decides what is drawn.
    """
    renders = _blurred_once(views, randomization, seed)
    rows = np.linspace(0, len(views) - 1, min(len(views), _MOST)).round().astype(np.int64)
    tiles = [_tile(views, renders, int(row)) for row in rows]
    tiles += [np.full_like(tiles[0], BACKGROUND)] * (-len(tiles) % _COLUMNS)
    bands = [np.hstack(tiles[k : k + _COLUMNS]) for k in range(0, len(tiles), _COLUMNS)]
    sheet = cv2.copyMakeBorder(
        np.vstack(bands), MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    save_sheet(path, np.asarray(sheet, np.uint8))


def _blurred_once(
    views: AlignedViews, randomization: Randomization, seed: int
) -> NDArray[np.uint8]:
    """(N, S, S, 3), renders before what the crops have behind, which is as blurred as it was."""
    alone = replace(
        randomization, background=("black",), occluders=(0, 0), neighbours=(0, 0), zoom=(1.0, 1.0),
        off_centre=0.0, depth_sensor="exact",
    )  # fmt: skip
    sharp = replace(alone, focus_blur=(0.0, 0.0), motion_blur=(0.0, 0.0))
    around = np.ones((_REACH, _REACH), np.uint8)
    near = np.stack([cv2.dilate(mask.astype(np.uint8), around) > 0 for mask in views.mask])
    return np.where(near[..., None], views.render(alone, seed), views.render(sharp, seed))


def _tile(views: AlignedViews, renders: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
    tile = np.full((TITLE_HEIGHT + 2 * TILE + 3 * GAP, TILE + GAP, 3), BACKGROUND, np.uint8)
    draw_text(tile, views.models[views.plans.object_index[row]].name[:14], 0, TITLE_HEIGHT - 6)
    for place, picture in enumerate((views.rgb[row], renders[row])):
        top = TITLE_HEIGHT + place * (TILE + GAP)
        tile[top : top + TILE, :TILE] = enlarge(picture)
    return tile
