"""Drawn pictures that repeat without a seam: for objects' surfaces, backgrounds and boards."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE = 256
"""Pixels: every pattern is this wide and high."""

_Pattern = Callable[[np.random.Generator], NDArray[np.floating]]
_Field = NDArray[np.float64]


@functools.cache
def patterns() -> tuple[NDArray[np.uint8], ...]:
    """28 pictures, (256, 256, 3) RGB each; the same ones every time."""
    return tuple(_finish(draw, number) for number, draw in enumerate(_PATTERNS))


@functools.cache
def board_patterns() -> tuple[NDArray[np.uint8], ...]:
    """What boards are made of, (256, 256, 3) RGB: wood, checks, markers as on LINEMOD's board, and
    one plain colour.

    `BOARD_PERIODS` says how large each is.
    """
    return tuple(_finish(draw, 100 + number) for number, (draw, _) in enumerate(_BOARDS))


def _finish(draw: _Pattern, seed: int) -> NDArray[np.uint8]:
    values = draw(np.random.default_rng(seed))
    picture = np.ascontiguousarray(np.rint(np.clip(values, 0, 255)), np.uint8)
    picture.flags.writeable = False  # it is shared by all who ask
    return picture


def _cells(count: float) -> tuple[_Field, _Field]:
    """Each pixel's place across and down, in cells of which `count` make a picture."""
    centres = (np.arange(SIDE) + 0.5) * count / SIDE
    across, down = np.meshgrid(centres, centres)
    return across, down


def _noise(
    random: np.random.Generator, slope: float, stretch: float = 1.0, finest: float = 0.5
) -> _Field:
    """Seamless noise of unit standard deviation.

    Args:
        random: the source.
        slope: amplitude falls as frequency to this power: 0 is white, 2 is clouds.
        stretch: how many times as long as high its grains are.
        finest: the highest frequency, in periods a pixel.
    """
    frequency = np.fft.fftfreq(SIDE)
    radius = np.hypot(frequency[None, :] * stretch, frequency[:, None])
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(random.standard_normal((SIDE, SIDE)))
    spectrum *= np.where(radius <= finest * max(stretch, 1.0), radius, np.inf) ** -slope
    if slope == 0:
        spectrum[0, 0] = 0
    field = np.fft.ifft2(spectrum).real
    return np.asarray(field / field.std(), np.float64)


def _blend(share: ArrayLike, *colors: tuple[int, int, int]) -> _Field:
    """Colours along a scale: 0 is the first, 1 the last, even steps between."""
    place = np.clip(np.asarray(share, np.float64), 0, 1) * (len(colors) - 1)
    table = np.array(colors, np.float64)
    stops = np.arange(len(colors))
    return np.stack([np.interp(place, stops, table[:, c]) for c in range(3)], axis=-1)


def _grain(random: np.random.Generator, picture: _Field, amount: float) -> _Field:
    return np.asarray(picture + amount * _noise(random, 0.3)[..., None])


def _confetti(random: np.random.Generator) -> _Field:
    coarse = random.uniform(20, 235, (32, 32, 3))
    return np.asarray(np.kron(coarse, np.ones((8, 8, 1))))


def _clouds(low: tuple[int, int, int], high: tuple[int, int, int], slope: float) -> _Pattern:
    return lambda random: _blend(0.5 + 0.3 * _noise(random, slope), low, high)


def _colored_clouds(random: np.random.Generator) -> _Field:
    return np.stack([128 + 55 * _noise(random, 1.4) for _ in range(3)], axis=-1)


def _marble(light: tuple[int, int, int], vein: tuple[int, int, int], turns: int) -> _Pattern:
    def draw(random: np.random.Generator) -> _Field:
        across, down = _cells(1)
        phase = 2 * np.pi * (turns * across + down) + 1.4 * _noise(random, 1.8)
        return _grain(random, _blend(np.abs(np.sin(phase)) ** 0.6, vein, light), 3)

    return draw


def _wood(light: tuple[int, int, int], dark: tuple[int, int, int], planks: int) -> _Pattern:
    def draw(random: np.random.Generator) -> _Field:
        _, down = _cells(planks)
        plank = down.astype(int)
        # Each plank has its own shade and its own rings.
        shade = random.normal(0, 0.08, planks)[plank]
        rings = np.sin(2 * np.pi * (3 * down + 0.9 * _noise(random, 2.0, 6.0)))
        fibres = _noise(random, 0.6, 24.0)
        share = 0.4 + shade + 0.16 * rings + 0.12 * fibres
        seam = (down % 1 < planks * 2.0 / SIDE) & (planks > 1)
        return np.where(seam[..., None], 0.6 * np.array(dark), _blend(share, light, dark))

    return draw


