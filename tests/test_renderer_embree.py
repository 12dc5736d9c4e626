"""The rasteriser against ray casting by Embree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import PlanConfig, Plans, RasterRenderer, make_plans
from tests.shapes import lopsided

embree_mesh = pytest.importorskip("embreex.mesh_construction")
embree_scene = pytest.importorskip("embreex.rtcore_scene")

SETTINGS = PlanConfig(viewpoints="so3")


def ray_cast(model: CadModel, plans: Plans, offset: float = 0.5) -> NDArray[np.float32]:
    """(N, H, W), z of the first hit of the ray through each pixel's `offset`, 0 where none."""
    scene = embree_scene.EmbreeScene(robust=True)
    embree_mesh.TriangleMesh(scene, model.mesh.vertices[model.mesh.faces])
    pixel = np.arange(plans.size) + offset
    across, down = np.meshgrid(pixel, pixel)
    image = np.stack([across, down, np.ones_like(across)], axis=-1).reshape(-1, 3)
    depth = np.zeros((len(plans), plans.size, plans.size), np.float32)
    for row in range(len(plans)):
        # With z = 1 in the camera's frame, the distance along the ray is z.
        rays = image @ np.linalg.inv(plans.camera_matrix[row]).T @ plans.rotation[row]
        origin = -plans.translation[row] @ plans.rotation[row]
        origins = np.broadcast_to(origin, rays.shape)
        hits = scene.run(
            np.ascontiguousarray(origins, np.float32), rays.astype(np.float32), output=True
        )
        found = np.where(hits["primID"] >= 0, hits["tfar"], 0)
        depth[row] = found.reshape(plans.size, plans.size)
    return depth


def assert_agree(model: CadModel, plans: Plans) -> None:
    batch = RasterRenderer([model], levels=False).render(plans)
    reference = ray_cast(model, plans)
    hit = reference > 0
    overlap = (hit & batch.mask).sum(axis=(1, 2)) / (hit | batch.mask).sum(axis=(1, 2))
    assert overlap.min() >= 0.995
    common = hit & batch.mask
    off = common & (np.abs(batch.depth - reference) > 0.05)
    # A pixel centre may lie within round-off (of either) on an edge where the depth jumps: then
    # the rays beside it must see both sides of the jump.
    assert off.sum() <= 1e-4 * common.sum()
    beside = np.stack([ray_cast(model, plans, 0.5 + step) for step in (-1e-3, 1e-3)])
    assert (batch.depth[off] >= beside.min(axis=0)[off] - 0.05).all()
    assert (batch.depth[off] <= beside.max(axis=0)[off] + 0.05).all()


@pytest.mark.parametrize("name", ["ape", "benchvise", "cam", "can", "eggbox", "lamp"])
def test_linemod_models_agree_with_ray_casting(name: str, data_dir: Path) -> None:
    (model,) = load_models([name], models=data_dir / "linemod/models")
    assert_agree(model, make_plans(SETTINGS, [model], 11, 0, 40))


def test_a_solid_far_off_its_origin_agrees_with_ray_casting() -> None:
    model = lopsided()
    assert_agree(model, make_plans(SETTINGS, [model], 11, 0, 40))


def test_half_a_pixel_off_would_be_noticed() -> None:
    model = lopsided()
    plans = make_plans(SETTINGS, [model], 11, 0, 20)
    mask = RasterRenderer([model], levels=False).render(plans).mask
    for offset in (0.0, 1.0):
        hit = ray_cast(model, plans, offset) > 0
        assert (hit & mask).sum() / (hit | mask).sum() < 0.98
