"""The rasteriser on several objects, lights and surfaces, against numpy and against itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel
from renderer import (
    CropBatch,
    Instances,
    PlanConfig,
    Plans,
    RasterRenderer,
    RenderError,
    Surfaces,
    make_plans,
    plans_from_poses,
    rotation_about,
    uniform_rotation,
)
from tests.shapes import ball, lopsided, model_of, rectangle

COUNT = 12


def named(model: CadModel, name: str) -> CadModel:
    return dataclasses.replace(model, name=name)


MODELS = [lopsided(), ball(45, (5, -9, 2), 4), named(rectangle(-60, -30, 50, 70), "board")]


def crowd(count: int = COUNT, others: int = 3, **changes: Any) -> Plans:
    """Crops whose objects stand before, behind and beside each other; some places are empty."""
    generator = np.random.default_rng(7)
    plans = make_plans(PlanConfig(viewpoints="so3"), MODELS, 3, 0, count)
    index = generator.integers(-1, len(MODELS), (count, others)).astype(np.int32)
    rotation = uniform_rotation(generator.random((count, others, 3)))
    centres = np.array([model.centre for model in MODELS])[index]
    place = generator.uniform((-60, -60, 850), (60, 60, 1150), (count, others, 3))
    translation = place - np.einsum("nkij,nkj->nki", rotation, centres)
    surfaces = Surfaces.plain(count, others)
    surfaces.gain[:] = generator.uniform(0.5, 1.5, surfaces.gain.shape)
    surfaces.specular[:] = generator.uniform(0, 0.5, surfaces.specular.shape)
    return dataclasses.replace(
        plans, others=Instances(index, rotation, translation), surfaces=surfaces, **changes
    )


def alone(plans: Plans, place: int) -> Plans:
    """The crops with one of their objects as the only one, where it is there."""
    surfaces = Surfaces(**{name: value[:, [place]] for name, value in vars(plans.surfaces).items()})
    if place == 0:
        single = plans
    else:
        others = plans.others
        single = dataclasses.replace(
            plans,
            object_index=others.object_index[:, place - 1],
            rotation=others.rotation[:, place - 1],
            translation=others.translation[:, place - 1],
        )
    single = dataclasses.replace(single, others=Instances.none(len(plans)), surfaces=surfaces)
    return single[single.object_index >= 0]


@pytest.mark.parametrize("levels", [False, True])
def test_a_crowd_is_its_members_one_before_the_other(levels: bool) -> None:
    renderer = RasterRenderer(MODELS, levels=levels)
    plans = crowd()
    batch = renderer.render(plans)
    depth = np.zeros((4, COUNT, 64, 64), np.float32)
    rgb = np.zeros((4, COUNT, 64, 64, 3), np.uint8)
    for place in range(4):
        single = renderer.render(alone(plans, place))
        rows = single.plans.index
        depth[place, rows], rgb[place, rows] = single.depth, single.rgb
    front = np.where(depth > 0, depth, np.inf).argmin(axis=0)
    seen = np.take_along_axis(depth, front[None], axis=0)[0]
    np.testing.assert_array_equal(batch.depth, seen)
    np.testing.assert_array_equal(batch.object_depth, depth[0])
    np.testing.assert_array_equal(batch.mask, depth[0] > 0)
    np.testing.assert_array_equal(batch.mask_visib, (front == 0) & (seen > 0))
    np.testing.assert_array_equal(batch.others_mask, np.swapaxes(depth[1:] > 0, 0, 1))
    for place in (1, 2, 3):
        visible = (front == place) & (seen > 0)
        np.testing.assert_array_equal(batch.others_mask_visib[:, place - 1], visible)
    color = np.take_along_axis(rgb, front[None, ..., None], axis=0)[0]
    np.testing.assert_array_equal(batch.rgb, np.where(seen[..., None] > 0, color, 0))
    assert 0.1 < 1 - batch.mask_visib.sum() / batch.mask.sum() < 0.9


def test_smoothed_edges_between_objects_mix_both() -> None:
    red = rectangle(-200, -200, 2, 200, colors=(200, 0, 0))
    blue = rectangle(-200, -200, 200, 200, colors=(0, 0, 200))
    plans = with_other(seen([red, blue], 0, distance=256.0), 1, [0, 0, 300])
    batch = RasterRenderer([red, blue], antialias=True).render(plans)
    # The edge at x = 2 mm, z = 256 mm cuts the pixel from 32 to 33 in half.
    np.testing.assert_array_equal(batch.rgb[0, 32, 31:34, 0], [200, 100, 0])
    np.testing.assert_array_equal(batch.rgb[0, 32, 31:34, 2], [0, 100, 200])


def seen(
    models: list[CadModel],
    which: int = 0,
    distance: float = 256.0,
    rotation: ArrayLike | None = None,
    **options: Any,
) -> Plans:
    """One crop of 64 pixels that shows 256 mm; the model's own origin is at its middle."""
    pose = np.eye(3) if rotation is None else rotation
    lights = {"light_color": 0.0, "ambient_color": 1.0} | options
    plans = plans_from_poses(
        models, [which], [pose], distance, size=64, window=256.0, canonical=False, **lights
    )
    return dataclasses.replace(plans, translation=np.array([[0.0, 0.0, distance]]))


