"""The renderer that tests of the pipeline use."""

from __future__ import annotations

import numpy as np
import pytest

from renderer import FakeRenderer, PlanConfig, RasterRenderer, make_plans, plans_from_poses
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
    np.testing.assert_allclose(fake.depth[middle], real.depth[middle], atol=0.3)


def test_fake_colors_show_the_rotation() -> None:
    rotation = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    plans = plans_from_poses(
        MODELS, [1, 1], [np.eye(3), rotation], 800, light_color=0.0, ambient_color=1.0
    )
    first, second = FakeRenderer(MODELS).render(plans).rgb[:, 32, 32].astype(int)
    # The camera sees the model's -z side, then its -y side (a normal of -1 is 0).
    assert first == pytest.approx([127.5, 127.5, 0], abs=5)
    assert second == pytest.approx([127.5, 0, 127.5], abs=5)
