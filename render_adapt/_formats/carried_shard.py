"""A shard on its way to another dataset, in which it and its objects have other numbers."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_BYTES
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import Shard
from safe_files import hash_open_file, open_file, read_file


@dataclass(frozen=True)
class CarriedObject:
    """An object in the dataset that shards are carried to."""

    object_id: int
    name: str
    place: int
    """In the order of that dataset's objects, from 0."""


@dataclass(frozen=True)
class Numbering:
    """What a dataset's objects are in another."""

    by_id: Mapping[int, CarriedObject]
    """By the numbers that they have where they come from."""
    by_name: Mapping[str, CarriedObject]
    """By the names that they have there."""
    by_place: tuple[CarriedObject, ...]
    """In the order that they have there."""
    all: tuple[CarriedObject, ...]
    """All objects of the other dataset, in its order."""


@dataclass(frozen=True)
class CarriedShard:
    """A finished shard, whose files are those that were written, and where it is carried to.

    Convention:
        What is read is compared with its hash; what has none is not of the shard.
    """

    dataset: Path
    """Where it comes from."""
    shard: Shard
    """What it is there."""
    hashes: Mapping[str, str]
    """SHA-256 of its files by name."""
    becomes: Shard
    """What it is to be."""
    numbering: Numbering
    prepared: PreparedShard
    """Where it is carried to, with names as in the other dataset."""

    def names(self, folder: str) -> list[str]:
        """The names of its files in a folder and below, in order."""
        return sorted(name for name in self.hashes if name.startswith(f"{folder}/"))

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """What one of its files holds.

        Args:
            name: the file's, relative to the dataset.
            most: bytes that it may have.

        Raises:
            DatasetError: it is not there, or not what was written.
        """
        try:
            content = read_file(self.dataset / name, most=most, inside=self.dataset)
        except OSError as error:
            raise self._bad(name, f"cannot be read: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != self.hashes.get(name):
            raise self._bad(name, "is not the file that was written (its SHA-256 differs)")
        return content

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """One of its files, to be read from its start; as for `read`."""
        try:
            file = open_file(self.dataset / name, most=MOST_BYTES, inside=self.dataset)
        except OSError as error:
            raise self._bad(name, f"cannot be read: {error.strerror}") from None
        with file:
            if hash_open_file(file) != self.hashes.get(name):
                raise self._bad(name, "is not the file that was written (its SHA-256 differs)")
            file.seek(0)
            yield file

    def write(self, name: str, content: bytes) -> None:
        """Add to the end of a file of the other dataset, whose folders are made."""
        path = self.prepared.path / name
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        self.prepared.write(name, content)

    def _bad(self, name: str, problem: str) -> DatasetError:
        return DatasetError(
            f"{self.dataset / name} {problem}: mend it with render-adapt verify {self.dataset} "
            "--repair and give the same command again"
        )
