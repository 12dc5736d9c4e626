"""Rotations: quaternions, turns about an axis, angles between poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from renderer._crops import RenderError


def quaternion_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """The unit quaternions of rotation matrices.

    Accurate at every angle: of the four ways to read a quaternion off a matrix, the one with the
    largest divisor is taken (Shepperd, 1978).

    Convention:
        (w, x, y, z) with w >= 0. At a half turn, where w = 0 and both signs name the same rotation,
        the first component that is not 0 is positive.

    Args:
        rotation: (..., 3, 3).

    Returns:
        (..., 4).
    """
    r = np.asarray(rotation, np.float64)
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    # Each row is a quaternion times four times one of its own components.
    candidates = np.stack(
        [
            _vector(1 + xx + yy + zz, r[..., 2, 1] - r[..., 1, 2],
                    r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]),
            _vector(r[..., 2, 1] - r[..., 1, 2], 1 + xx - yy - zz,
                    r[..., 1, 0] + r[..., 0, 1], r[..., 0, 2] + r[..., 2, 0]),
            _vector(r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] + r[..., 0, 1],
                    1 - xx + yy - zz, r[..., 2, 1] + r[..., 1, 2]),
            _vector(r[..., 1, 0] - r[..., 0, 1], r[..., 0, 2] + r[..., 2, 0],
                    r[..., 2, 1] + r[..., 1, 2], 1 - xx - yy + zz),
        ],
        axis=-2,
    )  # fmt: skip
    best = np.argmax(np.diagonal(candidates, axis1=-2, axis2=-1), axis=-1)
    best_candidate = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    unit = best_candidate / np.linalg.norm(best_candidate, axis=-1, keepdims=True)
    leading = np.take_along_axis(unit, np.argmax(unit != 0, axis=-1)[..., None], axis=-1)
    return np.asarray(np.where(leading < 0, -unit, unit) + 0.0)


def matrix_from_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:
    """The rotation matrices of quaternions, which need not have unit length.

    Args:
        quaternion: (..., 4), (w, x, y, z).

    Returns:
        (..., 3, 3).

    Raises:
        RenderError: a quaternion is zero or not finite.
    """
    q = np.asarray(quaternion, np.float64)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    if not (np.isfinite(length) & (length > 0)).all():
        raise RenderError("a quaternion is zero or not finite, so that it names no rotation")
    w, x, y, z = np.moveaxis(q / length, -1, 0)
    rows = [
        _vector(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        _vector(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        _vector(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return np.stack(rows, axis=-2)


def rotation_about(axis: ArrayLike, angle: ArrayLike) -> NDArray[np.float64]:
    """Rotations by `angle` about `axis`, by the right-hand rule.

    Args:
        axis: (..., 3), any length but 0.
        angle: (...), radians.

    Returns:
        (..., 3, 3).
    """
    direction = np.asarray(axis, np.float64)
    unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    half = np.asarray(angle, np.float64)[..., None] / 2
    cosine, vector = np.broadcast_arrays(np.cos(half), np.sin(half) * unit)
    return matrix_from_quaternion(np.concatenate([cosine[..., :1], vector], axis=-1))


def angle_between(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """The angle of the rotation that leads from one rotation to the other, accurate down to 0.

    Args:
        first, second: (..., 3, 3).

    Returns:
        (...), degrees, 0 to 180.
    """
    relative = np.swapaxes(np.asarray(first, np.float64), -1, -2) @ np.asarray(second, np.float64)
    quaternion = quaternion_from_matrix(relative)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1)
    return np.asarray(np.degrees(2 * np.arctan2(sine, quaternion[..., 0])))


def _vector(*components: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(components, axis=-1)
