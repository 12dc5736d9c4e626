"""Viewpoints on the hemisphere, cameras that look at the object, uniform rotations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from renderer import angle_between, hemisphere_viewpoints, in_plane, look_at, uniform_rotation

coordinate = st.floats(-1, 1)
directions = (
    st.tuples(coordinate, coordinate, coordinate)
    .map(np.array)
    .filter(lambda d: np.linalg.norm(d) > 1e-3)
)


@pytest.mark.parametrize(("subdivisions", "count"), [(0, 6), (1, 16), (2, 71), (3, 301), (4, 1241)])
def test_viewpoint_counts_are_wohlhart_and_lepetits(subdivisions: int, count: int) -> None:
    assert hemisphere_viewpoints(subdivisions).shape == (count, 3)


def test_viewpoints_are_on_the_unit_sphere_above_the_object() -> None:
    viewpoints = hemisphere_viewpoints(4)
    np.testing.assert_allclose(np.linalg.norm(viewpoints, axis=1), 1, atol=1e-15)
    assert (viewpoints[:, 2] > 1e-3).all()
    np.testing.assert_allclose(viewpoints[-1], [0, 0, 1], atol=1e-15)


def test_viewpoints_are_evenly_spread() -> None:
    viewpoints = hemisphere_viewpoints(4)
    cosines = viewpoints @ viewpoints.T - 2 * np.eye(len(viewpoints))
    nearest = np.degrees(np.arccos(cosines.max(axis=1)))
    assert nearest.min() > 3.5
    assert nearest.max() < 5.0


def test_every_level_holds_the_viewpoints_of_the_coarser_one() -> None:
    coarse, fine = hemisphere_viewpoints(3), hemisphere_viewpoints(4)
    assert ((coarse @ fine.T).max(axis=1) > 1 - 1e-14).all()


def test_viewpoints_are_sorted_by_elevation_then_azimuth() -> None:
    viewpoints = hemisphere_viewpoints(3)
    elevation = np.round(viewpoints[:, 2], 9)
    azimuth = (np.arctan2(viewpoints[:, 1], viewpoints[:, 0]) + 1e-9) % (2 * np.pi)
    steps = np.diff(elevation)
    assert (steps >= 0).all()
    assert (np.diff(azimuth)[steps == 0] > 0).all()


def test_viewpoints_cannot_be_changed_by_who_holds_them() -> None:
    with pytest.raises(ValueError, match="read-only"):
        hemisphere_viewpoints(3)[0, 0] = 1


@pytest.mark.parametrize("subdivisions", [-1, 8])
def test_subdivisions_out_of_range_are_refused(subdivisions: int) -> None:
    with pytest.raises(ValueError, match="0 to 7"):
        hemisphere_viewpoints(subdivisions)


@given(directions)
def test_the_camera_looks_at_the_object_with_z_up(direction: NDArray[np.float64]) -> None:
    rotation = look_at(direction)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1)
    unit = direction / np.linalg.norm(direction)
    np.testing.assert_allclose(rotation @ unit, [0, 0, -1], atol=1e-9)
    up = rotation @ [0, 0, 1]
    assert up[0] == pytest.approx(0, abs=1e-9)
    assert up[1] <= 1e-9


@given(st.floats(-12, 0), st.floats(0, 7), st.sampled_from([1.0, -1.0]))
def test_cameras_near_the_poles_are_as_exact_as_others(
    exponent: float, azimuth: float, side: float
) -> None:
    off = 10.0**exponent
    rotation = look_at((off * np.cos(azimuth), off * np.sin(azimuth), side))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)


def test_a_camera_on_the_x_axis_sees_y_to_its_right() -> None:
    np.testing.assert_allclose(look_at([2, 0, 0]) @ [0, 1, 0], [1, 0, 0], atol=1e-15)


def test_poles_are_the_limit_of_coming_from_x() -> None:
    for side in (1.0, -1.0):
        near = look_at([1e-6, 0, side])
        np.testing.assert_allclose(look_at([0, 0, side]), near, atol=1e-5)
        np.testing.assert_allclose(look_at([0, 0, side]) @ [-side, 0, 0], [0, -1, 0], atol=1e-15)


def test_many_directions_at_once() -> None:
    viewpoints = hemisphere_viewpoints(2)
    together = look_at(viewpoints)
    for viewpoint, rotation in zip(viewpoints, together, strict=True):
        np.testing.assert_array_equal(look_at(viewpoint), rotation)


def test_in_plane_turns_the_image_clockwise() -> None:
    # In the image, x points right and y down: a quarter turn clockwise takes right to down.
    np.testing.assert_allclose(in_plane(np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(in_plane([0.3, -1.2]) @ [0, 0, 1], [[0, 0, 1]] * 2, atol=1e-15)


def test_uniform_rotations_are_uniform() -> None:
    rotations = uniform_rotation(np.random.default_rng(5).random((20000, 3)))
    # The mean rotation is 0, and the angle's density is (1 - cos) / pi (Haar measure).
    assert np.abs(rotations.mean(axis=0)).max() < 0.02
    angles = np.sort(np.radians(angle_between(rotations, np.eye(3))))
    expected = (angles - np.sin(angles)) / np.pi
    measured = np.arange(1, len(angles) + 1) / len(angles)
    assert np.abs(expected - measured).max() < 1.63 / np.sqrt(len(angles))
