"""Symmetries that are declared in words, as in bowl=z: files of meshes cannot say them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cad_models._model import CadModel, ContinuousSymmetry, Symmetries
from cad_models._names import name_from_file, spelling
from checked_settings import SettingError

_DECLARED = re.compile(r"([^=]+?)\s*=\s*([xyz])([1-9]\d?)?")
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
_MOST_TURNS = 60
_LARGEST_GROUP = 120
_SAME = 1e-9
_ON_AXIS = 0.01
"""Of the diameter: the axis is taken through the origin, where it passes so near."""
_FARTHEST_OFF = 0.05
"""Of the diameter: an object that a turn moves further than that is not symmetric so."""
_DIRECTIONS = 64
_TRIED_TURNS = 6

Turn = tuple[str, int]
"""An axis, and how many turns about it make a whole one; 0 for any turn."""


def declare_symmetries(models: Sequence[CadModel], declared: Sequence[str]) -> list[CadModel]:
    """Models with the symmetries that are declared for them, in place of those that they have.

    `bowl=z` says that any turn about the model's z axis leaves `bowl` as it looks, `box=z2` that a
    half turn does, `nut=z6` that each sixth of a turn does. Several for one object go together:
    `box=z2` and `box=x2` leave a third half turn, about y.

    Convention:
        Axes are those of the mesh's own coordinates. They pass through the mean of the surface,
        where every axis of symmetry does, or through the origin where that is within a hundredth of
        the diameter.

    Args:
        models: the objects.
        declared: such entries.

    Raises:
        SettingError: an entry is not of that form, is of none of the models, does not go with
            another one, or turns an object that the turn shows to be another.
    """
    turns: dict[int, list[Turn]] = {}
    names = {spelling(model.name): number for number, model in enumerate(models)}
    for entry in declared:
        name, turn = _parsed(entry)
        # A program's name of an object, `Tin.001`, is not quite the model's.
        fit = next((key for key in _spellings(name) if key in names), None)
        if fit is None:
            raise SettingError(
                f"`symmetry` {entry}: {name} is none of the objects, which are "
                f"{', '.join(model.name for model in models)}"
            )
        turns.setdefault(names[fit], []).append(turn)
    return [
        replace(model, symmetries=_symmetries(model, turns[number])) if number in turns else model
        for number, model in enumerate(models)
    ]


def _spellings(name: str) -> tuple[str, str]:
    return spelling(name), spelling(name_from_file(name) or name)


def _parsed(entry: str) -> tuple[str, Turn]:
    found = _DECLARED.fullmatch(entry.strip())
    count = int(found[3] or 0) if found else 1
    if found is None or count == 1 or count > _MOST_TURNS:
        raise SettingError(
            f"`symmetry` {entry}: write NAME=AXIS for any turn, as in bowl=z, or how many turns "
            f"make a whole one behind it, 2 to {_MOST_TURNS}, as in box=z2"
        )
    return found[1], (found[2], count)


def _symmetries(model: CadModel, turns: Sequence[Turn]) -> Symmetries:
    centre = _centre(model)
    for turn in turns:
        _refuse_another_axis(model, centre, turn)
    around = sorted({axis for axis, count in turns if not count})
    # A part of a turn about an axis is among any turn about it.
    parts = [turn for turn in turns if turn[1] and turn[0] not in around]
    if around and any(count > 2 or len(around) > 1 for _, count in parts):
        axis, count = next(turn for turn in parts if turn[1] > 2 or len(around) > 1)
        raise SettingError(
            f"`symmetry` {model.name}={axis}{count} does not go with {model.name}={around[0]}: "
            "beside any turn about one axis there may be half turns about the others"
        )
    offset = (float(centre[0]), float(centre[1]), float(centre[2]))
    return Symmetries(
        discrete=_transforms(_closed(parts, model.name), centre),
        continuous=tuple(ContinuousSymmetry(_AXES[axis], offset) for axis in around),
    )


def _centre(model: CadModel) -> NDArray[np.float64]:
    """(3,), the mean of the surface; 0 in coordinates in which it is nearly that."""
    corners = model.mesh.vertices.astype(np.float64)[model.mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    mean = (corners.mean(axis=1) * area[:, None]).sum(axis=0) / area.sum()
    return np.where(np.abs(mean) < _ON_AXIS * model.diameter, 0.0, mean)


def _refuse_another_axis(model: CadModel, centre: NDArray[np.float64], turn: Turn) -> None:
    """Refuse a turn that moves the convex hull, by the Hausdorff distance of the two."""
    axis, count = turn
    angles = [2 * math.pi / count] if count else np.arange(1, _TRIED_TURNS + 1) * (2 * math.pi / 7)
    directions, points = _directions(), model.hull - centre
    reach = (points @ directions.T).max(axis=0)
    turned = [(points @ _rotation(axis, angle) @ directions.T).max(axis=0) for angle in angles]
    off = max(float(np.abs(one - reach).max()) for one in turned)
    if off > _FARTHEST_OFF * model.diameter:
        stated = f"{model.name}={axis}{count or ''}"
        raise SettingError(
            f"`symmetry` {stated}: such a turn moves its outline by {off:.0f} mm, of "
            f"{model.diameter:.0f} mm: name the axis and the turns that leave it as it looks, or "
            "leave it out"
        )


def _directions() -> NDArray[np.float64]:
    """(64, 3), evenly all around."""
    number = np.arange(_DIRECTIONS) + 0.5
    z, angle = 1 - 2 * number / _DIRECTIONS, number * math.pi * (1 + math.sqrt(5))
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=1)


def _rotation(axis: str, angle: float) -> NDArray[np.float64]:
    """(3, 3), by radians; exact for quarter turns."""
    cosine, sine = (round(value, 15) for value in (math.cos(angle), math.sin(angle)))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[[first, second], [first, second]] = cosine
    rotation[first, second], rotation[second, first] = -sine, sine
    return rotation


def _closed(turns: Iterable[Turn], name: str) -> list[NDArray[np.float64]]:
    """All rotations that turns lead to one after the other, the identity first.

    Raises:
        SettingError: there are more than any solid has.
    """
    generators = [_rotation(axis, 2 * math.pi / count) for axis, count in turns]
    elements = [np.eye(3)]
    for element in elements:
        for generator in generators:
            product = element @ generator
            if np.abs(np.stack(elements) - product).max(axis=(1, 2)).min() > 1e-6:
                elements.append(product)
        if len(elements) > _LARGEST_GROUP:
            raise SettingError(
                f"`symmetry` of {name}: its turns do not go together, since one after the other "
                "they lead to ever new ones: leave one out"
            )
    return elements


def _transforms(
    rotations: Sequence[NDArray[np.float64]], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(K, 4, 4), about a point, without the identity."""
    transforms = np.tile(np.eye(4), (len(rotations) - 1, 1, 1))
    for transform, rotation in zip(transforms, rotations[1:], strict=True):
        shift = centre - rotation @ centre
        transform[:3, :3] = rotation
        transform[:3, 3] = np.where(np.abs(shift) < _SAME, 0.0, shift)
    return transforms
