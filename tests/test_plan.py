"""Plans: what crop i contains."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cad_models import ContinuousSymmetry, Symmetries
from renderer import (
    PlanConfig,
    Plans,
    angle_between,
    canonical_rotation,
    hemisphere_viewpoints,
    make_plans,
    plans_from_poses,
    uniform_rotation,
)
from renderer._plan import PLAN_STREAM
from tests.shapes import ball, lopsided, rectangle

BOTTLE = dataclasses.replace(
    ball(30, (5, 6, 7)),
    symmetries=Symmetries(continuous=(ContinuousSymmetry((0, 0, 1), (5, 6, 0)),)),
)
MODELS = [lopsided(), BOTTLE, rectangle(-10, -20, 30, 40)]
CONFIGS = [PlanConfig(), PlanConfig(viewpoints="so3", size=128, window=150)]


def assert_same(first: Plans, second: Plans) -> None:
    assert first.size == second.size
    for name, value in vars(first).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == getattr(second, name).dtype
            np.testing.assert_array_equal(value, getattr(second, name), err_msg=name)


@pytest.mark.parametrize("config", CONFIGS)
@given(seed=st.integers(0, 2**63), cuts=st.lists(st.integers(0, 60), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_a_plan_depends_on_seed_and_number_alone(
    config: PlanConfig, seed: int, cuts: list[int]
) -> None:
    whole = make_plans(config, MODELS, seed, 0, 60)
    edges = [0, *sorted(cuts), 60]
    for start, stop in itertools.pairwise(edges):
        assert_same(whole[start:stop], make_plans(config, MODELS, seed, start, stop))


def test_seeds_and_numbers_differ() -> None:
    plans = make_plans(PlanConfig(viewpoints="so3"), [lopsided()], 0, 0, 200)
    others = make_plans(PlanConfig(viewpoints="so3"), [lopsided()], 1, 0, 200)
    everything = np.concatenate([plans.rotation, others.rotation]).reshape(400, 9)
    assert len(np.unique(everything.round(6), axis=0)) == 400


def test_draws_come_from_the_documented_stream() -> None:
    config = PlanConfig(viewpoints="so3", distance=(600, 1000))
    plans = make_plans(config, [lopsided()], 7, 3, 4)
    draws = np.random.default_rng([7, 3, PLAN_STREAM]).random(4)
    np.testing.assert_array_equal(plans.rotation[0], uniform_rotation(draws[:3]))
    assert plans.centre_depth[0] == 600 + 400 * draws[3]


def test_objects_take_turns() -> None:
    plans = make_plans(PlanConfig(), MODELS, 0, 100, 160)
    np.testing.assert_array_equal(plans.object_index, np.arange(100, 160) % 3)
    np.testing.assert_array_equal(plans.index, np.arange(100, 160))


@pytest.mark.parametrize("config", CONFIGS)
def test_bounding_box_centre_projects_to_the_middle_of_the_crop(config: PlanConfig) -> None:
    plans = make_plans(config, MODELS, 0, 0, 300)
    for row in range(300):
        centre = MODELS[plans.object_index[row]].centre
        camera = plans.rotation[row] @ centre + plans.translation[row]
        pixel = plans.camera_matrix[row] @ camera
        np.testing.assert_allclose(pixel[:2] / pixel[2], config.size / 2, atol=1e-9)
        assert camera[2] == pytest.approx(plans.centre_depth[row], abs=1e-9)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_window_fills_the_crop_at_the_objects_depth(config: PlanConfig) -> None:
    plans = make_plans(config, MODELS, 0, 0, 10)
    half = config.window / 2
    for row in range(10):
        corner = plans.camera_matrix[row] @ [-half, half, plans.centre_depth[row]]
        np.testing.assert_allclose(corner[:2] / corner[2], [0, config.size], atol=1e-9)


def test_draws_stay_within_their_settings_and_use_them() -> None:
    config = PlanConfig()
    plans = make_plans(config, [lopsided()], 0, 0, 2000)
    low, high = config.distance
    assert low <= plans.centre_depth.min() < low + 5
    assert high - 5 < plans.centre_depth.max() <= high
    np.testing.assert_allclose(np.linalg.norm(plans.light_direction, axis=1), 1, atol=1e-6)
    limit = np.cos(np.radians(config.light_angle))
    assert limit - 1e-6 <= -plans.light_direction[:, 2].max() < limit + 0.01
    for values, limits in (
        (plans.light_color, config.light_intensity),
        (plans.ambient_color, config.ambient_intensity),
    ):
        assert values.min() >= limits[0] * (1 - config.light_tint) - 1e-6
        assert values.max() <= limits[1] * (1 + config.light_tint) + 1e-6
        assert values.mean() == pytest.approx(np.mean(limits), abs=0.02)


def test_hemisphere_shows_the_object_from_above_and_turned_within_limits() -> None:
    config = PlanConfig(in_plane=30, subdivisions=3)
    plans = make_plans(config, [lopsided()], 0, 0, 2000)
    towards_camera = -plans.rotation[:, 2]
    viewpoints = hemisphere_viewpoints(3)
    used = np.argmax(towards_camera @ viewpoints.T, axis=1)
    np.testing.assert_allclose(viewpoints[used], towards_camera, atol=1e-12)
    assert len(np.unique(used)) > 290
    up = plans.rotation[:, :, 2][used < 300]
    turn = np.degrees(np.arctan2(up[:, 0], -up[:, 1]))
    assert -30 - 1e-6 <= turn.min() < -29
    assert 29 < turn.max() <= 30 + 1e-6


def test_poses_of_symmetric_objects_are_canonical() -> None:
    plans = make_plans(PlanConfig(), MODELS, 0, 0, 90)
    bottle = plans.rotation[plans.object_index == 1]
    np.testing.assert_allclose(canonical_rotation(bottle, BOTTLE.symmetries), bottle, atol=1e-9)
    plain = make_plans(
        PlanConfig(), [dataclasses.replace(BOTTLE, symmetries=Symmetries())], 0, 1, 2
    )
    assert angle_between(plain.rotation[0], plans.rotation[1]) > 1


def test_given_poses_are_kept_and_framed() -> None:
    rotations = uniform_rotation(np.random.default_rng(0).random((4, 3)))
    plans = plans_from_poses(
        MODELS, [0, 1, 2, 0], rotations, [700, 800, 900, 1000],
        size=32, window=100, light_direction=(-3, 0, 0), canonical=False,
    )  # fmt: skip
    np.testing.assert_array_equal(plans.rotation, rotations)
    np.testing.assert_array_equal(plans.centre_depth, [700, 800, 900, 1000])
    np.testing.assert_array_equal(plans.light_direction, [[-1, 0, 0]] * 4)
    np.testing.assert_array_equal(plans.camera_matrix[1], [[256, 0, 16], [0, 256, 16], [0, 0, 1]])
    canonical = plans_from_poses(MODELS, [0, 1, 2, 0], rotations, 800)
    np.testing.assert_array_equal(canonical.rotation[0], rotations[0])
    assert angle_between(canonical.rotation[1], rotations[1]) > 1


@pytest.mark.parametrize(
    ("flag", "settings"),
    [
        ("--size", {"size": 4}),
        ("--window", {"window": 0.0}),
        ("--window", {"window": float("nan")}),
        ("--viewpoints", {"viewpoints": "sphere"}),
        ("--subdivisions", {"subdivisions": 9}),
        ("--in-plane", {"in_plane": -1.0}),
        ("--distance", {"distance": (900.0, 600.0)}),
        ("--distance", {"distance": (0.0, 600.0)}),
        ("--light-angle", {"light_angle": 200.0}),
        ("--light-intensity", {"light_intensity": (0.5, float("inf"))}),
        ("--ambient-intensity", {"ambient_intensity": (-0.1, 0.5)}),
        ("--light-tint", {"light_tint": 1.5}),
    ],
)
def test_settings_out_of_range_are_refused_by_their_flag(
    flag: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=rf"^{flag} is .*: give .*\.$"):
        PlanConfig(**settings)


def test_plans_for_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="--objects"):
        make_plans(PlanConfig(), [], 0, 0, 1)
    with pytest.raises(ValueError, match="--seed"):
        make_plans(PlanConfig(), MODELS, -1, 0, 1)
    with pytest.raises(ValueError, match="start <= stop"):
        make_plans(PlanConfig(), MODELS, 0, 5, 4)


def test_no_crops_are_an_empty_plan() -> None:
    assert len(make_plans(PlanConfig(), MODELS, 0, 5, 5)) == 0
