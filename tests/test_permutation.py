"""Label permutation: the best relabelling against trying them all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from render_adapt._paper.training.permutation import find_permutation

CONFUSIONS = (
    st.integers(1, 6)
    .flatmap(lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 12)))
    .filter(lambda confusion: bool(confusion.any()))
)


def hits(confusion: NDArray[np.int64], names: NDArray[np.int64]) -> NDArray[np.int64]:
    """(...) crops that are right when predicted class k is called names[..., k]."""
    hit: NDArray[np.int64] = confusion[names, np.arange(len(confusion))].sum(axis=-1)
    return hit


def test_two_exchanged_digits() -> None:
    """All 3s are taken for 5s and the other way round; one 7 is taken for a 1."""
    confusion = 10 * np.eye(10, dtype=np.int64)
    confusion[[3, 5]] = confusion[[5, 3]]
    confusion[7, 7], confusion[7, 1] = 9, 1
    found = find_permutation(confusion)
    assert found.accuracy_percent == pytest.approx(79.0)
    assert found.relabelled_accuracy_percent == pytest.approx(99.0)
    assert found.relabelling == (0, 1, 2, 5, 4, 3, 6, 7, 8, 9)
    assert found.permuted


def test_a_cycle_of_three_tells_rows_from_columns() -> None:
    """Class 0 is called 1, 1 is called 2 and 2 is called 0: the name 1 stands for class 0."""
    confusion = np.array([[0, 4, 0], [0, 0, 5], [6, 0, 0]])
    found = find_permutation(confusion)
    assert found.relabelling == (2, 0, 1)
    assert found.relabelled_accuracy_percent == 100.0


def test_errors_that_no_names_mend_are_no_permutation() -> None:
    """Everything is taken for class 0."""
    found = find_permutation(np.array([[50, 0], [50, 0]]))
    assert found.accuracy_percent == found.relabelled_accuracy_percent == 50.0
    assert found.relabelling == (0, 1)
    assert not found.permuted


@pytest.mark.parametrize(("margin", "permuted"), [(4.0, True), (4.5, False)])
def test_the_margin_is_the_least_gain(margin: float, permuted: bool) -> None:
    """Of 100 crops, 48 are right, and 52 with the two names exchanged."""
    found = find_permutation(np.array([[24, 26], [26, 24]]), margin)
    assert found.permuted is permuted


@given(CONFUSIONS)
def test_no_relabelling_is_better(confusion: NDArray[np.int64]) -> None:
    every = np.array(list(itertools.permutations(range(len(confusion)))))
    best = hits(confusion, every).max()
    found = find_permutation(confusion)
    count = confusion.sum()
    assert sorted(found.relabelling) == list(range(len(confusion)))
    assert hits(confusion, np.array(found.relabelling)) == best
    assert found.relabelled_accuracy_percent == pytest.approx(100.0 * best / count)
    assert found.accuracy_percent == pytest.approx(100.0 * np.trace(confusion) / count)
    assert found.permuted == (20 * (best - np.trace(confusion)) >= count)


@given(CONFUSIONS)
def test_names_as_they_are_stay_where_none_are_better(confusion: NDArray[np.int64]) -> None:
    diagonal = confusion + 12 * np.eye(len(confusion), dtype=np.int64)
    found = find_permutation(diagonal)
    assert found.relabelling == tuple(range(len(confusion)))
    assert not found.permuted


@given(CONFUSIONS, st.integers(0, 1000))
def test_the_names_of_predictions_do_not_change_the_relabelled_accuracy(
    confusion: NDArray[np.int64], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(confusion))
    exchanged = find_permutation(confusion[:, order])
    plain = find_permutation(confusion)
    assert exchanged.relabelled_accuracy_percent == plain.relabelled_accuracy_percent


@pytest.mark.parametrize(
    ("confusion", "margin", "message"),
    [
        (np.ones((2, 3)), 5.0, "square"),
        (np.ones(4), 5.0, "square"),
        (np.zeros((2, 2)), 5.0, "one crop at least"),
        (np.array([[2, -1], [0, 1]]), 5.0, "counts"),
        (np.eye(2), 0.0, "above 0"),
        (np.eye(2), float("nan"), "above 0"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(
    confusion: NDArray[np.float64], margin: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_permutation(confusion, margin)
