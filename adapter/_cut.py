"""How a target's crops were cut: what the source must be rendered like, and a run after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter._errors import AdapterError

CENTRES = ("mean", "box", "origin", "visible")

_LIMITS = {"window_mm": (1.0, 1e5), "off_axis_degrees": (0.0, 60.0), "pixels": (1, 10**6)}


@dataclass(frozen=True)
class TargetCut:
    """How the target's crops were cut from the camera's pictures."""

    centre: str
    """What of the object is in the middle of a crop: mean (of the mesh's vertices), box (the centre
    of its bounding box), origin (of its coordinates) or visible (the 2-D box of what is seen)."""
    window_mm: float
    """Side of the square that a crop shows at that point's distance, millimetres."""
    off_axis_degrees: float
    """How far off the camera's optical axis crops lie at most."""
    pixels: int | None = None
    """The camera's own pixels across a crop, for half of the crops more; None if not known."""


def read_cut(fields: Any, file: Path) -> TargetCut:
    """A cut as JSON has it.

    Args:
        fields: what JSON has of it.
        file: where that is, for messages.

    Raises:
        AdapterError: something is missing, of another kind or out of range.
    """
    known = ("centre", "window_mm", "off_axis_degrees", "pixels")
    if not isinstance(fields, dict) or not fields.keys() <= set(known):
        raise AdapterError(f"{file} has a cut that is not one: it may have {', '.join(known)}")
    if fields.get("centre") not in CENTRES:
        raise AdapterError(
            f"{file} has a cut whose centre is {fields.get('centre')!r:.40}; it must be one of "
            f"{', '.join(CENTRES)}"
        )
    for name, (least, greatest) in _LIMITS.items():
        value: Any = fields.get(name)
        if name == "pixels" and value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= greatest:
            raise AdapterError(
                f"{file} has a cut whose {name} is {value!r:.40}; it must be {least:g} to "
                f"{greatest:g}"
            )
    pixels = fields.get("pixels")
    return TargetCut(
        centre=fields["centre"],
        window_mm=float(fields["window_mm"]),
        off_axis_degrees=float(fields["off_axis_degrees"]),
        pixels=None if pixels is None else int(pixels),
    )
