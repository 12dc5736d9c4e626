"""What is behind the objects: a board with depth, a photograph, what a camera saw around them, a
drawn pattern or nothing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._capture.surroundings import Surroundings
from renderer._crops import CropBatch, Plans, RenderError
from renderer._pictures.patterns import BOARD_PERIODS, SIDE, board_patterns, patterns
from renderer._plans.placing import board_under
from renderer._plans.planes import plane_depth
from renderer._plans.randomization import Randomization
from renderer._streams import Stream

FARTHEST_BOARD = 4000.0
"""Millimetres: the board ends at this z, where depth cameras see no more."""

_DRAWS = 14
_SMALLEST_SQUARE = 64
_PATTERN_PERIODS = (0.5, 3.0)
"""Crop widths that a drawn pattern covers before it repeats, least and greatest."""
_PLAIN_BOARD = len(BOARD_PERIODS) - 1

Pictures = Sequence[NDArray[np.uint8]]


def put_background(
    crops: CropBatch,
    randomization: Randomization,
    seed: int,
    models: Sequence[CadModel],
    photographs: Pictures = (),
) -> CropBatch:
    """Crops with something behind their objects, one of `randomization.background` for each.

    The board is a plane: it has depth, perspective and the crop's light on it, objects hide it, and
    it hides what is under it, which then counts as hidden in the masks too. Where it ends there is
    a drawn pattern. Photographs and patterns have no depth.

    Args:
        crops: N rendered on black.
        randomization: its `background`.
        seed: the run's.
        models: the run's objects.
        photographs: (h, w, 3) RGB each, for crops that have one behind them.

    Raises:
        RenderError: photographs are to be put behind the objects and there are none, or what
            stood in them is to be known and is not.
    """
    kinds = randomization.background
    if kinds == ("black",):
        return crops
    if {"photographs", "surroundings"} & set(kinds) and len(photographs) == 0:
        raise RenderError(
            "background has photographs in it, but none were loaded: load them from a folder with "
            "load_photographs"
        )
    result = _writeable(crops)
    boards = _boards(crops.plans, models) if "board" in kinds else None
    around = Surroundings(photographs, models) if "surroundings" in kinds else None
    for row, number in enumerate(crops.plans.index):
        u = np.random.default_rng([seed, int(number), Stream.BACKGROUND]).random(_DRAWS)
        kind = kinds[int(u[0] * len(kinds))]
        if kind == "black":
            continue
        if kind == "board" and boards is not None:
            _put_board(result, row, u, boards)
        empty = result.depth[row] == 0
        if not empty.any():
            continue
        if kind == "photographs":
            picture = _photograph(photographs, u, crops.plans)
        elif around is not None and kind == "surroundings":
            picture = around.behind(crops.plans, row, float(u[1]))
        else:
            picture = _pattern(u, crops.plans)
        _put_where(empty, picture, result.rgb[row])
    return result


def _writeable(crops: CropBatch) -> CropBatch:
    copies: dict[str, Any] = {
        name: value.copy() for name, value in vars(crops).items() if isinstance(value, np.ndarray)
    }
    return dataclasses.replace(crops, **copies)


def _photograph(photographs: Pictures, u: NDArray[np.float64], plans: Plans) -> NDArray[np.uint8]:
    """A random part of a random photograph, as high and wide as the crops."""
    photograph = photographs[int(u[1] * len(photographs))]
    height, width = photograph.shape[:2]
    # The part's height; its width follows from the crop's shape.
    greatest = min(height, width * plans.height / plans.width)
    least = min(_SMALLEST_SQUARE, greatest)
    part_height = least + u[2] * (greatest - least)
    part_width = part_height * plans.width / plans.height
    top, left = u[3] * (height - part_height), u[4] * (width - part_width)
    rows = slice(round(top), max(round(top + part_height), round(top) + 1))
    columns = slice(round(left), max(round(left + part_width), round(left) + 1))
    interpolation = cv2.INTER_AREA if part_height > plans.height else cv2.INTER_LINEAR
    part = cv2.resize(
        photograph[rows, columns], (plans.width, plans.height), interpolation=interpolation
    )
    return np.asarray(part, np.uint8)


def _pattern(u: NDArray[np.float64], plans: Plans) -> NDArray[np.uint8]:
    """A drawn pattern, turned, moved, stretched and tinted."""
    pyramids = _pattern_pyramids()
    pyramid = pyramids[int(u[1] * len(pyramids))]
    least, greatest = _PATTERN_PERIODS
    texels = SIDE / (plans.width * least * (greatest / least) ** u[2])
    colors = np.empty((plans.height, plans.width, 3), np.uint8)
    _sample(pyramid, _placed(texels, u[3:6]), np.int64(round(np.log2(texels))), colors)
    return _multiplied(colors, 0.6 + 0.6 * u[6:9])


@dataclasses.dataclass(frozen=True)
class _Boards:
    """The boards of N crops."""

    depth: NDArray[np.float32]
    """(N, H, W), z in millimetres, 0 where the board is not seen."""
    homography: NDArray[np.float64]
    """(N, 3, 3), from a crop's pixels to places on the board in millimetres, along the model's x
    and y from under the target's centre."""
    footprint: NDArray[np.float64]
    """(N,), what a pixel sees of the board at a z of 1 mm, in millimetres from one pixel to the
    next; it grows with z to the power of 1.75."""
    light: NDArray[np.float64]
    """(N, 3), what reaches the board of the lights; 1 = full."""


_FOOTPRINT_GROWTH = 1.75


