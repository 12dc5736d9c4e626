"""Where a training stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TaskProgress:
    """Where the training of a task network, or of anything else than a GAN, stands."""

    step: int
    """Steps done."""
    steps: int
    """Steps asked for."""
    losses: dict[str, float]
    """Unweighted losses of the last step, by name."""
    steps_per_second: float
    seconds_left: float
    """Until `steps`, or until the time limit where that comes first."""
    note: str = ""
    """What the user should know; mostly empty."""
    picture: Path | None = None
    """Of how far the training is, where it has just been written."""


@dataclass(frozen=True)
class Progress:
    """Where a training run stands."""

    step: int
    """Steps done."""
    steps: int
    """Steps asked for."""
    losses: dict[str, float]
    """Unweighted losses of the last step, by name."""
    accuracy_real: float
    """Fraction of real crops that the discriminator took for real."""
    accuracy_fake: float
    """Fraction of adapted crops that it took for adapted."""
    steps_per_second: float
    seconds_left: float
    """Until `steps`, or until the time limit where that comes first."""
    note: str = ""
    """What looks wrong with the run and what to change; mostly empty."""
    picture: Path | None = None
    """Of how far the training is, where it has just been written."""
