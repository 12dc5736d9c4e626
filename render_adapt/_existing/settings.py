"""What `adapt` is asked to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from checked_settings import AtLeast, Between, check
from render_adapt._config import MOST_REDRAWS, Units, available_cores


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
        object.__setattr__(self, "out", Path(self.out))


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
    seconds: float
    sha256: str
    """Of the whole dataset: that of `dataset.sha256`."""
