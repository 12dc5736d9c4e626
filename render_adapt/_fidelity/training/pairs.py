"""What the judge learns from: hard pictures of objects, and labels that are true of them or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, Mesh, Symmetries
from render_adapt._fidelity.label_view import SIDE, label_planes, label_view_of
from render_adapt._fidelity.training.faults import erased, swapped, turned
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    PlanConfig,
    Plans,
    angle_between,
    capture,
    load_textures,
    make_plans,
    make_renderer,
    matrix_from_quaternion,
    symmetry_quaternions,
)

HARDEST = replace(
    RANDOMIZATIONS["strong"], texture_swap=0.3, occluders=(0, 1), neighbours=(0, 0),
    depth_sensor="exact",
)  # fmt: skip
"""What the pictures were taken with. Depth plays no part."""
_TURNS = (3.0, 90.0)
_ERASED = 0.06
_SWAPPED = 0.3


@dataclass(frozen=True)
class Pairs:
    """M pictures, each with its true label and with one that is false."""

    picture: NDArray[np.uint8]
    """(M, 64, 64, 3), RGB, strongly randomised."""
    inside: NDArray[np.bool_]
    """(M, 64, 64), where the picture shows its target."""
    true_label: NDArray[np.int8]
    """(M, 5, 64, 64), 127 times `label_planes` of what the picture shows, under another light."""
    false_label: NDArray[np.int8]
    """(M, 5, 64, 64), of the target turned, or of another object in its place."""
    erased: NDArray[np.bool_]
    """(M,), the picture shows no target, so that no label is true of it."""
    swapped: NDArray[np.bool_]
    """(M,), the false label is of another object."""
    turn: NDArray[np.float32]
    """(M, 3), rotation vector, degrees, camera axes: turns the false label into the picture."""

    def __len__(self) -> int:
        return len(self.picture)


def make_pairs(models: Sequence[CadModel], count: int, seed: int) -> Pairs:
    """Draw `count` pairs that show the models in turn.

    Args:
        models: two objects or more.
        count: pictures.
        seed: decides all of it.
    """
    textures = load_textures(None)
    renderer = make_renderer("raster", models, textures=textures, seed=seed, levels=False)
    config = PlanConfig(size=SIDE, viewpoints="so3")
    parts = []
    for start in range(0, count, 256):
        random = np.random.default_rng([seed, start, 0])
        stop = min(start + 256, count)
        plans = make_plans(
            config, models, seed, start, stop, HARDEST, textures=len(textures)
        )  # fmt: skip
        light = make_plans(config, models, seed + 1, start, stop)
        is_erased = random.random(len(plans)) < _ERASED
        picture = capture(
            renderer.render(_either(is_erased, erased(plans), plans)), HARDEST, seed, models
        )
        label = replace(
            plans,
            light_direction=light.light_direction,
            light_color=light.light_color,
            ambient_color=light.ambient_color,
        )
        is_swapped = random.random(len(plans)) < _SWAPPED
        degrees = np.exp(random.uniform(math.log(_TURNS[0]), math.log(_TURNS[1]), len(plans)))
        wrong_turn = turned(label, models, degrees, random)
        wrong = _either(is_swapped, swapped(label, models, random), wrong_turn)
        back = plans.rotation @ np.swapaxes(wrong_turn.rotation, 1, 2)
        parts.append(
            Pairs(
                picture=picture.rgb,
                inside=picture.mask_visib,
                true_label=_label(renderer.render(label)),
                false_label=_label(renderer.render(wrong)),
                erased=is_erased | _hardly_visible(picture),
                swapped=is_swapped,
                turn=np.where(
                    _looks_turned(plans, wrong_turn, models)[:, None], _rotation_vector(back), 0.0
                ).astype(np.float32),
            )
        )
    return Pairs(*(np.concatenate(arrays) for arrays in zip(*map(_arrays, parts), strict=True)))


def _arrays(pairs: Pairs) -> tuple[NDArray[np.generic], ...]:
    return tuple(vars(pairs).values())


def _either(where: NDArray[np.bool_], first: Plans, second: Plans) -> Plans:
    """The first's targets where `where`, else the second's."""
    return replace(
        second,
        object_index=np.where(where, first.object_index, second.object_index),
        rotation=np.where(where[:, None, None], first.rotation, second.rotation),
        translation=np.where(where[:, None], first.translation, second.translation),
    )


def _label(crops: CropBatch) -> NDArray[np.int8]:
    return np.rint(127 * np.clip(label_planes(label_view_of(crops)), -1, 1)).astype(np.int8)


def _hardly_visible(crops: CropBatch) -> NDArray[np.bool_]:
    return np.asarray(crops.mask_visib.sum(axis=(1, 2)) < 40)


def _rotation_vector(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3), degrees."""
    angle = angle_between(np.eye(3)[None], rotation)
    skew = rotation - np.swapaxes(rotation, 1, 2)
    vector = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1)
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    return np.asarray(angle[:, None] * vector / np.maximum(length, 1e-12))


