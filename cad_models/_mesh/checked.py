"""From the arrays that a file holds to a mesh that a renderer can trust."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cad_models._mesh import diameter
from cad_models._mesh.closed import is_closed
from cad_models._model import Mesh, ModelError

MAX_FACES = 2_000_000
MAX_VERTICES = 3 * MAX_FACES
PLAIN_COLOR = 190
"""The grey of a mesh that has no colours."""
CREASE_DEGREES = 40.0
"""Edges sharper than this stay sharp when normals are computed."""


@dataclass(frozen=True)
class RawMesh:
    """What a file holds, in the file's unit and not yet checked."""

    vertices: NDArray[np.float64]
    """(V, 3)."""
    faces: NDArray[np.int64]
    """(F, 3)."""
    normals: NDArray[np.float64] | None = None
    """(V, 3)."""
    colors: NDArray[np.uint8] | None = None
    """(V, 3), RGB."""
    texture_coordinates: NDArray[np.float64] | None = None
    """(V, 2), (0, 0) at the texture's bottom-left corner."""
    texture: NDArray[np.uint8] | None = None
    """(H, W, 3), RGB, top row first."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing in the file that cannot be shown as it was meant."""
    millimetres_per_unit: float | None = None
    """Where the file or its format says what its unit is."""

    def select(self, rows: NDArray[np.int64], faces: NDArray[np.int64]) -> RawMesh:
        """The vertices `rows` with all that belongs to them, joined by `faces`."""
        return replace(
            self,
            vertices=self.vertices[rows],
            faces=faces,
            normals=None if self.normals is None else self.normals[rows],
            colors=None if self.colors is None else self.colors[rows],
            texture_coordinates=(
                None if self.texture_coordinates is None else self.texture_coordinates[rows]
            ),
        )


def checked(raw: RawMesh, subject: str) -> RawMesh:
    """The mesh without vertices that no face uses.

    Raises:
        ModelError: no triangles, too many, indices out of range, values that are not finite.
            The message begins with `subject`.
    """
    if not len(raw.vertices):
        raise ModelError(f"{subject} is empty: it has no vertices; export the mesh again")
    if not len(raw.faces):
        raise ModelError(
            f"{subject} has no triangles, only {len(raw.vertices)} points; export it as a surface"
        )
    if len(raw.faces) > MAX_FACES:
        raise too_many(subject, len(raw.faces), len(raw.vertices))
    if raw.faces.min() < 0 or raw.faces.max() >= len(raw.vertices):
        raise ModelError(
            f"{subject} has faces that name vertices it does not have; export the mesh again"
        )
    used = np.zeros(len(raw.vertices), dtype=bool)
    used[raw.faces] = True
    if not used.all():
        raw = raw.select(np.flatnonzero(used), (np.cumsum(used) - 1)[raw.faces])
    if not _finite_as_float32(raw.vertices) or (
        raw.texture_coordinates is not None and not _finite_as_float32(raw.texture_coordinates)
    ):
        raise ModelError(
            f"{subject} has coordinates that are not finite numbers; repair the mesh and export it "
            "again"
        )
    return raw


def too_many(subject: str, faces: int, vertices: int) -> ModelError:
    """The error for a mesh that is larger than any machine should be asked to render."""
    size, limit = f"{faces} triangles", MAX_FACES
    if faces <= MAX_FACES:
        size, limit = f"{vertices} vertices", MAX_VERTICES
    return ModelError(f"{subject} has {size} and the limit is {limit}; simplify the mesh first")


def _finite_as_float32(values: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.astype(np.float32)).all())


