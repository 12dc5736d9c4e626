"""Poses from coordinates, render and compare, and how far a confidence is to be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch

from cad_models import CadModel, load_models
from render_adapt._align.aligner import Aligner
from render_adapt._align.calibration import are_right, calibrate, view_of
from render_adapt._align.confidence import fit_confidence
from render_adapt._align.evidence import Evidence, picture_edges
from render_adapt._align.pnp import inlier_share, pose_from_points
from render_adapt._align.search import Poses, PoseSearch
from render_adapt._align.source import Source
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    PlanConfig,
    RasterRenderer,
    angle_between,
    centre_points,
    make_plans,
    matrix_from_quaternion,
    read_randomization,
    rotation_about,
)
from tests.painted import ReadingNetwork, write_painted
from tests.shapes import lopsided

CAMERA = np.array([[280.0, 0, 32], [0, 280, 32], [0, 0, 1]])


def seen_points(
    random: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points of an object, their pixels, and the pose that puts them there."""
    points = random.uniform(-50, 50, (count, 3))
    quaternion = random.normal(size=4)
    rotation = matrix_from_quaternion(quaternion / np.linalg.norm(quaternion))
    translation = np.array([10.0, -5.0, 880.0])
    there = (points @ rotation.T + translation) @ CAMERA.T
    return points, there[:, :2] / there[:, 2:], rotation, translation


@pytest.mark.parametrize("seed", range(5))
def test_a_pose_is_found_among_wrong_points(seed: int) -> None:
    random = np.random.default_rng(seed)
    points, pixels, rotation, translation = seen_points(random, 200)
    wrong = random.random(200) < 0.4
    points[wrong] = random.uniform(-50, 50, (int(wrong.sum()), 3))
    found = pose_from_points(points, pixels, CAMERA, 2.0)
    assert found is not None
    assert angle_between(found[0], rotation) < 2
    np.testing.assert_allclose(found[1], translation, rtol=0.02, atol=2)
    share = inlier_share(points, pixels, CAMERA, *found, 2.0)
    assert (~wrong).mean() - 0.05 <= share <= (~wrong).mean() + 0.1


def test_points_without_a_pose_have_none() -> None:
    random = np.random.default_rng(0)
    points, pixels, *_ = seen_points(random, 200)
    assert pose_from_points(points[:7], pixels[:7], CAMERA, 2.0) is None
    assert pose_from_points(np.zeros((50, 3)), pixels[:50], CAMERA, 2.0) is None
    shuffled = random.uniform(0, 64, pixels.shape)
    assert pose_from_points(points[:60], shuffled[:60], CAMERA, 0.5) is None
    behind = (np.eye(3), np.array([0.0, 0.0, -880.0]))
    assert inlier_share(points, pixels, CAMERA, *behind, 2.0) == 0


def lit_crops(count: int) -> tuple[CadModel, CropBatch]:
    """Crops of one solid in changing light."""
    model = lopsided()
    plans = make_plans(PlanConfig(), [model], 5, 0, count, RANDOMIZATIONS["linemod"])
    return model, RasterRenderer([model], 1).render(plans)


def planted(crops: CropBatch, model: CadModel, degrees: float) -> Poses:
    """Poses turned about the object's middle, by as much each."""
    plans, random = crops.plans, np.random.default_rng(3)
    axes = random.normal(size=(len(plans), 3))
    turn = rotation_about(axes, np.full(len(plans), np.radians(degrees)))
    middle = centre_points([model], "box")[0]
    rotation = turn @ plans.rotation
    translation = plans.translation + plans.rotation @ middle - rotation @ middle
    return Poses(plans.object_index.astype(np.int64), rotation, translation, plans.camera_matrix)


def evidence_of(crops: CropBatch, with_depth: bool) -> Evidence:
    """What is seen in crops by one who sees it exactly."""
    mask = crops.mask.astype(np.float32)
    relative = crops.depth - crops.plans.centre_depth.astype(np.float32)[:, None, None]
    depth = np.where(crops.depth > 0, relative, np.float32(np.nan)) if with_depth else None
    return Evidence(mask, picture_edges(crops.rgb), depth)


