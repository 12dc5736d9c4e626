"""Models, their levels of detail and pictures, laid out for the rasteriser's compiled loops."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, is_closed
from renderer._engines.raster.kernels import Meshes, pack_looks
from renderer._engines.raster.levels import ERRORS, Level, Levels, error_allowed
from renderer._pictures.pyramids import Pictures
from renderer._refusals import refuse_broken


class MeshShelf:
    """All that can be drawn. Levels of detail are made when crops first ask for them.

    Args:
        models: what object numbers count.
        pictures: (h, w, 3) each, what texture numbers count.
        levels: whether small objects are drawn with fewer faces.

    Raises:
        RenderError: a mesh's arrays do not fit together, or a picture is no 8-bit RGB.
    """

    def __init__(
        self, models: Sequence[CadModel], pictures: Sequence[NDArray[np.uint8]], levels: bool
    ) -> None:
        for model in models:
            refuse_broken(model)
        self.models = list(models)
        self.pictures = Pictures(pictures)
        self._parts = [_plain_part(model) for model in models]
        self._levels = (
            [Levels(m.mesh, p["culls"]) for m, p in zip(models, self._parts, strict=True)]
            if levels
            else []
        )
        self._places: dict[tuple[int, float], int] = {}
        self._lock = threading.Lock()
        self._packed = self._pack()

    def find(
        self, objects: NDArray[np.int32], millimetres_per_pixel: NDArray[np.float64]
    ) -> tuple[Meshes, NDArray[np.int32]]:
        """What draws some objects, each seen at some scale.

        Args:
            objects: (N, P), positions in the list of models; -1 where there is none.
            millimetres_per_pixel: (N, P).

        Returns:
            Everything there is to draw, and (N, P), the place of each object's mesh in it.
        """
        mesh_index = objects.copy()
        allowed = error_allowed(millimetres_per_pixel)
        with self._lock:
            part_count = len(self._parts)
            for model in np.unique(objects[objects >= 0]) if self._levels else ():
                left = objects == model
                for error in ERRORS:
                    rows = left & (allowed >= error)
                    if rows.any():
                        mesh_index[rows] = self._place(int(model), error)
                        left &= ~rows
            if len(self._parts) > part_count:
                self._packed = self._pack()
            return self._packed, mesh_index

    def _place(self, model: int, error: float) -> int:
        key = (model, error)
        if key not in self._places:
            level = self._levels[model].level(error)
            self._places[key] = model if level is None else len(self._parts)
            if level is not None:
                culls = self._parts[model]["culls"]
                self._parts.append(_level_part(self.models[model], level, culls))
        return self._places[key]

    def _pack(self) -> Meshes:
        parts = self._parts
        vertex_ends = np.cumsum([0, *(part["vertices"].shape[1] for part in parts)])
        face_ends = np.cumsum([0, *(len(part["faces"]) for part in parts)])
        look_ends = np.cumsum([0, *(len(part["looks"]) for part in parts)])
        texels = _Texels()
        textures = [texels.add(part["texture"]) for part in parts]
        swapped = [texels.add(picture) for picture in self.pictures.levels]
        aspects = self.pictures.aspects
        joined = {
            name: np.ascontiguousarray(np.concatenate([part[name] for part in parts]))
            for name in ("looks", "coordinates", "faces", "sides", "details", "first_looks")
        }
        return Meshes(
            vertices=np.ascontiguousarray(
                np.concatenate([part["vertices"] for part in parts], axis=1)
            ),
            vertex_range=np.stack([vertex_ends[:-1], vertex_ends[1:]], axis=1),
            face_range=np.stack([face_ends[:-1], face_ends[1:]], axis=1),
            first_look=look_ends[:-1],
            culls=np.array([part["culls"] for part in parts]),
            centres=np.stack([part["centre"] for part in parts]),
            half_sizes=np.stack([part["half_size"] for part in parts]),
            texels=texels.rows(),
            textures=np.array(textures, np.int64).reshape(-1, 3),
            swapped=np.array(swapped, np.int64).reshape(-1, 3),
            aspects=np.array(aspects, np.float64),
            **joined,
        )


class _Texels:
    """Pictures, one after the other."""

    def __init__(self) -> None:
        self._parts = [np.zeros((1, 3), np.uint8)]
        self._count = 1

    def add(self, picture: NDArray[np.uint8] | None) -> tuple[int, int, int]:
        """Take a picture in; return its first texel, its height and its width, -1 for none."""
        if picture is None:
            return -1, -1, -1
        first = self._count
        self._parts.append(picture.reshape(-1, 3))
        self._count += len(self._parts[-1])
        return first, picture.shape[0], picture.shape[1]

    def rows(self) -> NDArray[np.uint8]:
        """(T, 3), all texels."""
        return np.concatenate(self._parts)


def _plain_part(model: CadModel) -> dict[str, Any]:
    """A model as it is; a vertex is a row of its looks."""
    mesh = model.mesh
    textured = mesh.texture is not None and mesh.texture_coordinates is not None
    return {
        **_framed(model, mesh.vertices, mesh.faces),
        "culls": _can_cull(mesh.vertices, mesh.faces),
        "looks": pack_looks(mesh.normals, mesh.colors),
        "coordinates": (
            np.asarray(mesh.texture_coordinates, np.float32)
            if textured
            else np.zeros((len(mesh.vertices), 2), np.float32)
        ),
        "sides": _sides(mesh.vertices, mesh.faces, mesh.normals[mesh.faces].sum(axis=1)),
        "details": np.zeros(len(mesh.faces), np.int32),
        "first_looks": np.zeros(len(mesh.faces), np.int32),
        "texture": mesh.texture if textured else None,
    }


def _level_part(model: CadModel, level: Level, culls: bool) -> dict[str, Any]:
    """A level of detail; faces have rows of looks of their own.

    The model's own faces lie on what they are added to: they open no view of an inside.
    """
    simplified = level.faces[~level.own]
    normals = np.add.reduceat(level.looks[:, :3], level.first_looks)
    return {
        **_framed(model, level.vertices, level.faces),
        "culls": culls and _can_cull(level.vertices, simplified),
        "looks": pack_looks(level.looks[:, :3], level.looks[:, 3:]),
        "coordinates": np.zeros((len(level.vertices), 2), np.float32),
        "sides": _sides(level.vertices, level.faces, normals),
        "details": level.details,
        "first_looks": level.first_looks.astype(np.int32),
        "texture": None,
    }


def _framed(
    model: CadModel, vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32]
) -> dict[str, Any]:
    return {
        "vertices": np.ascontiguousarray((vertices - model.centre).T, np.float32),
        "faces": faces.astype(np.uint32),
        "centre": model.centre,
        "half_size": np.ptp(model.bounds, axis=0) / 2,
    }


def _sides(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], normals: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(F,), +1 where a face's winding agrees with its smooth normal, else -1."""
    return np.where((_windings(vertices, faces) * normals).sum(axis=1) < 0, -1, 1).astype(
        np.float32
    )


