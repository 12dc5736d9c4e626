"""Edges and depth against labels: what they are worth where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._fidelity.label_view import LabelView, label_planes, label_view_of, values_at_side
from render_adapt._fidelity.parts import depth_agreement, edge_agreement
from renderer import CropBatch, make_renderer, plans_from_poses, uniform_rotation
from tests.shapes import lopsided, rectangle


def render(models: list[CadModel], size: int = 64, count: int = 4) -> CropBatch:
    rotations = uniform_rotation(np.random.default_rng(3).random((count, 3)))
    plans = plans_from_poses(models, np.zeros(count, int), rotations, 700.0, size=size)
    return make_renderer("raster", models, levels=False).render(plans)


def square(side: int = 20) -> LabelView:
    """A square on the optical axis, facing the camera, at 700 mm; a pixel is 200 / 64 mm."""
    half = side / 2 * 200 / 64
    models = [rectangle(-half, -half, half, half)]
    plans = plans_from_poses(models, [0], np.eye(3)[None], 700.0)
    return label_view_of(make_renderer("raster", models, levels=False).render(plans))


def picture(label: LabelView, seed: int = 0) -> NDArray[np.uint8]:
    """The label's square, bright, before a blotchy background."""
    random = np.random.default_rng(seed)
    noise = random.normal(110, 25, (*label.visible.shape, 3))
    blotches = np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in noise])
    painted = np.where(label.visible[..., None], 200, blotches)
    return np.clip(painted, 0, 255).astype(np.uint8)


def moved(images: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    return np.roll(images, pixels, axis=2)


def test_a_label_is_seen_where_the_square_is() -> None:
    label = square(20)
    expected = np.zeros((64, 64), bool)
    expected[22:42, 22:42] = True
    np.testing.assert_array_equal(label.visible[0], expected)
    assert label.window[0] == pytest.approx(200.0)
    np.testing.assert_allclose(label.depth, 0.0, atol=1e-6)  # it is at the centre's own depth


def test_planes_of_a_label() -> None:
    crops = render([lopsided()])
    planes = label_planes(label_view_of(crops))
    assert planes.shape == (4, 5, 64, 64)
    np.testing.assert_array_equal(planes[:, 3].astype(bool), crops.mask_visib)
    inside = crops.mask_visib
    z = planes[:, 4] * 200 + crops.plans.centre_depth[:, None, None]
    np.testing.assert_allclose(z[inside], crops.object_depth[inside], atol=1e-2)
    color = np.moveaxis(planes[:, :3], 1, -1)
    np.testing.assert_allclose(color[inside] * 127.5 + 127.5, crops.rgb[inside], atol=1e-3)
    assert (planes[:, [0, 1, 2, 4]][np.broadcast_to(~inside[:, None], (4, 4, 64, 64))] == 0).all()


def test_labels_of_larger_crops_are_those_of_small_ones() -> None:
    small, large = (label_view_of(render([lopsided()], size)) for size in (64, 256))
    np.testing.assert_allclose(small.window, large.window)
    assert (small.visible == large.visible).mean() > 0.99
    both = small.visible & large.visible
    assert np.abs(small.depth - large.depth)[both].mean() < 0.01


def test_values_are_taken_from_the_middle_of_where_a_pixel_was() -> None:
    fine = np.arange(192)[None, :, None] * np.ones((1, 1, 192))
    np.testing.assert_array_equal(values_at_side(fine)[0, :, 0], 3 * np.arange(64) + 1)


@pytest.mark.parametrize("pixels", [2, 4, 8])
def test_edges_are_where_the_label_says_or_not(pixels: int) -> None:
    label = square()
    image = picture(label)
    here, there = edge_agreement(image, label), edge_agreement(moved(image, pixels), label)
    assert here > 2 * there


def test_edges_count_whichever_side_is_brighter() -> None:
    label = square()
    image = picture(label)
    np.testing.assert_allclose(
        edge_agreement(image, label), edge_agreement(255 - image, label), rtol=1e-4
    )


def test_without_edges_there_is_no_agreement() -> None:
    label = square()
    assert edge_agreement(np.full((1, 64, 64, 3), 90, np.uint8), label) == 0


def test_edges_along_the_outline_count_and_those_across_it_do_not() -> None:
    label = square(40)
    stripes = (np.arange(64) // 4 % 2 * 200).astype(np.uint8)
    flat = np.zeros((1, 64, 64, 3), np.uint8)
    across = flat + stripes[None, :, None, None]  # rows: edges run along x only
    turned = label.visible.transpose(0, 2, 1)
    np.testing.assert_array_equal(turned, label.visible)
    along_too = across.transpose(0, 2, 1, 3)
    np.testing.assert_allclose(
        edge_agreement(across, label), edge_agreement(along_too, label), atol=0.02
    )
    assert edge_agreement(across, label) < 0.5 * edge_agreement(picture(label), label)


def test_depth_as_the_pose_says_is_off_by_nothing() -> None:
    crops = render([lopsided()])
    np.testing.assert_allclose(depth_agreement(crops.depth, label_view_of(crops)), 0.0, atol=1e-4)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        # 10 mm of 200 on the outline, and half as much again for the surface.
        (10.0, -0.075),
        # Farther off than a fifth of the window is simply wrong.
        (90.0, -0.3),
    ],
)
def test_depth_is_off_by_so_much_of_the_window(offset: float, expected: float) -> None:
    crops = render([lopsided()])
    depth = np.where(crops.depth > 0, crops.depth + np.float32(offset), np.float32(0))
    np.testing.assert_allclose(depth_agreement(depth, label_view_of(crops)), expected, atol=1e-4)


def test_missing_depth_is_worst_on_the_outline() -> None:
    crops = render([lopsided()])
    np.testing.assert_allclose(
        depth_agreement(np.zeros_like(crops.depth), label_view_of(crops)), -1.1, atol=1e-6
    )


def test_what_is_hidden_is_not_compared() -> None:
    crops = render([lopsided()])
    right = np.arange(64) >= 32
    half = replace(crops, mask_visib=crops.mask_visib & right)
    depth = np.where(right, crops.depth, np.float32(1.0))
    np.testing.assert_allclose(depth_agreement(depth, label_view_of(half)), 0.0, atol=1e-4)
