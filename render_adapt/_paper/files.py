"""The files of the experiments' own folders, and one sentence where they cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from render_adapt._exceptions import DatasetError
from safe_files import parse_json, read_file, write_file

_MOST_TEXT = 2**28


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are absent.

    Raises:
        DatasetError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"the folder {folder} cannot be made ({error.strerror}); choose another with `work` or "
            "`out`"
        ) from error


def write(path: Path, content: bytes | str) -> None:
    """All of the content at `path`, or what was there before, even if the machine stops.

    Raises:
        DatasetError: it cannot be written.
    """
    try:
        write_file(path, content)
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be written ({error.strerror}); make room there, or choose another "
            "folder with `work` or `out`"
        ) from error


def read_json(path: Path) -> Any:
    """What a JSON file of ours says; None where there is none.

    Raises:
        DatasetError: it cannot be read, or is no JSON.
    """
    try:
        return parse_json(read_file(path, most=_MOST_TEXT))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise DatasetError(
            f"{path} cannot be read ({reason}); delete its folder, or choose another with `work`"
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for programs.

    Raises:
        DatasetError: it cannot be written.
    """
    write(path, json.dumps(content, indent=2) + "\n")
