"""What crop number i of a run contains: a pure function of the settings, the seed and i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel
from renderer._crops import Plans, RenderError
from renderer._symmetry import canonical_rotation
from renderer._viewpoints import hemisphere_viewpoints, in_plane, look_at, uniform_rotation

PLAN_STREAM = 0
"""Crop i's plan is drawn from `np.random.default_rng([seed, i, PLAN_STREAM])`."""

_DRAWS = 14


@dataclass(frozen=True)
class PlanConfig:
    """How crops are posed, framed and lit.

    Raises:
        RenderError: a value is out of range; the message names its flag.
    """

    size: int = 64
    """Crops are this many pixels wide and high."""
    window: float = 200.0
    """Side of the square that a crop shows at the object's distance, millimetres. LineMod: 200."""
    viewpoints: Literal["hemisphere", "so3"] = "hemisphere"
    """From where: `hemisphere`, above the object as on a table; `so3`, any orientation."""
    subdivisions: int = 4
    """How fine the hemisphere's viewpoints are: 3 gives 301 of them, 4 gives 1241."""
    in_plane: float = 45.0
    """The image is turned by up to this many degrees to either side (hemisphere only)."""
    distance: tuple[float, float] = (650.0, 1100.0)
    """Least and greatest distance from the camera to the object's centre, millimetres.

    As far as LINEMOD's objects are from its camera (640 to 1091; 98 of 100 frames lie within 655 to
    1075): it sets the perspective, and how noisy a depth sensor is. Wohlhart & Lepetit rendered
    at 400.
    """
    light_angle: float = 75.0
    """The key light comes from up to this many degrees off the camera's own direction."""
    light_intensity: tuple[float, float] = (0.4, 0.9)
    """Least and greatest intensity of the key light; 1 shows a surface facing it at full."""
    ambient_intensity: tuple[float, float] = (0.3, 0.6)
    """Least and greatest intensity of the light that comes from everywhere."""
    light_tint: float = 0.1
    """How far the lights' red, green and blue may each differ from their intensity, 0 to 1."""

    def __post_init__(self) -> None:
        _check("size", 8 <= self.size <= 4096, self.size, "8 to 4096 pixels")
        _check("window", 1 <= self.window <= 1e5, self.window, "1 to 100000 mm")
        _check(
            "viewpoints", self.viewpoints in ("hemisphere", "so3"), self.viewpoints,
            "hemisphere or so3",
        )  # fmt: skip
        _check("subdivisions", 0 <= self.subdivisions <= 7, self.subdivisions, "0 to 7")
        _check("in-plane", 0 <= self.in_plane <= 180, self.in_plane, "0 to 180 degrees")
        _check(
            "distance", _is_range(self.distance, 1.0, 1e5), self.distance,
            "two distances in mm, the smaller one first",
        )  # fmt: skip
        _check("light-angle", 0 <= self.light_angle <= 180, self.light_angle, "0 to 180 degrees")
        for name in ("light_intensity", "ambient_intensity"):
            value = getattr(self, name)
            _check(
                name.replace("_", "-"), _is_range(value, 0.0, 10.0), value,
                "two numbers from 0 to 10, the smaller one first",
            )  # fmt: skip
        _check("light-tint", 0 <= self.light_tint <= 1, self.light_tint, "0 to 1")


def make_plans(
    config: PlanConfig, models: Sequence[CadModel], seed: int, start: int, stop: int
) -> Plans:
    """The plans of crops `start` to `stop` of a run.

    Objects take turns: crop i shows models[i % len(models)]. Poses of symmetric objects are
    canonical (`canonical_pose`).

    Convention:
        The centre of the object's bounding box is on the optical axis, at the crop's very centre,
        and the window is measured at its depth.

    Args:
        config: the settings.
        models: the run's objects.
        seed: the run's seed, at least 0.
        start, stop: crop numbers, as in a slice.

    Raises:
        RenderError: there are no models, or a number is out of range.
    """
    if seed < 0:
        raise RenderError(f"--seed is {seed}: give 0 or more.")
    if not 0 <= start <= stop:
        raise RenderError(f"There are no crops {start} to {stop}: give 0 <= start <= stop.")
    if not models:
        raise RenderError("There are no models to plan for: name at least one with --objects.")
    index = np.arange(start, stop, dtype=np.int64)
    draws = np.empty((len(index), _DRAWS))
    for row, number in enumerate(index):
        draws[row] = np.random.default_rng([seed, int(number), PLAN_STREAM]).random(_DRAWS)
    if config.viewpoints == "so3":
        rotations = uniform_rotation(draws[:, :3])
    else:
        viewpoints = hemisphere_viewpoints(config.subdivisions)
        chosen = viewpoints[(draws[:, 0] * len(viewpoints)).astype(np.int64)]
        turn = np.radians(config.in_plane) * (2 * draws[:, 1] - 1)
        rotations = in_plane(turn) @ look_at(chosen)
    tint = 1 + config.light_tint * (2 * draws[:, 8:14] - 1)
    return plans_from_poses(
        models,
        index % len(models),
        rotations,
        _between(config.distance, draws[:, 3]),
        size=config.size,
        window=config.window,
        light_direction=_around_the_camera(np.radians(config.light_angle), draws[:, 4:6]),
        light_color=_between(config.light_intensity, draws[:, 6])[:, None] * tint[:, :3],
        ambient_color=_between(config.ambient_intensity, draws[:, 7])[:, None] * tint[:, 3:],
        index=index,
    )


