"""Nearest neighbours of adapted crops among real ones: does the generator copy them?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError


@dataclass(frozen=True)
class Nearest:
    """For each crop the nearest of others."""

    index: NDArray[np.int64]
    """(N,), its position among the others."""
    distance: NDArray[np.float64]
    """(N,), L2 distance over all values of the crop, which lie in [-1, 1]."""


def nearest_neighbours(
    crops: NDArray[Any],
    others: NDArray[Any],
    *,
    leave_out: NDArray[np.int64] | None = None,
    chunk: int = 2048,
) -> Nearest:
    """The pixel-space L2 nearest neighbour of each crop (section 4.4), in float64.

    Args:
        crops: (N, C, H, W).
        others: (M, C, H, W), among which to look.
        leave_out: (N,), for each crop the position of one of the others that does not count, as
            its own position where it is one of them.
        chunk: how many of the others are compared at once; changes the memory used alone.

    Raises:
        AdapterError: crops of different shapes, or none to compare with.
    """
    if crops.shape[1:] != others.shape[1:]:
        raise AdapterError(
            f"crops are {crops.shape[1:]} (channels, height, width) and those to compare with "
            f"{others.shape[1:]}; they must be alike"
        )
    if len(others) < (1 if leave_out is None else 2):
        raise AdapterError("there are no crops to compare with; give at least 2")
    flat = crops.reshape(len(crops), -1).astype(np.float64)
    squares = (flat**2).sum(axis=1)
    best = np.full(len(crops), np.inf)
    index = np.zeros(len(crops), np.int64)
    for start in range(0, len(others), chunk):
        part = others[start : start + chunk].reshape(-1, flat.shape[1]).astype(np.float64)
        distance = squares[:, None] - 2.0 * (flat @ part.T) + (part**2).sum(axis=1)
        if leave_out is not None:
            left_out_rows = np.flatnonzero((leave_out >= start) & (leave_out < start + len(part)))
            distance[left_out_rows, leave_out[left_out_rows] - start] = np.inf
        nearest = distance.argmin(axis=1)
        value = distance[np.arange(len(crops)), nearest]
        closer = value < best
        best[closer], index[closer] = value[closer], nearest[closer] + start
    # The expanded square leaves 1e-5 or so between a crop and its copy; the difference leaves 0.
    difference = flat - others[index].reshape(flat.shape).astype(np.float64)
    return Nearest(index, np.sqrt((difference**2).sum(axis=1)))


@dataclass(frozen=True)
class Memorisation:
    """How near adapted crops are to the real crops that the generator was trained towards.

    The ratio of a crop is its distance to the nearest training crop over that training crop's
    distance to the nearest other one: 0 for a copy, 1 where the crop is no nearer to the training
    set than the training set is to itself there. Dividing by the distance between neighbours
    keeps plain crops, which are near to everything, from passing for copies.

    Ratios depend on the data and on how many crops there are, so they are read beside the same
    figures of real crops that no generator could copy, the held-out ones. Pixel distances do not
    see a copy that was shifted or changed in colour as a whole.
    """

    median_ratio: float
    """Median ratio of the adapted crops."""
    share_below_half: float
    """Share of adapted crops with a ratio below 0.5, 0 to 1."""
    held_out_median_ratio: float | None
    """Median ratio of real held-out crops; None without them."""
    held_out_share_below_half: float | None
    """Share of real held-out crops with a ratio below 0.5."""
    nearer_than_held_out: float | None
    """Probability that an adapted crop has a smaller ratio than a held-out real one (ties count
    half; Mann and Whitney's U over its maximum, as the data-copying test of Meehan et al. 2020
    takes it): 0.5 for fresh draws of the real domain, towards 1 for copies, below 0.5 for crops
    that are unlike every training crop."""


def memorisation(
    adapted: NDArray[Any], target: NDArray[Any], held_out: NDArray[Any] | None = None
) -> Memorisation:
    """Whether adapted crops are copies of the target's training crops.

    Args:
        adapted: (N, C, H, W) in [-1, 1].
        target: (M, C, H, W), the target crops that the generator was trained towards.
        held_out: (K, C, H, W), real crops of the target domain that were not among them.

    Raises:
        AdapterError: crops of different shapes, or fewer than 2 target crops, or no others.
    """
    ratio = copy_ratio(adapted, target)
    real = None if held_out is None else copy_ratio(held_out, target)
    return Memorisation(
        median_ratio=float(np.median(ratio)),
        share_below_half=float((ratio < 0.5).mean()),
        held_out_median_ratio=None if real is None else float(np.median(real)),
        held_out_share_below_half=None if real is None else float((real < 0.5).mean()),
        nearer_than_held_out=None if real is None else probability_less(ratio, real),
    )


def copy_ratio(crops: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) the ratios of `Memorisation`; 0 for an exact copy, infinite where a crop that is none
    is nearest to a training crop that itself is there twice."""
    if len(crops) == 0:
        raise AdapterError("there are no crops to look for copies among; give at least one")
    nearest = nearest_neighbours(crops, target)
    unique, inverse = np.unique(nearest.index, return_inverse=True)
    spacing = nearest_neighbours(target[unique], target, leave_out=unique).distance[inverse]
    ratio = np.full(len(crops), np.inf)
    np.divide(nearest.distance, spacing, out=ratio, where=spacing > 0)
    return np.where(nearest.distance == 0, 0.0, ratio)


def probability_less(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Probability that a value of the first is below one of the second, ties counting half."""
    ordered = np.sort(second)
    above = len(second) - np.searchsorted(ordered, first, side="right")
    from_here = len(second) - np.searchsorted(ordered, first, side="left")
    return float((above + from_here).mean() / (2.0 * len(second)))
