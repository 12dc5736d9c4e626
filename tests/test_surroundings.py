"""Pictures of known poses behind objects in poses that are near."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cad_models import CadModel
from checked_settings import SettingError
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    FakeRenderer,
    Photographs,
    PicturePoses,
    PlanConfig,
    Plans,
    Randomization,
    RenderError,
    capture,
    load_photographs,
    look_at,
    make_plans,
    plans_from_poses,
    read_randomization,
    write_poses,
)
from tests.shapes import ball, lopsided

MODELS = [lopsided(), replace(ball(20, (0, 0, 20)), name="ball")]
SIZE = 64
BEHIND = Randomization(background=("surroundings",), photographs=Path())
upper = st.tuples(st.floats(0, 2 * np.pi), st.floats(0.7, 1.4), st.floats(-0.7, 0.7))
"""Azimuth and elevation of a camera that sees the ground well, and how it is turned."""


def seen_from(azimuth: float, elevation: float, turn: float) -> NDArray[np.float64]:
    """(3, 3), model to camera."""
    flat = np.cos(elevation)
    direction = (flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation))
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ look_at(direction)


def plans_at(rotations: list[NDArray[np.float64]], which: int = 0) -> Plans:
    objects = np.full(len(rotations), which)
    return plans_from_poses(MODELS, objects, np.stack(rotations), 880.0, size=SIZE)


def ground_colors(plans: Plans, row: int, model: CadModel) -> NDArray[np.uint8]:
    """(H, W, 3), a ground with broad colours through the object's least z, ray by ray."""
    rotation, translation, camera = (
        plans.rotation[row], plans.translation[row], plans.camera_matrix[row]
    )  # fmt: skip
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    rays = np.linalg.inv(camera) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    rays, eye = rotation.T @ rays, -rotation.T @ translation
    far = (model.bounds[0, 2] - eye[2]) / rays[2]
    points = (eye[:, None] + far * rays)[:2] - model.bounds.mean(axis=0)[:2, None]
    waves = [np.sin(points[0] / 23), np.cos(points[1] / 19), np.sin((points[0] - points[1]) / 31)]
    return np.rint(127 + 90 * np.stack(waves, axis=1)).astype(np.uint8).reshape(SIZE, SIZE, 3)


def poses_of(plans: Plans) -> PicturePoses:
    return PicturePoses(
        tuple(MODELS[k].name for k in plans.object_index), plans.rotation, plans.translation,
        plans.camera_matrix,
    )  # fmt: skip


def bare(plans: Plans) -> CropBatch:
    """Crops in which nothing is."""
    crops = FakeRenderer(MODELS).render(plans)
    nothing = {
        name: np.zeros_like(value)
        for name, value in vars(crops).items()
        if isinstance(value, np.ndarray)
    }
    return replace(crops, **nothing)


