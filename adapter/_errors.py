"""What goes wrong with adapters, as one exception."""

from __future__ import annotations

from checked_settings import RenderAdaptError


def brief(error: Exception) -> str:
    """A library's message as a part of a sentence; some quote whole files."""
    return " ".join(str(error).split())[:160]


class AdapterError(RenderAdaptError, ValueError):
    """An adapter cannot be trained, read, written or applied as asked; one sentence says why."""


class TrainingDiverged(AdapterError):
    """A loss is no longer a finite number; with these settings and seed it comes to that again."""


class TrainingCollapsed(AdapterError):
    """Adapted crops have become alike; with these settings and seed they become so again."""


class OtherTraining(AdapterError):
    """A folder holds the training of other settings or other crops."""
