"""Pictures of a target as they are in their files: turned or not, of whatever depth of colour."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter._target.report import DAMAGED, NO_PICTURE_NUMBERS, UNOPENED
from safe_files import decode_picture, read_file

_ORIENTATION = 0x0112
_MOST_ENTRIES = 1000
_MOST_BYTES = 2**29
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_EXIF_PLACES = ((_JPEG, _EXIF, 0), (_PNG, b"eXIf", 4), (b"RIFF", b"EXIF", 8))
"""Where EXIF is in JPEG, PNG and WebP: behind which mark, and how many bytes from its start."""
_TIFF = (b"II*\0", b"MM\0*")
_PNG_END = b"IEND\xaeB`\x82"
_FEW_LEVELS, _BIMODAL, _NEAR = 32, 0.9, 12


class Unreadable(Exception):
    """One picture cannot be used, for a reason that `Tally` counts; the others may be."""


@dataclass(frozen=True)
class Stored:
    """A picture as its file has it."""

    pixels: NDArray[Any]
    """(H, W), or (H, W, 3 or 4) in OpenCV's order."""
    orientation: int
    """EXIF's, 1 to 8: how it is to be turned."""

    @property
    def is_flat(self) -> bool:
        """It has one channel."""
        return self.pixels.ndim == 2

    @property
    def is_wide(self) -> bool:
        """It has one channel of more than 8 bits, as measurements have."""
        return self.is_flat and self.pixels.dtype.itemsize > 1


def read_stored(file: Path, folder: Path) -> Stored:
    """Read a picture in a target's folder without changing it.

    Raises:
        Unreadable: it is damaged, cut off, larger than a picture is, or cannot be opened.
    """
    try:
        content = read_file(folder / file, most=_MOST_BYTES, inside=folder)
    except OSError:
        raise Unreadable(UNOPENED) from None
    if not _is_whole(content):
        raise Unreadable(DAMAGED)
    pixels = decode_picture(content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise Unreadable(DAMAGED)
    orientation = orientation_of(content)
    if content.startswith(_TIFF):
        # Of TIFF alone OpenCV turns what it is asked to leave as it is.
        pixels = upright(pixels, {6: 8, 8: 6}.get(orientation, orientation))
    return Stored(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels, orientation)


def _is_whole(content: bytes) -> bool:
    """Whether a JPEG or PNG file goes on to its end: decoders fill in grey for what is missing."""
    if content.startswith(_PNG):
        return _PNG_END in content
    if content.startswith(_JPEG):
        # The thumbnail in the file's head has an end of its own.
        return b"\xff\xd9" in content[max(content.rfind(b"\xff\xda"), 0) :]
    return bool(content)


def orientation_of(content: bytes) -> int:
    """How EXIF says that a picture is to be upright, 1 to 8; 1 where it says nothing."""
    if content.startswith(_TIFF):
        return _orientation_in(content)
    for start, mark, length in _EXIF_PLACES:
        at = content.find(mark) if content.startswith(start) else -1
        if at >= 0:
            return _orientation_in(content[at + length :].removeprefix(_EXIF))
    return 1


def _orientation_in(tiff: bytes) -> int:
    """The orientation in the first directory of a TIFF structure, which EXIF is."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return 1
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    count = struct.unpack_from(f"{order}H", tiff, at)[0] if at + 2 <= len(tiff) else 0
    for entry in range(at + 2, at + 2 + 12 * min(count, _MOST_ENTRIES), 12):
        if entry + 12 > len(tiff):
            return 1
        tag, kind, values = struct.unpack_from(f"{order}HHI", tiff, entry)
        if (tag, kind, values) == (_ORIENTATION, 3, 1):
            (orientation,) = struct.unpack_from(f"{order}H", tiff, entry + 8)
            return orientation if 1 <= orientation <= 8 else 1
    return 1


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A picture as EXIF's orientation shows it: 6 is a quarter turn clockwise, 2 is mirrored."""
    mirrored = np.fliplr(pixels) if orientation in (2, 4, 5, 7) else pixels
    quarters = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(mirrored, quarters))


@dataclass(frozen=True)
class Colours:
    """A colour picture of 8 or 16 bits, and what it was made of."""

    rgb: NDArray[np.uint8] | NDArray[np.uint16]
    """(H, W, 3)."""
    is_grey: bool
    is_transparent: bool
    """Where it was not opaque it was laid on black, as renders lie on it."""


def colours(pixels: NDArray[Any]) -> Colours:
    """A picture's colours, as (H, W, 3) RGB of its own bits.

    Raises:
        Unreadable: its numbers are neither 8 nor 16 bits.
    """
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.shape[2:] not in ((), (3,), (4,)):
        raise Unreadable(NO_PICTURE_NUMBERS)
    if pixels.ndim == 2:
        return Colours(np.repeat(pixels[..., None], 3, axis=2), True, False)
    rgb = pixels[..., 2::-1]
    if pixels.shape[2] == 3:
        return Colours(np.ascontiguousarray(rgb), False, False)
    alpha, opaque = pixels[..., 3:], np.iinfo(pixels.dtype).max
    # An alpha of 0 all over is a fourth byte that nobody filled.
    if (alpha == opaque).all() or not alpha.any():
        return Colours(np.ascontiguousarray(rgb), False, False)
    laid = np.rint(rgb * (alpha / opaque)).astype(pixels.dtype)
    return Colours(laid, False, True)


def bits_of(peak: int) -> int:
    """How many bits a sensor has whose pictures are kept in 16 and reach `peak`."""
    return next(bits for bits in (8, 10, 12, 14, 16) if peak < 1 << bits)


def eight_bits(rgb: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """A picture as one of 8 bits; one of 16 is of a sensor of so many bits."""
    if rgb.dtype == np.uint8:
        return rgb
    return np.asarray(np.rint(rgb.astype(np.float32) * (255.0 / ((1 << bits) - 1))), np.uint8)


def has_mask_colours(pixels: NDArray[Any]) -> bool:
    """Whether a picture has as few colours as a mask or labels, or is black and white as JPEG's."""
    flat = pixels.reshape(-1, *pixels.shape[2:])
    if len(np.unique(flat, axis=0)) <= _FEW_LEVELS:
        return True
    top = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    ends = (pixels <= _NEAR) | (pixels >= top - _NEAR)
    return pixels.ndim == 2 and float(ends.mean()) >= _BIMODAL


def is_binary(stored: Stored) -> bool:
    """Whether a picture is in one channel of black and white alone, which no camera's is."""
    if not stored.is_flat or stored.pixels.dtype != np.uint8:
        return False
    levels = set(np.unique(stored.pixels).tolist())
    return levels <= {0, 255} or levels <= {0, 1}
