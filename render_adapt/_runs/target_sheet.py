"""The contact sheet of a target: the crops that a training is going to learn from."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import FAR, TargetCrops, decode
from render_adapt._runs.sheet import (
    BACKGROUND,
    GAP,
    LABEL_WIDTH,
    MARGIN,
    TILE,
    color_steps,
    draw_text,
    enlarge,
    save_sheet,
)

COLUMNS, MOST = 8, 40
LINE_HEIGHT, NAME_HEIGHT, BAND_GAP = 22, 18, 16
BAR_WIDTH, BAR_HEIGHT = 256, 12
UNMEASURED = 190
"""The grey; blue at its end is close to black."""
_WIDTH = LABEL_WIDTH + COLUMNS * (TILE + GAP) - GAP
_OBJECT = re.compile(r"\.\w+ object (\d+)$")
_CHARACTER = 8.0
"""Pixels that a character takes on the mean."""


def write_target_sheet(path: Path, target: TargetCrops, name: str, window_mm: float) -> None:
    """Write one picture of 40 crops at most, evenly spread, as a network sees them.

    Depth is coloured from near (blue) to far (red) over half a window to either side of the crop's
    centre, grey where nothing was measured or it is a window behind.

    Args:
        path: the PNG file.
        target: the crops.
        name: what to call the target.
        window_mm: side of the crops' window.
    """
    rows = np.linspace(0, len(target) - 1, min(len(target), MOST)).round().astype(int)
    selection = f"; {len(rows)} of them here" if len(rows) < len(target) else ""
    first, *further_lines = target.report.lines()
    parts = [_text([f"{name}: {first}{selection}", *further_lines])]
    for start in range(0, len(rows), COLUMNS):
        parts.append(_band(target, rows[start : start + COLUMNS]))
    if target.has_depth:
        parts.append(_legend(window_mm))
    sheet = cv2.copyMakeBorder(
        np.vstack(parts), MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    save_sheet(path, np.asarray(sheet, np.uint8))


def _text(lines: list[str]) -> NDArray[np.uint8]:
    wrapped = [part for line in lines for part in _wrapped(line)]
    image = _blank(len(wrapped) * LINE_HEIGHT + BAND_GAP)
    for number, line in enumerate(wrapped):
        draw_text(image, line, 0, number * LINE_HEIGHT + 14)
    return image


def _wrapped(line: str) -> list[str]:
    """A line on as many as it takes; what goes on is indented."""
    return textwrap.wrap(
        line, int(_WIDTH / _CHARACTER), subsequent_indent="    ", break_on_hyphens=False
    )


def _band(target: TargetCrops, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Crops side by side, their depth below."""
    lines = [("colour", _colours(target.images[rows]))]
    if target.has_depth:
        lines.append(("depth", _depths(target.images[rows])))
    band = _blank(NAME_HEIGHT + len(lines) * (TILE + GAP) + BAND_GAP)
    for line, (title, tiles) in enumerate(lines):
        top = NAME_HEIGHT + line * (TILE + GAP)
        draw_text(band, title, 0, top + TILE // 2 + 4)
        for column, tile in enumerate(tiles):
            left = LABEL_WIDTH + column * (TILE + GAP)
            band[top : top + TILE, left : left + TILE] = enlarge(tile)
    for column, row in enumerate(rows):
        draw_text(band, _short(target.names[row]), LABEL_WIDTH + column * (TILE + GAP), 12)
    return band


def _short(name: str) -> str:
    """The end of a crop's name, which tells it from others, as wide as a tile."""
    last = _OBJECT.sub(r" #\1", PurePath(name).name)
    return last if len(last) <= TILE // _CHARACTER else f"..{last[-int(TILE // _CHARACTER) + 2 :]}"


def _colours(images: NDArray[np.float16]) -> NDArray[np.uint8]:
    return decode(images[:, :3].astype(np.float32))[0]


def _depths(images: NDArray[np.float16]) -> NDArray[np.uint8]:
    relative = images[:, 3].astype(np.float32)
    colored = np.stack([color_steps(np.clip(plane + 0.5, 0, 1)) for plane in relative])
    return np.where((relative < FAR)[..., None], colored, UNMEASURED).astype(np.uint8)


def _legend(window_mm: float) -> NDArray[np.uint8]:
    image = _blank(BAR_HEIGHT + 6)
    bar = color_steps(np.linspace(0, 1, BAR_WIDTH, dtype=np.float32)[None])
    half = f"{window_mm / 2:g} mm"
    near = f"{half} nearer"
    left = LABEL_WIDTH + int(len(near) * _CHARACTER) + GAP
    draw_text(image, "depth", 0, BAR_HEIGHT)
    draw_text(image, near, LABEL_WIDTH, BAR_HEIGHT)
    image[:BAR_HEIGHT, left : left + BAR_WIDTH] = bar
    far = f"{half} farther than the crop's centre"
    farther = f"{far}; grey: nothing measured, or {window_mm:g} mm farther"
    draw_text(image, farther, left + BAR_WIDTH + 2 * GAP, BAR_HEIGHT)
    return image


def _blank(height: int) -> NDArray[np.uint8]:
    return np.full((height, _WIDTH, 3), BACKGROUND, np.uint8)
