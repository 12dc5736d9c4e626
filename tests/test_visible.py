"""Crops around what is seen of their objects, as a detector's boxes are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    PlanConfig,
    Plans,
    RasterRenderer,
    linemod_camera,
    make_plans,
)
from tests.shapes import ball, lopsided, rectangle

SIZE = 256
PLAIN = RANDOMIZATIONS["linemod"]
VISIBLE = PlanConfig(size=SIZE, centre="visible", window=260)
STRONG = dataclasses.replace(
    PLAIN, occluders=(0, 2), neighbours=(0, 4), lights=(1, 3), occlusion=0.6
)


@pytest.fixture(scope="module")
def models() -> list[CadModel]:
    return load_models(["ape", "can", "cat", "phone"])


def middle_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(2,), x and y of the middle of the box of what is set."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min() + columns.max() + 1, rows.min() + rows.max() + 1]) / 2


def off_middle(models: list[CadModel], plans: Plans) -> NDArray[np.float64]:
    """How far the boxes of what is seen are from the crops' middles, pixels, with levels off."""
    return seen_off_middle(RasterRenderer(models, levels=False).render(plans))


def seen_off_middle(crops: CropBatch) -> NDArray[np.float64]:
    seen = [mask for mask in crops.mask_visib if mask.any()]
    return np.array([np.abs(middle_of(mask) - crops.plans.width / 2).max() for mask in seen])


@pytest.mark.parametrize("off_axis", [0.0, 25.0])
def test_the_box_of_an_object_that_nothing_hides_is_in_the_middle(
    models: list[CadModel], off_axis: float
) -> None:
    plans = make_plans(dataclasses.replace(VISIBLE, off_axis=off_axis), models, 1, 0, 40)
    off = off_middle(models, plans)
    assert len(off) == 40
    # A border of a mask is known to half a pixel.
    assert off.max() <= 0.51
    boxed = make_plans(
        dataclasses.replace(VISIBLE, off_axis=off_axis, centre="box"), models, 1, 0, 40
    )
    assert off_middle(models, boxed).max() > 2
    np.testing.assert_array_equal(plans.rotation, boxed.rotation)
    np.testing.assert_array_equal(plans.translation, boxed.translation)


@pytest.mark.parametrize("off_axis", [0.0, 25.0])
def test_the_box_of_what_others_leave_to_be_seen_is_in_the_middle(
    models: list[CadModel], off_axis: float
) -> None:
    config = dataclasses.replace(VISIBLE, off_axis=off_axis)
    plans = make_plans(config, models, 2, 0, 80, STRONG)
    crops = RasterRenderer(models, levels=False).render(plans)
    hidden = (crops.mask & ~crops.mask_visib).any(axis=(1, 2))
    assert hidden.sum() > 25
    off = seen_off_middle(crops)
    assert np.mean(off <= 1.0) > 0.95
    whole = np.array([np.abs(middle_of(mask) - SIZE / 2).max() for mask in crops.mask[hidden]])
    assert np.mean(whole > 3) > 0.4, "around the whole objects they would be elsewhere"


def test_the_box_is_next_to_the_middle_in_windows_of_pictures(models: list[CadModel]) -> None:
    config = dataclasses.replace(
        VISIBLE, picture=(640, 480), camera=linemod_camera(640, 480), off_axis=12.0, window=200
    )
    plans = make_plans(config, models, 3, 0, 30)
    source_pixel = plans.camera_matrix[:, 0, 0] / linemod_camera(640, 480)[0]
    assert (off_middle(models, plans) <= source_pixel + 0.51).all()


def test_jitter_moves_the_window_about_what_is_seen(models: list[CadModel]) -> None:
    still = make_plans(VISIBLE, models, 4, 0, 60, STRONG)
    moved = make_plans(
        VISIBLE, models, 4, 0, 60, dataclasses.replace(STRONG, off_centre=0.2)
    )  # fmt: skip
    share = (moved.camera_matrix - still.camera_matrix)[:, :2, 2] / SIZE
    assert np.abs(share).max() <= 0.2 + 1e-9
    assert np.abs(share).max() > 0.18
    np.testing.assert_array_equal(moved.translation, still.translation)
    np.testing.assert_array_equal(moved.others.translation, still.others.translation)


def test_an_object_of_which_nothing_is_seen_is_in_the_middle_as_a_whole() -> None:
    models = [ball(4), ball(90)]
    crowd = dataclasses.replace(PLAIN, occluders=(3, 3), occlusion=1.0)
    plans = make_plans(dataclasses.replace(VISIBLE, window=60), models, 0, 0, 60, crowd)
    small = np.flatnonzero(plans.object_index == 0)
    crops = RasterRenderer(models).render(plans[small])
    hidden = ~crops.mask_visib.any(axis=(1, 2))
    assert hidden.sum() > 5
    assert np.isfinite(plans.camera_matrix).all()
    off = [np.abs(middle_of(mask) - SIZE / 2).max() for mask in crops.mask[hidden]]
    assert np.mean(np.array(off) <= 0.51) > 0.5
    # Of the rest less than a pixel is seen, at its border.
    assert max(off) <= SIZE * 4.5 / 60


@given(
    seed=st.integers(0, 10**6), off_axis=st.floats(0, 60), nearest=st.floats(250, 1500)
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_what_is_seen_is_in_the_middle_of_any_crop(
    seed: int, off_axis: float, nearest: float
) -> None:
    models = [lopsided(), ball(35, (5, -80, 30)), rectangle(-50, -20, 30, 40)]
    config = PlanConfig(
        size=SIZE, centre="visible", window=400, off_axis=off_axis, viewpoints="so3",
        distance=(nearest, nearest + 100),
    )  # fmt: skip
    plans = make_plans(config, models, seed, 0, 6, STRONG)
    assert np.mean(off_middle(models, plans) <= 2) > 0.6
    alone = make_plans(config, models, seed, 0, 6)
    # The tip of a spike is thinner than a pixel.
    assert off_middle(models, alone).max() <= 2


def test_the_same_crops_come_alone_or_among_others(models: list[CadModel]) -> None:
    together = make_plans(VISIBLE, models, 7, 0, 20, STRONG)
    for start in (0, 7, 13):
        alone = make_plans(VISIBLE, models, 7, start, start + 1, STRONG)
        np.testing.assert_array_equal(alone.camera_matrix[0], together.camera_matrix[start])
