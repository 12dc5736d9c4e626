"""One crop of a dataset, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._formats.pixel_centre import read_pixel_centre
from renderer import quaternion_from_matrix
from safe_files import decode_picture, picture_size

MOST_PIXELS = 2**28
"""Of a crop and all masks of it; a frame of 20 megapixels with 12 objects."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class LabelledCrop:
    """A crop and the labels of the G objects in it; object 0 is its target.

    Convention:
        Millimetres. Camera axes as in OpenCV: x right, y down, z forward; poses are
        model-to-camera. The centre of pixel (0, 0) is at (`pixel_centre`, `pixel_centre`) in the
        coordinates of K: 0 in datasets as they are written by default, so that pixel (column, row)
        shows what lies along inv(K) (column, row, 1). Boxes are [x, y, width, height] with
        width = x_max - x_min, as in `scene_gt_info.json`.
    """

    scene_id: int
    im_id: int
    """Which image of the scene."""
    rgb: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    depth: NDArray[np.float32]
    """(H, W), z in millimetres, 0 where there is no measurement."""
    camera_matrix: NDArray[np.float64]
    """(3, 3), the crop's own K, as it is written."""
    pixel_centre: float
    """0 or 0.5; 0.5 in datasets of before there was a choice."""
    object_id: NDArray[np.int64]
    """(G,), BOP's `obj_id`."""
    rotation: NDArray[np.float64]
    """(G, 3, 3)."""
    translation: NDArray[np.float64]
    """(G, 3)."""
    mask: NDArray[np.bool_]
    """(G, H, W), whole silhouettes."""
    mask_visib: NDArray[np.bool_]
    """(G, H, W), what is seen of them."""
    bbox_obj: NDArray[np.int64]
    """(G, 4), of the whole object, also beyond the border."""
    bbox_visib: NDArray[np.int64]
    """(G, 4), of what is seen; -1 where nothing is."""
    px_count_all: NDArray[np.int64]
    """(G,), pixels of the whole object, also beyond the border."""
    px_count_valid: NDArray[np.int64]
    """(G,), pixels of the silhouette at which depth was measured."""
    px_count_visib: NDArray[np.int64]
    """(G,), pixels that are seen."""
    visib_fract: NDArray[np.float64]
    """(G,), px_count_visib / px_count_all."""

    @property
    def quaternion(self) -> NDArray[np.float64]:
        """(G, 4), the rotations as (w, x, y, z), unit, w >= 0."""
        return quaternion_from_matrix(self.rotation)


_INFO = {
    "bbox_obj": (4,), "bbox_visib": (4,), "px_count_all": (), "px_count_valid": (),
    "px_count_visib": (), "visib_fract": (),
}  # fmt: skip


def assemble_crop(
    scene_id: int,
    im_id: int,
    rgb: bytes,
    depth: bytes,
    camera: Mapping[str, Any],
    gt: Sequence[Mapping[str, Any]],
    gt_info: Sequence[Mapping[str, Any]],
    masks: Mapping[str, Sequence[NDArray[np.bool_]]],
) -> LabelledCrop:
    """A crop of what BOP's files hold.

    Args:
        scene_id, im_id: which one.
        rgb: a PNG or JPEG file.
        depth: a PNG file.
        camera, gt, gt_info: its entries of `scene_camera.json`, `scene_gt.json` and
            `scene_gt_info.json`.
        masks: `mask` and `mask_visib`, each with an (H, W) mask for each entry of `gt`.

    Raises:
        KeyError, TypeError, ValueError: something is missing, malformed or does not fit the rest.
    """
    count = len(gt)
    shape = crop_shape(rgb, count)
    color = _decoded(rgb, cv2.IMREAD_COLOR, shape)
    steps = decode_png(depth, cv2.IMREAD_UNCHANGED, shape)
    if steps.dtype != np.uint16 or steps.shape != shape:
        raise ValueError("depth is not 16-bit or not of the size of rgb")
    if count == 0 or len(gt_info) != count:
        raise ValueError("it has not as many poses as counts")
    for kind in ("mask", "mask_visib"):
        if len(masks[kind]) != count or any(mask.shape != shape for mask in masks[kind]):
            raise ValueError(f"its {kind} files do not fit the image and its poses")
    info = {
        name: np.array([entry[name] for entry in gt_info]).reshape(count, *sides)
        for name, sides in _INFO.items()
    }
    if any(info[name].dtype.kind != "i" for name in _INFO if name != "visib_fract"):
        raise ValueError("boxes and counts are not whole numbers")
    camera_matrix = np.array(camera["cam_K"], np.float64).reshape(3, 3)
    scale = float(camera["depth_scale"])
    rotation = np.array([entry["cam_R_m2c"] for entry in gt], np.float64).reshape(count, 3, 3)
    translation = np.array([entry["cam_t_m2c"] for entry in gt], np.float64).reshape(count, 3)
    if not all(np.isfinite(v).all() for v in (camera_matrix, scale, rotation, translation)):
        raise ValueError("its camera or a pose is not of finite numbers")
    return LabelledCrop(
        scene_id=scene_id,
        im_id=im_id,
        rgb=cv2.cvtColor(color, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False),
        depth=(steps * scale).astype(np.float32),
        camera_matrix=camera_matrix,
        pixel_centre=read_pixel_centre(camera),
        object_id=np.array([int(entry["obj_id"]) for entry in gt]),
        rotation=rotation,
        translation=translation,
        mask=np.stack(masks["mask"]),
        mask_visib=np.stack(masks["mask_visib"]),
        bbox_obj=info["bbox_obj"],
        bbox_visib=info["bbox_visib"],
        px_count_all=info["px_count_all"],
        px_count_valid=info["px_count_valid"],
        px_count_visib=info["px_count_visib"],
        visib_fract=info["visib_fract"].astype(np.float64),
    )


def crop_shape(rgb: bytes, objects: int) -> tuple[int, int]:
    """(H, W) of a crop with so many objects, before anything of it is decoded.

    Raises:
        ValueError: it is neither a PNG nor a JPEG file, or with all masks larger than any
            dataset's.
    """
    size = picture_size(rgb) if rgb.startswith((_PNG, _JPEG)) else None
    if size is None or not 0 < size[0] * size[1] * (1 + objects) <= MOST_PIXELS:
        raise ValueError("an image is neither a PNG nor a JPEG file, or too large")
    return size[1], size[0]


def decode_png(content: bytes, flags: int, shape: tuple[int, int]) -> NDArray[Any]:
    """An image, colours in OpenCV's order.

    Args:
        content: a PNG file.
        flags: OpenCV's flag.
        shape: (H, W) that it must have: a few bytes can claim gigabytes.

    Raises:
        ValueError: it is damaged, no PNG, or of another size.
    """
    if not content.startswith(_PNG) or picture_size(content) != shape[::-1]:
        raise ValueError("an image is no PNG file, or not of the size of rgb")
    return _decoded(content, flags, shape)


def _decoded(content: bytes, flags: int, shape: tuple[int, int]) -> NDArray[Any]:
    image = decode_picture(content, flags)
    if image is None or image.shape[:2] != shape:
        raise ValueError("an image is damaged")
    return np.asarray(image)
