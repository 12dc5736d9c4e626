"""Levels of detail: how far surfaces, silhouettes, depth and colours are off."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import Instances, PlanConfig, Plans, RasterRenderer, Surfaces, make_plans
from renderer._engines.raster.closest import ClosestPoints
from renderer._engines.raster.levels import ERRORS, Level, Levels, error_allowed
from tests.damage import DAMAGES
from tests.shapes import ball, lopsided, model_of

SETTINGS = PlanConfig(viewpoints="so3")
LINEMOD = ["ape", "benchvise", "lamp", "glue"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is read that other code, or another test, made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def bumpy(subdivisions: int = 5) -> CadModel:
    """A closed solid of 20,480 faces with bumps, dents and colours that follow them."""
    tidy = ball(1, subdivisions=subdivisions)
    unit = tidy.mesh.normals
    bumps = np.sin(7 * unit[:, 0]) * np.cos(5 * unit[:, 1] + 1) * np.sin(6 * unit[:, 2] + 2)
    colors = np.rint(127.5 * (1 + np.stack([bumps, unit[:, 0], unit[:, 1]], axis=1)))
    mesh = dataclasses.replace(
        tidy.mesh,
        vertices=((45 + 4 * bumps)[:, None] * unit).astype(np.float32),
        colors=colors.astype(np.uint8),
    )
    return dataclasses.replace(tidy, name="bumpy", mesh=mesh)


def level_of(model: CadModel, error: float = 0.5, closed: bool = False) -> Level:
    level = Levels(model.mesh, closed).level(error)
    assert level is not None
    return level


def points_on(
    vertices: NDArray[np.floating], faces: NDArray[np.int32], spacing: float
) -> NDArray[np.float64]:
    """Random points of a surface, so many that the typical distance between them is `spacing`."""
    a, b, c = np.moveaxis(vertices.astype(np.float64)[faces], 1, 0)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    generator = np.random.default_rng(0)
    which = generator.choice(len(faces), int(areas.sum() / spacing**2), p=areas / areas.sum())
    s, t = generator.random((2, len(which), 1))
    s, t = np.where(s + t > 1, 1 - s, s), np.where(s + t > 1, 1 - t, t)
    return np.asarray(a[which] + s * (b - a)[which] + t * (c - a)[which])


def assert_near(model: CadModel, level: Level) -> None:
    """Both surfaces are within the level's error of each other, wherever one looks."""
    mesh, reach = model.mesh, 2 * level.error
    there = ClosestPoints(mesh.vertices.astype(np.float64), mesh.faces, reach)
    back = ClosestPoints(level.vertices, level.faces, reach)
    spacing = max(level.error, 0.2)
    points = points_on(mesh.vertices, mesh.faces, spacing)
    for distance in (
        there(points_on(level.vertices, level.faces, spacing))[0],
        there(level.vertices)[0],
        back(np.concatenate([points, mesh.vertices]))[0],
    ):
        assert distance.max() <= level.error


@pytest.mark.parametrize("error", ERRORS)
def test_levels_are_as_near_as_they_say(error: float) -> None:
    model = bumpy()
    level = Levels(model.mesh, True).level(error)
    if error <= 0.05:
        assert level is None or len(level.faces) < len(model.mesh.faces)
    if level is not None:
        assert level.error == error
        assert_near(model, level)


def test_the_coarsest_level_has_a_fraction_of_the_faces() -> None:
    model = bumpy()
    counts = [len(level_of(model, error, True).faces) for error in ERRORS[:3]]
    assert counts == sorted(counts)
    assert counts[0] < len(model.mesh.faces) / 10


@pytest.mark.several_seconds
@pytest.mark.parametrize("name", LINEMOD)
def test_levels_of_linemod_models_are_as_near_as_they_say(name: str, data_dir: Path) -> None:
    (model,) = load_models([name], models=data_dir / "linemod/models")
    level = level_of(model)
    assert len(level.faces) < len(model.mesh.faces) / 7
    assert_near(model, level)