def with_other(plans: Plans, which: int, translation: ArrayLike) -> Plans:
    others = Instances(
        np.array([[which]], np.int32), np.eye(3)[None, None], np.array([[translation]], float)
    )
    return dataclasses.replace(plans, others=others, surfaces=Surfaces.plain(1, 1))


def test_of_two_at_one_depth_the_target_is_seen() -> None:
    red = rectangle(-40, -40, 40, 40, colors=(200, 0, 0))
    blue = rectangle(-80, -80, 80, 80, colors=(0, 0, 200))
    for target, other in ((0, 1), (1, 0)):
        plans = with_other(seen([red, blue], target), other, [0, 0, 256])
        batch = RasterRenderer([red, blue]).render(plans)
        np.testing.assert_array_equal(batch.mask_visib, batch.mask)
        np.testing.assert_array_equal(
            batch.others_mask_visib[:, 0], batch.others_mask[:, 0] & ~batch.mask
        )


@pytest.mark.parametrize("z", [9.0, -500.0])
def test_others_at_the_camera_or_behind_it_are_refused_by_name(z: float) -> None:
    models = [MODELS[1], MODELS[2]]
    with pytest.raises(RenderError, match=r"^crop 0: board reaches to .* mm.*farther away"):
        RasterRenderer(models).render(with_other(seen(models), 1, [0, 0, z]))


def test_others_and_textures_that_are_not_there_are_refused() -> None:
    with pytest.raises(RenderError, match="crop 0 asks for model 3, but there are 3"):
        RasterRenderer(MODELS).render(with_other(seen(MODELS), 3, [0, 0, 300]))
    plans = seen(MODELS)
    plans.surfaces.texture[:] = 0
    with pytest.raises(RenderError, match="crop 0 asks for texture 0, but there are 0"):
        RasterRenderer(MODELS).render(plans)


def test_plans_whose_parts_do_not_fit_together_are_refused() -> None:
    plans = with_other(seen(MODELS), 1, [0, 0, 300])
    with pytest.raises(RenderError, match=r"gain of the plans has the shape \(1, 1, 3\)"):
        RasterRenderer(MODELS).render(dataclasses.replace(plans, surfaces=Surfaces.plain(1)))
    plans.surfaces.texture_period[0, 1] = 0
    with pytest.raises(RenderError, match="crop 0 has a texture_period that is not above 0"):
        RasterRenderer(MODELS).render(plans)


@pytest.mark.parametrize(("width", "height"), [(0, 64), (64, 0), (-3, 5), (20000, 4)])
def test_sizes_that_cannot_be_drawn_are_refused(width: int, height: int) -> None:
    plans = dataclasses.replace(seen(MODELS), width=width, height=height)
    with pytest.raises(RenderError, match=f"{width} x {height} pixels cannot be drawn"):
        RasterRenderer(MODELS).render(plans)


@pytest.mark.parametrize(("width", "height"), [(64, 40), (30, 64), (1, 1), (17, 5)])
def test_a_smaller_frame_is_a_part_of_a_larger_one(width: int, height: int) -> None:
    renderer = RasterRenderer(MODELS)
    whole = renderer.render(crowd(), surface_maps=True)
    part = renderer.render(crowd(width=width, height=height), surface_maps=True)
    for name in ("rgb", "depth", "object_depth", "mask", "mask_visib", "normals"):
        np.testing.assert_array_equal(
            getattr(part, name), getattr(whole, name)[:, :height, :width], err_msg=name
        )
    np.testing.assert_array_equal(part.others_mask, whole.others_mask[..., :height, :width])


