"""Plans: what crop i contains."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter import draw_noise
from cad_models import Symmetries
from checked_settings import SettingError
from renderer import (
    RANDOMIZATIONS,
    FakeRenderer,
    PlanConfig,
    Plans,
    Randomization,
    RasterRenderer,
    Renderer,
    RenderError,
    Surfaces,
    angle_between,
    canonical_rotation,
    capture,
    hemisphere_viewpoints,
    in_plane,
    linemod_camera,
    load_textures,
    look_at,
    make_plans,
    plans_from_poses,
    uniform_rotation,
)
from tests.shapes import bottle, lopsided, rectangle

BOTTLE = bottle()
MODELS = [lopsided(), BOTTLE, rectangle(-10, -20, 30, 40)]
CONFIGS = [PlanConfig(), PlanConfig(viewpoints="so3", size=128, window=150)]
CUT_CONFIGS = [
    PlanConfig(centre="mean", off_axis=40.0, rectified=True),
    PlanConfig(centre="visible", picture=(640, 480), camera=linemod_camera(640, 480)),
]
PLAN, NOISE = 0, 2
"""Random streams."""
LINEMOD = RANDOMIZATIONS["linemod"]
EVERYTHING = dataclasses.replace(
    RANDOMIZATIONS["strong"], lights=(1, 4), occluders=(0, 3), neighbours=(0, 3), texture_swap=0.5
)


def assert_same(first: Any, second: Any) -> None:
    for name, value in vars(first).items():
        other = getattr(second, name)
        if dataclasses.is_dataclass(value):
            assert_same(value, other)
        elif isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other, err_msg=name)
        else:
            assert value == other


@pytest.mark.parametrize("config", [*CONFIGS, *CUT_CONFIGS])
@pytest.mark.parametrize("randomization", [LINEMOD, EVERYTHING], ids=["linemod", "everything"])
@given(seed=st.integers(0, 2**63), cuts=st.lists(st.integers(0, 30), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None)
def test_a_plan_depends_on_seed_and_number_alone(
    config: PlanConfig, randomization: Randomization, seed: int, cuts: list[int]
) -> None:
    def plan(start: int, stop: int) -> Plans:
        return make_plans(config, MODELS, seed, start, stop, randomization, textures=5)

    whole = plan(0, 30)
    edges = [0, *sorted(cuts), 30]
    for start, stop in itertools.pairwise(edges):
        assert_same(whole[start:stop], plan(start, stop))


def test_linemod_plans_are_stream_0_and_the_formulas_that_adapters_were_trained_on() -> None:
    plans = make_plans(PlanConfig(), MODELS, 5, 40, 60)
    viewpoints = hemisphere_viewpoints(4)
    for row, number in enumerate(range(40, 60)):
        u = np.random.default_rng([5, number, PLAN]).random(14)
        turned = in_plane(np.radians(45.0) * (2 * u[1] - 1)) @ look_at(viewpoints[int(u[0] * 1241)])
        expected = canonical_rotation(turned, MODELS[number % 3].symmetries)
        np.testing.assert_array_equal(plans.rotation[row], expected)
        assert plans.centre_depth[row] == 650.0 + 450.0 * u[3]
        towards = 1 - u[4] * (1 - np.cos(np.radians(75.0)))
        assert plans.light_direction[row, 0, 2] == pytest.approx(-towards, abs=1e-7)
        tint = 1 + 0.1 * (2 * u[8:14] - 1)
        np.testing.assert_array_equal(
            plans.light_color[row], ((0.4 + 0.5 * u[6]) * tint[None, :3]).astype(np.float32)
        )
        np.testing.assert_array_equal(
            plans.ambient_color[row], ((0.3 + 0.3 * u[7]) * tint[3:]).astype(np.float32)
        )
    assert_same(plans.surfaces, Surfaces.plain(20))
    assert plans.others.object_index.shape == (20, 0)


def test_seeds_and_numbers_differ() -> None:
    plans = make_plans(PlanConfig(viewpoints="so3"), [lopsided()], 0, 0, 200)
    others = make_plans(PlanConfig(viewpoints="so3"), [lopsided()], 1, 0, 200)
    everything = np.concatenate([plans.rotation, others.rotation]).reshape(400, 9)
    assert len(np.unique(everything.round(6), axis=0)) == 400


def test_draws_come_from_the_documented_stream() -> None:
    config = PlanConfig(viewpoints="so3", distance=(600, 1000))
    plans = make_plans(config, [lopsided()], 7, 3, 4)
    draws = np.random.default_rng([7, 3, PLAN]).random(4)
    np.testing.assert_array_equal(plans.rotation[0], uniform_rotation(draws[:3]))
    assert plans.centre_depth[0] == 600 + 400 * draws[3]


def test_objects_take_turns() -> None:
    plans = make_plans(PlanConfig(), MODELS, 0, 100, 160)
    np.testing.assert_array_equal(plans.object_index, np.arange(100, 160) % 3)
    np.testing.assert_array_equal(plans.index, np.arange(100, 160))


@pytest.mark.parametrize("config", CONFIGS)
def test_bounding_box_centre_projects_to_the_middle_of_the_crop(config: PlanConfig) -> None:
    plans = make_plans(config, MODELS, 0, 0, 300)
    for row in range(300):
        centre = MODELS[plans.object_index[row]].centre
        camera = plans.rotation[row] @ centre + plans.translation[row]
        pixel = plans.camera_matrix[row] @ camera
        np.testing.assert_allclose(pixel[:2] / pixel[2], config.size / 2, atol=1e-9)
        assert camera[2] == pytest.approx(plans.centre_depth[row], abs=1e-9)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_window_fills_the_crop_at_the_objects_depth(config: PlanConfig) -> None:
    plans = make_plans(config, MODELS, 0, 0, 10)
    half = config.window / 2
    for row in range(10):
        corner = plans.camera_matrix[row] @ [-half, half, plans.centre_depth[row]]
        np.testing.assert_allclose(corner[:2] / corner[2], [0, config.size], atol=1e-9)


def test_draws_stay_within_their_settings_and_use_them() -> None:
    config = PlanConfig()
    plans = make_plans(config, [lopsided()], 0, 0, 2000)
    low, high = config.distance
    assert low <= plans.centre_depth.min() < low + 5
    assert high - 5 < plans.centre_depth.max() <= high
    np.testing.assert_allclose(np.linalg.norm(plans.light_direction, axis=2), 1, atol=1e-6)
    limit = np.cos(np.radians(LINEMOD.light_angle))
    assert limit - 1e-6 <= -plans.light_direction[..., 2].max() < limit + 0.01
    for values, limits in (
        (plans.light_color, LINEMOD.light_intensity),
        (plans.ambient_color, LINEMOD.ambient_intensity),
    ):
        assert values.min() >= limits[0] * (1 - LINEMOD.light_tint) - 1e-6
        assert values.max() <= limits[1] * (1 + LINEMOD.light_tint) + 1e-6
        assert values.mean() == pytest.approx(np.mean(limits), abs=0.02)


@pytest.mark.parametrize("off_axis", [None, 20.0])
@pytest.mark.parametrize("rectified", [False, True])
def test_lights_from_above_are_about_the_boards_upright(
    off_axis: float | None, rectified: bool
) -> None:
    config = PlanConfig(off_axis=off_axis, rectified=rectified)
    changes = dataclasses.replace(LINEMOD, lights=(2, 3), light_angle=40.0)
    above = dataclasses.replace(changes, light_from="above")
    plans = make_plans(config, [lopsided()], 3, 0, 1000, above)
    on_board = plans.light_direction @ plans.rotation
    np.testing.assert_allclose(np.linalg.norm(on_board, axis=2), 1, atol=1e-6)
    limit = np.cos(np.radians(40.0))
    assert limit - 1e-6 <= on_board[..., 2].min() < limit + 0.01
    # Evenly over the cap, and to all sides.
    assert on_board[..., 2].mean() == pytest.approx((1 + limit) / 2, abs=0.01)
    np.testing.assert_allclose(on_board[..., :2].mean(axis=(0, 1)), 0, atol=0.03)
    # Nothing else is drawn otherwise.
    without = make_plans(config, [lopsided()], 3, 0, 1000, changes)
    for name, value in vars(without).items():
        if isinstance(value, np.ndarray) and name != "light_direction":
            np.testing.assert_array_equal(getattr(plans, name), value)
    beside_camera = np.arccos(np.clip(-without.light_direction[..., 2], -1, 1))
    beside_upright = np.arccos(np.clip(on_board[..., 2], -1, 1))
    if off_axis is None:
        np.testing.assert_allclose(beside_upright, beside_camera, atol=1e-3)


def test_several_lights_share_the_intensity() -> None:
    several = dataclasses.replace(LINEMOD, lights=(2, 4), light_tint=0.0)
    plans = make_plans(PlanConfig(), [lopsided()], 0, 0, 1000, several)
    one = make_plans(PlanConfig(), [lopsided()], 0, 0, 1000)
    assert plans.light_direction.shape == plans.light_color.shape == (1000, 4, 3)
    np.testing.assert_allclose(np.linalg.norm(plans.light_direction, axis=2), 1, atol=1e-6)
    np.testing.assert_array_equal(plans.light_direction[:, :1], one.light_direction)
    limit = np.cos(np.radians(several.light_angle))
    assert -plans.light_direction[..., 2].max() >= limit - 1e-6
    number = (plans.light_color > 0).all(axis=2).sum(axis=1)
    assert (np.bincount(number)[2:] > 280).all()
    assert set(number) == {2, 3, 4}
    total = plans.light_color.sum(axis=1)
    u = np.array([np.random.default_rng([0, i, PLAN]).random(7)[6] for i in range(1000)])
    np.testing.assert_allclose(total, np.tile(0.4 + 0.5 * u[:, None], 3), atol=1e-6)


def test_surfaces_stay_within_their_settings_and_use_them() -> None:
    plans = make_plans(PlanConfig(), MODELS, 0, 0, 1000, EVERYTHING, textures=7)
    surfaces = plans.surfaces
    assert surfaces.gain.shape == (1000, 7, 3)
    jitter = EVERYTHING.color_jitter
    assert surfaces.gain.min() == pytest.approx(1 - jitter, abs=0.001)
    assert surfaces.gain.max() == pytest.approx(1 + jitter, abs=0.001)
    for values, limits in (
        (surfaces.specular, EVERYTHING.specular),
        (surfaces.shininess, EVERYTHING.shininess),
        (surfaces.texture_period, EVERYTHING.texture_period),
    ):
        assert values.min() == pytest.approx(limits[0], abs=0.01 * limits[1])
        assert values.max() == pytest.approx(limits[1], rel=0.01)
    swapped = surfaces.texture[surfaces.texture >= 0]
    assert len(swapped) / surfaces.texture.size == pytest.approx(0.5, abs=0.02)
    assert set(swapped) == set(range(7))
    for values in (surfaces.gain[..., 0], surfaces.specular, surfaces.shininess):
        correlation = np.corrcoef(values[:, 0], values[:, 1])[0, 1]
        assert abs(correlation) < 0.1, "each object has its own"


AXES: dict[str, dict[str, Any]] = {
    "lights": {"lights": (1, 3), "light_tint": 0.3},
    "color": {"color_jitter": 0.4},
    "gloss": {"specular": (0.1, 0.6)},
    "texture": {"texture_swap": 0.5},
    "occluders": {"occluders": (0, 2)},
    "neighbours": {"neighbours": (0, 2)},
    "framing": {"off_centre": 0.2, "zoom": (0.8, 1.3)},
}


@given(axes=st.sets(st.sampled_from(sorted(AXES)), min_size=2), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_no_setting_moves_the_draws_of_another(axes: set[str], seed: int) -> None:
    def plan(*names: str) -> Plans:
        changes = {key: value for name in names for key, value in AXES[name].items()}
        changed = dataclasses.replace(LINEMOD, **changes)
        # Where objects may not repeat, which is beside the target depends on what is before it.
        config = PlanConfig(repeat_objects=True)
        return make_plans(config, MODELS, seed, 0, 12, changed, textures=9)

    together, base = plan(*axes), plan()
    for name in ("rotation", "translation", "centre_depth"):
        np.testing.assert_array_equal(getattr(together, name), getattr(base, name))
    alone = {axis: plan(axis) if axis in axes else base for axis in AXES}
    np.testing.assert_array_equal(together.camera_matrix, alone["framing"].camera_matrix)
    for name in ("light_direction", "light_color", "ambient_color"):
        np.testing.assert_array_equal(getattr(together, name), getattr(alone["lights"], name))
    for name, axis in (
        ("gain", "color"), ("specular", "gloss"), ("shininess", "gloss"), ("texture", "texture"),
        ("texture_period", "texture"),
    ):  # fmt: skip
        target = getattr(together.surfaces, name)[:, 0]
        np.testing.assert_array_equal(target, getattr(alone[axis].surfaces, name)[:, 0])
    for row in range(12):
        shown = together.others.object_index[row]
        expected = [
            which
            for axis in ("occluders", "neighbours")
            for which in alone[axis].others.object_index[row]
            if which >= 0
        ]
        # A neighbour may find no room beside an occluder; none is exchanged for another.
        found = [which for which in shown if which >= 0]
        assert found == expected or len(found) < len(expected)
        occluders = int((alone["occluders"].others.object_index[row] >= 0).sum())
        for name in ("object_index", "rotation", "translation"):
            np.testing.assert_array_equal(
                getattr(together.others, name)[row, :occluders],
                getattr(alone["occluders"].others, name)[row, :occluders],
            )


def test_surfaces_of_an_object_do_not_depend_on_how_many_others_there_are() -> None:
    jitter = dataclasses.replace(LINEMOD, color_jitter=0.4, neighbours=(2, 2))
    few = make_plans(PlanConfig(), MODELS, 0, 0, 20, jitter)
    more = dataclasses.replace(jitter, occluders=(1, 1))
    many = make_plans(PlanConfig(), MODELS, 0, 0, 20, more)
    for row in range(20):
        if (many.others.object_index[row] >= 0).all() and (few.others.object_index[row] >= 0).all():
            np.testing.assert_array_equal(
                many.surfaces.gain[row, [0, 2, 3]], few.surfaces.gain[row]
            )


@given(
    seed=st.integers(0, 10**6),
    off_centre=st.floats(0, 0.5),
    zoom=st.floats(0.3, 3),
    size=st.sampled_from([40, 64, 97]),
    viewpoints=st.sampled_from(["hemisphere", "so3"]),
)
@settings(max_examples=25, deadline=None)
def test_what_a_pixel_shows_projects_to_that_pixel(
    seed: int, off_centre: float, zoom: float, size: int, viewpoints: Any
) -> None:
    """Pose and K of an off-centre, zoomed crop take the model's points to where they are seen."""
    framing = dataclasses.replace(LINEMOD, off_centre=off_centre, zoom=(zoom, zoom * 1.2))
    plans = make_plans(
        PlanConfig(size=size, viewpoints=viewpoints), MODELS[:2], seed, 0, 4, framing
    )
    shown = check_pixels(FakeRenderer(MODELS[:2]), plans)
    assert shown > 0