def test_what_simplifying_would_lose_is_kept() -> None:
    # A sheet with a thread of a tenth of a millimetre standing on it, not joined to anything.
    side = np.linspace(-40, 40, 61)
    x, y = np.meshgrid(side, side)
    sheet = np.column_stack([x.ravel(), y.ravel(), np.sin(x / 8).ravel()])
    corner = (np.arange(60)[:, None] * 61 + np.arange(60)).ravel()
    faces = np.concatenate(
        [
            np.column_stack([corner, corner + 62, corner + 1]),
            np.column_stack([corner, corner + 61, corner + 62]),
        ]
    )
    thread = np.array([(0, 0, 2), (0.1, 0, 2), (0, 0.1, 20)])
    model = model_of(
        np.concatenate([sheet, thread]),
        np.concatenate([faces, [[61 * 61, 61 * 61 + 1, 61 * 61 + 2]]]),
        normals=np.tile([0, 0, 1], (61 * 61 + 3, 1)),
    )
    level = level_of(model)
    assert_near(model, level)
    np.testing.assert_allclose(level.vertices[:, 2].max(), 20)


def drawn(model: CadModel, level: Level) -> CadModel:
    """A level's bare surface as a model of its own."""
    plain = np.zeros_like(level.vertices)
    mesh = dataclasses.replace(
        model.mesh,
        vertices=level.vertices.astype(np.float32), faces=level.faces,
        normals=plain.astype(np.float32), colors=plain.astype(np.uint8),
    )  # fmt: skip
    return dataclasses.replace(model, mesh=mesh)


@pytest.mark.parametrize("name", ["ape", "benchvise"])
def test_silhouettes_are_off_by_less_than_a_quarter_of_a_pixel(name: str, data_dir: Path) -> None:
    (model,) = load_models([name], models=data_dir / "linemod/models")
    simple = drawn(model, level_of(model))
    # The same window in ten times as many pixels each way.
    fine = PlanConfig(viewpoints="so3", size=640)
    plans = make_plans(fine, [model], 1, 0, 6)
    exact, moved = (
        RasterRenderer([each], levels=False).render(plans).mask for each in (model, simple)
    )
    assert (exact != moved).any()
    for first, second in zip(exact, moved, strict=True):
        for inside, other in ((first, second), (second, first), (~first, ~second)):
            away = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, 5)
            # One fine pixel is what drawing itself rounds by.
            assert away[inside].max() <= 0.25 * 10 + 1


@pytest.mark.several_seconds
@pytest.mark.parametrize("name", LINEMOD)
def test_crops_look_and_measure_the_same(name: str, data_dir: Path) -> None:
    models = load_models([name], models=data_dir / "linemod/models")
    plans = make_plans(SETTINGS, models, 5, 0, 30)
    exact = RasterRenderer(models, levels=False).render(plans)
    crops = RasterRenderer(models).render(plans)
    both, either = exact.mask & crops.mask, exact.mask | crops.mask
    assert both.sum() >= 0.99 * either.sum()
    color = np.abs(exact.rgb.astype(int) - crops.rgb)[both]
    assert 0 < color.mean() < 2
    assert np.median(np.abs(exact.depth - crops.depth)[both]) < 0.2
    # A pixel may see what its neighbours see, but nothing through a crack.
    far = np.where(exact.mask, exact.depth, 1e6).astype(np.float32)
    least = np.stack([cv2.erode(each, np.ones((3, 3))) for each in far])
    greatest = np.stack([cv2.dilate(each, np.ones((3, 3))) for each in far])
    seen = np.where(crops.mask, crops.depth, 1e6)
    strange = (seen < least - 1) | (seen > greatest + 1)
    assert strange[:, 1:-1, 1:-1].sum() <= 3e-4 * both.sum()


