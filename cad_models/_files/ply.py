"""PLY files, read and written with numpy alone.

Of colours and texture coordinates every form is read that other programs write: at vertices, at
faces and at the corners of faces, as bytes, larger integers or floats, and of several textures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models._files.source import SourceFiles
from cad_models._files.textures import Textures
from cad_models._mesh.atlas import joined
from cad_models._mesh.checked import MAX_FACES, MAX_VERTICES, RawMesh, too_many
from cad_models._mesh.color_values import as_bytes
from cad_models._mesh.polygons import triangles_of_strips, triangulated
from cad_models._model import Mesh, ModelError
from safe_files import write_file

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "<i2",
    "int16": "<i2",
    "ushort": "<u2",
    "uint16": "<u2",
    "int": "<i4",
    "int32": "<i4",
    "uint": "<u4",
    "uint32": "<u4",
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
}
_FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
_TEXTURE_COORDINATES = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))
_COLORS = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
)
_INDICES = ("vertex_indices", "vertex_index")
_SHAPES = ("vertex", "face", "tristrips")
_Order = Literal["<", ">"]
_START = re.compile(rb"ply[ \t]*(\r\n|\n|\r)")


@dataclass(frozen=True)
class Property:
    """A number, or a list of numbers, that every row of an element has."""

    name: str
    kind: np.dtype[np.generic]
    count_kind: np.dtype[np.generic] | None = None
    """Of a list's length; None where it is no list."""


