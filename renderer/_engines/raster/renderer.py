"""The default renderer: a z-buffer rasteriser on CPU threads. It needs no GPU and no GL driver."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import CropBatch, Instances, Plans, Renderer, RenderError, Surfaces
from renderer._engines.raster import kernels
from renderer._engines.raster.kernels import CropArrays, Meshes, Scenes, Scratch
from renderer._engines.raster.meshes import MeshShelf
from renderer._refusals import NEAR, refuse_unknown

LARGEST = 16384
"""Pixels that a crop may be wide or high."""

_CROPS_PER_TASK = 16

_logger = logging.getLogger(__name__)


class RasterRenderer(Renderer):
    """Renders colour, depth, masks and surface maps with a z-buffer.

    Colours are the model's texture (bilinear, repeating) or its vertex colours, interpolated with
    the perspective taken into account, in the light that `Surfaces` describes, with smooth normals.
    Depth and masks are sampled at pixel centres, never filtered. Faces seen from behind are drawn
    and lit from the camera's side, unless the mesh is closed and wound consistently, so that none
    can be seen. Objects cast no shadows.

    Convention:
        Depth is z in millimetres; a pixel belongs to the object that is nearest at its centre, at
        +0.5 (top-left rule on edges; of two objects at one depth, to the target or the first).

    Args:
        models: what `Plans.object_index` counts.
        threads: CPU threads to share the crops of a batch among. The result does not depend on it.
        antialias: whether a pixel's colour is the mean of its four quarters (those that hit an
            object, so that no background is mixed in) instead of its centre's. Takes about 2.5
            times as long.
        textures: what `Surfaces.texture` counts, each (h, w, 3) RGB, top row first.
        levels: whether objects are drawn with fewer faces where that moves no surface by more than
            a quarter of a pixel, nor by more than 0.5 mm. Normals and colours stay the model's own.

    Raises:
        RenderError: `threads` is below 1, there are no models, a mesh's arrays do not fit
            together, or a texture is no RGB picture.
    """

    def __init__(
        self,
        models: Sequence[CadModel],
        threads: int = 1,
        antialias: bool = False,
        textures: Sequence[NDArray[np.uint8]] = (),
        levels: bool = True,
    ) -> None:
        if threads < 1:
            raise RenderError(f"threads is {threads}: give at least 1")
        if not models:
            raise RenderError("there are no models to render: give at least one")
        self._shelf = MeshShelf(models, textures, levels)
        self._threads = threads
        self._fineness = 2 if antialias else 1
        _announce_compilation()

    def render(self, plans: Plans, *, surface_maps: bool = False) -> CropBatch:
        """Render every plan.

        Raises:
            RenderError: a plan names a model or texture that is not there, holds a value that is
                not finite or arrays that do not fit together, has no pixels, or brings an object
                closer than 10 mm to the camera's plane or behind it.
        """
        meshes, scenes = self._scenes(plans)
        images = _empty_images(plans, surface_maps)
        self._draw(plans, meshes, scenes, self._fineness, images)
        self._refuse_too_near(plans, images.nearest)
        return CropBatch(
            plans=plans,
            rgb=images.rgb,
            depth=images.depth,
            object_depth=images.object_depth,
            mask=images.mask,
            mask_visib=images.mask_visib,
            others_mask=images.others_mask,
            others_mask_visib=images.others_mask_visib,
            normals=images.normals if surface_maps else None,
            object_coordinates=images.object_coordinates if surface_maps else None,
        )

    def silhouettes(self, plans: Plans) -> NDArray[np.bool_]:
        """(N, H, W), `CropBatch.mask` of every plan: no depth is kept and nothing is shaded.

        Raises:
            RenderError: as for `render`.
        """
        plans = replace(
            plans,
            others=Instances.none(len(plans)),
            surfaces=Surfaces.plain(len(plans)),
        )
        meshes, scenes = self._scenes(plans)
        images = _empty_masks(plans)
        self._draw(plans, meshes, scenes, 1, images)
        self._refuse_too_near(plans, images.nearest)
        return np.asarray(images.mask)

    def _draw(
        self, plans: Plans, meshes: Meshes, scenes: Scenes, fineness: int, images: CropArrays
    ) -> None:
        """Fill the images, a few crops at a time, on all threads."""
        count = len(plans)
        starts = iter(range(0, count, _CROPS_PER_TASK))

        def work(_: int) -> None:
            scratch = _new_scratch(plans, meshes, scenes, fineness)
            for first in starts:
                last = min(first + _CROPS_PER_TASK, count)
                kernels.render_crops(first, last, NEAR, fineness, meshes, scenes, scratch, images)

        if self._threads == 1:
            work(0)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(work, range(self._threads)))

    def _scenes(self, plans: Plans) -> tuple[Meshes, Scenes]:
        """The plans as the compiled loops take them, looked through, and what draws them."""
        if not (0 < plans.width <= LARGEST and 0 < plans.height <= LARGEST):
            raise RenderError(
                f"crops of {plans.width} x {plans.height} pixels cannot be drawn: "
                f"give from 1 to {LARGEST} pixels each way"
            )
        others, surfaces = plans.others, plans.surfaces
        objects = np.concatenate(
            [plans.object_index[:, None], others.object_index], axis=1, dtype=np.int32
        )
        rotation = np.concatenate([plans.rotation[:, None], others.rotation], axis=1)
        translation = np.concatenate([plans.translation[:, None], others.translation], axis=1)
        scenes = Scenes(
            mesh=objects,
            rotation=_as_compiled(rotation, np.float64),
            translation=_as_compiled(translation, np.float64),
            camera_matrix=_as_compiled(plans.camera_matrix, np.float64),
            light_direction=_as_compiled(plans.light_direction, np.float64),
            light_color=_as_compiled(plans.light_color, np.float32),
            ambient_color=_as_compiled(plans.ambient_color, np.float32),
            gain=_as_compiled(surfaces.gain, np.float32),
            specular=_as_compiled(surfaces.specular, np.float64),
            shininess=_as_compiled(surfaces.shininess, np.float64),
            texture=_as_compiled(surfaces.texture, np.int32),
            texture_period=_as_compiled(surfaces.texture_period, np.float64),
        )
        _refuse_misfits(plans, scenes)
        refuse_unknown(plans, objects[:, :1], 0, len(self._shelf.models), "model")
        refuse_unknown(plans, objects[:, 1:], -1, len(self._shelf.models), "model")
        refuse_unknown(plans, scenes.texture, -1, self._shelf.pictures.count, "texture")
        scale = self._millimetres_per_pixel(objects, scenes)
        meshes, places = self._shelf.find(objects, scale)
        pictures = self._shelf.pictures.find(scenes.texture, scenes.texture_period / scale)
        return meshes, scenes._replace(
            mesh=_as_compiled(places, np.int32), texture=_as_compiled(pictures, np.int32)
        )

    def _millimetres_per_pixel(
        self, objects: NDArray[np.int32], scenes: Scenes
    ) -> NDArray[np.float64]:
        """(N, 1 + K), at each instance's nearest point."""
        models = self._shelf.models
        centres = np.stack([model.centre for model in models])[objects]
        half_sizes = np.stack([np.ptp(model.bounds, axis=0) / 2 for model in models])[objects]
        forward = scenes.rotation[:, :, 2]
        z = (forward * centres - np.abs(forward) * half_sizes).sum(axis=2)
        focal = scenes.camera_matrix[:, [0, 1], [0, 1]].max(axis=1)
        z += scenes.translation[:, :, 2]
        return np.asarray(np.maximum(z, NEAR) / np.maximum(focal, 1e-12)[:, None])

    def _refuse_too_near(self, plans: Plans, nearest: NDArray[np.float64]) -> None:
        if (nearest > NEAR).all():
            return
        row, place = np.argwhere(~(nearest > NEAR))[0]
        model = plans.object_index[row] if place == 0 else plans.others.object_index[row, place - 1]
        raise RenderError(
            f"crop {plans.index[row]}: {self._shelf.models[model].name} reaches to "
            f"{nearest[row, place]:.1f} mm from the camera's plane, and the least is {NEAR:g} mm: "
            "put it farther away (`distance`)"
        )


