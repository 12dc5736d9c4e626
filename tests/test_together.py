"""Poses of many crops that are made to agree with each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from cad_models import CadModel
from render_adapt._align.aligner import Aligned, Aligner, TargetView
from render_adapt._align.network import Dense
from render_adapt._align.search import Poses
from render_adapt._align.together import FEWEST_CROPS, agree_together
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    Photographs,
    PicturePoses,
    PlanConfig,
    Randomization,
    RasterRenderer,
    angle_between,
    capture,
    centre_points,
    make_plans,
    plans_from_poses,
    rotation_about,
)
from tests.shapes import ball

COUNT, SIZE, WINDOW = 320, 64, 200.0


class RedNetwork(nn.Module):
    """Takes for the object whatever is red; knows nothing else of it."""

    def forward(self, x: Tensor) -> Dense:
        pixels = x.float().unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean(dim=(3, 5))
        red = pixels[:, 0] - pixels[:, 2] > 0.3
        nothing = torch.zeros(len(x), 1, 3, *red.shape[1:])
        return Dense(torch.zeros(len(x), 1), torch.where(red, 8.0, -8.0), nothing)


def red_ball() -> CadModel:
    """A ball, whose silhouette says nothing of how it lies, with a darker side that says little."""
    model = ball(30, (0, 0, 30))
    vertices = model.mesh.vertices
    shade = np.where(vertices[:, 0] > 12, 0.55, 1.0)
    colors = np.rint(shade[:, None] * (230, 60, 40)).astype(np.uint8)
    return replace(model, mesh=replace(model.mesh, colors=colors))


def blocks(seed: int, side: int = 256) -> NDArray[np.uint8]:
    """(side, side, 3), blocks in bluish colours."""
    random = np.random.default_rng(seed)
    colors = random.integers(0, 256, (side // 16, side // 16, 3))
    colors[..., 0] //= 3
    return np.kron(colors, np.ones((16, 16, 1))).astype(np.uint8)


def seen(model: CadModel, *, fixed: bool) -> CropBatch:
    """Crops of an object on one ground, or each on another."""
    plan = PlanConfig(size=SIZE, in_plane=30.0)
    plans = make_plans(plan, [model], 1, 0, COUNT, RANDOMIZATIONS["linemod"])
    upright = plans.rotation[:, 2, 2] < -0.8  # the ground is seen well from above
    plans = plans[np.flatnonzero(upright)]
    renders = RasterRenderer([model], 1, levels=False).render(plans)
    # The ground from straight above, three times as wide as a crop.
    above = np.diag([1.0, -1.0, -1.0])[None]
    wide = plans_from_poses([model], np.zeros(1, int), above, 880.0, size=256, window=600.0)
    poses = PicturePoses(("ball",), wide.rotation, wide.translation, wide.camera_matrix)
    if fixed:
        return _behind(renders, Photographs((blocks(0),), poses), model)
    parts = [
        _behind(renders[np.array([row])], Photographs((blocks(row),), poses), model).rgb
        for row in range(len(renders))
    ]
    return replace(renders, rgb=np.concatenate(parts))


def _behind(crops: CropBatch, pictures: Photographs, model: CadModel) -> CropBatch:
    around = Randomization(background=("surroundings",), photographs=Path())
    return capture(crops, around, 0, [model], pictures)


def planted(crops: CropBatch, model: CadModel, turned_round: int) -> Poses:
    """Poses turned by 8 degrees about the object's middle, some of them by half a turn."""
    plans, random = crops.plans, np.random.default_rng(3)
    degrees = np.full(len(plans), 8.0)
    axes = random.normal(size=(len(plans), 3))
    degrees[:turned_round] = 180.0
    axes[:turned_round] = plans.rotation[:turned_round, :, 2]
    middle = centre_points([model], "box")[0]
    rotation = rotation_about(axes, np.radians(degrees)) @ plans.rotation
    translation = plans.translation + plans.rotation @ middle - rotation @ middle
    index = plans.object_index.astype(np.int64)
    return Poses(index, rotation, translation, plans.camera_matrix)


def made_to_agree(
    crops: CropBatch, model: CadModel, poses: Poses, sure: NDArray[np.bool_]
) -> tuple[Poses, dict[str, float]]:
    count, plans = len(crops), crops.plans
    exact = torch.autocast("cpu", torch.bfloat16, enabled=False)
    aligner = Aligner(RedNetwork().eval(), [model], exact, "cpu", SIZE, 1, 0)  # type: ignore[arg-type]
    view = TargetView(crops.rgb, None, plans.camera_matrix, plans.centre_depth, np.arange(count))
    before = Aligned(poses, np.zeros((count, 6)), np.ones(count, np.bool_))
    told: list[tuple[int, int]] = []
    after, around = agree_together(
        aligner, view, before, sure, WINDOW, lambda done, total: told.append((done, total))
    )
    assert all(done <= total for done, total in told)
    assert not told or told[-1] == (4 * count, 4 * count)
    np.testing.assert_array_equal(after.found, before.found)
    assert np.isfinite(after.features).all()
    return after.poses, around


@pytest.mark.several_seconds
def test_crops_before_the_same_ground_agree_on_their_poses_without_a_label() -> None:
    """Planted errors of 8 degrees, and half turns, are gone but for what all have in common."""
    model = red_ball()
    crops = seen(model, fixed=True)
    turned_round = 3
    start = planted(crops, model, turned_round)
    sure = np.arange(len(crops)) >= turned_round
    found, around = made_to_agree(crops, model, start, sure)
    off = angle_between(found.rotation, crops.plans.rotation)
    assert np.median(off) < 3.5
    assert (off[:turned_round] < 6).all()
    assert (off < 10).mean() > 0.95
    assert around["ball"] > 0.3


@pytest.mark.several_seconds
def test_grounds_that_have_nothing_in_common_are_told_by_it() -> None:
    model = red_ball()
    crops = seen(model, fixed=False)
    start = planted(crops, model, 0)
    _, around = made_to_agree(crops, model, start, np.ones(len(crops), np.bool_))
    assert -0.1 < around["ball"] < 0.05


def test_a_few_crops_are_left_as_they_are() -> None:
    model = red_ball()
    crops = seen(model, fixed=True)
    start = planted(crops, model, 0)
    sure = np.arange(len(crops)) < FEWEST_CROPS - 1
    found, around = made_to_agree(crops, model, start, sure)
    np.testing.assert_array_equal(found.rotation, start.rotation)
    np.testing.assert_array_equal(found.translation, start.translation)
    assert around == {}