def _brushed(color: tuple[int, int, int], upright: bool) -> _Pattern:
    def draw(random: np.random.Generator) -> _Field:
        strokes = 10 * _noise(random, 0.4, 60.0) + 14 * _noise(random, 2.0)
        return np.asarray((strokes.T if upright else strokes)[..., None] + np.array(color, float))

    return draw


def _rust(random: np.random.Generator) -> _Field:
    metal = _brushed((120, 128, 136), False)(random)
    stain = _noise(random, 1.6)
    rust = _blend(0.5 + 0.35 * _noise(random, 0.9), (84, 38, 18), (190, 104, 48))
    return np.asarray(metal + np.clip(2 * stain, 0, 1)[..., None] * (rust - metal))


def _stripes(
    colors: tuple[tuple[int, int, int], ...], across: int, down: int, soft: bool = False
) -> _Pattern:
    def draw(random: np.random.Generator) -> _Field:
        x, y = _cells(1)
        place = (across * x + down * y) % 1
        if soft:
            return _blend(0.5 + 0.5 * np.sin(2 * np.pi * place), *colors)
        table = np.array(colors, np.float64)
        return _grain(random, table[(place * len(colors)).astype(int) % len(colors)], 2)

    return draw


def _checks(count: int, *colors: tuple[int, int, int]) -> _Pattern:
    def draw(random: np.random.Generator) -> _Field:
        x, y = _cells(count)
        color_index = (x.astype(int) + y.astype(int)) % len(colors)
        return _grain(random, np.array(colors, np.float64)[color_index], 3)

    return draw


def _tartan(random: np.random.Generator) -> _Field:
    x, y = _cells(4)
    sett = np.array([0.0, 0.0, 0.0, 0.7, 0.7, 0.0, 1.0, 0.0])
    bands = sett[(x * 8).astype(int) % 8] + sett[(y * 8).astype(int) % 8]
    return _grain(random, _blend(bands / 2, (140, 22, 30), (24, 60, 40), (236, 224, 190)), 5)


def _dots(count: int, ground: tuple[int, int, int], dot: tuple[int, int, int]) -> _Pattern:
    def draw(random: np.random.Generator) -> _Field:
        x, y = _cells(count)
        shifted = x + 0.5 * (y.astype(int) % 2)
        radius = np.hypot(shifted % 1 - 0.5, y % 1 - 0.5)
        return _grain(random, np.where((radius < 0.3)[..., None], dot, ground).astype(float), 2)

    return draw


def _nearest_cells(random: np.random.Generator, count: int) -> tuple[NDArray[np.intp], _Field]:
    """Which of `count` random points is nearest to each pixel, and how much nearer than the next
    one, in pixels."""
    pixel = np.arange(SIDE) + 0.5
    nearest, cell = np.full((SIDE, SIDE), np.inf), np.zeros((SIDE, SIDE), np.intp)
    second = nearest.copy()
    for number, (x, y) in enumerate(random.uniform(0, SIDE, (count, 2))):
        # The shorter way round, as the picture repeats.
        across, down = (np.abs((pixel - place + SIDE / 2) % SIDE - SIDE / 2) for place in (x, y))
        distance = np.hypot(across[None, :], down[:, None])
        cell[distance < nearest] = number
        second = np.minimum(second, np.maximum(distance, nearest))
        nearest = np.minimum(distance, nearest)
    return cell, second - nearest


def _mosaic(random: np.random.Generator) -> _Field:
    cell, gap = _nearest_cells(random, 60)
    colors = random.uniform(30, 230, (60, 3))
    return np.asarray(np.where((gap < 2.5)[..., None], 24.0, colors[cell]))


def _pebbles(random: np.random.Generator) -> _Field:
    cell, gap = _nearest_cells(random, 90)
    shade = random.uniform(0.3, 1.0, 90)[cell] * np.clip(gap / 8, 0.25, 1)
    return _grain(random, _blend(shade, (38, 36, 34), (168, 152, 132), (226, 216, 198)), 6)


def _bricks(random: np.random.Generator) -> _Field:
    x, y = _cells(4)
    x, row = x + 0.5 * ((2 * y).astype(int) % 2), (2 * y).astype(int)
    number = (row * 4 + x.astype(int) % 4) % 32
    mortar = (x % 1 < 0.06) | ((2 * y) % 1 < 0.12)
    brick = _blend(random.random(32)[number], (122, 52, 38), (176, 92, 64))
    return _grain(random, np.where(mortar[..., None], (186.0, 180.0, 170.0), brick), 7)


def _camouflage(random: np.random.Generator) -> _Field:
    level = np.digitize(_noise(random, 1.9), (-0.6, 0.2, 0.9))
    colors = np.array([(44, 46, 34), (92, 88, 54), (136, 124, 88), (70, 92, 56)], np.float64)
    return _grain(random, colors[level], 3)


