"""Where other objects stand: occluders, neighbours, and the board under them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cad_models import CadModel, Symmetries
from renderer import (
    CLEARANCE,
    RANDOMIZATIONS,
    PlanConfig,
    Plans,
    RasterRenderer,
    RenderError,
    board_under,
    canonical_rotation,
    linemod_camera,
    make_plans,
    plans_from_poses,
    turn_towards,
)
from tests.shapes import ball, lopsided, model_of, rectangle


def slab(width: float, depth: float, height: float, **options: Any) -> CadModel:
    """A box off its own origin."""
    from trimesh.creation import box

    made = box((width, depth, height))
    made.apply_translation((20, -30, 40))
    return model_of(made.vertices, made.faces, **options)


HALF_TURN = np.diag([-1.0, 1.0, -1.0, 1.0])
HALF_TURN[:3, 3] = [40, 0, 80]
BRICK = slab(90, 40, 30, symmetries=Symmetries(discrete=HALF_TURN[None]))
MODELS = [lopsided(), ball(35, (5, -80, 30)), BRICK, slab(20, 25, 160), rectangle(-10, -20, 30, 40)]
LINEMOD = RANDOMIZATIONS["linemod"]
VIEWPOINTS = st.sampled_from(["hemisphere", "so3"])
CUTS: list[dict[str, Any]] = [
    {},
    {"centre": "mean", "off_axis": 55.0},
    {"centre": "origin", "off_axis": 10.0},
    {"centre": "visible", "picture": (640, 480), "camera": linemod_camera(640, 480)},
]


@dataclasses.dataclass
class Placed:
    """An object where a plan puts it."""

    model: CadModel
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @property
    def points(self) -> NDArray[np.float64]:
        return self.model.mesh.vertices @ self.rotation.T + self.translation

    @property
    def centre(self) -> NDArray[np.float64]:
        return self.rotation @ self.model.centre + self.translation

    def radius(self, across: NDArray[np.float64]) -> float:
        """Of the circle or ball about its centre that holds it, in the given directions."""
        return float(np.linalg.norm((self.points - self.centre) @ across, axis=1).max())


def looked_at(plans: Plans, models: Sequence[CadModel] = MODELS) -> Plans:
    """The plans as cameras at the same places see them that look straight at the targets."""
    centre = np.array([model.centre for model in models])[plans.object_index]
    middle = (plans.rotation @ centre[..., None])[..., 0] + plans.translation
    back = np.swapaxes(turn_towards(middle[:, :2] / middle[:, 2:]), 1, 2)
    others = dataclasses.replace(
        plans.others,
        rotation=back[:, None] @ plans.others.rotation,
        translation=(back[:, None] @ plans.others.translation[..., None])[..., 0],
    )
    return dataclasses.replace(
        plans,
        rotation=back @ plans.rotation,
        translation=(back @ plans.translation[..., None])[..., 0],
        others=others,
    )


def target_of(plans: Plans, row: int, models: Sequence[CadModel] = MODELS) -> Placed:
    model = models[plans.object_index[row]]
    return Placed(model, plans.rotation[row], plans.translation[row])


def others_of(plans: Plans, row: int, models: Sequence[CadModel] = MODELS) -> list[Placed]:
    others = plans.others
    return [
        Placed(models[which], others.rotation[row, k], others.translation[row, k])
        for k, which in enumerate(others.object_index[row])
        if which >= 0
    ]


def share_covered(target: Placed, other: Placed, towards: NDArray[np.float64]) -> float:
    """By how much of the target's width another reaches over it, along a line in the image."""
    mine, its = ((p.points[:, :2] / p.points[:, 2:]) @ towards for p in (target, other))
    return float((mine.max() - its.min()) / (mine.max() - mine.min()))


