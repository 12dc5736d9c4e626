"""Pictures in files from strangers: their size is looked at before memory is taken for them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ._model import ModelError

MAX_PIXELS = 2**27
"""Of a texture; as large as 16384 x 8192, 400 MB."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_ALPHA = 4
"""The bit of a PNG's kind of colour that says so."""
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def decode_picture(content: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB of a PNG or JPEG file; None where it is neither, damaged or too large."""
    size = _size(content)
    if size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
        return None
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


class Pictures:
    """The textures of one mesh file, by name; of at most `MAX_PIXELS` in all."""

    def __init__(self, label: str, read: Callable[[str], bytes]) -> None:
        """`label` is what messages begin with; `read` gives the content of a named file."""
        self._label = label
        self._read = read
        self._found: dict[str, NDArray[np.uint8]] = {}
        self._pixels = 0
        self.let_light_through = False
        """Whether one of those that were asked for does."""

    def __getitem__(self, name: str) -> NDArray[np.uint8]:
        """(H, W, 3) RGB.

        Raises:
            ModelError: it is not a picture, or with it they are too large together.
        """
        if name not in self._found:
            content = self._read(name)
            width, height = _size(content) or (0, 0)
            self._pixels += width * height
            if self._pixels > MAX_PIXELS:
                raise ModelError(
                    f"{self._label} has textures of more than {MAX_PIXELS} pixels in all; make "
                    "them smaller"
                )
            picture = decode_picture(content)
            if picture is None:
                raise ModelError(
                    f"{self._label} refers to {name[:200]!r}, which is not a picture in PNG or "
                    "JPEG; save it as one"
                )
            self._found[name] = picture
            self.let_light_through |= _lets_light_through(content)
        return self._found[name]


def _lets_light_through(content: bytes) -> bool:
    """Whether a pixel of a PNG file is not opaque."""
    if not content.startswith(_PNG) or not content[25] & _PNG_ALPHA:
        return False
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3:
        return False
    most = 255 if picture.dtype == np.uint8 else 65535
    return bool((picture[..., -1] < most).any())


def _size(content: bytes) -> tuple[int, int] | None:
    """Width and height as the file states them."""
    if content.startswith(_PNG):
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    if not content.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _JPEG_FRAMES:
            sides = content[at + 5 : at + 9]
            return int.from_bytes(sides[2:], "big"), int.from_bytes(sides[:2], "big")
        if marker == 0xFF or marker in _JPEG_WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None
