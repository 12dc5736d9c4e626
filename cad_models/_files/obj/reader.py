"""OBJ files and the materials and textures that they name.

Source: http://paulbourke.net/dataformats/obj.

Convention:
    A texture is multiplied by its material's Kd, as the format says, but for a Kd of 0 0 0, which
    many programs write beside a texture. Kd is a picture's value: 0.4 is the grey 102. Where there
    is no texture, vertex colours count before Kd, unless all are white.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cad_models._files.obj import materials as mtl
from cad_models._files.obj.materials import Material, TextureMap
from cad_models._files.source import SourceFiles, plain_text
from cad_models._files.textures import Textures
from cad_models._mesh.atlas import joined
from cad_models._mesh.checked import MAX_FACES, MAX_VERTICES, RawMesh, too_many
from cad_models._mesh.color_values import as_bytes
from cad_models._mesh.polygons import triangulated
from cad_models._model import ModelError

_CLAMP = "its textures repeat where -clamp says that they should not"
_FREE_FORM = {b"curv", b"curv2", b"surf"}
_FORMS = tuple(
    (re.compile(rb"%b(?: %b)*" % (form, form)), columns)
    for form, columns in (
        (rb"\d+", (0,)),
        (rb"\d+/\d+", (0, 1)),
        (rb"\d+//\d+", (0, 2)),
        (rb"\d+/\d+/\d+", (0, 1, 2)),
    )
)


_Look = tuple[TextureMap | None, tuple[int, ...] | None]
"""A texture and a diffuse colour."""


@dataclass
class _Statements:
    """The statements of a file, not yet looked into."""

    v: list[bytes] = field(default_factory=list)
    vt: list[bytes] = field(default_factory=list)
    vn: list[bytes] = field(default_factory=list)
    corners: list[bytes] = field(default_factory=list)
    """Such as 3/1/2, of one face after the other."""
    counts: list[int] = field(default_factory=list)
    """Of corners, for each face."""
    materials: list[str | None] = field(default_factory=list)
    """For each face."""
    libraries: list[str] = field(default_factory=list)
    free_form: bool = False


@dataclass(frozen=True)
class _Triangles:
    """A file's surface, its indices from 0 and -1 where there is none."""

    points: NDArray[np.float64]
    colors: NDArray[np.uint8] | None
    coordinates: NDArray[np.float64]
    normals: NDArray[np.float64]
    corners: NDArray[np.int64]
    """(T, 3, 3): of each corner of each triangle, the places in points, coordinates and normals."""
    materials: list[str | None]
    """For each triangle."""


def read(files: SourceFiles) -> RawMesh:
    """The mesh, each material's part with its look.

    Raises:
        ModelError: the file is malformed or holds too much, or a file that it names is missing or
            no picture.
    """
    statements = _statements(files)
    materials = _materials(statements.libraries, files)
    triangles = _triangles(statements, files)
    materials_used = {
        name: materials.get(name or "", Material()) for name in {*triangles.materials}
    }
    notes = [*_notes(statements, triangles, materials, files)]
    opaque = {name: material for name, material in materials_used.items() if material.opacity > 0}
    if materials_used and not opaque:
        notes.append(f"{files.path.name}: all of it is transparent and is shown opaque")
    elif len(opaque) < len(materials_used):
        notes.append(f"{files.path.name}: what is wholly transparent is left out")
        materials_used = opaque
    parts = list(_parts(triangles, materials_used, files))
    if not parts:
        # Which `checked` refuses in the words of all formats.
        return RawMesh(triangles.points, np.empty((0, 3), dtype=np.int64))
    raw = joined(parts, str(files.path))
    notes += [f"{files.path.name}: {note}" for note in raw.notes]
    return replace(raw, notes=tuple(notes))


def _statements(files: SourceFiles) -> _Statements:
    statements, material = _Statements(), None
    for line in plain_text(files.content).replace(b"\\\n", b" ").split(b"\n"):
        key, *words = line.split(None, 1) or [b""]
        rest = words[0] if words else b""
        if key == b"v":
            statements.v.append(rest)
        elif key == b"vt":
            statements.vt.append(rest)
        elif key == b"vn":
            statements.vn.append(rest)
        elif key in (b"f", b"fo"):
            corners = rest.partition(b"#")[0].split()
            if b"-" in rest:
                lengths = len(statements.v), len(statements.vt), len(statements.vn)
                corners = [_from_the_end(corner, lengths) for corner in corners]
            statements.corners += corners
            statements.counts.append(len(corners))
            statements.materials.append(material)
        elif key == b"usemtl":
            material = _decoded(rest)
        elif key == b"mtllib" and _decoded(rest) not in statements.libraries:
            statements.libraries.append(_decoded(rest))
        elif key in _FREE_FORM:
            statements.free_form = True
        if len(statements.v) > MAX_VERTICES or len(statements.counts) > MAX_FACES:
            raise too_many(str(files.path), len(statements.counts), len(statements.v))
    return statements


