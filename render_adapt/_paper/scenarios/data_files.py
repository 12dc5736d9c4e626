"""The files of the data, and hashes of what crops are made from."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checked_settings import SettingError
from safe_files import decode_picture, parse_json, read_file

MOST_BYTES = 2**34
"""Of any file: a checkpoint, or the crops of a scenario."""
MOST_DATA = 2**28
"""Of a file of the data."""


def read_data(path: Path) -> bytes:
    """What is in a file of the data.

    Raises:
        SettingError: it cannot be read.
    """
    try:
        return read_file(path, most=MOST_DATA)
    except OSError as error:
        raise SettingError(
            f"{path} cannot be read ({error.strerror}); get the data anew, or name another folder "
            "with `data`"
        ) from error


def read_labels(path: Path) -> Any:
    """What a JSON file of the data says.

    Raises:
        SettingError: it cannot be read, or is no JSON.
    """
    content = read_data(path)
    try:
        return parse_json(content)
    except ValueError as error:
        raise SettingError(f"{path} is no JSON; get the data anew") from error


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3), the colours of a picture of the data.

    Raises:
        SettingError: it cannot be read.
    """
    picture = decode_picture(read_data(path))
    if picture is None:
        raise SettingError(f"{path} cannot be read as an image; get the data anew")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def sha256_of_files(files: Iterable[Path]) -> str:
    """One hash of the files' names and contents.

    Raises:
        SettingError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            content = read_file(file, most=MOST_BYTES)
        except OSError as error:
            raise SettingError(f"{file} cannot be read ({error.strerror}); get it anew") from error
        digest.update(f"{file.name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def sha256_of_code(*parts: ModuleType | Callable[..., Any]) -> str:
    """One hash of source files, which crops are made anew for when they change.

    Args:
        parts: packages, of which all files count, and functions, whose file counts.
    """
    files: list[Path] = []
    for part in parts:
        file = Path(inspect.getfile(part))
        is_package = file.name == "__init__.py"
        files += sorted(file.parent.rglob("*.py")) if is_package else [file]
    return sha256_of_files(files)
