"""What goes wrong with adapters, as one exception."""

from __future__ import annotations


class AdapterError(ValueError):
    """An adapter cannot be trained, read, written or applied as asked; one sentence says why."""
