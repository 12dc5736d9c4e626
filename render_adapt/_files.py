"""The files of a dataset: how large they may be, and what they hold, to the bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import safe_files
from render_adapt._exceptions import DatasetError

MOST_CROPS = 250_000_000
"""Of a dataset: BOP's numbers of scenes have six digits, and a scene has 250."""
MOST_BYTES = 2**35
"""Of any file of a dataset; a tar file of 250 whole frames has some hundred million."""
MOST_TEXT = 2**28
"""Of a JSON file, or a list of hashes."""
MOST_PICTURE = 2**26
"""Of a picture's file."""


class writing:
    """Turns an OSError into one sentence about the dataset's place."""

    def __init__(self, path: object, advice: str) -> None:
        self._path, self._advice = path, advice

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            where, why = error.filename or self._path, error.strerror or error
            raise DatasetError(f"cannot write {where}: {why}; {self._advice}") from error


def flush_all() -> None:
    """Have everything that was written on the disk itself."""
    # One flush of everything costs less than one for each of a shard's thousand small files.
    if hasattr(os, "sync"):
        os.sync()


def hash_file(path: Path, inside: Path | None = None) -> str:
    """SHA-256 of a file's content.

    Args:
        path: the file's.
        inside: the folder that it must lie in, wherever its links lead.

    Raises:
        OSError: it cannot be read, or is no file of a dataset.
    """
    with safe_files.open_file(path, most=MOST_BYTES, inside=inside) as file:
        return safe_files.hash_open_file(file)


def listing_text(hashes: Mapping[str, str]) -> str:
    """Hashes by name, in order of name, as `sha256sum --check` takes them."""
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))


def read_listing(text: str) -> Mapping[str, str]:
    """Hashes by name, as `listing_text` has them.

    Raises:
        ValueError: it is no such list, or names a file outside the folder.
    """
    hashes = {}
    for line in text.splitlines():
        digest, separator, name = line.partition("  ")
        inside = not name.startswith("/") and ".." not in name.split("/")
        if len(digest) != 64 or not separator or not inside:
            raise ValueError(f"{line[:80]!r} is not a hash and a name")
        hashes[name] = digest
    return hashes
