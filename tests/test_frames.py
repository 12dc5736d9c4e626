"""Whole frames: one camera, objects on a board."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checked_settings import SettingError
from renderer import (
    CLEARANCE,
    RANDOMIZATIONS,
    FakeRenderer,
    FrameConfig,
    board_under,
    canonical_rotation,
    make_frame_plans,
)
from tests.test_placing import BRICK, MODELS, gap, others_of, target_of
from tests.test_plan import EVERYTHING, assert_same

LINEMOD_K = [[572.4114, 0, 325.7611], [0, 573.57043, 242.54899], [0, 0, 1]]


@given(
    seed=st.integers(0, 10**6),
    objects=st.integers(1, 16),
    distance=st.sampled_from([(300.0, 500.0), (650.0, 1100.0), (2000.0, 2000.0)]),
)
@settings(max_examples=20, deadline=None)
def test_objects_stand_on_one_board_and_intersect_nothing(
    seed: int, objects: int, distance: tuple[float, float]
) -> None:
    config = FrameConfig(objects=objects, distance=distance)
    plans = make_frame_plans(config, MODELS, seed, 0, 4)
    up, foot = board_under(plans, MODELS)
    for row in range(len(plans)):
        shown = [target_of(plans, row), *others_of(plans, row)]
        assert len(shown) <= objects
        on_board = np.eye(3) - np.outer(up[row], up[row])
        for one in shown:
            assert ((one.points - foot[row]) @ up[row]).min() == pytest.approx(0, abs=1e-3)
            assert one.points[:, 2].min() >= CLEARANCE
            pixel = plans.camera_matrix[row] @ one.centre
            assert 0 <= pixel[0] < 640 * pixel[2]
            assert 0 <= pixel[1] < 480 * pixel[2]
        for one, another in itertools.combinations(shown, 2):
            assert gap(one, another, on_board) > 0


def test_lights_from_above_are_above_the_board() -> None:
    above = dataclasses.replace(
        RANDOMIZATIONS["linemod"], light_from="above", light_angle=30.0, lights=(2, 2)
    )
    plans = make_frame_plans(FrameConfig(), MODELS, 0, 0, 200, above)
    up, _ = board_under(plans, MODELS)
    upwards = np.einsum("nld,nd->nl", plans.light_direction, up)
    assert np.cos(np.radians(30)) - 1e-6 <= upwards.min() < np.cos(np.radians(29))


def test_every_frame_has_the_cameras_own_matrix() -> None:
    plans = make_frame_plans(FrameConfig(), MODELS, 0, 0, 5)
    np.testing.assert_array_equal(plans.camera_matrix, [LINEMOD_K] * 5)
    assert (plans.width, plans.height) == (640, 480)
    half = make_frame_plans(FrameConfig(width=320, height=120), MODELS, 0, 0, 1)
    expected = np.diag([0.5, 0.25, 1]) @ LINEMOD_K
    np.testing.assert_allclose(half.camera_matrix[0], expected, rtol=1e-15)
    own = FrameConfig(width=100, height=80, camera=(200, 210, 45, 38))
    np.testing.assert_array_equal(own.camera_matrix, [[200, 0, 45], [0, 210, 38], [0, 0, 1]])


def test_frames_show_as_many_objects_as_asked_for_where_there_is_room() -> None:
    plans = make_frame_plans(FrameConfig(objects=6), MODELS, 0, 0, 200)
    number = 1 + (plans.others.object_index >= 0).sum(axis=1)
    assert plans.others.object_index.shape == (200, 5)
    assert number.mean() > 5.8
    np.testing.assert_array_equal(plans.object_index, np.arange(200) % len(MODELS))
    drawn = plans.others.object_index[plans.others.object_index >= 0]
    assert np.bincount(drawn).min() > 120


def test_the_camera_is_as_far_from_the_board_as_asked_for_and_above_it() -> None:
    plans = make_frame_plans(FrameConfig(distance=(700, 800), objects=1), [BRICK], 0, 0, 300)
    up, foot = board_under(plans, [BRICK])
    # The optical axis meets the level of the target's middle at the drawn distance.
    level = foot + 15 * up
    reached = (level * up).sum(axis=1) / up[:, 2]
    assert 700 - 1e-6 <= reached.min() < 705
    assert 795 < reached.max() <= 800 + 1e-6
    assert (up[:, 2] < 0).all()
    np.testing.assert_allclose(canonical_rotation(plans.rotation, BRICK.symmetries), plans.rotation)


def test_a_frame_depends_on_seed_and_number_alone() -> None:
    def plan(start: int, stop: int) -> Any:
        return make_frame_plans(FrameConfig(), MODELS, 9, start, stop, EVERYTHING, textures=3)

    whole = plan(0, 12)
    assert_same(whole[5:9], plan(5, 9))
    assert_same(whole[11:], plan(11, 12))
    other = make_frame_plans(FrameConfig(), MODELS, 8, 0, 12, EVERYTHING, textures=3)
    assert not np.array_equal(whole.translation, other.translation)


def test_looks_do_not_move_objects() -> None:
    plain = make_frame_plans(FrameConfig(), MODELS, 4, 0, 6)
    loud = make_frame_plans(FrameConfig(), MODELS, 4, 0, 6, EVERYTHING, textures=3)
    for name in ("rotation", "translation", "camera_matrix", "centre_depth"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(loud, name))
    assert_same(plain.others, loud.others)
    assert loud.light_direction.shape == (6, 4, 3)
    assert loud.surfaces.gain.shape == (6, 6, 3)
    assert loud.surfaces.gain.std() > 0.1


def test_frames_render_as_crops_do() -> None:
    solid = MODELS[:4]
    plans = make_frame_plans(FrameConfig(), solid, 0, 0, 3, RANDOMIZATIONS["none"])
    crops = FakeRenderer(solid).render(plans)
    assert crops.rgb.shape == (3, 480, 640, 3)
    assert crops.others_mask.shape == (3, 5, 480, 640)
    for row in range(3):
        for k, other in enumerate(others_of(plans, row)):
            pixel = plans.camera_matrix[row] @ other.centre
            column, line = (pixel[:2] / pixel[2]).astype(int)
            assert crops.others_mask[row, k, line, column]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("`width`", {"width": 4}),
        ("`height`", {"height": 5000}),
        ("`camera`", {"camera": (0.0, 500.0, 320.0, 240.0)}),
        ("`camera`", {"camera": (500.0, 500.0, float("nan"), 240.0)}),
        ("`objects`", {"objects": 0}),
        ("`objects`", {"objects": 17}),
        ("`in_plane`", {"in_plane": 200.0}),
        ("`distance`", {"distance": (900.0, 600.0)}),
    ],
)
def test_settings_out_of_range_are_refused_by_their_name(
    name: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(SettingError, match=rf"^{name} is .*: it must be .*[^.]$"):
        FrameConfig(**settings)


def test_cameras_that_come_into_objects_are_refused() -> None:
    near = dataclasses.replace(FrameConfig(), distance=(60.0, 900.0))
    with pytest.raises(SettingError, match=r"`distance` begins at 60 mm.* begin at \d+ or more"):
        make_frame_plans(near, MODELS, 0, 0, 1)


@given(seed=st.integers(0, 10**6), objects=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_no_object_stands_twice_on_the_board_while_others_are_left(seed: int, objects: int) -> None:
    plans = make_frame_plans(FrameConfig(objects=objects), MODELS, seed, 0, 12)
    shown = np.column_stack([plans.object_index, plans.others.object_index])
    times = (shown[:, :, None] == np.arange(len(MODELS))).sum(axis=1)
    assert (times.max(axis=1) - times.min(axis=1) <= 1).all()
    again = make_frame_plans(FrameConfig(objects=5, repeat_objects=True), MODELS, seed, 0, 12)
    shown = np.column_stack([again.object_index, again.others.object_index])
    assert any(len(set(row)) < 5 for row in shown.tolist())
