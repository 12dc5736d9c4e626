"""What a fit is asked to do, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from checked_settings import AtLeast, SettingError, WrongValue, alternatives, check
from render_adapt._config import Units, split_names
from renderer import RANDOMIZATIONS, Randomization

FEWEST = 20
"""Crops from which on ranges can be told."""


@dataclass(frozen=True)
class FitConfig:
    """Of which crops randomisation is to be fitted, and where it goes.

    Raises:
        SettingError: a value is out of range.
    """

    objects: tuple[str, ...]
    """Objects that the aligned crops show: names, or NAME=FILE for a mesh of your own."""
    target: Path
    """What `render-adapt align` wrote of your camera's crops."""
    out: Path
    """The TOML file to write, for `randomize`; a contact sheet goes beside it."""
    models: Path | None = None
    """A BOP models folder, or a .blend file, in place of the built-in models."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    preset: str = "strong"
    """The randomisation that the file begins with; what crops cannot tell is as it is there."""
    crops: Annotated[int, AtLeast(FEWEST)] = 300
    """Crops to measure at most, evenly over the dataset."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Decides what is drawn to compare with; the same seed gives the same file."""

    def __post_init__(self) -> None:
        """Split comma-separated names and check what can be checked without reading a file."""
        check(self)
        object.__setattr__(self, "objects", split_names(self.objects))
        if not self.objects:
            raise SettingError("`objects` is empty: name at least one, as in `objects` ape,cat")
        if self.preset not in RANDOMIZATIONS:
            raise WrongValue("preset", self.preset, alternatives(RANDOMIZATIONS))
        if self.out.suffix != ".toml":
            raise WrongValue("out", self.out, "the name of a .toml file")

    @property
    def contact_sheet(self) -> Path:
        """Where the picture of crops beside renders goes."""
        return self.out.with_suffix(".contact_sheet.png")


@dataclass(frozen=True)
class Likeness:
    """One thing that was measured in the same way of crops and of renders in their poses."""

    name: str
    """What, and in what unit."""
    crops: tuple[float, float]
    """Of the camera: what a tenth of the crops is below, and what a tenth is above."""
    renders: tuple[float, float]
    """The same of renders with the fitted settings."""


@dataclass(frozen=True)
class FitSummary:
    """What a fit found."""

    file: Path
    """The TOML file."""
    contact_sheet: Path
    """Crops of the camera, and renders in their poses with the fitted settings below."""
    randomization: Randomization
    """What the file says."""
    by_object: dict[str, int]
    """Measured crops by object."""
    colors: dict[str, tuple[float, float, float]]
    """By object, how many times as much red, green and blue the camera saw as the model has, where
    1 is the brightness of the objects together."""
    likeness: tuple[Likeness, ...]
    """How like renders with these settings are to the crops."""
    distance: tuple[float, float] | None
    """Millimetres within which the objects were measured, but for a twentieth at either end, for
    `RunConfig.distance`; None where the crops have no depth."""
