"""The simulated depth sensors, and the board behind the object."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from renderer import (
    RenderError,
    StructuredLight,
    board_depth,
    plans_from_poses,
    rotation_about,
    simulate_gaussian_depth,
    simulate_structured_light_depth,
)
from tests.shapes import ball

FOCAL = 572.4
FINE = StructuredLight(disparity_step=1e-4, unit=1e-3)
"""Without steps, so that only noise is left."""

Image = NDArray[np.float32]


def flat(z: float, size: int = 200) -> Image:
    return np.full((size, size), z, dtype=np.float32)


def sensed(depth: Image, seed: int = 0, sensor: StructuredLight | None = None) -> Image:
    return simulate_structured_light_depth(depth, FOCAL, np.random.default_rng(seed), sensor)


def tilted(degrees: float, size: int = 200) -> Image:
    """A wall 1 m away that rises away from the camera, at so many degrees to the line of sight's
    right angle; the line of sight is that of the middle."""
    rows = (np.arange(size) + 0.5 - size / 2) / FOCAL
    z = 1000 / (1 + rows * np.tan(np.radians(degrees)))
    return np.broadcast_to(z[:, None], (size, size)).astype(np.float32)


def half_mean_square(noise: NDArray[np.floating], lag: int) -> float:
    return float(((noise[:, lag:] - noise[:, :-lag]) ** 2).mean() / 2)


def test_depth_is_whole_millimetres_at_steps_of_an_eighth_of_a_pixel() -> None:
    values = np.unique(sensed(flat(975.0)))
    values = values[values > 0].astype(np.float64)
    np.testing.assert_array_equal(values, np.rint(values))
    product = 8 * 572.4 * 74.7
    np.testing.assert_array_equal(values, np.rint(product / np.rint(product / values)))
    # LINEMOD's real frames step by 2 or 3 mm at this distance.
    assert set(np.diff(values)) == {2.0, 3.0}


def test_noise_grows_with_the_square_of_the_distance() -> None:
    spread = {z: float(sensed(flat(z), 1, FINE).std()) for z in (600.0, 1000.0, 1200.0)}
    assert spread[1200.0] / spread[600.0] == pytest.approx(4.0, rel=0.1)
    expected = FINE.disparity_noise * 1000**2 / (572.4 * 74.7)
    assert spread[1000.0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_noise_is_that_of_windows_of_nine_sensor_pixels(scale: float) -> None:
    """Windows that overlap by a share have that share of their noise in common.

    A window's ends, when it is no whole number of pixels wide, lie within pixels: then that holds
    roughly.
    """
    exact = flat(1000.0, 400)
    depth = simulate_structured_light_depth(exact, scale * FOCAL, np.random.default_rng(2), FINE)
    noise = 572.4 * 74.7 / depth.astype(np.float64) - 572.4 * 74.7 / 1000
    for lag in (1, 2, 3, 6, 9, 15):
        expected = min(lag / (9 * scale), 1.0)
        for image in (noise, noise.T):
            found = half_mean_square(image, lag) / FINE.disparity_noise**2
            assert found == pytest.approx(expected, abs=0.12 * expected if scale == 1 else 0.1)


def test_a_wall_is_measured_whole_and_without_bias() -> None:
    depth = sensed(flat(900.0), 2)
    assert (depth > 0).all()
    assert float(depth.mean()) == pytest.approx(900.0, abs=0.5)


def test_noise_grows_with_the_slope() -> None:
    def spread(degrees: float) -> float:
        exact = tilted(degrees)
        depth = sensed(exact, 3, FINE)
        return float((1 / depth[40:-40].astype(float) - 1 / exact[40:-40]).std())

    assert spread(40.0) > 1.03 * spread(0.0)
    assert 1.2 * spread(0.0) < spread(65.0) < 2.0 * spread(0.0)


def test_what_is_seen_at_a_grazing_angle_is_missing() -> None:
    assert (sensed(tilted(80.0, 60), 4)[20:40] > 0).all()
    assert (sensed(tilted(88.0, 60), 4)[20:40] == 0).all()


@pytest.mark.parametrize("scale", [1, 2])
def test_the_shadow_lies_left_of_a_near_surface_because_the_projector_is_right(scale: int) -> None:
    scene = flat(1200.0, 300 * scale)
    near = slice(100 * scale, 200 * scale)
    scene[near, near] = 800.0
    sensor = StructuredLight(edge_dropout=0.0, edge_jitter=(0.0, 0.0))
    focal = scale * FOCAL
    depth = simulate_structured_light_depth(scene, focal, np.random.default_rng(3), sensor)
    missing = depth == 0
    shadow = focal * 74.7 * (1 / 800 - 1 / 1200)
    rows = slice(110 * scale, 190 * scale)
    closed = sum(sensor.shadow_fill) * scale
    np.testing.assert_allclose(missing[rows].sum(axis=1), shadow - closed, atol=1.5)
    # From the left: what is behind, the gap, then two sensor pixels of what casts it.
    left = round(near.start - shadow)
    np.testing.assert_allclose(depth[rows, left : left + 6 * scale], 1200, atol=20)
    np.testing.assert_allclose(depth[rows, near.start - 2 * scale : near.start], 800, atol=10)
    assert missing[rows, near.start - 3 * scale].all()
    assert not missing[:, near.stop :].any()


def test_edges_are_as_ragged_as_asked_for() -> None:
    sensor = StructuredLight(edge_dropout=0.0)
    scene = flat(1100.0, 600)
    scene[:, :300] = 900.0  # its shadow falls to the left, on itself
    upright = (sensed(scene, 5, sensor) < 1000).sum(axis=1)
    assert upright.std() == pytest.approx(1.2, rel=0.2)
    assert upright.mean() == pytest.approx(300, abs=0.4)
    level = (sensed(np.ascontiguousarray(scene.T), 6, sensor) < 1000).sum(axis=0)
    assert level.std() == pytest.approx(0.7, rel=0.25)


def test_of_the_pixels_at_edges_the_asked_share_is_missing_and_of_the_others_none() -> None:
    sensor = StructuredLight(edge_jitter=(0.0, 0.0), edge_dropout=0.1)
    scene = flat(1100.0, 400)
    for start in range(20, 400, 40):
        scene[start : start + 20] = 1060.0  # too low to cast a shadow
    missing = np.stack([sensed(scene, seed, sensor) == 0 for seed in range(8)])
    at_edges = np.zeros(400, bool)
    for edge in range(20, 400, 20):
        at_edges[edge - 3 : edge + 3] = True
    assert missing[:, at_edges].mean() == pytest.approx(0.1, rel=0.2)
    assert not missing[:, ~at_edges].any()


def test_empty_stays_empty_and_wrong_shapes_are_refused() -> None:
    assert not sensed(flat(0.0)).any()
    half = flat(800.0, 64)
    half[:, 32:] = 0
    assert not sensed(half)[:, 32:].any()
    with pytest.raises(RenderError, match="one \\(H, W\\) depth image"):
        sensed(flat(1.0)[None])


def test_gaussian_noise_is_normal_and_grows_with_the_square_of_the_distance() -> None:
    def noise(z: float) -> NDArray[np.float64]:
        random = np.random.default_rng(7)
        return simulate_gaussian_depth(flat(z), 2.0, random).astype(np.float64) - z

    for z, deviation in ((1000.0, 2.0), (500.0, 0.5), (2000.0, 8.0)):
        assert noise(z).std() == pytest.approx(deviation, rel=0.02)
        assert noise(z).mean() == pytest.approx(0, abs=0.02 * deviation)
    shares = [(noise(1000.0) < 2.0 * k).mean() for k in (-2, -1, 0, 1, 2)]
    np.testing.assert_allclose(shares, [NormalDist().cdf(k) for k in (-2, -1, 0, 1, 2)], atol=0.01)
    assert half_mean_square(noise(1000.0), 1) == pytest.approx(4.0, rel=0.03)


def test_gaussian_depth_is_never_negative_and_leaves_empty_pixels_empty() -> None:
    scene = flat(1000.0)
    scene[:100] = 0
    measured = simulate_gaussian_depth(scene, 800.0, np.random.default_rng(8))
    assert measured.dtype == np.float32
    assert not measured[:100].any()
    assert measured.min() == 0
    assert (measured[100:] > 0).mean() > 0.85


def test_board_is_the_plane_under_the_object() -> None:
    rotation = rotation_about(np.array([1.0, 0.0, 0.0]), np.radians(-120.0))
    plans = plans_from_poses([ball(50.0)], [0], rotation[None], 1000.0)
    depth = board_depth(plans, np.array([-50.0]))[0]
    assert (depth > 0).all()
    rows, columns = np.indices(depth.shape)
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(depth.shape)]).reshape(3, -1)
    points = (np.linalg.inv(plans.camera_matrix[0]) @ pixels) * depth.ravel()
    in_model = plans.rotation[0].T @ (points - plans.translation[0][:, None])
    np.testing.assert_allclose(in_model[2], -50.0, atol=1e-2)


def test_above_the_horizon_there_is_no_board() -> None:
    """Upside down and 2 degrees off edge-on: the horizon is atan(0.035) below the middle."""
    rotation = rotation_about(np.array([1.0, 0.0, 0.0]), np.radians(-92.0))
    plans = plans_from_poses([ball(50.0)], [0], rotation[None], 1000.0)
    seen = board_depth(plans, np.array([-50.0]))[0] > 0
    horizon = 32 + 320 * np.tan(np.radians(2.0))
    np.testing.assert_array_equal(seen.all(axis=1), np.arange(64) + 0.5 < horizon)
    np.testing.assert_array_equal(seen.any(axis=1), np.arange(64) + 0.5 < horizon)


def test_the_figures_are_those_of_real_frames(data_dir: Path) -> None:
    """One of the twelve frames that the constants were fitted to."""
    from benchmarks.depth_frames import read_frames, truth_of
    from benchmarks.depth_statistics import simulate, statistics

    frames = read_frames(data_dir)[6:7]
    truths = [truth_of(frames[0])]
    real = statistics([frame.depth for frame in frames], truths)
    simulated = statistics(simulate(frames, truths, 0), truths)
    for name, tolerance in {
        "focal length x baseline, mm px": 0.002,
        "board noise 1 px across, steps": 0.3,
        "board noise 9 px across, steps": 0.15,
        "board noise 9 px down, steps": 0.15,
        "object noise at a slope of 20-40 degrees, steps": 0.2,
        "object noise at a slope of 60-75 degrees, steps": 0.3,
    }.items():
        assert simulated[name] == pytest.approx(real[name], rel=tolerance), name
    assert simulated["missing inside the silhouette, %"] < 1.0
    assert 0.5 < simulated["missing within 3 px of it, %"] < 5.0
    assert 0.5 < simulated["missing in the window, median frame, %"] < 4.0
