"""From ideal renders on black to what a camera and a depth sensor would have taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._capture.background import put_background
from renderer._capture.camera import draw_shot, has_camera, take_picture
from renderer._capture.sensor import (
    simulate_gaussian_depth,
    simulate_structured_light_depth,
)
from renderer._crops import CropBatch
from renderer._plans.randomization import Randomization
from renderer._streams import Stream


def capture(
    crops: CropBatch,
    randomization: Randomization,
    seed: int,
    models: Sequence[CadModel],
    photographs: Sequence[NDArray[np.uint8]] = (),
) -> CropBatch:
    """Put backgrounds behind crops, then take them with a camera and a depth sensor.

    A pure function of its arguments, crop by crop: what becomes of a crop depends on its number,
    not on the batch that it is in. Masks stay exact, and so do `object_depth`, normals and object
    coordinates; `mask_visib` and the others' lose what is hidden by a board. What depth was before
    a sensor measured it stays beside it. With settings that
    change nothing, the crops come back as they are.

    Args:
        crops: N, as rendered: on black, with exact depth.
        randomization: its `background`, camera and depth sensor settings.
        seed: the run's.
        models: the run's objects.
        photographs: for backgrounds, from `load_photographs`.

    Raises:
        RenderError: photographs are to be put behind the objects and there are none.
    """
    crops = put_background(crops, randomization, seed, models, photographs)
    if has_camera(randomization):
        crops = replace(crops, rgb=_pictures(crops, randomization, seed))
    if randomization.depth_sensor != "exact":
        measured = _measurements(crops, randomization, seed)
        crops = replace(crops, depth=measured, exact_depth=crops.depth)
    return crops


def _pictures(crops: CropBatch, randomization: Randomization, seed: int) -> NDArray[np.uint8]:
    pictures = np.empty_like(crops.rgb)
    for row, number in enumerate(crops.plans.index):
        random = np.random.default_rng([seed, int(number), Stream.CAMERA])
        pictures[row] = take_picture(crops.rgb[row], draw_shot(randomization, random), random)
    return pictures


def _measurements(crops: CropBatch, randomization: Randomization, seed: int) -> NDArray[np.float32]:
    depth = np.empty_like(crops.depth)
    for row, number in enumerate(crops.plans.index):
        random = np.random.default_rng([seed, int(number), Stream.SENSOR])
        if randomization.depth_sensor == "gaussian":
            least, greatest = randomization.depth_noise
            deviation = least + (greatest - least) * random.random()
            depth[row] = simulate_gaussian_depth(crops.depth[row], deviation, random)
        else:
            focal_length = crops.plans.camera_matrix[row, 0, 0]
            depth[row] = simulate_structured_light_depth(crops.depth[row], focal_length, random)
    return depth