def plans_from_poses(
    models: Sequence[CadModel],
    object_index: ArrayLike,
    rotations: ArrayLike,
    distances: ArrayLike,
    *,
    size: int = 64,
    window: float = 200.0,
    light_direction: ArrayLike = (0.0, 0.0, -1.0),
    light_color: ArrayLike = 0.6,
    ambient_color: ArrayLike = 0.4,
    index: ArrayLike | None = None,
    canonical: bool = True,
) -> Plans:
    """Plans of given poses, framed as LineMod crops.

    Convention:
        As for `make_plans`: the bounding box's centre is on the optical axis, at `distances`.

    Args:
        models: the objects.
        object_index: (N,), positions in `models`.
        rotations: (N, 3, 3), model-to-camera.
        distances: (N,) or one for all, millimetres from the camera to the object's centre.
        size: pixels.
        window: side of the square that a crop shows at the object's distance, millimetres.
        light_direction: (N, 3) or (3,), camera frame, from the object towards the key light.
        light_color, ambient_color: (N, 3), (3,) or one number, 1 = full.
        index: (N,), the crops' numbers; 0 to N - 1 if not given.
        canonical: whether poses of symmetric objects are made canonical.
    """
    which = np.asarray(object_index, np.int32)
    count = len(which)
    rotation = np.array(rotations, np.float64).reshape(count, 3, 3)
    depth = np.broadcast_to(np.asarray(distances, np.float64), (count,)).copy()
    translation = np.zeros((count, 3))
    for number, model in enumerate(models):
        rows = which == number
        if canonical:
            rotation[rows] = canonical_rotation(rotation[rows], model.symmetries)
        translation[rows] = -(rotation[rows] @ model.centre)
    translation[:, 2] += depth
    direction = np.broadcast_to(np.asarray(light_direction, np.float64), (count, 3))
    return Plans(
        index=np.arange(count) if index is None else np.asarray(index, np.int64),
        object_index=which,
        rotation=rotation,
        translation=translation,
        camera_matrix=_crop_cameras(depth, size, window),
        centre_depth=depth,
        light_direction=_single(direction / np.linalg.norm(direction, axis=1, keepdims=True)),
        light_color=_single(np.broadcast_to(np.asarray(light_color), (count, 3))),
        ambient_color=_single(np.broadcast_to(np.asarray(ambient_color), (count, 3))),
        size=size,
    )


def _crop_cameras(depth: NDArray[np.float64], size: int, window: float) -> NDArray[np.float64]:
    cameras = np.zeros((len(depth), 3, 3))
    cameras[:, 0, 0] = cameras[:, 1, 1] = size * depth / window
    cameras[:, 0, 2] = cameras[:, 1, 2] = size / 2
    cameras[:, 2, 2] = 1.0
    return cameras


def _around_the_camera(angle: float, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions uniform over the cap of `angle` radians about the way back to the camera."""
    towards = 1 - draws[:, 0] * (1 - np.cos(angle))
    across = np.sqrt(np.maximum(0.0, 1 - towards**2))
    azimuth = 2 * np.pi * draws[:, 1]
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), -towards], axis=1)


def _between(limits: tuple[float, float], draw: NDArray[np.float64]) -> NDArray[np.float64]:
    return limits[0] + (limits[1] - limits[0]) * draw


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _is_range(limits: tuple[float, float], least: float, greatest: float) -> bool:
    return len(limits) == 2 and least <= limits[0] <= limits[1] <= greatest


def _check(flag: str, valid: bool, value: object, allowed: str) -> None:
    if not valid:
        raise RenderError(f"--{flag} is {value}: give {allowed}.")
