"""Where crops are cut: what is in their middle, and how far off the camera's axis they lie."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.transform import Rotation

from cad_models import Mesh, Symmetries, load_models
from checked_settings import SettingError
from renderer import (
    RANDOMIZATIONS,
    Centre,
    CropBatch,
    FakeRenderer,
    PlanConfig,
    Plans,
    RasterRenderer,
    Renderer,
    angle_between,
    canonical_rotation,
    capture,
    centre_points,
    cut_camera,
    linemod_camera,
    make_plans,
    plans_from_poses,
    turn_towards,
    uniform_rotation,
    window_pixels,
)
from tests.shapes import ball, bottle, lopsided, model_of, rectangle

BOTTLE = bottle()
MODELS = [lopsided(), BOTTLE, rectangle(-10, -20, 30, 40)]
CENTRES = get_args(Centre)
PLAIN = RANDOMIZATIONS["linemod"]
CROWDED = dataclasses.replace(PLAIN, occluders=(0, 2), neighbours=(0, 3), lights=(1, 3))
PICTURES: list[tuple[tuple[int, int], tuple[float, float, float, float]]] = [
    ((640, 480), linemod_camera(640, 480)),
    ((1280, 720), (900.0, 1100.0, 700.5, 300.25)),
    ((500, 700), (600.0, 590.0, -40.0, 900.0)),
]

rays_of_any_camera = st.tuples(st.floats(-1.7, 1.7), st.floats(-1.7, 1.7))


def seen_along(ray: tuple[float, float]) -> NDArray[np.float64]:
    direction = np.array([*ray, 1.0])
    return np.asarray(direction / np.linalg.norm(direction))


@given(ray=rays_of_any_camera)
@settings(deadline=None)
def test_the_turn_towards_a_ray_is_the_least_rotation_that_takes_the_axis_there(
    ray: tuple[float, float],
) -> None:
    turn, direction = turn_towards(ray), seen_along(ray)
    normal = np.cross([0.0, 0.0, 1.0], direction)
    sine = np.linalg.norm(normal)
    angle = np.arctan2(sine, direction[2])
    expected = Rotation.from_rotvec(normal * (angle / sine if sine else 0.0)).as_matrix()
    np.testing.assert_allclose(turn, expected, atol=1e-12)
    np.testing.assert_allclose(turn[:, 2], direction, atol=1e-12)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_turns_of_many_rays_are_those_of_each_and_none_on_the_axis() -> None:
    rays = np.random.default_rng(0).uniform(-1, 1, (4, 5, 2))
    turns = turn_towards(rays)
    assert turns.shape == (4, 5, 3, 3)
    np.testing.assert_array_equal(turns[2, 3], turn_towards(rays[2, 3]))
    np.testing.assert_array_equal(turn_towards([0.0, 0.0]), np.eye(3))


@st.composite
def plan_configs(draw: st.DrawFn, **fixed: Any) -> PlanConfig:
    picture, camera = draw(st.sampled_from([(None, None), *PICTURES]))
    chosen = {
        "centre": draw(st.sampled_from(CENTRES)),
        "off_axis": draw(st.none() | st.floats(0, 60)),
        "picture": picture,
        "camera": camera,
        "viewpoints": draw(st.sampled_from(["hemisphere", "so3"])),
        "rectified": draw(st.booleans()),
        "size": draw(st.sampled_from([32, 64, 97])),
        "window": draw(st.floats(50, 250)),
        "distance": draw(st.sampled_from([(650.0, 1100.0), (700.0, 700.0)])),
    }
    return PlanConfig(**{**chosen, **fixed})


def middles(plans: Plans, centre: Centre) -> NDArray[np.float64]:
    """(N, 3), the points that `centre` names, camera frame, one by one."""
    points = centre_points(MODELS, centre)[plans.object_index]
    return np.array(
        [
            rotation @ point + translation
            for rotation, point, translation in zip(
                plans.rotation, points, plans.translation, strict=True
            )
        ]
    )


def pixels(plans: Plans, points: NDArray[np.float64]) -> NDArray[np.float64]:
    projected = np.array([k @ point for k, point in zip(plans.camera_matrix, points, strict=True)])
    return np.asarray(projected[:, :2] / projected[:, 2:])


@given(config=plan_configs(), seed=st.integers(0, 2**40), start=st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_the_chosen_point_is_in_the_middle_of_the_crop_and_its_z_is_the_distance(
    config: PlanConfig, seed: int, start: int
) -> None:
    plans = make_plans(config, MODELS, seed, start, start + 6)
    points = middles(plans, config.centre)
    np.testing.assert_allclose(points[:, 2], plans.centre_depth, rtol=1e-12)
    assert (plans.centre_depth >= config.distance[0]).all()
    assert (plans.centre_depth <= config.distance[1]).all()
    np.testing.assert_allclose(
        plans.rotation @ np.swapaxes(plans.rotation, 1, 2), np.tile(np.eye(3), (6, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(plans.rotation), 1)
    if config.centre == "visible":
        return
    off = np.abs(pixels(plans, points) - config.size / 2)
    if config.picture is None:
        assert off.max() <= 1e-9 * config.size * max(1, config.off_axis or 0)
        focal = config.size * plans.centre_depth / config.window
        np.testing.assert_allclose(plans.camera_matrix[:, 0, 0], focal)
        np.testing.assert_allclose(plans.camera_matrix[:, 1, 1], focal)
    else:
        assert config.camera is not None
        source_pixel = config.size / window_pixels(
            config.camera[0], config.window, plans.centre_depth
        )
        # Windows have whole pixels at their borders, and the point is anywhere within one.
        assert (off.max(axis=1) <= source_pixel * (1 + 1e-6)).all()


@given(config=plan_configs(), seed=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_crops_lie_no_farther_off_the_axis_than_they_may(config: PlanConfig, seed: int) -> None:
    plans = make_plans(config, MODELS, seed, 0, 12)
    points = middles(plans, config.centre)
    off = np.degrees(np.arctan2(np.linalg.norm(points[:, :2], axis=1), points[:, 2]))
    if config.picture is None:
        assert off.max() <= (config.off_axis or 0.0) + 1e-6
    if not config.off_axis and config.picture is None:
        np.testing.assert_allclose(points[:, :2], 0, atol=1e-9)


def source_windows(
    plans: Plans, camera: tuple[float, float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners (N, 2) and sides (N,) of the windows in the camera's picture, from K alone."""
    fx, fy, cx, cy = camera
    scale = plans.camera_matrix[:, 0, 0] / fx
    np.testing.assert_allclose(plans.camera_matrix[:, 1, 1] / fy, scale, rtol=1e-12)
    corner = np.array([cx, cy]) - plans.camera_matrix[:, :2, 2] / scale[:, None]
    return corner, plans.width / scale


