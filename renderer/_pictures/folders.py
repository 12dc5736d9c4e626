"""Pictures from folders: textures that are swapped in, and photographs for backgrounds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError
from renderer._pictures.patterns import patterns
from safe_files import MOST_PIXELS, decode_picture, list_folder, read_file

TEXTURE_SIDE = 256
"""Pixels: a texture's longer side is this at most."""
PHOTOGRAPH_SIDE = 256
"""Pixels: a photograph's shorter side is this at most."""
MOST_TEXTURES = 1000
MOST_PHOTOGRAPHS = 500
"""All pictures stay in memory, some 130 MB for so many photographs."""

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_MOST_BYTES = 2**28
"""Of a picture's file."""


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
    pictures = (_read(file, folder) for file in _pictures(folder, MOST_TEXTURES))
    return [_shrunk(picture, TEXTURE_SIDE / max(picture.shape[:2])) for picture in pictures]


def load_photographs(folder: Path) -> list[NDArray[np.uint8]]:
    """Photographs for backgrounds, as `load_textures` reads them, 500 at most.

    Returns:
        (h, w, 3) RGB each, the shorter side no longer than 256 pixels.

    Raises:
        RenderError: as for `load_textures`.
    """
    pictures = (_read(file, folder) for file in _pictures(folder, MOST_PHOTOGRAPHS))
    return [_shrunk(picture, PHOTOGRAPH_SIDE / min(picture.shape[:2])) for picture in pictures]


def _pictures(folder: Path, most: int) -> list[Path]:
    if not folder.is_dir():
        raise RenderError(f"there is no folder {folder}: name one that holds pictures")
    files = [file for file in list_folder(folder, _SUFFIXES) if not file.is_dir()]
    if not files:
        raise RenderError(f"{folder} holds no pictures (.jpg, .png, ...): name a folder that does")
    spread = np.linspace(0, len(files) - 1, min(len(files), most)).round().astype(int)
    return [files[number] for number in spread]


def _read(file: Path, folder: Path) -> NDArray[np.uint8]:
    try:
        picture = decode_picture(read_file(file, most=_MOST_BYTES, inside=folder))
    except OSError as error:
        raise RenderError(f"{file} cannot be read ({error.strerror}): remove it") from None
    if picture is None:
        raise RenderError(
            f"{file} cannot be read as a picture, or has more than {MOST_PIXELS} pixels: mend or "
            "remove it"
        )
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _shrunk(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return picture
    height, width = picture.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