def finished(raw: RawMesh, scale: float, subject: str) -> Mesh:
    """The mesh in millimetres: tidy faces, outward winding, unit normals, a colour per vertex.

    Faces without area and repeated faces go. A closed mesh that is inside out is turned. Normals
    are the file's where every one is usable and they agree with the winding; otherwise they are
    the angle-weighted mean of the faces around a vertex (Thürmer and Wüthrich, 1998), and vertices
    are joined or split so that edges sharper than `CREASE_DEGREES` stay sharp.

    Args:
        raw: what `checked` returned.
        scale: millimetres in one of the file's units.
        subject: what messages begin with.

    Raises:
        ModelError: nothing with an area is left, or the mesh is too far from its origin.
    """
    with np.errstate(over="ignore"):
        vertices = (raw.vertices * scale).astype(np.float32)
    size = float(np.ptp(raw.vertices, axis=0).max()) * scale
    # Beyond this a float32 coordinate is coarser than a thousandth of the object.
    if not np.isfinite(vertices).all() or np.abs(vertices).max() > 1e4 * max(size, 1e-12):
        raise ModelError(
            f"{subject} is too far from its origin for its size (or a single point); move it near "
            "(0, 0, 0) and export it again"
        )
    raw = replace(raw, vertices=vertices.astype(np.float64))
    position = _same_positions(raw.vertices)
    faces = _tidy_faces(raw.vertices, raw.faces, position)
    if not len(faces):
        raise ModelError(f"{subject} has no surface: all of its triangles have zero area")
    if _inside_out(raw.vertices, faces, position):
        faces = faces[:, ::-1]
    if raw.normals is None or not _usable(raw.normals, raw.vertices, faces):
        raw = _with_computed_normals(raw, faces, position)
    else:
        used, faces_of_used = np.unique(faces, return_inverse=True)
        raw = raw.select(used, faces_of_used.reshape(-1, 3))
    return _as_mesh(raw)


def largest_distance(vertices: NDArray[np.floating]) -> float:
    """The largest distance between two of (V, 3) points: BOP's diameter.

    Exact, but for round meshes of more than 40,000 vertices; theirs is at most a millionth short.
    """
    return diameter.largest_distance(np.asarray(vertices, dtype=np.float64))


def _same_positions(vertices: NDArray[np.float64]) -> NDArray[np.int64]:
    """(V,), a number for each vertex, equal where coordinates are equal."""
    # Adding 0 makes -0 and 0 the same.
    _, position = np.unique(vertices + 0.0, axis=0, return_inverse=True)
    return np.asarray(position.reshape(-1), dtype=np.int64)


def _tidy_faces(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], position: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The faces that have an area, each once; the two sides of a sheet are two faces."""
    faces = faces[np.linalg.norm(_area_vectors(vertices, faces), axis=1) > 0]
    corners = position[faces]
    start = corners.argmin(axis=1)[:, None]
    turned = np.take_along_axis(corners, (start + np.arange(3)) % 3, axis=1)
    _, first = np.unique(turned, axis=0, return_index=True)
    return faces[np.sort(first)]


def _area_vectors(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """(F, 3), along each face's normal, twice its area long."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.asarray(np.cross(b - a, c - a))


def _inside_out(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], position: NDArray[np.int64]
) -> bool:
    """Whether the mesh is closed and its faces look inwards."""
    if not is_closed(position[faces]):
        return False
    centred = vertices - vertices.mean(axis=0)
    a, b, c = (centred[faces[:, corner]] for corner in range(3))
    volume = float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6
    # The two sides of a sheet enclose nothing but rounding errors.
    return volume < -1e-9 * float(np.ptp(vertices, axis=0).max()) ** 3


