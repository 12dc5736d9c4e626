"""Pictures from folders: textures that are swapped in, and photographs for backgrounds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError
from renderer._patterns import patterns

TEXTURE_SIDE = 256
"""Pixels: a texture's longer side is this at most."""
PHOTOGRAPH_SIDE = 256
"""Pixels: a photograph's shorter side is this at most."""
MOST_TEXTURES = 1000
MOST_PHOTOGRAPHS = 500
"""All pictures stay in memory, some 130 MB for so many photographs."""

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def load_textures(folder: Path | None) -> list[NDArray[np.uint8]]:
    """Pictures that take the place of objects' own colours.

    Args:
        folder: a folder of JPEG, PNG, BMP, WebP or TIFF pictures, read in the order of their names,
            1000 at most, evenly spread; other files and folders within it are passed over. None
            gives the 28 drawn patterns (noise, stripes, checks, dots, wood, brushed metal, ...),
            always the same, which repeat without a seam.

    Returns:
        (h, w, 3) RGB each, no side longer than 256 pixels.

    Raises:
        RenderError: the folder has no pictures, or one cannot be read; the message names it.
    """
    if folder is None:
        return list(patterns())
    pictures = map(_read, _pictures(folder, MOST_TEXTURES))
    return [_shrunk(picture, TEXTURE_SIDE / max(picture.shape[:2])) for picture in pictures]


def load_photographs(folder: Path) -> list[NDArray[np.uint8]]:
    """Photographs for backgrounds, as `load_textures` reads them, 500 at most.

    Returns:
        (h, w, 3) RGB each, the shorter side no longer than 256 pixels.

    Raises:
        RenderError: as for `load_textures`.
    """
    pictures = map(_read, _pictures(folder, MOST_PHOTOGRAPHS))
    return [_shrunk(picture, PHOTOGRAPH_SIDE / min(picture.shape[:2])) for picture in pictures]


def _pictures(folder: Path, most: int) -> list[Path]:
    if not folder.is_dir():
        raise RenderError(f"There is no folder {folder}: name one that holds pictures.")
    files = sorted(
        file
        for file in folder.iterdir()
        # macOS puts a file ._NAME beside each NAME on other systems' disks.
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise RenderError(f"{folder} holds no pictures (.jpg, .png, ...): name a folder that does.")
    spread = np.linspace(0, len(files) - 1, min(len(files), most)).round().astype(int)
    return [files[number] for number in spread]


def _read(file: Path) -> NDArray[np.uint8]:
    # imread cannot open names beyond ASCII on Windows; imdecode does not see the name.
    content = np.frombuffer(file.read_bytes(), np.uint8)
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except cv2.error:  # larger than OpenCV's limit, 2^30 pixels
        picture = None
    if picture is None:
        raise RenderError(f"{file} cannot be read as a picture: mend or remove it.")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _shrunk(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return picture
    height, width = picture.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
