"""A picture of aligned crops with the outlines of what was found in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.result import Result
from render_adapt._align.search import PoseSearch
from render_adapt._runs.sheet import (
    BACKGROUND,
    GAP,
    MARGIN,
    OUTLINE,
    TILE,
    TITLE_HEIGHT,
    draw_text,
    enlarge,
    save_sheet,
)

SHEET = "contact_sheet.png"
_COLUMNS, _MOST = 8, 80
_LEFT_OUT = (255, 70, 60)


def write_aligned_sheet(
    path: Path, result: Result, models: Sequence[CadModel], search: PoseSearch
) -> None:
    """Write one picture of 80 crops at most, evenly spread over the target.

    Each has its object's outline, green where the crop is kept and red where it is left out, and
    above it the object and the confidence.
    """
    count = len(result.names)
    rows = np.linspace(0, count - 1, min(count, _MOST)).round().astype(np.int64)
    masks = search.draw(result.poses[rows]).mask
    tiles = [_tile(result, models, int(row), mask) for row, mask in zip(rows, masks, strict=True)]
    empty = np.full_like(tiles[0], BACKGROUND)
    tiles += [empty] * (-len(tiles) % _COLUMNS)
    bands = [np.hstack(tiles[k : k + _COLUMNS]) for k in range(0, len(tiles), _COLUMNS)]
    sheet = cv2.copyMakeBorder(
        np.vstack(bands), MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    save_sheet(path, np.asarray(sheet, np.uint8))


def _tile(
    result: Result, models: Sequence[CadModel], row: int, mask: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    tile = np.full((TITLE_HEIGHT + TILE + GAP, TILE + GAP, 3), BACKGROUND, np.uint8)
    name = models[result.poses.object_index[row]].name
    draw_text(tile, f"{name[:9]} {result.confidence[row]:.2f}", 0, TITLE_HEIGHT - 6)
    picture = enlarge(result.view.rgb[row]).copy()
    if result.found[row]:
        contours, _ = cv2.findContours(
            enlarge(mask.astype(np.uint8)), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, contours, -1, OUTLINE if result.kept[row] else _LEFT_OUT, 1)
    tile[TITLE_HEIGHT : TITLE_HEIGHT + TILE, :TILE] = picture
    return tile
