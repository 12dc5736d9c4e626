"""One COCO file of all scenes, with the corners of objects' boxes as keypoints."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from render_adapt._formats.format import DerivedFormat
from render_adapt._formats.labels import instance_corners
from render_adapt._formats.pixel_centre import INSIDE, read_pixel_centre, recounted
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.written import WrittenObject, read_scene, written_objects
from safe_files import write_file_with

CORNERS = [f"{x}{y}{z}" for x in "-+" for y in "-+" for z in "-+"]
"""Of an object's box: its least (-) and greatest (+) x, y and z, as `box_corners` has them."""
EDGES = [
    [1 + one, 1 + other]
    for one in range(8)
    for other in range(one + 1, 8)
    if (one ^ other).bit_count() == 1
]
"""Of the box, by corners that count from 1, as COCO has it."""


class MergedCoco(DerivedFormat):
    """`annotations/instances_train.json`, of pictures in `train/`; of other splits likewise."""

    name = "coco"
    needs = "bop"
    reads_shards = True
    shared = tuple(f"annotations/instances_{split}.json" for split in SPLITS)

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes a file for each split, scene by scene."""
        names = []
        for split, name in zip(SPLITS, self.shared, strict=True):
            shards = sorted(shard for shard in crops if shard.split == split)
            if shards:
                (out / name).parent.mkdir(exist_ok=True)
                write_file_with(out / name, functools.partial(_write, out=out, shards=shards))
                names.append(name)
        return names


def _write(file: BinaryIO, out: Path, shards: list[Shard]) -> None:
    objects = written_objects(out)
    head = {
        "info": {"description": "render-adapt"},
        "licenses": [],
        "categories": [_category(one) for one in objects],
    }
    file.write(json.dumps(head)[:-1].encode())
    for part in ("images", "annotations"):
        file.write(f', "{part}": ['.encode())
        between = "\n"
        for entry in _Entries(out, objects).of(part, shards):
            file.write(f"{between}{json.dumps(entry)}".encode())
            between = ",\n"
        file.write(b"\n]")
    file.write(b"}\n")


def _category(one: WrittenObject) -> dict[str, Any]:
    return {
        "id": one.object_id, "name": one.name, "supercategory": "render-adapt",
        "keypoints": CORNERS, "skeleton": EDGES,
    }  # fmt: skip


class _Entries:
    """Images and annotations, numbered through from 1."""

    def __init__(self, out: Path, objects: list[WrittenObject]) -> None:
        self._out = out
        self._bounds = {one.object_id: one.bounds for one in objects}
        self._images = self._annotations = 0

    def of(self, part: str, shards: list[Shard]) -> Iterator[dict[str, Any]]:
        """Those of scenes, in order."""
        for shard in shards:
            yield from self._images_of(shard) if part == "images" else self._annotations_of(shard)

    def _images_of(self, shard: Shard) -> Iterator[dict[str, Any]]:
        (coco,) = read_scene(self._out, shard, ["gt_coco"])
        for image in coco["images"]:
            self._images += 1
            yield {
                **image,
                "id": self._images,
                "file_name": f"{shard.split}/{shard.number:06d}/{image['file_name']}",
                "scene_id": shard.number,
                "im_id": image["id"],
            }

    def _annotations_of(self, shard: Shard) -> Iterator[dict[str, Any]]:
        camera, gt, info, coco = read_scene(
            self._out, shard, ["camera", "gt", "gt_info", "gt_coco"]
        )
        # Scenes list what is not seen too, of which COCO has nothing.
        seen = (
            (key, number)
            for key, entries in gt.items()
            for number in range(len(entries))
            if info[key][number]["px_count_visib"]
        )
        for annotation, (key, number) in zip(coco["annotations"], seen, strict=True):
            self._annotations += 1
            corners = self._corners(camera[key], gt[key][number])
            yield {
                **annotation,
                "id": self._annotations,
                "image_id": 1 + self._images + annotation["image_id"],
                **keypoints(corners, annotation["width"], annotation["height"]),
                "visib_fract": info[key][number]["visib_fract"],
            }
        self._images += len(gt)

    def _corners(self, camera: Mapping[str, Any], entry: Mapping[str, Any]) -> NDArray[np.float64]:
        """(8, 2), counted from the first pixel's centre."""
        k = np.array(camera["cam_K"], np.float64).reshape(3, 3)
        return instance_corners(
            np.array(entry["cam_R_m2c"], np.float64).reshape(3, 3),
            np.array(entry["cam_t_m2c"], np.float64),
            self._bounds[entry["obj_id"]],
            recounted(k, read_pixel_centre(camera), 0.0),
        )


def keypoints(corners: NDArray[np.float64], width: int, height: int) -> dict[str, Any]:
    """COCO's entries: x, y and 2 of corners within the picture, 1 of others.

    Args:
        corners: (8, 2), from the first pixel's centre.
        width, height: of the picture.
    """
    reach = np.array([width, height]) - INSIDE
    flat: list[float] = []
    for corner in corners.round(3) + 0.0:
        inside = bool(((corner > -INSIDE) & (corner < reach)).all())
        flat += [*corner.tolist(), 2 if inside else 1]
    return {"keypoints": flat, "num_keypoints": len(corners)}
