"""A dataset looked through, and mended, for a user interface."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checked_settings import check
from render_adapt._jobs.messages import Message, Verified, Working
from render_adapt._jobs.meter import CropsMeter
from render_adapt._verify.verify import Verification, repair, verify
from render_adapt._verify.words import bad_files, repair_notes, what_is_sound


@dataclass(frozen=True)
class DatasetCheck:
    """Which dataset is looked through.

    Raises:
        WrongValue: a value is of another kind.
    """

    dataset: Path
    repair: bool = False
    """Whether what is bad is made anew."""
    adapter: str | None = None
    """Where its run's adapter is now."""
    models: Path | None = None
    """Where its run's models folder or .blend file is now."""

    def __post_init__(self) -> None:
        """Check the kinds of all that another process may have got wrong."""
        check(self)


def check_dataset(asked: DatasetCheck, tell: Callable[[Message], None]) -> Verified:
    """Look through a dataset, and mend it where that is asked and needed.

    Raises:
        RenderAdaptError: it is no dataset of ours, or it cannot be mended.
    """
    # Blender draws in this process: there is no second one that could.
    workers = 1 if "bpy" in sys.modules else None

    def look(doing: str) -> Verification:
        tell(Working(doing))
        return verify(asked.dataset, workers=workers, on_progress=CropsMeter(tell))

    found = look("Looking at files and labels")
    notes: tuple[str, ...] = ()
    if found.bad and asked.repair:
        tell(Working("Making anew what is bad"))
        summary = repair(
            found, adapter=asked.adapter, models=asked.models, workers=workers,
            on_progress=CropsMeter(tell),
        )  # fmt: skip
        notes = repair_notes(found, summary)
        found = look("Looking at files and labels again")
    sound, bad = ("", bad_files(found)) if found.bad else (what_is_sound(found), "")
    return Verified(str(asked.dataset), sound, bad, list(notes))
