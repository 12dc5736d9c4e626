"""Where this project keeps what it would else make anew in each process."""

from __future__ import annotations

from pathlib import Path


def cache_folder() -> Path | None:
    """A folder of ours among the user's caches; None where the user has no home to keep it in."""
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("render-adapt", appauthor=False)
    except RuntimeError:
        return None
    # Some versions give a "~" that means nothing without a home.
    return folder if folder.is_absolute() else None
