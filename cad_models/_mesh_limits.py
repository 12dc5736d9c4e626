"""Small files that would take all memory or time once they are unpacked: seen before they are."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter
from xml.etree import ElementTree

from ._geometry import MAX_VERTICES
from ._model import ModelError
from ._source_files import MAX_BYTES, SourceFiles

_MOST_MEMBERS = 1000
_MOST_INSTANCES = 10_000
MOST_NUMBERS = 32 * MAX_VERTICES
"""In all of a glTF's accessors: positions, normals, colours, joints and what else a vertex has."""
MOST_TEXT = 256 * 1024**2
"""Bytes of a glTF's JSON, buffers that are written into it included."""
MOST_ENTRIES = 2_000_000
"""Of a glTF's JSON, which take some hundred bytes each once they are read."""
MOST_NODES = 50_000
"""Of a glTF, and places at which it shows its meshes."""


def check_archive(files: SourceFiles) -> None:
    """Refuse a 3MF archive that unpacks to too much, or shows its parts too many times.

    Raises:
        ModelError: it does, or is no archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(files.content)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            fits = len(members) <= _MOST_MEMBERS and size <= MAX_BYTES
            models = [m for m in members if fits and m.filename.lower().endswith(".model")]
            instances = sum(_instances(archive.read(model)) for model in models)
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, ValueError,
        EOFError,
    ) as error:  # fmt: skip
        raise ModelError(
            f"{files.path} cannot be read as 3MF ({' '.join(str(error).split())[:120]}); export it "
            "again"
        ) from None
    if not fits:
        raise ModelError(
            f"{files.path} unpacks to more than {_MOST_MEMBERS} files or 512 MiB; simplify the "
            "mesh first"
        )
    if instances > _MOST_INSTANCES:
        raise ModelError(
            f"{files.path} shows its parts more than {_MOST_INSTANCES} times; simplify it first"
        )


def _instances(model: bytes) -> int:
    """How often the objects of a 3MF model are shown, parts of parts counted through."""
    parts: dict[str, list[str]] = {}
    shown: Counter[str] = Counter()
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(model)):
            kind = element.tag.rpartition("}")[2]
            if kind == "item":
                shown[element.get("objectid", "")] += 1
            elif kind == "object":
                inner = [part.get("objectid", "") for part in element.iterfind(".//{*}component")]
                parts.setdefault(element.get("id", ""), []).extend(inner)
                element.clear()
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    return _count(parts, shown)


def _count(parts: dict[str, list[str]], shown: Counter[str]) -> int:
    """Paths from what is shown to the last of its parts; of a circle more than the limit."""
    total, now = 0, shown
    for _ in range(len(parts) + 1):
        total += sum(now.values())
        if not now or total > _MOST_INSTANCES:
            return total
        following: Counter[str] = Counter()
        for name, times in now.items():
            for part in parts.get(name, ()):
                following[part] += times
        now = following
    return total if not now else _MOST_INSTANCES + 1
