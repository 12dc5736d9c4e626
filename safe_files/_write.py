"""Writing files so that they are whole or absent, and nothing else is written over."""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{16}\.partial")
_OURS = os.O_WRONLY | os.O_CREAT
_OURS |= int(getattr(os, "O_NOFOLLOW", 0)) | int(getattr(os, "O_BINARY", 0))


def write_file(path: Path, content: bytes | str) -> None:
    """All of the content at `path`, or what was there before, even if the machine stops.

    A link of that name is replaced, not followed.

    Args:
        path: the file's; its folder is there.
        content: text is written as UTF-8.

    Raises:
        OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    write_file_with(path, lambda file: file.write(data))


def write_file_with(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """As `write_file`, of what a function writes into the file that it is given."""
    # Nobody can have put a link in place of a name that cannot be guessed.
    name = f".{path.name}.{secrets.token_hex(8)}.partial"
    with _folder_of(path) as folder:
        try:
            with _created(path.parent, name, folder) as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if folder is None:
                os.replace(path.with_name(name), path)
            else:
                os.replace(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name if folder is not None else path.with_name(name), dir_fd=folder)
            raise


def create_file(path: Path, content: bytes | str) -> None:
    """A new file, which is not yet on the disk itself when this returns.

    Raises:
        FileExistsError: there is something of that name, a link perhaps.
        OSError: it cannot be written.
    """
    with _created(path.parent, path.name, None) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def append_to(path: Path) -> io.BufferedWriter:
    """A file of ours, open to add to its end, which is made where it is not there.

    Raises:
        OSError: it cannot be written, or is a link.
    """
    return os.fdopen(_opened_at_end(path), "ab")


def append_bytes(path: Path | str, content: bytes) -> None:
    """Add to the end of a file of ours, as with `append_to`, at once: what many small files take.

    Raises:
        OSError: it cannot be written, or is a link.
    """
    descriptor = _opened_at_end(path)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def partials_of(path: Path) -> list[Path]:
    """What a `write_file` that was killed has left beside a file."""
    matches = ((file, _PARTIAL.fullmatch(file.name)) for file in path.parent.iterdir())
    return [file for file, match in matches if match and match[1] == path.name]


def is_partial(name: str) -> bool:
    """Whether a file's name is one that a `write_file` that was killed leaves."""
    return _PARTIAL.fullmatch(name) is not None


def remove_partials(folder: Path) -> None:
    """Remove what was left in a folder by each `write_file` that was killed.

    Nobody else may be writing there.
    """
    for path in folder.iterdir():
        if is_partial(path.name):
            path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _folder_of(path: Path) -> Iterator[int | None]:
    """A file's folder, held open so that it stays the same one; None where systems cannot."""
    if os.open not in os.supports_dir_fd or os.rename not in os.supports_dir_fd:
        yield None
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened_at_end(path: Path | str) -> int:
    return os.open(path, _OURS | os.O_APPEND, 0o666)


def _created(folder: Path, name: str, descriptor: int | None) -> BinaryIO:
    place = folder / name if descriptor is None else name
    try:
        return os.fdopen(os.open(place, _OURS | os.O_EXCL, 0o666, dir_fd=descriptor), "wb")
    except OSError as error:
        error.filename = str(folder / name)
        raise