def _new_scratch(plans: Plans, meshes: Meshes, scenes: Scenes, fineness: int) -> Scratch:
    """Memory for one thread to draw these crops in."""
    vertices = np.append(np.diff(meshes.vertex_range)[:, 0], 0)[scenes.mesh]
    return kernels.new_scratch(
        vertices=int(vertices.sum(axis=1).max(initial=0)),
        faces=int(np.diff(meshes.face_range).max()),
        height=plans.height,
        width=plans.width,
        fineness=fineness,
        places=scenes.mesh.shape[1],
        lights=scenes.light_direction.shape[1],
    )


def _as_compiled(values: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    """The values as the loops were compiled for: other layouts would be compiled anew."""
    return np.require(values, kind, ["C", "W"])


def _empty_images(plans: Plans, surface_maps: bool) -> CropArrays:
    shape = (len(plans), plans.height, plans.width)
    others_shape = (shape[0], plans.others.object_index.shape[1], *shape[1:])
    maps = (*shape, 3) if surface_maps else (0, 0, 0, 3)
    return CropArrays(
        rgb=np.zeros((*shape, 3), np.uint8),
        depth=np.zeros(shape, np.float32),
        object_depth=np.zeros(shape, np.float32),
        mask=np.zeros(shape, bool),
        mask_visib=np.zeros(shape, bool),
        others_mask=np.zeros(others_shape, bool),
        others_mask_visib=np.zeros(others_shape, bool),
        normals=np.zeros(maps, np.float32),
        object_coordinates=np.zeros(maps, np.float32),
        nearest=np.empty((shape[0], 1 + others_shape[1])),
    )


def _empty_masks(plans: Plans) -> CropArrays:
    """What the kernels need where only the targets' masks are wanted."""
    nothing = np.zeros((0, 0, 0), np.float32)
    colors, masks = np.zeros((0, 0, 0, 3), np.float32), np.zeros((0, 0, 0, 0), bool)
    return CropArrays(
        rgb=np.zeros((0, 0, 0, 3), np.uint8),
        depth=nothing,
        object_depth=nothing,
        mask=np.zeros((len(plans), plans.height, plans.width), bool),
        mask_visib=np.zeros((0, 0, 0), bool),
        others_mask=masks,
        others_mask_visib=masks,
        normals=colors,
        object_coordinates=colors,
        nearest=np.empty((len(plans), 1)),
    )


def _refuse_misfits(plans: Plans, scenes: Scenes) -> None:
    """The compiled loops read without looking: what does not fit together must stop here."""
    count, places = len(plans), scenes.mesh.shape[1]
    lights = scenes.light_direction.shape[1]
    shapes = {
        "mesh": (count, places), "rotation": (count, places, 3, 3),
        "translation": (count, places, 3), "camera_matrix": (count, 3, 3),
        "light_direction": (count, lights, 3), "light_color": (count, lights, 3),
        "ambient_color": (count, 3), "gain": (count, places, 3), "specular": (count, places),
        "shininess": (count, places), "texture": (count, places),
        "texture_period": (count, places),
    }  # fmt: skip
    for name, shape in shapes.items():
        values = getattr(scenes, name)
        if values.shape != shape:
            raise RenderError(
                f"{name} of the plans has the shape {values.shape} where {shape} fits the rest: "
                "make the plans with make_plans or plans_from_poses"
            )
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            raise RenderError(
                f"crop {plans.index[int(np.argmin(finite))]} has a {name} that is not finite"
            )
    if not (scenes.texture_period > 0).all():
        row = int(np.argwhere(~(scenes.texture_period > 0))[0, 0])
        raise RenderError(f"crop {plans.index[row]} has a texture_period that is not above 0")


def _announce_compilation() -> None:
    kernel = kernels.render_crops
    if kernel.signatures:
        return
    folder = kernel.stats.cache_path
    if folder is None:
        _logger.warning(
            "Compiling the rasteriser, which takes some 10 seconds in each process: give "
            "NUMBA_CACHE_DIR a folder that can be written, and it is kept there."
        )
    elif not any(Path(folder).glob("kernels.render_crops-*.nbi")):
        _logger.warning("Compiling the rasteriser: some 10 seconds, once on this machine.")
