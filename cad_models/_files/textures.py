"""The textures that a mesh file names."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

import safe_files
from cad_models._files.pictures import MAX_PIXELS, decode_rgb, picture_pixels
from cad_models._mesh.atlas import shrunk
from cad_models._model import ModelError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_ALPHA = 4
"""The bit of a PNG's kind of colour that says so."""


class Textures:
    """The textures of one mesh file, of at most `MAX_PIXELS` in all.

    Args:
        subject: what messages begin with.
        are_tiles: whether they become parts of one atlas, and no larger than it has use for.
    """

    def __init__(self, subject: str, *, are_tiles: bool = False) -> None:
        self._subject = subject
        self._are_tiles = are_tiles
        self._pixels = 0

    def decoded(self, name: str, content: bytes) -> NDArray[np.uint8]:
        """(H, W, 3) RGB, counted anew each time.

        Args:
            name: what the mesh file calls it.
            content: the picture's file.

        Raises:
            ModelError: it is no picture, or with it they are too large together.
        """
        stated = picture_pixels(content)
        if not self._are_tiles and stated <= MAX_PIXELS:
            self._check(self._pixels + stated)
        picture = decode_rgb(content)
        if picture is None:
            raise ModelError(
                f"{self._subject} refers to {name[:200]!r}, which is not a picture in PNG or JPEG "
                "of at most 16384 x 8192 pixels; save it as one"
            )
        if self._are_tiles:
            picture = shrunk(picture)
        # Not all kinds state their size where it is looked for.
        self._pixels += picture.shape[0] * picture.shape[1]
        self._check(self._pixels)
        return picture

    def _check(self, pixels: int) -> None:
        if pixels > MAX_PIXELS:
            raise ModelError(
                f"{self._subject} has textures of more than {MAX_PIXELS} pixels in all; "
                "make them smaller"
            )


class NamedTextures:
    """The textures of one mesh file, each read once, by its name.

    Args:
        subject: what messages begin with.
        read: gives the content of a named file.
    """

    def __init__(self, subject: str, read: Callable[[str], bytes]) -> None:
        self._textures = Textures(subject)
        self._read = read
        self._known: dict[str, NDArray[np.uint8]] = {}
        self.let_light_through = False
        """Whether one of those that were asked for does."""

    def __getitem__(self, name: str) -> NDArray[np.uint8]:
        """(H, W, 3) RGB.

        Raises:
            ModelError: as for `Textures.decoded`, and what `read` raises.
        """
        if name not in self._known:
            content = self._read(name)
            self._known[name] = self._textures.decoded(name, content)
            self.let_light_through |= _lets_light_through(content)
        return self._known[name]


def _lets_light_through(content: bytes) -> bool:
    """Whether a pixel of a PNG file is not opaque."""
    if not content.startswith(_PNG) or not content[25] & _PNG_ALPHA:
        return False
    picture = safe_files.decode_picture(content, cv2.IMREAD_UNCHANGED, most_pixels=MAX_PIXELS)
    if picture is None or picture.ndim != 3:
        return False
    most = 255 if picture.dtype == np.uint8 else 65535
    return bool((picture[..., -1] < most).any())
