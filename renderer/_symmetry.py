"""One pose for all the poses of a symmetric object that look the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import Symmetries
from renderer._crops import RenderError
from renderer._geometry import angle_between, quaternion_from_matrix, rotation_about

_LARGEST_GROUP = 120
_SAME = 1e-6
_MEASURED_TO = 2.0
"""Degrees: LINEMOD's glue has a half turn of 178.5."""


def canonical_pose(
    rotation: ArrayLike, translation: ArrayLike, symmetries: Symmetries
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of all poses that give the same image of a symmetric object, the one that is written.

    It is the pose with the smallest rotation angle; where several tie (to 1e-6), their matrices
    decide, compared entry by entry, the greater first. Objects without symmetries
    keep their pose.

    The transforms of `models_info.json` are measured, so that repeating a half turn does not quite
    lead back. They are taken for the exact group that they stand for: angles become the nearest
    whole fraction of a turn, and compositions are added.

    Convention:
        Millimetres, model-to-camera. A symmetry S is an equivalent of the pose as pose @ S.

    Args:
        rotation: (..., 3, 3).
        translation: (..., 3).
        symmetries: the object's.

    Returns:
        (..., 3, 3) and (..., 3).

    Raises:
        RenderError: the discrete symmetries do not close to a group of at most 120 elements.
    """
    old = np.asarray(rotation, np.float64)
    position = np.asarray(translation, np.float64)
    if not len(symmetries.discrete) and not symmetries.continuous:
        return old, position
    turns, shifts = _group(symmetries.discrete)
    candidates = old[..., None, :, :] @ turns
    fixed = np.zeros(3)
    if symmetries.continuous:
        fixed = _fixed_point(symmetries)
        candidates = _without_twist(candidates, symmetries)
    best = _choose(candidates)
    new = np.take_along_axis(candidates, best[..., None, None, None], axis=-3)[..., 0, :, :]
    # A discrete symmetry takes `fixed` to turn @ fixed + shift; a twist leaves it where it is.
    image = (turns @ fixed + shifts)[best]
    return new, position + _apply(old, image) - _apply(new, fixed)


def canonical_rotation(rotation: ArrayLike, symmetries: Symmetries) -> NDArray[np.float64]:
    """The rotation of `canonical_pose`, (..., 3, 3): it does not depend on the translation."""
    old = np.asarray(rotation, np.float64)
    return canonical_pose(old, np.zeros(old.shape[:-1]), symmetries)[0]


def _fixed_point(symmetries: Symmetries) -> NDArray[np.float64]:
    """A point on all axes of continuous symmetry."""
    axes = _axes(symmetries)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    offsets = np.array([symmetry.offset for symmetry in symmetries.continuous], np.float64)
    return _least_squares(across.reshape(-1, 3), _apply(across, offsets).reshape(-1))


def _without_twist(rotation: NDArray[np.float64], symmetries: Symmetries) -> NDArray[np.float64]:
    """Of all rotations @ (turn about the axis), the smallest: straight from axis to its image.

    Two different axes make a sphere, which looks the same in every rotation.
    """
    axes = _axes(symmetries)
    axis = axes[0]
    if (np.linalg.norm(np.cross(axes, axis), axis=1) > _SAME).any():
        return np.broadcast_to(np.eye(3), rotation.shape)
    image = _apply(rotation, axis)
    normal = np.cross(axis, image)
    sine = np.linalg.norm(normal, axis=-1)
    cosine = image @ axis
    # Opposite to the axis every half turn is equally near: take the one about a fixed normal.
    fixed = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    opposite = (sine < _SAME) & (cosine < 0)
    normal = np.where(((sine > 1e-12) & ~opposite)[..., None], normal, fixed)
    return rotation_about(normal, np.where(opposite, np.pi, np.arctan2(sine, cosine)))


def _choose(candidates: NDArray[np.float64]) -> NDArray[np.int64]:
    """(...), the position of the canonical rotation among (..., K, 3, 3)."""
    # The trace falls as the angle grows: it is the first thing to compare.
    trace = np.trace(candidates, axis1=-2, axis2=-1)
    entries = np.moveaxis(candidates.reshape(*trace.shape, 9), -1, 0)
    remaining = np.ones(trace.shape, bool)
    for value in (trace, *entries):
        best = np.where(remaining, value, -np.inf).max(axis=-1, keepdims=True)
        remaining &= value > best - _SAME
    return np.asarray(np.argmax(remaining, axis=-1))


def _group(transforms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The group that rigid transforms (K, 4, 4) generate: rotations (G, 3, 3), shifts (G, 3)."""
    generators = [_exact(transform) for transform in transforms]
    elements = [(np.eye(3), np.zeros(3))]
    for turn, shift in elements:
        for other_turn, other_shift in generators:
            product = turn @ other_turn, turn @ other_shift + shift
            apart = angle_between(product[0], np.stack([known for known, _ in elements]))
            if apart.min() > _MEASURED_TO:
                elements.append(product)
            if len(elements) > _LARGEST_GROUP:
                raise RenderError(
                    "The discrete symmetries do not close to a group of at most "
                    f"{_LARGEST_GROUP} elements: check symmetries_discrete in models_info.json."
                )
    return np.stack([turn for turn, _ in elements]), np.stack([shift for _, shift in elements])


def _exact(transform: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A measured symmetry as a turn by a whole fraction of 360 degrees about a line."""
    rotation, shift = transform[:3, :3], transform[:3, 3]
    quaternion = quaternion_from_matrix(rotation)
    sine = float(np.linalg.norm(quaternion[1:]))
    angle = np.degrees(2 * np.arctan2(sine, quaternion[0]))
    if angle < _MEASURED_TO:
        return np.eye(3), np.zeros(3)
    # Small fractions lie far apart and may be missed by more than fine ones.
    for count in range(2, _LARGEST_GROUP + 1):
        whole = round(angle * count / 360) * 360 / count
        if whole > 0 and abs(angle - whole) < min(_MEASURED_TO, 90 / count**2):
            angle = whole
            break
    axis = quaternion[1:] / sine
    turn = rotation_about(axis, np.radians(angle))
    across = shift - (shift @ axis) * axis
    line = _least_squares(np.eye(3) - rotation, across)
    return turn, line - turn @ line


def _axes(symmetries: Symmetries) -> NDArray[np.float64]:
    axes = np.array([symmetry.axis for symmetry in symmetries.continuous], np.float64)
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))


def _least_squares(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(matrix, values, rcond=1e-6)[0])


def _apply(rotation: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((rotation @ point[..., None])[..., 0])