def test_what_a_rasterised_pixel_shows_projects_to_that_pixel() -> None:
    framing = dataclasses.replace(LINEMOD, off_centre=0.3, zoom=(0.6, 1.5))
    plans = make_plans(PlanConfig(), MODELS[:2], 3, 0, 30, framing)
    assert check_pixels(RasterRenderer(MODELS[:2]), plans) > 10_000


def check_pixels(renderer: Renderer, plans: Plans) -> int:
    crops = renderer.render(plans, surface_maps=True)
    assert crops.object_coordinates is not None
    for row in range(len(plans)):
        seen = crops.mask_visib[row]
        low, high = MODELS[plans.object_index[row]].bounds
        points = low + crops.object_coordinates[row, seen].astype(float) * (high - low)
        pixels = (points @ plans.rotation[row].T + plans.translation[row]) @ (
            plans.camera_matrix[row].T
        )
        rows, columns = np.nonzero(seen)
        expected = np.stack([columns + 0.5, rows + 0.5], axis=1)
        np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], expected, atol=0.01)
    return int(crops.mask_visib.sum())


def test_framing_uses_its_range() -> None:
    framing = dataclasses.replace(LINEMOD, off_centre=0.25, zoom=(0.5, 2.0))
    plans = make_plans(PlanConfig(), [lopsided()], 0, 0, 2000, framing)
    base = make_plans(PlanConfig(), [lopsided()], 0, 0, 2000)
    zoom = base.camera_matrix[:, 0, 0] / plans.camera_matrix[:, 0, 0]
    assert (zoom.min(), zoom.max()) == (pytest.approx(0.5, abs=0.01), pytest.approx(2, abs=0.01))
    np.testing.assert_array_equal(plans.camera_matrix[:, 0, 0], plans.camera_matrix[:, 1, 1])
    moved = plans.camera_matrix[:, :2, 2] / 64 - 0.5
    assert np.abs(moved).max() == pytest.approx(0.25, abs=0.001)
    assert np.abs(np.corrcoef(moved.T)[0, 1]) < 0.1


