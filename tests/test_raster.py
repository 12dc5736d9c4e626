"""The rasteriser against images that are known exactly."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    PlanConfig,
    Plans,
    Randomization,
    RasterRenderer,
    RenderError,
    make_plans,
    plans_from_poses,
    rotation_about,
    uniform_rotation,
)
from tests.shapes import ball, lopsided, model_of, rectangle

AMBIENT: dict[str, Any] = {"light_color": 0.0, "ambient_color": 1.0}


def view(
    model: CadModel, rotation: ArrayLike | None = None, distance: float = 256.0, **options: Any
) -> Plans:
    """One crop of 64 pixels that shows 256 mm, so that a pixel is 4 mm at the object's depth."""
    pose = np.eye(3) if rotation is None else rotation
    return plans_from_poses(
        [model], [0], [pose], distance, size=64, window=256.0, canonical=False, **options
    )


def unframed(model: CadModel, **options: Any) -> Plans:
    """As `view`, but with the model's own origin at the crop's middle."""
    plans = view(model, **options)
    return dataclasses.replace(plans, translation=np.array([[0.0, 0.0, 256.0]]))


def render(model: CadModel, plans: Plans, **options: Any) -> CropBatch:
    return RasterRenderer([model], levels=False, **options).render(plans)


def test_crops_come_as_promised() -> None:
    model = lopsided()
    batch = render(model, make_plans(PlanConfig(size=48), [model], 0, 0, 5))
    assert len(batch) == 5
    assert batch.rgb.shape == (5, 48, 48, 3)
    assert batch.rgb.dtype == np.uint8
    assert batch.depth.shape == (5, 48, 48)
    assert batch.depth.dtype == np.float32
    assert batch.mask.dtype == batch.mask_visib.dtype == np.bool_
    np.testing.assert_array_equal(batch.mask, batch.depth > 0)
    np.testing.assert_array_equal(batch.mask_visib, batch.mask)
    assert not batch.rgb[~batch.mask].any()
    assert 0.02 < batch.mask.mean() < 0.5


@pytest.mark.parametrize("edge", [-30.0, -0.25, 0.0, 13.75])
def test_a_pixel_is_lit_when_its_centre_is_inside(edge: float) -> None:
    # Column c is centred at c + 0.5; u = x / 4 + 32.
    for side, first in ((-0.01, 0), (0.01, 1)):
        left = 4 * (round(edge) + 0.5 + side)
        model = rectangle(left, -40, 100, 60)
        lit = render(model, unframed(model)).mask[0]
        columns, rows = np.flatnonzero(lit.any(axis=0)), np.flatnonzero(lit.any(axis=1))
        assert columns[0] == 32 + round(edge) + first
        assert (columns[-1], rows[0], rows[-1]) == (56, 22, 46)


def test_edges_through_pixel_centres_belong_to_the_top_left() -> None:
    # Corners exactly on pixel centres: (10.5, 20.5) to (14.5, 23.5).
    model = rectangle(4 * (10.5 - 32), 4 * (20.5 - 32), 4 * (14.5 - 32), 4 * (23.5 - 32))
    lit = render(model, unframed(model)).mask[0]
    expected = np.zeros((64, 64), bool)
    expected[20:23, 10:14] = True
    np.testing.assert_array_equal(lit, expected)


@given(seed=st.integers(0, 2**32), snap=st.sampled_from([0.0, 0.5, 0.25]))
@settings(max_examples=30, deadline=None)
def test_triangles_of_a_tiling_neither_gap_nor_overlap(seed: int, snap: float) -> None:
    from scipy.spatial import Delaunay

    generator = np.random.default_rng(seed)
    corners = np.array([(4.0, 4.0), (60.0, 4.0), (60.0, 60.0), (4.0, 60.0)])
    inner = generator.uniform(5, 59, (40, 2))
    if snap:
        # Corners and edges through pixel centres are where fill rules go wrong.
        inner = np.unique(np.round(inner / snap) * snap, axis=0)
    points = np.concatenate([corners, inner])
    faces = Delaunay(points).simplices
    vertices = np.column_stack([4 * (points - 32), np.zeros(len(points))])
    pieces = [model_of(vertices, [face]) for face in faces]
    plans = unframed(pieces[0])[np.zeros(len(pieces), int)]
    plans = dataclasses.replace(plans, object_index=np.arange(len(pieces), dtype=np.int32))
    covered = RasterRenderer(pieces).render(plans).mask.sum(axis=0)
    expected = np.zeros((64, 64), int)
    expected[4:60, 4:60] = 1
    np.testing.assert_array_equal(covered, expected)


