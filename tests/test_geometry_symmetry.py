"""Canonical poses of symmetric objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cad_models import ContinuousSymmetry, Symmetries
from renderer import (
    angle_between,
    canonical_pose,
    canonical_rotation,
    rotation_about,
    uniform_rotation,
)


def about(axis: list[float], degrees: float, through: list[float]) -> NDArray[np.float64]:
    transform = np.eye(4)
    transform[:3, :3] = rotation_about(axis, np.radians(degrees))
    transform[:3, 3] = through - transform[:3, :3] @ through
    return transform


CENTRE = [3.0, -7.0, 11.0]
TILTED = [0.3, -0.5, 0.8]
TWO_FOLD = Symmetries(discrete=about(TILTED, 180, CENTRE)[None])
FOUR_FOLD = Symmetries(discrete=about([0, 0, 1], 90, CENTRE)[None])
BRICK = Symmetries(
    discrete=np.stack([about([1, 0, 0], 180, CENTRE), about([0, 1, 0], 180, CENTRE)])
)
BOTTLE = Symmetries(continuous=(ContinuousSymmetry((0.3, -0.5, 0.8), (3.0, -7.0, 11.0)),))
CYLINDER = Symmetries(
    discrete=about([0, 1, 0], 180, CENTRE)[None],
    continuous=(ContinuousSymmetry((0, 0, 1), (3.0, -7.0, 11.0)),),
)
SPHERE = Symmetries(
    continuous=(
        ContinuousSymmetry((0, 0, 1), (3.0, -7.0, 20.0)),
        ContinuousSymmetry((1, 0, 0), (0.0, -7.0, 11.0)),
    )
)
ALL = {
    "two-fold": TWO_FOLD, "four-fold": FOUR_FOLD, "brick": BRICK,
    "bottle": BOTTLE, "cylinder": CYLINDER, "sphere": SPHERE,
}  # fmt: skip

draw = st.floats(0, 1, exclude_max=True)
rotations = st.tuples(draw, draw, draw).map(uniform_rotation)
turns = st.lists(st.tuples(st.integers(0, 3), st.floats(-360, 360)), min_size=1, max_size=4)


def some_symmetry(symmetries: Symmetries, turns: list[tuple[int, float]]) -> NDArray[np.float64]:
    """A product of the object's own symmetries."""
    result = np.eye(4)
    for which, degrees in turns:
        options = [*symmetries.discrete]
        options += [about([*c.axis], degrees, [*c.offset]) for c in symmetries.continuous]
        result = result @ options[which % len(options)]
    return result


@pytest.mark.parametrize("symmetries", ALL.values(), ids=ALL)
@given(rotation=rotations, turns=turns)
@settings(max_examples=60)
def test_all_equivalent_poses_have_one_canonical_pose(
    symmetries: Symmetries, rotation: NDArray[np.float64], turns: list[tuple[int, float]]
) -> None:
    translation = np.array([10.0, -20.0, 800.0])
    symmetry = some_symmetry(symmetries, turns)
    equivalent = rotation @ symmetry[:3, :3], rotation @ symmetry[:3, 3] + translation
    first = canonical_pose(rotation, translation, symmetries)
    second = canonical_pose(*equivalent, symmetries)
    np.testing.assert_allclose(second[0], first[0], atol=1e-6)
    np.testing.assert_allclose(second[1], first[1], atol=1e-4)


@pytest.mark.parametrize("symmetries", ALL.values(), ids=ALL)
@given(rotation=rotations)
@settings(max_examples=60)
def test_canonical_pose_shows_the_same(
    symmetries: Symmetries, rotation: NDArray[np.float64]
) -> None:
    translation = np.array([10.0, -20.0, 800.0])
    new_rotation, new_translation = canonical_pose(rotation, translation, symmetries)
    centre = np.array(CENTRE)
    np.testing.assert_allclose(
        new_rotation @ centre + new_translation, rotation @ centre + translation, atol=1e-9
    )
    relative = rotation.T @ new_rotation
    np.testing.assert_allclose(relative @ relative.T, np.eye(3), atol=1e-12)
    if symmetries is BOTTLE:
        axis = np.array(TILTED)
        np.testing.assert_allclose(relative @ axis, axis, atol=1e-5)
    elif symmetries is CYLINDER:
        assert abs(relative[2, 2]) == pytest.approx(1, abs=1e-9)
    elif symmetries is not SPHERE:
        count = {"two-fold": 2, "four-fold": 4, "brick": 2}
        order = next(count[name] for name, value in ALL.items() if value is symmetries)
        np.testing.assert_allclose(np.linalg.matrix_power(relative, order), np.eye(3), atol=1e-9)


