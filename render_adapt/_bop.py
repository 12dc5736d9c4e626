"""BOP scene-wise datasets: one shard is one scene, one crop is one image with its own K.

Format: bop_toolkit's `docs/bop_datasets_format.md`. Depth is z; `depth_mm = png * depth_scale`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, write_models
from render_adapt._coco import coco_annotation, coco_image
from render_adapt._labels import InstanceLabel, masks_of, places_of, pose_of
from renderer import CropBatch

SPLIT = "train"
DEPTH_SCALE = 0.1
"""Millimetres for one step of the depth PNG."""
FOLDERS = ("rgb", "depth", "mask", "mask_visib")


def write_dataset_files(
    folder: Path, models: Sequence[CadModel], camera: NDArray[np.float64], width: int, height: int
) -> None:
    """Write what all scenes share: `camera.json` and `models/`.

    Args:
        folder: the dataset's.
        models: the run's objects.
        camera: (3, 3), the frames' K, or one that stands for the crops', which have their own.
        width, height: pixels.
    """
    content = {
        "cx": camera[0, 2], "cy": camera[1, 2], "depth_scale": DEPTH_SCALE,
        "fx": camera[0, 0], "fy": camera[1, 1], "height": height, "width": width,
    }  # fmt: skip
    folder.joinpath("camera.json").write_text(json.dumps(content, indent=2) + "\n")
    write_models(models, folder / "models")


class SceneWriter:
    """Writes the crops of one scene into a folder, batch by batch; `close` writes its JSON files.

    Convention:
        The k-th crop that is added is image k. Its target is instance 0, its other objects those
        after it; the masks of image k's instance g are `mask/%06d_%06d.png` and
        `mask_visib/%06d_%06d.png` % (k, g), 0 or 255. What is not seen at all is listed too.
    """

    def __init__(self, folder: Path, models: Sequence[CadModel]) -> None:
        self._folder = folder
        self._models = models
        self._camera: dict[str, Any] = {}
        self._gt: dict[str, Any] = {}
        self._gt_info: dict[str, Any] = {}
        self._coco_images: list[dict[str, Any]] = []
        self._coco_annotations: list[dict[str, Any]] = []
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Write a batch of crops with the labels of all their objects."""
        for row, of_crop in enumerate(labels):
            self._add_one(crops, row, of_crop)

    def close(self) -> None:
        """Write the scene's camera, pose, count and COCO files."""
        for name, content in (
            ("scene_camera", self._camera),
            ("scene_gt", self._gt),
            ("scene_gt_info", self._gt_info),
        ):
            (self._folder / f"{name}.json").write_text(_one_entry_per_line(content))
        (self._folder / "scene_gt_coco.json").write_text(json.dumps(self._coco()) + "\n")

    def _add_one(self, crops: CropBatch, row: int, labels: Sequence[InstanceLabel]) -> None:
        image_id = len(self._gt)
        name, key = f"{image_id:06d}", str(image_id)
        plans = crops.plans
        depth_steps = np.rint(crops.depth[row] / DEPTH_SCALE).clip(0, 65535).astype(np.uint16)
        self._write("rgb", name, cv2.cvtColor(crops.rgb[row], cv2.COLOR_RGB2BGR))
        self._write("depth", name, depth_steps)
        self._camera[key] = {
            "cam_K": plans.camera_matrix[row].ravel().tolist(),
            "depth_scale": DEPTH_SCALE,
        }
        self._gt[key] = []
        self._gt_info[key] = [asdict(label) for label in labels]
        self._coco_images.append(coco_image(image_id, f"rgb/{name}.png", plans.width, plans.height))
        for number, place in enumerate(places_of(plans, row)):
            whole, visible = masks_of(crops, place)
            self._write("mask", f"{name}_{number:06d}", _as_image(whole))
            self._write("mask_visib", f"{name}_{number:06d}", _as_image(visible))
            which, rotation, translation = pose_of(plans, place)
            object_id = self._models[which].object_id
            self._gt[key].append(
                {
                    "cam_R_m2c": rotation.ravel().tolist(),
                    "cam_t_m2c": translation.tolist(),
                    "obj_id": object_id,
                }
            )
            if labels[number].px_count_visib:
                self._coco_annotations.append(
                    coco_annotation(
                        annotation_id=len(self._coco_annotations) + 1,
                        image_id=image_id,
                        category_id=object_id,
                        visible=visible,
                        bbox_obj=labels[number].bbox_obj,
                        ignore=labels[number].visib_fract < 0.1,
                    )
                )

    def _coco(self) -> dict[str, Any]:
        categories = [
            {"id": model.object_id, "name": model.name, "supercategory": "render-adapt"}
            for model in self._models
        ]
        return {
            "info": {"description": "render-adapt crops"},
            "licenses": [],
            "categories": categories,
            "images": self._coco_images,
            "annotations": self._coco_annotations,
        }

    def _write(self, kind: str, name: str, image: NDArray[Any]) -> None:
        # Level 1 is three times as fast as the default here and costs a tenth in size.
        _, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (self._folder / kind / f"{name}.png").write_bytes(encoded.tobytes())


def _as_image(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * 255


def _one_entry_per_line(content: dict[str, Any]) -> str:
    """JSON as bop_toolkit lays it out, so that line-wise tools and diffs work."""
    lines = (f"  {json.dumps(key)}: {json.dumps(content[key], sort_keys=True)}" for key in content)
    return "{\n" + ",\n".join(lines) + "\n}\n"
