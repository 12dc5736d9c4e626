"""YOLO: pictures with a text file of boxes each, as Ultralytics reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.coco import coco_box
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.image import RgbKind, colour_file
from render_adapt._formats.labels import (
    InstanceLabel,
    instance_corners,
    masks_of,
    places_of,
    pose_of,
)
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import Shard
from render_adapt._formats.shard_writer import ShardWriter
from render_adapt._formats.written import read_written
from renderer import CropBatch
from safe_files import write_file

LEAST_VISIBLE = 0.1
"""Objects that are seen less are not labelled: BOP's and COCO's files mark them to be ignored,
which YOLO cannot."""


class YoloWriter(ShardWriter):
    """Writes `images/` and `labels/` of a shard.

    Convention:
        A line is an object: its class, the middle of its box, and its sides, as shares of the
        picture's. Boxes are of whole silhouettes within the picture, as in the COCO files. With
        keypoints there follow x, y and 2 of the eight corners of the model's box, in the order of
        `box_corners`; 0, 0 and 0 of corners outside the picture.
    """

    def __init__(
        self,
        prepared: PreparedShard,
        folder: str,
        models: Sequence[CadModel],
        rgb: RgbKind,
        *,
        with_corners: bool,
    ) -> None:
        self._prepared, self._folder, self._models = prepared, folder, models
        self._rgb: RgbKind = rgb
        self._with_corners = with_corners
        self._images = 0
        for name in ("images", "labels"):
            (prepared.path / folder / name).mkdir(parents=True)

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Write a batch of crops with the boxes of their objects."""
        for row, of_crop in enumerate(labels):
            name = f"{self._images:06d}"
            picture = colour_file(crops.rgb[row], self._rgb)
            self._prepared.write(f"{self._folder}/images/{name}.{self._rgb}", picture)
            lines = "".join(f"{line}\n" for line in self._lines(crops, row, of_crop))
            self._prepared.write(f"{self._folder}/labels/{name}.txt", lines.encode())
            self._images += 1

    def close(self) -> None:
        """Nothing is left to write."""

    def _lines(self, crops: CropBatch, row: int, labels: Sequence[InstanceLabel]) -> list[str]:
        height, width = crops.depth.shape[1:]
        lines = []
        for place, label in zip(places_of(crops.plans, row), labels, strict=True):
            if label.visib_fract < LEAST_VISIBLE:
                continue
            x, y, w, h = coco_box(masks_of(crops, place)[0])
            object_index, rotation, translation = pose_of(crops.plans, place)
            numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            words = [str(object_index), *(f"{number:.6f}" for number in numbers)]
            if self._with_corners:
                bounds = self._models[object_index].bounds
                camera = crops.plans.camera_matrix[row]
                corners = instance_corners(rotation, translation, bounds, camera)
                words += _corner_words(corners / (width, height))
            lines.append(" ".join(words))
        return lines


def _corner_words(shares: NDArray[np.float64]) -> list[str]:
    words = []
    for x, y in shares.tolist():
        inside = 0 <= x <= 1 and 0 <= y <= 1
        words += [f"{x:.6f}", f"{y:.6f}", "2"] if inside else ["0", "0", "0"]
    return words


class Yolo(MergeableFormat):
    """Boxes."""

    name = "yolo"
    shared = ("yolo/data.yaml",)
    _with_corners = False

    def entry(self, shard: Shard) -> str:
        """A folder of pictures and labels."""
        return f"{shard.within(self.name)}/{shard.number:06d}"

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> YoloWriter:
        """Writes the folder."""
        return YoloWriter(prepared, self.entry(shard), models, rgb, with_corners=self._with_corners)

    def reader(self, dataset: Path) -> None:
        """None: boxes are no crops."""
        return None

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """An image's labels."""
        return f"{self.entry(shard)}/labels/{image:06d}.txt"

    def carry(self, shard: CarriedShard) -> None:
        """Pictures to the byte, labels with the numbers of their classes."""
        folder, becomes = self.entry(shard.shard), self.entry(shard.becomes)
        for name in shard.names(folder):
            content = shard.read(name)
            if name.endswith(".txt"):
                lines = content.decode("ascii").splitlines()
                pairs = [line.split(" ", 1) for line in lines]
                by_place = shard.numbering.by_place
                lines = [f"{by_place[int(number)].place} {rest}\n" for number, rest in pairs]
                content = "".join(lines).encode()
            shard.write(f"{becomes}/{name.removeprefix(f'{folder}/')}", content)

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes `data.yaml`, with the names of classes in the run's order."""
        names = read_written(out, "manifest.json")["order"]
        splits = {shard.split for shard in crops}
        unnamed = "# Pictures to validate on are yours to name: all that are here are to train on."
        lines = [
            *([] if "val" in splits else [unnamed]),
            "train: .",
            f"val: {f'../{self.name}_val' if 'val' in splits else '.'}",
            *([f"test: ../{self.name}_test"] if "test" in splits else []),
            *(["kpt_shape: [8, 3]"] if self._with_corners else []),
            "names:",
            *(f"  {number}: {name}" for number, name in enumerate(names)),
        ]
        (out / self.shared[0]).parent.mkdir(exist_ok=True)
        write_file(out / self.shared[0], "\n".join(lines) + "\n")
        return list(self.shared)


class YoloPose(Yolo):
    """Boxes, and the corners of objects' boxes as keypoints."""

    name = "yolo-pose"
    shared = ("yolo-pose/data.yaml",)
    _with_corners = True
