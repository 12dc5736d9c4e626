"""OFF files as Geomview and MeshLab write them, with colours of vertices or faces.

Source: http://www.geomview.org/docs/html/OFF.html.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cad_models._files.source import SourceFiles, plain_text
from cad_models._mesh.checked import MAX_FACES, MAX_VERTICES, PLAIN_COLOR, RawMesh, too_many
from cad_models._mesh.color_values import as_bytes
from cad_models._mesh.polygons import triangulated
from cad_models._model import ModelError

_KEYWORD = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF\b[ \t]*(BINARY)?")


def read(files: SourceFiles) -> RawMesh:
    """The mesh.

    Raises:
        ModelError: the file is malformed, breaks off, holds too much or is of a kind that is not
            read: binary, or of other than three dimensions.
    """
    text = re.sub(rb"#[^\n]*", b"", plain_text(files.content)).lstrip()
    keyword = _KEYWORD.match(text)
    if keyword is not None and (keyword[4] or keyword[5] or keyword[6]):
        raise _unreadable(files, f"{keyword[0].decode()} is not read, only three-dimensional text")
    lines = [line for line in text[keyword.end() if keyword else 0 :].split(b"\n") if line.strip()]
    counts = lines[0].split() if lines else []
    if len(counts) not in (2, 3) or not all(word.isdigit() and len(word) < 12 for word in counts):
        raise _unreadable(files, "it does not begin with OFF and the numbers of what it holds")
    vertex_count, face_count = int(counts[0]), int(counts[1])
    if face_count > MAX_FACES or vertex_count > MAX_VERTICES:
        raise too_many(str(files.path), face_count, vertex_count)
    if len(lines) < 1 + vertex_count + face_count:
        raise ModelError(f"{files.path} breaks off before its end; copy or export it again")
    has_coordinates, has_normals = (keyword is not None and bool(keyword[k]) for k in (1, 3))
    raw = _with_vertices(files, lines[1 : 1 + vertex_count], has_normals, has_coordinates)
    return _with_faces(raw, files, lines[1 + vertex_count : 1 + vertex_count + face_count])


def _with_vertices(
    files: SourceFiles, lines: list[bytes], has_normals: bool, has_coordinates: bool
) -> RawMesh:
    width = len(lines[0].split()) if lines else 3
    numbers = _numbers(files, lines)
    if width < 3 or len(numbers) != width * len(lines):
        raise _unreadable(files, "its vertices have different numbers of columns")
    table = numbers.reshape(-1, width)
    begin = 6 if has_normals else 3
    colors = table[:, begin : width - 2 if has_coordinates else width]
    notes: tuple[str, ...] = ()
    if has_coordinates and colors.shape[1] < 3:
        notes = (f"{files.path.name}: OFF names no texture for its texture coordinates",)
    return RawMesh(
        vertices=table[:, :3],
        faces=np.empty((0, 3), dtype=np.int64),
        normals=table[:, 3:6] if has_normals and width >= 6 else None,
        colors=_color_bytes(colors[:, :3]) if colors.shape[1] >= 3 else None,
        notes=notes,
    )


def _with_faces(raw: RawMesh, files: SourceFiles, lines: list[bytes]) -> RawMesh:
    counts, corners, colors = _faces(files, lines)
    triangles, owners = triangulated(raw.vertices, counts, corners, str(files.path))
    raw = replace(raw, faces=corners[triangles])
    widths = np.array([len(color) for color in colors], dtype=np.int64)
    if (widths == 1).any():
        note = f"{files.path.name}: colours by their number in a table are left out"
        raw = replace(raw, notes=(*raw.notes, note))
    colored = widths >= 3
    if not colored.any() or raw.colors is not None:
        return raw
    values = np.array([color[:3] if len(color) >= 3 else (0, 0, 0) for color in colors])
    by_face = np.where(colored[:, None], _color_bytes(values), np.uint8(PLAIN_COLOR))
    apart = raw.select(raw.faces.reshape(-1), np.arange(raw.faces.size).reshape(-1, 3))
    return replace(apart, colors=np.repeat(by_face[owners], 3, axis=0))


def _faces(
    files: SourceFiles, lines: list[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.float64]]]:
    """Corner counts, corners one face after the other, and what follows the corners."""
    widths = np.array([len(line.split()) for line in lines], dtype=np.int64)
    numbers = _numbers(files, lines)
    starts = np.cumsum(widths) - widths
    if len(numbers) != widths.sum():
        raise _unreadable(files, "its faces are malformed")
    whole = np.where(np.abs(numbers) < 2**40, numbers, -1).astype(np.int64)
    counts = whole[starts]
    if ((counts < 0) | (counts >= widths)).any():
        raise _unreadable(files, "a face has fewer corners than it says")
    within = np.arange(len(numbers)) - np.repeat(starts, widths)
    corner = (within > 0) & (within <= np.repeat(counts, widths))
    rest = np.split(numbers, np.stack([starts + 1 + counts, starts + widths], axis=1).ravel())
    return counts, whole[corner], rest[1::2]


def _color_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Fractions where none is above 1, else of 255; transparency does not count."""
    return as_bytes(values if values.max(initial=0) <= 1 else np.rint(values).astype(np.int64))


def _numbers(files: SourceFiles, lines: list[bytes]) -> NDArray[np.float64]:
    try:
        return np.fromstring(b"\n".join(lines), dtype=np.float64, sep=" ")
    except ValueError:
        raise ModelError(
            f"{files.path} has text where numbers should be; export the mesh again"
        ) from None


def _unreadable(files: SourceFiles, problem: str) -> ModelError:
    return ModelError(f"{files.path} cannot be read as OFF: {problem}; export it again")