@given(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3))
@settings(max_examples=30, deadline=None)
def test_depth_of_a_plane_is_z_at_the_pixels_centre(draws: tuple[float, float, float]) -> None:
    model = rectangle(-90, -90, 90, 90)
    rotation = uniform_rotation(np.array(draws))
    batch = render(model, view(model, rotation, 800))
    pixel = (np.arange(64) + 0.5 - 32) * 256 / 64 / 800
    across, down = np.meshgrid(pixel, pixel)
    normal = rotation[:, 2]
    along = normal[0] * across + normal[1] * down + normal[2]
    mask = batch.mask[0] & (np.abs(along) > 0.05)
    expected = normal[2] * 800 / np.where(mask, along, 1)
    np.testing.assert_allclose(batch.depth[0][mask], expected[mask], atol=0.005)


def test_depth_of_a_ball_is_analytic() -> None:
    model = ball(60, (200, -50, 10), subdivisions=6)
    batch = render(model, view(model, distance=700))
    pixel = (np.arange(64) + 0.5 - 32) * 256 / 64 / 700
    across, down = np.meshgrid(pixel, pixel)
    square = across**2 + down**2 + 1
    root = 700**2 - square * (700**2 - 60**2)
    np.testing.assert_array_equal(batch.mask[0], root > 0)
    # Near the silhouette the facets, not the rasteriser, are what differs from a ball.
    inner = root > 0.1 * root.max()
    expected = (700 - np.sqrt(np.maximum(root, 0))) / square
    assert inner.sum() > 500
    np.testing.assert_allclose(batch.depth[0][inner], expected[inner], atol=0.02)


def test_nearer_surfaces_hide_farther_ones_in_any_order() -> None:
    near, far = rectangle(-40, -40, 40, 40), rectangle(-80, -80, 80, 80)
    vertices = np.concatenate([near.mesh.vertices - [0, 0, 50], far.mesh.vertices])
    faces = np.concatenate([near.mesh.faces, far.mesh.faces + 4])
    colors = np.repeat([[255, 0, 0], [0, 0, 255]], 4, axis=0)
    for order in (slice(None), slice(None, None, -1)):
        model = model_of(vertices, faces[order], colors)
        batch = render(model, unframed(model, **AMBIENT))
        assert batch.depth[0, 32, 32] == pytest.approx(206)
        np.testing.assert_array_equal(batch.rgb[0, 32, 32], [255, 0, 0])
        assert batch.depth[0, 32, 14] == pytest.approx(256)
        np.testing.assert_array_equal(batch.rgb[0, 32, 14], [0, 0, 255])


def test_a_red_object_is_red() -> None:
    model = rectangle(-40, -40, 40, 40, colors=(200, 30, 10))
    batch = render(model, view(model, **AMBIENT))
    np.testing.assert_array_equal(np.unique(batch.rgb[batch.mask], axis=0), [[200, 30, 10]])


def test_colors_are_interpolated_in_space_not_in_the_image() -> None:
    colors = [(0, 0, 0), (250, 0, 0), (250, 200, 0), (0, 200, 0)]
    model = rectangle(-100, -100, 100, 100, colors=colors)
    rotation = rotation_about([0.2, 1, 0], np.radians(60))
    batch = render(model, view(model, rotation, 256, **AMBIENT))
    pixel = (np.arange(64) + 0.5 - 32) / 64
    across, down = np.meshgrid(pixel, pixel)
    points = np.stack([across, down, np.ones_like(across)], -1) * batch.depth[0][..., None]
    where = (points - [0, 0, 256]) @ rotation
    mask = batch.mask[0]
    red, green = (where[mask][:, 0] + 100) / 200 * 250, (where[mask][:, 1] + 100) / 200 * 200
    assert mask.sum() > 500
    assert np.abs(batch.rgb[0][mask][:, 0] - red).max() <= 0.51
    assert np.abs(batch.rgb[0][mask][:, 1] - green).max() <= 0.51


