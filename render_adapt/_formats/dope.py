"""DOPE, and whatever else reads NVIDIA's NDDS: a JSON file beside each picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cad_models import CadModel
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.image import RgbKind, colour_file, numbers
from render_adapt._formats.labels import InstanceLabel, instance_corners, places_of, pose_of
from render_adapt._formats.pixel_centre import INSIDE, recounted
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import Shard
from render_adapt._formats.shard_writer import ShardWriter
from renderer import CropBatch, quaternion_from_matrix
from safe_files import parse_json

CUBOID = (5, 1, 3, 7, 4, 0, 2, 6)
"""NDDS's order of corners, by those of `box_corners`: the greatest x, least y and greatest z first;
DOPE calls them front, top, right and so on of axes that are not ours."""
_CENTIMETRES = 0.1


class DopeWriter(ShardWriter):
    """Writes a picture and a JSON file of each crop.

    Convention:
        `projected_cuboid` is eight corners and the middle of the model's box, in the coordinates
        of K in `camera_data`. `location` is in centimetres, `quaternion_xyzw` from model to
        camera, axes as in OpenCV.
    """

    def __init__(
        self,
        prepared: PreparedShard,
        folder: str,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> None:
        self._prepared, self._folder, self._models = prepared, folder, models
        self._pixel_centre = pixel_centre
        self._rgb: RgbKind = rgb
        self._images = 0
        (prepared.path / folder).mkdir(parents=True)

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Write a batch of crops with the cuboids of their objects."""
        for row, of_crop in enumerate(labels):
            name = f"{self._folder}/{self._images:06d}"
            self._prepared.write(f"{name}.{self._rgb}", colour_file(crops.rgb[row], self._rgb))
            content = _json(self._content(crops, row, of_crop))
            self._prepared.write(f"{name}.json", content)
            self._images += 1

    def close(self) -> None:
        """Nothing is left to write."""

    def _content(
        self, crops: CropBatch, row: int, labels: Sequence[InstanceLabel]
    ) -> dict[str, Any]:
        height, width = crops.depth.shape[1:]
        k = recounted(crops.plans.camera_matrix[row], INSIDE, self._pixel_centre)
        objects = []
        for number, (place, label) in enumerate(
            zip(places_of(crops.plans, row), labels, strict=True)
        ):
            object_index, rotation, translation = pose_of(crops.plans, place)
            model = self._models[object_index]
            corners = instance_corners(rotation, translation, model.bounds, k)
            w, x, y, z = numbers(quaternion_from_matrix(rotation[None])[0])
            objects.append({
                "class": model.name,
                "name": _instance(model.name, number),
                "visibility": label.visib_fract,
                "projected_cuboid": [
                    *corners[list(CUBOID)].tolist(), _middle(model, rotation, translation, k)
                ],
                "location": numbers(translation * _CENTIMETRES),
                "quaternion_xyzw": [x, y, z, w],
                "px_count_visib": label.px_count_visib,
                "bounding_box": list(label.bbox_visib),
            })  # fmt: skip
        intrinsics = {"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
        camera = {"width": width, "height": height, "intrinsics": intrinsics}
        return {"camera_data": camera, "objects": objects}


def _instance(name: str, number: int) -> str:
    return f"{name}_{number:03d}"


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _middle(model: CadModel, rotation: Any, translation: Any, k: Any) -> list[float]:
    """Where the middle of a model's box projects to."""
    u, v, z = k @ (rotation @ model.bounds.mean(axis=0) + translation)
    return numbers(np.array([u / z, v / z]))


class Dope(MergeableFormat):
    """A folder of pictures and JSON files for each shard."""

    name = "dope"

    def entry(self, shard: Shard) -> str:
        """Its folder."""
        return f"{shard.within('dope')}/{shard.number:06d}"

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> DopeWriter:
        """Writes the folder."""
        return DopeWriter(prepared, self.entry(shard), models, pixel_centre, rgb)

    def reader(self, dataset: Path) -> None:
        """None: there are no masks and no depth."""
        return None

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """An image's JSON file."""
        return f"{self.entry(shard)}/{image:06d}.json"

    def carry(self, shard: CarriedShard) -> None:
        """Pictures to the byte, objects by the names that they have there."""
        folder, becomes = self.entry(shard.shard), self.entry(shard.becomes)
        for name in shard.names(folder):
            content = shard.read(name)
            if name.endswith(".json"):
                described = parse_json(content)
                for number, one in enumerate(described["objects"]):
                    one["class"] = shard.numbering.by_name[one["class"]].name
                    one["name"] = _instance(one["class"], number)
                content = _json(described)
            shard.write(f"{becomes}/{name.removeprefix(f'{folder}/')}", content)
