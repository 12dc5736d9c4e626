"""How a target's crops were cut: what the source must be rendered like, and a run after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from adapter._errors import AdapterError
from checked_settings import Between, SettingError, fitted_to, worded

Centre = Literal["mean", "box", "origin", "visible"]


@dataclass(frozen=True)
class TargetCut:
    """How the target's crops were cut from the camera's pictures."""

    centre: Centre
    """What of the object is in the middle of a crop: mean (of the mesh's vertices), box (the centre
    of its bounding box), origin (of its coordinates) or visible (the 2-D box of what is seen)."""
    window_mm: Annotated[float, Between(1, 1e5)]
    """Side of the square that a crop shows at that point's distance, millimetres."""
    off_axis_degrees: Annotated[float, Between(0, 60)]
    """How far off the camera's optical axis crops lie at most."""
    pixels: Annotated[int, Between(1, 10**6)] | None = None
    """The camera's own pixels across a crop, for half of the crops more; None if not known."""


def read_cut(fields: Any, file: Path) -> TargetCut:
    """A cut as JSON has it.

    Args:
        fields: what JSON has of it.
        file: where that is, for messages.

    Raises:
        AdapterError: something is missing, of another kind or out of range.
    """
    if not isinstance(fields, dict):
        raise AdapterError(f"{file} has a cut that is not one: give its settings by name")
    missing = [name for name in ("centre", "window_mm", "off_axis_degrees") if name not in fields]
    try:
        settings = fitted_to(TargetCut, fields)
    except SettingError as error:
        raise AdapterError(
            f"{file} has a cut that is not one: {worded(str(error), _key)}"
        ) from None
    if missing:
        raise AdapterError(f"{file} has a cut without {', '.join(missing)}: give it")
    return TargetCut(**settings)


def _key(name: str) -> str:
    """What a setting is called in a file."""
    return name
