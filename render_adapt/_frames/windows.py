"""Windows of whole frames: around each object a square such as adapters were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import Centre, CropBatch, Instances, Plans, Surfaces, centre_points, window_pixels

_Value = TypeVar("_Value", np.float32, np.bool_)

_LARGEST = 4
"""Frame sides: a window that is larger, around an object that nearly touches the camera, is left
out."""
_MOST = 64
"""Windows for an object: one that is larger than these is left out."""
_MARGIN = 8
"""Where a window is one of several, one such part of its side is left around the object."""


@dataclass(frozen=True)
class Windows:
    """W squares of a batch of frames, each around an object that is seen.

    Convention:
        Pixels of the frame, whole ones; a square may reach over its frame's border.
    """

    row: NDArray[np.int64]
    """(W,), which frame of the batch."""
    number: NDArray[np.int64]
    """(W,), which object of the frame: 0 its target, k the k-th of its others."""
    corner: NDArray[np.int64]
    """(W, 2), the first column and line."""
    side: NDArray[np.int64]
    """(W,), an even number of pixels."""
    centre_depth: NDArray[np.float64]
    """(W,), z of the point in the middle, millimetres."""

    def __len__(self) -> int:
        return len(self.row)


def seen_masks(frames: CropBatch) -> NDArray[np.bool_]:
    """(N, 1 + K, H, W), what is seen of each object, the target first."""
    return np.concatenate([frames.mask_visib[:, None], frames.others_mask_visib], axis=1)


def find_windows(
    frames: CropBatch,
    seen: NDArray[np.bool_],
    models: Sequence[CadModel],
    window: float,
    centre: Centre,
) -> Windows:
    """The windows of all objects that are seen.

    A window shows `window` millimetres at its object's distance, as LINEMOD's crops do, but for
    less than a pixel.

    Args:
        frames: N frames.
        seen: `seen_masks` of them.
        models: those that the frames' plans were made for.
        window: side of the square, millimetres.
        centre: what of the object is in its middle.
    """
    plans = frames.plans
    object_index = np.column_stack([plans.object_index, plans.others.object_index])
    rotation = np.concatenate([plans.rotation[:, None], plans.others.rotation], axis=1)
    translation = np.concatenate([plans.translation[:, None], plans.others.translation], axis=1)
    row, number = np.nonzero((object_index >= 0) & seen.any(axis=(2, 3)))
    points = centre_points(models, centre)[object_index[row, number]]
    place = (rotation[row, number] @ points[:, :, None])[:, :, 0] + translation[row, number]
    depth = np.maximum(place[:, 2], 1e-9)
    camera = plans.camera_matrix[row]
    side = window_pixels(1.0, window, depth / camera[:, 0, 0])
    middle = (camera @ place[:, :, None])[:, :2, 0] / depth[:, None]
    if centre == "visible":
        middle = np.array([_middle_of(seen[key]) for key in zip(row, number, strict=True)])
        middle = middle.reshape(-1, 2)
    needed = [_needed(seen[tuple(key)], int(s)) for *key, s in zip(row, number, side, strict=True)]
    usable = (place[:, 2] > 0) & (side <= _LARGEST * max(plans.width, plans.height))
    usable &= np.array(needed, np.int64) <= _MOST
    rows = np.flatnonzero(usable & (np.abs(middle) < 1e6).all(axis=1))
    corner = np.rint(middle[rows]).astype(np.int64) - side[rows, None] // 2
    return Windows(row[rows], number[rows], corner, side[rows], depth[rows])


def further_windows(windows: Windows, seen: NDArray[np.bool_]) -> tuple[Windows, NDArray[np.int64]]:
    """Windows beside an object's own, where it is larger than that.

    Args:
        windows: W, each around an object.
        seen: `seen_masks` of their frames.

    Returns:
        E windows, and (E,) which of the W each is beside.
    """
    corners, beside = [], []
    for w in range(len(windows)):
        mask = seen[windows.row[w], windows.number[w]]
        for corner in _around(windows.corner[w], int(windows.side[w]), mask):
            corners.append(corner)
            beside.append(w)
    of = np.array(beside, np.int64)
    corner = np.array(corners, np.int64).reshape(-1, 2)
    further = Windows(
        windows.row[of], windows.number[of], corner, windows.side[of], windows.centre_depth[of]
    )
    return further, of


def cut_windows(
    frames: CropBatch,
    seen: NDArray[np.bool_],
    windows: Windows,
    size: int,
    *,
    keeps_background: bool,
) -> CropBatch:
    """Windows as crops of an adapter's size; all objects but each one's own are one other.

    Args:
        frames: N frames.
        seen: `seen_masks` of them.
        windows: W of their windows.
        size: side of the crops, pixels.
        keeps_background: whether what is behind the objects is shown, and depth exactly; else the
            objects are on black, with depth as it was measured.
    """
    count = len(windows)
    rgb = np.empty((count, size, size, 3), np.uint8)
    target, others = np.empty((2, count, size, size), bool)
    depth, object_depth = np.empty((2, count, size, size), np.float32)
    exact = frames.depth if frames.exact_depth is None else frames.exact_depth
    measured = exact if keeps_background else frames.depth
    for w in range(count):
        row, pixels = windows.row[w], _Pixels.of(windows, w, frames.plans)
        own = pixels.cut(seen[row, windows.number[w]])
        objects = pixels.cut(seen[row].any(axis=0))
        colors = pixels.extended(frames.rgb[row])
        if not keeps_background:
            colors = np.where(objects[..., None], colors, np.uint8(0))
        rgb[w] = shrink(colors, size)
        target[w] = shrink(own.astype(np.float32), size) >= 0.5
        others[w] = (shrink(objects.astype(np.float32), size) >= 0.5) & ~target[w]
        object_depth[w] = _mean_depth(pixels.cut(exact[row]), own, size) * target[w]
        near = pixels.cut(measured[row])
        depth[w] = np.where(target[w], _mean_depth(near, own, size), 0)
        depth[w] += others[w] * _mean_depth(near, objects & ~own, size)
    return CropBatch(
        plans=_plans_of(frames.plans, windows, size), rgb=rgb, depth=depth,
        object_depth=object_depth, mask=target, mask_visib=target,
        others_mask=others[:, None], others_mask_visib=others[:, None],
    )  # fmt: skip


def shrink(image: NDArray[np.uint8 | np.float32], size: int) -> NDArray[np.float32]:
    """A square picture at another size: averaged over area where that is smaller."""
    method = cv2.INTER_AREA if len(image) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method))


@dataclass(frozen=True)
class _Pixels:
    """Which pixels of a frame a window has."""

    lines: NDArray[np.int64]
    columns: NDArray[np.int64]
    inside: NDArray[np.bool_]
    """(side, side), False beyond the frame's border."""

    @staticmethod
    def of(windows: Windows, w: int, plans: Plans) -> _Pixels:
        steps = np.arange(windows.side[w])
        columns, lines = windows.corner[w, 0] + steps, windows.corner[w, 1] + steps
        within = (lines >= 0) & (lines < plans.height), (columns >= 0) & (columns < plans.width)
        return _Pixels(
            lines.clip(0, plans.height - 1), columns.clip(0, plans.width - 1), np.outer(*within)
        )

    def extended(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The window of a picture, whose border goes on as it is."""
        return np.asarray(image[self.lines[:, None], self.columns])

    def cut(self, image: NDArray[_Value]) -> NDArray[_Value]:
        """The window of a mask or of depth, nothing beyond the border."""
        return np.asarray(image[self.lines[:, None], self.columns] * self.inside, image.dtype)


def _mean_depth(
    depth: NDArray[np.float32], inside: NDArray[np.bool_], size: int
) -> NDArray[np.float32]:
    """(size, size), the mean over what is measured on an object; 0 where that is less than half of
    what there is of it."""
    known = inside & (depth > 0)
    share, weight = (shrink(mask.astype(np.float32), size) for mask in (inside, known))
    total = shrink(np.where(known, depth, np.float32(0)), size)
    mean = total / np.maximum(weight, np.float32(1e-6))
    return np.where((weight > 0) & (weight >= 0.5 * share), mean, np.float32(0))


def _plans_of(plans: Plans, windows: Windows, size: int) -> Plans:
    """What the windows show, with a K of their own."""
    row, number = windows.row, windows.number
    object_index = np.column_stack([plans.object_index, plans.others.object_index])
    rotation = np.concatenate([plans.rotation[:, None], plans.others.rotation], axis=1)
    translation = np.concatenate([plans.translation[:, None], plans.others.translation], axis=1)
    camera_matrix = plans.camera_matrix[row]
    camera_matrix[:, :2, 2] -= windows.corner
    camera_matrix[:, :2] *= (size / windows.side)[:, None, None]
    return Plans(
        index=plans.index[row],
        object_index=object_index[row, number],
        rotation=rotation[row, number],
        translation=translation[row, number],
        others=Instances.none(len(row)),
        camera_matrix=camera_matrix,
        centre_depth=windows.centre_depth,
        light_direction=plans.light_direction[row],
        light_color=plans.light_color[row],
        ambient_color=plans.ambient_color[row],
        surfaces=Surfaces.plain(len(row)),
        width=size,
        height=size,
    )


def _around(
    corner: NDArray[np.int64], side: int, mask: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Corners of few windows that show what of a mask is outside of its own, and as much of the
    rest as they can."""
    rest, corners = mask.copy(), []
    _within(rest, corner, side)[:] = False
    if not rest.any():
        return []
    margin = side // _MARGIN
    last = [np.flatnonzero(mask.any(axis=axis))[-1] + 1 + margin - side for axis in (0, 1)]
    while rest.any():
        top = min(int(np.argmax(rest.any(axis=1))) - margin, last[1])
        lines = rest[max(top, 0) : top + side]
        left = min(int(np.argmax(lines.any(axis=0))) - margin, last[0])
        corners.append(np.array([left, top], np.int64))
        _within(rest, corners[-1], side)[:] = False
    return corners


def _needed(mask: NDArray[np.bool_], side: int) -> int:
    """About how many windows of a side cover a mask."""
    spans = [np.ptp(np.flatnonzero(mask.any(axis=axis))) for axis in (0, 1)]
    return int((1 + spans[0] // side) * (1 + spans[1] // side))


def _within(mask: NDArray[np.bool_], corner: NDArray[np.int64], side: int) -> NDArray[np.bool_]:
    left, top = corner.tolist()
    return mask[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]


def _middle_of(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The middle of a mask's box, from the frame's corner."""
    columns, lines = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return (columns[0] + columns[-1] + 1) / 2, (lines[0] + lines[-1] + 1) / 2