def test_a_pattern_of_colours_stays_sharp() -> None:
    # The same ball twice, the second in stripes of 9 mm, three pixels wide.
    tidy = ball(50, subdivisions=5)
    stripes = np.where(np.floor(tidy.mesh.vertices[:, 2] / 9) % 2, 220, 40).astype(np.uint8)
    colors = np.repeat(stripes[:, None], 3, axis=1)
    model = dataclasses.replace(tidy, mesh=dataclasses.replace(tidy.mesh, colors=colors))
    assert len(level_of(model).faces) < 1500
    plans = make_plans(SETTINGS, [model], 1, 0, 20)
    exact = RasterRenderer([model], levels=False).render(plans)
    crops = RasterRenderer([model]).render(plans)
    both = exact.mask & crops.mask
    assert np.abs(exact.rgb.astype(int) - crops.rgb)[both].mean() < 6
    assert np.ptp(crops.rgb[both]) > 0.95 * np.ptp(exact.rgb[both])


def test_textures_are_averaged_into_levels() -> None:
    tidy = ball(50, subdivisions=5)
    unit = tidy.mesh.normals
    # The texture's u follows x and its v follows z: smooth, but for fine stripes in blue.
    texture = np.zeros((512, 512, 3), np.uint8)
    texture[..., 0] = np.linspace(0, 255, 512)[None]
    texture[..., 1] = np.linspace(255, 0, 512)[:, None]
    texture[:, ::2, 2] = 200
    mesh = dataclasses.replace(
        tidy.mesh, texture=texture, texture_coordinates=(0.02 + 0.48 * (unit[:, [0, 2]] + 1))
    )
    model = dataclasses.replace(tidy, mesh=mesh)
    plans = make_plans(SETTINGS, [model], 1, 0, 10)
    exact = RasterRenderer([model], levels=False).render(plans)
    crops = RasterRenderer([model]).render(plans)
    both = exact.mask & crops.mask
    difference = np.abs(exact.rgb.astype(int) - crops.rgb)[both]
    assert (difference[:, :2].mean(axis=0) < 3).all()
    # Aliasing in the one, grey in the other.
    assert crops.rgb[both][:, 2].std() < 0.8 * exact.rgb[both][:, 2].std()


def plan_at(model: CadModel, millimetres_per_pixel: float) -> Plans:
    config = PlanConfig(viewpoints="so3", size=64, window=64 * millimetres_per_pixel)
    return make_plans(config, [model], 2, 0, 3)


def test_the_scale_decides_the_level() -> None:
    np.testing.assert_allclose(
        error_allowed(np.array([0.1, 1.0, 2.0, 4.0])), [0.025, 0.25, 0.5, 0.5]
    )
    model = bumpy()
    renderer, exact = RasterRenderer([model]), RasterRenderer([model], levels=False)
    same = [
        np.array_equal(renderer.render(plan).depth, exact.render(plan).depth)
        for plan in (plan_at(model, scale) for scale in (0.15, 3.0))
    ]
    assert same == [True, False]


def test_small_models_are_drawn_as_they_are() -> None:
    model = lopsided()
    plans = make_plans(SETTINGS, [model], 2, 0, 5)
    first, second = (RasterRenderer([model], levels=each).render(plans) for each in (True, False))
    np.testing.assert_array_equal(first.rgb, second.rgb)
    assert Levels(model.mesh, True).level(0.5) is None


def test_crops_do_not_depend_on_what_was_drawn_before_or_beside() -> None:
    model, other = bumpy(), ball(30, subdivisions=5)
    near, far = plan_at(model, 0.9), plan_at(model, 3.0)
    alone = RasterRenderer([model]).render(far)
    busy = RasterRenderer([model, other])
    busy.render(near)
    beside = dataclasses.replace(
        far,
        others=Instances(
            np.ones((3, 1), np.int32),
            np.tile(np.eye(3), (3, 1, 1, 1)),
            np.tile([60.0, 0, 1500], (3, 1, 1)),
        ),
        surfaces=Surfaces.plain(3, 1),
    )
    np.testing.assert_array_equal(busy.render(far).rgb, alone.rgb)
    np.testing.assert_array_equal(busy.render(beside).object_depth, alone.object_depth)


