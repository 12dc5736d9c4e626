"""Between light, which is linear, and the 8-bit sRGB of pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encoded(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The sRGB of linear values, those beyond 0 and 1 clipped."""
    value = np.clip(linear, 0.0, 1.0)
    curve = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curve), dtype=np.uint8)


def _decoded() -> NDArray[np.float64]:
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


LINEAR = _decoded()
"""(256,), the linear value of each of sRGB's."""