@pytest.mark.parametrize("viewpoints", ["hemisphere", "so3"])
def test_rectified_crops_have_the_object_upright(viewpoints: Any) -> None:
    config = PlanConfig(viewpoints=viewpoints, rectified=True)
    plans = make_plans(config, [lopsided()], 0, 0, 400)
    free = make_plans(dataclasses.replace(config, rectified=False), [lopsided()], 0, 0, 400)
    # Seen from the same side: what was turned is the image.
    np.testing.assert_allclose(plans.rotation[:, 2], free.rotation[:, 2], atol=1e-12)
    ends = lopsided().centre + np.array([[0, 0, -1], [0, 0, 1]])
    for rotation, translation, matrix in zip(
        plans.rotation, plans.translation, plans.camera_matrix, strict=True
    ):
        pixels = (ends @ rotation.T + translation) @ matrix.T
        (x0, y0), (x1, y1) = pixels[:, :2] / pixels[:, 2:]
        if np.hypot(*rotation[:2, 2]) < 1e-6:
            continue  # seen along its axis, which is a point
        assert abs(x1 - x0) <= 1e-6 * abs(y1 - y0)
        assert y1 < y0


@pytest.mark.parametrize(("subdivisions", "viewpoints"), [(3, 301), (4, 1241)])
def test_enumerated_poses_are_all_there_once(subdivisions: int, viewpoints: int) -> None:
    config = PlanConfig(subdivisions=subdivisions, in_plane_steps=8, distance=(400, 400))
    models = [lopsided(), dataclasses.replace(lopsided(), name="other")]
    assert config.poses == 8 * viewpoints
    plans = make_plans(config, models, 0, 0, 2 * config.poses)
    expected = (
        in_plane(np.radians(np.linspace(-45, 45, 8)))
        @ look_at(hemisphere_viewpoints(subdivisions))[:, None]
    )
    for which in (0, 1):
        poses = plans.rotation[plans.object_index == which]
        np.testing.assert_allclose(poses, expected.reshape(-1, 3, 3), atol=1e-12)
    np.testing.assert_array_equal(plans.centre_depth, 400)
    again = make_plans(config, models, 0, 2 * config.poses, 2 * config.poses + 6)
    np.testing.assert_array_equal(again.rotation, plans.rotation[:6])
    assert (again.light_direction != plans.light_direction[:6]).any()


