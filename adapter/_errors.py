"""What goes wrong with adapters, as one exception."""

from __future__ import annotations

from checked_settings import RenderAdaptError


def brief(error: Exception) -> str:
    """A library's message as a part of a sentence; some quote whole files."""
    return " ".join(str(error).split())[:160]


class AdapterError(RenderAdaptError, ValueError):
    """An adapter cannot be trained, read, written or applied as asked; one sentence says why."""
