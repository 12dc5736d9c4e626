"""In what light a crop's object is seen, told from its normals and its own colours.

Renderers show c (a + k max(0, n . l)) + gloss, of a surface's own colour c and its normal n. So
a, k and l are had by least squares: l by trying directions from all sides, a and k for each in
closed form, with less weight on what fits badly (Huber 1964), as wrong colours of a model do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS = 240
_ROUNDS = 3
_MOST_PIXELS = 400
_DARKEST = 20
"""Of 255: what is darker in the model says nothing of the light."""
_BRIGHTEST = 250
"""Of 255: what is brighter in the picture may be cut off."""
_FEWEST_PIXELS = 30
_WELL_FITTED = 1.5
"""Median deviations from which on a pixel has less weight."""
_SHININESS = 20.0
"""Of the highlights that are looked for: between sharp ones and wide ones."""


@dataclass(frozen=True)
class CropLight:
    """The light in a crop, as encoded colours (sRGB) have it."""

    direction: NDArray[np.float64]
    """(3,), unit, camera frame, towards the light."""
    ambient: float
    """a, grey."""
    light: float
    """k, grey."""
    told: float
    """How much of what is uneven the light explains, 0 to 1."""
    channels: NDArray[np.float64]
    """(2, 3, 2), a and k of red, green and blue, from each half of the pixels."""
    gloss: float
    """Strength of highlights, as `Randomization.specular`; may be below 0 by chance."""


def _all_round(count: int) -> NDArray[np.float64]:
    """(count, 3) unit directions, evenly over the sphere (Fibonacci's lattice)."""
    place = np.arange(count) + 0.5
    z = 1 - 2 * place / count
    turn = np.pi * (1 + 5**0.5) * place
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


_TRIED = _all_round(_DIRECTIONS)


def find_light(
    seen: NDArray[np.uint8],
    own: NDArray[np.uint8],
    normals: NDArray[np.float32],
    towards_camera: NDArray[np.float64],
) -> CropLight | None:
    """The light that explains a crop best.

    Args:
        seen: (P, 3), colours of the object's pixels.
        own: (P, 3), the model's there.
        normals: (P, 3), camera frame.
        towards_camera: (P, 3), unit.

    Returns:
        None where too few pixels say anything.
    """
    usable = np.flatnonzero((seen < _BRIGHTEST).all(axis=1) & (own.mean(axis=1) > _DARKEST))
    if len(usable) < _FEWEST_PIXELS:
        return None
    usable = usable[:: -(-len(usable) // _MOST_PIXELS)]
    colors, picture = own[usable].astype(np.float64), seen[usable].astype(np.float64)
    facing = np.maximum(0.0, normals[usable].astype(np.float64) @ _TRIED.T)
    grey, target = colors.mean(axis=1), picture.mean(axis=1)
    weight = np.ones(len(usable))
    for _ in range(_ROUNDS):
        best, ambient, light, told = _best(grey, target, facing, weight)
        off = target - grey * (ambient + light * facing[:, best])
        usual = 1.4826 * np.median(np.abs(off)) + 0.5
        weight = 1 / np.maximum(1.0, np.abs(off) / (_WELL_FITTED * usual))
    lit = facing[:, best]
    half_way = _TRIED[best] + towards_camera[usable]
    half_way /= np.maximum(np.linalg.norm(half_way, axis=1, keepdims=True), 1e-9)
    cosine = np.maximum(0.0, (normals[usable] * half_way).sum(axis=1))
    mirrored = np.where(lit > 0, cosine**_SHININESS, 0.0)
    return CropLight(
        direction=_TRIED[best], ambient=ambient, light=light, told=told,
        channels=np.stack([_channels(colors, picture, lit, weight, k) for k in (0, 1)]),
        gloss=_gloss(grey, target, lit, weight, mirrored) / max(light, 0.1),
    )  # fmt: skip


def _best(
    own: NDArray[np.float64],
    seen: NDArray[np.float64],
    facing: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> tuple[int, float, float, float]:
    """The best direction's place, a, k, and what share of the unevenness they explain."""
    weighted = weight * own
    aa, ai = float(weighted @ own), float(weighted @ seen)
    ad, di = (weighted * own) @ facing, (weighted * seen) @ facing
    dd = (weighted * own) @ facing**2
    ambient = (ai * dd - di * ad) / (aa * dd - ad**2 + 1e-9 * aa**2)
    # Neither is below 0.
    ambient = np.clip(ambient, 0.0, ai / aa)
    light = np.maximum(0.0, (di - ambient * ad) / (dd + 1e-9 * aa))
    explained = 2 * (ambient * ai + light * di - ambient * light * ad)
    explained -= ambient**2 * aa + light**2 * dd
    best = int(explained.argmax())
    even = ai**2 / aa
    uneven = float((weight * seen) @ seen) - even
    told = (float(explained[best]) - even) / max(uneven, 1e-9)
    return best, float(ambient[best]), float(light[best]), float(np.clip(told, 0, 1))


def _channels(
    own: NDArray[np.float64],
    seen: NDArray[np.float64],
    lit: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: int,
) -> NDArray[np.float64]:
    """(3, 2), a and k of each channel, of every other pixel."""
    some = slice(half, None, 2)
    root = np.sqrt(weight[some])
    found = [
        np.linalg.lstsq(
            np.stack([own[some, k], own[some, k] * lit[some]], axis=1) * root[:, None],
            seen[some, k] * root, rcond=None,
        )[0]
        for k in range(3)
    ]  # fmt: skip
    return np.stack(found)


def _gloss(
    own: NDArray[np.float64],
    seen: NDArray[np.float64],
    lit: NDArray[np.float64],
    weight: NDArray[np.float64],
    mirrored: NDArray[np.float64],
) -> float:
    """How strong highlights are: what is left where they would be."""
    root = np.sqrt(weight)
    factors = np.stack([own, own * lit, 255.0 * mirrored], axis=1) * root[:, None]
    return float(np.linalg.lstsq(factors, seen * root, rcond=None)[0][2])
