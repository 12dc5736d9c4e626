"""Facts about labels that are counted from masks, as bop_toolkit counts them, and box corners."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
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
    other_numbers = np.flatnonzero(plans.others.object_index[row] >= 0)
    return [Place(row, 0), *(Place(row, 1 + int(number)) for number in other_numbers)]


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

    An object that reaches over the border is drawn alone on the canvas; its pixels within the crop
    are counted there all the same.

    Args:
        crops: N crops.
        renderer: what rendered them.
        models: the run's.

    Returns:
        One list for each crop, in the order of `places_of`.
    """
    plans = crops.plans
    row, number = _all_places(plans)
    whole = np.concatenate([crops.mask[:, None], crops.others_mask], axis=1)[row, number]
    visible = np.concatenate([crops.mask_visib[:, None], crops.others_mask_visib], axis=1)
    visible = visible[row, number]
    pixels, boxes = _pixels(whole), _boxes(whole)
    beyond = np.flatnonzero(_reaches_out(plans, row, number, models))
    at_once = max(1, _CANVAS_PIXELS // (9 * plans.width * plans.height))
    for first in range(0, len(beyond), at_once):
        chunk = beyond[first : first + at_once]
        canvas = renderer.silhouettes(_on_canvas(plans, row[chunk], number[chunk]))
        within = np.s_[:, plans.height : 2 * plans.height, plans.width : 2 * plans.width]
        # Within the crop its own mask counts: round-off may not make more visible than there is.
        canvas[within] = whole[chunk]
        pixels[chunk], boxes[chunk] = _pixels(canvas), _boxes(canvas)
        boxes[chunk, :2] -= plans.width, plans.height
    visible_pixels, visible_boxes = _pixels(visible), _boxes(visible)
    boxes[visible_pixels == 0] = NO_BOX
    measured = _pixels(whole & (crops.depth > 0)[row])
    labels: list[list[InstanceLabel]] = [[] for _ in range(len(crops))]
    for k, of_crop in enumerate(row):
        labels[of_crop].append(
            InstanceLabel(
                bbox_obj=tuple(boxes[k].tolist()),
                bbox_visib=tuple(visible_boxes[k].tolist()),
                px_count_all=int(pixels[k]),
                px_count_valid=int(measured[k]),
                px_count_visib=int(visible_pixels[k]),
                visib_fract=float(visible_pixels[k] / pixels[k]) if pixels[k] else 0.0,
            )
        )
    return labels


def box_corners(plans: Plans, models: Sequence[CadModel]) -> NDArray[np.float64]:
    """(N, 8, 2), where the corners of the targets' bounding boxes project to, pixels of K.

    Convention:
        Corner 4 i + 2 j + k has the least x, y and z of the box where i, j and k are 0, the
        greatest where they are 1.
    """
    corners = np.stack([_box_of(model) for model in models])[plans.object_index]
    return _project(corners, plans.rotation, plans.translation, plans.camera_matrix)


def instance_corners(
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    bounds: NDArray[np.float64],
    camera_matrix: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(8, 2), as `box_corners`, of one object.

    Args:
        rotation, translation: (3, 3) and (3,), its pose.
        bounds: (2, 3), the least and greatest x, y and z of its model.
        camera_matrix: (3, 3).
    """
    corners = np.array(list(itertools.product(*bounds.T)))
    projected = _project(corners, rotation[None], translation[None], camera_matrix[None])
    return np.asarray(projected[0])


def _all_places(plans: Plans) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(P,) twice: `Place.row` and `Place.number` of every object in every crop, crop by crop."""
    is_filled = (
        np.concatenate([plans.object_index[:, None], plans.others.object_index], axis=1) >= 0
    )
    row, number = np.nonzero(is_filled)
    return row, number


def _poses(
    plans: Plans, row: NDArray[np.intp], number: NDArray[np.intp]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Of P places: which model (P,), rotation (P, 3, 3) and translation (P, 3)."""
    others = plans.others
    object_index = np.concatenate([plans.object_index[:, None], others.object_index], axis=1)
    rotation = np.concatenate([plans.rotation[:, None], others.rotation], axis=1)
    translation = np.concatenate([plans.translation[:, None], others.translation], axis=1)
    return object_index[row, number], rotation[row, number], translation[row, number]


def _reaches_out(
    plans: Plans, row: NDArray[np.intp], number: NDArray[np.intp], models: Sequence[CadModel]
) -> NDArray[np.bool_]:
    """(P,), whether an object's convex hull reaches over the border of its crop."""
    object_index, rotation, translation = _poses(plans, row, number)
    camera_matrix = plans.camera_matrix[row]
    outside = np.zeros(len(row), bool)
    for model in np.unique(object_index):
        of_model = np.flatnonzero(object_index == model)
        # First the few corners of the box: of those within nothing is outside, and where all are
        # nobody waits for a hull.
        for corners_of in (_box_of, _hull_of):
            if not len(of_model):
                break
            pixels = _project(
                corners_of(models[model]),
                rotation[of_model],
                translation[of_model],
                camera_matrix[of_model],
            )
            over = (pixels < 0) | (pixels > [plans.width, plans.height])
            of_model = of_model[np.any(over, axis=(1, 2))]
        outside[of_model] = True
    return outside


def _hull_of(model: CadModel) -> NDArray[np.float64]:
    return model.hull


def _box_of(model: CadModel) -> NDArray[np.float64]:
    """(8, 3), the corners of a model's bounding box, x changing last."""
    return np.array(list(itertools.product(*model.bounds.T)))


def _project(
    points: NDArray[np.float64],
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    camera_matrix: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(P, V, 2), where (V, 3) or (P, V, 3) points are seen in P poses, pixels of K."""
    turned = points @ (camera_matrix @ rotation).transpose(0, 2, 1)
    turned += (camera_matrix @ translation[:, :, None]).transpose(0, 2, 1)
    return np.asarray(turned[:, :, :2] / turned[:, :, 2:])


def _on_canvas(plans: Plans, row: NDArray[np.intp], number: NDArray[np.intp]) -> Plans:
    """Each object alone, seen through a window three times as wide and high."""
    object_index, rotation, translation = _poses(plans, row, number)
    camera_matrix = plans.camera_matrix[row]
    camera_matrix[:, :2, 2] += plans.width, plans.height
    return replace(
        plans[row],
        object_index=object_index,
        rotation=rotation,
        translation=translation,
        others=Instances.none(len(row)),
        surfaces=Surfaces.plain(len(row)),
        camera_matrix=camera_matrix,
        width=3 * plans.width,
        height=3 * plans.height,
    )


def _pixels(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(P,), how many pixels each of P masks has."""
    return np.asarray(np.count_nonzero(masks, axis=(1, 2)))


def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(P, 4), the tight box around each of P masks (see `InstanceLabel`)."""
    boxes = np.empty((len(masks), 4), np.int64)
    for axis, used in enumerate((np.any(masks, axis=1), np.any(masks, axis=2))):
        first, last = used.argmax(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
        boxes[:, axis], boxes[:, 2 + axis] = first, last - first
    boxes[~np.any(used, axis=1)] = NO_BOX
    return boxes
