"""One crop in BOP's words: what its image and annotation files hold, in either format.

Format: bop_toolkit's `docs/bop_datasets_format.md`. Depth is z; `depth_mm = png * depth_scale`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._formats.labels import InstanceLabel, masks_of, places_of, pose_of
from render_adapt._formats.pixel_centre import INSIDE, camera_entry, recounted
from renderer import CropBatch

DEPTH_SCALE = 0.1
"""Millimetres for one step of the depth PNG."""
RgbKind = Literal["png", "jpg"]
"""What colour pictures are written as, and how their files end."""
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class BopImage:
    """One crop. All lists have an entry for each object, the target first."""

    rgb: bytes
    """A PNG or JPEG file, 8-bit."""
    depth: bytes
    """A PNG file, 16-bit: z in steps of `DEPTH_SCALE`, 0 where there is no measurement."""
    camera: dict[str, Any]
    """Its entry of `scene_camera.json`."""
    gt: list[dict[str, Any]]
    """Its entry of `scene_gt.json`."""
    gt_info: list[dict[str, Any]]
    """Its entry of `scene_gt_info.json`."""
    masks: list[NDArray[np.bool_]]
    """(H, W) each, the whole silhouettes."""
    masks_visib: list[NDArray[np.bool_]]
    """(H, W) each, what is seen of them."""


def bop_image(
    crops: CropBatch,
    row: int,
    labels: Sequence[InstanceLabel],
    models: Sequence[CadModel],
    pixel_centre: float,
    rgb: RgbKind,
) -> BopImage:
    """Put one crop of a batch, with the labels of its objects, in BOP's words.

    Args:
        crops: the batch.
        row: which of them.
        labels: of its objects.
        models: the run's.
        pixel_centre: where the first pixel's centre is in the coordinates of the K that is written.
        rgb: what its colours are written as.
    """
    depth = np.rint(crops.depth[row] / DEPTH_SCALE).clip(0, 65535).astype(np.uint16)
    places = places_of(crops.plans, row)
    gt = []
    for place in places:
        object_index, rotation, translation = pose_of(crops.plans, place)
        gt.append(
            {
                "cam_R_m2c": numbers(rotation),
                "cam_t_m2c": numbers(translation),
                "obj_id": models[object_index].object_id,
            }
        )
    camera_matrix = crops.plans.camera_matrix[row]
    masks, masks_visib = zip(*(masks_of(crops, place) for place in places), strict=True)
    return BopImage(
        rgb=colour_file(crops.rgb[row], rgb),
        depth=png(depth),
        camera={
            "cam_K": numbers(recounted(camera_matrix, INSIDE, pixel_centre)),
            "depth_scale": DEPTH_SCALE,
            **camera_entry(pixel_centre),
        },
        gt=gt,
        gt_info=[dict(vars(label)) for label in labels],
        masks=list(masks),
        masks_visib=list(masks_visib),
    )


def numbers(values: NDArray[Any]) -> list[float]:
    """As they are written, row by row: a zero has no sign."""
    plain: list[float] = (values.astype(np.float64) + 0.0).ravel().tolist()
    return plain


def colour_file(rgb: NDArray[np.uint8], kind: RgbKind) -> bytes:
    """A PNG file, or a JPEG file whose colours are as fine as its light: crops are small."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if kind == "png":
        return png(bgr)
    settings = [
        cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]  # fmt: skip
    _, encoded = cv2.imencode(".jpg", bgr, settings)
    return encoded.tobytes()


def png(image: NDArray[Any]) -> bytes:
    """A PNG file, colours in OpenCV's order."""
    # OpenCV's own choice is the fastest level and one filter; whoever names that level gets a
    # search among filters, which takes twice as long for a few per cent in size.
    _, encoded = cv2.imencode(".png", image)
    return encoded.tobytes()
