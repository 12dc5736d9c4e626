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
from render_adapt._labels import CropLabel
from renderer import CropBatch

SPLIT = "train"
DEPTH_SCALE = 0.1
"""Millimetres for one step of the depth PNG."""
FOLDERS = ("rgb", "depth", "mask", "mask_visib")


def write_dataset_files(folder: Path, models: Sequence[CadModel], size: int, focal: float) -> None:
    """Write what all scenes share: `camera.json` and `models/`."""
    camera = {
        "cx": size / 2, "cy": size / 2, "depth_scale": DEPTH_SCALE,
        "fx": focal, "fy": focal, "height": size, "width": size,
    }  # fmt: skip
    folder.joinpath("camera.json").write_text(json.dumps(camera, indent=2) + "\n")
    write_models(models, folder / "models")


class SceneWriter:
    """Writes the crops of one scene into a folder, batch by batch; `close` writes its JSON files.

    Convention:
        The k-th crop that is added is image k. Each image has one object, so its masks are
        `mask/%06d_000000.png` and `mask_visib/%06d_000000.png` (0 or 255).
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

    def add(self, crops: CropBatch, labels: Sequence[CropLabel]) -> None:
        """Write a batch of crops with their labels."""
        for row, label in enumerate(labels):
            self._add_one(crops, row, label)

    def close(self) -> None:
        """Write the scene's camera, pose, count and COCO files."""
        for name, content in (
            ("scene_camera", self._camera),
            ("scene_gt", self._gt),
            ("scene_gt_info", self._gt_info),
        ):
            (self._folder / f"{name}.json").write_text(_one_entry_per_line(content))
        (self._folder / "scene_gt_coco.json").write_text(json.dumps(self._coco()) + "\n")

    def _add_one(self, crops: CropBatch, row: int, label: CropLabel) -> None:
        image_id = len(self._gt)
        plans = crops.plans
        model = self._models[plans.object_index[row]]
        size = plans.size
        depth_steps = np.rint(crops.depth[row] / DEPTH_SCALE).clip(0, 65535).astype(np.uint16)
        self._write("rgb", f"{image_id:06d}", cv2.cvtColor(crops.rgb[row], cv2.COLOR_RGB2BGR))
        self._write("depth", f"{image_id:06d}", depth_steps)
        self._write("mask", f"{image_id:06d}_000000", _as_image(crops.mask[row]))
        self._write("mask_visib", f"{image_id:06d}_000000", _as_image(crops.mask_visib[row]))
        key = str(image_id)
        self._camera[key] = {
            "cam_K": plans.camera_matrix[row].ravel().tolist(),
            "depth_scale": DEPTH_SCALE,
        }
        self._gt[key] = [
            {
                "cam_R_m2c": plans.rotation[row].ravel().tolist(),
                "cam_t_m2c": plans.translation[row].tolist(),
                "obj_id": model.object_id,
            }
        ]
        self._gt_info[key] = [asdict(label)]
        self._coco_images.append(coco_image(image_id, f"rgb/{image_id:06d}.png", size, size))
        if label.px_count_visib:
            self._coco_annotations.append(
                coco_annotation(
                    annotation_id=len(self._coco_annotations) + 1,
                    image_id=image_id,
                    category_id=model.object_id,
                    visible=crops.mask_visib[row],
                    bbox_obj=label.bbox_obj,
                    ignore=label.visib_fract < 0.1,
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
