"""Planes as crops see them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from renderer._crops import Plans


def plane_depth(
    plans: Plans, normal: NDArray[np.float64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the rays of pixel centres meet a plane.

    Args:
        plans: N crops.
        normal: (N, 3), camera frame.
        point: (N, 3), of the plane, camera frame, millimetres.

    Returns:
        (N, H, W), z in millimetres, 0 where the ray does not meet the plane before the camera.
    """
    # On a plane, 1 / z is linear in the image.
    offset = (normal * point).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b, c = (
            np.linalg.inv(plans.camera_matrix).swapaxes(1, 2) @ (normal / offset)[..., None]
        )[..., 0].T
        columns, rows = np.arange(plans.width) + 0.5, np.arange(plans.height) + 0.5
        across = a[:, None] * columns + c[:, None]
        depth = 1 / (across[:, None, :] + (b[:, None] * rows)[:, :, None])
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0)