def _weave(random: np.random.Generator) -> _Field:
    x, y = _cells(32)
    over = (x.astype(int) + y.astype(int)) % 2 == 0
    thread = np.where(over, np.sin(np.pi * (x % 1)), np.sin(np.pi * (y % 1)))
    cloth = np.where(over[..., None], (70.0, 92.0, 150.0), (188.0, 184.0, 172.0))
    return _grain(random, cloth * (0.55 + 0.45 * thread[..., None]), 5)


def _print(random: np.random.Generator) -> _Field:
    """Lines of short dark dashes on white: a page of text from afar, with a picture on it."""
    page = np.full((SIDE, SIDE, 3), 238.0)
    for top in range(8, SIDE - 8, 8):
        left = 8
        while left < SIDE - 8:
            length = int(random.integers(3, 16))
            page[top : top + 4, left : min(left + length, SIDE - 8)] = random.uniform(20, 90)
            left += length + 4
    page[40:104, 24:120] = _colored_clouds(random)[40:104, 24:120]
    page[150:168, 8:180] = (190, 30, 36)
    return page


def _rings(random: np.random.Generator) -> _Field:
    x, y = _cells(2)
    radius = np.hypot(x % 1 - 0.5, y % 1 - 0.5)
    return _grain(random, _blend((10 * radius) % 1 > 0.5, (244, 196, 48), (32, 56, 120)), 2)


def _granite(random: np.random.Generator) -> _Field:
    speckle = _noise(random, 0.2, finest=0.25)
    return _blend(0.5 + 0.25 * speckle, (26, 26, 30), (132, 126, 124), (214, 208, 204))


def _triangles(random: np.random.Generator) -> _Field:
    x, y = _cells(8)
    upper = (x % 1) + (y % 1) > 1
    number = (y.astype(int) * 8 + x.astype(int)) * 2 + upper
    return np.asarray(random.uniform(10, 245, (128, 3))[number])


_PATTERNS: tuple[_Pattern, ...] = (
    _confetti,
    _clouds((30, 44, 80), (196, 208, 224), 1.8),
    _clouds((52, 70, 30), (164, 176, 96), 1.1),
    _colored_clouds,
    _marble((232, 228, 220), (104, 98, 96), 2),
    _marble((58, 74, 66), (190, 200, 186), 1),
    _wood((206, 164, 110), (122, 78, 42), 1),
    _wood((120, 74, 48), (54, 30, 20), 4),
    _brushed((168, 170, 174), False),
    _brushed((196, 160, 96), True),
    _rust,
    _stripes(((24, 24, 26), (236, 236, 230)), 8, 0),
    _stripes(((250, 206, 30), (30, 30, 30)), 6, 6),
    _stripes(((186, 34, 44), (240, 236, 226), (34, 60, 130)), 0, 5),
    _stripes(((20, 90, 96), (232, 150, 90)), 3, 2, soft=True),
    _checks(8, (232, 232, 228), (28, 28, 30)),
    _checks(6, (210, 60, 50), (244, 214, 120), (60, 130, 160)),
    _tartan,
    _dots(8, (40, 110, 90), (240, 236, 210)),
    _mosaic,
    _pebbles,
    _camouflage,
    _weave,
    _granite,
    _bricks,
    _print,
    _rings,
    _triangles,
)


def _plain(random: np.random.Generator) -> _Field:
    return np.asarray(np.full((SIDE, SIDE, 3), 200.0) + 2 * _noise(random, 1.0)[..., None])


def _markers(random: np.random.Generator) -> _Field:
    """A white border with black square markers about a printed sheet."""
    board = np.full((SIDE, SIDE, 3), 226.0)
    inner = slice(44, SIDE - 44)
    board[inner, inner] = cv2.resize(_print(random), (SIDE - 88, SIDE - 88))
    starts = np.linspace(10, SIDE - 34, 6).round().astype(int)
    ring = [(y, x) for y in starts for x in starts if {y, x} & {starts[0], starts[-1]}]
    for top, left in ring:
        board[top : top + 24, left : left + 24] = 22
        bits = np.kron(random.integers(0, 2, (3, 3)), np.ones((4, 4)))
        board[top + 6 : top + 18, left + 6 : left + 18] += 204 * bits[..., None]
    return board


_BOARDS: tuple[tuple[_Pattern, float], ...] = (
    (_wood((214, 182, 136), (148, 104, 64), 3), 400.0),
    (_checks(8, (234, 234, 230), (30, 30, 32)), 240.0),
    (_markers, 560.0),
    (_plain, 300.0),
)

BOARD_PERIODS = tuple(period for _, period in _BOARDS)
"""Millimetres that each board's picture covers before it repeats."""