def normal_and_points(batch: CropBatch) -> tuple[NDArray[Any], NDArray[Any]]:
    """The one normal of a flat target, camera frame, and (H, W, 3) what its pixels show (at
    z = 1 where they do not show it)."""
    plans = batch.plans
    rows, columns = np.mgrid[: plans.height, : plans.width] + 0.5
    image = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    depth = np.where(batch.mask[0], batch.object_depth[0], 1)
    points = image @ np.linalg.inv(plans.camera_matrix[0]).T * depth[..., None]
    return -plans.rotation[0, :, 2], points


@pytest.mark.parametrize("shininess", [1.0, 8.0, 60.0])
def test_brightness_is_what_surfaces_says(shininess: float) -> None:
    model = rectangle(-90, -90, 90, 90, colors=(120, 90, 60))
    directions = np.array([[0.3, -0.2, -1], [-0.8, 0.1, -0.5], [0.1, 0.4, -0.9], [0, 0.6, 0.8]])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lights = np.array([[0.4, 0.3, 0.2], [0.1, 0.2, 0.3], [0.2, 0.2, 0.2], [1.0, 1.0, 1.0]])
    plans = seen(
        [model], rotation=rotation_about([1, 0.4, 0], 0.5), light_direction=directions[None],
        light_color=lights[None], ambient_color=(0.3, 0.2, 0.1),
    )  # fmt: skip
    plans.surfaces.gain[:] = [1.2, 0.8, 1.0]
    plans.surfaces.specular[:] = 0.7
    plans.surfaces.shininess[:] = shininess
    batch = RasterRenderer([model]).render(plans)
    normal, points = normal_and_points(batch)
    view = -points / np.linalg.norm(points, axis=-1, keepdims=True)
    brightness = np.zeros((64, 64, 3)) + plans.ambient_color[0]
    highlight = np.zeros((64, 64, 3))
    # The last light comes from behind the surface and must not shine through it.
    assert directions[3] @ normal < 0
    for direction, light in zip(directions[:3], lights[:3], strict=True):
        brightness += light * (direction @ normal)
        half = direction + view
        half /= np.linalg.norm(half, axis=-1, keepdims=True)
        highlight += light * (half @ normal)[..., None] ** shininess
    expected = np.array([120, 90, 60]) * [1.2, 0.8, 1.0] * brightness + 255 * 0.7 * highlight
    mask = batch.mask[0]
    assert mask.sum() > 1000
    np.testing.assert_allclose(batch.rgb[0][mask], np.minimum(expected, 255)[mask], atol=0.6)


def test_no_light_at_all_is_the_ambient_one() -> None:
    model = rectangle(-60, -60, 60, 60, colors=(100, 200, 50))
    plans = seen(
        [model], light_direction=np.empty((1, 0, 3)), light_color=np.empty((1, 0, 3)),
        ambient_color=0.5,
    )  # fmt: skip
    batch = RasterRenderer([model]).render(plans)
    np.testing.assert_array_equal(batch.rgb[0, 32, 32], [50, 100, 25])


QUARTERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
"""Red, green; blue, yellow."""


def block() -> CadModel:
    """A cube of 120 mm with flat normals, every corner once for each side."""
    corners, faces = [], []
    for axis in range(3):
        for side in (-60.0, 60.0):
            first = len(corners)
            for a, b in ((-60, -60), (60, -60), (60, 60), (-60, 60)):
                corner = np.roll([side, a, b], axis)
                corners.append(corner)
            turn = [(0, 1, 2), (0, 2, 3)] if side > 0 else [(0, 2, 1), (0, 3, 2)]
            faces += [[first + corner for corner in face] for face in turn]
    return model_of(corners, faces, name="block")


