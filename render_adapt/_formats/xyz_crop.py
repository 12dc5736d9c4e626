"""GDRNPP's `xyz_crop`: object coordinates of every pixel of an object, where it lies in a frame."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.image import RgbKind
from render_adapt._formats.labels import InstanceLabel, places_of, pose_of
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import Shard
from render_adapt._formats.shard_writer import ShardWriter
from renderer import CropBatch, Instances, Plans, Surfaces, make_renderer

_METRES = 1e-3


class XyzWriter(ShardWriter):
    """Writes a file of each object of a shard's crops.

    Convention:
        `%06d_%06d-xyz.pkl` % (image, object), in the order of `scene_gt.json`: a dict of
        `xyz_crop`, (h, w, 3) float16, metres in the object's own coordinates, (0, 0, 0) where it is
        not; and `xyxy`, the first and last column and row, of the whole silhouette within the
        picture, whatever hides it. Of an object that is wholly outside the whole picture.
    """

    def __init__(self, prepared: PreparedShard, folder: str, models: Sequence[CadModel]) -> None:
        self._prepared, self._folder = prepared, folder
        self._renderer = make_renderer("raster", models, levels=False)
        self._images = 0
        (prepared.path / folder).mkdir(parents=True)

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Write the coordinates of all objects of a batch of crops."""
        for row in range(len(labels)):
            alone = _each_alone(crops.plans, row)
            depth = self._renderer.render(alone).depth
            for number in range(len(depth)):
                xyz = object_coordinates(alone, number, depth[number])
                name = f"{self._images:06d}_{number:06d}-xyz.pkl"
                self._prepared.write(f"{self._folder}/{name}", _packed(xyz, depth[number] > 0))
            self._images += 1

    def close(self) -> None:
        """Nothing is left to write."""


def _each_alone(plans: Plans, row: int) -> Plans:
    """A crop's objects, each in a crop of its own."""
    poses = [pose_of(plans, place) for place in places_of(plans, row)]
    count = len(poses)
    index, rotation, translation = (np.stack(part) for part in zip(*poses, strict=True))
    return replace(
        plans[np.full(count, row)],
        object_index=index.astype(np.int32), rotation=rotation, translation=translation,
        others=Instances.none(count), surfaces=Surfaces.plain(count),
    )  # fmt: skip


def object_coordinates(plans: Plans, row: int, depth: NDArray[np.float32]) -> NDArray[np.float64]:
    """(H, W, 3), what each pixel shows of the target, millimetres in its own coordinates; 0 where
    depth is 0.

    Args:
        plans: of crops with one object each.
        row: which of them.
        depth: (H, W), z in millimetres.
    """
    height, width = depth.shape
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    points = depth[..., None] * (rays @ np.linalg.inv(plans.camera_matrix[row]).T)
    own = (points - plans.translation[row]) @ plans.rotation[row]
    return np.where(depth[..., None] > 0, own, 0.0)


class _Array:
    """An array that is pickled in words which every numpy knows."""

    def __init__(self, array: NDArray[np.float16]) -> None:
        self._array = array

    def __reduce__(self) -> tuple[Any, ...]:
        array = np.ascontiguousarray(self._array, "<f2")
        return np.ndarray, (array.shape, "<f2", array.tobytes())


def _packed(xyz: NDArray[np.float64], mask: NDArray[np.bool_]) -> bytes:
    """What a file holds."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    x1, y1, x2, y2 = 0, 0, width - 1, height - 1
    if len(rows):
        x1, y1 = int(columns.min()), int(rows.min())
        x2, y2 = int(columns.max()), int(rows.max())
    crop = (xyz[y1 : y2 + 1, x1 : x2 + 1] * _METRES).astype(np.float16)
    return pickle.dumps({"xyz_crop": _Array(crop), "xyxy": [x1, y1, x2, y2]}, protocol=4)


class XyzCrop(MergeableFormat):
    """A folder of files for each scene, to be named as `xyz_root`."""

    name = "xyz-crop"
    needs = "bop"

    def entry(self, shard: Shard) -> str:
        """Its folder."""
        return f"{shard.within('xyz_crop')}/{shard.number:06d}"

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> XyzWriter:
        """Writes the folder."""
        return XyzWriter(prepared, self.entry(shard), models)

    def reader(self, dataset: Path) -> None:
        """None: there are no pictures."""
        return None

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """An object's file."""
        return f"{self.entry(shard)}/{image:06d}_{instance:06d}-xyz.pkl"

    def carry(self, shard: CarriedShard) -> None:
        """All files to the byte."""
        folder, becomes = self.entry(shard.shard), self.entry(shard.becomes)
        for name in shard.names(folder):
            shard.write(f"{becomes}/{name.removeprefix(f'{folder}/')}", shard.read(name))
