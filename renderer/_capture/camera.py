"""What a camera does to colours: blur, exposure, noise, white balance, in that order.

Everything happens in linear light, between decoding sRGB and encoding it again, as it does in front
of a sensor and on it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._plans.randomization import Randomization

_READ_SHARE = 0.02
"""Of the noise's variance at mid-grey: what does not depend on the light."""
_MID_GREY = 128
_LEVELS = 65536
_DRAWS = 7


@dataclass(frozen=True)
class Shot:
    """How one picture is taken. The defaults change nothing."""

    motion: float = 0.0
    """Pixels that the camera moved during the exposure, evenly along a line."""
    direction: float = 0.0
    """Radians, of that line: 0 is along a row, a quarter turn along a column."""
    focus: float = 0.0
    """Pixels, standard deviation of the blur of a lens out of focus."""
    exposure: float = 0.0
    """Stops: twice as much light for each."""
    noise: float = 0.0
    """Standard deviation at mid-grey, of 255. Most of it is the light's own, whose variance grows
    with the light, so that in sRGB it is nearly the same at every brightness; 2 % of the variance
    is the electronics', which shows in the dark."""
    red: float = 1.0
    """The white balance's factor of red, in linear light; green's is 1."""
    blue: float = 1.0
    """The white balance's factor of blue, in linear light."""


def has_camera(randomization: Randomization) -> bool:
    """Whether any setting changes colours."""
    ranges = (
        randomization.exposure, randomization.motion_blur, randomization.focus_blur,
        randomization.color_noise,
    )  # fmt: skip
    return randomization.white_balance > 0 or any(limits != (0.0, 0.0) for limits in ranges)


def draw_shot(randomization: Randomization, random: np.random.Generator) -> Shot:
    """One crop's camera. Each setting has its own draws, so that none moves another's."""
    u = random.random(_DRAWS)

    def between(limits: tuple[float, float], draw: float) -> float:
        return float(limits[0] + (limits[1] - limits[0]) * draw)

    balance = randomization.white_balance
    return Shot(
        motion=between(randomization.motion_blur, u[0]),
        direction=math.pi * float(u[1]),
        focus=between(randomization.focus_blur, u[2]),
        exposure=between(randomization.exposure, u[3]),
        noise=between(randomization.color_noise, u[4]),
        red=between((1 - balance, 1 + balance), u[5]),
        blue=between((1 - balance, 1 + balance), u[6]),
    )