def test_a_wider_view_at_the_same_scale_shows_the_same_silhouette() -> None:
    model = bumpy()
    plans = plan_at(model, 1.2)
    camera = plans.camera_matrix.copy()
    camera[:, :2, 2] += 64
    wide = dataclasses.replace(plans, camera_matrix=camera, width=192, height=192)
    renderer = RasterRenderer([model])
    crop, canvas = renderer.render(plans), renderer.render(wide)
    np.testing.assert_array_equal(canvas.mask[:, 64:128, 64:128], crop.mask)
    np.testing.assert_array_equal(canvas.depth[:, 64:128, 64:128], crop.depth)


def assert_same(first: Level, second: Level) -> None:
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name), err_msg=name)


def test_levels_are_kept_on_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bumpy()
    made = level_of(model)
    assert len(list(cache.rglob("*.levels"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr("renderer._engines.raster.levels._candidate", None)
        assert_same(level_of(model), made)
    other = dataclasses.replace(model.mesh, colors=255 - model.mesh.colors)
    changed = level_of(dataclasses.replace(model, mesh=other))
    assert np.abs(changed.looks[:, 3:] + made.looks[:, 3:] - 255).max() < 0.1
    assert len(list(cache.rglob("*.levels"))) == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_level_is_made_again(damage: str, cache: Path) -> None:
    model = bumpy()
    made = level_of(model)
    (file,) = cache.rglob("*.levels")
    sound = file.read_bytes()
    file.write_bytes(DAMAGES[damage](sound))
    assert_same(level_of(model), made)
    assert file.read_bytes() == sound


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert len(level_of(bumpy()).faces) > 100


@pytest.mark.parametrize("seed", range(3))
def test_torn_meshes_are_drawn_near_where_they_are(seed: int) -> None:
    # Faces missing, turned over, twice, degenerate; corners welded to others.
    model = bumpy(4)
    generator = np.random.default_rng(seed)
    faces = model.mesh.faces[generator.random(len(model.mesh.faces)) < 0.9]
    turned = generator.random(len(faces)) < 0.2
    faces[turned] = faces[turned][:, ::-1]
    faces = np.concatenate([faces, faces[:100], faces[:50, [0, 0, 1]]])
    weld = generator.integers(0, len(faces), 20)
    faces[weld, 0] = faces[weld - 1, 1]
    torn = dataclasses.replace(model, mesh=dataclasses.replace(model.mesh, faces=faces))
    plans = make_plans(SETTINGS, [torn], seed, 0, 10)
    exact = RasterRenderer([torn], levels=False).render(plans)
    crops = RasterRenderer([torn]).render(plans)
    both, either = exact.mask & crops.mask, exact.mask | crops.mask
    assert both.sum() >= 0.98 * either.sum()
    assert np.median(np.abs(exact.depth - crops.depth)[both]) < 0.5


@pytest.mark.slow
def test_two_million_faces_become_few(cache: Path) -> None:
    model = bumpy(subdivisions=5)
    points, faces = model.mesh.vertices.astype(np.float64), model.mesh.faces
    from trimesh.remesh import subdivide

    for _ in range(3):
        points, faces = subdivide(points, faces)
    many = model.mesh.faces.shape[0] * 64
    assert len(faces) == many > 1_300_000
    level = level_of(
        dataclasses.replace(
            model,
            mesh=dataclasses.replace(
                model.mesh,
                vertices=points.astype(np.float32), faces=faces.astype(np.int32),
                normals=(points / np.linalg.norm(points, axis=1)[:, None]).astype(np.float32),
                colors=np.full(points.shape, 100, np.uint8),
            ),
        ),
        closed=True,
    )  # fmt: skip
    assert len(level.faces) < 3000
