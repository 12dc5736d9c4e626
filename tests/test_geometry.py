"""Quaternions, rotation matrices and angles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from renderer import angle_between, matrix_from_quaternion, quaternion_from_matrix, rotation_about

unit_interval = st.floats(-1, 1)
quaternions = (
    st.tuples(unit_interval, unit_interval, unit_interval, unit_interval)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 1e-3)
)
axes = (
    st.tuples(unit_interval, unit_interval, unit_interval)
    .map(np.array)
    .filter(lambda a: np.linalg.norm(a) > 1e-3)
)


@given(quaternions)
def test_matrix_of_a_quaternion_is_a_rotation(quaternion: NDArray[np.float64]) -> None:
    rotation = matrix_from_quaternion(quaternion)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-14)


@given(quaternions)
def test_quaternion_comes_back_up_to_its_sign(quaternion: NDArray[np.float64]) -> None:
    unit = quaternion / np.linalg.norm(quaternion)
    back = quaternion_from_matrix(matrix_from_quaternion(quaternion))
    assert min(np.abs(back - unit).max(), np.abs(back + unit).max()) < 1e-14
    assert back[0] >= 0


@given(axes, st.floats(-1e-6, 1e-6))
def test_quaternion_is_exact_around_half_turns(axis: NDArray[np.float64], offset: float) -> None:
    rotation = rotation_about(axis, np.pi + offset)
    quaternion = quaternion_from_matrix(rotation)
    np.testing.assert_allclose(matrix_from_quaternion(quaternion), rotation, atol=1e-14)
    assert np.linalg.norm(quaternion) == pytest.approx(1, abs=1e-15)


def test_half_turns_have_one_sign() -> None:
    about_x, about_y, about_z = -np.eye(3) + 2 * np.einsum("ij,ik->ijk", np.eye(3), np.eye(3))
    np.testing.assert_array_equal(quaternion_from_matrix(about_x), [0, 1, 0, 0])
    np.testing.assert_array_equal(quaternion_from_matrix(about_y), [0, 0, 1, 0])
    np.testing.assert_array_equal(quaternion_from_matrix(about_z), [0, 0, 0, 1])


def test_quaternion_order_is_w_x_y_z_and_turns_by_the_right_hand() -> None:
    quarter = np.sqrt(0.5)
    rotation = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(quaternion_from_matrix(rotation), [quarter, 0, 0, quarter])
    np.testing.assert_allclose(rotation_about([0, 0, 5], np.pi / 2), rotation, atol=1e-15)


def test_many_at_once_equal_one_by_one() -> None:
    quaternions = np.random.default_rng(0).normal(size=(4, 5, 4))
    rotations = matrix_from_quaternion(quaternions)
    assert rotations.shape == (4, 5, 3, 3)
    back = quaternion_from_matrix(rotations)
    assert back.shape == (4, 5, 4)
    for row, column in np.ndindex(4, 5):
        np.testing.assert_array_equal(
            rotations[row, column], matrix_from_quaternion(quaternions[row, column])
        )
        np.testing.assert_array_equal(
            back[row, column], quaternion_from_matrix(rotations[row, column])
        )


@given(axes, st.floats(0, np.pi), quaternions)
def test_angle_between_is_the_turn_that_separates_them(
    axis: NDArray[np.float64], angle: float, quaternion: NDArray[np.float64]
) -> None:
    first = matrix_from_quaternion(quaternion)
    second = rotation_about(axis, angle) @ first
    assert angle_between(first, second) == pytest.approx(np.degrees(angle), abs=1e-12, rel=1e-9)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 0]])
def test_what_is_no_rotation_is_refused(quaternion: list[float]) -> None:
    with pytest.raises(ValueError, match="names no rotation"):
        matrix_from_quaternion(quaternion)