@pytest.mark.parametrize(
    ("towards", "down", "across_axis", "up_axis"),
    [((0, 0, 1), (0, -1, 0), 0, 1), ((1, 0, 0), (0, 0, -1), 1, 2), ((0, -1, 0), (0, 0, -1), 0, 2)],
)
def test_swapped_in_textures_lie_along_the_models_axes(
    towards: tuple[int, int, int], down: tuple[int, int, int], across_axis: int, up_axis: int
) -> None:
    # The camera looks at the side of `towards`; image rows go along `down`.
    z, y = -np.array(towards), np.array(down)
    rotation = np.stack([np.cross(y, z), y, z]).astype(float)
    model, texture = block(), QUARTERS.repeat(16, axis=0).repeat(16, axis=1)
    plans = seen([model], rotation=rotation)
    plans.surfaces.texture[:] = 0
    plans.surfaces.texture_period[:] = 120.0
    batch = RasterRenderer([model], textures=[texture]).render(plans)
    _, points = normal_and_points(batch)
    where = (points - plans.translation[0]) @ rotation / 120
    across, up = where[..., across_axis] % 1, where[..., up_axis] % 1
    # Away from the picture's middle lines and seams, where texels are mixed.
    clear = batch.mask[0] & (np.abs(across % 0.5 - 0.25) < 0.2) & (np.abs(up % 0.5 - 0.25) < 0.2)
    expected = QUARTERS[np.where(up > 0.5, 0, 1), np.where(across > 0.5, 1, 0)]
    assert clear.sum() > 300
    np.testing.assert_array_equal(batch.rgb[0][clear], expected[clear])


def test_a_texture_too_fine_for_the_pixels_is_averaged() -> None:
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    model = rectangle(-100, -100, 100, 100)
    plans = seen([model])
    plans.surfaces.texture[:] = 1
    plans.surfaces.texture_period[:] = 4.0
    batch = RasterRenderer([model], textures=[QUARTERS, stripes]).render(plans)
    np.testing.assert_array_equal(np.unique(batch.rgb[batch.mask]), [100])


def test_a_textures_height_follows_its_shape() -> None:
    rows = np.zeros((20, 40, 3), np.uint8)
    rows[:10] = 240
    model = rectangle(-100, -100, 100, 100)
    plans = seen([model])
    plans.surfaces.texture[:] = 0
    plans.surfaces.texture_period[:] = 128.0
    image = RasterRenderer([model], textures=[rows]).render(plans).rgb[0, 7:57, 32, 0]
    # Twice as wide as high: 64 mm, that is 16 pixels, from one top to the next.
    np.testing.assert_array_equal(image[:34], image[16:])
    assert (image == 240).sum() == pytest.approx(25, abs=4)


@pytest.mark.parametrize(
    "texture",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_textures_that_are_no_pictures_are_refused(texture: NDArray[Any]) -> None:
    with pytest.raises(RenderError, match=r"texture 1 is .* give 8-bit RGB"):
        RasterRenderer(MODELS, textures=[QUARTERS, texture])


def test_normals_and_object_coordinates_of_a_ball_are_analytic() -> None:
    model = ball(60, (200, -50, 10), subdivisions=5)
    plans = plans_from_poses(
        [model], [0], [uniform_rotation([0.3, 0.6, 0.1])], 700, size=64, window=200.0
    )
    batch = RasterRenderer([model], levels=False).render(plans, surface_maps=True)
    assert batch.normals is not None
    assert batch.object_coordinates is not None
    _, points = normal_and_points(batch)
    mask = batch.mask[0]
    normals = (points - [0, 0, 700]) / 60
    assert mask.sum() > 1000
    np.testing.assert_allclose(batch.normals[0][mask], normals[mask], atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(batch.normals[0][mask], axis=1), 1, atol=1e-5)
    where = (points - plans.translation[0]) @ plans.rotation[0]
    least, greatest = model.bounds
    np.testing.assert_allclose(
        batch.object_coordinates[0][mask], ((where - least) / (greatest - least))[mask], atol=1e-4
    )
    assert not batch.normals[0][~mask].any()
    assert not batch.object_coordinates[0][~mask].any()


def test_surface_maps_are_of_what_is_seen_of_the_target() -> None:
    renderer = RasterRenderer(MODELS)
    plans = crowd()
    batch, single = (
        renderer.render(plans, surface_maps=True),
        renderer.render(alone(plans, 0), surface_maps=True),
    )
    for name in ("normals", "object_coordinates"):
        expected = np.where(batch.mask_visib[..., None], getattr(single, name), 0)
        np.testing.assert_array_equal(getattr(batch, name), expected)
    assert renderer.render(plans).normals is None


def test_normals_of_faces_seen_from_behind_face_the_camera() -> None:
    model = rectangle(-60, -60, 60, 60)
    for turn in (0.3, np.pi + 0.3):
        plans = seen([model], rotation=rotation_about([0, 1, 0], turn))
        batch = RasterRenderer([model]).render(plans, surface_maps=True)
        assert batch.normals is not None
        np.testing.assert_allclose(
            batch.normals[0, 32, 32], [-np.sin(0.3), 0, -np.cos(0.3)], atol=1e-3
        )


def test_the_result_does_not_depend_on_threads_or_batches() -> None:
    plans = crowd(40)
    whole = RasterRenderer(MODELS, antialias=True).render(plans, surface_maps=True)
    renderer = RasterRenderer(MODELS, antialias=True, threads=3)
    parts = [renderer.render(plans[rows], surface_maps=True) for rows in (slice(23), slice(23, 40))]
    for field in dataclasses.fields(CropBatch)[1:]:
        if getattr(whole, field.name) is None:
            assert all(getattr(part, field.name) is None for part in parts)
            continue
        together = np.concatenate([getattr(part, field.name) for part in parts])
        np.testing.assert_array_equal(together, getattr(whole, field.name), err_msg=field.name)


def test_degenerate_faces_are_not_seen() -> None:
    tidy = rectangle(-40, -40, 40, 40)
    # Two points, one point, three points on a line, the line through pixel centres.
    vertices = np.concatenate([tidy.mesh.vertices, [(-90, 2, 0), (0, 2, 0), (90, 2, 0)]])
    faces = np.concatenate([tidy.mesh.faces, [(0, 0, 2), (1, 1, 1), (4, 5, 6), (6, 5, 4)]])
    normals = np.tile([0, 0, -1], (7, 1))
    untidy = model_of(vertices, faces, normals=normals)
    first, second = (
        RasterRenderer([model]).render(seen([model], light_color=0.5)) for model in (tidy, untidy)
    )
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth, second.depth)


