"""All engines draw the same plan alike. An engine that is not installed here is skipped."""

from __future__ import annotations

import ctypes.util
import functools
import gc
import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.engine_pictures import crowded_crops, crowded_frame, draw_differences
from cad_models import CadModel, load_models
from checked_settings import SettingError
from renderer import (
    ENGINES,
    RANDOMIZATIONS,
    CropBatch,
    Instances,
    PlanConfig,
    Plans,
    RasterRenderer,
    Renderer,
    RenderError,
    Surfaces,
    check_engine,
    make_plans,
    make_renderer,
    plans_from_poses,
    uniform_rotation,
)
from tests.shapes import ball, model_of, rectangle

MARKS = {"blender": pytest.mark.several_seconds}
OTHERS = [pytest.param(name, marks=MARKS.get(name, ())) for name in ENGINES if name != "raster"]
STEPS = np.indices((6, 9)).transpose(1, 2, 0)[..., [0, 1, 1]] * (40, 25, 10) + 20
PICTURES = [STEPS.astype(np.uint8), STEPS[::-1, :, ::-1].astype(np.uint8)]


@functools.cache
def skip_reason(name: str) -> str:
    """Why an engine cannot be tested here; nothing where it can."""
    check = check_engine(name)
    return "" if check.works else f"{name} does not work here: {check.message.split(':')[0]}"


@pytest.fixture(scope="module", params=OTHERS)
def engine(request: pytest.FixtureRequest) -> str:
    if skip_reason(request.param):
        pytest.skip(skip_reason(request.param))
    return str(request.param)


@pytest.fixture
def needs_pyrender() -> None:
    if skip_reason("pyrender"):
        pytest.skip(skip_reason("pyrender"))


@pytest.fixture(scope="module")
def models() -> list[CadModel]:
    return load_models(["ape", "can", "cat", "phone"])


@pytest.fixture(scope="module")
def raster(models: list[CadModel]) -> Renderer:
    """With every face, so that what differs is rounding."""
    return RasterRenderer(models, textures=PICTURES, levels=False)


