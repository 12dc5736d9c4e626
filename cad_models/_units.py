"""Whether a mesh is in millimetres, and what it is in when it is not."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cad_models._mesh.checked import largest_distance
from cad_models._model import ModelError
from checked_settings import WrongValue, alternatives

MILLIMETRES = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "in": 25.4}
WORDS = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}
_SMALLEST, _LARGEST = 5.0, 2000.0
_SMALLEST_AT_ALL, _LARGEST_AT_ALL = 0.1, 100_000.0
_TYPICAL = 150.0


def check_units(units: str | None) -> None:
    """Raise `WrongValue` unless `units` is a unit, or None."""
    if units is not None and units not in MILLIMETRES:
        raise WrongValue("units", units, alternatives(MILLIMETRES))


def scale_of(
    vertices: NDArray[np.float64], subject: str, units: str | None, stated: float | None = None
) -> float:
    """`millimetres_per_unit` of (V, 3) vertices, by their box alone where that leaves no doubt."""
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    try:
        millimetres_per_unit(diagonal / math.sqrt(3), subject, units, stated)
        return millimetres_per_unit(diagonal, subject, units, stated)
    except ModelError:
        return millimetres_per_unit(largest_distance(vertices), subject, units, stated)


def millimetres_per_unit(
    extent: float, subject: str, units: str | None, stated: float | None = None
) -> float:
    """The factor that brings a mesh to millimetres.

    Args:
        extent: the mesh's diameter in its own unit.
        subject: what messages begin with.
        units: what the user says, which counts before all else.
        stated: millimetres per unit where the file's format says so.

    Raises:
        ModelError: nobody says what the unit is and read as millimetres the diameter is under
            5 mm or over 2 m, or the format's unit leads there; or, whoever says it, the diameter
            is under 0.1 mm or over 100 m.
    """
    if units is not None:
        factor = MILLIMETRES[units]
        if not _SMALLEST_AT_ALL <= extent * factor <= _LARGEST_AT_ALL:
            raise ModelError(
                f"{subject} is {_digits(extent * factor)} mm across with `units` {units}; "
                "no object of 0.1 mm to 100 m, so try another unit or scale the mesh"
            )
        return factor
    factor = 1.0 if stated is None else stated
    if _SMALLEST <= extent * factor <= _LARGEST:
        return factor
    reading = "read as millimetres" if stated is None else "read in the unit its format states"
    plausible = [unit for unit, mm in MILLIMETRES.items() if _SMALLEST <= extent * mm <= _LARGEST]
    plausible.sort(key=lambda unit: abs(math.log(extent * MILLIMETRES[unit] / _TYPICAL)))
    if plausible:
        advice = (
            f"it is probably in {' or '.join(WORDS[unit] for unit in plausible)}: "
            f"pass {' or '.join(f'`units` {unit}' for unit in plausible)}"
        )
    else:
        advice = "scale the mesh to millimetres, or pass `units` mm if that is its true size"
    raise ModelError(f"{subject} is {_digits(extent * factor)} mm across if {reading}; {advice}")


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}" if value < 1e9 else f"{value:.0e}"
