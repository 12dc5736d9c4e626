"""Pictures in files from strangers: their size is looked at before memory is taken for them."""

from __future__ import annotations

import io
import struct
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray

from ._color_values import as_bytes

MAX_PIXELS = 2**27
"""Of a texture; as large as 16384 x 8192, 400 MB."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


_OTHERS = ("BMP", "TIFF", "TGA", "WEBP", "GIF", "DDS")
"""What Pillow reads, where it is installed. Blender's Python has none."""


def decode_picture(content: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB of a picture file; None where it is none, damaged or too large.

    As stored: a tag that turns photographs for the eye would turn a texture away from its
    coordinates. Of 16 bits the upper 8 count, transparency does not.
    """
    size = _size(content)
    if size is None:
        return _decode_with_pillow(content)
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def _decode_with_pillow(content: bytes) -> NDArray[np.uint8] | None:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return None
    try:
        with warnings.catch_warnings():
            # Of sizes that we allow.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=_OTHERS)
            if not 0 < picture.width * picture.height <= MAX_PIXELS:
                return None
            if picture.mode.startswith(("I", "F")):
                grey = as_bytes(np.asarray(picture)[..., None])
                return np.ascontiguousarray(np.repeat(grey, 3, axis=2))
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (
        UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError,
        struct.error, IndexError, TypeError, KeyError, EOFError, OverflowError, NotImplementedError,
    ):  # fmt: skip
        # What Pillow raises of damaged files.
        return None


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
