"""Boards, photographs and patterns behind the objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import (
    CropBatch,
    FakeRenderer,
    Instances,
    PlanConfig,
    Plans,
    Randomization,
    RenderError,
    Surfaces,
    capture,
    make_plans,
)
from tests.shapes import ball, lopsided

MODELS = [lopsided(), ball(40.0, (10, -20, 5))]
BOARD = Randomization(background=("board",))
PATTERN = Randomization(background=("procedural",))


def plans_of(count: int, models: Sequence[CadModel] = MODELS, size: int = 64) -> Plans:
    return make_plans(PlanConfig(size=size), models, 4, 0, count)


def rendered(plans: Plans, models: Sequence[CadModel] = MODELS, maps: bool = False) -> CropBatch:
    return FakeRenderer(models).render(plans, surface_maps=maps)


def bare(plans: Plans) -> CropBatch:
    """Crops that show nothing at all."""
    crops = rendered(plans)
    off = np.zeros_like(crops.mask)
    return replace(
        crops, rgb=np.zeros_like(crops.rgb), depth=np.zeros_like(crops.depth), mask=off,
        mask_visib=off, object_depth=np.zeros_like(crops.depth),
    )  # fmt: skip


def points_of(plans: Plans, row: int, depth: NDArray[np.floating]) -> NDArray[np.float64]:
    """(H, W, 3), where the pixels' centres lie in the model's frame."""
    x, y = np.meshgrid(np.arange(plans.width) + 0.5, np.arange(plans.height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays = pixels @ np.linalg.inv(plans.camera_matrix[row]).T
    camera = depth[..., None] * rays - plans.translation[row]
    return np.asarray(camera @ plans.rotation[row])


def flat_plan(elevation: float, height: float, size: int = 64) -> Plans:
    """One crop of a ball of radius 40 about its own origin, seen from `elevation` degrees."""
    model = ball(40.0)
    plans = make_plans(PlanConfig(size=size), [model], 0, 0, 1)
    sine, cosine = np.sin(np.radians(elevation)), np.cos(np.radians(elevation))
    # Rows are the camera's x, y (down) and z axes in the model's frame.
    rotation = np.array([[1.0, 0, 0], [0, -sine, -cosine], [0, cosine, -sine]])
    focal = size * height / 200
    camera = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return replace(
        plans, rotation=rotation[None], translation=np.array([[0, 0, height]]),
        camera_matrix=camera[None], centre_depth=np.array([height]),
    )  # fmt: skip


def test_black_changes_nothing_at_all() -> None:
    crops = rendered(plans_of(3))
    assert capture(crops, Randomization(), 0, MODELS) is crops


def test_the_board_is_the_plane_under_the_target() -> None:
    plans = plans_of(12)
    shown = capture(bare(plans), BOARD, 0, MODELS)
    for row in range(len(plans)):
        board = shown.depth[row] > 0
        z = points_of(plans, row, shown.depth[row])[board][:, 2]
        least = MODELS[plans.object_index[row]].bounds[0, 2]
        assert board.sum() > 500
        # As far as single precision goes at up to 4 m.
        np.testing.assert_allclose(z, least, atol=1e-2)
    assert shown.depth.max() < 4000


def test_the_boards_depth_is_what_is_computed_by_hand() -> None:
    """From straight above, 1 m off the ball's centre, its board is a wall at 1040 mm; from 30
    degrees the middle ray meets it 40 mm / sin 30 behind the centre, and one 32 pixels lower,
    which falls by 30 degrees + atan 0.1, after (540 mm / sin 35.71) x cos 5.71."""
    models = [ball(40.0)]
    above = capture(bare(flat_plan(90, 1000.0)), BOARD, 0, models).depth[0]
    np.testing.assert_allclose(above, 1040.0, atol=2e-3)  # the ball's mesh is as exact
    plans = flat_plan(30, 1000.0)
    # Move the image so that the optical axis is a pixel's centre.
    plans.camera_matrix[0, :2, 2] = 20.5
    depth = capture(bare(plans), BOARD, 0, models).depth[0]
    assert depth[20, 20] == pytest.approx(1080.0, abs=5e-3)
    lower = np.degrees(np.arctan(0.1))
    expected = 540 / np.sin(np.radians(30 + lower)) * np.cos(np.radians(lower))
    assert depth[20 + 32, 20] == pytest.approx(expected, abs=5e-3)


def test_the_boards_depth_is_that_of_a_ray_cast_rectangle() -> None:
    mesh = pytest.importorskip("embreex.mesh_construction")
    scenes = pytest.importorskip("embreex.rtcore_scene")
    plans = plans_of(6)
    depth = capture(bare(plans), BOARD, 0, MODELS).depth
    for row in range(len(plans)):
        bounds = MODELS[plans.object_index[row]].bounds
        x, y = bounds.mean(axis=0)[:2]
        r, z = 2500.0, bounds[0, 2]
        a, b, c, d = (x - r, y - r, z), (x + r, y - r, z), (x + r, y + r, z), (x - r, y + r, z)
        scene = scenes.EmbreeScene(robust=True)
        mesh.TriangleMesh(scene, np.array([[a, b, c], [a, c, d]], np.float32))
        at_one = points_of(plans, row, np.ones((64, 64)))
        origin = -plans.translation[row] @ plans.rotation[row]
        rays = (at_one - origin).reshape(-1, 3).astype(np.float32)
        origins = np.broadcast_to(origin, rays.shape).astype(np.float32)
        hits = scene.run(np.ascontiguousarray(origins), rays, output=True)
        cast = np.where(hits["primID"] >= 0, hits["tfar"], 0).reshape(64, 64)
        both = (cast > 0) & (depth[row] > 0)
        assert both.sum() > 500
        np.testing.assert_allclose(depth[row][both], cast[both], rtol=2e-5)
        # Either alone: beyond the rectangle's end, or beyond the board's.
        assert ((cast > 0) ^ (depth[row] > 0))[cast < 2000].sum() == 0


def test_objects_that_stand_on_the_board_are_not_touched_by_it() -> None:
    crops = rendered(plans_of(20), maps=True)
    shown = capture(crops, BOARD, 0, MODELS)
    for name in ("mask", "mask_visib", "object_depth", "normals", "object_coordinates"):
        np.testing.assert_array_equal(getattr(shown, name), getattr(crops, name))
    np.testing.assert_array_equal(shown.rgb[crops.mask], crops.rgb[crops.mask])
    np.testing.assert_array_equal(shown.depth[crops.mask], crops.depth[crops.mask])
    assert (shown.depth[~crops.mask] != 0).mean() > 0.8


def sunk(plans: Plans, depth: float) -> Plans:
    """Beside each target another ball, whose centre is `depth` millimetres under the board."""
    count = len(plans)
    least = np.array([MODELS[k].bounds[0, 2] for k in plans.object_index])
    middle = np.array([MODELS[k].centre for k in plans.object_index])
    place = np.stack([middle[:, 0] + 60, middle[:, 1], least - depth], axis=1)
    centre = (plans.rotation @ place[..., None])[..., 0] + plans.translation
    others = Instances(
        object_index=np.ones((count, 1), np.int32),
        rotation=plans.rotation[:, None],
        translation=centre[:, None] - (plans.rotation @ MODELS[1].centre)[:, None],
    )
    return replace(plans, others=others, surfaces=Surfaces.plain(count, 1))


def test_the_board_hides_exactly_what_is_under_it() -> None:
    crops = rendered(sunk(plans_of(20), 10.0))
    shown = capture(crops, BOARD, 0, MODELS)
    hidden_in_all = 0
    for row in range(len(crops)):
        points = points_of(crops.plans, row, crops.depth[row])
        least = MODELS[crops.plans.object_index[row]].bounds[0, 2]
        under = crops.others_mask_visib[row, 0] & (points[..., 2] < least)
        near = np.abs(points[..., 2] - least) < 1e-2  # where rounding may decide
        seen = crops.others_mask_visib[row, 0] & ~under
        np.testing.assert_array_equal(shown.others_mask_visib[row, 0][~near], seen[~near])
        hidden = crops.others_mask_visib[row, 0] & ~shown.others_mask_visib[row, 0]
        board = points_of(crops.plans, row, shown.depth[row])[hidden][:, 2]
        np.testing.assert_allclose(board, least, atol=1e-2)
        hidden_in_all += hidden.sum()
    assert hidden_in_all > 1000
    np.testing.assert_array_equal(shown.others_mask, crops.others_mask)
    np.testing.assert_array_equal(shown.mask_visib, crops.mask_visib)


def test_what_the_board_hides_of_the_target_is_gone_from_its_maps() -> None:
    """A target that is under its own board cannot be planned: one is made by hand."""
    crops = rendered(plans_of(2), maps=True)
    low, high = crops.mask.copy(), crops.depth.copy()
    high[crops.mask] += 1000.0  # behind the board
    shown = capture(replace(crops, depth=high), BOARD, 0, MODELS)
    gone = low & ~shown.mask_visib
    assert gone.sum() > 100
    assert shown.normals is not None
    assert shown.object_coordinates is not None
    assert not shown.normals[gone].any()
    assert not shown.object_coordinates[gone].any()
    np.testing.assert_array_equal(shown.mask, crops.mask)


def test_the_crops_that_are_given_stay_as_they_are() -> None:
    crops = rendered(sunk(plans_of(4), 10.0), maps=True)
    before = {k: v.copy() for k, v in vars(crops).items() if isinstance(v, np.ndarray)}
    capture(crops, BOARD, 0, MODELS)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(crops, name), value)


def test_light_falls_on_the_board_as_on_an_object() -> None:
    """Twice the light shows it twice as bright, and light from below not at all."""
    plans = plans_of(8)
    up = plans.rotation[:, :, 2]
    one = replace(
        plans, light_direction=up[:, None].astype(np.float32),
        light_color=np.full((8, 1, 3), 0.2, np.float32),
        ambient_color=np.zeros((8, 3), np.float32),
    )  # fmt: skip
    two = replace(one, light_color=2 * one.light_color)
    below = replace(one, light_direction=-one.light_direction)
    slanting = replace(
        one, light_direction=(0.5 * up + np.sqrt(0.75) * plans.rotation[:, :, 0])[:, None].astype(
            np.float32
        )
    )  # fmt: skip
    board = capture(bare(one), BOARD, 0, MODELS).depth > 0
    colors = {
        name: capture(bare(which), BOARD, 0, MODELS).rgb[board].astype(float)
        for name, which in {"one": one, "two": two, "below": below, "half": slanting}.items()
    }
    assert colors["one"].mean() > 5
    assert np.abs(colors["two"] - 2 * colors["one"]).max() <= 1.5  # each is rounded
    assert np.abs(colors["one"] - 2 * colors["half"]).max() <= 1.5
    assert not colors["below"].any()


@pytest.mark.parametrize("number", range(12))
def test_a_boards_picture_lies_on_it_in_perspective(number: int) -> None:
    """Two views of one board show the same colours at the same places of it."""
    views = []
    places = np.stack(np.meshgrid(np.linspace(-45, 45, 31), np.linspace(-45, 45, 31)), axis=-1)
    points = np.concatenate([places, np.full((31, 31, 1), -40.0)], axis=-1).reshape(-1, 3)
    for elevation, size in ((80, 128), (40, 128)):
        plans = replace(flat_plan(elevation, 900.0, size), index=np.array([number]))
        plans = replace(plans, light_color=np.zeros((1, 1, 3), np.float32))
        plans = replace(plans, ambient_color=np.full((1, 3), 0.8, np.float32))
        rgb = capture(bare(plans), BOARD, 0, [ball(40.0)]).rgb[0]
        camera = points @ plans.rotation[0].T + plans.translation[0]
        image = camera @ plans.camera_matrix[0].T
        columns, rows = np.floor(image[:, :2] / image[:, 2:]).astype(int).T
        views.append(rgb[rows, columns].astype(float))
    first, second = views
    contrast = first.std(axis=0).max()
    if contrast < 8:  # one colour
        np.testing.assert_allclose(first.mean(axis=0), second.mean(axis=0), atol=2)
    else:
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.8


def test_above_the_horizon_there_is_a_picture_without_depth() -> None:
    shown = capture(bare(flat_plan(2, 900.0)), BOARD, 0, [ball(40.0)])
    beyond = shown.depth[0] == 0
    assert beyond[:25].all()
    assert not beyond[40:].any()
    assert shown.rgb[0][beyond].any(axis=1).mean() > 0.9


def test_patterns_have_colours_and_no_depth() -> None:
    crops = rendered(plans_of(30))
    shown = capture(crops, PATTERN, 0, MODELS)
    np.testing.assert_array_equal(shown.depth, crops.depth)
    np.testing.assert_array_equal(shown.mask_visib, crops.mask_visib)
    np.testing.assert_array_equal(shown.rgb[crops.mask], crops.rgb[crops.mask])
    assert (
        len({rgb[~mask].tobytes() for rgb, mask in zip(shown.rgb, crops.mask, strict=True)}) == 30
    )
    assert (shown.rgb[~crops.mask] > 0).mean() > 0.9


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    """A photograph that says where it was cut: red is the column, green the row, blue is 200."""
    rows, columns = np.indices((height, width))
    return np.stack([columns, rows, np.full_like(rows, 200)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(200, 250), (250, 80), (40, 60)])
def test_photographs_are_cut_at_random_and_not_distorted(height: int, width: int) -> None:
    plans = plans_of(60)
    photographs = Randomization(background=("photographs",), photographs=Path())
    shown = capture(bare(plans), photographs, 0, MODELS, [gradient(height, width)])
    assert not shown.depth.any()
    rgb = shown.rgb.astype(float)
    np.testing.assert_allclose(rgb[..., 2], 200, atol=1)
    across = (rgb[:, 32, 60, 0] - rgb[:, 32, 3, 0]) / 57
    down = (rgb[:, 60, 32, 1] - rgb[:, 3, 32, 1]) / 57
    np.testing.assert_allclose(across, down, atol=0.06)
    least, greatest = min(64, height, width) / 64, min(height, width) / 64
    assert across.min() > 0.85 * least
    assert across.max() < 1.15 * greatest
    if greatest > 1.2:
        assert np.ptp(across) > 0.5 * (greatest - least)
        assert np.ptp(rgb[:, 0, 0, :2], axis=0).max() > 0.3 * max(height, width) - 64 * least / 2


def test_photographs_must_be_there() -> None:
    photographs = Randomization(background=("photographs",), photographs=Path())
    with pytest.raises(RenderError, match="none were loaded"):
        capture(bare(plans_of(1)), photographs, 0, MODELS)


def test_kinds_are_drawn_equally_often() -> None:
    kinds = Randomization(background=("black", "procedural", "board"))
    shown = capture(bare(plans_of(600, size=16)), kinds, 0, MODELS)
    board = (shown.depth > 0).any(axis=(1, 2))
    colored = shown.rgb.any(axis=(1, 2, 3))
    assert board.mean() == pytest.approx(1 / 3, abs=0.06)
    assert (colored & ~board).mean() == pytest.approx(1 / 3, abs=0.06)


def test_frames_need_not_be_square() -> None:
    plans = replace(plans_of(3), width=96)
    for settings in (BOARD, PATTERN):
        shown = capture(bare(plans), settings, 0, MODELS)
        assert shown.rgb.shape == (3, 64, 96, 3)
        assert shown.rgb.any(axis=(1, 2, 3)).all()
