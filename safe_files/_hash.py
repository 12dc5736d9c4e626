"""What files hold, to the bit."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

_PIECE = 2**20
"""Bytes that are read at once."""
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
    _FLAGS |= int(getattr(os, _name, 0))


def hash_open_file(file: io.BufferedReader) -> str:
    """SHA-256 of the rest of an open file."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> dict[str, str | None]:
    """SHA-256 of every file in a folder and in those within it, links not followed.

    Args:
        folder: where many small files are: none is looked for on its own.

    Returns:
        By names relative to the folder, with slashes; None for what is no regular file.

    Raises:
        OSError: something cannot be read.
    """
    hashes: dict[str, str | None] = {}
    _add_hashes(os.fspath(folder), "", hashes)
    return hashes


def _add_hashes(folder: str, prefix: str, hashes: dict[str, str | None]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                _add_hashes(entry.path, f"{name}/", hashes)
            elif entry.is_file(follow_symlinks=False):
                hashes[name] = _hash_file(entry.path)
            else:
                hashes[name] = None


def _hash_file(path: str) -> str | None:
    # It may have become a link or a pipe since it was listed.
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        digest = hashlib.sha256()
        while piece := os.read(descriptor, _PIECE):
            digest.update(piece)
        return digest.hexdigest()
    finally:
        os.close(descriptor)
