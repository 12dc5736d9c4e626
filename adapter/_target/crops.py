"""Crops of a target between their files and the adapter's tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError
from adapter._target.report import counted


@dataclass(frozen=True)
class DepthCrop:
    """What was measured of a crop."""

    values: NDArray[np.float32]
    """(size, size) in the file's steps, 0 = no measurement."""
    step: float | None
    """Millimetres in a step; None where that must be told from the values."""
    is_float: bool
    centre: float
    """The depth of the crop's centre in steps, or in millimetres where it was stated."""
    is_stated: bool
    range: tuple[float, float, float]
    """Least, middle and greatest, in steps."""


@dataclass(frozen=True)
class Crop:
    """A crop, resampled, and what its picture was like."""

    name: str
    folder: str
    """Its picture's, within the target's."""
    rgb: NDArray[np.uint8] | NDArray[np.uint16]
    """(size, size, 3)."""
    source_size: tuple[int, int]
    """(width, height) of its picture, or of the window that was cut."""
    depth: DepthCrop | None = None
    has_depth: bool = False
    """There is depth in the folder, whether or not it was read."""
    is_grey: bool = False
    is_transparent: bool = False
    is_turned: bool = False
    is_wide: bool = False
    """Its picture has one channel of 16 bits."""
    peak: int = 0
    """The greatest number in its picture, where that has 16 bits."""
    off_axis: float | None = None
    """Degrees, where it was cut from a frame here."""


def check_square(shape: tuple[int, ...], file: Path) -> None:
    """Refuse what is not square.

    Raises:
        AdapterError: it is not.
    """
    height, width = shape[:2]
    if height != width:
        raise AdapterError(
            f"{file} is {width}x{height} pixels; crops must be square, with the object in the "
            "middle: cut them first, or give the frames as a BOP dataset"
        )


def check_same_size(file: Path, depth: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    """Refuse depth of another size than its picture.

    Raises:
        AdapterError: it is.
    """
    if depth[:2] != rgb[:2]:
        raise AdapterError(
            f"{file} is {depth[1]}x{depth[0]} pixels and its image {rgb[1]}x{rgb[0]}; they must be "
            "alike"
        )


def range_of(depth: NDArray[np.float32]) -> tuple[float, float, float]:
    """Least, middle and greatest of what was measured; nothing measured is three times 0."""
    good = depth[depth > 0]
    if not good.size:
        return 0.0, 0.0, 0.0
    return float(good.min()), float(np.median(good)), float(good.max())


def resized(image: NDArray[Any], size: int) -> NDArray[Any]:
    """(size, size, 3), averaged where it shrinks."""
    if image.shape[0] == size:
        return image
    interpolation = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=interpolation).astype(image.dtype)


def resized_depth(depth: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(size, size), by the nearest pixel: a mean over an edge is on neither side."""
    # INTER_NEAREST takes the pixel above and left of the sample; the exact variant is centred.
    if depth.shape[0] == size:
        return depth
    small = cv2.resize(depth, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return small.astype(np.float32)


def picture_notes(crops: list[Crop], bits: int, distinct: int) -> tuple[str, ...]:
    """What was done to pictures that are not plain 8-bit colours, a sentence each."""
    wide = [crop for crop in crops if crop.rgb.dtype == np.uint16]
    with_depth = ", and their depth alike" if any(crop.depth for crop in crops) else ""
    counts = [
        (sum(crop.is_grey for crop in crops), "in grey, which all three colours take"),
        (len(wide), f"of {bits} bits in 16, brought to 8"),
        (sum(crop.is_transparent for crop in crops), "transparent in part, and laid on black"),
        (sum(crop.is_turned for crop in crops), f"turned as EXIF says{with_depth}"),
        (len(crops) - distinct, "the same as another, pixel by pixel"),
    ]
    return tuple(
        f"{counted(number, 'crop')} {'is' if number == 1 else 'are'} {treatment}"
        for number, treatment in counts
        if number
    )
