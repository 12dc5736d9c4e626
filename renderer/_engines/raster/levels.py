"""Levels of detail: meshes of fewer faces that stand in for a model where it is small."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cad_models import Mesh
from renderer._engines.raster.closest import ClosestPoints
from renderer._engines.raster.level_cache import level_file, read_arrays, write_arrays

_logger = logging.getLogger(__name__)

ERRORS = (0.5, 0.25, 0.1, 0.05)
"""Millimetres that the surfaces of a level and of its model may be apart: the levels there are."""

PIXELS = 0.25
"""Pixels that they may be apart. The smaller of the two counts."""

_FEWEST_FACES = 600
"""Models of no more faces are always drawn as they are: shading costs more than they do."""

_QUICK_FACES = 5000
"""Levels of models of no more faces are not worth a file."""

_SLOW_FACES = 500_000
"""Whoever has models of so many faces is told what takes so long."""

_STEP = 1.5
"""Each attempt has this many times fewer faces than the one before it."""

_FINEST = 64
"""The most that a lattice is divided into."""

_MEASURED = 0.85
"""Share of the error that points may be off which are measured: others may be a little more."""

_GOOD = 0.95
"""Open surfaces are mended where at least this share of their faces is near enough."""

_KEPT = 0.3
"""Where less than this share of a level is the model's own faces, more faces would not help."""

_WORTH = 0.7
"""A level of more than this share of the model's faces is not worth its memory."""


@dataclass(frozen=True)
class Level:
    """A mesh that stands in for a model, and the model's looks on a lattice over each face.

    Faces are simplified, looks are not: normals and colours are those of the model's closest
    points. Where the simplified surface would be too far off, the model's own faces are kept.

    Convention:
        A face of detail d has (d + 1)(d + 2) / 2 lattice points. Point (i, j) counts i / d for the
        second corner and j / d for the third; j = 0 comes first, each j with i from 0 to d - j.
    """

    error: float
    """Millimetres that the surfaces may be apart."""
    vertices: NDArray[np.float64]
    """(V, 3), millimetres."""
    faces: NDArray[np.int32]
    """(F, 3), wound as the model's."""
    own: NDArray[np.bool_]
    """(F,), whether a face is the model's own."""
    details: NDArray[np.int32]
    """(F,), the lattices' fineness, at least 1."""
    first_looks: NDArray[np.int64]
    """(F,), where each face's lattice begins in `looks`."""
    looks: NDArray[np.float32]
    """(S, 6), normal, then red, green and blue of 255."""


