"""The diameter against all pairs, and where it may be a millionth short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from cad_models import largest_distance, load_models


def directions(count: int, seed: int = 0) -> NDArray[np.float64]:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def cloud(shape: str, count: int, seed: int) -> NDArray[np.float64]:
    """Points of a shape with many pairs that are almost the longest, or with none."""
    rng = np.random.default_rng(seed)
    unit = directions(count, seed)
    turn = 2 * np.pi * rng.random(count)
    circle = np.column_stack([np.cos(turn), np.sin(turn), np.zeros(count)])
    match shape:
        case "ball":
            points = 60 * unit
        case "rough ball":
            points = unit * (60 + rng.normal(size=(count, 1)) * 10 ** rng.uniform(-7, 0))
        case "constant width":
            height = 1 + 0.03 * (unit[:, :1] ** 3 - 3 * unit[:, :1] * unit[:, 1:2] ** 2)
            slope = np.column_stack(
                [unit[:, 0] ** 2 - unit[:, 1] ** 2, -2 * unit[:, 0] * unit[:, 1], np.zeros(count)]
            )
            tangent = slope - (slope * unit).sum(axis=1, keepdims=True) * unit
            points = 60 * (height * unit + 0.09 * tangent)
        case "circle":
            points = 40 * circle
        case "cylinder":
            points = 40 * circle + np.array([0, 0, 50]) * rng.integers(-1, 2, (count, 1))
        case "line":
            points = rng.normal(size=(count, 1)) * np.array([3.0, -2.0, 1.0])
        case "few":
            points = rng.normal(size=(2, 3))[rng.integers(0, 2, count)]
        case _:
            points = rng.normal(size=(count, 3)) * [90, 60, 20]
    points = points + rng.normal(size=3) * 10 ** rng.uniform(-2, 3)
    return points if rng.random() < 0.5 else points.astype(np.float32).astype(np.float64)


SHAPES = [
    "ball", "rough ball", "constant width", "circle", "cylinder", "line", "few", "heap",
]  # fmt: skip
clouds = st.builds(cloud, st.sampled_from(SHAPES), st.integers(2, 700), st.integers(0, 2**32 - 1))


@settings(deadline=None, max_examples=200)
@given(clouds)
def test_it_is_that_of_all_pairs(points: NDArray[np.float64]) -> None:
    expected = pdist(points).max()
    assert largest_distance(points) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(clouds)
def test_it_is_a_millionth_short_at_most_where_it_is_not_exact(points: NDArray[np.float64]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cad_models._mesh.diameter._MOST_EXACT", 10)
        patch.setattr("cad_models._mesh.diameter._MOST_PAIRS", 50)
        found, expected = largest_distance(points), pdist(points).max()
    assert expected / (1 + 1e-6) * (1 - 1e-12) <= found <= expected * (1 + 1e-12)


def test_large_balls_are_measured() -> None:
    """With a pair that is known to be the longest among 400,000 points that almost are."""
    points = 60 * directions(400_000)
    points[7], points[399_999] = [60, 0, 0], [-60, 0, 0]
    assert 120 / (1 + 1e-6) <= largest_distance(points) <= 120 * (1 + 1e-12)


def test_large_meshes_that_are_no_balls_are_measured_exactly() -> None:
    points = directions(200_000) * [60, 45, 40]
    corners = points[ConvexHull(points).vertices]
    ends = corners[np.abs(corners[:, 0]) > 59]
    assert largest_distance(points) == pytest.approx(pdist(ends).max(), rel=1e-12)


def test_it_is_measured_once_for_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trimesh.creation.icosphere(subdivisions=2, radius=50).export(tmp_path / "ball.stl")
    calls = []
    monkeypatch.setattr(
        "cad_models._registry.largest_distance",
        lambda points: calls.append(len(points)) or largest_distance(points),
    )
    [model] = load_models([f"ball={tmp_path / 'ball.stl'}"])
    assert model.diameter == pytest.approx(100, rel=1e-6)
    assert len(calls) == 1