@dataclass(frozen=True)
class Element:
    """A table of the file."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Header:
    """What a file says that it holds."""

    ascii: bool
    elements: tuple[Element, ...]
    textures: tuple[str, ...]
    length: int
    """Bytes up to where the data begin."""

    def element(self, name: str) -> Element:
        return next((e for e in self.elements if e.name == name), Element(name, 0, ()))


@dataclass(frozen=True)
class _Lists:
    """A list for every row."""

    counts: NDArray[np.int64]
    values: NDArray[np.float64]
    """(sum of counts,), one list after the other."""


_Table = dict[str, "NDArray[np.generic] | _Lists"]


def parse_header(files: SourceFiles) -> Header:
    """The header.

    Raises:
        ModelError: it is none, or claims more than a mesh of ours has.
    """
    start = _START.match(files.content)
    newline = start[1] if start else b"\n"
    ending = rb"\r?\n" if newline == b"\n" else newline
    end = re.compile(newline + rb"end_header[ \t]*" + ending).search(files.content)
    if start is None or end is None:
        raise _unreadable(files, "it has no header")
    text = files.content[: end.start()].decode("utf-8", errors="replace")
    elements: list[tuple[str, int, list[Property]]] = []
    file_format, textures = "", []
    for line in re.split(r"\r\n|\n|\r", text)[1:]:
        match line.split():
            case ["format", file_format, "1.0"]:
                pass
            case ["comment", "TextureFile", *_]:
                textures.append(line.split(maxsplit=2)[-1].strip().strip('"'))
            case ["comment" | "obj_info", *_] | []:
                pass
            case ["element", name, count] if count.isascii() and count.isdecimal():
                elements.append((name.lower(), int(count[:12]), []))
            case ["property", *words] if elements and (parsed := _property(words)):
                elements[-1][2].append(parsed)
            case _:
                raise _unreadable(files, f"its header has {line.strip()[:60]!r}")
    if file_format not in _FORMATS:
        raise _unreadable(files, f"its format is {file_format[:60]!r}")
    order: _Order = ">" if file_format == "binary_big_endian" else "<"
    header = Header(
        ascii=file_format == "ascii",
        elements=tuple(_element(*element, order, files) for element in elements),
        textures=tuple(textures),
        length=end.end(),
    )
    faces, vertices = header.element("face").count, header.element("vertex").count
    if faces > MAX_FACES or vertices > MAX_VERTICES:
        raise too_many(str(files.path), faces, vertices)
    return header


def _property(words: Sequence[str]) -> Property | None:
    match words:
        case [kind, name] if kind in _TYPES:
            return Property(name.lower(), np.dtype(_TYPES[kind]))
        case ["list", count_kind, kind, name] if count_kind in _TYPES and kind in _TYPES:
            counts = np.dtype(_TYPES[count_kind])
            if counts.kind in "iu":
                return Property(name.lower(), np.dtype(_TYPES[kind]), counts)
    return None


def _element(
    name: str, count: int, properties: Sequence[Property], order: _Order, files: SourceFiles
) -> Element:
    names = [entry.name for entry in properties]
    if len(set(names)) < len(names):
        raise _unreadable(files, f"its element {name[:60]!r} has two properties of one name")
    return Element(
        name,
        count,
        tuple(
            replace(
                entry,
                kind=entry.kind.newbyteorder(order),
                count_kind=entry.count_kind and entry.count_kind.newbyteorder(order),
            )
            for entry in properties
        ),
    )


def face_count(files: SourceFiles) -> int | None:
    """How many faces a file says that it has, None where its surface is not made of faces.

    Raises:
        ModelError: as `parse_header`.
    """
    header = parse_header(files)
    return None if header.element("tristrips").count else header.element("face").count


def read(files: SourceFiles) -> RawMesh:
    """The mesh.

    Raises:
        ModelError: the file is malformed, breaks off or holds too much, or a texture is missing, no
            picture or too large.
    """
    header = parse_header(files)
    tables = _tables(header, files)
    vertices, faces = tables.get("vertex", {}), tables.get("face", {})
    points = _columns(vertices, ("x", "y", "z"))
    if points is None:
        raise _unreadable(files, "its vertices have no x, y and z")
    polygons = _polygons(faces, tables.get("tristrips", {}))
    corners = _whole(polygons.values)
    triangles, owners = triangulated(points, polygons.counts, corners, str(files.path))
    raw = RawMesh(
        vertices=points,
        faces=corners[triangles],
        normals=_columns(vertices, ("nx", "ny", "nz")),
        colors=_colors(vertices),
        notes=_notes(header, files),
    )
    where = _Corners(polygons, triangles, owners)
    return _looks(raw, vertices, faces, where, header.textures, files)


def _polygons(faces: _Table, strips: _Table) -> _Lists:
    """The vertices of each face; where there are none, of each triangle of the strips."""
    for name in _INDICES:
        indices = faces.get(name)
        if isinstance(indices, _Lists):
            return indices
    indices = strips.get("vertex_indices")
    if not isinstance(indices, _Lists):
        return _Lists(np.empty(0, dtype=np.int64), np.empty(0))
    triangles = triangles_of_strips(indices.counts, _whole(indices.values))
    return _Lists(np.full(len(triangles), 3), triangles.reshape(-1).astype(np.float64))


def _columns(table: _Table, names: tuple[str, ...]) -> NDArray[np.float64] | None:
    columns = [table[name] for name in names if name in table]
    plain = [column.astype(np.float64) for column in columns if isinstance(column, np.ndarray)]
    return np.stack(plain, axis=1) if len(plain) == len(names) else None


def _colors(table: _Table) -> NDArray[np.uint8] | None:
    for names in _COLORS:
        columns = [table[name] for name in names if isinstance(table.get(name), np.ndarray)]
        if len(columns) == 3:
            return as_bytes(np.stack(columns, axis=1))  # type: ignore[arg-type]
    return None


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices; what is none becomes -1, which no vertex has."""
    return np.where(np.abs(values) < 2**40, values, -1).astype(np.int64)


def _notes(header: Header, files: SourceFiles) -> tuple[str, ...]:
    """For the ways of telling colours that are not read."""
    names = {entry.name for element in header.elements for entry in element.properties}
    elements = {element.name for element in header.elements}
    if names & {*sum(_COLORS, ())} or header.textures:
        return ()
    if names & {"texcoord", *sum(_TEXTURE_COORDINATES, ())}:
        return (f"{files.path.name}: it names no texture for its texture coordinates",)
    if elements & {"material", "multi_texture_vertex", "multi_texture_face"}:
        return (f"{files.path.name}: its materials are left out",)
    return ()


