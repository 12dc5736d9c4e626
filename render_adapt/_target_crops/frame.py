"""A camera's frame, and the objects in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """One picture of a camera.

    Convention:
        Pixel (0, 0) covers [0, 1) x [0, 1), also in the coordinates of K.
    """

    name: str
    """Its path within its source, without suffix."""
    source: str
    """The folder, scene, video or bag that it is counted under."""
    number: int | None
    """What annotations may know it by."""
    rgb: NDArray[Any]
    """(H, W, 3), 8 or 16 bits."""
    depth: NDArray[np.float32] | None = None
    """(H, W) in steps, 0 where nothing was measured."""
    depth_step: float | None = None
    """Millimetres; None where that must be told from the values."""
    depth_is_float: bool = False
    camera: NDArray[np.float64] | None = None
    """(3, 3)."""
    scene_id: int | None = None
    """Of a BOP dataset."""


@dataclass(frozen=True)
class Seen:
    """An object in a frame."""

    label: str
    """Its name or number."""
    box: NDArray[np.float64] | None
    """(4,), x, y, width, height in pixels, of what is seen of it; None where it is not known."""
    mask: NDArray[np.bool_] | None = None
    """(H, W)."""
    point: NDArray[np.float64] | None = None
    """(3,), what is to be in the crop's middle, in the camera's axes, millimetres: of a pose."""
    distance: float | None = None
    """z of the object by its pose, where `box` is to be in the middle."""


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """(4,), x, y, width and height of the tight box around a mask; None of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return np.array(
        [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1], np.float64
    )
