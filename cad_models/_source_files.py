"""Reading a mesh file and the files that it names, with the hash of all that was read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ._model import ModelError

MAX_BYTES = 512 * 1024**2
"""Of a mesh file, of each file that it names, and of what an archive holds: two million triangles
take a quarter of this in the wordiest of formats."""


class SourceFiles:
    """A mesh file and, as they are asked for, its textures and materials."""

    def __init__(self, path: Path) -> None:
        """Read the file at `path`.

        Raises:
            ModelError: it is missing, a folder or device, not readable, empty or larger than 512
                MiB.
        """
        self.path = path
        self.unusable: ModelError | None = None
        """The first error about a file that the mesh file names."""
        self._named: dict[str, bytes] = {}
        try:
            if path.is_dir():
                raise ModelError(f"{path} is a folder; give the mesh file itself")
            size = path.stat().st_size
            if not path.is_file():
                raise ModelError(f"{path} is not a file; give the mesh file itself")
            if size > MAX_BYTES:
                raise ModelError(f"{path} is larger than 512 MiB; simplify the mesh first")
            self.content = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path} does not exist; check the path in --objects") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ModelError(f"{path} cannot be read: {reason}") from None
        if not self.content.strip():
            raise ModelError(f"{path} is empty; export the mesh again")

    def named(self, name: str) -> bytes:
        """The content of the file that the mesh file calls `name`, beside it or in a subfolder.

        Raises:
            ModelError: there is none; also kept in `unusable`, for parsers that go on regardless.
        """
        if name not in self._named:
            folder = self.path.parent.resolve()
            try:
                file = (folder / name.strip().replace("\\", "/")).resolve()
                if not file.is_relative_to(folder):
                    file = folder / file.name
                # Whatever else it may be, a pipe would be waited for and a device never ends.
                if not file.is_file() or file.stat().st_size > MAX_BYTES:
                    raise OSError
                self._named[name] = file.read_bytes()
            except (OSError, ValueError):
                error = ModelError(
                    f"{self.path} refers to {name[:200]!r}, which cannot be read from its folder; "
                    "put the file there or export the mesh without it"
                )
                self.unusable = self.unusable or error
                raise error from None
        return self._named[name]

    @property
    def sha256(self) -> str:
        """Of the mesh file, followed by the files that it names in the order of their names."""
        digest = hashlib.sha256(self.content)
        for name in sorted(self._named):
            digest.update(self._named[name])
        return digest.hexdigest()