@pytest.mark.parametrize(("picture", "camera"), PICTURES)
@given(data=st.data(), seed=st.integers(0, 2**40))
@settings(max_examples=30, deadline=None)
def test_windows_are_whole_pixels_of_the_picture_and_wholly_in_it(
    picture: tuple[int, int], camera: tuple[float, ...], data: st.DataObject, seed: int
) -> None:
    config = data.draw(plan_configs(picture=picture, camera=camera))
    crowded = data.draw(st.sampled_from([PLAIN, CROWDED]))
    plans = make_plans(config, MODELS, seed, 0, 8, crowded)
    corner, side = source_windows(plans, config.camera)
    np.testing.assert_allclose(corner, np.rint(corner), atol=1e-6)
    sides = window_pixels(camera[0], config.window, plans.centre_depth)
    np.testing.assert_array_equal(np.rint(side), sides)
    assert (np.rint(side) % 2 == 0).all()
    assert (np.rint(corner) >= 0).all()
    assert (np.rint(corner) + np.rint(side)[:, None] <= picture).all()


def test_a_window_as_large_as_the_picture_is_the_picture() -> None:
    config = PlanConfig(
        size=96, window=96.0, distance=(700, 700), picture=(96, 96), camera=(700, 700, 47.3, 48.9)
    )
    for centre in CENTRES:
        plans = make_plans(dataclasses.replace(config, centre=centre), MODELS, 0, 0, 60)
        expected = np.array([[700, 0, 47.3], [0, 700, 48.9], [0, 0, 1]])
        np.testing.assert_allclose(plans.camera_matrix, np.tile(expected, (60, 1, 1)), rtol=1e-12)


