"""The contact sheet: what a run made, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import CropBatch

ROWS = ("render", "adapted", "depth", "label")
TILE, GAP, BAND_GAP, MARGIN, LABEL_WIDTH, TITLE_HEIGHT = 128, 4, 28, 16, 76, 20
COLUMNS = 8
BACKGROUND, INK, OUTLINE = (250, 250, 250), (60, 60, 60), (0, 255, 80)


def write_contact_sheet(
    path: Path, renders: CropBatch, adapted: CropBatch, models: Sequence[CadModel]
) -> None:
    """Write one picture with four rows per crop: render, adapted, depth, label outline.

    Depth is coloured from near (blue) to far (red) over the crop's window, black where nothing was
    measured; the outline is the rendered silhouette, drawn over the adapted picture.
    """
    names = [models[position].name for position in adapted.plans.object_index]
    tiles = [_tiles(renders, adapted, row) for row in range(len(adapted))]
    bands = [
        _band(tiles[first : first + COLUMNS], names[first : first + COLUMNS])
        for first in range(0, len(tiles), COLUMNS)
    ]
    width = max(band.shape[1] for band in bands)
    spaced = [_pad(band, width) for band in bands]
    sheet = cv2.copyMakeBorder(
        np.vstack(spaced), MARGIN, 0, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())


def _tiles(renders: CropBatch, adapted: CropBatch, row: int) -> list[NDArray[np.uint8]]:
    centre = adapted.plans.centre_depth[row]
    depth = color_depth(adapted.depth[row], float(centre))
    pictures = [_enlarge(image) for image in (renders.rgb[row], adapted.rgb[row], depth)]
    return [*pictures, _outlined(pictures[1], adapted.mask_visib[row])]


def color_depth(
    depth: NDArray[np.float32], centre: float, reach: float = 100.0
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: depth within `reach` millimetres of `centre`, blue near, red far."""
    relative = np.clip((depth - centre) / (2 * reach) + 0.5, 0, 1)
    steps = np.rint(relative * 255).astype(np.uint8)
    colored = cv2.cvtColor(cv2.applyColorMap(steps, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    return np.where((depth > 0)[..., None], colored, 0).astype(np.uint8)


def _enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    method = cv2.INTER_NEAREST if image.shape[0] <= TILE else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (TILE, TILE), interpolation=method), dtype=np.uint8)


def _outlined(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    large = _enlarge(mask.astype(np.uint8))
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    outlined = picture.copy()
    cv2.drawContours(outlined, contours, -1, OUTLINE, 1)
    return outlined


def _band(tiles: list[list[NDArray[np.uint8]]], names: list[str]) -> NDArray[np.uint8]:
    height = TITLE_HEIGHT + len(ROWS) * (TILE + GAP) + BAND_GAP
    width = LABEL_WIDTH + len(tiles) * (TILE + GAP)
    band = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    for column, (crop, name) in enumerate(zip(tiles, names, strict=True)):
        x = LABEL_WIDTH + column * (TILE + GAP)
        _write(band, name[:16], x, TITLE_HEIGHT - 6)
        for line, picture in enumerate(crop):
            y = TITLE_HEIGHT + line * (TILE + GAP)
            band[y : y + TILE, x : x + TILE] = picture
    for line, title in enumerate(ROWS):
        _write(band, title, 0, TITLE_HEIGHT + line * (TILE + GAP) + TILE // 2 + 4)
    return band


def _write(image: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)


def _pad(band: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    missing = width - band.shape[1]
    padded = cv2.copyMakeBorder(band, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=BACKGROUND)
    return np.asarray(padded, dtype=np.uint8)
