"""Parts of labelled crops and of scenarios: held-out crops, some objects, a thousand labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter import LabelledCrops
from checked_settings import SettingError
from render_adapt._paper.scenarios.scenario import Scenario


def take(crops: LabelledCrops, rows: ArrayLike) -> LabelledCrops:
    """The crops at `rows`, (n,) positions; without a copy where these follow each other."""
    index = np.asarray(rows, np.int64)
    part: slice | NDArray[np.int64] = index
    if len(index) and (np.diff(index) == 1).all():
        part = slice(int(index[0]), int(index[-1]) + 1)
    return dataclasses.replace(
        crops,
        images=crops.images[part],
        masks=crops.masks[part],
        class_index=crops.class_index[part],
        quaternion=crops.quaternion[part],
        pose_weight=None if crops.pose_weight is None else crops.pose_weight[part],
    )


def joined(*crops: LabelledCrops) -> LabelledCrops:
    """Several sets of crops of the same classes, one after the other."""
    weights = [
        np.ones(len(c), np.float32) if c.pose_weight is None else c.pose_weight for c in crops
    ]
    return dataclasses.replace(
        crops[0],
        images=np.concatenate([c.images for c in crops]),
        masks=np.concatenate([c.masks for c in crops]),
        class_index=np.concatenate([c.class_index for c in crops]),
        quaternion=np.concatenate([c.quaternion for c in crops]),
        pose_weight=(
            None if all(c.pose_weight is None for c in crops) else np.concatenate(weights)
        ),
    )


def held_out(class_index: NDArray[Any], per_class: int, seed: int) -> NDArray[np.bool_]:
    """(N,), whether each crop is held out: `per_class` of every class, at most half of it."""
    is_held_out = np.zeros(len(class_index), bool)
    for number in np.unique(class_index):
        rows = np.flatnonzero(class_index == number)
        random = np.random.default_rng([seed, int(number)])
        is_held_out[random.permutation(rows)[: min(per_class, len(rows) // 2)]] = True
    return is_held_out


def of_objects(crops: LabelledCrops, names: Sequence[str]) -> LabelledCrops:
    """The crops that show one of the named objects; classes keep their numbers.

    Raises:
        SettingError: a name that is no class.
    """
    return take(crops, np.flatnonzero(np.isin(crops.class_index, _class_numbers(crops, names))))


def _class_numbers(crops: LabelledCrops, names: Sequence[str]) -> list[int]:
    unknown = sorted(set(names) - set(crops.class_names))
    if unknown or not names:
        raise SettingError(
            f"{', '.join(unknown) or 'an empty list'} is not among the objects "
            f"{', '.join(crops.class_names)}; name some of these"
        )
    return [crops.class_names.index(name) for name in names]


def only(scenario: Scenario, names: Sequence[str]) -> Scenario:
    """The scenario with some of its objects (Table 4); classes keep their numbers.

    Raises:
        SettingError: a name that is no class, or a scenario whose unlabelled crops are not known by
            class.
    """
    labels = [scenario.target_train, scenario.target_validation]
    classes = np.concatenate([crops.class_index for crops in labels])
    if len(scenario.target) == len(scenario.target_train):
        classes = classes[: len(scenario.target)]
    if len(scenario.target) != len(classes):
        raise SettingError(
            f"{scenario.name} has {len(scenario.target)} unlabelled crops, which are neither its "
            "training crops nor these and its validation crops; restrict another scenario"
        )
    numbers = _class_numbers(scenario.source, names)
    return dataclasses.replace(
        scenario,
        name=f"{scenario.name}, {', '.join(names)} only",
        source=of_objects(scenario.source, names),
        source_validation=of_objects(scenario.source_validation, names),
        target=scenario.target[np.isin(classes, numbers)],
        target_train=of_objects(scenario.target_train, names),
        target_validation=of_objects(scenario.target_validation, names),
        target_test=of_objects(scenario.target_test, names),
    )


def all_real_crops(scenario: Scenario) -> LabelledCrops:
    """All of the target with labels: training, validation and test crops.

    Table 4 measures unseen objects on every real crop of theirs:
    `of_objects(all_real_crops(scenario), unseen)`.
    """
    return joined(scenario.target_train, scenario.target_validation, scenario.target_test)


def labelled_thousand(scenario: Scenario, seed: int = 0, count: int = 1000) -> LabelledCrops:
    """The labelled target crops of the semi-supervised experiments (Table 6), drawn at random.

    They are from `target_train`, so that neither validation nor test crops are among them.

    Raises:
        SettingError: there are not as many.
    """
    available = len(scenario.target_train)
    if available < count:
        raise SettingError(
            f"{scenario.name} has {available} labelled target crops and {count} are wanted; "
            "lower the count"
        )
    rows = np.random.default_rng([seed, 6]).permutation(available)[:count]
    return take(scenario.target_train, np.sort(rows))