@pytest.mark.parametrize("with_depth", [False, True])
def test_render_and_compare_finds_planted_poses(with_depth: bool) -> None:
    model, crops = lit_crops(24)
    evidence, search = evidence_of(crops, with_depth), PoseSearch([model], 64, 1)
    start = planted(crops, model, 12.0)
    better, agreed = search.improve(evidence, start, np.arange(24), 0)
    off = angle_between(better.rotation, crops.plans.rotation)
    assert np.median(off) < 5
    assert (off < 10).mean() >= 0.9
    assert (agreed.total >= search.compare(evidence, start).total).all()


def test_what_is_tried_for_a_crop_does_not_depend_on_its_company() -> None:
    model, crops = lit_crops(6)
    evidence, search = evidence_of(crops, True), PoseSearch([model], 64, 1)
    start, numbers = planted(crops, model, 12.0), np.arange(6)
    together, _ = search.improve(evidence, start, numbers, 0)
    some = np.array([4, 1])
    apart, _ = search.improve(evidence[some], start[some], numbers[some], 0)
    np.testing.assert_array_equal(apart.rotation, together.rotation[some])
    np.testing.assert_array_equal(apart.translation, together.translation[some])


def test_a_fitted_confidence_is_the_probability() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(20_000, 3)) * (1, 5, 0) + (0, 2, 7)
    chance = 1 / (1 + np.exp(-(0.5 + features[:, 0] - 0.3 * features[:, 1])))
    right = random.random(20_000) < chance
    confidence = fit_confidence(features, right, np.ones(20_000)).of(features)
    np.testing.assert_allclose(confidence, chance, atol=0.05)


def test_a_confidence_is_finite_where_right_and_wrong_are_told_apart_without_fault() -> None:
    features = np.linspace(-1, 1, 40)[:, None]
    right = features[:, 0] > 0
    confidence = fit_confidence(features, right, np.ones(40)).of(features)
    assert np.isfinite(confidence).all()
    assert ((confidence > 0.5) == right).all()
    always = fit_confidence(features, np.ones(40, bool), np.ones(40)).of(features)
    assert (always > 0.9).all()


@pytest.mark.several_seconds
def test_confidence_holds_on_planted_faults(tmp_path: Path) -> None:
    models = load_models(write_painted(tmp_path))
    randomization = read_randomization(str(tmp_path / "even.toml"))
    source = Source(models, PlanConfig(), randomization, 0, 1)
    aligner = Aligner(
        ReadingNetwork(), models, torch.autocast("cpu", enabled=False), "cpu", 64, 1, 0
    )  # type: ignore[arg-type]
    confidence = calibrate(aligner, source, 96, False, 0.5).confidence
    taken = source.render(0, 48)
    view = view_of(taken, source.plan, False)
    seen = aligner.look(view)
    poses, found = aligner.first_poses(view, seen)
    # A third of the crops each: as found, turned by a right angle and more, the other object.
    kinds = np.arange(48) % 3
    poses.rotation[kinds == 1] = _turned_far(poses.rotation[kinds == 1])
    poses.object_index[kinds == 2] = 1 - poses.object_index[kinds == 2]
    aligned = aligner.improved(view, seen, poses, found)
    right = are_right(aligned.poses, taken, source)
    sure = np.where(aligned.found, confidence.of(aligned.features), 0.0)
    assert right[kinds == 0].mean() > 0.8
    assert right[kinds != 0].mean() < 0.1
    assert right[sure >= 0.5].mean() > 0.9
    assert (sure[right] >= 0.5).mean() > 0.9
    assert np.median(sure[~right]) < 0.1


def _turned_far(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    random = np.random.default_rng(1)
    count = len(rotation)
    angle = np.radians(random.uniform(90, 180, count))
    return rotation_about(random.normal(size=(count, 3)), angle) @ rotation