@pytest.mark.parametrize(
    ("direction", "brighter", "darker"),
    [
        ((-1, 0, -1), (32, 22), (32, 42)),
        ((1, 0, -1), (32, 42), (32, 22)),
        ((0, -1, -1), (22, 32), (42, 32)),
        ((0, 1, -1), (42, 32), (22, 32)),
    ],
)
def test_light_brightens_the_side_it_comes_from(
    direction: tuple[int, int, int], brighter: tuple[int, int], darker: tuple[int, int]
) -> None:
    model = dataclasses.replace(ball(80))
    model.mesh.colors[:] = 200
    # However the object is turned: lights are the camera's, not the object's.
    for rotation in uniform_rotation(np.random.default_rng(1).random((5, 3))):
        plans = view(model, rotation, light_direction=direction, light_color=0.8, ambient_color=0.2)
        image = render(model, plans).rgb[0].astype(int)
        assert image[brighter].min() > image[darker].max() + 40


def test_brightness_is_ambient_plus_light_times_cosine() -> None:
    model = rectangle(-60, -60, 60, 60, colors=(100, 100, 100))
    for degrees in (0, 30, 60, 80):
        direction = (np.sin(np.radians(degrees)), 0, -np.cos(np.radians(degrees)))
        plans = view(
            model, light_direction=direction,
            light_color=(0.5, 0.25, 1.0), ambient_color=(0.1, 0.2, 0.0),
        )  # fmt: skip
        cosine = np.cos(np.radians(degrees))
        expected = 100 * np.array([0.1 + 0.5 * cosine, 0.2 + 0.25 * cosine, cosine])
        np.testing.assert_allclose(render(model, plans).rgb[0, 32, 32], expected, atol=0.51)


def test_too_much_light_is_white_not_black() -> None:
    model = rectangle(-60, -60, 60, 60, colors=(200, 200, 200))
    batch = render(model, view(model, light_color=3.0, ambient_color=1.0))
    assert (batch.rgb[batch.mask] == 255).all()


def textured(texture: NDArray[np.uint8], repeats: float = 1.0) -> CadModel:
    # In the image, top-left is the rectangle's first corner: texture (0, 1).
    coordinates = repeats * np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    return rectangle(-64, -64, 64, 64, texture=texture, texture_coordinates=coordinates)


def test_texture_stands_upright() -> None:
    red, green, blue, white = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    texture = np.array([[red, green], [blue, white]], np.uint8)
    model = textured(texture.repeat(8, axis=0).repeat(8, axis=1))
    image = render(model, view(model, **AMBIENT)).rgb[0]
    for (row, column), color in {
        (20, 20): red, (20, 44): green, (44, 20): blue, (44, 44): white,
    }.items():  # fmt: skip
        np.testing.assert_array_equal(image[row, column], color)


def test_texture_is_bilinear_between_texel_centres() -> None:
    texture = np.zeros((1, 4, 3), np.uint8)
    texture[0, :, 0] = [0, 80, 160, 240]
    model = textured(texture)
    row = render(model, view(model, **AMBIENT)).rgb[0, 32, 16:48, 0]
    # 32 pixels over 4 texels: texel centres at 4, 12, 20, 28 pixels, 10 levels a pixel between.
    np.testing.assert_allclose(row[4:28], (np.arange(24) + 0.5) * 10, atol=0.51)


def test_texture_repeats() -> None:
    texture = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    model = textured(texture, repeats=2)
    image = render(model, view(model, **AMBIENT)).rgb[0, 16:48, 16:48]
    np.testing.assert_array_equal(image[:16, :16], image[16:, 16:])
    np.testing.assert_array_equal(image[:16, :16], image[:16, 16:])
    assert image.std() > 20


def test_faces_from_behind_are_seen_and_lit_from_the_cameras_side() -> None:
    model = rectangle(-60, -60, 60, 60, colors=(100, 100, 100))
    front = render(model, view(model, light_color=0.5, ambient_color=0.1))
    turned = rotation_about([0, 1, 0], np.pi)
    back = render(model, view(model, turned, light_color=0.5, ambient_color=0.1))
    assert front.mask.sum() == back.mask.sum() == 900
    np.testing.assert_array_equal(front.rgb[0, 32, 32], [60, 60, 60])
    np.testing.assert_array_equal(back.rgb[0, 32, 32], [60, 60, 60])