@pytest.fixture(scope="module")
def renderer(engine: str, models: list[CadModel]) -> Iterator[Renderer]:
    made = make_renderer(engine, models, textures=PICTURES)
    yield made
    made.close()


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def eroded(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Masks, (N, H, W), without the pixels at their borders."""
    return np.array([cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) for mask in masks], bool)


def away_from_silhouettes(batch: CropBatch) -> NDArray[np.bool_]:
    """(N, H, W), pixels whose neighbours show the same object."""
    others = [eroded(masks) for masks in batch.others_mask_visib.swapaxes(0, 1)]
    return np.asarray(np.logical_or.reduce([eroded(batch.mask_visib), *others]))


@dataclass(frozen=True)
class Limits:
    """How far two engines may be apart; what the project promises."""

    overlap: float = 0.99
    median: float = 0.1
    percentile_99: float = 1.0


ROUNDING = Limits(0.998, 0.001, 0.02)


def assert_agree(batches: dict[str, CropBatch], limits: Limits, picture: Path) -> None:
    a, b = batches.values()
    faults = [
        f"{name} overlap by {share:.4f}"
        for name in ("mask", "mask_visib", "others_mask", "others_mask_visib")
        if (share := overlap(getattr(a, name), getattr(b, name))) < limits.overlap
    ]
    pairs = {
        "depth": away_from_silhouettes(a) & away_from_silhouettes(b),
        "object_depth": eroded(a.mask) & eroded(b.mask),
    }
    for name, where in pairs.items():
        difference = np.abs(getattr(a, name) - getattr(b, name))[where]
        median, most = np.percentile(difference, [50, 99])
        if median > limits.median or most > limits.percentile_99:
            faults.append(f"{name} differs by {median:.4f} mm, 1 in 100 by {most:.4f} mm or more")
    if faults:
        draw_differences(picture, batches)
        raise AssertionError(f"{' and '.join(batches)}: {'; '.join(faults)}; see {picture}")


@pytest.mark.parametrize("size", [64, 160])
def test_crowded_crops_agree(
    engine: str,
    renderer: Renderer,
    raster: Renderer,
    models: list[CadModel],
    size: int,
    tmp_path: Path,
) -> None:
    plans = crowded_crops(models, 8, size=size)
    assert (plans.camera_matrix[:, 0, 0] != plans.camera_matrix[:, 1, 1]).all()
    reference = raster.render(plans)
    hidden = reference.mask & ~reference.mask_visib
    assert hidden.any()
    assert (reference.others_mask & ~reference.others_mask_visib).any()
    batches = {"raster": reference, engine: renderer.render(plans)}
    assert_agree(batches, ROUNDING, tmp_path / "differences.png")


def test_crops_off_the_cameras_axis_agree(
    engine: str, renderer: Renderer, raster: Renderer, models: list[CadModel], tmp_path: Path
) -> None:
    """Their principal points lie outside the pictures."""
    crowd = replace(RANDOMIZATIONS["linemod"], occluders=(1, 2), neighbours=(1, 2))
    config = PlanConfig(centre="mean", off_axis=20.0, viewpoints="so3")
    plans = make_plans(config, models, 3, 0, 8, crowd)
    middle = plans.camera_matrix[:, :2, 2]
    assert ((middle < 0) | (middle > 64)).any(axis=1).sum() >= 6
    reference = raster.render(plans)
    assert (reference.mask & ~reference.mask_visib).any()
    batches = {"raster": reference, engine: renderer.render(plans)}
    assert_agree(batches, ROUNDING, tmp_path / "differences.png")
    seen = np.logical_and(*(away_from_silhouettes(batch) for batch in batches.values()))
    colors = [batch.rgb.astype(np.int64)[seen] for batch in batches.values()]
    assert np.abs(colors[0] - colors[1]).mean() <= (1 if engine == "pyrender" else 10)


def test_a_frame_agrees(
    engine: str, renderer: Renderer, raster: Renderer, models: list[CadModel], tmp_path: Path
) -> None:
    plans = crowded_frame(models)
    assert (plans.width, plans.height) == (640, 480)
    batches = {"raster": raster.render(plans), engine: renderer.render(plans)}
    assert_agree(batches, ROUNDING, tmp_path / "differences.png")


def test_the_rasteriser_agrees_as_it_is_by_default(
    engine: str, renderer: Renderer, models: list[CadModel], tmp_path: Path
) -> None:
    """With levels of detail, what is promised still holds."""
    plans = crowded_crops(models, 8)
    batches = {"raster": make_renderer("raster", models).render(plans)}
    batches[engine] = renderer.render(plans)
    assert_agree(batches, Limits(), tmp_path / "differences.png")


def test_a_quarter_of_a_pixel_off_is_noticed_and_drawn(
    raster: Renderer, models: list[CadModel], tmp_path: Path
) -> None:
    plans = crowded_crops(models, 3)
    shifted = plans.camera_matrix.copy()
    shifted[:, 0, 2] += 0.25
    batches = {"a": raster.render(plans), "b": raster.render(replace(plans, camera_matrix=shifted))}
    picture = tmp_path / "differences.png"
    with pytest.raises(AssertionError, match=r"mask overlap .* depth differs .*differences\.png"):
        assert_agree(batches, Limits(), picture)
    assert cv2.imread(str(picture)).any()


def test_surface_maps_agree(renderer: Renderer, raster: Renderer, models: list[CadModel]) -> None:
    plans = crowded_crops(models, 4)
    ours = raster.render(plans, surface_maps=True)
    theirs = renderer.render(plans, surface_maps=True)
    where = ours.mask_visib & theirs.mask_visib
    for name, most in (("normals", 0.02), ("object_coordinates", 1e-4)):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert np.percentile(np.abs(a - b)[where], 99) <= most
        assert not b[~theirs.mask_visib].any()


def alone(model: CadModel, count: int = 4, **options: object) -> Plans:
    """A model by itself, in some poses."""
    rotations = uniform_rotation(np.random.default_rng(2).random((count, 3)))
    return plans_from_poses([model], [0] * count, rotations, 500.0, canonical=False, **options)


def drawn(name: str, model: CadModel, plans: Plans) -> CropBatch:
    if name == "raster":
        return RasterRenderer([model], textures=PICTURES, levels=False).render(plans)
    made = make_renderer(name, [model], textures=PICTURES)
    batch = made.render(plans)
    made.close()
    return batch


def color_difference(engine: str, model: CadModel, plans: Plans) -> NDArray[np.int64]:
    """(P, 3), of the pixels that both draw."""
    ours, theirs = drawn("raster", model, plans), drawn(engine, model, plans)
    where = away_from_silhouettes(ours) & away_from_silhouettes(theirs)
    return (theirs.rgb.astype(np.int64) - ours.rgb)[where]


def test_light_means_the_same(engine: str) -> None:
    """On a ball, on which nothing is in the shadow of anything."""
    lights = {
        "light_direction": [[[0.6, -0.5, -0.4], [-0.7, 0.1, -0.6]]] * 4,
        "light_color": [[[0.5, 0.3, 0.1], [0.1, 0.3, 0.4]]] * 4,
        "ambient_color": (0.2, 0.25, 0.3),
    }
    model = ball(60)
    plans = alone(model, **lights)
    gain = np.float32([[[0.5, 0.9, 1.2]]] * 4)
    plans = replace(plans, surfaces=replace(plans.surfaces, gain=gain))
    difference = np.abs(color_difference(engine, model, plans))
    # Each of Cycles' rays asks one of the two lights.
    assert np.percentile(difference, 99) <= (1 if engine == "pyrender" else 40)
    assert np.abs(color_difference(engine, model, plans).mean()) <= 0.5


def test_highlights_are_as_wide_and_as_bright(engine: str) -> None:
    model = ball(60)
    plans = alone(model, light_color=0.6, ambient_color=0.0)
    for shininess in (6.0, 60.0):
        surfaces = replace(
            plans.surfaces,
            gain=np.zeros((4, 1, 3), np.float32),
            specular=np.full((4, 1), 0.8, np.float32),
            shininess=np.full((4, 1), shininess, np.float32),
        )
        lit = replace(plans, surfaces=surfaces)
        ours, theirs = drawn("raster", model, lit), drawn(engine, model, lit)
        np.testing.assert_allclose(theirs.rgb.max(), 255 * 0.6 * 0.8, rtol=0.05)
        halves = [(batch.rgb[..., 0] > 61).sum() for batch in (ours, theirs)]
        assert halves[1] / halves[0] == pytest.approx(1, abs=0.02 if engine == "pyrender" else 0.2)


@pytest.mark.parametrize("texture", [0, 1])
def test_swapped_in_pictures_lie_alike(engine: str, texture: int) -> None:
    model = ball(60)
    plans = alone(model, light_color=0.0, ambient_color=1.0)
    surfaces = replace(
        plans.surfaces,
        texture=np.full((4, 1), texture, np.int32),
        texture_period=np.full((4, 1), 45.0, np.float32),
    )
    difference = np.abs(color_difference(engine, model, replace(plans, surfaces=surfaces)))
    # A pixel or so on the border between two sides of the picture may fall to either.
    assert np.percentile(difference, 97) <= 3


def test_a_models_own_texture_lies_alike(engine: str) -> None:
    # Five texels wide: rows of fifteen bytes, which OpenGL does not take as they are.
    picture = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    corners = np.float32([(0, 1), (1.5, 1), (1.5, 0), (0, 0)])
    model = rectangle(-60, -60, 60, 60, texture=picture, texture_coordinates=corners)
    plans = plans_from_poses(
        [model], [0], [np.eye(3)], 500.0, light_color=0.0, ambient_color=1.0, canonical=False
    )
    assert np.abs(color_difference(engine, model, plans)).max() <= 3


def test_backs_of_faces_are_lit_from_the_cameras_side(engine: str) -> None:
    model = rectangle(-60, -60, 60, 60)
    behind = np.diag([-1.0, 1.0, -1.0])
    plans = plans_from_poses(
        [model], [0], [behind], 500.0, light_direction=(0, 0, -1), canonical=False
    )
    assert drawn(engine, model, plans).rgb[0, 32, 32, 0] == pytest.approx(200, abs=1)


def test_untidy_meshes_are_drawn_alike(engine: str) -> None:
    """Faces that are lines or points, twice the same, inside out, on an edge with two others."""
    corners = [(-60, -60, 0), (60, -60, 0), (60, 60, 20), (-60, 60, 0), (0, 0, -60), (0, 0, 0)]
    faces = [
        (0, 2, 1), (0, 3, 2), (1, 0, 2), (0, 1, 2), (3, 3, 2), (5, 5, 5), (0, 4, 2), (2, 4, 1),
        (0, 5, 0),
    ]  # fmt: skip
    facing = np.tile(np.float32([0, 0, -1]), (6, 1))
    facing[5] = 0
    model = model_of(corners, faces, normals=facing)
    plans = alone(model, 8)
    ours, theirs = drawn("raster", model, plans), drawn(engine, model, plans)
    assert overlap(ours.mask, theirs.mask) >= 0.995
    inner = eroded(ours.mask) & eroded(theirs.mask)
    assert np.percentile(np.abs(ours.depth - theirs.depth)[inner], 95) <= 0.01


def test_nothing_but_the_plan_decides(
    engine: str, renderer: Renderer, models: list[CadModel]
) -> None:
    plans = crowded_crops(models, 4, textures=2)
    together = renderer.render(plans)
    order = np.array([2, 0, 3, 1])
    other = make_renderer(engine, models, threads=2, textures=PICTURES)
    again = other.render(plans[order])
    other.close()
    for name in ("rgb", "depth", "object_depth", "others_mask", "others_mask_visib"):
        np.testing.assert_array_equal(getattr(together, name)[order], getattr(again, name))


def test_an_objects_place_may_be_empty(renderer: Renderer, models: list[CadModel]) -> None:
    plans = crowded_crops(models, 3)
    index = plans.others.object_index.copy()
    index[:, 0], index[1] = -1, -1
    batch = renderer.render(replace(plans, others=replace(plans.others, object_index=index)))
    assert not batch.others_mask[:, 0].any()
    assert not batch.others_mask[1].any()
    assert batch.mask[1].any()
    np.testing.assert_array_equal(batch.mask[1], batch.mask_visib[1])


def test_no_crops_are_an_empty_batch(renderer: Renderer, models: list[CadModel]) -> None:
    batch = renderer.render(make_plans(PlanConfig(), models, 0, 3, 3))
    assert batch.rgb.shape == (0, 64, 64, 3)
    assert batch.depth.shape == (0, 64, 64)


def test_what_cannot_be_drawn_is_refused(renderer: Renderer, models: list[CadModel]) -> None:
    plans = crowded_crops(models, 2)
    near = plans.translation.copy()
    near[1, 2] = 20.0
    lost = plans.rotation.copy()
    lost[1, 0, 0] = np.nan
    texture = np.full((2, 3), 2, np.int32)
    k = plans.surfaces.texture_period.shape[1]
    index = np.array([0, 4], np.int32)
    cases = {
        "crop 1: .* camera's plane": replace(plans, translation=near),
        "crop 1 has a rotation that is not finite": replace(plans, rotation=lost),
        "asks for texture 2, but there are 2": replace(
            plans, surfaces=replace(plans.surfaces, texture=texture)
        ),
        "crop 1 asks for model 4, but there are 4": replace(plans, object_index=index),
        "crop 1 has a texture_period that is not above 0": replace(
            plans, surfaces=replace(plans.surfaces, texture_period=np.array([[5.0] * k, [0.0] * k]))
        ),
        "gain of the plans has the shape": replace(plans, surfaces=Surfaces.plain(2, 1)),
        "others' object_index of the plans": replace(plans, others=Instances.none(1)),
        "show nothing": replace(plans, width=0),
    }
    for message, wrong in cases.items():
        with pytest.raises(RenderError, match=message):
            renderer.render(wrong)


def test_no_engine_draws_nothing(engine: str) -> None:
    with pytest.raises(RenderError, match="there are no models to render: give at least one"):
        make_renderer(engine, [])


def test_square_crops_have_one_size_and_frames_have_none(models: list[CadModel]) -> None:
    plans = crowded_crops(models, 1)
    assert plans.size == plans.width == plans.height
    with pytest.raises(RenderError, match="square crops are needed here and these are 9 x "):
        _ = replace(plans, width=9).size


def test_pyrender_takes_so_many_lights_and_objects(
    needs_pyrender: None, models: list[CadModel]
) -> None:
    plans = crowded_crops(models, 1)
    lit = replace(
        plans,
        light_direction=np.repeat(plans.light_direction, 40, axis=1),
        light_color=np.repeat(plans.light_color, 40, axis=1),
    )
    count = lit.light_color.shape[1]
    renderer = make_renderer("pyrender", models)
    with pytest.raises(RenderError, match=rf"has {count} lights and \d+ objects: the pyrender"):
        renderer.render(lit)
    assert renderer.render(plans).mask.any()
    with pytest.raises(RenderError, match="threads is 0"):
        make_renderer("pyrender", models, threads=0)


def test_names_that_are_no_engines_are_refused(models: list[CadModel]) -> None:
    with pytest.raises(
        SettingError, match="`renderer` is povray: it must be raster, cuda, pyrender"
    ):
        make_renderer("povray", models)
    with pytest.raises(SettingError, match="`renderer` is povray"):
        check_engine("povray")


def test_only_blender_takes_pictures_of_surroundings(
    models: list[CadModel], tmp_path: Path
) -> None:
    with pytest.raises(RenderError, match="raster cannot be lit by pictures"):
        make_renderer("raster", models, environments=tmp_path)


@pytest.mark.parametrize("platform", ["egl", "osmesa"])
def test_pyrender_draws_without_a_display_on(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = {"egl": "EGL", "osmesa": "OSMesa"}[platform]
    if importlib.util.find_spec("pyrender") is None or not ctypes.util.find_library(library):
        pytest.skip(f"pyrender or lib{library} is not installed")
    monkeypatch.setenv("PYOPENGL_PLATFORM", platform)
    monkeypatch.delenv("DISPLAY", raising=False)
    check = check_engine("pyrender")
    assert check.works, check.message


def test_pyrender_says_what_is_missing(
    models: list[CadModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = crowded_crops(models, 1)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glfw")
    with pytest.raises(RenderError, match="PYOPENGL_PLATFORM is glfw: set it to egl or osmesa"):
        make_renderer("pyrender", models).render(plans)
    monkeypatch.delenv("PYOPENGL_PLATFORM")
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(RenderError, match=r"neither EGL nor OSMesa .*apt install libegl1"):
        make_renderer("pyrender", models).render(plans)


def test_an_opengl_context_stays_in_its_thread(
    needs_pyrender: None, models: list[CadModel]
) -> None:
    plans = crowded_crops(models, 1)
    renderer = make_renderer("pyrender", models)
    renderer.render(plans)
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(renderer.render, plans).exception()
    assert isinstance(error, RenderError)
    assert "make one renderer in each" in str(error)
    assert renderer.render(plans).mask.any()


def test_a_renderer_that_goes_takes_nothing_of_anothers(
    needs_pyrender: None, models: list[CadModel]
) -> None:
    plans = crowded_crops(models, 2, textures=2)
    kept = make_renderer("pyrender", models, textures=PICTURES)
    first = kept.render(plans)
    make_renderer("pyrender", models, textures=PICTURES).render(plans)  # and is forgotten
    gc.collect()
    np.testing.assert_array_equal(kept.render(plans).rgb, first.rgb)


def test_an_engine_that_crashes_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver may take its process with it, but not this one."""
    (tmp_path / "pyrender").mkdir()
    (tmp_path / "pyrender/__init__.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = check_engine("pyrender")
    assert not check.works
    assert "ends the process (exit code -6)" in check.message


def test_the_rasteriser_works_everywhere() -> None:
    assert check_engine("raster").works


@pytest.mark.parametrize("name", ENGINES)
def test_after_it_is_closed_it_draws_the_same(name: str, models: list[CadModel]) -> None:
    if skip_reason(name):
        pytest.skip(skip_reason(name))
    plans = crowded_crops(models, 2)
    made = make_renderer(name, models)
    before = made.render(plans)
    made.close()
    after = made.render(plans)
    made.close()
    made.close()
    for part in ("rgb", "depth", "object_depth", "others_mask", "others_mask_visib"):
        np.testing.assert_array_equal(getattr(after, part), getattr(before, part))