def test_enumerated_turns_all_round_do_not_meet() -> None:
    config = PlanConfig(subdivisions=0, in_plane=180, in_plane_steps=4)
    plans = make_plans(config, [lopsided()], 0, 0, config.poses)
    apart = angle_between(plans.rotation[:4, None], plans.rotation[None, :4])
    np.testing.assert_allclose(apart[0], [0, 90, 180, 90], atol=1e-6)


def test_hemisphere_shows_the_object_from_above_and_turned_within_limits() -> None:
    config = PlanConfig(in_plane=30, subdivisions=3)
    plans = make_plans(config, [lopsided()], 0, 0, 2000)
    towards_camera = -plans.rotation[:, 2]
    viewpoints = hemisphere_viewpoints(3)
    used = np.argmax(towards_camera @ viewpoints.T, axis=1)
    np.testing.assert_allclose(viewpoints[used], towards_camera, atol=1e-12)
    assert len(np.unique(used)) > 290
    up = plans.rotation[:, :, 2][used < 300]
    turn = np.degrees(np.arctan2(up[:, 0], -up[:, 1]))
    assert -30 - 1e-6 <= turn.min() < -29
    assert 29 < turn.max() <= 30 + 1e-6


def test_poses_of_symmetric_objects_are_canonical() -> None:
    plans = make_plans(PlanConfig(), MODELS, 0, 0, 90)
    bottle = plans.rotation[plans.object_index == 1]
    np.testing.assert_allclose(canonical_rotation(bottle, BOTTLE.symmetries), bottle, atol=1e-9)
    plain = make_plans(
        PlanConfig(), [dataclasses.replace(BOTTLE, symmetries=Symmetries())], 0, 1, 2
    )
    assert angle_between(plain.rotation[0], plans.rotation[1]) > 1