def test_inconsistent_winding_changes_nothing() -> None:
    tidy = ball(70)
    faces = tidy.mesh.faces.copy()
    flipped = np.random.default_rng(0).random(len(faces)) < 0.5
    faces[flipped] = faces[flipped][:, ::-1]
    untidy = dataclasses.replace(tidy, mesh=dataclasses.replace(tidy.mesh, faces=faces))
    plans = view(tidy, uniform_rotation([0.2, 0.5, 0.7]))
    first, second = render(tidy, plans), render(untidy, plans)
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_allclose(first.depth, second.depth, atol=1e-3)
    assert np.abs(first.rgb.astype(int) - second.rgb).max() <= 1


def test_a_ball_turned_inside_out_looks_the_same() -> None:
    tidy = ball(70)
    mesh = dataclasses.replace(tidy.mesh, faces=tidy.mesh.faces[:, ::-1].copy())
    inside_out = dataclasses.replace(tidy, mesh=mesh)
    plans = view(tidy)
    first, second = render(tidy, plans), render(inside_out, plans)
    np.testing.assert_allclose(first.depth, second.depth, atol=1e-3)
    assert np.abs(first.rgb.astype(int) - second.rgb).max() <= 1


def test_open_vessels_show_their_inside() -> None:
    tidy = ball(70, subdivisions=3)
    above = tidy.mesh.vertices[tidy.mesh.faces].mean(axis=1)[:, 2] < 0
    bowl = dataclasses.replace(
        tidy, mesh=dataclasses.replace(tidy.mesh, faces=tidy.mesh.faces[above])
    )
    into = rotation_about([1, 0, 0], np.pi)
    plans = dataclasses.replace(view(bowl, into), translation=np.array([[0.0, 0, 256]]))
    assert render(bowl, plans).depth[0, 32, 32] == pytest.approx(256 + 70, abs=0.5)


def test_antialiasing_leaves_depth_and_masks_alone_and_mixes_in_no_background() -> None:
    model = lopsided()
    ambient = Randomization(light_intensity=(0, 0), light_tint=0)
    plans = make_plans(PlanConfig(), [model], 0, 0, 8, ambient)
    plain, smooth = render(model, plans), render(model, plans, antialias=True)
    np.testing.assert_array_equal(plain.depth, smooth.depth)
    np.testing.assert_array_equal(plain.mask, smooth.mask)
    np.testing.assert_array_equal(plain.rgb, smooth.rgb)


def test_antialiasing_mixes_the_surfaces_that_share_a_pixel() -> None:
    near, far = rectangle(-40, -40, 1.6, 40), rectangle(-80, -80, 80, 80)
    # The near one, red, 6 mm in front, ends 0.4 of a pixel into column 32.
    scale = 250 / 256
    vertices = np.concatenate([near.mesh.vertices * scale - [0, 0, 6], far.mesh.vertices])
    faces = np.concatenate([near.mesh.faces, far.mesh.faces + 4])
    model = model_of(vertices, faces, np.repeat([[200, 0, 0], [0, 0, 200]], 4, axis=0))
    plans = unframed(model, **AMBIENT)
    plain, smooth = render(model, plans), render(model, plans, antialias=True)
    np.testing.assert_array_equal(plain.rgb[0, 32, 31:34, 0], [200, 0, 0])
    np.testing.assert_array_equal(smooth.rgb[0, 32, 31:34, 0], [200, 100, 0])
    np.testing.assert_array_equal(smooth.rgb[0, 32, 31:34, 2], [0, 100, 200])


MODELS = [lopsided(), ball(50, (5, 5, 5), 3), rectangle(-30, -60, 80, 90)]
PLANS = make_plans(PlanConfig(viewpoints="so3"), MODELS, 3, 0, 70)


