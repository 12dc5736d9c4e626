"""The container of a glTF 2.0 file: its JSON, its buffers and accessors, every number checked.

Nothing is copied out of the file before it is asked for: an accessor is a view of its buffer, and
one without a buffer a view of a single zero.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, Never
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from cad_models._files.gltf.limits import MOST_ENTRIES, MOST_NUMBERS, MOST_TEXT
from cad_models._files.source import MAX_BYTES, SourceFiles
from cad_models._model import ModelError

Fields = dict[str, Any]
"""An object of the JSON."""

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_JSON_CHUNK, _BINARY_CHUNK = b"JSON", b"BIN\0"


@dataclass(frozen=True)
class Accessor:
    """Numbers of a buffer, in rows."""

    stored: NDArray[Any]
    """(N, K), as they are stored; read-only."""
    normalized: bool
    """Whether integers stand for fractions of their greatest."""
    changed: tuple[NDArray[np.int64], NDArray[Any]] | None
    """Of a sparse accessor: (C,) rising rows, and (C, K) what they hold instead."""

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def is_integer(self) -> bool:
        return self.stored.dtype.kind != "f"

    def rows(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(R, K), some rows as they are stored."""
        stored = self.stored[rows]
        if self.changed is not None:
            at, values = self.changed
            place = np.minimum(np.searchsorted(at, rows), len(at) - 1)
            is_changed = at[place] == rows
            stored[is_changed] = values[place[is_changed]]
        return stored

    def numbers(self, rows: NDArray[np.int64], *, fractions: bool = False) -> NDArray[np.float64]:
        """(R, K), some rows as they are meant.

        Args:
            rows: (R,).
            fractions: integers stand for fractions whatever the file says.
        """
        stored = self.rows(rows)
        values = stored.astype(np.float64)
        if self.is_integer and (self.normalized or fractions):
            values = np.maximum(values / np.iinfo(stored.dtype).max, -1.0)
        return values


