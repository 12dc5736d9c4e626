"""Training on crops that say how they were cut: the source is rendered so, the adapter knows."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from adapter import AdapterError, LabelledCrops, Progress, TargetCut, TrainConfig, read_info
from cad_models import load_models
from checked_settings import SettingError
from render_adapt import TrainRun, train_adapter
from renderer import (
    CropBatch,
    Plans,
    RasterRenderer,
    centre_points,
    symmetry_quaternions,
)
from tests.test_adapter_target import POSES, write_scene

TINY = TrainConfig(
    steps=2, batch=4, width=8, blocks=1, half_resolution=True, discriminator_width=4, threads=1,
    checkpoint_every=100, precision="fp32",
)  # fmt: skip
STATED = {"centre": "mean", "window_mm": 150.0, "off_axis_degrees": 20.0, "pixels": 90}


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "crops.json").write_text(json.dumps({"cut": STATED}))
    return folder


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[Plans]:
    """The plans of the sources that are rendered from now on; nothing is judged."""
    found: list[Plans] = []

    render = RasterRenderer.render

    def rendered(renderer: RasterRenderer, plans: Plans) -> CropBatch:
        found.append(plans)
        return render(renderer, plans)

    monkeypatch.setattr(RasterRenderer, "render", rendered)
    monkeypatch.setattr(
        "render_adapt._verdict.clock.judge_adapter", lambda out, *_, **__: read_info(out)
    )
    return found


def trained(target: Path, **changes: Any) -> TargetCut | None:
    """The cut of the adapter that is trained on some crops."""
    out = target.with_name("adapter")
    run = TrainRun(("ape", "cat"), target=target, out=out, source_crops=20, **changes)
    info = train_adapter(run, TINY, "fast")
    read = read_info(out)
    assert dataclasses.asdict(read) == dataclasses.asdict(info)
    assert json.loads((out / "adapter.json").read_text())["target_cut"] == dataclasses.asdict(
        read.cut
    )
    assert read.cut is not None
    assert read.window_mm == read.cut.window_mm
    return read.cut


def check_sources(plans: Plans, cut: TargetCut) -> None:
    """They are cut as it says."""
    points = centre_points(load_models(["ape", "cat"]), cut.centre)[plans.object_index]
    there = (plans.rotation @ points[..., None])[..., 0] + plans.translation
    pixels = (plans.camera_matrix @ there[..., None])[..., 0]
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], 32, atol=1e-6)
    off = np.degrees(np.arctan2(np.linalg.norm(there[:, :2], axis=1), there[:, 2]))
    assert off.max() <= cut.off_axis_degrees + 1e-6
    assert off.max() >= cut.off_axis_degrees / 2
    window = 64 * plans.centre_depth / plans.camera_matrix[:, 0, 0]
    np.testing.assert_allclose(window, cut.window_mm)


def test_the_source_is_cut_as_the_target_says_it_was(crops: Path, sources: list[Plans]) -> None:
    cut = trained(crops)
    assert cut == TargetCut("mean", 150.0, 20.0, 90)
    check_sources(sources[0], cut)


def test_flags_win_over_what_the_target_says(crops: Path, sources: list[Plans]) -> None:
    cut = trained(crops, centre="origin", off_axis=5.0, window=180.0)
    assert cut == TargetCut("origin", 180.0, 5.0, 90)
    check_sources(sources[0], cut)


def test_crops_that_say_nothing_are_taken_to_be_around_boxes_on_the_axis(
    crops: Path, sources: list[Plans]
) -> None:
    (crops / "crops.json").unlink()
    cut = trained(crops)
    assert cut == TargetCut("box", 200.0, 0.0)
    check_sources(sources[0], cut)
    np.testing.assert_allclose(sources[0].camera_matrix[:, :2, 2], 32)


def test_crops_of_frames_are_cut_around_origins_as_far_off_the_axis_as_is_measured(
    tmp_path: Path, sources: list[Plans]
) -> None:
    write_scene(tmp_path / "scene", POSES)
    cut = trained(tmp_path / "scene")
    assert cut is not None
    assert cut.centre == "origin"
    assert 10 < cut.off_axis_degrees < 25
    assert cut.pixels is not None
    assert 100 < cut.pixels < 180
    check_sources(sources[0], cut)


def seen_from(plans: Plans) -> NDArray[np.float64]:
    """(N,), how high cameras stand over objects, as parts of their distances."""
    camera = -(np.swapaxes(plans.rotation, 1, 2) @ plans.translation[..., None])[..., 0]
    heights: NDArray[np.float64] = camera[:, 2] / np.linalg.norm(camera, axis=1)
    return heights


def test_the_source_is_seen_from_where_the_camera_saw_it(crops: Path, sources: list[Plans]) -> None:
    (crops / "crops.json").unlink()
    trained(crops)
    assert seen_from(sources[0]).min() > -0.1
    sources.clear()
    shutil.rmtree(crops.with_name("adapter.training"))
    trained(crops, viewpoints="so3")
    assert seen_from(sources[0]).min() < -0.3


@pytest.mark.parametrize(("judging", "left"), [(1e6, (0.4, 0.4)), (120.0, (0.4, 2.0))])
def test_a_time_limit_is_of_rendering_and_judging_too(
    judging: float,
    left: tuple[float, float],
    crops: Path,
    sources: list[Plans],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages: list[str] = []
    monkeypatch.setattr("render_adapt._verdict.clock.seconds_to_judge", lambda *_: judging)
    run = TrainRun(("ape",), target=crops, out=crops.with_name("adapter"), source_crops=20)
    limited = dataclasses.replace(TINY, max_minutes=4.0)
    info = train_adapter(run, limited, "fast", on_stage=stages.append)
    assert left[0] <= info.config["max_minutes"] <= left[1]
    assert stages[0] == "rendering 20 crops to learn from"
    assert stages[1].endswith(f"calibrating and measuring the adapter takes about {judging:.0f} s")
    assert stages[2].startswith("trained for 2 steps; ")
    assert len(sources) == 1


class Begun(Exception):
    pass


def test_training_crops_know_the_symmetries_of_their_models(
    crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[LabelledCrops] = []

    def begin(source: LabelledCrops, *_: Any, **__: Any) -> None:
        given.append(source)
        raise Begun

    monkeypatch.setattr("adapter.train", begin)
    objects = ("ape", "eggbox", "bowl")
    run = TrainRun(objects, target=crops, out=crops.with_name("adapter"), source_crops=20)
    with pytest.raises(Begun):
        train_adapter(run, TINY, "fast")
    symmetries = given[0].symmetries
    assert symmetries is not None
    assert symmetries.dtype == np.float32
    expected = symmetry_quaternions(load_models(objects))
    assert len(np.unique(expected[2], axis=0)) > len(np.unique(expected[1], axis=0)) == 2
    np.testing.assert_allclose(symmetries, expected, atol=1e-7)


def test_training_crops_know_the_symmetries_that_are_declared(
    crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[LabelledCrops] = []

    def begin(source: LabelledCrops, *_: Any, **__: Any) -> None:
        given.append(source)
        raise Begun

    monkeypatch.setattr("adapter.train", begin)
    mesh = tmp_path / "part.stl"
    trimesh.creation.box((60, 40, 30)).export(mesh)
    run = TrainRun(
        (f"part={mesh}",), target=crops, out=tmp_path / "a", source_crops=4,
        symmetry=("part=z2,part=x2",),
    )  # fmt: skip
    with pytest.raises(Begun):
        train_adapter(run, TINY, "fast")
    symmetries = given[0].symmetries
    assert symmetries is not None
    expected = np.eye(4)  # no turn, and half turns about x, y and z
    assert sorted(np.abs(symmetries[0]).round(6).tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"centre": "middle"}, "`centre` is middle: it must be mean, box, origin or visible"),
        ({"off_axis": 75.0}, "`off_axis` is 75"),
        ({"off_axis": -1.0}, "`off_axis` is -1"),
        ({"window": 0.0}, "`window` is 0"),
    ],
)
def test_a_cut_that_cannot_be_is_refused_by_its_flag(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        TrainRun(("ape",), target=Path(), out=Path(), **settings)


def test_an_adapter_says_nothing_of_folders_and_is_trained_by_one_at_a_time(
    crops: Path, sources: list[Plans], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safe_files._lock.PATIENCE", 0.1)
    mesh = tmp_path / "part.stl"
    trimesh.creation.box((60, 40, 30)).export(mesh)
    run = TrainRun((f"part={mesh}",), target=crops, out=tmp_path / "a", source_crops=20)

    def begin_another(state: Progress) -> None:
        with pytest.raises(AdapterError, match=r"another training is at work in .*a\.training"):
            train_adapter(run, TINY, "fast")

    info = train_adapter(run, TINY, "fast", begin_another)
    assert info.provenance == "20 renders of part; 20 unlabelled crops: crops"
    assert str(tmp_path) not in (tmp_path / "a/adapter.json").read_text()
    assert train_adapter(run, TINY, "fast").steps == TINY.steps
