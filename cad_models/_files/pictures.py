"""Pictures in files from strangers: their size is looked at before memory is taken for them."""

from __future__ import annotations

import io
import struct
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray

import safe_files
from cad_models._mesh.color_values import as_bytes

MAX_PIXELS = safe_files.MOST_PIXELS
"""Of a texture."""
_OTHERS = ("BMP", "TIFF", "TGA", "WEBP", "GIF", "DDS")
"""What Pillow reads, where it is installed. Blender's Python has none."""
_TURNED_BY_OPENCV = (b"II", b"MM")
"""How TIFF files begin: OpenCV turns them by their tags, whatever it is told."""


def decode_rgb(content: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB of a picture file; None where it is none, damaged or too large.

    As stored: a tag that turns photographs for the eye would turn a texture away from its
    coordinates. Of 16 bits the upper 8 count, transparency does not.
    """
    if safe_files.picture_size(content) is None or content[:2] in _TURNED_BY_OPENCV:
        return _decode_with_pillow(content)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = safe_files.decode_picture(content, flags, most_pixels=MAX_PIXELS)
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


def picture_pixels(content: bytes) -> int:
    """How many pixels a picture's file states that it has; 0 where it is of an unknown kind."""
    size = safe_files.picture_size(content)
    return 0 if size is None else size[0] * size[1]


def decode_with_alpha(content: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 4), RGBA, as stored and not turned by EXIF; None where `decode_rgb` has it."""
    picture = safe_files.decode_picture(content, cv2.IMREAD_UNCHANGED, most_pixels=MAX_PIXELS)
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        return None
    if picture.dtype == np.uint16:
        picture = np.asarray((picture.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    if picture.ndim == 2:
        code = cv2.COLOR_GRAY2RGBA
    else:
        code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return np.asarray(cv2.cvtColor(picture, code), dtype=np.uint8)
