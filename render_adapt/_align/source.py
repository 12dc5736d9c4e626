"""Renders to learn coordinates from, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.search import Poses, PoseSearch
from render_adapt._pairs.posed_crops import PosedCrops
from render_adapt._run_models import blend_file
from renderer import (
    CropBatch,
    Photographs,
    PlanConfig,
    Plans,
    Randomization,
    RasterRenderer,
    Renderer,
    capture,
    load_photographs,
    load_textures,
    make_plans,
    make_renderer,
)

_AT_ONCE = 256


@dataclass(frozen=True)
class DenseCrops:
    """N crops of S x S pixels with what the network is to say of them, s = S / 2."""

    rgb: NDArray[np.uint8]
    """(N, S, S, 3)."""
    object_index: NDArray[np.int64]
    """(N,), position among the objects."""
    mask: NDArray[np.bool_]
    """(N, s, s), where the object is seen."""
    coordinates: NDArray[np.uint8]
    """(N, s, s, 3), 255 times `CropBatch.object_coordinates`: to half a millimetre of an object
    of 200 mm."""

    def __len__(self) -> int:
        return len(self.rgb)


class Source:
    """Crops of a run's objects as its target's are cut, drawn at random, with their labels.

    Args:
        models: the objects.
        plan: how they are cut.
        randomization: what differs between them.
        seed: decides all of it.
        threads: of the processor.
        objects, folder: where the models are from, as `load_run_models` takes them; objects of a
            .blend file are drawn with their materials there.
    """

    def __init__(
        self,
        models: Sequence[CadModel],
        plan: PlanConfig,
        randomization: Randomization,
        seed: int,
        threads: int,
        objects: tuple[str, ...] = (),
        folder: Path | None = None,
    ) -> None:
        self.models, self.plan, self.randomization, self.seed = models, plan, randomization, seed
        self._textures = load_textures(randomization.textures) if randomization.texture_swap else []
        photographs = randomization.photographs
        if not randomization.shows_photographs:
            photographs = None
        self.photographs = load_photographs(photographs) if photographs else Photographs(())
        # Levels of detail move no surface by more than a quarter of a pixel.
        self._raster = RasterRenderer(models, threads, textures=self._textures)
        blend = blend_file(objects, folder)
        self._pictures: Renderer = self._raster
        if blend is not None:
            self._pictures = make_renderer(
                "blender", models, threads=threads, textures=self._textures, seed=seed, blend=blend,
                environments=randomization.environments,
            )  # fmt: skip

    def render(self, start: int, stop: int) -> CropBatch:
        """Crops `start` to `stop`, as the camera would have taken them; poses as it sees them."""
        plans = make_plans(
            self.plan, self.models, self.seed, start, stop, self.randomization,
            textures=len(self._textures),
        )  # fmt: skip
        renders = self._pictures.render(plans)
        return capture(renders, self.randomization, self.seed, self.models, self.photographs)

    def dense(
        self, count: int, on_progress: Callable[[int, int], None] | None = None
    ) -> DenseCrops:
        """The first `count` crops with their labels.

        Args:
            count: of crops.
            on_progress: called with (done, in all).
        """
        size = self.plan.size
        side = size // 2
        crops = DenseCrops(
            rgb=np.empty((count, size, size, 3), np.uint8),
            object_index=np.empty(count, np.int64),
            mask=np.empty((count, side, side), np.bool_),
            coordinates=np.empty((count, side, side, 3), np.uint8),
        )
        for first in range(0, count, _AT_ONCE):
            rows = slice(first, min(first + _AT_ONCE, count))
            taken = self.render(rows.start, rows.stop)
            crops.rgb[rows] = taken.rgb
            crops.object_index[rows] = taken.plans.object_index
            crops.mask[rows], crops.coordinates[rows] = self._labels(taken)
            if on_progress:
                on_progress(rows.stop, count)
        return crops

    def _labels(self, taken: CropBatch) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        # Drawn anew at the network's pixels: a mean of four is on no surface where it folds.
        side = taken.plans.size // 2
        drawn = self._raster.render(at_size(taken.plans, side), surface_maps=True)
        assert drawn.object_coordinates is not None
        # What a board hides is known of the picture alone.
        shown = taken.mask_visib.reshape(len(taken), side, 2, side, 2).any(axis=(2, 4))
        return drawn.mask_visib & shown, np.rint(255 * drawn.object_coordinates).astype(np.uint8)


def dense_crops(crops: PosedCrops, models: Sequence[CadModel], threads: int) -> DenseCrops:
    """Crops of a dataset with masks and object coordinates, drawn in the poses that it states.

    Args:
        crops: N of S x S pixels.
        models: the objects.
        threads: of the processor.
    """
    count, size = crops.rgb.shape[:2]
    side, search = size // 2, PoseSearch(models, size, threads)
    mask = np.empty((count, side, side), np.bool_)
    coordinates = np.empty((count, side, side, 3), np.uint8)
    for first in range(0, count, _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        poses = Poses(
            crops.object_index[rows], crops.rotation[rows], crops.translation[rows],
            crops.camera_matrix[rows],
        )  # fmt: skip
        drawn = search.renderer.render(at_size(search.plans(poses), side), surface_maps=True)
        assert drawn.object_coordinates is not None
        shown = crops.shown[rows].reshape(-1, side, 2, side, 2).any(axis=(2, 4))
        mask[rows] = drawn.mask & shown
        coordinates[rows] = np.rint(255 * drawn.object_coordinates)
    return DenseCrops(crops.rgb, crops.object_index, mask, coordinates)


def at_size(plans: Plans, size: int) -> Plans:
    """The same square crops at another number of pixels."""
    camera_matrix = plans.camera_matrix.copy()
    camera_matrix[:, :2] *= size / plans.size
    return replace(plans, camera_matrix=camera_matrix, width=size, height=size)