def error_allowed(millimetres_per_pixel: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a level may be off where it is seen at a scale, millimetres."""
    return np.minimum(max(ERRORS), PIXELS * millimetres_per_pixel)


class Levels:
    """The levels of one model, made when they are first asked for.

    Args:
        mesh: the model's own.
        closed: whether its surface is closed: then the levels' are, too.
    """

    def __init__(self, mesh: Mesh, closed: bool) -> None:
        self._mesh = mesh
        self._closed = closed
        self._levels: dict[float, Level | None] = {}
        self._attempts: list[tuple[NDArray[np.float64], NDArray[np.int32]]] = []

    def level(self, error: float) -> Level | None:
        """The level of one of the `ERRORS`, or none where the model itself is about as small."""
        if error not in self._levels:
            self._levels[error] = self._find(error)
        return self._levels[error]

    def _find(self, error: float) -> Level | None:
        count = len(self._mesh.faces)
        if count <= _FEWEST_FACES:
            return None
        if count <= _QUICK_FACES:
            return self._make(error)
        file = level_file(self._mesh, self._closed, error)
        stored = read_arrays(file)
        if stored is not None:
            return Level(error=error, **stored) if stored else None  # type: ignore[arg-type]
        if count >= _SLOW_FACES:
            _logger.info("Simplifying a mesh of %s faces; this takes some seconds, once.", count)
        level = self._make(error)
        arrays = {} if level is None else {n: v for n, v in vars(level).items() if n != "error"}
        write_arrays(file, arrays)
        return level

    def _make(self, error: float) -> Level | None:
        model = _Model(self._mesh, error)
        best: _Candidate | None = None
        # Fewer faces are farther off; from some number on, more has to be kept than is saved.
        for vertices, faces in reversed(self._simplified()):
            candidate = _candidate(model, vertices, faces, error, 1.0 if self._closed else _GOOD)
            if candidate is None:
                continue
            if best is not None and candidate.count >= best.count:
                break
            best = candidate
            if len(best.kept) < _KEPT * len(best.faces):
                break
        if best is None or best.count > _WORTH * len(self._mesh.faces):
            return None
        return _with_looks(model, best, error)

    def _simplified(self) -> list[tuple[NDArray[np.float64], NDArray[np.int32]]]:
        """Meshes of fewer and fewer faces, of which nobody knows yet how far off they are."""
        if not self._attempts:
            from fast_simplification import simplify

            # Seams of colour or texture are no edges of the surface.
            points, point_of_vertex = np.unique(self._mesh.vertices, axis=0, return_inverse=True)
            points = points.astype(np.float64)
            faces = _without_degenerate(
                point_of_vertex.reshape(-1)[self._mesh.faces].astype(np.int32)
            )
            count = len(faces) / _STEP
            while count > _FEWEST_FACES / _STEP:
                points, simplified = simplify(points, faces, target_count=int(count))
                simplified = _without_degenerate(simplified.astype(np.int32))
                if not 0 < len(simplified) < len(faces):
                    break
                faces = simplified
                self._attempts.append((points, faces))
                count = len(faces) / _STEP
        return self._attempts


class _Model:
    """A model's own mesh, to measure against."""

    def __init__(self, mesh: Mesh, error: float) -> None:
        self.mesh = mesh
        self.vertices = mesh.vertices.astype(np.float64)
        self.closest = ClosestPoints(self.vertices, mesh.faces, 1.5 * error)
        edges = _edges(self.vertices, mesh.faces)
        self.typical_edge = float(np.median(edges))
        # Its vertices stand for it, and a lattice on faces that are large.
        details = _details(self.vertices, mesh.faces, 4 * error)
        self.large = np.flatnonzero(details > 1)
        self.points, owners = _lattice(self.vertices, mesh.faces[self.large], details[self.large])
        self.owners = self.large[owners]


@dataclass(frozen=True)
class _Candidate:
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    """(F, 3), those that were simplified."""
    kept: NDArray[np.int64]
    """Faces of the model that are added to them."""

    @property
    def count(self) -> int:
        return len(self.faces) + len(self.kept)


def _candidate(
    model: _Model,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    error: float,
    least_good: float,
) -> _Candidate | None:
    """Mend a simplified mesh so that it is within `error`, or none if too little of it is."""
    near = _MEASURED * error
    good = np.ones(len(faces), bool)
    # A few points turn most of those away that are too coarse.
    for details in (np.full(len(faces), 2, np.int32), _details(vertices, faces, 4 * error)):
        points, owners = _lattice(vertices, faces, details)
        off = model.closest(points)[0] > near
        good &= np.bincount(owners[off], minlength=len(faces)) == 0
        if good.mean() < least_good:
            return None
    simplified = ClosestPoints(vertices, faces, 1.5 * error)
    distance, nearest, _ = simplified(model.vertices)
    far = (distance > near) | ~good[nearest]
    own_faces = model.mesh.faces
    keep = np.asarray(far[own_faces].any(axis=1))
    distance, nearest, _ = simplified(model.points)
    keep[model.owners[(distance > near) | ~good[nearest]]] = True
    if not good.all():
        # One ring more, so that what is taken out leaves no crack.
        touched = np.bincount(own_faces[keep].ravel(), minlength=len(model.vertices)) > 0
        keep = np.asarray(touched[own_faces].any(axis=1))
    return _Candidate(vertices, faces[good], np.flatnonzero(keep))


def _with_looks(model: _Model, candidate: _Candidate, error: float) -> Level:
    """Look up normals and colours of the model for every lattice point."""
    mesh, vertices, faces = model.mesh, candidate.vertices, candidate.faces
    spacing = max(3 * error, 0.7 * model.typical_edge)
    details = _details(vertices, faces, spacing, stretch=2.0)
    points, owners = _lattice(vertices, faces, details)
    winding = _windings(vertices, faces)
    looks = _looks_near(mesh, model.closest, points, winding[owners], spacing)
    kept_faces = mesh.faces[candidate.kept]
    own_looks = _looks_at(
        mesh, np.repeat(kept_faces, 3, axis=0), np.tile(np.eye(3), (len(kept_faces), 1))
    )
    details = np.concatenate([details, np.ones(len(kept_faces), np.int32)])
    counts = (details + 1) * (details + 2) // 2
    together = np.concatenate([faces, kept_faces + len(vertices)])
    used, places = np.unique(together, return_inverse=True)
    return Level(
        error=error,
        vertices=np.concatenate([vertices, model.vertices])[used],
        faces=places.reshape(-1, 3).astype(np.int32),
        own=np.arange(len(together)) >= len(faces),
        details=details,
        first_looks=np.cumsum(counts) - counts,
        looks=np.concatenate([looks, own_looks]).astype(np.float32),
    )


def _looks_near(
    mesh: Mesh,
    model: ClosestPoints,
    points: NDArray[np.float64],
    facing: NDArray[np.float64],
    spacing: float,
) -> NDArray[np.float64]:
    """(S, 6), the model's looks at its points closest to some; of a texture, the mean around."""
    _, face, weights = model(points, facing)
    looks = _looks_at(mesh, mesh.faces[face], weights)
    if mesh.texture is None or mesh.texture_coordinates is None:
        return looks
    normals = facing / np.maximum(np.linalg.norm(facing, axis=1), 1e-300)[:, None]
    first = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    second = np.cross(normals, first)
    total, count = looks[:, 3:].copy(), np.ones(len(points))
    for angle in np.arange(6) * np.pi / 3:
        around = points + 0.5 * spacing * (np.cos(angle) * first + np.sin(angle) * second)
        _, face, weights = model(around, facing)
        total += _looks_at(mesh, mesh.faces[face], weights)[:, 3:] * (face >= 0)[:, None]
        count += face >= 0
    looks[:, 3:] = total / count[:, None]
    return looks


def _looks_at(
    mesh: Mesh, corners: NDArray[np.int32], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(S, 6), normals and colours at points of the model's faces, given by their corners."""
    normals = np.einsum("sc,scd->sd", weights, mesh.normals[corners])
    if mesh.texture is None or mesh.texture_coordinates is None:
        return np.hstack([normals, np.einsum("sc,scd->sd", weights, mesh.colors[corners])])
    coordinates = np.einsum("sc,scd->sd", weights, mesh.texture_coordinates[corners])
    return np.hstack([normals, _bilinear(mesh.texture, coordinates)])


def _bilinear(texture: NDArray[np.uint8], coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, 3), a texture's colours as the rasteriser takes them."""
    height, width = texture.shape[:2]
    places = coordinates - np.floor(coordinates)
    x, y = places[:, 0] * width - 0.5, (1 - places[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_share, bottom_share = (x - left)[:, None], (y - top)[:, None]

    def row(number: NDArray[np.int64]) -> NDArray[np.float64]:
        line = number % height
        return np.asarray(
            (1 - right_share) * texture[line, left % width]
            + right_share * texture[line, (left + 1) % width]
        )

    return np.asarray((1 - bottom_share) * row(top) + bottom_share * row(top + 1))


def _edges(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """(3, F), lengths."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    sides = np.stack([b - a, c - b, a - c])
    return np.asarray(np.sqrt(np.einsum("sfd,sfd->sf", sides, sides)))


def _windings(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """(F, 3), twice the area along the side from which faces wind counter-clockwise."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.asarray(np.cross(b - a, c - a))


def _details(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], spacing: float, stretch: float = 1.0
) -> NDArray[np.int32]:
    """(F,), how fine each face's lattice must be for its points to be so close.

    Along a face's longest edge they may be `stretch` times farther apart, if it is that slender.
    """
    longest = _edges(vertices, faces).max(axis=0)
    if stretch > 1:
        across = np.sqrt(np.linalg.norm(_windings(vertices, faces), axis=1))
        longest = np.maximum(np.minimum(across, longest), longest / stretch)
    return np.asarray(np.clip(np.ceil(longest / spacing), 1, _FINEST), np.int32)


def _lattice(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], details: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(S, 3) points of all faces' lattices in order, and (S,), the face of each."""
    counts = ((details + 1) * (details + 2) // 2).astype(np.int64)
    firsts = np.cumsum(counts) - counts
    points = np.empty((int(counts.sum()), 3))
    for detail in np.unique(details):
        rows = np.flatnonzero(details == detail)
        third, second = np.meshgrid(np.arange(detail + 1), np.arange(detail + 1), indexing="ij")
        inside = second + third <= detail
        weights = np.stack([detail - second - third, second, third], axis=-1)[inside] / detail
        places = firsts[rows][:, None] + np.arange(len(weights))
        points[places] = np.einsum("wc,fcd->fwd", weights, vertices[faces[rows]])
    return points, np.repeat(np.arange(len(faces)), counts)


def _without_degenerate(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Faces with three corners."""
    a, b, c = faces.T
    return np.asarray(faces[(a != b) & (b != c) & (c != a)])
