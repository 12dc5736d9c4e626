"""The figures of `benchmarks.real_crops`: planted estimates and pictures give what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from benchmarks.real_crops.against import (  # noqa: E402
    copies,
    told_apart,
)
from benchmarks.real_crops.crops import OBJECTS, RealCrops, straightened  # noqa: E402
from benchmarks.real_crops.figures import Estimates, angles_off, figures  # noqa: E402
from benchmarks.real_crops.networks import (  # noqa: E402
    ResidualNetwork,
    chordal_distance,
    rotation_from_six,
)
from benchmarks.real_crops.training import has_settled  # noqa: E402
from renderer import (  # noqa: E402
    angle_between,
    quaternion_from_matrix,
    rotation_about,
    uniform_rotation,
)

COUNT = 40
NO_SYMMETRY = np.tile([1.0, 0, 0, 0], (len(OBJECTS), 1, 1))
HALF_TURN = np.array([[1.0, 0, 0, 0], [0, 0, 0, 1]])
"""About z."""


def rotations(count: int = COUNT, seed: int = 0) -> NDArray[np.float64]:
    return np.asarray(uniform_rotation(np.random.default_rng(seed).random((count, 3))))


def turned(rotation: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each by so many degrees, about an axis of its own."""
    axes = np.random.default_rng(1).normal(size=(len(rotation), 3))
    turns = [
        rotation_about(axis / np.linalg.norm(axis), np.radians(angle))
        for axis, angle in zip(axes, degrees, strict=True)
    ]
    return np.stack(turns) @ rotation


def test_errors_are_those_planted_and_symmetric_poses_are_right() -> None:
    true, planted = rotations(), np.linspace(0, 90, COUNT)
    which = np.arange(COUNT) % len(OBJECTS)
    said = turned(true, planted)
    half = np.diag([-1.0, -1.0, 1.0])
    # A symmetric object is seen in the other of its two poses.
    said[which == 2] = said[which == 2] @ half
    symmetries = np.tile(NO_SYMMETRY, (1, 2, 1))
    symmetries[2] = HALF_TURN
    found = Estimates(which, said, np.arange(COUNT) != 7)
    off = angles_off(found, true, which, symmetries)
    expected = np.where(np.arange(COUNT) == 7, 180.0, planted)
    np.testing.assert_allclose(off, expected, atol=1e-5)
    blind = angles_off(found, true, which, NO_SYMMETRY)
    assert (blind[which == 2] > 89.9).all()


def test_shares_count_right_objects_alone_and_rays_are_charged_as_labelled_only() -> None:
    straight, rays = rotations(), np.full(COUNT, 6.5)
    known = np.arange(COUNT) < 10
    degrees = np.array([3.0, 8.0, 15.0, 60.0])[np.arange(COUNT) % 4]
    which = np.full(COUNT, OBJECTS.index("cam"))
    which[~known] = OBJECTS.index("duck")
    labelled = turned(straight, rays)
    true = RealCrops(
        np.zeros((COUNT, 64, 64, 3), np.uint8), which, np.where(known[:, None, None], labelled,
        straight), np.where(known[:, None, None], straight, np.nan),
    )  # fmt: skip
    said = which.copy()
    said[4] = OBJECTS.index("ape")
    rotation = np.where(known[:, None, None], straight, turned(straight, degrees))
    found = figures(Estimates(said, rotation, np.ones(COUNT, np.bool_)), true, NO_SYMMETRY)
    assert list(found) == ["all", "cam", "duck"]
    assert found["all"]["class_percent"] == pytest.approx(97.5)
    cam, duck = found["cam"], found["duck"]
    assert cam["allocentric"]["mean"] == pytest.approx(0, abs=1e-4)
    assert cam["as_labelled"]["mean"] == cam["known_as_labelled"]["mean"]
    assert cam["as_labelled"]["mean"] == pytest.approx(6.5, abs=1e-3)
    assert cam["as_labelled"]["within_5"] == 0
    # All are so near, but one is said to be another object.
    assert cam["as_labelled"]["within_10"] == cam["allocentric"]["within_5"] == 90
    assert duck["allocentric"] is None
    rows = ~known
    assert duck["as_labelled"]["mean"] == pytest.approx(degrees[rows].mean(), abs=1e-3)
    assert duck["as_labelled"]["median"] == pytest.approx(np.median(degrees[rows]), abs=1e-3)
    for most in (5, 10, 20):
        share = 100 * (degrees[rows] <= most).mean()
        assert duck["as_labelled"][f"within_{most}"] == pytest.approx(share, abs=1e-3)
    assert found["all"]["known_as_labelled"]["crops"] == 10


