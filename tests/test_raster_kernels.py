"""The rasteriser's kernels by themselves: closest points, against trimesh's for each triangle, and
what it takes to compile one anew."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from trimesh.triangles import closest_point

from cad_models import CadModel
from renderer import RasterRenderer
from renderer._engines.raster import kernels
from renderer._engines.raster.closest import ClosestPoints
from tests.shapes import ball, rectangle
from tests.test_raster_scenes import MODELS, crowd

REACH = 1.5


def to_each(corners: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, F), distance of every point to every triangle."""
    count = len(corners)
    pairs = closest_point(np.tile(corners, (len(points), 1, 1)), np.repeat(points, count, axis=0))
    return np.linalg.norm(pairs.reshape(len(points), count, 3) - points[:, None], axis=2)


def soup(seed: int, size: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Triangles all over the place: some large, some slender, some on others' corners."""
    generator = np.random.default_rng(seed)
    vertices = generator.uniform(-4, 4, (40, 3))
    vertices[20:] = vertices[:20] + size * generator.normal(size=(20, 3))
    faces = generator.integers(0, 40, (60, 3)).astype(np.int32)
    same = (np.diff(np.sort(faces, axis=1), axis=1) == 0).any(axis=1)
    return vertices, faces[~same]


@given(seed=st.integers(0, 2**32), size=st.sampled_from([0.01, 0.3, 3.0]))
@settings(max_examples=25, deadline=None)
def test_distances_are_to_the_closest_of_all_triangles(seed: int, size: float) -> None:
    vertices, faces = soup(seed, size)
    points = np.random.default_rng(seed).uniform(-6, 6, (80, 3))
    expected = to_each(vertices[faces], points).min(axis=1)
    distance, face, weights = ClosestPoints(vertices, faces, REACH)(points)
    near = expected < REACH
    np.testing.assert_allclose(distance[near], expected[near], atol=1e-7)
    assert np.isinf(distance[~near]).all()
    assert (face[~near] == -1).all()
    np.testing.assert_allclose(weights[near].sum(axis=1), 1)
    assert weights.min() >= -1e-12
    where = np.einsum("pc,pcd->pd", weights[near], vertices[faces[face[near]]])
    np.testing.assert_allclose(
        np.linalg.norm(where - points[near], axis=1), expected[near], atol=1e-7
    )


def test_a_thin_walls_other_side_is_not_taken() -> None:
    square = np.array([(-5.0, -5, 0), (5, -5, 0), (5, 5, 0), (-5, 5, 0)])
    faces = np.array([(0, 1, 2), (0, 2, 3), (4, 6, 5), (4, 7, 6)], np.int32)
    wall = ClosestPoints(np.concatenate([square, square - [0, 0, 0.4]]), faces, REACH)
    points = np.array([[0.5, 0.2, 0.3], [0.5, 0.2, 0.3], [0.5, 0.2, -1.2]])
    distance, face, _ = wall(points, np.array([(0.0, 0, 1), (0, 0, -1), (0, 0, 1)]))
    np.testing.assert_allclose(distance, [0.3, 0.3, 0.8])
    np.testing.assert_array_equal(face >= 2, [False, True, False])
    # Beyond reach on the side that is asked for, the other is better than nothing.
    _, face, _ = wall(np.array([[0.5, 0.2, -1.6]]), np.array([(0.0, 0, 1)]))
    assert face[0] >= 2


@pytest.mark.parametrize("radius", [1e-2, 1.0, 300.0])
def test_a_ball_is_as_far_as_its_radius_says(radius: float) -> None:
    mesh = ball(radius, subdivisions=5).mesh
    find = ClosestPoints(mesh.vertices.astype(np.float64), mesh.faces, 0.1 * radius)
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distance, _, _ = find(1.05 * radius * directions)
    np.testing.assert_allclose(distance, 0.05 * radius, atol=2e-3 * radius)


def laid_out_otherwise(values: Any) -> Any:
    """The same numbers as a read-only array in Fortran's order, or a structure of such."""
    if isinstance(values, np.ndarray):
        other = np.asfortranarray(values)
        other.setflags(write=False)
        return other
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        parts = {name: laid_out_otherwise(value) for name, value in vars(values).items()}
        return type(values)(**parts)
    return values


def test_how_arrays_are_laid_out_neither_matters_nor_takes_another_compilation() -> None:
    texture = np.full((4, 4, 3), 90, np.uint8)
    models, plans = [MODELS[0], textured(texture)], dataclasses.replace(crowd(4))
    plans.object_index[:], plans.others.object_index[:] = 0, 1
    first = RasterRenderer(models, textures=[texture]).render(plans)
    known = len(kernels.render_crops.signatures)
    others = [dataclasses.replace(model, mesh=laid_out_otherwise(model.mesh)) for model in models]
    renderer = RasterRenderer(others, textures=[laid_out_otherwise(texture)])
    second = renderer.render(laid_out_otherwise(plans))
    np.testing.assert_array_equal(first.rgb, second.rgb)
    assert len(kernels.render_crops.signatures) == known


def textured(texture: NDArray[np.uint8]) -> CadModel:
    corners = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    return rectangle(-64, -64, 64, 64, texture=texture, texture_coordinates=corners)