def _looks_turned(
    plans: Plans, wrong: Plans, models: Sequence[CadModel]
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether the turn is no symmetry of the object, or nearly one."""
    symmetries = matrix_from_quaternion(symmetry_quaternions(models))[plans.object_index]
    same = plans.rotation[:, None] @ symmetries
    visible_turn = angle_between(same, wrong.rotation[:, None]).min(axis=1)
    full_turn = angle_between(plans.rotation, wrong.rotation)
    return np.asarray(visible_turn > 0.7 * full_turn)


def random_shapes(count: int, seed: int) -> list[CadModel]:
    """Solids put together at random of boxes, balls, cylinders and cones, some of many colours.

    They teach the judge objects in general rather than those that happen to be built in.
    """
    return [_random_shape(number, np.random.default_rng([seed, number])) for number in range(count)]


def _random_shape(number: int, random: np.random.Generator) -> CadModel:
    from trimesh import transformations

    vertices, faces, normals, colors, first = [], [], [], [], 0
    for _ in range(random.integers(2, 6)):
        part = _random_solid(random)
        while len(part.faces) < 600:
            part = part.subdivide()
        part.apply_transform(transformations.random_rotation_matrix(random.random(3)))
        part.apply_translation(random.normal(0, 18, 3))
        # Each face has corners of its own, so that edges stay sharp.
        points = part.vertices[part.faces].reshape(-1, 3)
        vertices.append(points)
        faces.append(first + np.arange(len(points)).reshape(-1, 3))
        normals.append(np.repeat(part.face_normals, 3, axis=0))
        colors.append(_paint(points, random))
        first += len(points)
    points = np.concatenate(vertices).astype(np.float32)
    mesh = Mesh(
        vertices=points,
        faces=np.concatenate(faces).astype(np.int32),
        normals=np.concatenate(normals).astype(np.float32),
        colors=np.concatenate(colors),
    )
    diameter = float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))
    return CadModel(
        f"shape{number}", 1000 + number, mesh, diameter, Symmetries(), "drawn", "0" * 64
    )


def _random_solid(random: np.random.Generator) -> Any:
    from trimesh import creation

    a, b, c = random.uniform(15, 70, 3)
    kind = random.integers(5)
    if kind == 0:
        return creation.box((a, b, c))
    if kind == 1:
        return creation.icosphere(3, radius=a / 2)
    if kind == 2:
        return creation.cylinder(a / 2, b, sections=32)
    if kind == 3:
        return creation.cone(a / 2, b, sections=32)
    return creation.annulus(a / 4, a / 2, a / 3, sections=32)


def _paint(points: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    """(P, 3), one colour, or two that take turns over the surface."""
    first, second = random.uniform(0, 255, (2, 3))
    wave = np.sin(points @ random.normal(0, 0.08, 3) + random.uniform(0, 6.3))
    share = random.choice([0.0, 1.0]) * (wave > random.uniform(-0.5, 0.5))
    color = np.rint(first + share[:, None] * (second - first))
    return np.asarray(color, np.uint8)
