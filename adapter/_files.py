"""Files that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from adapter._errors import AdapterError
from safe_files import write_file


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are absent.

    Raises:
        AdapterError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AdapterError(
            f"the folder {folder} cannot be made ({error.strerror}); choose another with `out`"
        ) from error
    if not os.access(folder, os.W_OK):
        raise AdapterError(f"the folder {folder} cannot be written to; choose another with `out`")


def write_atomically(path: Path, data: bytes) -> None:
    """All of the data at `path`, or what was there before, even if the machine stops.

    Raises:
        AdapterError: it cannot be written.
    """
    try:
        write_file(path, data)
    except OSError as error:
        raise AdapterError(f"{path} cannot be written ({error.strerror})") from error
