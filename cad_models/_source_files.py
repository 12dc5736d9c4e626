"""Reading a mesh file and the files that it names, with the hash of all that was read."""

from __future__ import annotations

import codecs
import hashlib
from pathlib import Path

from ._model import ModelError

MAX_BYTES = 512 * 1024**2
"""Of a mesh file, of each file that it names, and of what an archive holds: two million triangles
take a quarter of this in the wordiest of formats."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


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

    def named(self, name: str, folder: str = "") -> bytes:
        """The content of the file that the mesh file calls `name`.

        Names are taken lightly, as they come from other computers: of `C:\\scan\\maps\\Skin.PNG`
        as much of the end as leads to a file, whatever the case of its letters. It lies in the mesh
        file's folder or a folder below.

        Args:
            name: as it stands in the mesh file, or in a file that this names.
            folder: where that file lies, below the mesh file's folder; looked in first.

        Raises:
            ModelError: there is none; also kept in `unusable`, for parsers that go on regardless.
        """
        key = f"{folder}/{name}" if folder else name
        if key not in self._named:
            try:
                self._named[key] = self._find(name, folder).read_bytes()
            except (OSError, ValueError):
                error = ModelError(
                    f"{self.path} refers to {name[:200]!r}, which cannot be read from its folder; "
                    "put the file there or export the mesh without it"
                )
                self.unusable = self.unusable or error
                raise error from None
        return self._named[key]

    def _find(self, name: str, folder: str) -> Path:
        own = self.path.parent.resolve()
        steps = [step for step in name.strip().replace("\\", "/").split("/") if step]
        candidates = [own / folder / name.strip().replace("\\", "/")]
        for begin in range(max(0, len(steps) - 8), len(steps)):
            candidates += [own / folder / Path(*steps[begin:]), own / Path(*steps[begin:])]
        for exact in (True, False):
            for candidate in candidates:
                if not candidate.resolve().is_relative_to(own):
                    continue
                file = (candidate if exact else _whatever_case(candidate)).resolve()
                # Whatever else it may be, a pipe would be waited for and a device never ends.
                if file.is_relative_to(own) and file.is_file() and file.stat().st_size <= MAX_BYTES:
                    return file
        raise FileNotFoundError(name)

    @property
    def sha256(self) -> str:
        """Of the mesh file, followed by the files that it names in the order of their names."""
        digest = hashlib.sha256(self.content)
        for name in sorted(self._named):
            digest.update(self._named[name])
        return digest.hexdigest()


def _whatever_case(path: Path) -> Path:
    """The file beside `path` whose name differs only in the case of its letters."""
    if not path.parent.is_dir():
        return path
    alike = (p for p in sorted(path.parent.iterdir()) if p.name.lower() == path.name.lower())
    return next(alike, path)


def plain_text(content: bytes) -> bytes:
    """Text as UTF-8 without a byte-order mark, with lines that end in a line feed."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            content = content[len(mark) :].decode(encoding, errors="replace").encode()
            break
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