def test_given_poses_are_kept_and_framed() -> None:
    rotations = uniform_rotation(np.random.default_rng(0).random((4, 3)))
    plans = plans_from_poses(
        MODELS, [0, 1, 2, 0], rotations, [700, 800, 900, 1000],
        size=32, window=100, light_direction=(-3, 0, 0), canonical=False,
    )  # fmt: skip
    np.testing.assert_array_equal(plans.rotation, rotations)
    np.testing.assert_array_equal(plans.centre_depth, [700, 800, 900, 1000])
    np.testing.assert_array_equal(plans.light_direction, [[[-1, 0, 0]]] * 4)
    np.testing.assert_array_equal(plans.camera_matrix[1], [[256, 0, 16], [0, 256, 16], [0, 0, 1]])
    canonical = plans_from_poses(MODELS, [0, 1, 2, 0], rotations, 800)
    np.testing.assert_array_equal(canonical.rotation[0], rotations[0])
    assert angle_between(canonical.rotation[1], rotations[1]) > 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("`size`", {"size": 4}),
        ("`window`", {"window": 0.0}),
        ("`window`", {"window": float("nan")}),
        ("`viewpoints`", {"viewpoints": "sphere"}),
        ("`subdivisions`", {"subdivisions": 9}),
        ("`in_plane`", {"in_plane": -1.0}),
        ("`distance`", {"distance": (900.0, 600.0)}),
        ("`distance`", {"distance": (0.0, 600.0)}),
        ("`in_plane_steps`", {"in_plane_steps": -1}),
    ],
)
def test_settings_out_of_range_are_refused_by_their_name(
    name: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(SettingError, match=rf"^{name} is .*: it must be .*[^.]$"):
        PlanConfig(**settings)


def test_plans_for_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="`objects`"):
        make_plans(PlanConfig(), [], 0, 0, 1)
    with pytest.raises(ValueError, match="`seed`"):
        make_plans(PlanConfig(), MODELS, -1, 0, 1)
    with pytest.raises(ValueError, match="start <= stop"):
        make_plans(PlanConfig(), MODELS, 0, 5, 4)


