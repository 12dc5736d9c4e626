"""What is compared: an adapted crop, and the picture that its label promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer import CropBatch

_Value = TypeVar("_Value", bound=np.generic)

SIDE = 64
"""Pixels: crops of other sizes are compared at this one."""
PLANES = 8
"""Red, green, blue of the crop; the five of `label_planes`."""


@dataclass(frozen=True)
class LabelView:
    """What N crops should show, S = 64 pixels a side."""

    rgb: NDArray[np.uint8]
    """(N, S, S, 3), the objects as rendered, black where there are none."""
    objects: NDArray[np.bool_]
    """(N, S, S), where any object is seen."""
    visible: NDArray[np.bool_]
    """(N, S, S), where the target is seen."""
    depth: NDArray[np.float32]
    """(N, S, S), z of the target there, from `centre_depth` on, in windows; 0 elsewhere."""
    centre_depth: NDArray[np.float64]
    """(N,), millimetres."""
    window: NDArray[np.float64]
    """(N,), the side of the square that a crop shows at its target's depth, millimetres."""


def label_view_of(renders: CropBatch) -> LabelView:
    """What is to be seen by the labels of N square crops, as rendered from their plans."""
    plans = renders.plans
    window = plans.size * plans.centre_depth / plans.camera_matrix[:, 0, 0]
    visible = renders.mask_visib
    objects = visible | renders.others_mask_visib.any(axis=1)
    relative = (renders.object_depth - plans.centre_depth[:, None, None]) / window[:, None, None]
    depth = np.where(visible, relative, 0.0).astype(np.float32)
    return LabelView(
        rgb=colors_at_side(np.where(objects[..., None], renders.rgb, np.uint8(0))),
        objects=values_at_side(objects),
        visible=values_at_side(visible),
        depth=values_at_side(depth),
        centre_depth=plans.centre_depth,
        window=window,
    )


def label_planes(label: LabelView) -> NDArray[np.float32]:
    """Labels as the judge network sees them.

    Convention:
        Planes: red, green, blue in [-1, 1], 0 off the objects; 1 where the target is seen; its
        relative depth there, (z - centre depth) / window, 0 elsewhere.

    Returns:
        (N, 5, 64, 64).
    """
    color = np.where(label.objects[:, None], picture_planes(label.rgb), np.float32(0))
    return np.concatenate([color, label.visible[:, None], label.depth[:, None]], axis=1)


def picture_planes(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 3, H, W) in [-1, 1] of (N, H, W, 3)."""
    planes = np.ascontiguousarray(np.moveaxis(rgb, -1, 1)).astype(np.float32)
    planes /= np.float32(127.5)
    planes -= np.float32(1)
    return planes


def colors_at_side(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 64, 64, 3): colours averaged over area."""
    if rgb.shape[1] == SIDE:
        return rgb
    area = cv2.INTER_AREA
    return np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=area) for image in rgb])


def values_at_side(images: NDArray[_Value]) -> NDArray[_Value]:
    """(N, 64, 64) of (N, H, W): those of the nearest pixels, as means of depths mean nothing."""
    middles = (np.arange(SIDE) * 2 + 1) * images.shape[1] // (2 * SIDE)
    return images[:, middles[:, None], middles]
