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
from render_adapt._readers.load import load
from render_adapt._runs.manifest import MANIFEST, read_manifest, refuse_changed_manifest
from renderer import PlanConfig, Plans, Renderer, centre_points, make_plans, matrix_from_quaternion

LIGHTS = 4
"""Renders of each pair, each in another light."""
_AT_ONCE = 64


def read_pairs(
    folder: Path,
    models: Sequence[CadModel],
    plan: PlanConfig,
    renderer: Renderer,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> AlignedPairs:
    """The crops of an aligned dataset beside renders.

    Args:
        folder: what `render-adapt align` wrote.
        models: the run's objects; crops of others are left out.
        plan: how the crops are cut.
        renderer: of the models.
        seed: decides the lights, and what fills backgrounds.
        on_progress: called with (done, in all).

    Raises:
        DatasetError: the dataset cannot be read, or has no crop of these models, or of other ones
            with the same name.
    """
    rgb, plans = _poses(folder, models, plan)
    count = len(rgb)
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
    behind = fill_backgrounds(rgb, masks, seed, on_progress)
    return AlignedPairs(renders, _encoded(rgb), _encoded(behind))


def _encoded(rgb: NDArray[np.uint8]) -> NDArray[np.float16]:
    return encode(rgb, None, None).astype(np.float16)


def _lit(
    plans: Plans, plan: PlanConfig, models: Sequence[CadModel], seed: int, start: int
) -> Plans:
    """The plans in the lights that renders have which are not aligned with anything."""
    other = make_plans(plan, models, seed, start, start + len(plans))
    return replace(
        plans, light_direction=other.light_direction, light_color=other.light_color,
        ambient_color=other.ambient_color, surfaces=other.surfaces,
    )  # fmt: skip


def _poses(
    folder: Path, models: Sequence[CadModel], plan: PlanConfig
) -> tuple[NDArray[np.uint8], Plans]:
    """(N, S, S, 3) crops and the plans that show the same."""
    _refuse_other_models(folder, models)
    dataset = load(folder)
    names = [model.name for model in models]
    ours = np.flatnonzero(np.isin(dataset.columns["object"], names))
    if not len(ours):
        raise DatasetError(f"{folder} has no crop of {', '.join(names)}: align these first")
    crops = [dataset[int(row)] for row in ours]
    rgb = np.stack([crop.rgb for crop in crops])
    which = np.array([names.index(name) for name in np.asarray(dataset.columns["object"])[ours]])
    rotation = matrix_from_quaternion(np.asarray(dataset.columns["quaternion"])[ours])
    translation = np.asarray(dataset.columns["translation"])[ours].astype(np.float64)
    camera = np.asarray(dataset.columns["camera_matrix"])[ours].reshape(-1, 3, 3).copy()
    camera[:, :2, 2] += 0.5 - crops[0].pixel_centre
    points = centre_points(models, plan.centre)[which]
    middle = (rotation @ points[:, :, None])[:, :, 0] + translation
    plans = make_plans(plan, models, 0, 0, len(ours))
    return rgb, replace(
        plans, object_index=which.astype(np.int32), rotation=rotation, translation=translation,
        camera_matrix=camera, centre_depth=middle[:, 2],
    )  # fmt: skip


def aligned_cut(folder: Path, size: int) -> TargetCut:
    """How the crops of an aligned dataset were cut.

    Raises:
        DatasetError: it is none, or has crops of another size.
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
    fields = {
        "centre": plan.get("centre"),
        "window_mm": plan.get("window"),
        "off_axis_degrees": plan.get("off_axis") or 0.0,
    }
    return read_cut(fields, folder / MANIFEST)


def _refuse_other_models(folder: Path, models: Sequence[CadModel]) -> None:
    manifest = read_manifest(folder)
    refuse_changed_manifest(folder)
    objects = manifest.get("objects")
    for model in models:
        about = objects.get(model.name) if isinstance(objects, dict) else None
        if isinstance(about, dict) and about.get("sha256") != model.sha256:
            raise DatasetError(
                f"{folder} was aligned with another model of {model.name}: align it anew"
            )
