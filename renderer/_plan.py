"""What crop number i of a run contains: a pure function of the settings, the seed and i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel
from renderer._appearance import draw_lights, draw_surfaces
from renderer._crops import Instances, Plans, RenderError, Surfaces
from renderer._draws import PLAN_STREAM, SceneDraws, between, draw, draw_scene
from renderer._placing import place_around
from renderer._randomization import RANDOMIZATIONS, Randomization
from renderer._symmetry import canonical_rotation
from renderer._viewpoints import hemisphere_viewpoints, in_plane, look_at, uniform_rotation

PLAN_DRAWS = 14
"""Numbers of stream 0 that a plan takes."""


@dataclass(frozen=True)
class PlanConfig:
    """How crops are posed and framed. What else differs between them is in `Randomization`.

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
    in_plane_steps: int = 0
    """Shows each viewpoint in this many evenly spaced turns, all poses one after the other; 0 draws
    viewpoint and turn anew for each crop (hemisphere only)."""
    rectified: bool = False
    """The image is turned so that the object's z axis points up in it; K, masks and pose follow."""
    distance: tuple[float, float] = (650.0, 1100.0)
    """Least and greatest distance from the camera to the object's centre, millimetres.

    As far as LINEMOD's objects are from its camera (640 to 1091; 98 of 100 frames lie within 655 to
    1075): it sets the perspective, and how noisy a depth sensor is. Wohlhart & Lepetit rendered
    at 400.
    """

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
        _check("in-plane-steps", 0 <= self.in_plane_steps <= 360, self.in_plane_steps, "0 to 360")
        if self.in_plane_steps and (self.rectified or self.viewpoints != "hemisphere"):
            raise RenderError(
                "--in-plane-steps enumerates turns of the hemisphere's viewpoints: "
                "leave out --rectified and --viewpoints so3, or leave out --in-plane-steps."
            )

    @property
    def poses(self) -> int:
        """How many poses of each object are enumerated; 0 where poses are drawn."""
        return self.in_plane_steps * len(hemisphere_viewpoints(self.subdivisions))