@dataclass(frozen=True)
class _Corners:
    """Where a mesh's triangles have their corners among those of the file's faces."""

    lists: _Lists
    places: NDArray[np.int64]
    """(T, 3), in `lists.values`."""
    face: NDArray[np.int64]
    """(T,)."""


def _looks(
    raw: RawMesh,
    vertices: _Table,
    faces: _Table,
    corners: _Corners,
    names: Sequence[str],
    files: SourceFiles,
) -> RawMesh:
    """The mesh with what its faces and textures say of its looks."""
    face_colors, by_corner = _colors(faces), _apart(raw)
    if raw.colors is None and face_colors is not None:
        by_corner = raw = replace(by_corner, colors=np.repeat(face_colors[corners.face], 3, axis=0))
    if not names:
        return raw
    at_vertices = next(
        (
            coordinates
            for pair in _TEXTURE_COORDINATES
            if (coordinates := _columns(vertices, pair)) is not None
        ),
        None,
    )
    at_corners = faces.get("texcoord")
    # A column of empty lists says nothing.
    if isinstance(at_corners, _Lists) and not len(at_corners.values):
        at_corners = None
    if isinstance(at_corners, _Lists):
        coordinates, textured = _at_corners(at_corners, corners)
    elif at_vertices is not None:
        textured = np.ones(len(corners.face), dtype=bool)
        coordinates = at_vertices[_whole(corners.lists.values)[corners.places]]
    else:
        raise ModelError(
            f"{files.path} names the texture {names[0][:60]!r} but its vertices have no "
            "texture_u and texture_v; export it with texture coordinates"
        )
    stated_numbers = faces.get("texnumber")
    texture_numbers = np.zeros(len(corners.face), dtype=np.int64)
    if isinstance(stated_numbers, np.ndarray):
        texture_numbers = _whole(stated_numbers.astype(np.float64))[corners.face]
    texture_numbers = np.where(textured & (texture_numbers < len(names)), texture_numbers, -1)
    if (
        face_colors is None
        and at_vertices is not None
        and at_corners is None
        and not texture_numbers.any()
    ):
        picture = Textures(str(files.path)).decoded(names[0], files.named(names[0]))
        return replace(raw, texture_coordinates=at_vertices, texture=picture)
    return _textured(by_corner, coordinates, texture_numbers, names, files)


def _apart(raw: RawMesh) -> RawMesh:
    """Every triangle with corners of its own."""
    return raw.select(raw.faces.reshape(-1), np.arange(raw.faces.size).reshape(-1, 3))


