"""Aligned crops beside what renders of their poses are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._fit.settings import FEWEST
from render_adapt._pairs.pairs import aligned_cut
from render_adapt._pairs.posed_crops import PosedCrops, read_posed_crops
from render_adapt._readers.load import load
from render_adapt._runs.manifest import MANIFEST, read_manifest
from renderer import (
    Instances,
    PlanConfig,
    Plans,
    Randomization,
    Renderer,
    Surfaces,
    capture,
    centre_points,
    make_plans,
)

_AT_ONCE = 64
_LOOKED_AT = 10
"""Crops by which it is told whether there is depth."""
_REACH = 5
"""Pixels across, of an outline's blur: what is behind is made up there as it is under the object.
"""


@dataclass(frozen=True)
class AlignedViews:
    """N crops of S x S pixels with their objects' surfaces, as aligned."""

    rgb: NDArray[np.uint8]
    """(N, S, S, 3), of the camera."""
    colors: NDArray[np.uint8]
    """(N, S, S, 3), the models' own: a render in even light."""
    normals: NDArray[np.float32]
    """(N, S, S, 3), as `CropBatch.normals`."""
    mask: NDArray[np.bool_]
    """(N, S, S)."""
    behind: NDArray[np.uint8]
    """(N, S, S, 3), the crops without their objects."""
    plans: Plans
    """In even light."""
    plan: PlanConfig
    """How crops are cut that are to be like these."""
    models: Sequence[CadModel]
    renderer: Renderer
    has_depth: bool
    """Whether the camera measured depth, so that distances are known."""

    def __len__(self) -> int:
        return len(self.rgb)

    def render(self, randomization: Randomization, seed: int) -> NDArray[np.uint8]:
        """(N, S, S, 3), renders in the crops' poses, before what the crops have behind.

        Args:
            randomization: its settings of lights, surfaces and camera.
            seed: decides what is drawn.
        """
        drawn = _lit(self.plans, self.plan, self.models, randomization, seed)
        pictures = np.empty_like(self.rgb)
        for first in range(0, len(self), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            crops = self.renderer.render(drawn[rows])
            before = np.where(crops.mask[..., None], crops.rgb, self.behind[rows])
            taken = capture(replace(crops, rgb=before), randomization, seed, self.models)
            pictures[rows] = taken.rgb
        return pictures


def _lit(
    plans: Plans,
    plan: PlanConfig,
    models: Sequence[CadModel],
    randomization: Randomization,
    seed: int,
) -> Plans:
    """The plans with lights and surfaces as they are drawn for a run."""
    count = len(plans)
    other = make_plans(replace(plan, centre="box"), models, seed, 0, count, randomization)
    direction = other.light_direction
    if randomization.light_from == "above":
        # From the board of the pose that was drawn with them to that of the crop.
        turn = plans.rotation @ np.swapaxes(other.rotation, 1, 2)
        direction = (direction @ np.swapaxes(turn, 1, 2)).astype(np.float32)
    surfaces = replace(
        Surfaces.plain(count), gain=other.surfaces.gain[:, :1],
        specular=other.surfaces.specular[:, :1], shininess=other.surfaces.shininess[:, :1],
    )  # fmt: skip
    return replace(
        plans, light_direction=direction, light_color=other.light_color,
        ambient_color=other.ambient_color, surfaces=surfaces,
    )  # fmt: skip


def read_views(
    folder: Path, models: Sequence[CadModel], renderer: Renderer, most: int
) -> AlignedViews:
    """The crops of an aligned dataset as they look, and what renders of their poses are made of.

    Args:
        folder: what `render-adapt align` wrote.
        models: the objects; crops of others are left out.
        renderer: of the models.
        most: so many crops at most, evenly over the dataset.

    Raises:
        DatasetError: the folder is no aligned dataset, cannot be read, was changed, or has too few
            crops of these models, or crops of other ones with the same names.
    """
    plan = _aligned_plan(folder)
    crops = _some(read_posed_crops(folder, models, plan.size), most)
    if len(crops) < FEWEST:
        names = ", ".join(model.name for model in models)
        raise DatasetError(
            f"{folder} has {len(crops)} crops of {names}, from which no ranges can be told: align "
            f"{FEWEST} or more"
        )
    plans = _even_plans(crops, models, plan)
    drawn = [renderer.render(plans[rows], surface_maps=True) for rows in _batches(len(crops))]
    mask = np.concatenate([part.mask for part in drawn])
    normals = [part.normals for part in drawn if part.normals is not None]
    return AlignedViews(
        rgb=crops.rgb, colors=np.concatenate([part.rgb for part in drawn]),
        normals=np.concatenate(normals), mask=mask, behind=_without_objects(crops.rgb, mask),
        plans=plans, plan=plan, models=models, renderer=renderer, has_depth=_has_depth(folder),
    )  # fmt: skip


def _aligned_plan(folder: Path) -> PlanConfig:
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else {}
    alignment = manifest.get("alignment")
    stated: Any = alignment.get("plan") if isinstance(alignment, dict) else None
    size = stated.get("size") if isinstance(stated, dict) else None
    if not isinstance(size, int) or not 16 <= size <= 256:
        raise DatasetError(
            f"{folder} is not aligned: give `target` what `render-adapt align` wrote of your "
            "camera's crops"
        )
    cut = aligned_cut(folder, size)
    return PlanConfig(size=size, window=cut.window_mm, centre=cut.centre)


def _has_depth(folder: Path) -> bool:
    dataset = load(folder)
    rows = np.linspace(0, len(dataset) - 1, min(_LOOKED_AT, len(dataset))).round().astype(int)
    return any(bool((dataset[int(row)].depth > 0).any()) for row in rows)


def _batches(count: int) -> list[slice]:
    return [slice(first, first + _AT_ONCE) for first in range(0, count, _AT_ONCE)]


def _some(crops: PosedCrops, most: int) -> PosedCrops:
    """Crops evenly over all."""
    rows = np.linspace(0, len(crops) - 1, min(most, len(crops))).round().astype(np.int64)
    return PosedCrops(**{name: value[rows] for name, value in vars(crops).items()})


def _even_plans(crops: PosedCrops, models: Sequence[CadModel], plan: PlanConfig) -> Plans:
    """What shows the crops' objects in their poses and in their own colours."""
    count, centre = len(crops), plan.centre
    points = centre_points(models, centre)[crops.object_index]
    middle = (crops.rotation @ points[:, :, None])[:, :, 0] + crops.translation
    return Plans(
        index=np.arange(count), object_index=crops.object_index.astype(np.int32),
        rotation=crops.rotation, translation=crops.translation, others=Instances.none(count),
        camera_matrix=crops.camera_matrix, centre_depth=middle[:, 2],
        light_direction=np.tile(np.array([0, 0, -1], np.float32), (count, 1, 1)),
        light_color=np.zeros((count, 1, 3), np.float32),
        ambient_color=np.ones((count, 3), np.float32), surfaces=Surfaces.plain(count),
        width=plan.size, height=plan.size,
    )  # fmt: skip


def _without_objects(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """What may be behind the objects, continued from around them."""
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_REACH, _REACH))
    behind = np.empty_like(rgb)
    for row, picture in enumerate(rgb):
        hidden = cv2.dilate(mask[row].astype(np.uint8), around)
        behind[row] = picture
        if not hidden.all():
            behind[row] = cv2.inpaint(picture, hidden, 3, cv2.INPAINT_TELEA)
    return behind