@given(depth=st.floats(100, 5000), focal=st.floats(50, 3000), window=st.floats(20, 500))
@settings(deadline=None)
def test_a_window_has_an_even_number_of_pixels_next_to_its_size(
    depth: float, focal: float, window: float
) -> None:
    side = int(window_pixels(focal, window, depth))
    assert side % 2 == 0
    assert side == 2 or side <= focal * window / depth + 1e-6 < side + 2 + 1e-5


@given(
    side=st.integers(1, 300), middle=st.tuples(st.integers(0, 600), st.integers(0, 400)),
    size=st.sampled_from([32, 64, 97, 256]),
)  # fmt: skip
@settings(deadline=None)
def test_the_camera_of_a_window_is_the_pictures_camera_cut_and_scaled(
    side: int, middle: tuple[int, int], size: int
) -> None:
    fx, fy, cx, cy = camera = linemod_camera(640, 480)
    (matrix,) = cut_camera(camera, [middle], [2 * side], size)
    scale = size / (2 * side)
    left, top = middle[0] - side, middle[1] - side
    into_window = np.array([[scale, 0, -scale * left], [0, scale, -scale * top], [0, 0, 1]])
    whole = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    np.testing.assert_allclose(matrix, into_window @ whole, atol=1e-9)


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("randomization", [PLAIN, CROWDED], ids=["alone", "crowded"])
def test_a_crop_is_its_window_of_the_frame_that_the_camera_took(
    centre: Centre, randomization: Any
) -> None:
    """At as many pixels as the window has, nothing is resampled: mask and depth are the frame's."""
    models = load_models(["ape", "can", "cat"])
    camera = linemod_camera(640, 480)
    side = int(window_pixels(camera[0], 200.0, 800.0))
    config = PlanConfig(
        size=side, distance=(800, 800), centre=centre, picture=(640, 480), camera=camera
    )
    plans = make_plans(config, models, 3, 0, 9, randomization)
    fx, fy, cx, cy = camera
    whole = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    renderer = RasterRenderer(models, levels=False)
    crops = renderer.render(plans)
    frames = renderer.render(
        dataclasses.replace(
            plans, camera_matrix=np.tile(whole, (9, 1, 1)), width=640, height=480
        )
    )  # fmt: skip
    corner, _ = source_windows(plans, camera)
    for row, (left, top) in enumerate(np.rint(corner).astype(int)):
        window = row, slice(top, top + side), slice(left, left + side)
        np.testing.assert_array_equal(crops.mask[row], frames.mask[window])
        np.testing.assert_array_equal(crops.mask_visib[row], frames.mask_visib[window])
        np.testing.assert_allclose(crops.depth[row], frames.depth[window], atol=1e-3)
        assert np.abs(crops.rgb[row].astype(int) - frames.rgb[window]).max() <= 1
    assert len(np.unique(np.rint(corner), axis=0)) == 9