def _windings(vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    corners = vertices.astype(np.float64)[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _can_cull(vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32]) -> bool:
    """Whether no face can be seen from behind: every part closed, consistent and outward."""
    _, merged = np.unique(vertices, axis=0, return_inverse=True)
    faces = merged.reshape(-1)[faces]
    count = int(merged.max()) + 1
    if not is_closed(faces):
        return False
    part = _parts(faces, count)[faces[:, 0]]
    corners = np.zeros((count, 3))
    corners[merged.reshape(-1)] = vertices
    corners = corners[faces]
    volumes = (corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum(axis=1)
    return bool((np.bincount(part, volumes, count)[np.unique(part)] > 0).all())


def _parts(faces: NDArray[np.integer[Any]], count: int) -> NDArray[np.intp]:
    """(count,), the same number for all vertices of a connected part: that of one of them.

    As `scipy.sparse.csgraph.connected_components` would find, which takes longer to import than
    most meshes take here.
    """
    part = np.arange(count)
    while True:
        least = part[faces].min(axis=1)
        joined = part.copy()
        # What a vertex has been joined to so far is joined too, and chains of these are cut short.
        np.minimum.at(joined, part[faces].ravel(), np.repeat(least, 3))
        joined = joined[joined]
        if np.array_equal(joined, part):
            return part
        part = joined
