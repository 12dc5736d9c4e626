"""Pose loss and angle of symmetric objects, against scipy's rotations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from adapter.losses import angle_degrees, pose_loss, quaternion_product
from cad_models import CadModel, load_models
from renderer import (
    canonical_rotation,
    quaternion_from_matrix,
    symmetry_quaternions,
)
from tests.shapes import rectangle

SAMPLES = 7


def quaternions(rotation: Rotation) -> Tensor:
    return torch.from_numpy(rotation.as_quat(scalar_first=True))


def random_rotations(count: int, seed: int) -> Rotation:
    return Rotation.random(count, random_state=seed)


def symmetry_sets() -> tuple[list[Rotation], Tensor]:
    """Each sample's own symmetries, as rotations and as padded quaternions (N, S, 4)."""
    sets = []
    for number in range(SAMPLES):
        others = random_rotations(number, seed=10 + number) if number else None
        sets.append(Rotation.concatenate([Rotation.identity(1), *([others] if others else [])]))
    padded = torch.zeros(SAMPLES, SAMPLES, 4, dtype=torch.float64)
    padded[..., 0] = 1.0
    for row, rotations in zip(padded, sets, strict=True):
        row[: len(rotations)] = quaternions(rotations)
    return sets, padded


def nearest_radians(predicted: Rotation, truth: Rotation, sets: list[Rotation]) -> list[float]:
    """By brute force: the least angle from a prediction to any of the equally right poses."""
    return [
        min((p.inv() * (t * s)).magnitude() for s in rotations)
        for p, t, rotations in zip(predicted, truth, sets, strict=True)
    ]


def test_pose_loss_counts_the_nearest_of_the_equally_right_poses() -> None:
    predicted, truth = random_rotations(SAMPLES, 0), random_rotations(SAMPLES, 1)
    sets, padded = symmetry_sets()
    angles = nearest_radians(predicted, truth, sets)
    expected = np.mean([math.log(1e-4 + 1 - math.cos(angle / 2)) for angle in angles])
    loss = pose_loss(quaternions(predicted), quaternions(truth), symmetries=padded)
    assert loss.item() == pytest.approx(expected, abs=1e-10)


def test_weights_apply_to_the_nearest_pose_too() -> None:
    predicted, truth = random_rotations(SAMPLES, 0), random_rotations(SAMPLES, 1)
    sets, padded = symmetry_sets()
    weight = torch.linspace(0, 1, SAMPLES, dtype=torch.float64)
    angles = np.array(nearest_radians(predicted, truth, sets))
    expected = (np.log(1e-4 + 1 - np.cos(angles / 2)) * weight.numpy()).mean()
    loss = pose_loss(quaternions(predicted), quaternions(truth), weight, padded)
    assert loss.item() == pytest.approx(expected, abs=1e-10)


def test_gradient_of_the_symmetric_pose_loss() -> None:
    predicted = quaternions(random_rotations(SAMPLES, 0)).requires_grad_()
    truth, (_, padded) = quaternions(random_rotations(SAMPLES, 1)), symmetry_sets()
    assert torch.autograd.gradcheck(lambda p: pose_loss(p, truth, symmetries=padded), (predicted,))


@pytest.mark.parametrize("copies", [1, 5])
def test_the_identity_alone_is_no_symmetry(copies: int) -> None:
    predicted = quaternions(random_rotations(SAMPLES, 0)).requires_grad_()
    truth = quaternions(random_rotations(SAMPLES, 1))
    identity = torch.zeros(SAMPLES, copies, 4, dtype=torch.float64)
    identity[..., 0] = 1.0
    results = []
    for symmetries in (None, identity):
        loss = pose_loss(predicted, truth, symmetries=symmetries)
        (gradient,) = torch.autograd.grad(loss, predicted)
        results.append((loss, gradient, angle_degrees(predicted, truth, symmetries)))
    for plain, symmetric in zip(*results, strict=True):
        torch.testing.assert_close(symmetric, plain, rtol=1e-12, atol=1e-12)


