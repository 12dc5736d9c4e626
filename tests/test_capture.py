"""Backgrounds, camera and depth sensor together."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    FakeRenderer,
    PlanConfig,
    Randomization,
    capture,
    make_plans,
)
from tests.shapes import ball, lopsided

MODELS = [lopsided(), ball(40.0)]
STRONG = replace(
    RANDOMIZATIONS["strong"], background=("black", "board", "procedural"), texture_swap=0.0
)
ARRAYS = (
    "rgb", "depth", "object_depth", "mask", "mask_visib", "others_mask", "others_mask_visib",
    "normals", "object_coordinates",
)  # fmt: skip


def rendered(start: int, stop: int, randomization: Randomization = STRONG) -> CropBatch:
    plans = make_plans(PlanConfig(size=32), MODELS, 5, start, stop, randomization)
    return FakeRenderer(MODELS).render(plans, surface_maps=True)


def captured(start: int, stop: int, randomization: Randomization = STRONG) -> CropBatch:
    return capture(rendered(start, stop), randomization, 5, MODELS)


def assert_equal(one: CropBatch, other: CropBatch) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("name", ["none", "linemod"])
def test_settings_that_change_nothing_give_back_the_very_crops(name: str) -> None:
    crops = rendered(0, 3)
    assert capture(crops, RANDOMIZATIONS[name], 5, MODELS) is crops


def test_a_crop_does_not_depend_on_its_batch() -> None:
    whole = captured(0, 13)
    for start, stop in ((0, 1), (1, 6), (6, 13)):
        part = captured(start, stop)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[start:stop])
    order = np.array([7, 2, 11])
    crops = rendered(0, 13)
    picked = replace(
        crops, plans=crops.plans[order], **{name: getattr(crops, name)[order] for name in ARRAYS}
    )
    again = capture(picked, STRONG, 5, MODELS)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name)[order])


def test_the_seed_decides() -> None:
    crops = rendered(0, 8)
    first, again, other = (capture(crops, STRONG, seed, MODELS) for seed in (5, 5, 6))
    assert_equal(first, again)
    assert (first.rgb != other.rgb).mean() > 0.5
    assert (first.depth != other.depth).mean() > 0.1


def test_labels_are_those_of_what_stands_before_the_camera() -> None:
    crops = rendered(0, 20)
    shown = capture(crops, STRONG, 5, MODELS)
    for name in ("object_depth", "mask", "others_mask"):
        np.testing.assert_array_equal(getattr(shown, name), getattr(crops, name))
    assert not (shown.mask_visib & ~crops.mask_visib).any()
    assert not (shown.others_mask_visib & ~crops.others_mask_visib).any()
    taken = np.concatenate([shown.mask_visib[:, None], shown.others_mask_visib], axis=1)
    assert taken.sum(axis=1).max() == 1


def only(**changes: object) -> Randomization:
    return replace(Randomization(), **changes)  # type: ignore[arg-type]


def test_each_part_changes_its_own_images_alone() -> None:
    crops = rendered(0, 6)
    blurred = capture(crops, only(motion_blur=(1.0, 3.0), color_noise=(2.0, 2.0)), 5, MODELS)
    assert_equal(replace(blurred, rgb=crops.rgb), crops)
    assert (blurred.rgb != crops.rgb).mean() > 0.3
    measured = capture(crops, only(depth_sensor="structured-light"), 5, MODELS)
    assert_equal(replace(measured, depth=crops.depth), crops)
    assert (measured.depth != crops.depth)[crops.depth > 0].mean() > 0.9


def test_changing_one_setting_leaves_the_others_draws_as_they_are() -> None:
    crops = rendered(0, 6)
    both = capture(crops, only(background=("board",), depth_sensor="gaussian"), 5, MODELS)
    more = capture(
        crops, only(background=("board",), depth_sensor="gaussian", exposure=(0.5, 0.5)), 5, MODELS
    )
    np.testing.assert_array_equal(both.depth, more.depth)
    exact = capture(crops, only(background=("board",)), 5, MODELS)
    np.testing.assert_array_equal(both.rgb, exact.rgb)


def test_the_camera_sees_the_background_and_the_sensor_the_board() -> None:
    crops = rendered(0, 6)
    settings = only(
        background=("board",), exposure=(-4.0, -4.0), depth_sensor="gaussian", depth_noise=(2, 2)
    )
    exact = capture(crops, only(background=("board",)), 5, MODELS)
    shown = capture(crops, settings, 5, MODELS)
    behind = (crops.depth == 0) & (exact.depth > 0)
    assert shown.rgb[behind].mean() < 0.4 * exact.rgb[behind].mean()
    error = (shown.depth - exact.depth)[behind] / (exact.depth[behind] / 1000) ** 2
    assert error.std() == pytest.approx(2.0, rel=0.05)


def test_the_gaussian_sensors_noise_is_drawn_from_its_range() -> None:
    crops = rendered(0, 40, Randomization())
    shown = capture(crops, only(depth_sensor="gaussian", depth_noise=(1.0, 3.0)), 5, MODELS)
    spread = []
    for row in range(len(crops)):
        seen = crops.depth[row] > 0
        error: NDArray[np.float32] = (shown.depth - crops.depth)[row][seen]
        spread.append(float((error / (crops.depth[row][seen] / 1000) ** 2).std()))
    assert 0.8 < min(spread) < 1.4
    assert 2.6 < max(spread) < 3.4


def test_frames_are_captured_as_crops_are() -> None:
    plans = replace(make_plans(PlanConfig(size=48), MODELS, 5, 0, 3), width=64)
    crops = FakeRenderer(MODELS).render(plans)
    shown = capture(crops, STRONG, 5, MODELS)
    assert shown.rgb.shape == (3, 48, 64, 3)
    assert shown.depth.shape == (3, 48, 64)
    assert (shown.rgb != crops.rgb).any()


def test_capturing_needs_no_compiler_and_no_mesh_library() -> None:
    code = (
        "import sys; from renderer import capture, load_textures\n"
        "load_textures(None)\n"
        "print(sorted({'numba', 'scipy', 'torch', 'trimesh'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
