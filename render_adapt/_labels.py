"""Facts about a crop's label that are counted from its masks, as bop_toolkit counts them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from renderer import CropBatch, Plans, Renderer

NO_BOX = (-1, -1, -1, -1)


@dataclass(frozen=True)
class CropLabel:
    """One entry of `scene_gt_info.json`.

    Convention:
        Boxes are [x, y, width, height] in pixels with width = x_max - x_min, as bop_toolkit writes
        them: a box one pixel wide has width 0. `bbox_obj` and `px_count_all` are of the whole
        silhouette on a canvas of 3 x 3 crops, so a box may begin left of 0.
    """

    bbox_obj: tuple[int, int, int, int]
    bbox_visib: tuple[int, int, int, int]
    px_count_all: int
    px_count_valid: int
    px_count_visib: int
    visib_fract: float


def label_crops(crops: CropBatch, renderer: Renderer) -> list[CropLabel]:
    """Count each crop's label; silhouettes cut by the border are counted on a 3 x 3 canvas."""
    size = crops.plans.size
    canvases = _whole_silhouettes(crops, renderer)
    labels = []
    for row in range(len(crops)):
        visible = crops.mask_visib[row]
        visible_pixels = int(visible.sum())
        if row in canvases:
            whole, offset = canvases[row], size
        else:
            whole, offset = crops.mask[row], 0
        pixels = int(whole.sum())
        labels.append(
            CropLabel(
                bbox_obj=_box(whole, offset) if visible_pixels else NO_BOX,
                bbox_visib=_box(visible, 0),
                px_count_all=pixels,
                px_count_valid=int((crops.mask[row] & (crops.depth[row] > 0)).sum()),
                px_count_visib=visible_pixels,
                visib_fract=visible_pixels / pixels if pixels else 0.0,
            )
        )
    return labels


def _whole_silhouettes(crops: CropBatch, renderer: Renderer) -> dict[int, NDArray[np.bool_]]:
    mask = crops.mask
    border = mask[:, 0].any(1) | mask[:, -1].any(1) | mask[:, :, 0].any(1) | mask[:, :, -1].any(1)
    rows = np.flatnonzero(border)
    if not len(rows):
        return {}
    whole = renderer.render(_on_canvas(crops.plans[rows])).mask
    return {int(row): whole[k] for k, row in enumerate(rows)}


def _on_canvas(plans: Plans) -> Plans:
    """The same crops seen through a window three times as wide and high."""
    camera_matrix = plans.camera_matrix.copy()
    camera_matrix[:, :2, 2] += plans.size
    return replace(plans, camera_matrix=camera_matrix, size=3 * plans.size)


def _box(mask: NDArray[np.bool_], offset: int) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return NO_BOX
    x, y = int(columns[0]), int(rows[0])
    return x - offset, y - offset, int(columns[-1]) - x, int(rows[-1]) - y