def test_a_mesh_with_three_faces_on_one_edge_is_drawn() -> None:
    # A cross of two boards: no inside and no outside.
    first, second = rectangle(-60, -60, 60, 60), rectangle(-60, -60, 60, 60)
    turned = second.mesh.vertices @ rotation_about([0, 1, 0], np.pi / 2).T
    model = model_of(
        np.concatenate([first.mesh.vertices, turned]),
        np.concatenate([first.mesh.faces, second.mesh.faces + 4]),
    )
    for angle in (0.5, 2.5):
        batch = RasterRenderer([model]).render(
            seen([model], distance=800, rotation=rotation_about([0, 1, 0], angle))
        )
        assert batch.depth[0, 32, 31] < 800
        assert batch.mask.sum() > 700


def test_vertices_that_are_not_finite_are_refused_by_name() -> None:
    model = lopsided()
    model.mesh.vertices[3, 1] = np.nan
    with pytest.raises(RenderError, match="mesh of lopsided has vertices or normals"):
        RasterRenderer([model])


@pytest.mark.slow
def test_two_million_faces_are_drawn() -> None:
    # Waves on a grid of 1000 x 1000 squares.
    side = np.linspace(-80, 80, 1001)
    x, y = np.meshgrid(side, side)
    vertices = np.column_stack([x.ravel(), y.ravel(), (3 * np.sin(x / 9) * np.cos(y / 7)).ravel()])
    corner = (np.arange(1000)[:, None] * 1001 + np.arange(1000)).ravel()
    faces = np.concatenate(
        [
            np.column_stack([corner, corner + 1002, corner + 1]),
            np.column_stack([corner, corner + 1001, corner + 1002]),
        ]
    )
    mesh = dataclasses.replace(
        lopsided().mesh,
        vertices=vertices.astype(np.float32), faces=faces.astype(np.int32),
        normals=np.tile(np.float32([0, 0, -1]), (len(vertices), 1)),
        colors=np.full((len(vertices), 3), 100, np.uint8),
    )  # fmt: skip
    model = dataclasses.replace(lopsided(), name="waves", mesh=mesh)
    batch = RasterRenderer([model], levels=False).render(seen([model]))
    _, points = normal_and_points(batch)
    x, y = points[..., 0], points[..., 1]
    expected = 256 + 3 * np.sin(x / 9) * np.cos(y / 7)
    # Pixels are 4 mm: 80 mm are 20 of them, and the waves stand 3 mm out.
    assert batch.mask[0, 13:51, 13:51].all()
    inner = batch.mask[0] & (np.abs(x) < 79) & (np.abs(y) < 79)
    np.testing.assert_allclose(batch.depth[0][inner], expected[inner], atol=0.01)