def _boards(plans: Plans, models: Sequence[CadModel]) -> _Boards:
    up, point = board_under(plans, models)
    depth = plane_depth(plans, up, point)
    offset = (up * point).sum(axis=1)
    axes = [
        offset[:, None] * axis - (axis * point).sum(axis=1)[:, None] * up
        for axis in (plans.rotation[:, :, 0], plans.rotation[:, :, 1])
    ]
    homography = np.stack([*axes, up], axis=1) @ np.linalg.inv(plans.camera_matrix)
    # A pixel sees an oblong, z / f wide and with an area of z^3 / (f^2 x the plane's distance).
    # Between the mean of its sides, with which fine patterns seen at a grazing angle would alias,
    # and the longer one, which would blur them across.
    focal = np.sqrt(plans.camera_matrix[:, 0, 0] * plans.camera_matrix[:, 1, 1])
    footprint = (focal**-2 / np.maximum(np.abs(offset), 1e-9)) ** 0.75 * focal**0.5
    cosine = np.maximum(0, np.einsum("nlc,nc->nl", plans.light_direction, up))
    light = plans.ambient_color + (plans.light_color * cosine[..., None]).sum(axis=1)
    return _Boards(
        depth=np.where(depth < FARTHEST_BOARD, depth, 0).astype(np.float32),
        homography=homography,
        footprint=footprint,
        light=np.asarray(light, np.float64),
    )


def _put_board(crops: CropBatch, row: int, u: NDArray[np.float64], boards: _Boards) -> None:
    """Change a crop's arrays to those with its board."""
    depth, board = crops.depth[row], boards.depth[row]
    in_front = (board > 0) & ((depth == 0) | (board < depth))
    if not in_front.any():
        return
    kind = int(u[9] * len(BOARD_PERIODS))
    texels = SIDE / BOARD_PERIODS[kind]
    growth = np.log2(np.where(in_front, board, board[in_front][0])) * _FOOTPRINT_GROWTH
    levels = np.rint(growth + np.log2(texels * boards.footprint[row])).astype(np.int64)
    colors = np.empty_like(crops.rgb[row])
    matrix = _placed(texels, u[10:13]) @ boards.homography[row]
    _sample(_board_pyramids()[kind], matrix, levels, colors)
    # A plain board may have any colour; the others keep theirs and differ in brightness.
    tint = 0.3 + 0.9 * u[6:9] if kind == _PLAIN_BOARD else np.full(3, 0.7 + 0.4 * u[6])
    lit = _multiplied(colors, tint * boards.light[row])
    _put_where(in_front, lit, crops.rgb[row])
    np.copyto(depth, board, where=in_front)
    crops.mask_visib[row] &= ~in_front
    crops.others_mask_visib[row] &= ~in_front
    for surface_map in (crops.normals, crops.object_coordinates):
        if surface_map is not None:
            surface_map[row][in_front] = 0


def _put_where(
    mask: NDArray[np.bool_], colors: NDArray[np.uint8], target: NDArray[np.uint8]
) -> None:
    """Put colours (H, W, 3) into the target's pixels that are in the mask (H, W)."""
    # numpy takes ten times as long where the last side is 3.
    cv2.copyTo(colors, np.ascontiguousarray(mask).view(np.uint8), target)


def _multiplied(colors: NDArray[np.uint8], factors: NDArray[np.float64]) -> NDArray[np.uint8]:
    tables = np.clip(np.rint(np.outer(np.arange(256), factors)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(colors, tables[:, None]), np.uint8)


def _placed(texels: float, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3), from a place to a picture's texels: any turn, any start, so many texels a unit."""
    sine, cosine = texels * np.sin(2 * np.pi * draws[0]), texels * np.cos(2 * np.pi * draws[0])
    across, down = SIDE * draws[1:3]
    return np.array([[cosine, -sine, across], [sine, cosine, down], [0, 0, 1]])


def _sample(
    pyramid: Sequence[NDArray[np.uint8]],
    matrix: NDArray[np.float64],
    levels: NDArray[np.int64] | np.int64,
    colors: NDArray[np.uint8],
) -> None:
    """Fill `colors` (H, W, 3) with a repeating picture, each pixel from the level it asks for.

    Args:
        pyramid: the picture at full size, half, quarter, ... one texel.
        matrix: (3, 3), from pixels to texels of the full size, both counted from the corner.
        levels: (H, W) or one for all, the logarithm to base 2 of the texels that a pixel covers.
        colors: what to fill.
    """
    size = colors.shape[1], colors.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    levels = np.clip(levels, 0, len(pyramid) - 1)
    for level in range(int(levels.min()), int(levels.max()) + 1):
        # OpenCV counts from the first pixel's centre.
        to_corner = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        scale = 0.5**level
        from_corner = np.array([[scale, 0, -0.5], [0, scale, -0.5], [0, 0, 1]])
        sampled = cv2.warpPerspective(
            pyramid[level], from_corner @ matrix @ to_corner, size,
            flags=flags, borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip
        mask = np.broadcast_to(levels == level, colors.shape[:2])
        _put_where(mask, np.asarray(sampled, np.uint8), colors)


def _pyramid(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    levels = [picture]
    while len(levels[-1]) > 1:
        half = len(levels[-1]) // 2
        smaller = cv2.resize(levels[-1], (half, half), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(smaller, np.uint8))
    return tuple(levels)


@functools.cache
def _pattern_pyramids() -> tuple[tuple[NDArray[np.uint8], ...], ...]:
    return tuple(map(_pyramid, patterns()))


@functools.cache
def _board_pyramids() -> tuple[tuple[NDArray[np.uint8], ...], ...]:
    return tuple(map(_pyramid, board_patterns()))
