"""What was measured of an adapter's crops, beside its description: figures that need no label."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adapter._errors import AdapterError

_MOST = 1e9


@dataclass(frozen=True)
class Verdict:
    """Figures of an adapter's crops beside its camera's, of which no label is known."""

    crops: int
    """Adapted crops that were looked at."""
    real_crops: int
    """Crops of the camera that they were compared with."""
    unfaithful_percent: float
    """Of the adapted crops, those whose label fidelity is below 0.01 by the scale of the judge that
    comes with the package, which knows nothing of this adapter."""
    told_apart_percent: float
    """How many adapted and real crops a classifier tells apart: 50 by guessing, 100 all."""
    distance: float
    """Kernel distance of adapted crops from real ones (`adapter.kernel_distance`): about 0 for two
    halves of one set, and below it by chance."""
    distance_before: float
    """That of the same crops before they were adapted."""
    middle_distance: float
    """Kernel distance of the middles of crops, half as wide and high, where objects are."""
    middle_distance_before: float
    """That of the same crops before they were adapted."""
    noise_on_object: float | None = None
    """Mean change of a pixel of objects, 0 to 255, when the noise vector alone changes; None of an
    adapter without noise."""
    noise_off_object: float | None = None
    """That of all other pixels; None also of an adapter that keeps backgrounds."""


def read_verdict(stated: Any, file: Path) -> Verdict:
    """A verdict as a description states it.

    Args:
        stated: what stands in its place.
        file: where, for messages.

    Raises:
        AdapterError: it is none.
    """
    known = {field.name: field.default is not None for field in fields(Verdict)}
    required = {name for name, is_required in known.items() if is_required}
    if not isinstance(stated, dict) or not required <= stated.keys() <= known.keys():
        raise AdapterError(
            f"{file} has a 'verdict' without its figures; it may be left out, or measured anew by "
            "render-adapt calibrate, with crops of the camera as `target`"
        )
    for name, value in stated.items():
        is_count = name in ("crops", "real_crops")
        kinds = (int,) if is_count else (int, float)
        absent = value is None and name not in required
        if not absent and (type(value) not in kinds or not _is_plausible(value, is_count)):
            raise AdapterError(
                f"{file} has {name} {value!r:.40} in its 'verdict'; it must be a number"
            )
    return Verdict(**stated)


def _is_plausible(value: float, is_count: bool) -> bool:
    # Which no NaN is.
    return abs(value) < _MOST and (value >= 0 or not is_count)
