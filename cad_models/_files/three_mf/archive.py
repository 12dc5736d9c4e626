"""A zip archive from strangers, of which no more is unpacked than a mesh file may hold."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from urllib.parse import unquote

from cad_models._files.source import MAX_BYTES, SourceFiles
from cad_models._model import ModelError

_MOST_MEMBERS = 10_000
_CHUNK = 2**20
_DIRECTORY_ENTRY = b"PK\x01\x02"


class ArchiveError(ValueError):
    """An archive, or a part of it, cannot be unpacked."""


class Archive:
    """The parts of an Open Packaging Conventions archive, by name, whatever its case."""

    def __init__(self, files: SourceFiles) -> None:
        """Read the archive's directory.

        Raises:
            ModelError: it lists too many parts.
            ArchiveError: it is no archive.
        """
        self._subject = str(files.path)
        self._left = MAX_BYTES
        # Before memory is taken for each of them.
        if files.content.count(_DIRECTORY_ENTRY) > _MOST_MEMBERS:
            raise ModelError(
                f"{self._subject} holds more than {_MOST_MEMBERS} files; export the one mesh alone"
            )
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(files.content))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ArchiveError(str(error)) from None
        self._members = {_key(member.filename): member for member in self._zip.infolist()}

    def __contains__(self, name: str) -> bool:
        return self._member(name) is not None

    def names(self) -> list[str]:
        """In lower case, without a leading slash."""
        return list(self._members)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a part, piece by piece; what its directory says of its size is not
        believed.

        Raises:
            ModelError: with it, more has been unpacked than a mesh file may hold.
            ArchiveError: it is missing or damaged.
        """
        member = self._member(name)
        if member is None:
            raise ArchiveError(f"it has no {name[:200]!r}")
        try:
            with self._zip.open(member) as stream:
                while chunk := stream.read(_CHUNK):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise ModelError(
                            f"{self._subject} unpacks to more than {MAX_BYTES >> 20} MiB; simplify "
                            "the mesh first"
                        )
                    yield chunk
        except (
            zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError,
        ) as error:  # fmt: skip
            raise ArchiveError(str(error) or "it breaks off") from None

    def read(self, name: str) -> bytes:
        """The content of a part; errors as those of `chunks`."""
        return b"".join(self.chunks(name))

    def _member(self, name: str) -> zipfile.ZipInfo | None:
        return self._members.get(_key(name)) or self._members.get(_key(unquote(name)))


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
