"""Confidence calibrated on renders whose poses are known, right ones and wrong ones planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.aligner import (
    Aligned,
    Aligner,
    TargetView,
    joined,
    nominal_cameras,
)
from render_adapt._align.confidence import Confidence, fit_confidence
from render_adapt._align.search import Poses
from render_adapt._align.source import Source
from renderer import (
    CropBatch,
    PlanConfig,
    Randomization,
    angle_between,
    centre_points,
    matrix_from_quaternion,
    rotation_about,
    symmetry_quaternions,
    turn_towards,
)

RIGHT = 20.0
"""Degrees that a right pose may be off."""
_FIRST = 2**40
"""The number of the first crop: no run has so many."""
_AT_ONCE = 64
_STREAM = 44
_TURNS = (25.0, 180.0)
"""Degrees by which planted poses are wrong before they are compared."""
_OTHER_OBJECT = 0.2
"""Share of planted poses that are of another object, where there is one."""
_PLANTED = 0.25
"""What all planted poses count for, against 1 for all that were found."""


@dataclass(frozen=True)
class Calibrated:
    """A confidence, and how far it is to be believed."""

    confidence: Confidence
    right: float
    """Share of the found poses of renders it did not see, and is so sure of as to keep them, that
    are right; NaN where it is sure of none."""


def harder(randomization: Randomization, has_depth: bool) -> Randomization:
    """What the renders differ in by which is calibrated: more stands before their objects, and
    depth is measured as by a sensor."""
    low, high = randomization.occluders
    hard = replace(randomization, occluders=(low, max(high, 2)), depth_sensor="exact")
    return replace(hard, depth_sensor="structured-light") if has_depth else hard


def calibrate(
    aligner: Aligner,
    source: Source,
    count: int,
    has_depth: bool,
    min_confidence: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Align renders, plant wrong poses beside what was found, and learn which are right.

    Planted poses are compared and improved like the others, so that they are as good as wrong poses
    get. Half of the renders are then judged by a confidence that was fitted to the other half.

    Args:
        aligner: of the objects.
        source: of renders, `harder` than those that its network learnt from.
        count: of renders.
        has_depth: whether the target has depth.
        min_confidence: from which on crops are kept.
        on_progress: called with (renders done, in all).
    """
    found, planted, right, wrong = [], [], [], []
    for first in range(0, count, _AT_ONCE):
        taken = source.render(_FIRST + first, _FIRST + min(first + _AT_ONCE, count))
        view = view_of(taken, source.plan, has_depth)
        seen = aligner.look(view)
        poses, there = aligner.first_poses(view, seen)
        found.append(aligner.improved(view, seen, poses, there))
        right.append(are_right(found[-1].poses, taken, source))
        poses = _planted(taken, view, aligner.models, aligner.seed, source)
        everywhere = np.ones(len(view), np.bool_)
        planted.append(aligner.improved(view, seen, poses, everywhere))
        wrong.append(are_right(planted[-1].poses, taken, source))
        if on_progress:
            on_progress(first + len(view), count)
    return _fit(joined(found), np.concatenate(right), joined(planted), np.concatenate(wrong),
                min_confidence)  # fmt: skip


def _fit(
    found: Aligned,
    right: NDArray[np.bool_],
    planted: Aligned,
    also_right: NDArray[np.bool_],
    min_confidence: float,
) -> Calibrated:
    rows, other = np.flatnonzero(found.found), np.flatnonzero(planted.found)
    features = np.concatenate([found.features[rows], planted.features[other]])
    truth = np.concatenate([right[rows], also_right[other]])
    weight = np.concatenate(
        [np.ones(len(rows)), np.full(len(other), _PLANTED * max(len(rows), 1) / len(other))]
    )
    is_found = np.arange(len(features)) < len(rows)
    first = np.r_[rows, other] % 2 == 0
    kept: list[NDArray[np.bool_]] = []
    for half in (first, ~first):
        judge = fit_confidence(features[half], truth[half], weight[half])
        unseen = ~half & is_found
        kept.append(truth[unseen][judge.of(features[unseen]) >= min_confidence])
    sure = np.concatenate(kept)
    return Calibrated(
        fit_confidence(features, truth, weight), float(sure.mean()) if len(sure) else float("nan")
    )


def view_of(taken: CropBatch, plan: PlanConfig, has_depth: bool) -> TargetView:
    """Renders as crops of which nothing is known but how they were cut, and depth if they have."""
    depth = None
    centre_depth = np.full(len(taken), float(np.mean(plan.distance)))
    if has_depth:
        centre_depth = taken.plans.centre_depth
        relative = taken.depth - centre_depth.astype(np.float32)[:, None, None]
        depth = np.where(taken.depth > 0, relative, np.float32(np.nan))
    return TargetView(
        taken.rgb, depth, nominal_cameras(centre_depth, plan.window, plan.size), centre_depth,
        taken.plans.index,
    )  # fmt: skip


def straight(taken: CropBatch, source: Source) -> NDArray[np.float64]:
    """(N, 3, 3), how targets lie as seen by a camera that looks straight at them."""
    plans = taken.plans
    points = centre_points(source.models, source.plan.centre)[plans.object_index]
    middle = (plans.rotation @ points[:, :, None])[:, :, 0] + plans.translation
    turn = turn_towards(middle[:, :2] / middle[:, 2:])
    return np.asarray(np.swapaxes(turn, 1, 2) @ plans.rotation)


def are_right(poses: Poses, taken: CropBatch, source: Source) -> NDArray[np.bool_]:
    """(N,), whether poses are of the target, and its own but for its symmetries and 20 degrees."""
    symmetries = matrix_from_quaternion(symmetry_quaternions(source.models))
    alike = straight(taken, source)[:, None] @ symmetries[taken.plans.object_index]
    off = angle_between(poses.rotation[:, None], alike).min(axis=1)
    return np.asarray((off <= RIGHT) & (poses.object_index == taken.plans.object_index))


def _planted(
    taken: CropBatch, view: TargetView, models: Sequence[CadModel], seed: int, source: Source
) -> Poses:
    """The target turned, or another object in its place, somehow."""
    count = len(view)
    random = np.random.default_rng([seed, int(view.numbers[0]), _STREAM])
    turn = rotation_about(
        random.normal(size=(count, 3)), np.radians(random.uniform(*_TURNS, size=count))
    )
    objects = taken.plans.object_index.astype(np.int64)
    if len(models) > 1:
        other = random.random(count) < _OTHER_OBJECT
        step = np.where(other, random.integers(1, len(models), count), 0)
        objects = (objects + step) % len(models)
    rotation = turn @ straight(taken, source)
    points = centre_points(models, source.plan.centre)[objects]
    translation = -(rotation @ points[:, :, None])[:, :, 0]
    translation[:, 2] += view.centre_depth
    return Poses(objects, rotation, translation, view.camera_matrix.copy())
