"""Whole frames: one camera, several objects that stand on a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from checked_settings import Between, SettingError, check
from renderer._crops import Plans
from renderer._plans.appearance import draw_lights, draw_surfaces, from_above
from renderer._plans.crops import PLAN_DRAWS, crop_numbers, plans_from_poses
from renderer._plans.cutting import CAMERA, CameraSettings, Distances
from renderer._plans.draws import MOST_NEIGHBOURS, between, draw, draw_surroundings
from renderer._plans.placing import CLEARANCE, measure_extents, place_on_board
from renderer._plans.randomization import RANDOMIZATIONS, Randomization
from renderer._plans.viewpoints import MOST_SUBDIVISIONS, hemisphere_viewpoints, in_plane, look_at
from renderer._streams import Stream

LINEMOD_CAMERA = (572.4114, 573.57043, 325.2611, 242.04899)
"""fx, fy, cx, cy of LINEMOD's camera at 640 x 480 pixels as they are published (`camera.json` of
BOP): by a calibration, in which the first pixel's centre is at (0, 0)."""


def linemod_camera(width: int, height: int) -> CameraSettings:
    """fx, fy, cx, cy of LINEMOD's camera with pictures of another size, from their corner."""
    across, down = width / 640, height / 480
    fx, fy, cx, cy = LINEMOD_CAMERA
    return fx * across, fy * down, (cx + 0.5) * across, (cy + 0.5) * down


_Side = Annotated[int, Between(8, 4096, "pixels")]
_SPREAD = 0.45
"""Radius of the disc on which objects stand, as a share of the picture's shorter side."""


@dataclass(frozen=True)
class FrameConfig:
    """How frames are taken.

    Raises:
        SettingError: a value is out of range.
    """

    width: _Side = 640
    """Pixels."""
    height: _Side = 480
    """Pixels."""
    camera: Annotated[CameraSettings, CAMERA] | None = None
    """fx, fy, cx, cy in pixels from the picture's corner; LINEMOD's camera, scaled to the picture,
    if not given."""
    objects: Annotated[int, Between(1, MOST_NEIGHBOURS)] = 6
    """How many objects stand on the board, fewer where they find no room in the picture."""
    repeat_objects: bool = False
    """Objects may show more than once, whether or not others are left."""
    subdivisions: Annotated[int, Between(0, MOST_SUBDIVISIONS)] = 4
    """How fine the viewpoints above the board are: 3 gives 301 of them, 4 gives 1241."""
    in_plane: Annotated[float, Between(0, 180, "degrees")] = 45.0
    """The image is turned by up to this many degrees to either side."""
    distance: Distances = (650.0, 1100.0)
    """Least and greatest distance from the camera to the middle of the board, millimetres."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def camera_matrix(self) -> NDArray[np.float64]:
        """(3, 3), the K of every frame."""
        fx, fy, cx, cy = self.camera or linemod_camera(self.width, self.height)
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def make_frame_plans(
    config: FrameConfig,
    models: Sequence[CadModel],
    seed: int,
    start: int,
    stop: int,
    randomization: Randomization = RANDOMIZATIONS["linemod"],
    *,
    textures: int = 0,
) -> Plans:
    """The plans of frames `start` to `stop` of a run.

    Objects take turns as the target, which stands near the middle; the others are drawn from the
    models, none twice while others are left unless `repeat_objects` says so. None intersects
    another: the upright cylinders that hold them are apart. Of the randomisation, lights and
    surfaces are planned here; its occluders, neighbours, off-centre and zoom are settings of crops.

    Convention:
        The camera looks from above at a point over the middle of the board, as high as the
        target's middle; `distance` is measured to it. `centre_depth` is the z of the target's
        centre, wherever it stands.

    Args:
        config: the settings of the camera and the board.
        models: the run's objects.
        seed: the run's seed, at least 0.
        start, stop: frame numbers, as in a slice.
        randomization: what differs between frames beside poses.
        textures: how many pictures the renderer can swap in.

    Raises:
        RenderError: there are no models, a number is out of range, or pictures are to be swapped in
            and there are none.
        SettingError: an object could come into the camera.
    """
    index = crop_numbers(models, seed, start, stop)
    extents = measure_extents(models)
    needed = float(extents.radius.max()) + CLEARANCE
    if config.distance[0] < needed:
        raise SettingError(
            f"`distance` begins at {config.distance[0]:g} mm, where an object could come into the "
            f"camera: begin at {np.ceil(needed):g} or more"
        )
    draws = draw(seed, index, Stream.PLAN, PLAN_DRAWS)
    surroundings = draw_surroundings(seed, index)
    viewpoints = hemisphere_viewpoints(config.subdivisions)
    turn = np.radians(config.in_plane) * (2 * draws[:, 1] - 1)
    viewpoint = viewpoints[(draws[:, 0] * len(viewpoints)).astype(np.int64)]
    board = in_plane(turn) @ look_at(viewpoint)
    distance = between(config.distance, draws[:, 3])
    direction, color, ambient = draw_lights(randomization, draws[:, 4:], surroundings)
    if randomization.light_from == "above":
        direction = from_above(direction, board)
    object_index = index % len(models)
    plans = replace(
        plans_from_poses(
            models, object_index, board, distance, canonical=False, index=index,
            light_direction=direction, light_color=color, ambient_color=ambient,
        ),
        camera_matrix=np.tile(config.camera_matrix, (len(index), 1, 1)),
        width=config.width,
        height=config.height,
    )  # fmt: skip
    middle = [0.0, 0.0, 1.0] * distance[:, None] - extents.half_height[object_index, None] * board[
        ..., 2
    ]
    matrix = config.camera_matrix
    spread = _SPREAD * min(config.width / matrix[0, 0], config.height / matrix[1, 1]) * distance
    plans, roles = place_on_board(
        models, plans, board, middle, spread, config.objects, surroundings.neighbours,
        repeat_objects=config.repeat_objects,
    )  # fmt: skip
    return replace(plans, surfaces=draw_surfaces(randomization, seed, index, roles, textures))