def test_straight_cameras_see_objects_from_where_the_crops_own_do() -> None:
    random = np.random.default_rng(3)
    rotation, rays = rotations(), np.tan(np.radians(random.uniform(-10, 10, (COUNT, 2))))
    camera = np.tile(np.diag([280.0, 280.0, 1.0]), (COUNT, 1, 1))
    camera[:, :2, 2] = 32 - 280 * rays
    straight = straightened(rotation, camera)
    ray = np.concatenate([rays, np.ones((COUNT, 1))], axis=1)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    # The direction of the crop's middle, in the object's own axes, is that of the new axis.
    np.testing.assert_allclose(straight[:, 2], np.einsum("nji,nj->ni", rotation, ray), atol=1e-12)
    # And nothing is turned beside that.
    angle = np.degrees(np.arccos(ray[:, 2]))
    np.testing.assert_allclose(angle_between(straight, rotation), angle, atol=1e-5)


def test_six_numbers_make_a_rotation_and_a_rotation_is_made_by_its_own() -> None:
    six = torch.randn(COUNT, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    made = rotation_from_six(six).numpy()
    squares = made @ np.swapaxes(made, 1, 2)
    np.testing.assert_allclose(squares, np.tile(np.eye(3), (COUNT, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(made), 1, atol=1e-12)
    columns = np.concatenate([2 * made[:, :, 0], 3 * made[:, :, 1] + made[:, :, 0]], axis=1)
    again = rotation_from_six(torch.from_numpy(columns)).numpy()
    np.testing.assert_allclose(again, made, atol=1e-12)


def test_chordal_distance_grows_with_the_nearest_angle() -> None:
    true, planted = rotations(), np.linspace(1, 85, COUNT)
    said = turned(true, planted) @ np.diag([-1.0, -1.0, 1.0])
    distance = chordal_distance(
        torch.from_numpy(said), torch.from_numpy(quaternion_from_matrix(true)),
        torch.from_numpy(np.tile(HALF_TURN, (COUNT, 1, 1))),
    ).numpy()  # fmt: skip
    expected = 2 * np.sqrt(2) * np.sin(np.radians(planted) / 2)
    np.testing.assert_allclose(distance, expected, rtol=1e-3)


def test_the_residual_network_is_of_resnet_18s_size() -> None:
    weights = sum(one.numel() for one in ResidualNetwork(5).parameters())
    assert weights == pytest.approx(11.2e6, rel=0.01)


def test_settled_is_who_took_little_off_the_error_in_the_last_quarter() -> None:
    def curve(*means: float) -> dict[int, dict[str, float]]:
        return {10 * (k + 1): {"mean": mean} for k, mean in enumerate(means)}

    assert has_settled(curve(40, 20, 10, 9.1)) is True
    assert has_settled(curve(40, 20, 10, 8.9)) is False
    assert has_settled(curve(40, 20, 10, 12)) is True
    assert has_settled(curve(40)) is None
    assert has_settled({}) is None


def pictures_of(color: int, count: int, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(-20, 21, (count, 64, 64, 3))
    return (color + noise).astype(np.uint8)


@pytest.mark.several_seconds
def test_pictures_of_two_kinds_are_told_apart_and_of_one_kind_are_not() -> None:
    real, more = pictures_of(100, 60, 0), pictures_of(100, 60, 1)
    assert told_apart(pictures_of(130, 60, 2), real, more, steps=40) == 100
    assert 25 <= told_apart(pictures_of(100, 60, 3), real, more, steps=40) <= 75


def test_copies_are_found() -> None:
    real, others = pictures_of(100, 30, 0), pictures_of(100, 30, 1)
    assert copies(real[:10], real, others)["share_below_half"] == 1
    fresh = copies(pictures_of(100, 30, 2), real, others)
    assert fresh["share_below_half"] == fresh["held_out_share_below_half"] == 0
