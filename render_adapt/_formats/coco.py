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
    whole: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    ignore: bool,
) -> dict[str, Any]:
    """An entry of `annotations`: the visible mask, and the box of the whole silhouette.

    Args:
        annotation_id, image_id, category_id: as in the COCO format.
        whole: (H, W), the silhouette within the image. Its box, [x, y, width, height] with widths
            that count pixels, is what bop_toolkit takes for COCO: `bbox_obj` goes on beyond the
            border.
        visible: (H, W), what is seen of it.
        ignore: whether evaluation is to leave this one out.
    """
    height, width = visible.shape
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": 0,
        "area": int(visible.sum()),
        "bbox": coco_box(whole),
        "segmentation": encode_mask(visible),
        "width": width,
        "height": height,
        "ignore": ignore,
    }


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """A mask as uncompressed COCO run lengths: column by column, beginning with a run of zeros."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return {"counts": counts.tolist(), "size": list(mask.shape)}


def decode_mask(encoded: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """What `encode_mask` wrote.

    Args:
        encoded: run lengths.
        shape: (H, W) that it must have: a few run lengths can claim gigabytes.

    Raises:
        ValueError: these are not run lengths, or do not fill a mask of that size.
    """
    height, width = shape
    pixels = height * width
    try:
        counts = np.array(encoded["counts"])
        # One by one before their sum, which might run over.
        fits = counts.ndim == 1 and counts.dtype.kind == "i" and bool((counts <= pixels).all())
        fits = fits and bool(counts.min(initial=0) >= 0 and counts.sum() == pixels > 0)
        fits = fits and list(encoded["size"]) == [height, width]
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError("a mask's run lengths do not fill it")
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape((height, width), order="F")


def coco_box(mask: NDArray[np.bool_]) -> list[int]:
    """x, y, width and height in pixels of the tight box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]
