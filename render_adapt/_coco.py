"""COCO entries as bop_toolkit writes them (`scene_gt_coco.json`), loadable by stock pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def coco_image(image_id: int, file_name: str, width: int, height: int) -> dict[str, Any]:
    """An entry of `images`; the date is left empty, so that equal runs write equal bytes."""
    return {
        "id": image_id,
        "file_name": file_name,
        "width": width,
        "height": height,
        "date_captured": "",
        "license": 1,
        "coco_url": "",
        "flickr_url": "",
    }


def coco_annotation(
    *,
    annotation_id: int,
    image_id: int,
    category_id: int,
    visible: NDArray[np.bool_],
    bbox_obj: tuple[int, int, int, int],
    ignore: bool,
) -> dict[str, Any]:
    """An entry of `annotations`: the visible mask, and the box of the whole silhouette.

    Args:
        annotation_id, image_id, category_id: as in the COCO format.
        visible: (H, W), the visible mask.
        bbox_obj: [x, y, x_max - x_min, y_max - y_min]; COCO's widths count pixels, one more.
        ignore: whether evaluation is to leave this one out.
    """
    height, width = visible.shape
    x, y, across, down = bbox_obj
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": 0,
        "area": int(visible.sum()),
        "bbox": [x, y, across + 1, down + 1],
        "segmentation": {"counts": run_lengths(visible), "size": [height, width]},
        "width": width,
        "height": height,
        "ignore": ignore,
    }


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Uncompressed COCO run lengths: column by column, beginning with a run of zeros."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    bounds = np.concatenate([[0], changes, [mask.size]])
    return [int(length) for length in np.diff(bounds)]