def _decoded(text: bytes) -> str:
    try:
        return text.decode().strip()
    except UnicodeDecodeError:
        return text.decode("latin-1").strip()


def _from_the_end(corner: bytes, lengths: tuple[int, int, int]) -> bytes:
    """A corner with indices such as -1, the last so far, as one without."""
    parts = [
        b"%d" % (length + 1 + int(part)) if part[:1] == b"-" and part[1:].isdigit() else part
        for part, length in zip(corner.split(b"/")[:3], lengths, strict=False)
    ]
    return b"/".join(parts)


def _materials(libraries: list[str], files: SourceFiles) -> dict[str, Material]:
    materials: dict[str, Material] = {}
    for line in libraries:
        for name in _library_names(line, files):
            text = _decoded(plain_text(files.named(name)))
            folder = name.strip('"').replace("\\", "/").rpartition("/")[0]
            for key, material in mtl.parse(text, folder).items():
                materials.setdefault(key, material)
    return materials


def _library_names(line: str, files: SourceFiles) -> list[str]:
    """One name with blanks, or several names; which it is, the folder says."""
    whole = line.strip('"')
    try:
        files.named(whole)
    except ModelError:
        names = line.split()
        if len(names) < 2:
            raise
        return names
    return [whole]


def _triangles(statements: _Statements, files: SourceFiles) -> _Triangles:
    subject = str(files.path)
    points, colors = _points(statements.v, files)
    coordinates = _rows(statements.vt, 2, files, missing=0.0)
    normals = _rows(statements.vn, 3, files)
    corners = _corners(statements.corners, files)
    limits = np.array([len(points), len(coordinates), len(normals)])
    if (corners >= limits).any() or (corners[:, 0] < 0).any():
        raise ModelError(
            f"{subject} has faces that name vertices it does not have; export the mesh again"
        )
    counts = np.array(statements.counts, dtype=np.int64)
    places, owners = triangulated(points, counts, corners[:, 0], subject)
    materials = [statements.materials[face] for face in owners.tolist()]
    return _Triangles(points, colors, coordinates, normals, corners[places], materials)


def _points(
    lines: list[bytes], files: SourceFiles
) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None]:
    """Positions, and the colours that follow them where every vertex has one."""
    width = len(lines[0].split()) if lines else 3
    table = _rows(lines, max(width, 3), files)
    if width < 6:
        return table[:, :3], None
    colors = table[:, 3:6]
    return table[:, :3], None if np.isnan(colors).any() else as_bytes(colors)


def _rows(
    lines: list[bytes], width: int, files: SourceFiles, missing: float = np.nan
) -> NDArray[np.float64]:
    """(N, width) numbers, `missing` where a line has fewer; what it has beyond them is dropped."""
    if not lines:
        return np.empty((0, width))
    try:
        numbers = np.fromstring(b"\n".join(lines), dtype=np.float64, sep=" ")
        columns = len(numbers) // len(lines)
        widths = {len(line.split()) for line in lines}
        if widths == {columns} and columns >= width:
            return numbers.reshape(-1, columns)[:, :width]
        rows = np.full((len(lines), width), missing, dtype=np.float64)
        for row, line in zip(rows, lines, strict=True):
            values = [float(word) for word in line.partition(b"#")[0].split()[:width]]
            row[: len(values)] = values
    except ValueError:
        raise ModelError(
            f"{files.path} has text where numbers should be; export the mesh again"
        ) from None
    return rows


def _corners(words: list[bytes], files: SourceFiles) -> NDArray[np.int64]:
    """(N, 3) indices from 0 of words such as 3/1/2, -1 where there is none."""
    text = b" ".join(words)
    indices = np.zeros((len(words), 3))
    try:
        form = next((columns for form, columns in _FORMS if form.fullmatch(text)), None)
        if form is not None:
            numbers = np.fromstring(text.replace(b"/", b" "), dtype=np.float64, sep=" ")
            indices[:, form] = numbers.reshape(len(words), -1)
        else:
            for row, word in zip(indices, words, strict=True):
                parts = word.split(b"/")[:3]
                row[: len(parts)] = [int(part or b"0") for part in parts]
    except (ValueError, OverflowError):
        raise ModelError(
            f"{files.path} has text where numbers should be; export the mesh again"
        ) from None
    return np.clip(indices, 0, 2**40).astype(np.int64) - 1


