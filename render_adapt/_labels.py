"""Facts about labels that are counted from masks, as bop_toolkit counts them, and box corners."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import CropBatch, Instances, Plans, Renderer, Surfaces

NO_BOX = (-1, -1, -1, -1)

_CANVAS_PIXELS = 2**22
"""Of the canvases that are rendered at once: a canvas of a whole frame takes some 80 MB."""


@dataclass(frozen=True)
class InstanceLabel:
    """One entry of `scene_gt_info.json`: the target, or another object in the crop.

    Convention:
        Boxes are [x, y, width, height] in pixels with width = x_max - x_min, as bop_toolkit writes
        them: a box one pixel wide has width 0. `bbox_obj` and `px_count_all` are of the whole
        silhouette on a canvas of 3 x 3 crops, as if nothing stood before it, so a box may begin
        left of 0. Of what is not seen at all both boxes are -1.
    """

    bbox_obj: tuple[int, int, int, int]
    bbox_visib: tuple[int, int, int, int]
    px_count_all: int
    px_count_valid: int
    """Pixels of the silhouette within the crop at which depth was measured."""
    px_count_visib: int
    visib_fract: float


@dataclass(frozen=True)
class Place:
    """An object in a batch: the target of a crop, or one of its others."""

    row: int
    """Of the batch."""
    number: int
    """0 is the target, k the k-th of the others."""


def places_of(plans: Plans, row: int) -> list[Place]:
    """The objects in a crop, its target first: the order of `scene_gt.json` and of mask files."""
    others = np.flatnonzero(plans.others.object_index[row] >= 0)
    return [Place(row, 0), *(Place(row, 1 + int(number)) for number in others)]


def pose_of(plans: Plans, place: Place) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Which model an object is, its rotation and its translation."""
    source: Plans | Instances = plans
    where: tuple[int, ...] = (place.row,)
    if place.number:
        source, where = plans.others, (place.row, place.number - 1)
    return int(source.object_index[where]), source.rotation[where], source.translation[where]


def masks_of(crops: CropBatch, place: Place) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(H, W) twice: an object's whole silhouette within the crop, and what is seen of it."""
    if place.number == 0:
        return crops.mask[place.row], crops.mask_visib[place.row]
    where = place.row, place.number - 1
    return crops.others_mask[where], crops.others_mask_visib[where]


def label_crops(
    crops: CropBatch, renderer: Renderer, models: Sequence[CadModel]
) -> list[list[InstanceLabel]]:
    """Count the labels of every object in every crop.

    An object that may reach over the border is rendered alone on the canvas; its pixels within the
    crop are counted there all the same.

    Args:
        crops: N crops.
        renderer: what rendered them.
        models: the run's.

    Returns:
        One list for each crop, in the order of `places_of`.
    """
    plans = crops.plans
    places = [place for row in range(len(crops)) for place in places_of(plans, row)]
    beyond = dict(_beyond_the_border(plans, places, renderer, models))
    labels: list[list[InstanceLabel]] = [[] for _ in range(len(crops))]
    for place in places:
        whole, visible = masks_of(crops, place)
        measured = int((whole & (crops.depth[place.row] > 0)).sum())
        label = _count(whole, visible, measured, beyond.get(place))
        labels[place.row].append(label)
    return labels


def box_corners(plans: Plans, place: Place, models: Sequence[CadModel]) -> NDArray[np.float64]:
    """(8, 2), where the corners of an object's bounding box project to, pixels of K.

    Convention:
        Corner 4 i + 2 j + k has the least x, y and z of the box where i, j and k are 0, the
        greatest where they are 1.
    """
    which, rotation, translation = pose_of(plans, place)
    corners = np.array(list(itertools.product(*models[which].bounds.T)))
    pixels = (corners @ rotation.T + translation) @ plans.camera_matrix[place.row].T
    return np.asarray(pixels[:, :2] / pixels[:, 2:])


def _count(
    whole: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    measured: int,
    canvas: NDArray[np.bool_] | None,
) -> InstanceLabel:
    seen = int(visible.sum())
    pixels, box = int(whole.sum()), _box(whole)
    if canvas is not None:
        height, width = whole.shape
        # Within the crop its own mask counts: round-off may not make more visible than there is.
        canvas[height : 2 * height, width : 2 * width] = whole
        pixels = int(canvas.sum())
        x, y, across, down = _box(canvas)
        box = (x - width, y - height, across, down)
    return InstanceLabel(
        bbox_obj=box if seen else NO_BOX,
        bbox_visib=_box(visible),
        px_count_all=pixels,
        px_count_valid=measured,
        px_count_visib=seen,
        visib_fract=seen / pixels if pixels else 0.0,
    )


def _beyond_the_border(
    plans: Plans, places: Sequence[Place], renderer: Renderer, models: Sequence[CadModel]
) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
    """Silhouettes on the canvas, (3 H, 3 W), of the objects whose boxes reach over the border."""
    outside = [place for place in places if _reaches_out(plans, place, models)]
    at_once = max(1, _CANVAS_PIXELS // (9 * plans.width * plans.height))
    for first in range(0, len(outside), at_once):
        some = outside[first : first + at_once]
        yield from zip(some, renderer.render(_on_canvas(plans, some)).mask, strict=True)


def _reaches_out(plans: Plans, place: Place, models: Sequence[CadModel]) -> bool:
    corners = box_corners(plans, place, models)
    return bool((corners < 0).any() or (corners > [plans.width, plans.height]).any())


def _on_canvas(plans: Plans, places: Sequence[Place]) -> Plans:
    """Each object alone, seen through a window three times as wide and high."""
    rows = np.array([place.row for place in places])
    poses = [pose_of(plans, place) for place in places]
    camera_matrix = plans.camera_matrix[rows].copy()
    camera_matrix[:, :2, 2] += plans.width, plans.height
    return replace(
        plans[rows],
        object_index=np.array([which for which, _, _ in poses], np.int32),
        rotation=np.stack([rotation for _, rotation, _ in poses]),
        translation=np.stack([translation for _, _, translation in poses]),
        others=Instances.none(len(places)),
        surfaces=Surfaces.plain(len(places)),
        camera_matrix=camera_matrix,
        width=3 * plans.width,
        height=3 * plans.height,
    )


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return NO_BOX
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x, int(rows[-1]) - y
