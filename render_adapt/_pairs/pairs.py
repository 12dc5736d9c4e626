"""An aligned dataset as pairs: what the camera saw, and renders in the same poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapter import AlignedPairs, TargetCut, encode
from adapter._cut import read_cut
from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._pairs.backgrounds import fill_backgrounds
from render_adapt._pairs.light import EVEN_LIGHT
from render_adapt._pairs.posed_crops import PosedCrops, read_posed_crops
from render_adapt._runs.manifest import MANIFEST, read_manifest, refuse_changed_manifest
from renderer import PicturePoses, PlanConfig, Plans, Renderer, centre_points, make_plans

LIGHTS = 4
"""Renders of each pair, each in another light."""
_AT_ONCE = 64
_KEPT_ITS_PLACE = 0.1
"""Share of what is seen around objects that other crops show too; chance alone gives 0."""


def read_pairs(
    folder: Path,
    models: Sequence[CadModel],
    plan: PlanConfig,
    renderer: Renderer,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[AlignedPairs, PosedCrops]:
    """The crops of an aligned dataset beside renders, and as they were read.

    Args:
        folder: what `render-adapt align` wrote.
        models: the run's objects; crops of others are left out.
        plan: how the crops are cut.
        renderer: of the models.
        seed: decides the lights, and what fills backgrounds.
        on_progress: called with (done, in all).

    Raises:
        DatasetError: the dataset cannot be read, or has no crop of these models, or of other ones
            with the same name, or crops of another size.
    """
    crops = read_posed_crops(folder, models, plan.size)
    plans, count = _plans(crops, models, plan), len(crops)
    renders = np.empty((count, LIGHTS, 4, plan.size, plan.size), np.float16)
    masks = np.empty((count, plan.size, plan.size), np.bool_)
    for light in range(LIGHTS):
        lit = _lit(plans, plan, models, seed, light * count)
        for first in range(0, count, _AT_ONCE):
            rows = np.arange(first, min(first + _AT_ONCE, count))
            drawn = renderer.render(lit[rows])
            centre = lit.centre_depth[rows]
            renders[rows, light] = encode(drawn.rgb, drawn.depth, centre, plan.window)
            masks[rows] = drawn.mask
    behind = fill_backgrounds(crops.rgb, masks, seed, on_progress)
    return AlignedPairs(renders, _encoded(crops.rgb), _encoded(behind)), crops


def _encoded(rgb: NDArray[np.uint8]) -> NDArray[np.float16]:
    return encode(rgb, None, None).astype(np.float16)


def _lit(
    plans: Plans, plan: PlanConfig, models: Sequence[CadModel], seed: int, start: int
) -> Plans:
    """The plans in the lights that renders have which are not aligned with anything."""
    other = make_plans(plan, models, seed, start, start + len(plans), EVEN_LIGHT)
    return replace(
        plans, light_direction=other.light_direction, light_color=other.light_color,
        ambient_color=other.ambient_color, surfaces=other.surfaces,
    )  # fmt: skip


def _plans(crops: PosedCrops, models: Sequence[CadModel], plan: PlanConfig) -> Plans:
    """What shows the same as some crops."""
    points = centre_points(models, plan.centre)[crops.object_index]
    middle = (crops.rotation @ points[:, :, None])[:, :, 0] + crops.translation
    return replace(
        make_plans(plan, models, 0, 0, len(crops)), centre_depth=middle[:, 2],
        object_index=crops.object_index.astype(np.int32), rotation=crops.rotation,
        translation=crops.translation, camera_matrix=crops.camera_matrix,
    )  # fmt: skip


def picture_poses(crops: PosedCrops, models: Sequence[CadModel]) -> PicturePoses:
    """What stood in crops, as backgrounds go with it."""
    return PicturePoses(
        tuple(models[which].name for which in crops.object_index), crops.rotation,
        crops.translation, crops.camera_matrix,
    )  # fmt: skip


def has_kept_its_place(folder: Path) -> bool:
    """Whether an alignment found that what was around objects was the same in other crops.

    Only then are backgrounds to go with poses: else an estimator would learn a pose from a place
    that has nothing to do with it.
    """
    aligned = read_manifest(folder).get("aligned")
    shares = aligned.get("surroundings") if isinstance(aligned, dict) else None
    if not isinstance(shares, dict) or not shares:
        return False
    numbers = [share for share in shares.values() if isinstance(share, int | float)]
    return bool(numbers) and float(np.mean(numbers)) >= _KEPT_ITS_PLACE


def aligned_cut(folder: Path, size: int) -> TargetCut:
    """How the crops of an aligned dataset were cut.

    Raises:
        DatasetError: it is none, has crops of another size, or was changed.
        AdapterError: it does not say how they were cut.
    """
    alignment = read_manifest(folder).get("alignment") if (folder / MANIFEST).exists() else None
    plan = alignment.get("plan") if isinstance(alignment, dict) else None
    if not isinstance(plan, dict):
        raise DatasetError(
            f"{folder} is not aligned: give `target` what `render-adapt align` wrote, or train "
            "with another `preset`"
        )
    if plan.get("size") != size:
        raise DatasetError(
            f"{folder} has crops of {plan.get('size')!s:.20} pixels: align with `size` {size}"
        )
    refuse_changed_manifest(folder)
    fields = {
        "centre": plan.get("centre"),
        "window_mm": plan.get("window"),
        "off_axis_degrees": plan.get("off_axis") or 0.0,
    }
    return read_cut(fields, folder / MANIFEST)
