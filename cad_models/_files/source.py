"""Reading a mesh file and the files that it names, with the hash of all that was read."""

from __future__ import annotations

import codecs
import contextlib
import copy
import hashlib
import os
from pathlib import Path

from cad_models._model import ModelError
from safe_files import read_file

MAX_BYTES = 512 * 1024**2
"""Of a mesh file, of each file that it names, and of what an archive holds: two million triangles
take a quarter of this in the wordiest of formats."""
_ADVICE = "give the mesh file itself, or simplify the mesh"
_PICTURES_BESIDE = ("images", "textures", "materials/textures")
"""Folders beside the mesh's own in which ShapeNet, Gazebo and Google's scans keep textures."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class SourceFiles:
    """A mesh file and, as they are asked for, its textures and materials."""

    def __init__(self, path: Path, inside: Path | None = None) -> None:
        """Read the file at `path`, which lies in the folder `inside` wherever its links lead.

        Raises:
            ModelError: it is missing, a folder or device, not readable, empty or larger than 512
                MiB.
        """
        self.path = path
        self.unusable: ModelError | None = None
        """The first error about a file that the mesh file names."""
        self._named: dict[str, bytes] = {}
        try:
            self.content = read_file(path, most=MAX_BYTES, inside=inside)
        except FileNotFoundError:
            raise ModelError(f"{path} does not exist; check the path in `objects`") from None
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror}); {_ADVICE}") from None
        if not self.content.strip():
            raise ModelError(f"{path} is empty; export the mesh again")

    def standing_for(self, content: bytes) -> SourceFiles:
        """The same files, with other content that the mesh file has been turned into."""
        turned = copy.copy(self)
        turned.content = content
        return turned

    def named(self, name: str, folder: str = "") -> bytes:
        """The content of the file that the mesh file calls `name`.

        Names are taken lightly, as they come from other computers: of `C:\\scan\\maps\\Skin.PNG`
        as much of the end as leads to a file, whatever the case of its letters. It lies in the mesh
        file's folder or a folder below, or in one of a few folders of pictures beside that.

        Args:
            name: as it stands in the mesh file, or in a file that this names.
            folder: where that file lies, below the mesh file's folder; looked in first.

        Raises:
            ModelError: there is none; also kept in `unusable`, for parsers that go on regardless.
        """
        key = f"{folder}/{name}" if folder else name
        if key not in self._named:
            content = self._find(name, folder)
            if content is None:
                error = ModelError(
                    f"{self.path} refers to {name[:200]!r}, which cannot be read from its folder; "
                    "put the file there or export the mesh without it"
                )
                self.unusable = self.unusable or error
                raise error
            self._named[key] = content
        return self._named[key]

    def _find(self, name: str, folder: str) -> bytes | None:
        """The content of the first file that a name leads to, in the folders it may lie in."""
        steps = [
            step for step in name.strip().replace("\\", "/").split("/") if step not in ("", ".")
        ]
        ends = [Path(*steps[begin:]) for begin in range(max(0, len(steps) - 8), len(steps))]
        own_folder = self.path.parent
        places = [(own_folder, Path(os.path.normpath(Path(folder) / end))) for end in ends]
        places += [(own_folder, end) for end in ends]
        places += [
            (own_folder.parent / subfolder, ends[-1]) for subfolder in _PICTURES_BESIDE if ends
        ]
        for alike in (_as_it_is, _whatever_case):
            for root, below in places:
                with contextlib.suppress(OSError):
                    return read_file(alike(root / below), most=MAX_BYTES, inside=root)
        return None

    @property
    def sha256(self) -> str:
        """Of the mesh file, followed by the files that it names in the order of their names."""
        digest = hashlib.sha256(self.content)
        for name in sorted(self._named):
            digest.update(self._named[name])
        return digest.hexdigest()


def _as_it_is(path: Path) -> Path:
    return path


def _whatever_case(path: Path) -> Path:
    """The file beside `path` whose name differs only in the case of its letters."""
    try:
        files = sorted(path.parent.iterdir())
    except (OSError, ValueError):
        return path
    return next((file for file in files if file.name.lower() == path.name.lower()), path)


def plain_text(content: bytes) -> bytes:
    """Text as UTF-8 without a byte-order mark, with lines that end in a line feed."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            content = content[len(mark) :].decode(encoding, errors="replace").encode()
            break
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
