"""Pictures: how large they are is looked at before memory is taken for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 2**27
"""Of any picture; as large as 16384 x 8192, 400 MB."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def decode_picture(
    content: bytes, flags: int = cv2.IMREAD_COLOR, *, most_pixels: int = MOST_PIXELS
) -> NDArray[np.integer | np.floating] | None:
    """A PNG, JPEG, BMP, WebP or TIFF picture, its channels in OpenCV's order.

    Args:
        content: the file's.
        flags: OpenCV's flag.
        most_pixels: that it may have.

    Returns:
        None where it is of another kind, damaged or too large.
    """
    size = picture_size(content)
    if size is None or not 0 < size[0] * size[1] <= most_pixels:
        return None
    try:
        with _silence():
            picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    # A second header may say otherwise than the one that was looked at.
    if picture is None or sorted(picture.shape[:2]) != sorted(size):
        return None
    return np.asarray(picture)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What is wrong with a file is said by whoever reads it, in one sentence."""
    # Where it is set depends on the version: Blender has 4, which has it in the module itself.
    log: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height, as a PNG, JPEG, BMP, WebP or TIFF file states them; None for others."""
    if content.startswith(_PNG):
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    if content.startswith(b"\xff\xd8"):
        return _jpeg_size(content)
    if content.startswith(b"BM"):
        return _bmp_size(content)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _webp_size(content)
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_size(content)
    return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker in _JPEG_FRAMES:
            sides = content[position + 5 : position + 9]
            return int.from_bytes(sides[2:], "big"), int.from_bytes(sides[:2], "big")
        if marker == 0xFF or marker in _JPEG_WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return None


def _bmp_size(content: bytes) -> tuple[int, int]:
    if int.from_bytes(content[14:18], "little") == 12:
        sides = content[18:20], content[20:22]
        return int.from_bytes(sides[0], "little"), int.from_bytes(sides[1], "little")
    width, height = content[18:22], content[22:26]
    # A negative height says that the top row comes first.
    return (
        abs(int.from_bytes(width, "little", signed=True)),
        abs(int.from_bytes(height, "little", signed=True)),
    )


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        sides = content[24:27], content[27:30]
        return int.from_bytes(sides[0], "little") + 1, int.from_bytes(sides[1], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        sides = content[26:28], content[28:30]
        return int.from_bytes(sides[0], "little") & 0x3FFF, int.from_bytes(
            sides[1], "little"
        ) & 0x3FFF
    return None


def _tiff_size(content: bytes) -> tuple[int, int] | None:
    order = "little" if content.startswith(b"II") else "big"

    def number(position: int, size: int) -> int:
        return int.from_bytes(content[position : position + size], order)  # type: ignore[arg-type]

    position = number(4, 4)
    sides: dict[int, int] = {}
    for entry in range(position + 2, position + 2 + 12 * min(number(position, 2), 1000), 12):
        tag, kind = number(entry, 2), number(entry + 2, 2)
        if tag in (256, 257):
            sides[tag] = number(entry + 8, 2 if kind == 3 else 4)
    return (sides[256], sides[257]) if len(sides) == 2 else None
