"""Nearest neighbours and memorisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from adapter import AdapterError, memorisation, nearest_neighbours

SHAPE = (3, 4, 4)


def draws(n: int, seed: int) -> NDArray[np.float16]:
    """Smooth crops of one distribution, as float16 like real ones."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(n, 6)) @ np.random.default_rng(9).normal(size=(6, 48)) / 4
    return np.tanh(mixed + 0.1 * random.normal(size=(n, 48))).reshape(n, *SHAPE).astype(np.float16)


def flat(crops: NDArray[np.float16]) -> NDArray[np.float64]:
    return crops.reshape(len(crops), -1).astype(np.float64)


@given(st.integers(1, 12), st.integers(2, 30), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_neighbours_are_those_of_brute_force(n: int, m: int, chunk: int, seed: int) -> None:
    crops, others = draws(n, seed), draws(m, seed + 100)
    distance = cdist(flat(crops), flat(others))
    found = nearest_neighbours(crops, others, chunk=chunk)
    np.testing.assert_array_equal(found.index, distance.argmin(axis=1))
    np.testing.assert_allclose(found.distance, distance.min(axis=1), rtol=1e-12)

    leave_out = np.random.default_rng(seed).integers(0, m, n)
    distance[np.arange(n), leave_out] = np.inf
    found = nearest_neighbours(crops, others, leave_out=leave_out, chunk=chunk)
    np.testing.assert_array_equal(found.index, distance.argmin(axis=1))
    np.testing.assert_allclose(found.distance, distance.min(axis=1), rtol=1e-12)


def test_a_copy_is_at_distance_zero_exactly() -> None:
    target = draws(50, 0)
    found = nearest_neighbours(target[[7, 3]], target)
    np.testing.assert_array_equal(found.index, [7, 3])
    np.testing.assert_array_equal(found.distance, [0.0, 0.0])


def plain(*levels: float) -> NDArray[np.float64]:
    """Crops of one value, (N, 1, 1, 1): distances are differences."""
    return np.array(levels).reshape(-1, 1, 1, 1)


def test_ratio_by_hand() -> None:
    target = plain(-0.8, -0.4, 0.2, 0.2, 0.9)
    # -0.7: 0.1 from -0.8, which is 0.4 from its next. -0.4: a copy. 0.3 is nearest to a crop that
    # is there twice, of which 0.2 itself is a copy. 1: 0.1 from 0.9, which is 0.7 from 0.2.
    crops = plain(-0.7, -0.4, 0.3, 0.2, 1.0)
    ratio = [memorisation(crop[None], target).median_ratio for crop in crops]
    np.testing.assert_allclose(ratio, [0.25, 0.0, np.inf, 0.0, 0.1 / 0.7], rtol=1e-12)
    assert memorisation(crops, target).median_ratio == pytest.approx(0.1 / 0.7, rel=1e-12)
    assert memorisation(crops, target).share_below_half == 0.8


def test_copies_are_found_and_fresh_draws_are_not() -> None:
    target, held_out = draws(400, 0), draws(150, 1)
    copied = memorisation(target[:100], target, held_out)
    assert copied.median_ratio == 0.0
    assert copied.share_below_half == 1.0
    assert copied.nearer_than_held_out == 1.0

    fresh = memorisation(draws(150, 2), target, held_out)
    assert fresh.median_ratio > 0.8
    assert fresh.share_below_half < 0.05
    assert fresh.nearer_than_held_out == pytest.approx(0.5, abs=0.1)
    assert fresh.held_out_median_ratio == pytest.approx(fresh.median_ratio, rel=0.1)


def test_slightly_changed_copies_are_found_too() -> None:
    target, held_out = draws(400, 0), draws(150, 1)
    noise = 0.02 * np.random.default_rng(3).normal(size=(100, *SHAPE))
    found = memorisation(target[:100] + noise, target, held_out)
    assert found.median_ratio < 0.25
    assert found.share_below_half > 0.95
    assert found.nearer_than_held_out is not None
    assert found.nearer_than_held_out > 0.98


def test_a_few_copies_among_fresh_draws_show_in_the_share() -> None:
    target = draws(400, 0)
    mixed = np.concatenate([target[:20], draws(180, 2)])
    assert memorisation(mixed, target).share_below_half == pytest.approx(0.1, abs=0.03)


def test_crops_unlike_any_real_one_are_no_copies() -> None:
    target, held_out = draws(400, 0), draws(150, 1)
    noise = np.random.default_rng(3).choice([-1.0, 1.0], (100, *SHAPE))
    found = memorisation(noise, target, held_out)
    assert found.median_ratio > 1.5
    assert found.nearer_than_held_out == pytest.approx(0.0, abs=0.01)


def test_without_held_out_crops_nothing_is_compared() -> None:
    found = memorisation(draws(10, 2), draws(40, 0))
    assert found.nearer_than_held_out is None
    assert found.held_out_median_ratio is None
    assert found.held_out_share_below_half is None


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_probability_is_mann_and_whitneys_u(first: list[int], second: list[int]) -> None:
    a, b = np.array(first, float), np.array(second, float)
    u = (
        mannwhitneyu(b, a, method="asymptotic").statistic
        if len({*a, *b}) > 1
        else a.size * b.size / 2
    )
    # Between two crops that are 2 apart, the ratio is half the distance to the nearer.
    crops, held_out = plain(*(a / 10 - 1)), plain(*(b / 10 - 1))
    found = memorisation(crops, plain(-1.0, 1.0), held_out).nearer_than_held_out
    assert found == pytest.approx(u / (a.size * b.size), abs=1e-12)


def test_what_cannot_be_compared_is_said() -> None:
    crops = draws(3, 0)
    with pytest.raises(AdapterError, match="must be alike"):
        nearest_neighbours(crops, crops[:, :2])
    with pytest.raises(AdapterError, match="at least 2"):
        nearest_neighbours(crops, crops[:0])
    with pytest.raises(AdapterError, match="at least 2"):
        memorisation(crops, crops[:1])
    with pytest.raises(AdapterError, match="at least one"):
        memorisation(crops[:0], crops)