def test_rays_are_even_over_the_disc() -> None:
    plans = make_plans(PlanConfig(off_axis=35.0), MODELS[:1], 0, 0, 6000)
    rays = plans.translation + plans.rotation @ MODELS[0].centre
    rays = rays[:, :2] / rays[:, 2:]
    radius = np.linalg.norm(rays, axis=1) / np.tan(np.radians(35.0))
    assert radius.max() <= 1 + 1e-9
    assert radius.mean() == pytest.approx(2 / 3, abs=0.01)
    assert stats.kstest(radius**2, "uniform").pvalue > 0.01
    turn = np.arctan2(rays[:, 1], rays[:, 0]) / (2 * np.pi) + 0.5
    assert stats.kstest(turn, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(radius, plans.centre_depth)[0, 1]) < 0.05


def test_windows_are_even_over_the_places_where_they_are_wholly_in_the_picture() -> None:
    picture, camera = PICTURES[1]
    config = PlanConfig(picture=picture, camera=camera, distance=(800, 800))
    plans = make_plans(config, MODELS[:1], 0, 0, 4000)
    corner, side = source_windows(plans, camera)
    share = (np.rint(corner) + 0.5) / (np.array(picture) - side[:, None] + 1)
    for across in share.T:
        assert stats.kstest(across, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(share.T)[0, 1]) < 0.05


def test_in_a_picture_crops_may_be_kept_near_the_axis_too() -> None:
    picture, camera = PICTURES[0]
    config = PlanConfig(picture=picture, camera=camera, off_axis=8.0)
    plans = make_plans(config, MODELS, 0, 0, 2000)
    points = middles(plans, "box")
    radius = np.linalg.norm(points[:, :2] / points[:, 2:], axis=1) / np.tan(np.radians(8.0))
    assert radius.max() <= 1 + 1e-9
    assert radius.mean() == pytest.approx(2 / 3, abs=0.02)


def test_off_the_axis_the_rest_of_a_plan_is_drawn_as_on_it() -> None:
    """The camera's own turn towards the object, undone, leaves pose and light as they were."""
    on = make_plans(PlanConfig(), MODELS, 5, 0, 60)
    off = make_plans(PlanConfig(off_axis=25.0), MODELS, 5, 0, 60)
    np.testing.assert_array_equal(on.centre_depth, off.centre_depth)
    np.testing.assert_array_equal(on.light_color, off.light_color)
    np.testing.assert_array_equal(on.ambient_color, off.ambient_color)
    points = middles(off, "box")
    turn = turn_towards(points[:, :2] / points[:, 2:])
    light = on.light_direction.astype(np.float64) @ np.swapaxes(turn, 1, 2)
    np.testing.assert_allclose(off.light_direction, light, atol=1e-6)
    plain = off.object_index != 1
    np.testing.assert_allclose((turn @ on.rotation)[plain], off.rotation[plain], atol=1e-9)


@given(seed=st.integers(0, 1000), off_axis=st.floats(1, 60))
@settings(max_examples=20, deadline=None)
def test_poses_of_symmetric_objects_are_canonical_off_the_axis_too(
    seed: int, off_axis: float
) -> None:
    plans = make_plans(PlanConfig(off_axis=off_axis, viewpoints="so3"), [BOTTLE], seed, 0, 20)
    np.testing.assert_allclose(
        canonical_rotation(plans.rotation, BOTTLE.symmetries), plans.rotation, atol=1e-9
    )
    plain = dataclasses.replace(BOTTLE, symmetries=Symmetries())
    drawn = make_plans(PlanConfig(off_axis=off_axis, viewpoints="so3"), [plain], seed, 0, 20)
    # What differs is a turn about the symmetry's axis alone.
    np.testing.assert_allclose(plans.rotation[:, :, 2], drawn.rotation[:, :, 2], atol=1e-9)
    assert angle_between(plans.rotation, drawn.rotation).max() > 1


def warped(picture: NDArray[Any], homography: NDArray[np.float64], size: int) -> NDArray[Any]:
    """A picture as another camera at the same place sees it; OpenCV counts from pixels' middles."""
    middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(middle) @ homography @ middle
    return np.asarray(cv2.warpPerspective(picture, matrix, (size, size), flags=cv2.INTER_LINEAR))