@pytest.mark.parametrize("symmetries", ALL.values(), ids=ALL)
@given(rotation=rotations)
@settings(max_examples=30, deadline=None)
def test_canonical_rotation_is_its_own_and_the_smallest(
    symmetries: Symmetries, rotation: NDArray[np.float64]
) -> None:
    canonical = canonical_rotation(rotation, symmetries)
    np.testing.assert_allclose(canonical_rotation(canonical, symmetries), canonical, atol=1e-6)
    angle = angle_between(np.eye(3), canonical)
    for degrees in range(-180, 180, 15):
        other = rotation @ some_symmetry(symmetries, [(0, degrees), (1, degrees)])[:3, :3]
        assert angle <= angle_between(np.eye(3), other) + 1e-3


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6, 8, 12, 36])
def test_wheels_close_after_one_turn(order: int) -> None:
    symmetries = Symmetries(discrete=about(TILTED, 360 / order, CENTRE)[None])
    spokes = rotation_about(TILTED, np.arange(order) * 2 * np.pi / order)
    start = rotation_about([1, 2, 3], 2.5)
    canonical = canonical_rotation(start @ spokes, symmetries)
    np.testing.assert_allclose(canonical, np.broadcast_to(canonical[0], spokes.shape), atol=1e-9)
    assert angle_between(start @ spokes, canonical[0]).min() < 1e-6


@given(rotation=rotations)
def test_objects_without_symmetry_keep_their_pose(rotation: NDArray[np.float64]) -> None:
    kept, _ = canonical_pose(rotation, np.zeros(3), Symmetries())
    np.testing.assert_array_equal(kept, rotation)


def test_axis_turned_right_round_has_a_canonical_pose() -> None:
    upside_down = rotation_about([1, 0, 0], np.pi)
    straight = Symmetries(continuous=(ContinuousSymmetry((0, 0, 1), (0, 0, 0)),))
    first = canonical_rotation(upside_down, straight)
    for degrees in range(0, 360, 7):
        turned = upside_down @ rotation_about([0, 0, 1], np.radians(degrees))
        np.testing.assert_allclose(canonical_rotation(turned, straight), first, atol=1e-9)


def test_measured_half_turns_of_linemod_act_as_half_turns(data_dir: Path) -> None:
    facts = json.loads((data_dir / "linemod/models/models_info.json").read_text())
    for object_id in ("10", "11"):
        measured = np.array(facts[object_id]["symmetries_discrete"]).reshape(-1, 4, 4)
        symmetries = Symmetries(discrete=measured)
        rotation = uniform_rotation(np.random.default_rng(0).random((200, 3)))
        once = canonical_rotation(rotation, symmetries)
        turned = canonical_rotation(rotation @ measured[0, :3, :3], symmetries)
        # The measured turn is not quite half a turn; what it misses by is all that may differ.
        missed = angle_between(measured[0, :3, :3] @ measured[0, :3, :3], np.eye(3))
        assert missed < 4
        other = angle_between(once @ measured[0, :3, :3], np.eye(3))
        near_a_tie = np.abs(angle_between(once, np.eye(3)) - other) < 2 * missed
        apart = angle_between(once, turned)
        assert apart[~near_a_tie].max() <= missed + 1e-6
        assert angle_between(once, rotation).max() > 170


def test_symmetries_that_do_not_close_are_refused() -> None:
    odd = np.stack([about([1, 0, 0], 90, CENTRE), about([0.6, 0.8, 0], 72, CENTRE)])
    with pytest.raises(ValueError, match="symmetries_discrete"):
        canonical_rotation(np.eye(3), Symmetries(discrete=odd))