def _at_corners(listed: _Lists, corners: _Corners) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(T, 3, 2) texture coordinates, and (T,) which triangles have some."""
    textured = (listed.counts == 2 * corners.lists.counts)[corners.face]
    starts = np.cumsum(corners.lists.counts) - corners.lists.counts
    within = corners.places - starts[corners.face][:, None]
    first = (np.cumsum(listed.counts) - listed.counts)[corners.face][:, None] + 2 * within
    first[~textured] = 0
    padded = np.append(listed.values, (0, 0))
    return np.stack([padded[first], padded[first + 1]], axis=2), textured


def _textured(
    by_corner: RawMesh,
    coordinates: NDArray[np.float64],
    texture_numbers: NDArray[np.int64],
    names: Sequence[str],
    files: SourceFiles,
) -> RawMesh:
    """The mesh with each triangle's texture, -1 being none, and its corners' coordinates."""
    by_corner = replace(by_corner, texture_coordinates=coordinates.reshape(-1, 2))
    used = np.unique(texture_numbers).tolist()
    numbers = [number for number in used if number >= 0]
    textures = Textures(str(files.path), are_tiles=len(numbers) > 1)
    pictures = {
        number: textures.decoded(names[number], files.named(names[number])) for number in numbers
    }
    parts = []
    for number in used:
        rows = np.flatnonzero(np.repeat(texture_numbers == number, 3))
        part = by_corner.select(rows, np.arange(len(rows)).reshape(-1, 3))
        if number < 0:
            parts.append(replace(part, texture_coordinates=None))
        else:
            parts.append(replace(part, texture=pictures[number]))
    return joined(parts, str(files.path)) if parts else by_corner


def _tables(header: Header, files: SourceFiles) -> dict[str, _Table]:
    """The elements that make the surface; what comes after them is not looked at."""
    last = max((k for k, e in enumerate(header.elements) if e.name in _SHAPES), default=-1)
    tables: dict[str, _Table] = {}
    numbers = _numbers(header, files) if header.ascii else np.empty(0)
    at = 0 if header.ascii else header.length
    for element in header.elements[: last + 1]:
        if element.count > MAX_VERTICES and element.properties:
            raise too_many(str(files.path), 0, element.count)
        if header.ascii:
            table, at = _ascii_table(element, numbers, at, files)
        else:
            table, at = _binary_table(element, at, files)
        if element.count:
            tables.setdefault(element.name, table)
    return tables


def _numbers(header: Header, files: SourceFiles) -> NDArray[np.float64]:
    try:
        return np.fromstring(files.content[header.length :], dtype=np.float64, sep=" ")
    except ValueError:
        raise ModelError(
            f"{files.path} has text where numbers should be; export the mesh again"
        ) from None


def _ascii_table(
    element: Element, numbers: NDArray[np.float64], at: int, files: SourceFiles
) -> tuple[_Table, int]:
    """An element's table, and where the next begins."""
    lengths, width = [], 0
    for entry in element.properties if element.count else ():
        if entry.count_kind is not None:
            lengths.append(_length(numbers[at + width : at + width + 1], files))
            width += lengths[-1]
        width += 1
    end = at + element.count * width
    if len(numbers) >= end:
        rows = numbers[at:end].reshape(-1, width) if width else np.empty((0, 0))
        table = _uniform(element, list(rows.T), lengths)
        if table is not None:
            return table, end
    return _ragged(element, at, files, _AsciiCells(numbers))


def _binary_table(element: Element, at: int, files: SourceFiles) -> tuple[_Table, int]:
    """As `_ascii_table`."""
    content, fields, lengths, width = files.content, [], [], 0
    for entry in element.properties if element.count else ():
        if entry.count_kind is not None:
            lengths.append(
                _length(
                    _BinaryCells(content).get(
                        at + width, at + width + entry.count_kind.itemsize, entry.count_kind
                    ),
                    files,
                )
            )
            fields.append(entry.count_kind)
            width += entry.count_kind.itemsize
        for _ in range(lengths[-1] if entry.count_kind is not None else 1):
            fields.append(entry.kind)
            width += entry.kind.itemsize
    end = at + element.count * width
    if len(content) >= end and len(fields) < 10_000:
        kinds = np.dtype([(f"f{number}", kind) for number, kind in enumerate(fields)])
        rows = np.frombuffer(content, kinds, element.count if fields else 0, offset=at)
        table = _uniform(element, [rows[name] for name in kinds.names or ()], lengths)
        if table is not None:
            return table, end
    return _ragged(element, at, files, _BinaryCells(content))


def _uniform(
    element: Element, columns: list[NDArray[np.generic]], lengths: Sequence[int]
) -> _Table | None:
    """The table where all rows are as long as the first; None where one is not."""
    table: _Table = {}
    remaining, lists = iter(columns), iter(lengths)
    for entry in element.properties if element.count else ():
        column = next(remaining)
        if entry.count_kind is None:
            table[entry.name] = column.astype(entry.kind.newbyteorder("="))
            continue
        length = next(lists)
        if (column != length).any():
            return None
        values = np.empty((element.count, length))
        for place in range(length):
            values[:, place] = next(remaining)
        table[entry.name] = _Lists(np.full(element.count, length), values.reshape(-1))
    return table