class Document:
    """A glTF file's JSON and the buffers that it names."""

    def __init__(self, files: SourceFiles) -> None:
        """Take the file apart.

        Raises:
            ModelError: it is no glTF 2.0, breaks off, or claims more than memory is taken for.
        """
        self.path = files.path
        self._files = files
        self._binary: bytes | None = None
        self._buffers: dict[int, bytes] = {}
        self._opened: dict[str, int] = {}
        self.root = self._parsed(self._json_text(files.content))
        version = _short(self.fields(self.root, "asset").get("version", "unknown"))
        if not version.startswith("2."):
            raise ModelError(f"{self.path} is of glTF version {version}; export it as glTF 2.0")
        self._check_accessors()

    def bad(self, reason: str) -> Never:
        """Refuse the file.

        Raises:
            ModelError: always.
        """
        reason = " ".join(reason.split())[:120]
        raise ModelError(f"{self.path} cannot be read as glTF ({reason}); export it again")

    def _breaks_off(self) -> Never:
        raise ModelError(f"{self.path} breaks off before its end; copy or export it again")

    def _json_text(self, content: bytes) -> bytes:
        if not content.startswith(b"glTF"):
            return content
        if int.from_bytes(content[4:8], "little") != 2:
            self.bad("its container is not of version 2")
        total = int.from_bytes(content[8:12], "little")
        if total > len(content) or len(content) < 20:
            self._breaks_off()
        kind, text, following = self._chunk(content, 12)
        if kind != _JSON_CHUNK:
            self.bad("its first chunk is not JSON")
        if following + 8 <= total:
            kind, binary, _ = self._chunk(content, following)
            self._binary = binary if kind == _BINARY_CHUNK else None
        return text

    def _chunk(self, content: bytes, at: int) -> tuple[bytes, bytes, int]:
        """What kind of chunk begins there, what it holds, and where the next begins."""
        end = at + 8 + int.from_bytes(content[at : at + 4], "little")
        if end > len(content):
            self._breaks_off()
        return content[at + 4 : at + 8], content[at + 8 : end], end

    def _parsed(self, text: bytes) -> Fields:
        if len(text) > MOST_TEXT:
            raise ModelError(
                f"{self.path} holds more than {MOST_TEXT // 1024**2} MiB of text; export it as GLB"
            )
        if text.count(b",") + text.count(b"[") + text.count(b"{") > MOST_ENTRIES:
            raise ModelError(
                f"{self.path} has more than {MOST_ENTRIES} entries in its JSON; join its parts or "
                "simplify it first"
            )
        try:
            root = json.loads(text.decode("utf-8-sig"), parse_constant=self._no_number)
        except (ValueError, RecursionError) as error:
            self.bad(str(error))
        if not isinstance(root, dict):
            self.bad("its JSON is not an object")
        return root

    def _no_number(self, word: str) -> Never:
        raise ValueError(f"{word} is no number of JSON")

    def fields(self, holder: Fields, name: str) -> Fields:
        """An object within another; an empty one where it is missing."""
        value = holder.get(name, {})
        if not isinstance(value, dict):
            self.bad(f"{name} is not an object")
        return value

    def extension(self, holder: Fields, name: str) -> Fields | None:
        """What an extension adds to an object, None where it adds nothing."""
        extensions = self.fields(holder, "extensions")
        return self.fields(extensions, name) if name in extensions else None

    def entries(self, holder: Fields, name: str) -> list[Any]:
        """A list within an object; an empty one where it is missing."""
        value = holder.get(name, [])
        if not isinstance(value, list):
            self.bad(f"{name} is not a list")
        return value

    def item(self, kind: str, index: object) -> Fields:
        """The entry of one of the file's lists that an index means."""
        entries = self.entries(self.root, kind)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(entries):
            self.bad(f"it has no entry {_short(index)} in {kind}")
        entry = entries[index]
        if not isinstance(entry, dict):
            self.bad(f"entry {index} of {kind} is not an object")
        return entry

    def integer(self, holder: Fields, name: str, default: int | None = None) -> int:
        """A number of at least 0 that counts something."""
        value = holder.get(name, default)
        # Some writers have floats throughout.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
            self.bad(f"{name} is {_short(value)}")
        return value

    def number(self, holder: Fields, name: str, default: float) -> float:
        """A finite number."""
        value = holder.get(name, default)
        if not _is_finite(value):
            self.bad(f"{name} is {_short(value)}")
        return float(value)

    def numbers(self, holder: Fields, name: str, default: list[float]) -> NDArray[np.float64]:
        """A list of as many finite numbers as the default has."""
        values = self.entries(holder, name) if name in holder else default
        if len(values) != len(default) or not all(_is_finite(value) for value in values):
            self.bad(f"{name} is not {len(default)} numbers")
        return np.array(values, dtype=np.float64)

    def flag(self, holder: Fields, name: str, default: bool) -> bool:
        """A truth value."""
        value = holder.get(name, default)
        if not isinstance(value, bool):
            self.bad(f"{name} is neither true nor false")
        return value

    def name_of(self, kind: str, index: int) -> str:
        """What to call an entry of one of the lists in a message."""
        name = self.item(kind, index).get("name")
        return name[:40] if isinstance(name, str) and name else f"{kind.rstrip('s')} {index}"

    def _check_accessors(self) -> None:
        total = 0
        for index in range(len(self.entries(self.root, "accessors"))):
            accessor = self.item("accessors", index)
            width = _WIDTHS.get(str(accessor.get("type")), 1)
            total += self.integer(accessor, "count") * width
            total += self.integer(self.fields(accessor, "sparse"), "count", 0) * width
        if total > MOST_NUMBERS:
            raise ModelError(
                f"{self.path} has {total} numbers in its accessors and the limit is "
                f"{MOST_NUMBERS}; simplify the mesh first"
            )

    def accessor(self, index: object, *kinds: str, floats: bool = False) -> Accessor:
        """An accessor of one of these kinds (SCALAR, VEC2, ...), of floats alone where demanded."""
        accessor = self.item("accessors", index)
        kind, dtype = accessor.get("type"), self._component(accessor)
        if kind not in kinds or (floats and dtype.kind != "f"):
            self.bad(f"accessor {index} is of type {_short(kind)} and numbers {dtype.name}")
        count = self.integer(accessor, "count")
        width = _WIDTHS[kind]
        if "bufferView" in accessor:
            stored = self._rows(accessor, dtype, count, width)
        else:
            stored = np.broadcast_to(np.zeros(1, dtype), (count, width))
        changed = None
        if "sparse" in accessor:
            changed = self._sparse(self.fields(accessor, "sparse"), dtype, count, width)
        return Accessor(stored, self.flag(accessor, "normalized", False), changed)

    def _component(self, holder: Fields) -> np.dtype[Any]:
        number = self.integer(holder, "componentType")
        if number not in _COMPONENTS:
            self.bad(f"componentType is {number}")
        return np.dtype(_COMPONENTS[number])

    def _sparse(
        self, sparse: Fields, dtype: np.dtype[Any], count: int, width: int
    ) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
        changes = self.integer(sparse, "count")
        if changes == 0:
            return None
        where, values = self.fields(sparse, "indices"), self.fields(sparse, "values")
        at = self._rows(where, self._component(where), changes, 1)[:, 0]
        rising = at.dtype.kind == "u" and at[-1] < count and (at[1:] > at[:-1]).all()
        if not rising:
            self.bad("a sparse accessor's indices do not rise within it")
        return at.astype(np.int64), self._rows(values, dtype, changes, width)

    def _rows(self, place: Fields, dtype: np.dtype[Any], count: int, width: int) -> NDArray[Any]:
        """(count, width), a view of a buffer."""
        data, stride = self._view(place.get("bufferView"))
        start, length = self.integer(place, "byteOffset", 0), width * dtype.itemsize
        stride = stride or length
        if count and start + (count - 1) * stride + length > len(data):
            self.bad("an accessor reaches beyond its buffer view")
        if not count:
            return np.empty((0, width), dtype)
        rows = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))
        rows.setflags(write=False)
        return rows

    def view(self, index: object) -> memoryview:
        """The bytes of a buffer view."""
        return self._view(index)[0]

    def _view(self, index: object) -> tuple[memoryview, int]:
        """The bytes of a buffer view, and its stride, 0 where it has none."""
        view = self.item("bufferViews", index)
        buffer = self._buffer(view)
        start, length = self.integer(view, "byteOffset", 0), self.integer(view, "byteLength")
        if start + length > len(buffer):
            self._breaks_off()
        stride = self.integer(view, "byteStride", 0)
        if stride > 2**16:
            self.bad(f"byteStride is {stride}")
        return memoryview(buffer)[start : start + length], stride

    def _buffer(self, view: Fields) -> bytes:
        index = view.get("buffer")
        buffer = self.item("buffers", index)
        assert isinstance(index, int)
        if index not in self._buffers:
            if "uri" in buffer:
                self._buffers[index] = self.resource(buffer["uri"])
            elif index == 0 and self._binary is not None:
                self._buffers[index] = self._binary
            else:
                self._no_data(view, index)
        return self._buffers[index]

    def _no_data(self, view: Fields, index: int) -> Never:
        for name in ("EXT_meshopt_compression", "KHR_meshopt_compression"):
            if self.extension(view, name) is not None:
                raise unreadable(self.path, name)
        self.bad(f"buffer {index} has no data")

    def resource(self, uri: object) -> bytes:
        """What a URI means: data within it, or a file beside this one.

        Raises:
            ModelError: the file is missing, or all of them are too large together.
        """
        if not isinstance(uri, str):
            self.bad("a URI is not text")
        if uri[:5].lower() == "data:":
            return self._data(uri)
        content = self._files.named(unquote(uri))
        self._opened[uri] = len(content)
        if sum(self._opened.values()) > MAX_BYTES:
            raise ModelError(
                f"{self.path} names files of more than {MAX_BYTES // 1024**2} MiB in all; simplify "
                "the mesh first"
            )
        return content

    def _data(self, uri: str) -> bytes:
        start, comma, encoded = uri.partition(",")
        if not comma:
            self.bad("a data URI has no data")
        if not start.lower().endswith(";base64"):
            return unquote_to_bytes(encoded)
        try:
            # Some writers leave out what the text is filled up with.
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        except (binascii.Error, ValueError):
            self.bad("a data URI is not base64")


_UNREADABLE = {
    "KHR_draco_mesh_compression": ("Draco", "export it without Draco compression"),
    "EXT_meshopt_compression": ("meshopt", "export it without meshopt compression"),
    "KHR_meshopt_compression": ("meshopt", "export it without meshopt compression"),
    "KHR_texture_basisu": ("KTX2", "export it with PNG or JPEG textures"),
    "EXT_texture_avif": ("AVIF", "export it with PNG or JPEG textures"),
    "MSFT_texture_dds": ("DDS", "export it with PNG or JPEG textures"),
}


def unreadable(path: object, extension: str) -> ModelError:
    """The error for a file that needs an extension which cannot be read."""
    name, advice = _UNREADABLE.get(extension, ("", "export it without this extension"))
    named = f"{name} ({extension[:60]})" if name else f"the extension {extension[:60]!r}"
    return ModelError(f"{path} needs {named}, which cannot be read; {advice}")


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _short(value: object) -> str:
    # Python refuses to write integers of more than 4,300 digits.
    large = isinstance(value, int) and abs(value) > 2**64
    return "too large" if large else " ".join(str(value).split())[:20]
