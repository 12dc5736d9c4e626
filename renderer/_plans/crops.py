"""What crop number i of a run contains: a pure function of the settings, the seed and i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel
from checked_settings import AtLeast, Between, SettingError, WrongValue, check
from renderer._crops import Instances, Plans, RenderError, Surfaces
from renderer._plans.appearance import draw_lights, draw_surfaces, from_above
from renderer._plans.cutting import (
    CAMERA,
    CameraSettings,
    Centre,
    Distances,
    centre_points,
    cut_camera,
    draw_rays,
    target_points,
    turn_towards,
    upright_along,
    window_pixels,
)
from renderer._plans.draws import SurroundingDraws, between, draw, draw_surroundings
from renderer._plans.placing import place_around
from renderer._plans.randomization import RANDOMIZATIONS, Randomization
from renderer._plans.symmetry import canonical_rotation
from renderer._plans.viewpoints import (
    MOST_SUBDIVISIONS,
    hemisphere_viewpoints,
    in_plane,
    look_at,
    uniform_rotation,
)
from renderer._plans.visible import visible_middles
from renderer._streams import Stream

PLAN_DRAWS = 14
"""Numbers of stream 0 that a plan takes."""
MOST_OFF_AXIS = 60.0
"""Degrees; no lens that a pinhole camera describes sees much farther."""
Side = Annotated[int, Between(8, 16384, "pixels")]
"""Of a picture that crops are cut from."""


@dataclass(frozen=True)
class PlanConfig:
    """How crops are posed and framed. What else differs between them is in `Randomization`.

    Raises:
        SettingError: a value is out of range, or two do not go together.
    """

    size: Annotated[int, Between(8, 4096, "pixels")] = 64
    """Crops are this many pixels wide and high."""
    window: Annotated[float, Between(1, 1e5, "mm")] = 200.0
    """Side of the square that a crop shows at the object's distance, millimetres. LineMod: 200."""
    viewpoints: Literal["hemisphere", "so3"] = "hemisphere"
    """From where: `hemisphere`, above the object as on a table; `so3`, any orientation."""
    subdivisions: Annotated[int, Between(0, MOST_SUBDIVISIONS)] = 4
    """How fine the hemisphere's viewpoints are: 3 gives 301 of them, 4 gives 1241."""
    in_plane: Annotated[float, Between(0, 180, "degrees")] = 45.0
    """The image is turned by up to this many degrees to either side (hemisphere only)."""
    in_plane_steps: Annotated[int, Between(0, 360)] = 0
    """Shows each viewpoint in this many evenly spaced turns, all poses one after the other; 0 draws
    viewpoint and turn anew for each crop (hemisphere only)."""
    rectified: bool = False
    """The image is turned so that the object's z axis points up in it; K, masks and pose follow."""
    centre: Centre = "box"
    """What is in the middle of a crop: `box`, the centre of the object's bounding box; `mean`, the
    mean of its mesh's vertices, as in LINEMOD's crops; `origin` of its coordinates, which
    `cam_t_m2c` is the place of; `visible`, the centre of the 2-D box of what is seen of it, as
    detectors cut. Jitter around it is `Randomization.off_centre`."""
    off_axis: Annotated[float, Between(0, MOST_OFF_AXIS, "degrees")] | None = None
    """Crops lie up to this many degrees off the camera's optical axis, evenly over that disc, and
    poses are what that camera sees. None is the axis itself; with `picture`, anywhere in it."""
    picture: tuple[Side, Side] | None = None
    """Crops are cut from pictures of this many pixels across and down, on whole pixels, windows
    wholly inside."""
    camera: Annotated[CameraSettings, CAMERA] | None = None
    """fx, fy, cx, cy of the camera that took the pictures, pixels from their corner; needed with
    `picture`."""
    distractors: Annotated[int, AtLeast(0)] = 0
    """So many of the models, the last ones, are never a crop's target: they are among those that
    occlude it and stand beside it."""
    repeat_objects: bool = False
    """Occluders and neighbours may be of the target's own kind, and of each other's, whether or not
    others are left; many readers expect one instance of each object."""
    distance: Distances = (650.0, 1100.0)
    """Least and greatest z of the crop's centre in the camera's frame, millimetres.

    As far as LINEMOD's objects are from its camera (640 to 1091; 98 of 100 frames lie within 655 to
    1075): it sets the perspective, and how noisy a depth sensor is. Wohlhart & Lepetit rendered
    at 400.
    """

    def __post_init__(self) -> None:
        check(self)
        if self.in_plane_steps and (self.rectified or self.viewpoints != "hemisphere"):
            raise SettingError(
                "`in_plane_steps` enumerates turns of the hemisphere's viewpoints: leave out "
                "`rectified` and `viewpoints` so3, or leave out `in_plane_steps`"
            )
        if self.picture is not None:
            self._check_picture(*self.picture)

    def _check_picture(self, width: int, height: int) -> None:
        if self.camera is None:
            raise WrongValue("camera", None, CAMERA.phrase)
        most = int(window_pixels(self.camera[0], self.window, self.distance[0]))
        if most > min(width, height):
            raise SettingError(
                f"`window` {self.window:g} covers {most} pixels at {self.distance[0]:g} mm, more "
                f"than a picture of {width}x{height} has: give a smaller `window`, or a greater "
                "least `distance`"
            )

    @property
    def on_axis(self) -> bool:
        """Whether crops lie on the optical axis and have the bounding box's centre in the middle,
        so that no pose differs from what a camera sees that looks straight at the object."""
        return self.centre in ("box", "visible") and not self.off_axis and self.picture is None

    def targets(self, models: Sequence[CadModel]) -> Sequence[CadModel]:
        """Those of the models that crops are of: all but the distractors.

        Raises:
            RenderError: there are none.
        """
        targets = models[: max(len(models) - self.distractors, 0)]
        if not targets:
            raise RenderError("there are no models to plan for: name at least one with `objects`")
        return targets

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

    Objects take turns: crop i shows models[i % T], of the T that are no distractors. Enumerated
    poses take turns in the same way: crop i shows pose i // T, and after the last the first again.
    Poses of symmetric objects are canonical (`canonical_pose`).

    Convention:
        `config.centre` is in the middle of the crop, and the window is measured at its depth. It is
        on the optical axis unless `off_axis` or `picture` say otherwise, and `off_centre` moves the
        window about it: the camera matrix changes then, the pose does not.

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
    target_count = len(config.targets(models))
    draws = draw(seed, index, Stream.PLAN, PLAN_DRAWS)
    surroundings = draw_surroundings(seed, index) if _needs_surroundings(randomization) else None
    about_camera, color, ambient = draw_lights(randomization, draws[:, 4:], surroundings)
    direction = about_camera
    rotation = _rotations(config, index // target_count, draws[:, :3])
    depth = between(config.distance, draws[:, 3])
    rays = None
    if config.off_axis or config.picture is not None:
        rays = draw_rays(
            seed, index, off_axis=config.off_axis, camera=config.camera, picture=config.picture,
            window=config.window, depth=depth,
        )  # fmt: skip
        # Viewpoints and lights are drawn as for a camera that looks straight at the object.
        turn = turn_towards(rays)
        rotation, direction = turn @ rotation, direction @ np.swapaxes(turn, 1, 2)
        if config.rectified:
            rotation = upright_along(rotation, rays)
    if randomization.light_from == "above":
        direction = from_above(about_camera, rotation)
    plans = plans_from_poses(
        models,
        index % target_count,
        rotation,
        depth,
        size=config.size,
        window=config.window,
        centre=config.centre,
        rays=rays,
        light_direction=direction,
        light_color=color,
        ambient_color=ambient,
        index=index,
    )
    roles = np.zeros((len(index), 1), np.int64)
    if surroundings is not None:
        middle = None if config.on_axis else target_points(plans, models, "box")
        others, roles = place_around(
            randomization, models, plans, surroundings, middle, repeat_objects=config.repeat_objects
        )
        plans = replace(plans, others=others)
    if config.picture is not None or config.centre == "visible":
        plans = _aimed(plans, config, models)
    if surroundings is not None:
        plans = _reframed(plans, randomization, surroundings)
    surfaces = draw_surfaces(randomization, seed, index, roles, textures)
    return replace(plans, surfaces=surfaces)


def _aimed(plans: Plans, config: PlanConfig, models: Sequence[CadModel]) -> Plans:
    """The plans with their windows around what is seen, or on their pictures' whole pixels."""
    if config.centre == "visible":
        aim = visible_middles(plans, models)
    else:
        points = target_points(plans, models, config.centre)
        aim = points[:, :2] / points[:, 2:]
    if config.picture is None:
        camera_matrix = _crop_cameras(plans.centre_depth, plans.size, config.window)
        camera_matrix[:, :2, 2] -= camera_matrix[:, :1, 0] * aim
        return replace(plans, camera_matrix=camera_matrix)
    assert config.camera is not None
    fx, fy, cx, cy = config.camera
    # The corner of pixels next to the point, towards the picture's own.
    middle = np.floor(aim * [fx, fy] + [cx, cy])
    side = window_pixels(fx, config.window, plans.centre_depth)
    # What is seen may be nearer to the border than the point that was drawn, and a point at the
    # very border may be rounded over it.
    half = side[:, None] / 2
    middle = np.clip(middle, half, np.array(config.picture) - half)
    return replace(plans, camera_matrix=cut_camera(config.camera, middle, side, config.size))


def crop_numbers(models: Sequence[CadModel], seed: int, start: int, stop: int) -> NDArray[np.int64]:
    """The numbers `start` to `stop`.

    Raises:
        RenderError: there are no models, or a number is out of range.
    """
    if seed < 0:
        raise WrongValue("seed", seed, "at least 0")
    if not 0 <= start <= stop:
        raise RenderError(f"there are no crops {start} to {stop}: give 0 <= start <= stop")
    if not models:
        raise RenderError("there are no models to plan for: name at least one with `objects`")
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
            viewpoint = viewpoints[pose // config.in_plane_steps]
            turn = _even_turns(config)[pose % config.in_plane_steps]
        else:
            viewpoint = viewpoints[(draws[:, 0] * len(viewpoints)).astype(np.int64)]
            turn = np.radians(config.in_plane) * (2 * draws[:, 1] - 1)
        rotations = in_plane(turn) @ look_at(viewpoint)
    return look_at(-rotations[:, 2]) if config.rectified else rotations


def _even_turns(config: PlanConfig) -> NDArray[np.float64]:
    """From one side to the other; all round where both sides meet."""
    whole = config.in_plane == 180
    turns = np.linspace(-config.in_plane, config.in_plane, config.in_plane_steps, not whole)
    return np.radians(turns if config.in_plane_steps > 1 else np.zeros(1))


def _needs_surroundings(randomization: Randomization) -> bool:
    return (
        randomization.lights != (1, 1)
        or randomization.occluders[1] > 0
        or randomization.neighbours[1] > 0
        or randomization.off_centre > 0
        or randomization.zoom != (1.0, 1.0)
    )


def _reframed(plans: Plans, randomization: Randomization, surroundings: SurroundingDraws) -> Plans:
    """The plans with their windows moved and scaled."""
    camera_matrix = plans.camera_matrix.copy()
    zoom = between(randomization.zoom, surroundings.framing[:, 2])
    camera_matrix[:, (0, 1), (0, 1)] /= zoom[:, None]
    middle = np.array([plans.width / 2, plans.height / 2])
    camera_matrix[:, :2, 2] = middle + (camera_matrix[:, :2, 2] - middle) / zoom[:, None]
    moved = randomization.off_centre * (2 * surroundings.framing[:, :2] - 1)
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
    centre: Centre = "box",
    rays: ArrayLike | None = None,
    light_direction: ArrayLike = (0.0, 0.0, -1.0),
    light_color: ArrayLike = 0.6,
    ambient_color: ArrayLike = 0.4,
    index: ArrayLike | None = None,
    canonical: bool = True,
) -> Plans:
    """Plans of given poses, framed as LineMod crops.

    Convention:
        As for `make_plans`: `centre` is in the middle of the crop, on the ray (x / z, y / z) and at
        z = `distances`. Rotations are what the camera sees, whichever way its axis points.

    Args:
        models: the objects.
        object_index: (N,), positions in `models`.
        rotations: (N, 3, 3), model-to-camera.
        distances: (N,) or one for all, z of the centre in millimetres.
        size: pixels.
        window: side of the square that a crop shows at the object's distance, millimetres.
        centre: what of the object is in the middle (`PlanConfig.centre`; `visible` is the box's
            centre here, as nothing is known yet of what hides it).
        rays: (N, 2), where the crops lie in the camera's view; the optical axis if not given.
        light_direction: (N, L, 3), or for one light (N, 3) or (3,), camera frame, from the object
            towards the light.
        light_color: (N, L, 3), or for one light (N, 3), (3,) or one number, 1 = full.
        ambient_color: (N, 3), (3,) or one number, 1 = full.
        index: (N,), the crops' numbers; 0 to N - 1 if not given.
        canonical: whether poses of symmetric objects are made canonical.
    """
    model_index = np.asarray(object_index, np.int32)
    count = len(model_index)
    rotation = np.array(rotations, np.float64).reshape(count, 3, 3)
    depth = np.broadcast_to(np.asarray(distances, np.float64), (count,)).copy()
    translation = np.zeros((count, 3))
    points = centre_points(models, centre)
    for number, model in enumerate(models):
        rows = model_index == number
        if canonical:
            rotation[rows] = canonical_rotation(rotation[rows], model.symmetries)
        translation[rows] = -(rotation[rows] @ points[number])
    translation[:, 2] += depth
    camera_matrix = _crop_cameras(depth, size, window)
    if rays is not None:
        across = np.broadcast_to(np.asarray(rays, np.float64), (count, 2))
        translation[:, :2] += depth[:, None] * across
        camera_matrix[:, :2, 2] -= camera_matrix[:, :1, 0] * across
    direction = _per_light(light_direction, count)
    return Plans(
        index=np.arange(count) if index is None else np.asarray(index, np.int64),
        object_index=model_index,
        rotation=rotation,
        translation=translation,
        others=Instances.none(count),
        camera_matrix=camera_matrix,
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