def _usable(
    normals: NDArray[np.float64], vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> bool:
    """Whether every corner has a normal and, as a whole, they are on the side of the winding."""
    at_corners = normals[faces]
    if not np.isfinite(at_corners).all():
        return False
    lengths = np.linalg.norm(at_corners, axis=2)
    if (lengths < 1e-6).any():
        return False
    unit_normals = at_corners / lengths[..., None]
    agreement = np.einsum("fkd,fd->fk", unit_normals, _unit(_area_vectors(vertices, faces)))
    return float((agreement * _corner_angles(vertices, faces)).sum()) > 0


def _corner_angles(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """(F, 3), radians."""
    corners = vertices[faces]
    to_next = _unit(np.roll(corners, -1, axis=1) - corners)
    to_previous = _unit(np.roll(corners, 1, axis=1) - corners)
    cosines = np.einsum("fkd,fkd->fk", to_next, to_previous)
    return np.asarray(np.arccos(np.clip(cosines, -1, 1)))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float64)


def _with_computed_normals(
    raw: RawMesh, faces: NDArray[np.int64], position: NDArray[np.int64]
) -> RawMesh:
    """One vertex for every shading group and look; groups meet at creases."""
    face_normals = _unit(_area_vectors(raw.vertices, faces))
    group = _shading_groups(position[faces], face_normals)
    weights = _corner_angles(raw.vertices, faces).reshape(-1, 1)
    weighted = np.repeat(face_normals, 3, axis=0) * weights
    sums = np.column_stack([np.bincount(group, weighted[:, axis]) for axis in range(3)])
    normals = _unit(sums.astype(np.float64))[group]
    vanished = np.linalg.norm(normals, axis=1) < 0.5
    normals[vanished] = np.repeat(face_normals, 3, axis=0)[vanished]

    corner_vertex = faces.reshape(-1)
    look = _looks(raw)[corner_vertex]
    key = group * (int(look.max()) + 1) + look
    _, first, vertex = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    corners = first[order]
    welded = replace(raw, normals=None).select(
        corner_vertex[corners], rank[vertex.reshape(-1)].reshape(-1, 3)
    )
    return replace(welded, normals=normals[corners])


def _looks(raw: RawMesh) -> NDArray[np.int64]:
    """(V,), a number for each vertex, equal where colour and texture coordinates are equal."""
    looks = [part for part in (raw.colors, raw.texture_coordinates) if part is not None]
    if not looks:
        return np.zeros(len(raw.vertices), dtype=np.int64)
    _, look = np.unique(np.column_stack(looks), axis=0, return_inverse=True)
    return np.asarray(look.reshape(-1), dtype=np.int64)


def _shading_groups(
    corners: NDArray[np.int64], face_normals: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(3F,), equal for face corners that meet at a point and are joined by no crease.

    Corners of two faces are joined where the faces share an edge that is not a crease.
    """
    corner = np.arange(corners.size).reshape(-1, 3)
    start, end = corners.ravel(), np.roll(corners, -1, axis=1).ravel()
    start_corner, end_corner = corner.ravel(), np.roll(corner, -1, axis=1).ravel()
    backward = start > end
    low = np.where(backward, end_corner, start_corner)
    high = np.where(backward, start_corner, end_corner)
    edge = np.minimum(start, end) * (int(corners.max()) + 1) + np.maximum(start, end)

    order = np.argsort(edge, kind="stable")
    half_edge, next_half_edge = order[:-1], order[1:]
    cosine = np.einsum("ij,ij->i", face_normals[half_edge // 3], face_normals[next_half_edge // 3])
    joined = (edge[half_edge] == edge[next_half_edge]) & (
        cosine >= np.cos(np.radians(CREASE_DEGREES))
    )
    half_edge, next_half_edge = half_edge[joined], next_half_edge[joined]
    return _components(
        np.concatenate([low[half_edge], high[half_edge]]),
        np.concatenate([low[next_half_edge], high[next_half_edge]]),
        edge.size,
    )


def _components(
    first: NDArray[np.int64], second: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """(count,), the least member of each member's connected component."""
    least = np.arange(count)
    while True:
        previous = least.copy()
        smaller = np.minimum(least[first], least[second])
        np.minimum.at(least, first, smaller)
        np.minimum.at(least, second, smaller)
        least = least[least]
        if np.array_equal(least, previous):
            return least


def _as_mesh(raw: RawMesh) -> Mesh:
    assert raw.normals is not None
    lengths = np.linalg.norm(raw.normals, axis=1, keepdims=True)
    # Unit normals stay as they are, bit by bit, so that writing and reading changes nothing.
    normals = raw.normals / np.where(np.abs(lengths - 1) > 1e-5, lengths, 1)
    colors = raw.colors
    if colors is None:
        colors = np.full((len(raw.vertices), 3), PLAIN_COLOR, dtype=np.uint8)
    has_texture = raw.texture is not None and raw.texture_coordinates is not None
    coordinates = raw.texture_coordinates if has_texture else None
    return Mesh(
        vertices=np.ascontiguousarray(raw.vertices, dtype=np.float32),
        faces=np.ascontiguousarray(raw.faces, dtype=np.int32),
        normals=np.ascontiguousarray(normals, dtype=np.float32),
        colors=np.ascontiguousarray(colors),
        texture_coordinates=(
            None if coordinates is None else np.ascontiguousarray(coordinates, dtype=np.float32)
        ),
        texture=raw.texture if has_texture else None,
    )
