"""Pictures in files from strangers: their size is looked at before memory is taken for them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 2**27
"""Of a texture; as large as 16384 x 8192, 400 MB."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def decode_picture(content: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB of a PNG or JPEG file; None where it is neither, damaged or too large."""
    size = _size(content)
    if size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
        return None
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def picture_pixels(content: bytes) -> int | None:
    """How many pixels a PNG or JPEG file states; None where it is neither."""
    size = _size(content)
    return None if size is None else size[0] * size[1]


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