def test_quaternion_product_is_that_of_rotations() -> None:
    first, second = random_rotations(SAMPLES, 0), random_rotations(SAMPLES, 1)
    product = quaternion_product(quaternions(first), quaternions(second)).numpy()
    expected = (first * second).as_quat(scalar_first=True)
    sign = np.sign((product * expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(sign * product, expected, atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 1e-3, 0.5, 1.62, 45.0, 120.0, 179.999, 180.0])
def test_angles_are_exact_down_to_tiny_ones(degrees: float) -> None:
    axes = random_rotations(SAMPLES, 3).apply([0.0, 0.0, 1.0])
    truth = random_rotations(SAMPLES, 1)
    predicted = truth * Rotation.from_rotvec(axes * math.radians(degrees))
    found = angle_degrees(-quaternions(predicted), 3.0 * quaternions(truth))
    np.testing.assert_allclose(found.numpy(), degrees, atol=1e-6)
    by_scipy = np.degrees((predicted.inv() * truth).magnitude())
    np.testing.assert_allclose(found.numpy(), by_scipy, atol=1e-6)


def test_angles_to_the_nearest_of_the_equally_right_poses() -> None:
    predicted, truth = random_rotations(SAMPLES, 0), random_rotations(SAMPLES, 1)
    sets, padded = symmetry_sets()
    found = angle_degrees(quaternions(predicted), quaternions(truth), padded)
    expected = np.degrees(nearest_radians(predicted, truth, sets))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert (found[1:] < angle_degrees(quaternions(predicted), quaternions(truth))[1:]).any()


@pytest.fixture(scope="module")
def symmetric_models() -> list[CadModel]:
    return load_models(["eggbox", "glue", "bowl", "ape"])


def test_symmetric_poses_of_models_are_no_angle_apart(symmetric_models: list[CadModel]) -> None:
    sets = symmetry_quaternions(symmetric_models)  # (4, 72, 4)
    truth = random_rotations(1, 5)
    for listed in sets:
        poses = quaternions(truth * Rotation.from_quat(listed, scalar_first=True))
        symmetries = torch.from_numpy(np.broadcast_to(listed, (len(listed), *listed.shape)).copy())
        angles = angle_degrees(poses, quaternions(truth).expand_as(poses), symmetries)
        assert angles.max() < 1e-6
        perfect = pose_loss(poses, quaternions(truth).expand_as(poses), symmetries=symmetries)
        assert perfect.item() == pytest.approx(math.log(1e-4), abs=1e-9)


def test_a_bowl_turned_by_any_angle_is_at_most_half_a_step_off(
    symmetric_models: list[CadModel],
) -> None:
    listed = torch.from_numpy(symmetry_quaternions(symmetric_models)[2:3])
    truth = random_rotations(1, 5)
    turns = Rotation.from_rotvec(np.radians(np.linspace(0, 360, 97))[:, None] * [0, 0, 1])
    poses = quaternions(truth * turns)
    angles = angle_degrees(
        poses, quaternions(truth).expand_as(poses), listed.expand(len(poses), -1, -1)
    )
    offset = np.abs((np.linspace(0, 360, 97) + 2.5) % 5 - 2.5)
    np.testing.assert_allclose(angles.numpy(), offset, atol=1e-6)


def test_canonical_labels_lose_nothing_under_the_symmetric_angle(
    symmetric_models: list[CadModel],
) -> None:
    rotation = random_rotations(20, 8).as_matrix()
    for model, listed in zip(symmetric_models, symmetry_quaternions(symmetric_models), strict=True):
        canonical: NDArray[np.float64] = canonical_rotation(rotation, model.symmetries)
        angles = angle_degrees(
            torch.from_numpy(quaternion_from_matrix(rotation)),
            torch.from_numpy(quaternion_from_matrix(canonical)),
            torch.from_numpy(np.broadcast_to(listed, (20, *listed.shape)).copy()),
        )
        assert angles.max() < (2.5 + 1e-6 if model.name == "bowl" else 1e-5)


def test_models_without_symmetries_have_the_identity_alone() -> None:
    plain = replace(rectangle(-1, -1, 1, 1), name="plain")
    np.testing.assert_array_equal(symmetry_quaternions([plain]), [[[1, 0, 0, 0]]])