@given(upper, st.tuples(st.floats(-0.2, 0.2), st.floats(-0.15, 0.15), st.floats(-0.2, 0.2)))
def test_the_ground_is_seen_as_from_the_other_pose(
    there: tuple[float, float, float], step: tuple[float, float, float]
) -> None:
    here = tuple(a + b for a, b in zip(there, step, strict=True))
    first, second = plans_at([seen_from(*there)]), plans_at([seen_from(*here)])
    picture = ground_colors(first, 0, MODELS[0])
    shown = capture(bare(second), BEHIND, 0, MODELS, Photographs((picture,), poses_of(first)))
    true = ground_colors(second, 0, MODELS[0]).astype(int)
    middle = (slice(SIZE // 4, -SIZE // 4),) * 2
    assert np.abs(shown.rgb[0].astype(int) - true)[middle].max() <= 8


def test_the_same_pose_shows_the_picture_itself_off_the_object() -> None:
    rotations = [seen_from(k, 0.3 + 0.2 * k, 0.1 * k) for k in range(5)]
    plans = plans_at(rotations)
    random = np.random.default_rng(0)
    pictures = tuple(random.integers(0, 256, (5, SIZE, SIZE, 3), np.uint8))
    renders = FakeRenderer(MODELS).render(plans)
    for row in range(5):
        known = Photographs((pictures[row],), poses_of(plans[np.array([row])]))
        shown = capture(renders[np.array([row])], BEHIND, 0, MODELS, known)
        empty = renders.depth[row] == 0
        np.testing.assert_array_equal(shown.rgb[0][empty], pictures[row][empty])
        np.testing.assert_array_equal(shown.rgb[0][~empty], renders.rgb[row][~empty])
        np.testing.assert_array_equal(shown.depth[0], renders.depth[row])


def test_pictures_of_the_same_object_and_the_nearest_poses_are_taken() -> None:
    """Each picture has a colour of its own, by which it is told."""
    rotations = [seen_from(azimuth, 1.0, 0.0) for azimuth in np.linspace(0, 6.2, 24)]
    plans = plans_at(rotations)
    poses = poses_of(plans)
    others = replace(poses, object=("ball",) * 24)
    joined = PicturePoses(
        poses.object + others.object,
        *(
            np.concatenate([getattr(poses, name)] * 2)
            for name in ("rotation", "translation", "camera_matrix")
        ),
    )
    pictures = tuple(np.full((SIZE, SIZE, 3), 5 * k, np.uint8) for k in range(48))
    shown = capture(bare(plans), BEHIND, 7, MODELS, Photographs(pictures, joined))
    chosen = shown.rgb[:, 0, 0, 0].astype(int) // 5
    apart = np.abs(chosen - np.arange(24))
    assert set(np.minimum(apart, 24 - apart)) == {0, 1}
    of_balls = capture(
        bare(plans_at(rotations, 1)), BEHIND, 7, MODELS, Photographs(pictures, joined)
    )  # fmt: skip
    np.testing.assert_array_equal(of_balls.rgb[:, 0, 0, 0].astype(int) // 5, chosen + 24)


def test_a_crop_from_the_side_has_no_wild_stretches() -> None:
    """Where the ground is seen along itself, a picture is not drawn out to its horizon."""
    plans = plans_at([seen_from(0.3, elevation, 0.0) for elevation in (0.0, 0.02, 0.1, 0.2)])
    checks = (np.indices((SIZE, SIZE)).sum(axis=0) // 4 % 2 * 255).astype(np.uint8)
    picture = np.repeat(checks[..., None], 3, axis=2)
    near = plans_at([seen_from(0.4, 0.05, 0.1)])
    shown = capture(bare(plans), BEHIND, 0, MODELS, Photographs((picture,), poses_of(near)))
    for crop in shown.rgb[..., 0]:
        for lines in (crop, crop.T):
            runs = np.diff(np.flatnonzero(np.diff((lines > 127).astype(int).ravel())))
            assert runs.max() < 4 * 4


@pytest.mark.parametrize("scale", [1, 8])
def test_poses_are_read_as_they_were_written(tmp_path: Path, scale: int) -> None:
    """A picture that is too large is made smaller, and its camera with it."""
    plans = make_plans(PlanConfig(off_axis=10), MODELS, 0, 0, 4, RANDOMIZATIONS["linemod"])
    poses = poses_of(plans)
    camera = poses.camera_matrix.copy()
    camera[:, :2] *= scale
    files = [f"{k:06d}.png" for k in range(4)]
    side = SIZE * scale
    for file in files:
        cv2.imwrite(str(tmp_path / file), np.zeros((side, side, 3), np.uint8))
    write_poses(tmp_path, files, replace(poses, camera_matrix=camera))
    written = json.loads((tmp_path / "poses.json").read_text())[files[1]]
    # As OpenCV counts: the first pixel's centre is 0.
    np.testing.assert_allclose(written["cam_K"][2], camera[1, 0, 2] - 0.5, atol=1e-5)
    read = load_photographs(tmp_path).poses
    assert read is not None
    assert read.object == poses.object
    np.testing.assert_allclose(read.rotation, poses.rotation, atol=1e-5)
    np.testing.assert_allclose(read.translation, poses.translation, atol=1e-5)
    shrunk = camera.copy()
    shrunk[:, :2] *= min(1.0, 256 / side)
    np.testing.assert_allclose(read.camera_matrix, shrunk, atol=1e-4)


GOOD = {
    "object": "ball", "cam_R_m2c": np.eye(3).ravel().tolist(), "cam_t_m2c": [0, 0, 880],
    "cam_K": [280, 0, 31.5, 0, 280, 31.5, 0, 0, 1],
}  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        "", "[]", "nothing", "[" * 100_000, {}, {"a.png": []}, {"a.png": {**GOOD, "object": 3}},
        {"a.png": {**GOOD, "cam_R_m2c": [1] * 9}}, {"a.png": {**GOOD, "cam_K": [1] * 8}},
        {"a.png": {**GOOD, "cam_t_m2c": [0, 0, -880]}}, {"a.png": {**GOOD, "cam_t_m2c": "here"}},
        {"a.png": {**GOOD, "cam_t_m2c": [0, 0, float("nan")]}},
        {"a.png": {**GOOD, "cam_t_m2c": [0, 0, 10**400]}},
        {"a.png": {**GOOD, "cam_K": [0] * 9}},
    ],
)  # fmt: skip
def test_poses_that_say_nothing_are_refused_in_a_sentence(tmp_path: Path, table: Any) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    path = tmp_path / "poses.json"
    path.write_text(json.dumps({"a.png": GOOD}))
    assert load_photographs(tmp_path).poses is not None
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    with pytest.raises(RenderError, match=r"poses\.json .*write it anew, or remove it"):
        load_photographs(tmp_path)


def test_surroundings_need_poses(tmp_path: Path) -> None:
    plans = plans_at([seen_from(0, 1, 0)])
    for photographs in (Photographs(()), [], [np.zeros((9, 9, 3), np.uint8)]):
        with pytest.raises(RenderError, match=r"load_photographs|poses\.json"):
            capture(bare(plans), BEHIND, 0, MODELS, photographs)
    with pytest.raises(SettingError, match="surroundings"):
        Randomization(background=("surroundings",))
    settings = tmp_path / "settings.toml"
    settings.write_text(f'background = ["surroundings"]\nphotographs = "{tmp_path}"\n')
    assert read_randomization(str(settings)).background == ("surroundings",)
