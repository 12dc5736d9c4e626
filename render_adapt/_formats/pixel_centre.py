"""How K counts pixels: inside from the picture's corner, in datasets as their metadata says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

INSIDE = 0.5
"""Where the first pixel's centre is in the coordinates of `Plans.camera_matrix`."""
CENTRES = (0.0, INSIDE)
"""Where it may be in those of a dataset: at 0, as OpenCV's calibrations and nearly all readers
count, or at 0.5, as renderers do."""
KEY = "pixel_center"
"""What metadata call it: conventions of a manifest, cameras in BOP's files."""


def recounted(
    camera_matrix: NDArray[np.float64], old_centre: float, new_centre: float
) -> NDArray[np.float64]:
    """(..., 3, 3), the same cameras in other coordinates of their pictures.

    Args:
        camera_matrix: (..., 3, 3).
        old_centre: where the first pixel's centre is in its coordinates.
        new_centre: where it shall be.
    """
    moved = np.array(camera_matrix, np.float64)
    moved[..., :2, 2] += new_centre - old_centre
    return moved


def camera_entry(pixel_centre: float) -> dict[str, float]:
    """What stands beside a written K; nothing does where the first pixel's centre is at 0.5, as in
    datasets that were written before there was a choice."""
    return {} if pixel_centre == INSIDE else {KEY: pixel_centre}


def read_pixel_centre(entry: Mapping[str, Any]) -> float:
    """Where the first pixel's centre is in the coordinates of a K, by what stands beside it.

    Raises:
        ValueError: it is none of `CENTRES`.
    """
    centre = entry.get(KEY, INSIDE)
    if centre not in CENTRES:
        raise ValueError(f"its {KEY} is {centre!r:.40}, not 0 or 0.5")
    return float(centre)
