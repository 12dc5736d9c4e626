"""What `adapt` and `crop` are asked to do, and what they did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from checked_settings import AtLeast, Between, WrongValue, check
from render_adapt._config import (
    MOST_REDRAWS,
    WINDOW,
    Size,
    Units,
    available_cores,
    chosen_formats,
)
from render_adapt._own_packages import refuse_own_name


@dataclass(frozen=True)
class AdaptConfig:
    """Which dataset to adapt, how, and where to.

    Raises:
        SettingError: a value is out of range.
    """

    out: Path
    """Folder of the adapted dataset; an adaptation that was stopped continues there."""
    adapter: str = "shipped"
    """`shipped`, or a trained adapter's folder."""
    models: Path | None = None
    """The dataset's meshes, a BOP models folder, where they are not in its own models/."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    seed: Annotated[int, AtLeast(0)] = 0
    """The same seed gives the same bytes, whatever the number of workers."""
    min_fidelity: Annotated[float, Between(0, 1)] = 0.0
    """The least label fidelity of an object, 0 to 1 (docs/fidelity.md): one below it is adapted
    anew, and left as it was if it stays below; 0 takes all."""
    redraws: Annotated[int, Between(0, MOST_REDRAWS)] = 3
    """How often an object is adapted anew at most."""
    workers: Annotated[int, AtLeast(1)] = field(default_factory=lambda: available_cores())
    """Processes side by side."""

    def __post_init__(self) -> None:
        check(self)
        if self.adapter == "none":
            raise WrongValue("adapter", "none", "an adapter: without one there is nothing to do")
        object.__setattr__(self, "out", Path(self.out))
        refuse_own_name("out", self.out)


@dataclass(frozen=True)
class AdaptSummary:
    """What an adaptation did."""

    folder: Path
    images: int
    """In the dataset."""
    images_made: int
    """Of these, by this call; the others were there already."""
    objects: int
    """That are seen in the images."""
    left: int
    """Of these, left as they were."""
    redrawn: int
    """Adapted with another noise vector than their first."""
    fidelity: float
    """In the median; NaN where none was judged."""
    unknown: tuple[str, ...]
    """Objects that the adapter did not learn from, where it says what it learnt from."""
    seconds: float
    sha256: str
    """Of the whole dataset: that of `dataset.sha256`."""
    note: str = ""
    """That the adapter is below the bar, where it is."""


@dataclass(frozen=True)
class CropConfig:
    """How crops are cut out of a dataset's frames, and where to.

    Raises:
        SettingError: a value is out of range.
    """

    out: Path
    """Folder of the dataset of crops; what was stopped continues there."""
    models: Path | None = None
    """The dataset's meshes, a BOP models folder, where they are not in its own models/."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    size: Size = 64
    """Side of a crop, pixels."""
    window: Annotated[float, Between(1, 1e5, "mm")] = WINDOW
    """Side of the square that a crop shows at its object's distance, millimetres."""
    centre: Literal["mean", "box", "origin"] = "mean"
    """What of the object is in the middle of a crop: the mean of its mesh's vertices, as in
    LINEMOD's crops, the centre of its bounding box, or the origin of its coordinates."""
    min_visible: Annotated[float, Between(0, 1)] = 0.1
    """The least share of an object that is seen, 0 to 1; others have no crop."""
    format: tuple[str, ...] = ("bop",)
    """What to write: bop, bop-webdataset, or both with a comma between them."""

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "out", Path(self.out))
        refuse_own_name("out", self.out)
        object.__setattr__(self, "format", chosen_formats(self.format))


@dataclass(frozen=True)
class CropSummary:
    """What was cut."""

    folder: Path
    crops: int
    """In the dataset."""
    by_object: dict[str, int]
    beyond: int
    """Objects without a crop: their window reaches over the frame's border."""
    hidden: int
    """Objects without a crop: too little of them is seen."""
    contact_sheet: Path
    sha256: str
    """Of the whole dataset: that of `dataset.sha256`."""
