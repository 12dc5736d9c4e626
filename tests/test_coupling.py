"""Renders through the adapter: what changes, and what must not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from adapter import Adapter, AdapterInfo, IdentityAdapter, load_adapter
from cad_models import load_models
from render_adapt import adapt_crops
from renderer import RANDOMIZATIONS, CropBatch, PlanConfig, RasterRenderer, make_plans


class Repaint(Adapter):
    """Inverts what the mask covers and paints all else in a colour that the noise decides."""

    def __init__(self, info: AdapterInfo) -> None:
        self.info = info

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        background = crops[:, 3:] >= 0.99
        color = np.broadcast_to(noise[:, :1, None, None], crops[:, :3].shape)
        painted = np.where(background, color, -crops[:, :3])
        depth = np.where(background, np.float32(0.5), crops[:, 3:])
        return np.concatenate([painted, depth], axis=1).astype(np.float32)


def rendered(size: int = 64, n: int = 6) -> CropBatch:
    models = load_models(["ape", "duck"])
    return RasterRenderer(models, levels=False).render(
        make_plans(PlanConfig(size=size), models, 1, 0, n)
    )


@pytest.mark.parametrize("size", [64, 128])
def test_identity_adapter_changes_nothing(size: int) -> None:
    crops = rendered(size)
    adapted = adapt_crops(crops, IdentityAdapter(channels=4, size=64), 0, 200.0)
    np.testing.assert_array_equal(adapted.rgb, crops.rgb)
    np.testing.assert_allclose(adapted.depth, crops.depth, atol=1e-3)
    np.testing.assert_array_equal(adapted.mask, crops.mask)


def test_rgb_adapter_leaves_depth_as_rendered() -> None:
    crops = rendered()
    adapted = adapt_crops(crops, IdentityAdapter(channels=3, size=64), 0, 200.0)
    np.testing.assert_array_equal(adapted.depth, crops.depth)


def test_each_crop_has_the_noise_of_its_seed_and_index_alone() -> None:
    crops = rendered()
    adapter = Repaint(IdentityAdapter(channels=4, size=64).info)
    whole = adapt_crops(crops, adapter, 5, 200.0)
    rows = slice(2, 4)
    part = CropBatch(**{k: v if v is None else v[rows] for k, v in vars(crops).items()})
    np.testing.assert_array_equal(adapt_crops(part, adapter, 5, 200.0).rgb, whole.rgb[2:4])
    backgrounds = whole.rgb[:, 0, 0, 0]
    assert len(np.unique(backgrounds)) == len(crops)
    other = adapt_crops(crops, adapter, 6, 200.0)
    assert (other.rgb[:, 0, 0, 0] != backgrounds).all()


@pytest.mark.parametrize("size", [128, 256])
def test_changes_carried_to_a_larger_crop_do_not_bleed_over_the_outline(size: int) -> None:
    crops = rendered(size)
    adapter = Repaint(IdentityAdapter(channels=4, size=64).info)
    adapted = adapt_crops(crops, adapter, 5, 200.0)
    for row in range(len(crops)):
        outside = adapted.rgb[row][~crops.mask[row]].astype(int)
        assert np.ptp(outside, axis=0).max() <= 8, "background is one colour up to the outline"
        depth_error = np.abs(adapted.depth[row] - crops.depth[row])[crops.mask[row]]
        assert depth_error.max() < 1, "object depth stays, to the millimetre"


@pytest.mark.parametrize("size", [64, 128])
def test_occluders_are_objects_too_and_keep_their_own_depth(size: int) -> None:
    """An adapter sees depth to 200 mm before the target; an occluder may be nearer than that."""
    models = load_models(["ape", "duck"])
    before = dataclasses.replace(RANDOMIZATIONS["linemod"], occluders=(2, 2))
    plans = make_plans(PlanConfig(size=size), models, 1, 0, 8, before)
    crops = RasterRenderer(models, levels=False).render(plans)
    adapted = adapt_crops(crops, IdentityAdapter(channels=4, size=64), 0, 200.0)
    np.testing.assert_array_equal(adapted.rgb, crops.rgb)
    np.testing.assert_allclose(adapted.depth, crops.depth, atol=1e-3)
    assert (crops.depth[crops.depth > 0].min() < plans.centre_depth - 200).any()
    painted = adapt_crops(crops, Repaint(IdentityAdapter(channels=4, size=64).info), 5, 200.0)
    for row in range(len(crops)):
        outside = painted.rgb[row][crops.depth[row] == 0].astype(int)
        off = np.abs(outside - np.median(outside, axis=0)).max(axis=1) > 8
        # In a gap of a pixel or two between objects the small crop has no pure background.
        assert off.mean() < 0.01, "background is one colour up to every outline"


class Add(Adapter):
    """Adds 32 grey levels to colour, and a tenth of the window to depth."""

    def __init__(self, info: AdapterInfo) -> None:
        self.info = info

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        return crops + np.float32([64 / 255] * 3 + [0.1])[:, None, None]


def test_carried_changes_keep_the_render_sharp() -> None:
    generator = np.random.default_rng(0)
    crops = rendered(128, 1)
    mask = np.zeros((1, 128, 128), bool)
    mask[:, 32:96, 32:96] = True
    depth = crops.plans.centre_depth[0] + generator.uniform(-100, 100, (1, 128, 128))
    crops = dataclasses.replace(
        crops, mask=mask, mask_visib=mask, depth=depth.astype(np.float32),
        rgb=generator.integers(64, 192, (1, 128, 128, 3)).astype(np.uint8),
    )  # fmt: skip
    added = adapt_crops(crops, Add(IdentityAdapter(channels=4, size=64).info), 0, 200.0)
    np.testing.assert_array_equal(added.rgb, crops.rgb + np.uint8(32))
    np.testing.assert_allclose(added.depth, crops.depth + 20, atol=2e-3)


def test_an_adapter_of_pixelda_fills_the_background_and_keeps_the_object_in_place() -> None:
    models = load_models(["ape", "benchvise", "cam", "cat", "duck"])
    crops = RasterRenderer(models, levels=False).render(make_plans(PlanConfig(), models, 3, 0, 40))
    adapter = load_adapter("linemod-rgbd-fast")
    adapted = adapt_crops(crops, adapter, 3, 200.0)
    outside = ~crops.mask
    assert crops.rgb[outside].max() == 0
    spread = [adapted.rgb[row][outside[row]].std() for row in range(len(crops))]
    assert np.mean(spread) > 25, "backgrounds have contents"
    other = adapt_crops(crops, adapter, 4, 200.0)
    difference = np.abs(adapted.rgb.astype(int) - other.rgb)[outside]
    assert difference.mean() > 10, "other noise, other picture"
    measured = (adapted.depth > 0) & crops.mask
    assert measured.sum() / crops.mask.sum() > 0.9
    error = np.abs(adapted.depth - crops.depth)[measured]
    assert np.median(error) < 5, "depth on the object agrees with its pose (millimetres)"
