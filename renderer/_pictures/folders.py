"""Pictures from folders: textures that are swapped in, and photographs for backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError
from renderer._pictures.patterns import patterns
from renderer._pictures.posed import POSES, PicturePoses, read_poses
from safe_files import MOST_PIXELS, decode_picture, list_folder, read_file

TEXTURE_SIDE = 256
"""Pixels: a texture's longer side is this at most."""
PHOTOGRAPH_SIDE = 256
"""Pixels: a photograph's shorter side is this at most."""
MOST_TEXTURES = 1000
MOST_PHOTOGRAPHS = 500
"""All pictures stay in memory, some 130 MB for so many photographs."""
MOST_POSED = 2500
"""Likewise, of pictures whose poses are known: they are of the size of crops."""

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


@dataclass(frozen=True)
class Photographs(Sequence[NDArray[np.uint8]]):
    """Pictures for backgrounds, (h, w, 3) RGB each."""

    pictures: tuple[NDArray[np.uint8], ...]
    poses: PicturePoses | None = None
    """What stood in them and how, where that is known."""

    def __len__(self) -> int:
        return len(self.pictures)

    @overload
    def __getitem__(self, row: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[NDArray[np.uint8]]: ...

    def __getitem__(self, row: int | slice) -> NDArray[np.uint8] | Sequence[NDArray[np.uint8]]:
        return self.pictures[row]


def load_photographs(folder: Path) -> Photographs:
    """Photographs for backgrounds, as `load_textures` reads them, 500 at most.

    Of pictures with `poses.json` beside them, 2,500 at most.

    Returns:
        The shorter side of each is no longer than 256 pixels.

    Raises:
        RenderError: as for `load_textures`, and if the poses cannot be read.
    """
    files = _pictures(folder, MOST_POSED if (folder / POSES).exists() else MOST_PHOTOGRAPHS)
    pictures, scales = [], []
    for file in files:
        whole = _read(file, folder)
        picture = _shrunk(whole, PHOTOGRAPH_SIDE / min(whole.shape[:2]))
        pictures.append(picture)
        (height, width), (least_height, least_width) = whole.shape[:2], picture.shape[:2]
        scales.append((least_width / width, least_height / height))
    poses = read_poses(folder, [file.name for file in files], scales)
    return Photographs(tuple(pictures), poses)


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