def make_plans(
    config: PlanConfig,
    models: Sequence[CadModel],
    seed: int,
    start: int,
    stop: int,
    randomization: Randomization = RANDOMIZATIONS["linemod"],
    *,
    textures: int = 0,
) -> Plans:
    """The plans of crops `start` to `stop` of a run.

    Objects take turns: crop i shows models[i % len(models)]. Enumerated poses take turns in the
    same way: crop i shows pose i // len(models), and after the last the first again. Poses of
    symmetric objects are canonical (`canonical_pose`).

    Convention:
        The centre of the object's bounding box is on the optical axis and the window is measured
        at its depth. It is at the crop's very centre unless `off_centre` moves the window: the
        camera matrix changes then, the pose does not.

    Args:
        config: the settings of poses and framing.
        models: the run's objects, which occluders and neighbours are drawn from too.
        seed: the run's seed, at least 0.
        start, stop: crop numbers, as in a slice.
        randomization: what differs between crops beside the pose.
        textures: how many pictures the renderer can swap in.

    Raises:
        RenderError: there are no models, a number is out of range, or pictures are to be swapped
            in and there are none.
    """
    index = crop_numbers(models, seed, start, stop)
    draws = draw(seed, index, PLAN_STREAM, PLAN_DRAWS)
    scene = draw_scene(seed, index) if _needs_scene(randomization) else None
    direction, color, ambient = draw_lights(randomization, draws[:, 4:], scene)
    plans = plans_from_poses(
        models,
        index % len(models),
        _rotations(config, index // len(models), draws[:, :3]),
        between(config.distance, draws[:, 3]),
        size=config.size,
        window=config.window,
        light_direction=direction,
        light_color=color,
        ambient_color=ambient,
        index=index,
    )
    roles = np.zeros((len(index), 1), np.int64)
    if scene is not None:
        plans = _reframed(plans, randomization, scene)
        others, roles = place_around(randomization, models, plans, scene)
        plans = replace(plans, others=others)
    surfaces = draw_surfaces(randomization, seed, index, roles, textures)
    return replace(plans, surfaces=surfaces)


def crop_numbers(models: Sequence[CadModel], seed: int, start: int, stop: int) -> NDArray[np.int64]:
    """The numbers `start` to `stop`.

    Raises:
        RenderError: there are no models, or a number is out of range.
    """
    if seed < 0:
        raise RenderError(f"--seed is {seed}: give 0 or more.")
    if not 0 <= start <= stop:
        raise RenderError(f"There are no crops {start} to {stop}: give 0 <= start <= stop.")
    if not models:
        raise RenderError("There are no models to plan for: name at least one with --objects.")
    return np.arange(start, stop, dtype=np.int64)


def _rotations(
    config: PlanConfig, number: NDArray[np.int64], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3, 3), as enumerated or drawn."""
    if config.viewpoints == "so3":
        rotations = uniform_rotation(draws)
    else:
        viewpoints = hemisphere_viewpoints(config.subdivisions)
        if config.in_plane_steps:
            pose = number % config.poses
            chosen = viewpoints[pose // config.in_plane_steps]
            turn = _even_turns(config)[pose % config.in_plane_steps]
        else:
            chosen = viewpoints[(draws[:, 0] * len(viewpoints)).astype(np.int64)]
            turn = np.radians(config.in_plane) * (2 * draws[:, 1] - 1)
        rotations = in_plane(turn) @ look_at(chosen)
    return look_at(-rotations[:, 2]) if config.rectified else rotations


def _even_turns(config: PlanConfig) -> NDArray[np.float64]:
    """From one side to the other; all round where both sides meet."""
    whole = config.in_plane == 180
    turns = np.linspace(-config.in_plane, config.in_plane, config.in_plane_steps, not whole)
    return np.radians(turns if config.in_plane_steps > 1 else np.zeros(1))


def _needs_scene(randomization: Randomization) -> bool:
    return (
        randomization.lights != (1, 1)
        or randomization.occluders[1] > 0
        or randomization.neighbours[1] > 0
        or randomization.off_centre > 0
        or randomization.zoom != (1.0, 1.0)
    )


def _reframed(plans: Plans, randomization: Randomization, scene: SceneDraws) -> Plans:
    """The plans with their windows moved and scaled."""
    camera_matrix = plans.camera_matrix.copy()
    zoom = between(randomization.zoom, scene.framing[:, 2])
    camera_matrix[:, (0, 1), (0, 1)] /= zoom[:, None]
    moved = randomization.off_centre * (2 * scene.framing[:, :2] - 1)
    camera_matrix[:, :2, 2] += moved * [plans.width, plans.height]
    return replace(plans, camera_matrix=camera_matrix)


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
        light_direction: (N, L, 3), or for one light (N, 3) or (3,), camera frame, from the object
            towards the light.
        light_color: (N, L, 3), or for one light (N, 3), (3,) or one number, 1 = full.
        ambient_color: (N, 3), (3,) or one number, 1 = full.
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
    direction = _per_light(light_direction, count)
    return Plans(
        index=np.arange(count) if index is None else np.asarray(index, np.int64),
        object_index=which,
        rotation=rotation,
        translation=translation,
        others=Instances.none(count),
        camera_matrix=_crop_cameras(depth, size, window),
        centre_depth=depth,
        light_direction=_single(direction / np.linalg.norm(direction, axis=2, keepdims=True)),
        light_color=_single(np.broadcast_to(_per_light(light_color, count), direction.shape)),
        ambient_color=_single(np.broadcast_to(np.asarray(ambient_color), (count, 3))),
        surfaces=Surfaces.plain(count),
        width=size,
        height=size,
    )


def _per_light(values: ArrayLike, count: int) -> NDArray[np.float64]:
    """(N, L, 3) from what one light may be given as."""
    array = np.asarray(values, np.float64)
    return array if array.ndim == 3 else np.broadcast_to(array, (count, 3))[:, None]


def _crop_cameras(depth: NDArray[np.float64], size: int, window: float) -> NDArray[np.float64]:
    cameras = np.zeros((len(depth), 3, 3))
    cameras[:, 0, 0] = cameras[:, 1, 1] = size * depth / window
    cameras[:, 0, 2] = cameras[:, 1, 2] = size / 2
    cameras[:, 2, 2] = 1.0
    return cameras


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _is_range(limits: tuple[float, float], least: float, greatest: float) -> bool:
    return len(limits) == 2 and least <= limits[0] <= limits[1] <= greatest


def _check(flag: str, valid: bool, value: object, allowed: str) -> None:
    if not valid:
        raise RenderError(f"--{flag} is {value}: give {allowed}.")
