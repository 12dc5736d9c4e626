"""The rotations under which symmetric objects look the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cad_models import CadModel, ContinuousSymmetry, Symmetries, load_models
from renderer import (
    RasterRenderer,
    RenderError,
    canonical_rotation,
    matrix_from_quaternion,
    plans_from_poses,
    rotation_about,
    symmetry_quaternions,
    uniform_rotation,
)
from tests.shapes import rectangle


def with_symmetries(symmetries: Symmetries) -> CadModel:
    return rectangle(-10, -10, 10, 10, symmetries=symmetries)


def turn(axis: list[float], degrees: float) -> NDArray[np.float64]:
    transform = np.eye(4)
    transform[:3, :3] = rotation_about(axis, np.radians(degrees))
    return transform


QUARTER = Symmetries(discrete=turn([0, 0, 1], 90)[None])
BRICK = Symmetries(discrete=np.stack([turn([1, 0, 0], 180), turn([0, 1, 0], 180)]))
BOTTLE = Symmetries(continuous=(ContinuousSymmetry((0, 0, 1), (5, 0, 0)),))
CYLINDER = Symmetries(
    discrete=turn([1, 0, 0], 180)[None], continuous=(ContinuousSymmetry((0, 0, 2), (0, 0, 0)),)
)
TURNED_TWICE = Symmetries(
    discrete=turn([0, 0, 1], 180)[None], continuous=(ContinuousSymmetry((0, 0, 1), (0, 0, 0)),)
)
SPHERE = Symmetries(
    continuous=(
        ContinuousSymmetry((0, 0, 1), (0, 0, 0)),
        ContinuousSymmetry((1, 0, 0), (0, 0, 0)),
    )
)


def silhouettes(model: CadModel, rotations: NDArray[np.float64]) -> NDArray[np.bool_]:
    count = len(rotations)
    plans = plans_from_poses(
        [model], np.zeros(count, int), rotations, 800.0, window=300.0, canonical=False
    )
    return RasterRenderer([model]).render(plans).mask


@pytest.mark.parametrize("name", ["eggbox", "glue", "bowl"])
def test_symmetric_poses_show_the_same(name: str) -> None:
    (model,) = load_models([name])
    symmetries = matrix_from_quaternion(symmetry_quaternions([model], step_degrees=30)[0])
    assert len(symmetries) == {"eggbox": 2, "glue": 2, "bowl": 12}[name]
    rotations = uniform_rotation(np.random.default_rng(0).random((6, 3)))
    for rotation in rotations:
        shown = silhouettes(model, rotation @ symmetries)
        union = (shown | shown[0]).sum(axis=(1, 2))
        agreement = (shown & shown[0]).sum(axis=(1, 2)) / union
        assert agreement.min() > 0.99
    # A turn that is no symmetry shows something else, which the test would see.
    across = silhouettes(model, rotations @ rotation_about([1, 0, 0], np.radians(40)))
    straight = silhouettes(model, rotations)
    changed = (across & straight).sum(axis=(1, 2)) / (across | straight).sum(axis=(1, 2))
    assert changed.mean() < 0.9


@pytest.mark.parametrize(
    ("symmetries", "count"),
    [(Symmetries(), 1), (QUARTER, 4), (BRICK, 4), (BOTTLE, 72), (CYLINDER, 144),
     (TURNED_TWICE, 72), (SPHERE, 1)],
    ids=["none", "quarter", "brick", "bottle", "cylinder", "turned twice", "sphere"],
)  # fmt: skip
def test_all_rotations_are_there_once_and_form_a_group(symmetries: Symmetries, count: int) -> None:
    (found,) = symmetry_quaternions([with_symmetries(symmetries)])
    assert found.shape == (count, 4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(found[0], [1, 0, 0, 0])
    assert (found[:, 0] >= 0).all()
    rotations = Rotation.from_quat(found, scalar_first=True)
    for element in rotations:
        apart = (rotations * element).as_matrix()[:, None] - rotations.as_matrix()
        same = np.abs(apart).max(axis=(2, 3)) < 1e-9
        np.testing.assert_array_equal(same.sum(axis=0), 1)
        np.testing.assert_array_equal(same.sum(axis=1), 1)


@pytest.mark.parametrize("symmetries", [QUARTER, BRICK, BOTTLE, CYLINDER])
def test_symmetric_poses_have_one_canonical_pose(symmetries: Symmetries) -> None:
    (found,) = symmetry_quaternions([with_symmetries(symmetries)], step_degrees=17)
    for rotation in uniform_rotation(np.random.default_rng(1).random((5, 3))):
        canonical = canonical_rotation(rotation @ matrix_from_quaternion(found), symmetries)
        np.testing.assert_allclose(canonical - canonical[0], 0, atol=1e-6)


@pytest.mark.parametrize(("step", "count"), [(5, 72), (7, 52), (180, 2), (0.5, 720), (120, 3)])
def test_steps_about_an_axis_are_even_and_no_greater_than_asked(step: float, count: int) -> None:
    (found,) = symmetry_quaternions([with_symmetries(BOTTLE)], step_degrees=step)
    angles = Rotation.from_quat(found, scalar_first=True).as_euler("zyx", degrees=True)
    np.testing.assert_allclose(angles[:, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(
        np.sort(angles[:, 0] % 360), np.arange(count) * 360 / count, atol=1e-9
    )


@pytest.mark.parametrize("step", [0, -5, 181, float("nan")])
def test_steps_out_of_range_are_refused(step: float) -> None:
    with pytest.raises(RenderError, match="step_degrees"):
        symmetry_quaternions([with_symmetries(BOTTLE)], step_degrees=step)


def test_shorter_lists_are_padded_with_the_identity() -> None:
    models = [with_symmetries(s) for s in (Symmetries(), QUARTER, BOTTLE)]
    found = symmetry_quaternions(models, step_degrees=45)
    assert found.shape == (3, 8, 4)
    np.testing.assert_array_equal(found[0], np.tile([1, 0, 0, 0], (8, 1)))
    np.testing.assert_array_equal(found[1, 4:], np.tile([1, 0, 0, 0], (4, 1)))
    assert (found[2, 1:, 3] != 0).all()


def test_a_measured_half_turn_is_taken_for_an_exact_one() -> None:
    measured = np.eye(4)
    measured[:3, :3] = rotation_about([0.01, 0.0, 1.0], np.radians(178.5))
    (model,) = [with_symmetries(Symmetries(discrete=measured[None]))]
    (found,) = symmetry_quaternions([dataclasses.replace(model, name="glue")])
    axis = np.array([0.01, 0, 1.0]) / np.hypot(0.01, 1.0)
    assert len(found) == 2
    np.testing.assert_allclose(np.abs(found[1]), [0, *axis], atol=1e-9)
