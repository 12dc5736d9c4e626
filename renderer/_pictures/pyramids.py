"""Pictures that may be swapped in for models' colours, each at several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError


class Pictures:
    """Pictures and their halves, quarters and so on, all in one list.

    Args:
        pictures: (h, w, 3) RGB each, what `Surfaces.texture` counts.

    Raises:
        RenderError: one is no 8-bit RGB picture.
    """

    def __init__(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        for number, picture in enumerate(pictures):
            _check(number, picture)
        pyramids = [_pyramid(picture) for picture in pictures]
        self.count = len(pyramids)
        """How many pictures were given."""
        self.levels = [level for pyramid in pyramids for level in pyramid]
        """Each of them at each of its sizes."""
        self.aspects = [
            pyramid[0].shape[0] / pyramid[0].shape[1] for pyramid in pyramids for _ in pyramid
        ]
        """Height by width, of each of `levels`, as it was before it was made smaller."""
        self._firsts = np.cumsum([0, *map(len, pyramids)])[:-1]
        self._lasts = self._firsts + [len(pyramid) - 1 for pyramid in pyramids]
        self._widths = np.array([pyramid[0].shape[1] for pyramid in pyramids])

    def find(
        self, numbers: NDArray[np.int32], pixels_per_period: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """The places in `levels` at which pictures have no more than about a texel to a pixel.

        Args:
            numbers: which pictures, -1 for none.
            pixels_per_period: of the same shape, how wide each is in the crop.

        Returns:
            Of the same shape, -1 for none.
        """
        if not self.count:
            return np.full(numbers.shape, -1, np.int32)
        density = self._widths[numbers] / pixels_per_period
        halvings = np.rint(np.log2(np.maximum(density, 1.0))).astype(np.int64)
        place = np.minimum(self._firsts[numbers] + halvings, self._lasts[numbers])
        return np.where(numbers < 0, -1, place).astype(np.int32)


def _pyramid(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A picture, and the same halved again and again."""
    pyramid = [np.ascontiguousarray(picture)]
    while max(pyramid[-1].shape[:2]) > 1:
        height, width = pyramid[-1].shape[:2]
        smaller = cv2.resize(
            pyramid[-1], ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA
        )
        pyramid.append(np.asarray(smaller, np.uint8))
    return pyramid


def _check(number: int, picture: NDArray[np.uint8]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise RenderError(
            f"texture {number} is {picture.dtype} of shape {picture.shape}: give 8-bit RGB "
            "pictures, (h, w, 3)"
        )
