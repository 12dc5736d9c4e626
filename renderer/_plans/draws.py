"""Where the random numbers of plans come from: the run's seed, the crop's number and a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renderer._streams import Stream

MOST_LIGHTS = 8
MOST_OCCLUDERS = 8
MOST_NEIGHBOURS = 16
"""Of a frame, where the first is the target; beside a crop's target there are 8 at most."""
MOST_INSTANCES = 1 + MOST_OCCLUDERS + MOST_NEIGHBOURS


@dataclass(frozen=True)
class SurroundingDraws:
    """A crop's numbers of stream 3, in [0, 1): each setting has its own, so that none moves
    another's."""

    framing: NDArray[np.float64]
    """(N, 3): off-centre across, off-centre down, zoom."""
    light_count: NDArray[np.float64]
    """(N,)"""
    light_shares: NDArray[np.float64]
    """(N, 8), of all lights."""
    light_directions: NDArray[np.float64]
    """(N, 7, 2), of all lights but the first."""
    light_tints: NDArray[np.float64]
    """(N, 7, 3), of all lights but the first."""
    occluder_count: NDArray[np.float64]
    """(N,)"""
    occluders: NDArray[np.float64]
    """(N, 8, 7): object, three of the rotation, side, share of the target, distance."""
    neighbour_count: NDArray[np.float64]
    """(N,)"""
    neighbours: NDArray[np.float64]
    """(N, 16, 4): object, heading, side, distance."""


def draw(seed: int, index: NDArray[np.int64], stream: int, count: int) -> NDArray[np.float64]:
    """(N, count) numbers in [0, 1), each crop's from its own generator."""
    draws = np.empty((len(index), count))
    for row, number in enumerate(index):
        draws[row] = np.random.default_rng([seed, int(number), stream]).random(count)
    return draws


def draw_surroundings(seed: int, index: NDArray[np.int64]) -> SurroundingDraws:
    """Every number of stream 3."""
    shapes: dict[str, tuple[int, ...]] = {
        "framing": (3,),
        "light_count": (),
        "light_shares": (MOST_LIGHTS,),
        "light_directions": (MOST_LIGHTS - 1, 2),
        "light_tints": (MOST_LIGHTS - 1, 3),
        "occluder_count": (),
        "occluders": (MOST_OCCLUDERS, 7),
        "neighbour_count": (),
        "neighbours": (MOST_NEIGHBOURS, 4),
    }
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    draws = draw(seed, index, Stream.SCENE, int(ends[-1]))
    parts = np.split(draws, ends[:-1], axis=1)
    return SurroundingDraws(
        **{
            name: part.reshape(len(index), *shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
    )


def between(limits: tuple[float, float], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Uniform from the least to the greatest."""
    return limits[0] + (limits[1] - limits[0]) * draws


def whole_between(limits: tuple[int, int], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """A whole number, each from the least to the greatest equally often."""
    return limits[0] + (draws * (limits[1] - limits[0] + 1)).astype(np.int64)
