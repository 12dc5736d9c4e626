"""The contact sheet: what a run made, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import CropBatch
from safe_files import write_file

TILE, GAP, BAND_GAP, MARGIN, LABEL_WIDTH, TITLE_HEIGHT = 128, 4, 28, 16, 76, 20
COLUMNS = 8
BACKGROUND, INK = (250, 250, 250), (60, 60, 60)
OUTLINE, OTHERS_OUTLINE = (0, 255, 80), (60, 160, 255)


def write_contact_sheet(
    path: Path,
    renders: CropBatch,
    adapted: CropBatch,
    models: Sequence[CadModel],
    depth_reach: float,
) -> None:
    """Write one picture with a column for each crop: render, adapted, depth, label outline.

    Without an adapter `adapted` is `renders` itself, and there is no row of adapted crops. Depth is
    coloured from near (blue) to far (red) over `depth_reach` millimetres to either side of the
    target's centre, black where nothing was measured; the outlines are those of what is seen of the
    target (green) and of the others (blue), drawn over the adapted picture.
    """
    names = [models[position].name for position in adapted.plans.object_index]
    titles = ["render", "depth", "label"]
    if adapted is not renders:
        titles.insert(1, "adapted")
    tiles = [_tiles(renders, adapted, row, depth_reach) for row in range(len(adapted))]
    bands = [
        _band(titles, tiles[first : first + COLUMNS], names[first : first + COLUMNS])
        for first in range(0, len(tiles), COLUMNS)
    ]
    width = max(band.shape[1] for band in bands)
    spaced = [_pad(band, width) for band in bands]
    sheet = cv2.copyMakeBorder(
        np.vstack(spaced), MARGIN, 0, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    save_sheet(path, np.asarray(sheet, np.uint8))


def save_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    """Write an RGB picture as PNG."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_file(path, encoded.tobytes())


def _tiles(
    renders: CropBatch, adapted: CropBatch, row: int, depth_reach: float
) -> dict[str, NDArray[np.uint8]]:
    """A crop's pictures by the titles of their rows."""
    depth = color_depth(adapted.depth[row], float(adapted.plans.centre_depth[row]), depth_reach)
    picture = enlarge(adapted.rgb[row])
    outlined = picture.copy()
    for mask in adapted.others_mask_visib[row]:
        _outline(outlined, mask, OTHERS_OUTLINE)
    _outline(outlined, adapted.mask_visib[row], OUTLINE)
    return {
        "render": enlarge(renders.rgb[row]),
        "adapted": picture,
        "depth": enlarge(depth),
        "label": outlined,
    }


def color_depth(depth: NDArray[np.float32], centre: float, reach: float) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: depth within `reach` millimetres of `centre`, blue near, red far."""
    colored = color_steps(np.clip((depth - centre) / (2 * reach) + 0.5, 0, 1))
    return np.where((depth > 0)[..., None], colored, 0).astype(np.uint8)


def color_steps(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of numbers from 0, blue, to 1, red."""
    steps = np.rint(share * 255).astype(np.uint8)
    colored = cv2.cvtColor(cv2.applyColorMap(steps, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    return np.asarray(colored, np.uint8)


def enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As high as a tile, and as wide as its shape makes it."""
    height, width = image.shape[:2]
    method = cv2.INTER_NEAREST if height <= TILE else cv2.INTER_AREA
    size = (max(round(TILE * width / height), 1), TILE)
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.bool_], color: Sequence[int]) -> None:
    large = enlarge(mask.astype(np.uint8))
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, color, 1)


def _band(
    titles: Sequence[str], tiles: Sequence[dict[str, NDArray[np.uint8]]], names: Sequence[str]
) -> NDArray[np.uint8]:
    height = TITLE_HEIGHT + len(titles) * (TILE + GAP) + BAND_GAP
    tile_width = tiles[0]["render"].shape[1]
    width = LABEL_WIDTH + len(tiles) * (tile_width + GAP)
    band = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    for column, (crop, name) in enumerate(zip(tiles, names, strict=True)):
        x = LABEL_WIDTH + column * (tile_width + GAP)
        draw_text(band, name[:16], x, TITLE_HEIGHT - 6)
        for line, title in enumerate(titles):
            y = TITLE_HEIGHT + line * (TILE + GAP)
            band[y : y + TILE, x : x + tile_width] = crop[title]
    for line, title in enumerate(titles):
        draw_text(band, title, 0, TITLE_HEIGHT + line * (TILE + GAP) + TILE // 2 + 4)
    return band


def draw_text(image: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    """Write text on a picture, its base line's left end at (x, y)."""
    # A file's name may have bytes that are no character.
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)


def _pad(band: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    missing = width - band.shape[1]
    padded = cv2.copyMakeBorder(band, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=BACKGROUND)
    return np.asarray(padded, dtype=np.uint8)