@given(cuts=st.lists(st.integers(0, 70), max_size=5), threads=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_a_crop_depends_on_its_plan_alone(cuts: list[int], threads: int) -> None:
    whole = RasterRenderer(MODELS).render(PLANS)
    renderer = RasterRenderer(MODELS, threads=threads)
    edges = [0, *sorted(cuts), 70]
    parts = [renderer.render(PLANS[a:b]) for a, b in itertools.pairwise(edges)]
    for name in ("rgb", "depth", "mask", "mask_visib"):
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(together, getattr(whole, name))


def test_order_of_crops_does_not_matter() -> None:
    renderer = RasterRenderer(MODELS)
    whole = renderer.render(PLANS)
    shuffle = np.random.default_rng(0).permutation(70)
    np.testing.assert_array_equal(renderer.render(PLANS[shuffle]).rgb, whole.rgb[shuffle])


def test_other_models_of_the_run_do_not_matter() -> None:
    alone = RasterRenderer(MODELS[1:2]).render(view(MODELS[1]))
    among = dataclasses.replace(view(MODELS[1]), object_index=np.array([1], np.int32))
    together = RasterRenderer(MODELS).render(among)
    np.testing.assert_array_equal(alone.rgb, together.rgb)
    np.testing.assert_array_equal(alone.depth, together.depth)


def test_no_crops_are_an_empty_batch() -> None:
    assert RasterRenderer(MODELS).render(PLANS[:0]).rgb.shape == (0, 64, 64, 3)


@pytest.mark.parametrize("z", [55.0, 0.0, -300.0])
def test_objects_at_the_camera_or_behind_it_are_refused_by_name(z: float) -> None:
    plans = dataclasses.replace(PLANS[:3], translation=PLANS.translation[:3].copy())
    plans.translation[1, 2] = z
    with pytest.raises(RenderError, match=r"^crop 1: ball reaches to .* mm.*farther away"):
        RasterRenderer(MODELS).render(plans)


def test_plans_for_other_models_are_refused() -> None:
    with pytest.raises(RenderError, match="crop 2 asks for model 2, but there are 2"):
        RasterRenderer(MODELS[:2]).render(PLANS)


@pytest.mark.parametrize("name", ["rotation", "translation", "camera_matrix", "light_color"])
def test_values_that_are_not_finite_are_refused(name: str) -> None:
    broken = getattr(PLANS, name)[:5].copy()
    broken[4].flat[1] = np.nan
    with pytest.raises(RenderError, match=f"crop 4 has a {name} that is not finite"):
        RasterRenderer(MODELS).render(dataclasses.replace(PLANS[:5], **{name: broken}))


def test_meshes_that_do_not_fit_together_are_refused() -> None:
    good = MODELS[0]
    for wrong in (
        {"faces": good.mesh.faces + 1},
        {"faces": good.mesh.faces[:0]},
        {"normals": good.mesh.normals[1:]},
    ):
        mesh = dataclasses.replace(good.mesh, **wrong)
        with pytest.raises(RenderError, match="mesh of lopsided"):
            RasterRenderer([dataclasses.replace(good, mesh=mesh)])


def test_nothing_to_render_with_is_refused() -> None:
    with pytest.raises(RenderError, match="at least 1"):
        RasterRenderer(MODELS, threads=0)
    with pytest.raises(RenderError, match="no models"):
        RasterRenderer([])


CLUTTER = dataclasses.replace(RANDOMIZATIONS["strong"], texture_swap=0.0)


@given(seed=st.integers(0, 10**6), levels=st.booleans(), threads=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_silhouettes_are_the_masks_of_whole_renders(seed: int, levels: bool, threads: int) -> None:
    models = [lopsided(), ball(60, (5, -80, 30)), rectangle(-40, -40, 40, 40)]
    plans = make_plans(PlanConfig(size=40), models, seed, 0, 40, CLUTTER)
    renderer = RasterRenderer(models, threads=threads, levels=levels)
    np.testing.assert_array_equal(renderer.silhouettes(plans), renderer.render(plans).mask)


def test_silhouettes_of_what_is_too_near_are_refused() -> None:
    model = lopsided()
    plans = view(model)
    near = dataclasses.replace(plans, translation=np.array([[0.0, 0.0, -500.0]]))
    with pytest.raises(RenderError, match="camera's plane"):
        RasterRenderer([model]).silhouettes(near)