@pytest.mark.parametrize("cut", CUTS)
@given(
    seed=st.integers(0, 10**6), viewpoints=VIEWPOINTS, occlusion=st.floats(0, 1),
    nearest=st.sampled_from([400, 600]),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_occluders_are_before_the_target_and_clear_of_the_camera(
    cut: dict[str, Any], seed: int, viewpoints: Any, occlusion: float, nearest: float
) -> None:
    before = dataclasses.replace(LINEMOD, occluders=(0, 3), occlusion=occlusion)
    config = PlanConfig(viewpoints=viewpoints, distance=(nearest, 900), **cut)
    plans = make_plans(config, MODELS, seed, 0, 8, before)
    straight = looked_at(plans)
    for row in range(len(plans)):
        target = target_of(straight, row)
        for occluder in others_of(straight, row):
            assert occluder.points[:, 2].max() < target.points[:, 2].min()
        for occluder in others_of(plans, row):
            assert occluder.points[:, 2].min() >= CLEARANCE


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("occlusion", [0.0, 0.3, 0.9])
def test_an_occluder_reaches_over_as_much_as_it_may_and_no_more(
    occlusion: float, cut: dict[str, Any]
) -> None:
    before = dataclasses.replace(LINEMOD, occluders=(1, 1), occlusion=occlusion)
    models = [lopsided(), BRICK]
    rendered = make_plans(PlanConfig(**cut), models, 0, 0, 400, before)
    plans = looked_at(rendered, models)
    u = np.array([np.random.default_rng([0, i, 3]).random(57) for i in range(400)])
    # Stream 3: 3 of framing, 44 of lights, the number; then object, rotation, side and share.
    side, share = 2 * np.pi * u[:, 52], occlusion * u[:, 53]
    # The board may be in its way on the first of twelve sides.
    turns = np.arange(12) * np.pi * (3 - np.sqrt(5))
    sides = np.stack([np.cos(side[:, None] + turns), np.sin(side[:, None] + turns)], axis=2)
    tries = np.zeros(12, int)
    for row in range(400):
        (occluder,) = others_of(plans, row, models)
        across = np.abs(sides[row] @ [occluder.centre[1], -occluder.centre[0]])
        number = int(np.argmin(across))
        assert across[number] < 1e-3
        tries[number] += 1
        covered = share_covered(target_of(plans, row, models), occluder, sides[row, number])
        assert covered == pytest.approx(share[row], abs=0.01)
    assert tries[0] > 320
    if not occlusion:
        crops = RasterRenderer(models).render(rendered)
        np.testing.assert_array_equal(crops.mask_visib, crops.mask)


@pytest.mark.parametrize("cut", CUTS)
@given(seed=st.integers(0, 10**6), viewpoints=VIEWPOINTS, occlusion=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_occluders_are_above_the_board(
    cut: dict[str, Any], seed: int, viewpoints: Any, occlusion: float
) -> None:
    before = dataclasses.replace(LINEMOD, occluders=(1, 3), occlusion=occlusion)
    config = PlanConfig(viewpoints=viewpoints, **cut)
    plans = make_plans(config, MODELS, seed, 0, 12, before)
    up, foot = board_under(plans, MODELS)
    for row in range(len(plans)):
        for occluder in others_of(plans, row):
            assert ((occluder.points - foot[row]) @ up[row]).min() >= 0.99


BOTH = dataclasses.replace(LINEMOD, occluders=(0, 2), neighbours=(0, 4))


@pytest.mark.parametrize("randomization", [BOTH, RANDOMIZATIONS["strong"]])
@given(seed=st.integers(0, 10**6), count=st.integers(1, len(MODELS)))
@settings(max_examples=15, deadline=None)
def test_no_object_shows_twice_while_others_are_left(
    randomization: Any, seed: int, count: int
) -> None:
    models = MODELS[:count]
    plans = make_plans(PlanConfig(), models, seed, 0, 30, randomization, textures=9)
    shown = np.column_stack([plans.object_index, plans.others.object_index])
    times = (shown[:, :, None] == np.arange(count)).sum(axis=1)
    assert (times.max(axis=1) - times.min(axis=1) <= 1).all()
    assert times.max() > 1 or count > 2


def test_distractors_are_never_targets_and_move_nothing_of_them() -> None:
    """Crops are of the same objects in the same poses; beside them, and before, others show too."""
    config = PlanConfig(distractors=3)
    models = MODELS[:5]
    plans = make_plans(config, models, 0, 0, 60, BOTH)
    alone = make_plans(PlanConfig(), models[:2], 0, 0, 60)
    for name in ("object_index", "rotation", "translation", "camera_matrix", "light_direction"):
        np.testing.assert_array_equal(getattr(plans, name), getattr(alone, name))
    assert set(plans.object_index) == {0, 1}
    assert set(plans.others.object_index[plans.others.object_index >= 0]) == set(range(5))
    with pytest.raises(RenderError, match="there are no models to plan for"):
        make_plans(PlanConfig(distractors=5), models, 0, 0, 1)


def test_objects_show_several_times_where_they_may() -> None:
    """As datasets were before there was a choice: each is drawn from all."""
    models = MODELS[:3]
    plans = make_plans(PlanConfig(repeat_objects=True), models, 0, 0, 300, BOTH)
    u = np.array([np.random.default_rng([0, i, 3]).random(57) for i in range(300)])
    before = dataclasses.replace(BOTH, occluders=(1, 1), neighbours=(0, 0))
    alone = make_plans(PlanConfig(repeat_objects=True), models, 0, 0, 300, before)
    drawn = (3 * u[:, 48]).astype(int)
    put = alone.others.object_index[:, 0]
    np.testing.assert_array_equal(put[put >= 0], drawn[put >= 0])
    shown = np.column_stack([plans.object_index, plans.others.object_index])
    times = (shown[:, :, None] == np.arange(3)).sum(axis=1)
    assert (times.max(axis=1) > 1).mean() > 0.5


@pytest.mark.parametrize("cut", CUTS)
@given(seed=st.integers(0, 10**6), viewpoints=VIEWPOINTS)
@settings(max_examples=15, deadline=None)
def test_neighbours_stand_on_the_board_and_intersect_nothing(
    cut: dict[str, Any], seed: int, viewpoints: Any
) -> None:
    beside = dataclasses.replace(LINEMOD, neighbours=(1, 8), occluders=(0, 3))
    config = PlanConfig(viewpoints=viewpoints, **cut)
    plans = make_plans(config, MODELS, seed, 0, 6, beside)
    occluders = make_plans(
        config, MODELS, seed, 0, 6, dataclasses.replace(beside, neighbours=(0, 0))
    )
    up, foot = board_under(plans, MODELS)
    for row in range(len(plans)):
        number = len(others_of(occluders, row))
        shown = others_of(plans, row)
        upright = [target_of(plans, row), *shown[number:]]
        for one in upright:
            heights = (one.points - foot[row]) @ up[row]
            assert heights.min() == pytest.approx(0, abs=1e-3)
            assert one.points[:, 2].min() >= CLEARANCE
        on_board = np.eye(3) - np.outer(up[row], up[row])
        for one, another in itertools.combinations(upright, 2):
            assert gap(one, another, on_board) > 0
        for occluder in shown[:number]:
            assert all(gap(occluder, one, np.eye(3)) > 0 for one in upright)
        for one, another in itertools.combinations(shown[:number], 2):
            assert gap(one, another, np.eye(3)) > 0


def gap(one: Placed, another: Placed, across: NDArray[np.float64]) -> float:
    """Between the circles or balls that hold two objects, in the given directions."""
    apart = float(np.linalg.norm((one.centre - another.centre) @ across))
    return apart - one.radius(across) - another.radius(across)


@pytest.mark.parametrize("cut", CUTS)
def test_a_neighbour_before_the_target_leaves_the_greatest_share_of_it_free(
    cut: dict[str, Any],
) -> None:
    beside = dataclasses.replace(LINEMOD, neighbours=(2, 4), occlusion=0.25)
    plans = looked_at(make_plans(PlanConfig(**cut), MODELS, 0, 0, 150, beside))
    nearer = 0
    for row in range(150):
        target = target_of(plans, row)
        for other in others_of(plans, row):
            if other.centre[2] < target.centre[2]:
                nearer += 1
                towards = other.centre[:2] / np.linalg.norm(other.centre[:2])
                assert share_covered(target, other, towards) <= 0.25 + 0.01
    assert nearer > 50


@pytest.mark.parametrize("off_axis", [0.0, 30.0])
def test_as_many_as_asked_for_where_there_is_room(off_axis: float) -> None:
    both = dataclasses.replace(LINEMOD, neighbours=(1, 3), occluders=(2, 2))
    plans = make_plans(PlanConfig(off_axis=off_axis), MODELS, 0, 0, 600, both)
    assert plans.others.object_index.shape == (600, 5)
    number = np.bincount((plans.others.object_index >= 0).sum(axis=1), minlength=6)
    assert number[:3].sum() <= 30
    assert number[3:].min() > 150
    shown = plans.others.object_index[plans.others.object_index >= 0]
    assert np.bincount(shown).min() > 300, "all models are drawn"
    # Those that are missing come last, as Instances says.
    assert (np.diff((plans.others.object_index < 0).astype(int), axis=1) >= 0).all()


def test_where_there_is_no_room_before_the_target_there_is_no_occluder() -> None:
    before = dataclasses.replace(LINEMOD, occluders=(3, 3))
    plans = make_plans(PlanConfig(distance=(150, 150)), [lopsided()], 0, 0, 20, before)
    assert (plans.others.object_index == -1).all()
    np.testing.assert_array_equal(plans.others.rotation, np.tile(np.eye(3), (20, 3, 1, 1)))
    np.testing.assert_array_equal(plans.others.translation, 0)


@pytest.mark.parametrize("cut", CUTS)
def test_poses_of_symmetric_others_are_canonical(cut: dict[str, Any]) -> None:
    both = dataclasses.replace(LINEMOD, neighbours=(2, 2), occluders=(2, 2))
    plans = make_plans(PlanConfig(**cut), [BRICK], 0, 0, 50, both)
    shown = plans.others.rotation[plans.others.object_index >= 0]
    assert len(shown) > 150
    np.testing.assert_allclose(canonical_rotation(shown, BRICK.symmetries), shown, atol=1e-9)


@given(
    seed=st.integers(0, 10**6), off_axis=st.floats(0, 60), nearest=st.floats(120, 300),
    viewpoints=VIEWPOINTS,
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_next_to_the_camera_too_everything_can_be_drawn(
    seed: int, off_axis: float, nearest: float, viewpoints: Any
) -> None:
    both = dataclasses.replace(LINEMOD, occluders=(2, 3), neighbours=(0, 3))
    config = PlanConfig(
        viewpoints=viewpoints, off_axis=off_axis, distance=(nearest, nearest + 50)
    )  # fmt: skip
    plans = make_plans(config, MODELS, seed, 0, 20, both)
    for row in range(20):
        for other in others_of(plans, row):
            assert other.points[:, 2].min() >= CLEARANCE - 1e-3
    assert RasterRenderer(MODELS).render(plans).mask.any()


def test_the_board_is_under_what_is_seen_from_above_whichever_way_its_pose_is_written() -> None:
    """A brick looks the same upside down: the board is under it all the same."""
    plain = dataclasses.replace(BRICK, symmetries=Symmetries())
    drawn = make_plans(PlanConfig(), [plain], 0, 0, 60)
    written = make_plans(PlanConfig(), [BRICK], 0, 0, 60)
    assert (drawn.rotation[:, 2, 2] != written.rotation[:, 2, 2]).any(), "some are turned over"
    for first, second in zip(
        board_under(drawn, [plain]), board_under(written, [BRICK]), strict=True
    ):
        np.testing.assert_allclose(first, second, atol=1e-6)
    up, foot = board_under(drawn, [plain])
    np.testing.assert_allclose(up, drawn.rotation[:, :, 2])
    lowest = plain.centre - [0, 0, 15]
    np.testing.assert_allclose(foot, drawn.rotation @ lowest + drawn.translation, atol=1e-4)


def test_the_board_of_an_object_that_is_looked_at_along_its_side() -> None:
    side = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    up, foot = board_under(
        plans_from_poses([BRICK], [0], side[None], 500, canonical=False), [BRICK]
    )
    np.testing.assert_allclose(up, [[0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(foot, [[0, 15, 500]], atol=1e-4)