def _notes(
    statements: _Statements,
    triangles: _Triangles,
    materials: dict[str, Material],
    files: SourceFiles,
) -> Iterator[str]:
    name, used = files.path.name, {*triangles.materials} - {None}
    if statements.free_form:
        yield f"{name}: its free-form curves and surfaces are left out"
    colored = _has_vertex_colors(triangles)
    missing = sorted(f"{material}" for material in used if material not in materials)
    if missing and not colored:
        where = "is not in its MTL file" if statements.libraries else "it names no MTL file for"
        yield f"{name}: grey where it has the material {missing[0][:60]!r}, which {where}"
    materials_used = [materials[material] for material in used if material in materials]
    for look in sorted({look for material in materials_used for look in material.left_out}):
        yield f"{name}: its {look} is left out"
    if colored and any(material.texture is not None for material in materials_used):
        yield f"{name}: its vertex colours are left out where it has a texture"


def _has_vertex_colors(triangles: _Triangles) -> bool:
    return triangles.colors is not None and bool((triangles.colors != 255).any())


def _parts(
    triangles: _Triangles, materials: dict[str | None, Material], files: SourceFiles
) -> Iterator[RawMesh]:
    """For each look the part that has it, in the order in which the file uses them."""
    looks = {name: _look(materials[name]) for name in triangles.materials if name in materials}
    order = {look: number for number, look in enumerate(dict.fromkeys(looks.values()))}
    number_of = {name: order[look] for name, look in looks.items()}
    look_of_triangle = np.array(
        [number_of.get(name, -1) for name in triangles.materials], dtype=np.int64
    )
    begins = np.searchsorted(np.sort(look_of_triangle), np.arange(len(order) + 1))
    by_look = np.argsort(look_of_triangle, kind="stable")
    textured_looks = sum(texture is not None for texture, _ in order)
    textures = Textures(str(files.path), are_tiles=textured_looks > 1)
    has_normals = bool((triangles.corners[:, :, 2] >= 0).all())
    for number, (texture, diffuse) in enumerate(order):
        corners = triangles.corners[by_look[begins[number] : begins[number + 1]]]
        textured = (corners[:, :, 1] >= 0).all(axis=1) & (texture is not None)
        if texture is not None:
            content = files.named(texture.name, texture.folder)
            picture = _tinted(textures.decoded(texture.name, content), diffuse)
            if textured.any():
                yield _textured_part(triangles, corners[textured], texture, picture, has_normals)
        if not textured.all():
            yield _plain_part(triangles, corners[~textured], diffuse, has_normals)


def _look(material: Material) -> _Look:
    diffuse = material.diffuse
    return material.texture, None if diffuse is None else tuple(diffuse.tolist())


def _textured_part(
    triangles: _Triangles,
    corners: NDArray[np.int64],
    texture: TextureMap,
    picture: NDArray[np.uint8],
    has_normals: bool,
) -> RawMesh:
    raw, rows = _shape(triangles, corners, has_normals)
    coordinates = texture.moved(triangles.coordinates[rows[:, 1]])
    outside = bool(((coordinates < 0) | (coordinates > 1)).any())
    return replace(
        raw,
        texture_coordinates=coordinates,
        texture=picture,
        notes=(_CLAMP,) if texture.clamp and outside else (),
    )


def _plain_part(
    triangles: _Triangles,
    corners: NDArray[np.int64],
    diffuse: tuple[int, ...] | None,
    has_normals: bool,
) -> RawMesh:
    raw, rows = _shape(triangles, np.where([True, False, True], corners, -1), has_normals)
    if triangles.colors is not None and (_has_vertex_colors(triangles) or diffuse is None):
        return replace(raw, colors=triangles.colors[rows[:, 0]])
    if diffuse is not None:
        return replace(raw, colors=np.tile(np.array(diffuse, dtype=np.uint8), (len(rows), 1)))
    return raw


def _shape(
    triangles: _Triangles, corners: NDArray[np.int64], has_normals: bool
) -> tuple[RawMesh, NDArray[np.int64]]:
    """A part without its look, and the places that each of its vertices has."""
    if not has_normals:
        corners = np.where([True, True, False], corners, -1)
    rows, faces = _distinct(corners)
    normals = triangles.normals[rows[:, 2]] if has_normals else None
    return RawMesh(triangles.points[rows[:, 0]], faces, normals), rows


def _tinted(picture: NDArray[np.uint8], diffuse: tuple[int, ...] | None) -> NDArray[np.uint8]:
    if diffuse in (None, (0, 0, 0), (255, 255, 255)):
        return picture
    levels = np.arange(256)[:, None] * (np.array(diffuse) / 255)
    tables = np.floor(levels + 0.5).astype(np.uint8)
    return np.stack([tables[picture[:, :, c], c] for c in range(3)], axis=2)


def _distinct(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N, 3) distinct triples of places, and (T, 3) the one that each corner has."""
    triples = corners.reshape(-1, 3)
    keys = triples[:, 0]
    for column in (1, 2):
        step = int(triples[:, column].max()) + 2
        if step > 1:
            _, keys = np.unique(keys, return_inverse=True)
            keys = keys * step + triples[:, column] + 1
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return triples[first], inverse.reshape(-1, 3)
