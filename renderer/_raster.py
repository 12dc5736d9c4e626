"""The default renderer: a z-buffer rasteriser on CPU threads. It needs no GPU and no GL driver."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, Mesh
from renderer import _raster_kernels
from renderer._crops import CropBatch, Plans, Renderer, RenderError

NEAR = 10.0
"""Millimetres: nothing may come closer to the camera than this."""

_CROPS_PER_TASK = 16

_logger = logging.getLogger(__name__)


class RasterRenderer(Renderer):
    """Renders colour, depth and masks with a z-buffer.

    Colours are the model's texture (bilinear, repeating) or its vertex colours, interpolated with
    the perspective taken into account, times ambient + key light x max(0, n . l) with smooth
    normals. Depth and masks are sampled at pixel centres, never filtered. Faces seen from behind
    are drawn and lit from the camera's side, unless the mesh is closed and wound consistently, so
    that none can be seen.

    Convention:
        Depth is z in millimetres; a pixel belongs to the object when its centre, at +0.5, does
        (top-left rule on edges). The object is alone in its crop: `mask_visib` equals `mask`.

    Args:
        models: what `Plans.object_index` counts.
        threads: CPU threads to share the crops of a batch among. The result does not depend on it.
        antialias: whether a pixel's colour is the mean of its four quarters (those that hit the
            object, so that no background is mixed in) instead of its centre's. Takes about 2.5
            times as long.

    Raises:
        RenderError: `threads` is below 1, there are no models, or a mesh's arrays do not fit
            together.
    """

    def __init__(
        self, models: Sequence[CadModel], threads: int = 1, antialias: bool = False
    ) -> None:
        if threads < 1:
            raise RenderError(f"threads is {threads}: give at least 1.")
        if not models:
            raise RenderError("There are no models to render: give at least one.")
        for model in models:
            _check(model)
        self._names = [model.name for model in models]
        self._packed = _pack([model.mesh for model in models])
        self._threads = threads
        self._fineness = 2 if antialias else 1

    def render(self, plans: Plans) -> CropBatch:
        """Render every plan.

        Raises:
            RenderError: a plan names a model that is not there, holds a value that is not finite,
                or brings its object closer than 10 mm to the camera's plane or behind it.
        """
        _announce_compilation()
        inputs = self._inputs(plans)
        count, size = len(plans), plans.size
        rgb = np.zeros((count, size, size, 3), np.uint8)
        depth = np.zeros((count, size, size), np.float32)
        nearest = np.empty(count)

        def task(first: int) -> None:
            last = min(first + _CROPS_PER_TASK, count)
            _raster_kernels.render_crops(
                first, last, NEAR, self._fineness, *self._packed, *inputs, rgb, depth, nearest
            )

        starts = range(0, count, _CROPS_PER_TASK)
        if self._threads == 1:
            for first in starts:
                task(first)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(task, starts))
        self._refuse_too_near(plans, nearest)
        mask = depth > 0
        return CropBatch(plans=plans, rgb=rgb, depth=depth, mask=mask, mask_visib=mask.copy())

    def _inputs(self, plans: Plans) -> tuple[NDArray[Any], ...]:
        known = (plans.object_index >= 0) & (plans.object_index < len(self._names))
        if not known.all():
            row = int(np.argmin(known))
            raise RenderError(
                f"Crop {plans.index[row]} asks for model {plans.object_index[row]}, but there are "
                f"{len(self._names)}: make the plans with the renderer's own list of models."
            )
        names = (
            "rotation", "translation", "camera_matrix",
            "light_direction", "light_color", "ambient_color",
        )  # fmt: skip
        arrays = [np.ascontiguousarray(getattr(plans, name), np.float64) for name in names]
        for name, values in zip(names, arrays, strict=True):
            finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
            if not finite.all():
                raise RenderError(
                    f"Crop {plans.index[int(np.argmin(finite))]} has a {name} that is not finite."
                )
        return (np.ascontiguousarray(plans.object_index, np.int32), *arrays)

    def _refuse_too_near(self, plans: Plans, nearest: NDArray[np.float64]) -> None:
        if (nearest > NEAR).all():
            return
        row = int(np.argmin(nearest > NEAR))
        raise RenderError(
            f"Crop {plans.index[row]}: {self._names[plans.object_index[row]]} reaches to "
            f"{nearest[row]:.1f} mm from the camera's plane, and the least is {NEAR:g} mm: "
            "put it farther away (--distance)."
        )


def _check(model: CadModel) -> None:
    """The compiled loops read without looking: what does not fit together must stop here."""
    mesh = model.mesh
    count = len(mesh.vertices)
    fits = (
        len(mesh.faces) > 0
        and mesh.faces.min() >= 0
        and mesh.faces.max() < count
        and mesh.vertices.shape == mesh.normals.shape == mesh.colors.shape == (count, 3)
        and (mesh.texture is None or mesh.texture.ndim == 3)
        and (mesh.texture_coordinates is None or mesh.texture_coordinates.shape == (count, 2))
    )
    if not fits:
        raise RenderError(
            f"The mesh of {model.name} is empty or its arrays do not fit together: "
            "load it with cad_models."
        )


def _pack(meshes: list[Mesh]) -> tuple[NDArray[Any], ...]:
    """Lay all models one after the other, in the order of the kernel's arguments."""
    vertex_ends = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    face_ends = np.cumsum([0, *(len(mesh.faces) for mesh in meshes)])
    textures = np.full((len(meshes), 3), -1, np.int64)
    texels: list[NDArray[np.uint8]] = [np.zeros((1, 3), np.uint8)]
    coordinates = np.zeros((vertex_ends[-1], 2), np.float32)
    for row, mesh in enumerate(meshes):
        if mesh.texture is not None and mesh.texture_coordinates is not None:
            textures[row, 0] = sum(len(part) for part in texels)
            textures[row, 1:] = mesh.texture.shape[:2]
            texels.append(mesh.texture.reshape(-1, 3))
            coordinates[vertex_ends[row] : vertex_ends[row + 1]] = mesh.texture_coordinates
    return (
        np.ascontiguousarray(np.concatenate([m.vertices for m in meshes]).T.astype(np.float64)),
        np.concatenate([m.normals for m in meshes]).astype(np.float32),
        np.concatenate([m.colors for m in meshes]).astype(np.uint8),
        coordinates,
        np.concatenate([m.faces for m in meshes]).astype(np.int32),
        np.concatenate([_sides(m) for m in meshes]),
        np.concatenate(texels),
        np.stack([vertex_ends[:-1], vertex_ends[1:]], axis=1),
        np.stack([face_ends[:-1], face_ends[1:]], axis=1),
        np.array([_can_cull(m) for m in meshes]),
        textures,
    )


