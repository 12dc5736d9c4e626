"""Files that are whole or absent, also after a power cut, and what they hold, to the bit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from render_adapt._exceptions import DatasetError


class writing:
    """Turns an OSError into one sentence about the dataset's folder."""

    def __init__(self, path: Path, advice: str) -> None:
        self._path, self._advice = path, advice

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            where, why = error.filename or self._path, error.strerror or error
            raise DatasetError(f"cannot write {where}: {why}; {self._advice}") from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is whole or absent."""
    temporary = partial(path)
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    flush_folder(path.parent)


def partial(path: Path) -> Path:
    """What `write_atomically` calls a file that it is writing."""
    return path.with_name(f".{path.name}.partial")


def flush_all() -> None:
    """Have everything that was written on the disk itself."""
    # One flush of everything costs less than one for each of a shard's thousand small files.
    if hasattr(os, "sync"):
        os.sync()


def flush_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
