"""PLY files of triangles, read and written with numpy alone.

This is the form of BOP's models. Whatever else a PLY file may hold (polygons, big-endian numbers,
colours or texture coordinates per face) is left to trimesh.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ._geometry import MAX_FACES, MAX_VERTICES, RawMesh, too_many
from ._model import Mesh, ModelError
from ._pictures import decode_picture
from ._source_files import SourceFiles

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
_TEXTURE_COORDINATES = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))
_HEADER_END = re.compile(rb"\nend_header[ \t]*\r?\n")


@dataclass(frozen=True)
class Header:
    """The header of a file that `read` understands."""

    ascii: bool
    vertex_count: int
    face_count: int
    vertex_type: np.dtype[np.void]
    face_type: np.dtype[np.void]
    texture: str | None
    length: int
    """Bytes up to where the data begin."""


def parse_header(content: bytes) -> Header | None:
    """The header, or None where the file is not a plain triangle PLY."""
    end = _HEADER_END.search(content)
    if not content.startswith(b"ply") or end is None:
        return None
    lines = content[: end.start()].decode("utf-8", errors="replace").splitlines()
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    file_format, textures = "", []
    for line in lines[1:]:
        match line.split():
            case ["format", file_format, "1.0"]:
                pass
            case ["comment", "TextureFile", *_]:
                textures.append(line.split(maxsplit=2)[-1].strip())
            case ["comment" | "obj_info", *_] | []:
                pass
            case ["element", name, count] if count.isdecimal() and len(count) < 12:
                elements.append((name, int(count), []))
            case ["property", kind, name] if kind in _TYPES and elements:
                elements[-1][2].append((name, _TYPES[kind]))
            case ["property", "list", "uchar" | "uint8", "int" | "int32" | "uint" | "uint32", name]:
                if not elements or name not in ("vertex_indices", "vertex_index"):
                    return None
                elements[-1][2].extend([("corners", "u1"), ("corner", "(3,)<i4")])
            case _:
                return None
    if file_format not in ("ascii", "binary_little_endian") or len(textures) > 1:
        return None
    if [name for name, _, _ in elements] != ["vertex", "face"]:
        return None
    (_, vertex_count, vertex_properties), (_, face_count, face_properties) = elements
    names = [name for name, _ in vertex_properties]
    if [name for name, _ in face_properties] != ["corners", "corner"]:
        return None
    if len(set(names)) < len(names) or not {"x", "y", "z"} <= set(names):
        return None
    return Header(
        ascii=file_format == "ascii",
        vertex_count=vertex_count,
        face_count=face_count,
        vertex_type=np.dtype(vertex_properties),
        face_type=np.dtype(face_properties),
        texture=textures[0] if textures else None,
        length=end.end(),
    )


def read(files: SourceFiles) -> RawMesh | None:
    """The mesh, or None where the file is not a plain triangle PLY and trimesh has to read it.

    Raises:
        ModelError: the file breaks off or holds too much, or its texture is missing, no picture or
            too large.
    """
    header = parse_header(files.content)
    if header is None:
        return None
    if header.face_count > MAX_FACES or header.vertex_count > MAX_VERTICES:
        raise too_many(str(files.path), header.face_count, header.vertex_count)
    read_tables = _ascii_tables if header.ascii else _binary_tables
    vertices, faces = read_tables(header, files)
    if (faces["corners"] != 3).any():
        return None
    names = {*(vertices.dtype.names or ())}
    colors = None
    if {"red", "green", "blue"} <= names:
        if any(vertices.dtype[name] != np.uint8 for name in ("red", "green", "blue")):
            return None
        colors = np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1)
    coordinates, texture = None, None
    if header.texture is not None:
        pair = next((pair for pair in _TEXTURE_COORDINATES if {*pair} <= names), None)
        if pair is None:
            raise ModelError(
                f"{files.path} names the texture {header.texture!r} but its vertices have no "
                "texture_u and texture_v; export it with texture coordinates"
            )
        coordinates = _columns(vertices, pair)
        texture = _decode(files, header.texture)
    return RawMesh(
        vertices=_columns(vertices, ("x", "y", "z")),
        faces=faces["corner"].astype(np.int64),
        normals=_columns(vertices, ("nx", "ny", "nz")) if {"nx", "ny", "nz"} <= names else None,
        colors=colors,
        texture_coordinates=coordinates,
        texture=texture,
    )


def _columns(table: NDArray[np.void], names: tuple[str, ...]) -> NDArray[np.float64]:
    return np.stack([table[name].astype(np.float64) for name in names], axis=1)


def _binary_tables(header: Header, files: SourceFiles) -> tuple[NDArray[np.void], NDArray[np.void]]:
    middle = header.length + header.vertex_count * header.vertex_type.itemsize
    if len(files.content) < middle + header.face_count * header.face_type.itemsize:
        raise _broken_off(files)
    vertices = np.frombuffer(
        files.content, header.vertex_type, header.vertex_count, offset=header.length
    )
    faces = np.frombuffer(files.content, header.face_type, header.face_count, offset=middle)
    return vertices, faces


def _ascii_tables(header: Header, files: SourceFiles) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """As `_binary_tables`; a face that is no triangle shows as one with other than 3 corners."""
    try:
        numbers = np.fromstring(files.content[header.length :], dtype=np.float64, sep=" ")
    except ValueError:
        raise ModelError(
            f"{files.path} has text where numbers should be; export the mesh again"
        ) from None
    names = header.vertex_type.names or ()
    middle = header.vertex_count * len(names)
    if len(numbers) < middle + 4 * header.face_count:
        raise _broken_off(files)
    values, corners = numbers[:middle], numbers[middle:]
    vertices = np.empty(header.vertex_count, dtype=header.vertex_type)
    with np.errstate(over="ignore", invalid="ignore"):
        for name, column in zip(names, values.reshape(-1, len(names)).T, strict=True):
            vertices[name] = column
        faces = np.zeros(header.face_count, dtype=header.face_type)
        if len(corners) == 4 * header.face_count:
            corners = corners.reshape(-1, 4)
            faces["corners"] = corners[:, 0]
            faces["corner"] = corners[:, 1:]
    return vertices, faces


def _broken_off(files: SourceFiles) -> ModelError:
    return ModelError(f"{files.path} breaks off before its end; copy or export it again")


def _decode(files: SourceFiles, name: str) -> NDArray[np.uint8]:
    picture = decode_picture(files.named(name))
    if picture is None:
        raise ModelError(
            f"{files.path} has the texture {name[:200]!r}, which is not a picture that can be "
            "read; save it as PNG or JPEG of at most 16384 x 8192 pixels"
        )
    return picture


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
        picture.write_bytes(encoded.tobytes())
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
    path.write_bytes("\n".join(header).encode() + vertices.tobytes() + faces.tobytes())