def take_picture(
    rgb: NDArray[np.uint8], shot: Shot, random: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture that a camera takes of a scene.

    Args:
        rgb: (H, W, 3), sRGB, what an ideal camera would see.
        shot: how it is taken.
        random: the source of the noise; drawn from only if there is noise.

    Returns:
        (H, W, 3), sRGB.
    """
    light = decode_srgb(rgb)
    edge = cv2.BORDER_REPLICATE
    if shot.focus > 0:
        kernel = gaussian_kernel(shot.focus)
        light = _single(cv2.sepFilter2D(light, -1, kernel, kernel, borderType=edge))
    if shot.motion > 0:
        kernel = motion_kernel(shot.motion, shot.direction)
        light = _single(cv2.filter2D(light, -1, kernel, borderType=edge))
    light *= np.float32(2.0**shot.exposure)
    if shot.noise > 0:
        _add_noise(light, shot.noise, random)
    # A row at a time: numpy takes long for arrays whose last side is 3.
    row = np.tile(np.array([shot.red, 1.0, shot.blue], np.float32), rgb.shape[1])
    return encode_srgb((light.reshape(-1, row.size) * row).reshape(rgb.shape))


def gaussian_kernel(sigma: float) -> NDArray[np.float32]:
    """(2 r + 1,) weights: the discrete Gaussian, whose variance is sigma squared however small.

    A Gaussian sampled at whole pixels has less for a sigma below about 0.5 (Lindeberg 1990).

    Args:
        sigma: pixels, above 0.
    """
    reach = math.ceil(4 * sigma) + 1
    # Its Fourier transform is known in closed form; a long period keeps what wraps round at 0.
    period = 4 * reach + 8
    waves = 2 * np.pi * np.arange(period // 2 + 1) / period
    weights = np.fft.irfft(np.exp(sigma**2 * (np.cos(waves) - 1)), period)
    kernel = np.concatenate([weights[reach:0:-1], weights[: reach + 1]])
    return np.asarray(kernel / kernel.sum(), np.float32)


def motion_kernel(length: float, direction: float) -> NDArray[np.float32]:
    """(2 r + 1, 2 r + 1) weights of an even movement along a line.

    Its centroid is the middle, and its variance along the line is length squared / 12, as that of a
    line without width.

    Args:
        length: pixels, above 0.
        direction: radians; 0 is along a row, a quarter turn along a column, downwards.
    """
    along = np.array([math.cos(direction), math.sin(direction)])
    shortened = _shortened(length, abs(along[0]), abs(along[1]))
    reach = math.ceil(shortened / 2)
    count = 8 * math.ceil(shortened) + 24
    steps = shortened * ((np.arange(count) + 0.5) / count - 0.5)
    x, y = reach + np.outer(along, steps)
    width = 2 * reach + 2  # a column and a row more, for neighbours whose share is 0
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, below = x - left, y - top
    corner = top * width + left
    places = np.concatenate([corner, corner + 1, corner + width, corner + width + 1])
    shares = np.concatenate(
        [(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below]
    )
    kernel = np.bincount(places, shares, width * width).reshape(width, width)
    return np.asarray(kernel[:-1, :-1] / count, np.float32)


def _shortened(length: float, across: float, down: float) -> float:
    """The line that, spread over whole pixels, has the variance of a line of `length`.

    Sharing a point between its neighbours at shares 1 - f and f adds a variance of f (1 - f).
    """
    least, greatest = 0.0, length
    wanted, across_square, down_square = length**2 / 12, across**2, down**2
    for _ in range(18):
        candidate = (least + greatest) / 2
        spread = across_square * _mean_share(candidate * across / 2)
        spread += down_square * _mean_share(candidate * down / 2)
        if candidate**2 / 12 + spread > wanted:
            greatest = candidate
        else:
            least = candidate
    return (least + greatest) / 2


def _mean_share(end: float) -> float:
    """The mean of f (1 - f) over 0 to `end`, where f is the fractional part."""
    if end < 1e-9:
        return 0.0
    whole = math.floor(end)
    rest = end - whole
    return (whole / 6 + rest**2 / 2 - rest**3 / 3) / end


def _single(image: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(image, np.float32)


def _add_noise(light: NDArray[np.float32], deviation: float, random: np.random.Generator) -> None:
    decoding = _decoding()
    middle = decoding[_MID_GREY]
    # Of linear light for each sRGB step about mid-grey.
    step = (decoding[_MID_GREY + 1] - decoding[_MID_GREY - 1]) / 2
    variance = np.float32((deviation * step) ** 2)
    noise = light * np.float32((1 - _READ_SHARE) / middle)
    noise += np.float32(_READ_SHARE)
    noise *= variance
    np.sqrt(noise, out=noise)
    noise *= random.standard_normal(light.shape, np.float32)
    light += noise


@functools.cache
def _decoding() -> NDArray[np.float32]:
    """(256,) linear light of each sRGB value."""
    value = np.arange(256) / 255
    low = value <= 0.04045
    return np.where(low, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@functools.cache
def _encoding() -> NDArray[np.uint8]:
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    high = 1.055 * light ** (1 / 2.4) - 0.055
    value = np.where(light <= 0.0031308, 12.92 * light, high)
    return np.asarray(np.rint(255 * value), np.uint8)


def decode_srgb(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear light, 0 to 1 (IEC 61966-2-1)."""
    return _single(cv2.LUT(rgb, _decoding())).reshape(rgb.shape)


def encode_srgb(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """sRGB of linear light; beyond 0 and 1 it is cut off."""
    steps = np.clip(light, 0, 1)
    steps *= np.float32(_LEVELS - 1)
    steps += np.float32(0.5)
    return np.asarray(np.take(_encoding(), steps.astype(np.uint16)))
