"""Depth of a target: what its numbers mean, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError
from adapter._target.pictures import Stored, Unreadable
from adapter._target.report import DAMAGED, UNMEASURED

NEAREST, FARTHEST = 100.0, 3000.0
"""Millimetres: the middle of what a camera measured of objects to handle lies between these. Tenths
of a millimetre, from 300 mm on, do not."""
_LIKELY_STEPS = (0.1, 0.2, 1.0, 10.0, 1000.0)


def measured(stored: Stored) -> NDArray[np.float32]:
    """(H, W) depth in the file's own steps, 0 where nothing was measured.

    Not a number, infinite, negative, and the greatest number of 16 bits are no measurements.

    Raises:
        Unreadable: its numbers are of no kind that depth is in.
    """
    values = stored.pixels
    if values.dtype.kind not in "uif":
        raise Unreadable(DAMAGED)
    good = np.isfinite(values) & (values > 0)
    if values.dtype == np.uint16:
        good &= values < np.iinfo(np.uint16).max
    with np.errstate(over="ignore"):
        depth = np.where(good, values, 0).astype(np.float32)
    return np.where(np.isfinite(depth), depth, np.float32(0))


def middle_of(depth: NDArray[np.float32]) -> float:
    """The depth of a crop's centre: the median in the middle half of each side, else of all.

    Raises:
        Unreadable: nothing was measured.
    """
    quarter = depth.shape[0] // 4
    middle = depth[quarter : depth.shape[0] - quarter, quarter : depth.shape[1] - quarter]
    for part in (middle, depth):
        if (part > 0).any():
            return float(np.median(part[part > 0]))
    raise Unreadable(UNMEASURED)


def step_of(medians: list[float], is_float: bool, folder: Path) -> tuple[float, str]:
    """Millimetres in a step of depth, told from the values, and that in words.

    Millimetres are plausible before all else; numbers with a fraction may be metres.

    Args:
        medians: of what was measured in each crop, in steps.
        is_float: whether depth is in numbers with a fraction.
        folder: the target's, for messages.

    Raises:
        AdapterError: neither puts the crops where a camera sees objects to handle.
    """
    median = float(np.median(medians))
    units = [(1.0, "millimetres")] + ([(1000.0, "metres")] if is_float else [])
    for step, unit in units:
        if NEAREST <= median * step <= FARTHEST:
            return step, f"in {unit} by its values"
    where = "near" if median < NEAREST else "far"
    likely = [step for step in _LIKELY_STEPS if NEAREST <= median * step <= FARTHEST]
    made = ", ".join(f"{step:g} would make it {median * step:.0f} mm" for step in likely)
    raise AdapterError(
        f"depth in {folder} has a median of {median:g}, too {where} for millimetres: give "
        f"`depth_scale`, the millimetres in a step{f' ({made})' if made else ''}, or `channels` 3"
    )


def check_depth_numbers(stored: Stored, file: Path, scale: float | None) -> None:
    """Refuse depth that is in colours or too coarse.

    Raises:
        AdapterError: it has several channels, or 8 bits and nobody says what they mean.
    """
    pixels: NDArray[Any] = stored.pixels
    if not stored.is_flat:
        raise AdapterError(
            f"{file} has {pixels.shape[2]} channels; a depth image has one: give depth as it was "
            "measured, or train with `channels` 3"
        )
    if not stored.is_wide and scale is None:
        raise AdapterError(
            f"{file} has 8 bits, too few for depth in millimetres; give 16-bit or float depth, the "
            "millimetres in a step with `depth_scale`, or train with `channels` 3"
        )
