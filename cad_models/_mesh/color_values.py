"""Colours as files write them, into bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def as_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(N, 3) colours as bytes. The array's kind and largest value say what stands for white.

    Bytes stay. Floats up to 1 (2, so that a highlight over 1 does not turn all else black) are
    fractions. Other numbers are of 255, of 65535 where one is above 255, or of 2^32 - 1.
    """
    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    largest = float(numbers.max(initial=0))
    white = next((white for white in (255, 65535) if largest <= white), 2**32 - 1)
    if values.dtype.kind == "f" and largest <= 2:
        white = 1
    return np.floor(np.clip(numbers * (255 / white), 0, 255) + 0.5).astype(np.uint8)
