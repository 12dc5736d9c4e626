"""The renderer that tests of the pipeline use."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from renderer import (
    RANDOMIZATIONS,
    FakeRenderer,
    PlanConfig,
    RasterRenderer,
    make_plans,
    plans_from_poses,
)
from tests.shapes import ball, lopsided

MODELS = [lopsided(), ball(50, (5, -80, 30))]
PLANS = make_plans(PlanConfig(viewpoints="so3"), MODELS, 2, 0, 40)


def test_fake_crops_are_as_consistent_as_real_ones() -> None:
    batch = FakeRenderer(MODELS).render(PLANS)
    assert batch.rgb.shape == (40, 64, 64, 3)
    np.testing.assert_array_equal(batch.mask, batch.depth > 0)
    np.testing.assert_array_equal(batch.mask_visib, batch.mask)
    assert not batch.rgb[~batch.mask].any()
    assert batch.mask[:, 31:33, 31:33].all()


def test_fake_crops_depend_on_their_plans_alone() -> None:
    renderer = FakeRenderer(MODELS)
    whole = renderer.render(PLANS)
    part = renderer.render(PLANS[11:23])
    np.testing.assert_array_equal(part.rgb, whole.rgb[11:23])
    np.testing.assert_array_equal(part.depth, whole.depth[11:23])


def test_a_fake_ball_is_where_a_real_one_is() -> None:
    plans = PLANS[PLANS.object_index == 1]
    fake, real = FakeRenderer(MODELS).render(plans), RasterRenderer(MODELS).render(plans)
    overlap = (fake.mask & real.mask).sum() / (fake.mask | real.mask).sum()
    assert overlap > 0.99
    middle = np.s_[:, 24:40, 24:40]
    # The rasteriser may draw a mesh of fewer faces, up to 0.5 mm off.
    np.testing.assert_allclose(fake.depth[middle], real.depth[middle], atol=0.8)


def test_fake_objects_hide_each_other_as_real_ones_do() -> None:
    clutter = dataclasses.replace(RANDOMIZATIONS["linemod"], occluders=(1, 2), neighbours=(0, 2))
    models = [ball(40), ball(55, (5, -80, 30))]
    plans = make_plans(PlanConfig(), models, 0, 0, 60, clutter)
    fake = FakeRenderer(models).render(plans)
    real = RasterRenderer(models).render(plans)
    for name in ("mask", "mask_visib", "others_mask", "others_mask_visib"):
        first, second = getattr(fake, name), getattr(real, name)
        assert (first & second).sum() / (first | second).sum() > 0.99, name
    assert (fake.mask_visib.sum(axis=(1, 2)) < fake.mask.sum(axis=(1, 2))).sum() > 20
    seen = np.concatenate([fake.mask_visib[:, None], fake.others_mask_visib], axis=1)
    assert seen.sum(axis=1).max() == 1, "a pixel belongs to one object"
    np.testing.assert_array_equal(seen.any(axis=1), fake.depth > 0)
    np.testing.assert_array_equal(fake.mask, fake.object_depth > 0)
    both = fake.mask_visib & real.mask_visib
    # At the silhouettes, where a ball falls away, a little sideways is much in depth.
    assert np.quantile(np.abs(fake.depth[both] - real.depth[both]), 0.9) < 1
    np.testing.assert_array_equal(fake.depth[fake.mask_visib], fake.object_depth[fake.mask_visib])


def test_fake_surface_maps_are_those_of_a_ball() -> None:
    models = [ball(50, (5, -80, 30))]
    plans = make_plans(PlanConfig(), models, 0, 0, 8)
    crops = FakeRenderer(models).render(plans, surface_maps=True)
    assert FakeRenderer(models).render(plans).normals is None
    for row in range(8):
        seen = crops.mask[row]
        np.testing.assert_allclose(np.linalg.norm(crops.normals[row, seen], axis=1), 1, atol=1e-5)
        on_ball = 2 * crops.object_coordinates[row, seen] - 1
        in_camera = on_ball @ plans.rotation[row].T
        np.testing.assert_allclose(in_camera, crops.normals[row, seen], atol=1e-4)
        assert not crops.normals[row, ~seen].any()
        assert not crops.object_coordinates[row, ~seen].any()


def test_fake_surfaces_are_lit_as_planned() -> None:
    """The ball's nearest point, which faces the camera and a light beside it, by hand."""
    model = ball(50)
    plans = plans_from_poses(
        [model], [0], np.eye(3)[None], 800, size=65, ambient_color=0.1,
        light_direction=np.array([[[0.0, 0, -1], [0, 0.6, -0.8]]]),
        light_color=np.array([[[0.2, 0.2, 0.2], [0.5, 0.5, 0.5]]]),
    )  # fmt: skip
    surfaces = dataclasses.replace(
        plans.surfaces,
        gain=np.full((1, 1, 3), 0.5, np.float32),
        specular=np.full((1, 1), 0.3, np.float32),
        shininess=np.full((1, 1), 10.0, np.float32),
    )
    crops = FakeRenderer([model]).render(dataclasses.replace(plans, surfaces=surfaces))
    half_way = 0.9 / np.sqrt(0.9)  # (0, 0.6, -0.8) + (0, 0, -1), and its cosine to (0, 0, -1)
    highlight = 255 * 0.3 * (0.2 + 0.5 * half_way**10)
    own = 127.5 * 0.5 * (0.1 + 0.2 + 0.5 * 0.8)
    # The colour there is grey in red and green, and black in blue: the normal is (0, 0, -1).
    assert crops.rgb[0, 32, 32] == pytest.approx([own + highlight] * 2 + [highlight], abs=1)


def test_fake_colors_show_the_rotation() -> None:
    rotation = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    plans = plans_from_poses(
        MODELS, [1, 1], [np.eye(3), rotation], 800, light_color=0.0, ambient_color=1.0
    )
    first, second = FakeRenderer(MODELS).render(plans).rgb[:, 32, 32].astype(int)
    # The camera sees the model's -z side, then its -y side (a normal of -1 is 0).
    assert first == pytest.approx([127.5, 127.5, 0], abs=5)
    assert second == pytest.approx([127.5, 0, 127.5], abs=5)
