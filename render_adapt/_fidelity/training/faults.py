"""Faults planted on purpose: the same crops, but the target is not where its label says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel
from renderer import Plans, rotation_about

_FAR_AWAY = 1e3
"""Crop widths."""


def shifted(plans: Plans, pixels: ArrayLike, random: np.random.Generator) -> Plans:
    """The target moved by so many pixels in a random direction, at its own distance.

    Args:
        plans: N crops.
        pixels: (N,), or one number for all.
        random: draws the directions.
    """
    angle = random.uniform(0.0, 2 * np.pi, len(plans))
    step = np.asarray(pixels) * np.stack([np.cos(angle), np.sin(angle)])
    return _moved(plans, step)


def turned(
    plans: Plans, models: Sequence[CadModel], degrees: ArrayLike, random: np.random.Generator
) -> Plans:
    """The target turned by so many degrees about a random axis through its centre.

    Args:
        plans: N crops.
        models: the objects that the plans were made for.
        degrees: (N,), or one number for all.
        random: draws the axes, evenly from all directions.
    """
    axis = random.normal(size=(len(plans), 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.broadcast_to(np.deg2rad(degrees), (len(plans),))
    return _with_rotation(plans, models, rotation_about(axis, angle) @ plans.rotation)


def erased(plans: Plans) -> Plans:
    """The target gone from the crop; what is behind it and beside it stays."""
    return _moved(plans, np.array([[_FAR_AWAY * plans.width], [0.0]]))


def swapped(plans: Plans, models: Sequence[CadModel], random: np.random.Generator) -> Plans:
    """Another of the objects, drawn at random, in the target's place and pose.

    Raises:
        ValueError: there is no other object.
    """
    if len(models) < 2:
        raise ValueError("one object cannot be swapped for another: give two or more")
    step = random.integers(1, len(models), len(plans))
    swapped_index = ((plans.object_index + step) % len(models)).astype(np.int32)
    centre = _centres(plans, models)
    new = replace(plans, object_index=swapped_index)
    shift = np.array([models[i].centre for i in swapped_index])
    return replace(new, translation=centre - _apply(new.rotation, shift))


def _moved(plans: Plans, step: NDArray[np.float64]) -> Plans:
    """(2, N) or (2, 1) pixels across and down, at the depth of the target's centre."""
    focal = plans.camera_matrix[:, [0, 1], [0, 1]].T
    offset = np.zeros_like(plans.translation)
    offset[:, :2] = (step * plans.centre_depth / focal).T
    return replace(plans, translation=plans.translation + offset)


def _with_rotation(
    plans: Plans, models: Sequence[CadModel], rotation: NDArray[np.float64]
) -> Plans:
    centre = np.array([models[i].centre for i in plans.object_index])
    translation = _centres(plans, models) - _apply(rotation, centre)
    return replace(plans, rotation=rotation, translation=translation)


def _centres(plans: Plans, models: Sequence[CadModel]) -> NDArray[np.float64]:
    """(N, 3), the targets' centres in the camera's frame."""
    centre = np.array([models[i].centre for i in plans.object_index])
    return _apply(plans.rotation, centre) + plans.translation


def _apply(rotation: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("nij,nj->ni", rotation, points))