class _AsciiCells:
    """Numbers of a text, each one cell."""

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        self._numbers = numbers
        self.end = len(numbers)

    def size(self, kind: np.dtype[np.generic]) -> int:
        return 1

    def get(self, at: int, end: int, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
        return self._numbers[at:end]


class _BinaryCells:
    """Bytes, as many to a number as its kind has."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.end = len(content)

    def size(self, kind: np.dtype[np.generic]) -> int:
        return kind.itemsize

    def get(self, at: int, end: int, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
        whole = end <= self.end
        return np.frombuffer(self._content[at:end] if whole else b"", kind)


def _ragged(
    element: Element, at: int, files: SourceFiles, cells: _AsciiCells | _BinaryCells
) -> tuple[_Table, int]:
    """As `_ascii_table`, row by row."""
    pieces: list[list[NDArray[np.generic]]] = [[] for _ in element.properties]
    for _ in range(element.count):
        for entry, chunks in zip(element.properties, pieces, strict=True):
            length = 1
            if entry.count_kind is not None:
                end = at + cells.size(entry.count_kind)
                length, at = _length(cells.get(at, end, entry.count_kind), files), end
            end = at + length * cells.size(entry.kind)
            if end > cells.end:
                raise _broken_off(files)
            chunks.append(cells.get(at, end, entry.kind))
            at = end
    table: _Table = {}
    for entry, chunks in zip(element.properties, pieces, strict=True):
        values = np.concatenate([np.empty(0), *chunks])
        if entry.count_kind is None:
            table[entry.name] = values.astype(entry.kind.newbyteorder("="))
        else:
            table[entry.name] = _Lists(np.array([len(piece) for piece in chunks], int), values)
    return table, at


def _length(cell: NDArray[np.generic], files: SourceFiles) -> int:
    """Of a list."""
    if not len(cell):
        raise _broken_off(files)
    length = float(cell[0])
    if not 0 <= length <= MAX_VERTICES or length != int(length):
        raise _unreadable(files, f"it has a list of {length:g} entries")
    return int(length)


def _broken_off(files: SourceFiles) -> ModelError:
    return ModelError(f"{files.path} breaks off before its end; copy or export it again")


def _unreadable(files: SourceFiles, problem: str) -> ModelError:
    return ModelError(f"{files.path} cannot be read as PLY: {problem}; export it again")


def write(path: Path, mesh: Mesh) -> None:
    """Write a binary PLY as BOP's tools read it, and the texture beside it as a PNG.

    The bytes depend on the mesh alone. `read` gives every array back as it was.
    """
    columns: list[tuple[str, NDArray[np.float32] | NDArray[np.uint8]]] = [
        *zip(("x", "y", "z"), mesh.vertices.T, strict=True),
        *zip(("nx", "ny", "nz"), mesh.normals.T, strict=True),
        *zip(("red", "green", "blue"), mesh.colors.T, strict=True),
    ]
    comments = []
    if mesh.texture is not None and mesh.texture_coordinates is not None:
        columns += zip(("texture_u", "texture_v"), mesh.texture_coordinates.T, strict=True)
        picture = path.with_suffix(".png")
        comments.append(f"comment TextureFile {picture.name}")
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(mesh.texture[:, :, ::-1]))
        write_file(picture, encoded.tobytes())
    kinds = {name: "uchar" if column.dtype == np.uint8 else "float" for name, column in columns}
    vertices = np.empty(
        len(mesh.vertices), dtype=[(name, _TYPES[kind]) for name, kind in kinds.items()]
    )
    for name, column in columns:
        vertices[name] = column
    faces = np.empty(len(mesh.faces), dtype=[("corners", "u1"), ("corner", "<i4", 3)])
    faces["corners"], faces["corner"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *comments,
        f"element vertex {len(vertices)}",
        *(f"property {kind} {name}" for name, kind in kinds.items()),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    write_file(path, "\n".join(header).encode() + vertices.tobytes() + faces.tobytes())
