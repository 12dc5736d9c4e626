"""Parts of crops and scenarios keep labels, classes and what is held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter import LabelledCrops
from checked_settings import SettingError
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.scenarios.subsets import (
    all_real_crops,
    held_out,
    joined,
    labelled_thousand,
    of_objects,
    only,
    take,
)

NAMES = ("ape", "cat", "duck")


def numbered(first: int, count: int) -> LabelledCrops:
    """Crops whose first pixel is their number; crop n is of class n % 3."""
    images = np.zeros((count, 3, 8, 8), np.float32)
    images[:, 0, 0, 0] = np.arange(first, first + count)
    return LabelledCrops(
        images=images,
        masks=np.zeros((count, 8, 8), bool),
        class_index=np.arange(first, first + count) % 3,
        quaternion=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        class_names=NAMES,
    )


def numbers(crops: LabelledCrops) -> list[int]:
    return [int(value) for value in crops.images[:, 0, 0, 0]]


def a_scenario() -> Scenario:
    train, validation = numbered(100, 30), numbered(200, 12)
    return Scenario(
        name="toy",
        task="pose",
        source=numbered(0, 60),
        source_validation=numbered(60, 6),
        target=np.concatenate([train.images, validation.images]),
        target_train=train,
        target_validation=validation,
        target_test=numbered(300, 9),
    )


@given(rows=st.lists(st.integers(0, 19), min_size=1, max_size=20))
def test_take_is_indexing(rows: list[int]) -> None:
    crops = replace(numbered(0, 20), pose_weight=np.arange(20, dtype=np.float32))
    part = take(crops, rows)
    assert numbers(part) == rows
    np.testing.assert_array_equal(part.class_index, np.array(rows) % 3)
    np.testing.assert_array_equal(part.pose_weight, rows)


def test_take_of_neighbours_copies_nothing() -> None:
    crops = numbered(0, 20)
    assert np.shares_memory(take(crops, np.arange(4, 9)).images, crops.images)
    assert numbers(take(crops, np.arange(4, 9))) == [4, 5, 6, 7, 8]


def test_joined_crops_keep_weights() -> None:
    weighted = replace(numbered(5, 2), pose_weight=np.float32([0, 0.5]))
    both = joined(numbered(0, 3), weighted)
    assert numbers(both) == [0, 1, 2, 5, 6]
    np.testing.assert_array_equal(both.pose_weight, [1, 1, 1, 0, 0.5])
    assert joined(numbered(0, 3), numbered(3, 1)).pose_weight is None


def test_held_out_takes_as_many_of_each_class() -> None:
    classes = np.repeat([0, 1, 2], [50, 30, 6])
    held = held_out(classes, 10, seed=0)
    np.testing.assert_array_equal(np.bincount(classes[held]), [10, 10, 3])
    np.testing.assert_array_equal(held, held_out(classes, 10, seed=0))
    assert (held != held_out(classes, 10, seed=1)).any()


def test_only_some_objects_keep_their_numbers() -> None:
    scenario = a_scenario()
    part = only(scenario, ["duck", "ape"])
    for name in ("source", "source_validation", "target_train", "target_validation", "target_test"):
        whole, kept = getattr(scenario, name), getattr(part, name)
        assert numbers(kept) == [n for n in numbers(whole) if n % 3 != 1]
        assert kept.class_names == NAMES
        np.testing.assert_array_equal(kept.class_index, np.array(numbers(kept)) % 3)
    unlabelled = [int(value) for value in part.target[:, 0, 0, 0]]
    assert unlabelled == numbers(part.target_train) + numbers(part.target_validation)


def test_only_where_the_target_is_the_training_crops_alone() -> None:
    scenario = a_scenario()
    part = only(replace(scenario, target=scenario.target_train.images), ["cat"])
    assert [int(value) for value in part.target[:, 0, 0, 0]] == numbers(part.target_train)


def test_only_refuses_unlabelled_crops_of_unknown_class() -> None:
    scenario = a_scenario()
    with pytest.raises(SettingError, match="41 unlabelled crops"):
        only(replace(scenario, target=scenario.target[:41]), ["cat"])


@pytest.mark.parametrize("names", [["dog"], []])
def test_unknown_objects_are_refused(names: list[str]) -> None:
    with pytest.raises(SettingError, match="not among the objects ape, cat, duck"):
        of_objects(numbered(0, 3), names)
    with pytest.raises(SettingError, match="not among the objects ape, cat, duck"):
        only(a_scenario(), names)


def test_all_real_crops_of_unseen_objects() -> None:
    found = of_objects(all_real_crops(a_scenario()), ["cat"])
    expected = [n for n in [*range(100, 130), *range(200, 212), *range(300, 309)] if n % 3 == 1]
    assert numbers(found) == expected


def test_labelled_crops_are_drawn_from_training_crops_without_repetition() -> None:
    scenario = a_scenario()
    drawn = numbers(labelled_thousand(scenario, seed=3, count=20))
    assert len(set(drawn)) == 20
    assert set(drawn) <= set(numbers(scenario.target_train))
    assert drawn == numbers(labelled_thousand(scenario, seed=3, count=20))
    assert drawn != numbers(labelled_thousand(scenario, seed=4, count=20))


def test_more_labelled_crops_than_there_are() -> None:
    with pytest.raises(SettingError, match="30 labelled target crops and 1000 are wanted"):
        labelled_thousand(a_scenario())