def _sides(mesh: Mesh) -> NDArray[np.float32]:
    """(F,), +1 where a face's winding agrees with its vertices' normals, else -1."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    winding = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    shading = mesh.normals[mesh.faces].sum(axis=1)
    return np.where((winding * shading).sum(axis=1) < 0, -1.0, 1.0).astype(np.float32)


def _can_cull(mesh: Mesh) -> bool:
    """Whether no face can be seen from behind: every part closed, consistent and outward."""
    _, merged = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = merged.reshape(-1)[mesh.faces]
    count = int(merged.max()) + 1
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forward = np.sort(edges[:, 0] * count + edges[:, 1])
    backward = np.sort(edges[:, 1] * count + edges[:, 0])
    # Every directed edge once, and its opposite once: a closed surface, wound one way.
    if not np.array_equal(forward, backward) or (np.diff(forward) == 0).any():
        return False
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (count, count))
    parts, part = connected_components(graph, directed=False)
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    volumes = (corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum(axis=1)
    return bool((np.bincount(part[faces[:, 0]], volumes, parts) > 0).all())


def _announce_compilation() -> None:
    kernel = _raster_kernels.render_crops
    folder = kernel.stats.cache_path
    cached = folder is not None and any(Path(folder).glob("_raster_kernels.render_crops-*.nbi"))
    if not kernel.signatures and not cached:
        _logger.info("Compiling the rasteriser; this takes some seconds, once on this machine.")