@pytest.mark.parametrize("off_axis", [10.0, 30.0, 55.0])
def test_a_crop_off_the_axis_is_what_the_camera_sees_without_turning(off_axis: float) -> None:
    """The same place, the camera turned straight at the object: a homography apart, lit alike."""
    size = 512
    models = load_models(["ape", "can", "cat"])
    renderer = RasterRenderer(models, levels=False)
    config = PlanConfig(size=size, off_axis=off_axis, centre="mean")
    plans = make_plans(config, models, 2, 0, 6)
    means = centre_points(models, "mean")[plans.object_index]
    points = (plans.rotation @ means[..., None])[..., 0] + plans.translation
    turn = turn_towards(points[:, :2] / points[:, 2:])
    back = np.swapaxes(turn, 1, 2)
    straight = plans_from_poses(
        models, plans.object_index, back @ plans.rotation, np.linalg.norm(points, axis=1),
        size=1024, window=300, centre="mean", canonical=False,
        light_direction=plans.light_direction @ turn, light_color=plans.light_color,
        ambient_color=plans.ambient_color,
    )  # fmt: skip
    off, on = renderer.render(plans), renderer.render(straight)
    for row in range(6):
        homography = plans.camera_matrix[row] @ turn[row]
        homography = homography @ np.linalg.inv(straight.camera_matrix[row])
        mask = warped(on.mask[row].astype(np.float32), homography, size) > 0.5
        assert (mask & off.mask[row]).sum() / (mask | off.mask[row]).sum() > 0.99
        colors = warped(on.rgb[row], homography, size).astype(int)
        inner = cv2.erode((mask & off.mask[row]).astype(np.uint8), np.ones((7, 7))) > 0
        assert np.abs(colors - off.rgb[row])[inner].mean() < 2


