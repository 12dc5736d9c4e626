"""Labels derived anew: poses are drawn again, and what is on disk must be what they show."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._formats.coco import coco_annotation
from render_adapt._formats.image import DEPTH_SCALE
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._formats.labels import box_corners, label_crops
from render_adapt._formats.pixel_centre import INSIDE, read_pixel_centre, recounted
from renderer import (
    Centre,
    CropBatch,
    Instances,
    Plans,
    RenderError,
    Surfaces,
    centre_points,
    make_renderer,
    matrix_from_quaternion,
)

MASKS = ("mask", "mask_visib")
SUBPIXEL = 0.02
"""Pixels. Engines and machines do not round alike: a pixel whose centre is as near to an outline as
this may be on either side of it."""
_ROUNDING = 0.01
"""Millimetres of depth, for the same reason."""
_AROUND = [(x, y) for x in (-SUBPIXEL, 0, SUBPIXEL) for y in (-SUBPIXEL, 0, SUBPIXEL)]
_FARTHEST = 65535 * DEPTH_SCALE
"""Millimetres: what the depth PNG reaches to."""
_PIXELS_AT_ONCE = 2**20
_TURN_ROUNDING = 1e-6
"""Of the entries of rotation matrices; poses are written to the last digit."""


class WrongLabelError(Exception):
    """A label on disk is not what its crop shows.

    Args:
        kind: where it is: camera, gt, gt_info, mask, mask_visib, depth or index.
        row: which of the crops that were checked.
        instance: which of its objects.
        problem: what is wrong, as it goes on after the file's name.
    """

    def __init__(self, kind: str, row: int, instance: int, problem: str) -> None:
        super().__init__(kind, row, instance, problem)
        self.kind, self.row, self.instance, self.problem = kind, row, instance, problem


@dataclass(frozen=True)
class LabelRules:
    """What a run's settings say of its labels."""

    exact_depth: bool
    """Depth is the z-buffer's, to half a step of the PNG; elsewhere see `depth_limit`."""
    adapter_limit: float
    """Millimetres, 0 without an adapter."""
    sensor_limit: float
    """Millimetres at 1 m, 0 without a depth sensor; it grows with z squared."""
    board: bool
    """A board, or what stands in the frame that a crop was cut from, may hide what no object of the
    crop hides."""
    shape: tuple[int, int]
    """Height and width of the crops, pixels."""
    centre: Centre = "box"
    """What of the target is in the middle of a crop, before any jitter."""
    pixel_centre: float = INSIDE
    """Where the first pixel's centre is in the coordinates of K."""

    @staticmethod
    def of_run(manifest: Mapping[str, Any]) -> LabelRules:
        """Those that follow from a run's manifest.

        Raises:
            KeyError, TypeError, ValueError: it lacks a setting.
        """
        randomization = manifest["randomization"]
        sensor = randomization["depth_sensor"]
        adapted = manifest["adapter"] is not None
        # Measured: the shipped adapter's median is off by 3 % of the window, by 25 % in the worst
        # crop of 1000 with occluders; a structured-light sensor's by 1.2 mm, 3.3 mm at worst, at up
        # to 1.1 m.
        sensor_limit = {"exact": 0.0, "structured-light": 20.0}
        plan = manifest["plan"]
        return LabelRules(
            exact_depth=not adapted and sensor == "exact",
            adapter_limit=plan["window"] / 2 if adapted else 0.0,
            sensor_limit=sensor_limit.get(sensor, 5 * randomization["depth_noise"][1]),
            board=any(kind in randomization["background"] for kind in ("board", "frame")),
            shape=(plan.get("height") or plan["size"], plan.get("width") or plan["size"]),
            centre=_centre_of(plan),
            pixel_centre=read_pixel_centre(manifest["conventions"]),
        )

    def depth_limit(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much half of an object's pixels may be off at distances, all millimetres."""
        return self.adapter_limit + self.sensor_limit * (distance / 1000) ** 2


def _centre_of(plan: Mapping[str, Any]) -> Centre:
    centre: Centre = plan.get("centre", "box")
    if centre not in get_args(Centre):
        raise ValueError("it has a centre that there is not")
    return centre


class LabelChecker:
    """Checks crops against the models that their dataset brings with it."""

    def __init__(self, models: Sequence[CadModel], rules: LabelRules) -> None:
        self._models = models
        self._places = {model.object_id: place for place, model in enumerate(models)}
        # Blender's own Python has no compiler for the rasteriser, and an engine that draws alike.
        engine = "raster" if importlib.util.find_spec("numba") else "blender"
        self._renderer = make_renderer(engine, models, levels=False, samples=1)
        self._rules = rules
        height, width = rules.shape
        self.at_once = max(1, min(64, _PIXELS_AT_ONCE // (height * width)))
        """How many crops are best checked together."""

    def check(self, crops: Sequence[LabelledCrop], index: Mapping[str, NDArray[Any]]) -> None:
        """Check some crops of one size.

        Args:
            crops: as they are on disk, with their labels.
            index: the index's columns, of these crops.

        Raises:
            WrongLabelError: a label is not true.
        """
        for row, crop in enumerate(crops):
            self._check_numbers(row, crop)
        plans = self._plans(crops)
        try:
            drawn = self._renderer.render(plans)
        except RenderError as error:
            raise WrongLabelError("gt", 0, 0, f"has a pose that cannot be drawn: {error}") from None
        stored = _as_batch(crops, drawn)
        self._check_masks(stored, drawn)
        self._check_depth(stored, drawn)
        self._check_counts(crops, stored)
        self._check_index(crops, plans, index)

    def _check_numbers(self, row: int, crop: LabelledCrop) -> None:
        """K and the poses, by themselves."""
        if crop.depth.shape != self._rules.shape:
            raise WrongLabelError("depth", row, 0, "is not of the run's size")
        k = crop.camera_matrix
        plain = np.array([[k[0, 0], 0, k[0, 2]], [0, k[1, 1], k[1, 2]], [0, 0, 1]])
        if not (np.isfinite(k).all() and (k == plain).all() and k[0, 0] > 0 < k[1, 1]):
            raise WrongLabelError("camera", row, 0, f"has a K that is no camera's: {k.tolist()}")
        if crop.pixel_centre != self._rules.pixel_centre:
            raise WrongLabelError(
                "camera", row, 0,
                f"has a K with the first pixel's centre at {crop.pixel_centre:g}, and the run has "
                f"it at {self._rules.pixel_centre:g}",
            )  # fmt: skip
        for instance, object_id in enumerate(crop.object_id.tolist()):
            rotation, translation = crop.rotation[instance], crop.translation[instance]
            off = np.abs(rotation @ rotation.T - np.eye(3)).max()
            if not off < _TURN_ROUNDING or np.linalg.det(rotation) < 0:
                raise WrongLabelError("gt", row, instance, "has a cam_R_m2c that is no rotation")
            if not np.isfinite(translation).all():
                raise WrongLabelError("gt", row, instance, "has a cam_t_m2c that is not finite")
            if object_id not in self._places:
                raise WrongLabelError(
                    "gt", row, instance, f"names object {object_id}, which is not in models/"
                )

    def _plans(self, crops: Sequence[LabelledCrop]) -> Plans:
        """The crops' poses as the renderer takes them; light and surfaces do not matter here."""
        count, most = len(crops), max(len(crop.object_id) for crop in crops)
        object_index = np.full((count, most), -1, np.int32)
        rotation = np.tile(np.eye(3), (count, most, 1, 1))
        translation = np.zeros((count, most, 3))
        for row, crop in enumerate(crops):
            objects = len(crop.object_id)
            object_index[row, :objects] = [
                self._places[number] for number in crop.object_id.tolist()
            ]
            rotation[row, :objects], translation[row, :objects] = crop.rotation, crop.translation
        height, width = self._rules.shape
        centres = centre_points(self._models, self._rules.centre)[object_index[:, 0]]
        return Plans(
            index=np.arange(count),
            object_index=object_index[:, 0],
            rotation=rotation[:, 0],
            translation=translation[:, 0],
            others=Instances(object_index[:, 1:], rotation[:, 1:], translation[:, 1:]),
            camera_matrix=recounted(
                np.stack([crop.camera_matrix for crop in crops]), self._rules.pixel_centre, INSIDE
            ),
            centre_depth=(rotation[:, 0] @ centres[:, :, None])[:, 2, 0] + translation[:, 0, 2],
            light_direction=np.tile(np.array([0, 0, -1], np.float32), (count, 1, 1)),
            light_color=np.ones((count, 1, 3), np.float32),
            ambient_color=np.ones((count, 3), np.float32),
            surfaces=Surfaces.plain(count, most - 1),
            width=width,
            height=height,
        )

    def _check_index(
        self, crops: Sequence[LabelledCrop], plans: Plans, index: Mapping[str, NDArray[Any]]
    ) -> None:
        """The index says of each target what the other files say of it."""
        quaternions = index["quaternion"]
        length = np.linalg.norm(quaternions, axis=1)
        for row in np.flatnonzero(~(np.abs(length - 1) < 1e-9) | ~(quaternions[:, 0] >= 0)):
            raise WrongLabelError(
                "index", int(row), 0,
                f"has the quaternion {quaternions[row].tolist()}, which is not unit with w >= 0",
            )  # fmt: skip
        expected = {
            "quaternion": (matrix_from_quaternion(quaternions), plans.rotation),
            "translation": (index["translation"], plans.translation),
            "camera_matrix": (
                index["camera_matrix"].reshape(-1, 3, 3),
                np.stack([crop.camera_matrix for crop in crops]),
            ),
            "centre_depth": (index["centre_depth"], plans.centre_depth),
            "box_corners": (
                index["box_corners"].reshape(-1, 8, 2) + (INSIDE - self._rules.pixel_centre),
                box_corners(plans, self._models),
            ),
            "obj_id": (index["obj_id"], np.array([crop.object_id[0] for crop in crops])),
            "others": (index["others"], np.array([len(crop.object_id) - 1 for crop in crops])),
        }  # fmt: skip
        for name in ("bbox_obj", "bbox_visib", "visib_fract"):
            expected[name] = index[name], np.array([getattr(crop, name)[0] for crop in crops])
        for name, (in_index, in_crops) in expected.items():
            differs = ~np.isclose(in_index, in_crops, rtol=1e-6, atol=_TURN_ROUNDING)
            for row in np.flatnonzero(differs.reshape(len(crops), -1).any(axis=1)):
                raise WrongLabelError(
                    "index", int(row), 0, f"has a {name} that the other files do not have"
                )

    def _check_masks(self, stored: CropBatch, drawn: CropBatch) -> None:
        """Masks are what the poses show, but for pixels that rounding decides."""
        off = self._pixels_off(stored, [drawn])
        rows = np.flatnonzero(off["mask"].any(axis=1) | off["mask_visib"].any(axis=1))
        if not len(rows):
            return
        off = self._pixels_off(stored[rows], self._around(drawn.plans[rows]))
        for kind, pixels in off.items():
            for row, instance in np.argwhere(pixels).tolist():
                raise WrongLabelError(
                    kind, int(rows[row]), instance,
                    f"differs by {pixels[row, instance]} pixels from what the pose shows",
                )  # fmt: skip

    def _pixels_off(
        self, stored: CropBatch, drawings: Sequence[CropBatch]
    ) -> dict[str, NDArray[np.int64]]:
        """(N, K) for each kind of mask, how many pixels are as in none of the drawings."""
        drawn = zip(*(_all_masks(drawing) for drawing in drawings), strict=True)
        off = {}
        for kind, stored_masks, drawn_masks in zip(MASKS, _all_masks(stored), drawn, strict=True):
            least, most = np.logical_and.reduce(drawn_masks), np.logical_or.reduce(drawn_masks)
            if kind == "mask_visib" and self._rules.board:
                least = np.zeros_like(least)
            off[kind] = np.count_nonzero(
                (stored_masks & ~most) | (least & ~stored_masks), axis=(2, 3)
            )
        return off

    def _check_depth(self, stored: CropBatch, drawn: CropBatch) -> None:
        """Depth is where the poses put what is seen: of each pixel, or of half of them."""
        visible = _all_masks(stored)[1].any(axis=1) & (drawn.depth < _FARTHEST)
        off, rows = np.abs(stored.depth - drawn.depth), np.arange(len(stored))
        if self._rules.exact_depth:
            limit = DEPTH_SCALE / 2 + _ROUNDING
            rows = np.flatnonzero((visible & (off > limit)).any(axis=(1, 2)))
            around = [crops.depth for crops in self._around(drawn.plans[rows])]
            nearest, farthest = np.min(around, axis=0), np.max(around, axis=0)
            stored_depth = stored.depth[rows]
            beyond = np.maximum(nearest - stored_depth, stored_depth - farthest)
            # Where it is steep, it may also rise further between the places that were looked at.
            off = np.where(visible[rows], beyond - (farthest - nearest), 0.0)
            worst = off.max(axis=(1, 2), initial=0.0)
            limits = np.full(len(rows), limit)
        else:
            measured = visible & (stored.depth > 0) & (drawn.depth > 0)
            worst = np.array(
                [np.median(off[row][measured[row]]) if measured[row].any() else 0 for row in rows]
            )
            limits = self._rules.depth_limit(drawn.plans.translation[:, 2])
        for row in np.flatnonzero(worst > limits):
            raise WrongLabelError(
                "depth", int(rows[row]), 0,
                f"is {worst[row]:.1f} mm off what the pose shows, {limits[row]:.2f} at most",
            )  # fmt: skip

    def _check_counts(self, crops: Sequence[LabelledCrop], stored: CropBatch) -> None:
        """Boxes and counts are those of the masks; beyond the border, of the poses."""
        labels = label_crops(stored, self._renderer, self._models)
        for row, (crop, of_crop) in enumerate(zip(crops, labels, strict=True)):
            for instance, label in enumerate(of_crop):
                off = 2 + label.px_count_all // 100
                slack = {"bbox_obj": 1, "px_count_all": off}
                for name, expected in asdict(label).items():
                    stored_value = getattr(crop, name)[instance]
                    if name == "visib_fract":
                        most = int(crop.px_count_all[instance])
                        expected = label.px_count_visib / most if most else 0.0
                    if not (np.abs(stored_value - np.array(expected)) <= slack.get(name, 0)).all():
                        raise WrongLabelError(
                            "gt_info", row, instance,
                            f"has {name} {stored_value.tolist()}, and masks and pose show "
                            f"{expected}",
                        )  # fmt: skip

    def _around(self, plans: Plans) -> list[CropBatch]:
        """The crops as they are, and seen a trace to each side."""
        drawings = []
        for across, down in _AROUND:
            camera_matrix = plans.camera_matrix.copy()
            camera_matrix[:, :2, 2] += across, down
            drawings.append(self._renderer.render(replace(plans, camera_matrix=camera_matrix)))
        return drawings


def annotation_problem(crop: LabelledCrop, annotations: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with the COCO annotations of a crop, if anything.

    Convention:
        Objects of which nothing is seen have none; boxes are of silhouettes within the crop, and
        their widths count pixels.
    """
    visible_instances = np.flatnonzero(crop.px_count_visib)
    if len(annotations) != len(visible_instances):
        return f"has {len(annotations)} annotations where {len(visible_instances)} objects are seen"
    for instance, entry in zip(visible_instances, annotations, strict=True):
        expected = coco_annotation(
            annotation_id=entry.get("id", 0), image_id=crop.im_id,
            category_id=int(crop.object_id[instance]), whole=crop.mask[instance],
            visible=crop.mask_visib[instance], ignore=bool(crop.visib_fract[instance] < 0.1),
        )  # fmt: skip
        for name, value in expected.items():
            if entry.get(name) != value:
                return f"has a {name} that is not what the masks show"
    return None


def _as_batch(crops: Sequence[LabelledCrop], drawn: CropBatch) -> CropBatch:
    """Crops on disk as the renderer would have made them; without colours."""
    count, most = len(crops), 1 + drawn.others_mask.shape[1]
    whole = np.zeros((count, most, *drawn.depth.shape[1:]), bool)
    visible = np.zeros_like(whole)
    for row, crop in enumerate(crops):
        whole[row, : len(crop.mask)], visible[row, : len(crop.mask)] = crop.mask, crop.mask_visib
    return replace(
        drawn,
        depth=np.stack([crop.depth for crop in crops]),
        mask=whole[:, 0], mask_visib=visible[:, 0],
        others_mask=whole[:, 1:], others_mask_visib=visible[:, 1:],
    )  # fmt: skip


def _all_masks(crops: CropBatch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N, K, H, W) twice, of all objects, the target first: whole and visible."""
    return (
        np.concatenate([crops.mask[:, None], crops.others_mask], axis=1),
        np.concatenate([crops.mask_visib[:, None], crops.others_mask_visib], axis=1),
    )