@pytest.mark.parametrize("settings", [{"rectified": True}, {"viewpoints": "so3"}])
def test_enumerated_turns_are_refused_where_they_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"`in_plane_steps` .* leave out"):
        PlanConfig(in_plane_steps=8, **settings)


def test_swapping_textures_without_textures_is_refused() -> None:
    with pytest.raises(RenderError, match=r"texture_swap is 0\.5, but there are no textures"):
        make_plans(PlanConfig(), MODELS, 0, 0, 1, EVERYTHING)


@pytest.mark.parametrize("config", [PlanConfig(), *CUT_CONFIGS])
@pytest.mark.parametrize("randomization", [LINEMOD, EVERYTHING])
def test_no_crops_are_an_empty_plan(config: PlanConfig, randomization: Randomization) -> None:
    plans = make_plans(config, MODELS, 0, 5, 5, randomization, textures=1)
    assert len(plans) == len(plans.others.object_index) == len(plans.surfaces.gain) == 0


def test_the_adapters_noise_has_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter draws it without knowing of the renderer's table."""
    noise = 2 * np.random.default_rng([3, 5, NOISE]).random(4, np.float32) - 1
    np.testing.assert_array_equal(draw_noise(3, np.array([5]), 4)[0], noise)
    opened, open_stream = set(), np.random.default_rng

    def recorded(key: list[int]) -> np.random.Generator:
        opened.add(int(key[2]))
        return open_stream(key)

    load_textures(None)  # which are drawn once, not for a seed
    models = [lopsided(), BOTTLE]
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", recorded)
        changes = dataclasses.replace(EVERYTHING, background=("procedural",))
        for config in CUT_CONFIGS:
            plans = make_plans(config, models, 0, 0, 3, changes, textures=1)
        crops = RasterRenderer(models, textures=load_textures(None)[:1]).render(plans)
        capture(crops, changes, 0, models)
    assert len(opened) == 7
    assert PLAN in opened
    assert NOISE not in opened
