"""Opening files that somebody else may have made."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

MOST_DOTS = 1000
"""On a line of TOML: a key of so many parts takes tomllib the square of it."""


class UnusableFileError(OSError):
    """A file that is there but is not to be read; `strerror` says why, to end a sentence with."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(errno.EINVAL, why, str(path))


def open_file(path: Path, *, most: int, inside: Path | None = None) -> io.BufferedReader:
    """A file, open for reading: a regular one, no larger than it may be, in its own folder.

    Args:
        path: the file's. Without `inside`, links are followed: whoever names a file means it.
        most: bytes that it may have.
        inside: the folder that it must lie in, wherever its links lead.

    Raises:
        OSError: it cannot be opened.
        UnusableFileError: it is a folder, pipe or device, too large, or leads out of its folder.
    """
    descriptor = _descriptor(path, inside)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFileError("it is not a regular file", path)
        if status.st_size > most:
            raise UnusableFileError(f"it is larger than {_in_words(most)}", path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path, *, most: int, inside: Path | None = None) -> bytes:
    """What is in a file, opened as by `open_file`.

    Raises:
        OSError: it cannot be read.
        UnusableFileError: as for `open_file`, or it changes while it is read.
    """
    with open_file(path, most=most, inside=inside) as file:
        size = os.fstat(file.fileno()).st_size
        # What the system makes up as it is read (/proc) says that it is empty.
        content = file.read(size + 1)
    if len(content) != size:
        raise UnusableFileError("it changes while it is read", path)
    return content


def list_folder(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """The files of some kinds in a folder, in the order of their names.

    Hidden ones are passed over: macOS puts a `._NAME` beside each on other systems' disks.

    Args:
        folder: not those within it.
        suffixes: in lower case, with their dots.

    Raises:
        OSError: it cannot be listed.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def parse_json(content: bytes | str) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is no JSON, or nested too deep to be told.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def numbers_of(values: Any, count: int, *, most: float) -> list[float] | None:
    """A list of numbers that JSON had; None where it is no such list.

    Args:
        values: what stood there.
        count: how many it must have.
        most: how large each may be, whatever its sign; what is not finite is larger.
    """
    if not isinstance(values, list) or len(values) != count:
        return None
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    return [float(value) for value in values] if all(abs(v) <= most for v in values) else None


def parse_toml(content: bytes) -> dict[str, Any]:
    """What TOML says.

    Raises:
        ValueError: it is no TOML in UTF-8, or nested too deep to be told.
    """
    text = content.decode("utf-8-sig")
    if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {MOST_DOTS} dots")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _descriptor(path: Path, inside: Path | None) -> int:
    # A pipe would be waited for, and a terminal would become the process's own.
    flags = os.O_RDONLY | _flag("O_NONBLOCK") | _flag("O_NOCTTY") | _flag("O_BINARY")
    try:
        if inside is None:
            return os.open(path, flags)
        return _open_beneath(inside, _below(path, inside), flags, path)
    except ValueError:
        raise UnusableFileError("its name has a character that no file's has", path) from None


def _below(path: Path, inside: Path) -> Path:
    """A file's path relative to a folder that it is in by name."""
    parts = path.relative_to(inside) if path.is_relative_to(inside) else path
    if parts.is_absolute() or ".." in parts.parts:
        raise UnusableFileError("it is not in its folder", path)
    return parts


def _open_beneath(inside: Path, below: Path, flags: int, path: Path) -> int:
    if os.open not in os.supports_dir_fd:
        return os.open(_resolved_beneath(inside, below, path), flags)
    try:
        return _walk(inside, below, flags)
    except OSError as error:
        # O_NOFOLLOW refuses a link with ELOOP, and one in place of a folder with ENOTDIR.
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            error.filename = str(path)
            raise
    target = _resolved_beneath(inside, below, path)
    try:
        return _walk(inside.resolve(), target.relative_to(inside.resolve()), flags)
    except OSError as error:
        error.filename = str(path)
        raise


def _resolved_beneath(inside: Path, below: Path, path: Path) -> Path:
    try:
        target = (inside / below).resolve(strict=True)
    except (RuntimeError, OSError) as error:  # the first until Python 3.12
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            raise
        raise UnusableFileError("its links lead in a circle", path) from None
    if not target.is_relative_to(inside.resolve()):
        raise UnusableFileError("it is a link to something outside of its folder", path)
    return target


def _walk(folder: Path, below: Path, flags: int) -> int:
    """Opens what is below a folder, following no link on the way."""
    *parents, name = below.parts
    folder_handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for parent in parents:
            next_ = os.open(
                parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder_handle
            )
            os.close(folder_handle)
            folder_handle = next_
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder_handle)
    finally:
        os.close(folder_handle)


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))


def _in_words(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"
