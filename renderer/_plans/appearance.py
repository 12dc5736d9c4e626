"""What a crop's lights and surfaces look like, as drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError, Surfaces
from renderer._plans.draws import (
    MOST_INSTANCES,
    SurroundingDraws,
    between,
    draw,
    whole_between,
)
from renderer._plans.randomization import Randomization
from renderer._streams import Stream

_LEAST_SHARE = 0.25
"""Of the brightest light's possible intensity: a light that is on is seen to be on."""
_SURFACE_DRAWS = 8


def draw_lights(
    randomization: Randomization, draws: NDArray[np.float64], surroundings: SurroundingDraws | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Directions and colours of all lights, and the ambient colour.

    Args:
        randomization: its `lights` and `light_...` settings.
        draws: (N, 10), stream 0: the first light's direction (2), intensity, ambient intensity,
            the first light's tint (3), the ambient tint (3).
        surroundings: stream 3, where there is more than one light.

    Returns:
        (N, L, 3) unit, towards the lights, as they are about the camera (`from_above` turns them);
        (N, L, 3) and (N, 3) colours. L is the greatest number of lights; those that a crop lacks
        are off.
    """
    angle = np.radians(randomization.light_angle)
    direction = _around_the_camera(angle, draws[:, :2])[:, None]
    tint = 1 + randomization.light_tint * (2 * draws[:, 4:10] - 1)
    intensity = between(randomization.light_intensity, draws[:, 2])[:, None]
    color = (intensity * tint[:, :3])[:, None]
    ambient = between(randomization.ambient_intensity, draws[:, 3])[:, None] * tint[:, 3:]
    if surroundings is None:
        return direction, color, ambient
    most = randomization.lights[1]
    lit = np.arange(most) < whole_between(randomization.lights, surroundings.light_count)[:, None]
    shares = np.where(lit, between((_LEAST_SHARE, 1.0), surroundings.light_shares[:, :most]), 0.0)
    shares /= shares.sum(axis=1, keepdims=True)
    tints = 1 + randomization.light_tint * (2 * surroundings.light_tints[:, : most - 1] - 1)
    colors = np.concatenate([color, intensity[:, None] * tints], axis=1) * shares[..., None]
    further = _around_the_camera(angle, surroundings.light_directions[:, : most - 1])
    return np.concatenate([direction, further], axis=1), colors, ambient


def from_above(
    direction: NDArray[np.float64], rotation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Directions about the camera's own as they are about the upright of boards.

    Args:
        direction: (N, L, 3), camera frame, where the way back to the camera is -z.
        rotation: (N, 3, 3), from a board, whose z points up, to the camera.

    Returns:
        (N, L, 3), camera frame.
    """
    about_upright = direction * [1.0, 1.0, -1.0]
    return np.asarray(about_upright @ np.swapaxes(rotation, 1, 2))


def draw_surfaces(
    randomization: Randomization,
    seed: int,
    index: NDArray[np.int64],
    roles: NDArray[np.int64],
    textures: int,
) -> Surfaces:
    """What the target and the others look like.

    Args:
        randomization: its settings from `color_jitter` to `texture_period`.
        seed: the run's.
        index: (N,), the crops' numbers.
        roles: (N, 1 + K), which of a crop's `MOST_INSTANCES` sets of draws each place has, so that
            what an object looks like does not depend on how many others there are.
        textures: how many pictures can be swapped in.

    Raises:
        RenderError: pictures are to be swapped in and there are none.
    """
    plain = Surfaces.plain(len(index), roles.shape[1] - 1)
    swap, shiny = randomization.texture_swap, randomization.specular[1]
    if swap and not textures:
        raise RenderError(
            f"texture_swap is {swap}, but there are no textures to swap in: say how many the "
            "renderer has, or set texture_swap to 0"
        )
    if not (swap or shiny or randomization.color_jitter):
        return plain
    draws = draw(seed, index, Stream.SURFACE, MOST_INSTANCES * _SURFACE_DRAWS)
    sets = draws.reshape(len(index), MOST_INSTANCES, _SURFACE_DRAWS)
    u = np.take_along_axis(sets, roles[..., None], axis=1)
    gain = 1 + randomization.color_jitter * (2 * u[..., :3] - 1)
    surfaces = replace(plain, gain=gain.astype(np.float32))
    if shiny:
        surfaces = replace(
            surfaces,
            specular=between(randomization.specular, u[..., 3]).astype(np.float32),
            shininess=between(randomization.shininess, u[..., 4]).astype(np.float32),
        )
    if swap:
        swapped = np.where(u[..., 5] < swap, (u[..., 6] * textures).astype(np.int64), -1)
        surfaces = replace(
            surfaces,
            texture=swapped.astype(np.int32),
            texture_period=between(randomization.texture_period, u[..., 7]).astype(np.float32),
        )
    return surfaces


def _around_the_camera(angle: float, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions uniform over the cap of `angle` radians about the way back to the camera."""
    towards = 1 - draws[..., 0] * (1 - np.cos(angle))
    across = np.sqrt(np.maximum(0.0, 1 - towards**2))
    azimuth = 2 * np.pi * draws[..., 1]
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), -towards], axis=-1)
