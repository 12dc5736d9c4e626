"""What crops have in common, and how far they differ, robustly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from render_adapt._fit.measures import Measures
from renderer import Plans

TOLD = 0.15
"""Where a light explains less of what is uneven, its direction is not known."""
_TINT_TOLD, _TINT_LIGHT = 0.3, 0.2
"""What a light has to explain, and how strong it has to be, for its colour to be known."""
_NORMAL = 2.563
"""Standard deviations between the tenths of what is normally distributed."""
_CHANCE = 2.0
"""Standard errors up to which a covariance is taken for chance."""
_DARKEST = 0.02
"""Of linear light: in what is darker there is no colour."""


@dataclass(frozen=True)
class Statistics:
    """Of many crops. Pairs are what a tenth of the crops is below, and what a tenth is above."""

    above: bool
    """Whether lights are told to be about the board's upright, not the camera's direction."""
    upward: float
    """The median cosine between them and that."""
    ambient: tuple[float, float]
    """Objects levelled (`levels`)."""
    light: tuple[float, float]
    """Objects levelled."""
    stops: tuple[float, float]
    """Of brightness, from each object's median."""
    balance: tuple[float, float]
    """Stops of red and blue against green, from each object's median."""
    exposure: float
    """The variance of brightness that objects and what is behind them have in common, stops; 0
    where chance would have them have as much."""
    white: float
    """The same of red and blue against green."""
    tint: float
    """The variance of how much redder and bluer a light is than the ambient light, logarithms."""
    gloss: float
    """The mean strength of highlights, without the tenths at both ends."""
    blur: tuple[float, float]
    """Variances across outlines, square pixels."""
    streak: float
    """The mean square of how these depend on the direction, without the tenths at both ends."""
    noise: tuple[float, float]
    """Variances, of 255 squared."""


def summarise(measures: Measures, plans: Plans, above: bool | None) -> Statistics:
    """What N crops have in common.

    Args:
        measures: of N crops.
        plans: their poses.
        above: what lights are about; told from the measures if not given.
    """
    objects = plans.object_index
    level = levels(measures, objects)
    towards = {
        False: -measures.direction[:, 2],
        True: (plans.rotation[:, :, 2] * measures.direction).sum(axis=1),
    }
    upward = {way: _upward(cosine, measures.told) for way, cosine in towards.items()}
    chosen = upward[True] > upward[False] if above is None else above
    bright = _from_median(stops(measures.seen_light, measures.own_light), objects)
    colored = _from_median(balance(measures.seen_light, measures.own_light), objects)
    full = np.ones_like(measures.behind_light)
    behind = _from_median(stops(measures.behind_light, full), objects)
    behind_colored = _from_median(balance(measures.behind_light, full), objects)
    return Statistics(
        above=chosen, upward=upward[chosen],
        ambient=tenths(measures.ambient / level), light=tenths(measures.light / level),
        stops=tenths(bright), balance=tenths(colored),
        exposure=_beyond_chance(bright, behind), white=_beyond_chance(colored, behind_colored),
        tint=_tint(measures, objects), gloss=_without_ends(measures.gloss),
        blur=tenths(measures.blur), streak=_without_ends(measures.streak),
        noise=tenths(measures.grain**2),
    )  # fmt: skip


def tenths(values: NDArray[np.float64]) -> tuple[float, float]:
    """What a tenth of all finite values is below, and what a tenth is above."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 0.0
    least, greatest = np.quantile(finite, [0.1, 0.9])
    return float(least), float(greatest)


def levels(measures: Measures, objects: NDArray[np.int32]) -> NDArray[np.float64]:
    """(N,), how bright each crop's object is as a rule against what the objects are together, as
    models are too bright or too dark."""
    bright = measures.seen.mean(axis=1) / np.maximum(measures.own.mean(axis=1), 1.0)
    known = np.isfinite(bright)
    usual = {k: float(np.median(bright[known & (objects == k)])) for k in np.unique(objects[known])}
    middle = float(np.median(list(usual.values()))) if usual else 1.0
    return np.array([max(usual.get(k, 1.0), 1e-3) / max(middle, 1e-3) for k in objects])


def stops(seen: NDArray[np.float64], full: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,), by how many one linear light is brighter than another, both (N, 3)."""
    light, other = (np.maximum(k.sum(axis=1), 1e-3) for k in (seen, full))
    return np.asarray(np.log2(light / other))


def balance(seen: NDArray[np.float64], full: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2), stops by which red, and blue, are brighter than green; NaN where there is little of
    a colour."""
    known = (seen > _DARKEST) & (full > _DARKEST)
    gain = np.where(known, np.log2(np.maximum(seen, 1e-6) / np.maximum(full, 1e-6)), np.nan)
    return np.asarray(gain[:, [0, 2]] - gain[:, [1]])


def _upward(cosine: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    """The median, of a crop as much as its light explains."""
    known = np.isfinite(cosine) & (told > TOLD)
    if not known.any():
        return 1.0
    order = np.argsort(cosine[known])
    share = np.cumsum(told[known][order])
    return float(cosine[known][order][np.searchsorted(share, share[-1] / 2)])


def _from_median(values: NDArray[np.float64], objects: NDArray[np.int32]) -> NDArray[np.float64]:
    """Values (N, ...) without what is usual for their object."""
    rest = values.copy()
    for kind in np.unique(objects):
        rows = objects == kind
        known = np.isfinite(values[rows]).any(axis=0)
        usual = np.nanmedian(np.where(known, values[rows], 0.0), axis=0)
        rest[rows] -= usual
    return rest


def _without_ends(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    least, greatest = tenths(values)
    middle = finite[(finite >= least) & (finite <= greatest)]
    return float(middle.mean()) if len(middle) else 0.0


def _tint(measures: Measures, objects: NDArray[np.int32]) -> float:
    """The variance that both halves of the pixels agree on: chance in one is none in the other."""
    known = (measures.told > _TINT_TOLD) & (measures.light > _TINT_LIGHT)
    known &= (measures.own_light > _DARKEST).all(axis=1)
    known &= (measures.seen_light > _DARKEST).all(axis=1)
    if not known.any():
        return 0.0
    halves = _from_median(measures.tint[known], objects[known])
    return max(0.0, _in_common(halves[:, 0], halves[:, 1]))


def _beyond_chance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """What two measures have in common, if it is more than twice what is usual of chance."""
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return 0.0
    spreads = [(k[1] - k[0]) / _NORMAL for k in (tenths(first[known]), tenths(second[known]))]
    common = _in_common(first, second)
    return common if common > _CHANCE * spreads[0] * spreads[1] / np.sqrt(known.sum()) else 0.0


def _in_common(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The covariance of two measures, robustly (Gnanadesikan and Kettenring 1972)."""
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return 0.0
    together, apart = (first + second)[known], (first - second)[known]
    variances = [((k[1] - k[0]) / _NORMAL) ** 2 for k in (tenths(together), tenths(apart))]
    return (variances[0] - variances[1]) / 4
