"""How blurred and how noisy a crop is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_REACH, _STEP = 4.0, 0.25
"""Pixels to either side of an outline that are looked at, and between what is looked at."""
_SEARCHED = 1.5
"""Pixels by which an outline may be off where it is drawn."""
_BESIDE = (6, 10)
"""Steps from the steepest place within which both sides are as they are without blur: from 1.5 to
2.5 pixels, for farther off shading and clutter count as blur."""
_LEAST_CONTRAST = 30.0
"""Of 255, of an outline that is looked at."""
_EVENNESS = 0.15
"""Of the contrast: how much either side may differ in itself."""
_SHARPEST = 0.3
"""The share of an outline by which its blur is told: clutter and shadows only widen it."""
_TOO_WIDE = 2.3
"""How much less what is wider than expected counts than what is narrower, for the same reason."""
_REPEATS = 5
_FEWEST_EDGES = 16
_WINDOW = 5
"""Pixels across, of the smallest places that are looked at for noise."""
_SECOND_DIFFERENCE = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0])
"""Immerkaer (1996): 0 on planes; of white noise it has 36 times the variance."""
_EVENEST = 0.1
"""The share of places by which noise is told: what texture there is, is elsewhere."""


@dataclass(frozen=True)
class OutlineBlur:
    """Of a crop's outline, in square pixels."""

    variance: float
    """Of the blur, and of pixels, which are as wide as they are: 0.11 of an ideal render."""
    streak: tuple[complex, complex]
    """How the variance depends on twice the outline's direction, as movement makes it do, from each
    half of the outline's points: what is chance in one half is none in the other."""


def outline_blur(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> OutlineBlur | None:
    """How blurred an object's outline is: an edge of contrast C that is blurred by sigma is
    C / (sigma sqrt(2 pi)) steep.

    Args:
        rgb: (S, S, 3).
        mask: (S, S), the object.

    Returns:
        None where too little of the outline is between even colours.
    """
    places, normals = _outline(mask)
    if len(places) < _FEWEST_EDGES:
        return None
    offsets = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    at = places[:, None] + offsets[None, :, None] * normals[:, None]
    taken = cv2.remap(
        rgb.astype(np.float32), at[..., 0].astype(np.float32), at[..., 1].astype(np.float32),
        cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    profiles = np.asarray(taken, np.float32)
    inner, outer = profiles[:, offsets <= -_SEARCHED], profiles[:, offsets >= _SEARCHED]
    channel = np.abs(outer.mean(axis=1) - inner.mean(axis=1)).argmax(axis=1)
    widths, usable = _widths(profiles[np.arange(len(places)), :, channel], offsets)
    if usable.sum() < _FEWEST_EDGES:
        return None
    twice = np.exp(2j * np.arctan2(normals[usable, 1], normals[usable, 0]))
    variance = widths[usable] ** 2 / (2 * np.pi)
    halves = [
        _streak(variance[some], twice[some]) for some in (slice(0, None, 2), slice(1, None, 2))
    ]
    return OutlineBlur(float(np.quantile(variance, _SHARPEST)), (halves[0], halves[1]))


def _widths(
    profiles: NDArray[np.float32], offsets: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(E,), contrast in parts of the steepness; and which of E profiles (E, T) are of edges."""
    change = np.abs(np.diff(profiles, axis=1)) / np.float32(_STEP)
    change[:, np.abs(offsets[1:] - _STEP / 2) > _SEARCHED] = 0
    steepest = change.argmax(axis=1)
    rows, steps = np.arange(len(profiles))[:, None], np.arange(*_BESIDE)
    before = profiles[rows, steepest[:, None] - steps]
    after = profiles[rows, steepest[:, None] + 1 + steps]
    contrast = np.abs(after.mean(axis=1) - before.mean(axis=1))
    uneven = np.maximum(before.std(axis=1), after.std(axis=1))
    usable = (contrast > _LEAST_CONTRAST) & (uneven < _EVENNESS * contrast)
    return contrast / np.maximum(change.max(axis=1), np.float32(1e-6)), usable


def _outline(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(E, 2), x and y of points of the outline, and unit vectors outwards."""
    size = len(mask)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
    down, across = np.gradient(soft)
    beside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) == 0
    rows, columns = np.nonzero(mask & beside)
    away = int(_REACH) + 1
    central = np.minimum(rows, columns) >= away
    central &= np.maximum(rows, columns) < size - away
    rows, columns = rows[central], columns[central]
    normals = -np.stack([across[rows, columns], down[rows, columns]], axis=1).astype(np.float64)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return np.stack([columns, rows], axis=1) + 0.5 * normals, normals


def _streak(variance: NDArray[np.float32], twice: NDArray[np.complex128]) -> complex:
    factors = np.stack([np.ones(len(twice)), twice.real, twice.imag], axis=1)
    weight = np.ones(len(twice))
    for _ in range(_REPEATS):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(factors * root[:, None], variance * root, rcond=None)[0]
        off = variance - factors @ found
        far = np.where(off > 0, _TOO_WIDE * off, -off)
        weight = 1 / np.maximum(1.0, far / (np.median(np.abs(off)) + 1e-6))
    return complex(found[1], found[2])


def grain(rgb: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float | None:
    """Standard deviation of the noise, of 255, from where a crop's object is evenest.

    Args:
        rgb: (S, S, 3).
        inside: (S, S), where the object is, and all around.

    Returns:
        None where no place is wide enough.
    """
    around = cv2.erode(inside.astype(np.uint8), np.ones((_WINDOW, _WINDOW), np.uint8))
    if not around.any():
        return None
    response = cv2.filter2D(rgb.astype(np.float32), -1, _SECOND_DIFFERENCE)
    variance = (response**2).mean(axis=-1) / 36
    places = cv2.blur(variance, (_WINDOW, _WINDOW))[around > 0]
    return float(np.sqrt(np.quantile(places, _EVENEST)))
