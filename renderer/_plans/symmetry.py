"""Poses of a symmetric object that look the same: which they are, and one for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel, Symmetries
from renderer._crops import RenderError
from renderer._plans.rotations import angle_between, quaternion_from_matrix, rotation_about

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


def alike_pose(
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    symmetries: Symmetries,
    draws: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One of the poses that give the same image of a symmetric object, by two numbers in [0, 1).

    Convention:
        As for `canonical_pose`. Of a sphere, one of those about its first axis.

    Returns:
        (3, 3) and (3,).
    """
    turns, shifts = _group(symmetries.discrete)
    number = int(draws[0] * len(turns))
    turn, shift = turns[number], shifts[number]
    if symmetries.continuous:
        twist = rotation_about(_axes(symmetries)[0], 2 * np.pi * draws[1])
        fixed = _fixed_point(symmetries)
        turn, shift = turn @ twist, turn @ (fixed - twist @ fixed) + shift
    return rotation @ turn, rotation @ shift + translation


def symmetry_quaternions(
    models: Sequence[CadModel], step_degrees: float = 5.0
) -> NDArray[np.float64]:
    """All rotations that leave each model as it looks, the identity first.

    Measured discrete symmetries are taken for the exact group that they stand for, as in
    `canonical_pose`. An axis of continuous symmetry becomes turns about it by whole steps, so that
    the nearest of a model's listed rotations is at most half a step off.

    Convention:
        A rotation s is in the model's own axes: where the pose R shows the object, R s shows the
        same. Where s turns about a line beside the model's origin, the object's place changes too.
        Of a sphere, which no list of rotations can cover, only the identity is given: its poses
        are all one after `canonical_pose`.

    Args:
        models: the objects.
        step_degrees: greatest step between turns about an axis of continuous symmetry, above 0 and
            up to 180; the step taken is a whole fraction of a turn.

    Returns:
        (models, S, 4) unit quaternions w, x, y, z with w >= 0. S is the largest number of any
        model's symmetries; shorter lists are padded with the identity.

    Raises:
        RenderError: `step_degrees` is out of range, or discrete symmetries do not close to a group
            of at most 120 elements.
    """
    if not 0 < step_degrees <= 180:
        raise RenderError(f"step_degrees is {step_degrees}: give more than 0 and up to 180")
    lists = [_symmetry_rotations(model.symmetries, step_degrees) for model in models]
    padded = np.zeros((len(models), max(map(len, lists), default=1), 4))
    padded[..., 0] = 1.0
    for row, rotations in zip(padded, lists, strict=True):
        row[: len(rotations)] = quaternion_from_matrix(rotations)
    return padded


def _symmetry_rotations(symmetries: Symmetries, step_degrees: float) -> NDArray[np.float64]:
    """(S, 3, 3), each rotation once, the identity first."""
    turns, _ = _group(symmetries.discrete)
    if not symmetries.continuous:
        return turns
    if _is_sphere(symmetries):
        return np.eye(3)[None]
    count = math.ceil(360.0 / step_degrees - _SAME)
    twists = rotation_about(_axes(symmetries)[0], np.arange(count) * (2 * np.pi / count))
    distinct: list[NDArray[np.float64]] = []
    for rotation in (turns[:, None] @ twists).reshape(-1, 3, 3):
        # A discrete turn about the axis itself leads to some of the twists once more.
        if not distinct or np.abs(np.stack(distinct) - rotation).max(axis=(1, 2)).min() > _SAME:
            distinct.append(rotation)
    return np.stack(distinct)


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
    if _is_sphere(symmetries):
        return np.broadcast_to(np.eye(3), rotation.shape)
    axis = _axes(symmetries)[0]
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
            apart = angle_between(
                product[0], np.stack([element_turn for element_turn, _ in elements])
            )
            if apart.min() > _MEASURED_TO:
                elements.append(product)
            if len(elements) > _LARGEST_GROUP:
                raise RenderError(
                    "the discrete symmetries do not close to a group of at most "
                    f"{_LARGEST_GROUP} elements: check symmetries_discrete in models_info.json"
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


def _is_sphere(symmetries: Symmetries) -> bool:
    """Whether there are axes of continuous symmetry in different directions."""
    axes = _axes(symmetries)
    return bool((np.linalg.norm(np.cross(axes, axes[0]), axis=1) > _SAME).any())


def _axes(symmetries: Symmetries) -> NDArray[np.float64]:
    axes = np.array([symmetry.axis for symmetry in symmetries.continuous], np.float64)
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))


def _least_squares(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(matrix, values, rcond=1e-6)[0])


def _apply(rotation: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((rotation @ point[..., None])[..., 0])