@given(config=plan_configs(rectified=True, window=200.0), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_rectified_crops_have_the_object_upright_wherever_they_lie(
    config: PlanConfig, seed: int
) -> None:
    plans = make_plans(config, MODELS[:1], seed, 0, 10)
    ends = centre_points(MODELS[:1], config.centre) + np.array([[0, 0, -0.01], [0, 0, 0.01]])
    free = make_plans(dataclasses.replace(config, rectified=False), MODELS[:1], seed, 0, 10)
    for row, rotation in enumerate(plans.rotation):
        there = ends @ rotation.T + plans.translation[row]
        (x0, y0), (x1, y1) = there[:, :2] / there[:, 2:]
        ray = there.mean(axis=0)
        if np.linalg.norm(np.cross(ray / np.linalg.norm(ray), rotation[:, 2])) < 1e-3:
            continue  # seen along its axis, which is a point
        assert abs(x1 - x0) <= 1e-4 * abs(y1 - y0)
        assert y1 < y0
        # It is seen from the same side: what was turned is the image.
        middle = ends.mean(axis=0)
        before = -free.rotation[row].T @ (free.rotation[row] @ middle + free.translation[row])
        after = -rotation.T @ (rotation @ middle + plans.translation[row])
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_the_mean_of_vertices_counts_each_place_once() -> None:
    shape = lopsided()
    mesh = shape.mesh
    seam = np.flatnonzero(mesh.vertices[:, 0] > 300)
    doubled = model_of(
        np.concatenate([mesh.vertices, mesh.vertices[seam], mesh.vertices[seam]]), mesh.faces
    )
    places = {tuple(vertex) for vertex in mesh.vertices.tolist()}
    expected = np.mean(sorted(places), axis=0)
    found = centre_points([shape, doubled], "mean")
    np.testing.assert_allclose(found, [expected, expected], atol=1e-9)
    assert np.linalg.norm(found[0] - shape.centre) > 1


def test_the_other_points_are_the_boxs_centre_and_the_origin() -> None:
    boxes = [model.bounds.mean(axis=0) for model in MODELS]
    np.testing.assert_allclose(centre_points(MODELS, "box"), boxes)
    np.testing.assert_allclose(centre_points(MODELS, "visible"), boxes)
    np.testing.assert_array_equal(centre_points(MODELS, "origin"), np.zeros((3, 3)))
    for centre in CENTRES:
        assert centre_points([], centre).shape == (0, 3)


def test_meshes_that_come_and_go_keep_their_own_means() -> None:
    """A mesh's memory, and so its identity, may be used again by another."""
    for offset in range(50):
        points = np.float32([(0, 0, 0), (90, 0, 0), (0, 90, 0)]) + np.float32(offset)
        mesh = Mesh(points, np.int32([(0, 1, 2)]), points * 0 + 1, np.zeros((3, 3), np.uint8))
        model = dataclasses.replace(MODELS[2], mesh=mesh)
        np.testing.assert_allclose(
            centre_points([model], "mean"), [np.float64([30, 30, 0]) + offset], atol=1e-5
        )


@given(
    seed=st.integers(0, 10**6), off_axis=st.floats(0, 60), centre=st.sampled_from(CENTRES),
    crowded=st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_what_a_pixel_shows_projects_to_that_pixel_off_the_axis(
    seed: int, off_axis: float, centre: Centre, crowded: bool
) -> None:
    randomization = dataclasses.replace(
        CROWDED if crowded else PLAIN, off_centre=0.1, zoom=(0.8, 1.5)
    )
    models = MODELS[:2] if centre != "origin" else MODELS[1:2]
    config = PlanConfig(centre=centre, off_axis=off_axis, viewpoints="so3")
    plans = make_plans(config, models, seed, 0, 4, randomization)
    assert check_pixels(FakeRenderer(models), plans, models) > 0
    assert check_pixels(RasterRenderer(models), plans, models) > 0


def check_pixels(renderer: Renderer, plans: Plans, models: list[Any]) -> int:
    crops = renderer.render(plans, surface_maps=True)
    assert crops.object_coordinates is not None
    for row in range(len(plans)):
        seen = crops.mask_visib[row]
        low, high = models[plans.object_index[row]].bounds
        points = low + crops.object_coordinates[row, seen].astype(float) * (high - low)
        there = points @ plans.rotation[row].T + plans.translation[row]
        projected = there @ plans.camera_matrix[row].T
        rows, columns = np.nonzero(seen)
        expected = np.stack([columns + 0.5, rows + 0.5], axis=1)
        np.testing.assert_allclose(projected[:, :2] / projected[:, 2:], expected, atol=0.02)
        np.testing.assert_allclose(crops.depth[row, seen], there[:, 2], atol=0.05)
    return int(crops.mask_visib.sum())


def test_levels_of_detail_are_as_near_off_the_axis() -> None:
    models = load_models(["ape", "can", "cat"])
    plans = make_plans(PlanConfig(off_axis=50.0, centre="mean"), models, 0, 0, 12)
    fine = RasterRenderer(models, levels=False).render(plans)
    coarse = RasterRenderer(models).render(plans)
    assert (fine.depth != coarse.depth).any()
    for one, two in zip(fine.mask, coarse.mask, strict=True):
        assert (one & two).sum() / (one | two).sum() > 0.98
    common = fine.mask & coarse.mask
    assert np.percentile(np.abs(fine.depth - coarse.depth)[common], 95) < 1


def captured(off_axis: float | None, **changes: Any) -> CropBatch:
    """Crops of a ball on a board, as a camera and a depth sensor take them."""
    models = [ball(40)]
    randomization = dataclasses.replace(PLAIN, **changes)
    plans = make_plans(PlanConfig(off_axis=off_axis), models, 4, 0, 24, randomization)
    crops = RasterRenderer(models).render(plans)
    return capture(crops, randomization, 4, models)


def test_a_board_off_the_axis_lies_under_the_object() -> None:
    """Its depth is that of one plane, which touches the ball, whichever way the camera looks."""
    crops = captured(50.0, background=("board",))
    plans, checked = crops.plans, 0
    for row in range(len(plans)):
        behind = ~crops.mask[row] & (crops.depth[row] > 0)
        if behind.sum() < 100:
            continue
        rows, columns = np.nonzero(behind)
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
        points = rays @ np.linalg.inv(plans.camera_matrix[row]).T
        points *= crops.depth[row, behind][:, None]
        middle = points.mean(axis=0)
        *_, normal = np.linalg.svd(points - middle, full_matrices=False)[2]
        assert np.abs((points - middle) @ normal).max() < 0.5
        centre = plans.translation[row]
        assert abs((centre - middle) @ normal) == pytest.approx(40, abs=0.5)
        np.testing.assert_allclose(np.cross(normal, plans.rotation[row, :, 2]), 0, atol=0.01)
        checked += 1
    assert checked > 12


@pytest.mark.parametrize("sensor", ["gaussian", "structured-light"])
def test_depth_sensors_measure_off_the_axis_as_on_it(sensor: Any) -> None:
    errors = []
    for off_axis in (None, 30.0):
        exact, measured = captured(off_axis), captured(off_axis, depth_sensor=sensor)
        np.testing.assert_array_equal(exact.mask, measured.mask)
        seen = exact.mask & (measured.depth > 0)
        assert seen.sum() > 0.6 * exact.mask.sum()
        errors.append(np.median(np.abs(exact.depth - measured.depth)[seen]))
    assert errors[1] < 2 * errors[0] + 0.1


def test_given_poses_are_cut_along_their_rays_around_their_points() -> None:
    rotations = uniform_rotation(np.random.default_rng(0).random((3, 3)))
    rays = np.array([[0.1, -0.2], [0.0, 0.0], [-0.5, 0.3]])
    for centre in CENTRES:
        plans = plans_from_poses(
            MODELS, [0, 1, 2], rotations, [700, 800, 900], centre=centre, rays=rays,
            canonical=False,
        )  # fmt: skip
        np.testing.assert_array_equal(plans.rotation, rotations)
        points = middles(plans, centre)
        np.testing.assert_allclose(points[:, :2] / points[:, 2:], rays, atol=1e-12)
        np.testing.assert_allclose(points[:, 2], [700, 800, 900])
        np.testing.assert_allclose(pixels(plans, points), 32)
    same = plans_from_poses(MODELS, [0, 1], rotations[:2], 700, rays=(0.1, 0.2))
    points = middles(same, "box")
    np.testing.assert_allclose(points[:, :2] / points[:, 2:], [[0.1, 0.2]] * 2, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("`centre`", {"centre": "middle"}),
        ("`off_axis`", {"off_axis": -1.0}),
        ("`off_axis`", {"off_axis": 61.0}),
        ("`off_axis`", {"off_axis": float("nan")}),
        ("`picture`", {"picture": (4, 480), "camera": (500, 500, 320, 240)}),
        ("`picture`", {"picture": (640, 10**6), "camera": (500, 500, 320, 240)}),
        ("`camera`", {"picture": (640, 480)}),
        ("`camera`", {"picture": (640, 480), "camera": (500, 500, 320)}),
        ("`camera`", {"picture": (640, 480), "camera": (0, 500, 320, 240)}),
        ("`camera`", {"picture": (640, 480), "camera": (500, float("inf"), 320, 240)}),
        ("`camera`", {"picture": (640, 480), "camera": (1e308, 500, 320, 240)}),
        ("`camera`", {"picture": (640, 480), "camera": (500, 500, -1e300, 240)}),
        ("`window`", {"picture": (640, 480), "camera": (5000, 5000, 320, 240)}),
    ],
)
def test_cuts_out_of_range_are_refused_by_their_name(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=rf"^{name} [^\n]*: (it must be|give) [^\n]*[^.\n]$"):
        PlanConfig(**settings)
