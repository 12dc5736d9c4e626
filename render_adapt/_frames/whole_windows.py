"""Windows that lie wholly within their frame, as LINEMOD's crops were cut, and what they show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer import window_pixels


@dataclass(frozen=True)
class WholeWindow:
    """A square of a frame's pixels.

    Convention:
        Whole pixels, counted from the frame's first.
    """

    left: int
    top: int
    side: int
    """An even number."""

    @property
    def middle(self) -> tuple[float, float]:
        """Column and line, from the frame's corner."""
        return self.left + self.side / 2, self.top + self.side / 2

    def colors(self, picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """(size, size, 3), averaged over area where that is smaller."""
        return np.asarray(self._resized(picture[self._part], size), np.uint8)

    def depth(self, picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """(size, size), of the nearest pixels: a mean over an edge is on neither side."""
        exact = cv2.INTER_NEAREST_EXACT
        return np.asarray(cv2.resize(picture[self._part], (size, size), interpolation=exact))

    def mask(self, picture: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
        """(size, size), where at least half of a pixel is."""
        return self._resized(picture[self._part].astype(np.float32), size) >= 0.5

    @property
    def _part(self) -> tuple[slice, slice]:
        lines = slice(self.top, self.top + self.side)
        return lines, slice(self.left, self.left + self.side)

    def _resized(
        self, part: NDArray[np.uint8 | np.float32], size: int
    ) -> NDArray[np.uint8 | np.float32]:
        method = cv2.INTER_AREA if self.side > size else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, (size, size), interpolation=method))


def whole_window(
    camera_matrix: NDArray[np.float64],
    place: NDArray[np.float64],
    window: float,
    width: int,
    height: int,
) -> WholeWindow | None:
    """The window around a place; None where it reaches over the frame's border.

    Convention:
        As LINEMOD's crops are cut: a square of 2 floor(window / 2 * f / z) pixels around where the
        middle is seen, to the nearest pixel.

    Args:
        camera_matrix: (3, 3), pixels counted from the frame's corner.
        place: (3,), of the middle in the camera's frame, millimetres.
        window: side of the square, millimetres.
        width, height: of the frame, pixels.
    """
    k, (x, y, z) = camera_matrix, place
    if z <= 0 or not math.isfinite(x / z) or not math.isfinite(y / z):
        return None
    side = int(window_pixels(float(k[0, 0]), window, z))
    left = round(k[0, 0] * x / z + k[0, 2]) - side // 2
    top = round(k[1, 1] * y / z + k[1, 2]) - side // 2
    if min(left, top) < 0 or left + side > width or top + side > height:
        return None
    return WholeWindow(left, top, side)
