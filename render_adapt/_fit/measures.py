"""What is measured of crops of a camera and, in the same way, of renders in their poses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._fit.light import find_light
from render_adapt._fit.sharpness import grain, outline_blur
from render_adapt._fit.views import AlignedViews
from renderer import Plans

_WIDE, _NARROW = 5, 3
"""Pixels across: what an object's inside is away from its outline, more where it has room."""
_AWAY = 7
"""Pixels across: what is behind an object is away from its outline."""
_ROOM = 100
"""Pixels that tell something."""


@dataclass(frozen=True)
class Measures:
    """Of N crops; NaN where a crop does not tell."""

    ambient: NDArray[np.float64]
    """(N,), as `Randomization.ambient_intensity`."""
    light: NDArray[np.float64]
    """(N,), as `Randomization.light_intensity`."""
    direction: NDArray[np.float64]
    """(N, 3), unit, camera frame, towards the light."""
    told: NDArray[np.float64]
    """(N,), what share of the object's unevenness the light explains."""
    seen: NDArray[np.float64]
    """(N, 3), the mean of the object's red, green and blue in the picture, of 255."""
    own: NDArray[np.float64]
    """(N, 3), the same of the model's own colours."""
    seen_light: NDArray[np.float64]
    """(N, 3), the mean of the object's red, green and blue in linear light, 0 to 1."""
    own_light: NDArray[np.float64]
    """(N, 3), the same of the model's own colours."""
    behind_light: NDArray[np.float64]
    """(N, 3), the mean of what is behind the object, in linear light."""
    tint: NDArray[np.float64]
    """(N, 2, 2), logarithm of how much redder, and bluer, than the ambient light the light is,
    from each half of the pixels: (N, half, colour)."""
    gloss: NDArray[np.float64]
    """(N,), as `Randomization.specular`."""
    blur: NDArray[np.float64]
    """(N,), variance across outlines, square pixels."""
    streak: NDArray[np.float64]
    """(N,), the square of how that depends on the outline's direction, without chance."""
    grain: NDArray[np.float64]
    """(N,), as `Randomization.color_noise`."""


def measure(views: AlignedViews, rgb: NDArray[np.uint8]) -> Measures:
    """Measure pictures of the objects of some crops in their poses.

    Args:
        views: N crops.
        rgb: (N, S, S, 3), the pictures.
    """
    rays = _towards_camera(views.plans)
    found = [
        _measure(rgb[k], views.colors[k], views.normals[k], views.mask[k], rays[k])
        for k in range(len(views))
    ]
    return Measures(**{name: np.array([one[name] for one in found]) for name in found[0]})


def _measure(
    rgb: NDArray[np.uint8],
    own: NDArray[np.uint8],
    normals: NDArray[np.float32],
    mask: NDArray[np.bool_],
    towards_camera: NDArray[np.float64],
) -> dict[str, Any]:
    inside = _inside(mask)
    nothing = float("nan")
    values: dict[str, Any] = {
        "ambient": nothing, "light": nothing, "direction": np.full(3, nothing), "told": 0.0,
        "seen": _mean(rgb[inside]), "own": _mean(own[inside]),
        "seen_light": _linear(rgb[inside]), "own_light": _linear(own[inside]),
        "behind_light": _linear(rgb[_outside(mask)]),
        "tint": np.full((2, 2), nothing), "gloss": nothing,
    }  # fmt: skip
    light = find_light(rgb[inside], own[inside], normals[inside], towards_camera[inside])
    if light is not None:
        values |= {
            "ambient": light.ambient, "light": light.light, "direction": light.direction,
            "told": light.told, "tint": _tint(light.channels), "gloss": light.gloss,
        }  # fmt: skip
    blur, noise = outline_blur(rgb, mask), grain(rgb, inside)
    return values | {
        "blur": nothing if blur is None else blur.variance,
        "streak": nothing if blur is None else (blur.streak[0] * blur.streak[1].conjugate()).real,
        "grain": nothing if noise is None else noise,
    }


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    for side in (_WIDE, _NARROW):
        inside = cv2.erode(mask.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0)
        if inside.sum() >= _ROOM:
            break
    return inside > 0


def _outside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    outside = cv2.dilate(mask.astype(np.uint8), np.ones((_AWAY, _AWAY), np.uint8)) == 0
    return outside if outside.sum() >= _ROOM else np.zeros_like(outside)


def _mean(colors: NDArray[Any]) -> NDArray[np.float64]:
    """(3,), of (P, 3); NaN of none."""
    return colors.mean(axis=0, dtype=np.float64) if len(colors) else np.full(3, np.nan)


def _linear(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(3,), the mean of sRGB colours, in linear light; NaN of none."""
    share = rgb / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return _mean(light)


def _tint(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 2), red and blue against green, of the light against the ambient light."""
    ratio = np.log(np.maximum(channels[..., 1], 0.02) / np.maximum(channels[..., 0], 0.02))
    return ratio[:, [0, 2]] - ratio[:, [1]]


def _towards_camera(plans: Plans) -> NDArray[np.float64]:
    """(N, S, S, 3), unit, from pixels' centres to the camera."""
    size = plans.size
    down, across = np.mgrid[:size, :size] + 0.5
    pixels = np.stack([across, down, np.ones_like(down)], axis=-1)
    rays = pixels @ np.swapaxes(np.linalg.inv(plans.camera_matrix), 1, 2)[:, None]
    return np.asarray(-rays / np.linalg.norm(rays, axis=-1, keepdims=True))
