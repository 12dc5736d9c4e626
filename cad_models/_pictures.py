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
    picture = _decoded(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def picture_pixels(content: bytes) -> int:
    """How many pixels a PNG, JPEG or WebP file states that it has; 0 where it is none of them."""
    size = _size(content) or _webp_size(content)
    return 0 if size is None else size[0] * size[1]


def decode_with_alpha(content: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 4), RGBA, as stored and not turned by EXIF; None where `decode_picture` has it."""
    if not 0 < picture_pixels(content) <= MAX_PIXELS:
        return None
    picture = _decoded(content, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        return None
    if picture.dtype == np.uint16:
        picture = np.asarray((picture.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    if picture.ndim == 2:
        code = cv2.COLOR_GRAY2RGBA
    else:
        code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return np.asarray(cv2.cvtColor(picture, code), dtype=np.uint8)


def _decoded(content: bytes, flags: int) -> NDArray[np.integer | np.floating] | None:
    """The picture in OpenCV's order of colours, without its words on the terminal."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    finally:
        cv2.utils.logging.setLogLevel(level)


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


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Width and height as a WebP file states them."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return None
    match content[12:16]:
        case b"VP8X":
            sides = content[24:27], content[27:30]
            return int.from_bytes(sides[0], "little") + 1, int.from_bytes(sides[1], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(content[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            sides = content[26:28], content[28:30]
            low = (int.from_bytes(side, "little") & 0x3FFF for side in sides)
            return next(low), next(low)
    return None
