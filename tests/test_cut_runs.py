"""Runs whose crops are cut elsewhere than around bounding boxes on the camera's axis."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import trimesh
from numpy.typing import NDArray

from adapter import SHIPPED_ADAPTER, TargetCut, read_info
from render_adapt import (
    PRESETS,
    DatasetError,
    RunConfig,
    SettingError,
    generate,
    load,
    make_only,
    repair,
    verify,
)
from renderer import RANDOMIZATIONS, linemod_camera, window_pixels
from tests.test_dataset import tree_hash
from tests.test_verify import Scene, complaint, sign_again

CLUTTER = dataclasses.replace(RANDOMIZATIONS["linemod"], occluders=(0, 2), neighbours=(0, 2))


def config(out: Path, **changes: Any) -> RunConfig:
    settings = {
        "objects": ("ape", "benchvise", "bowl"), "n": 12, "seed": 3, "workers": 1,
        "adapter": "none", "out": out,
    }  # fmt: skip
    return RunConfig(**{**settings, **changes})


def made(out: Path, **changes: Any) -> Path:
    generate(config(out, **changes))
    return out


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def adapter_with(folder: Path, cut: dict[str, Any] | None, **fields: Any) -> str:
    """The shipped adapter, as if it had learnt from crops that were cut so."""
    shutil.copytree(SHIPPED_ADAPTER, folder)
    file = folder / "adapter.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"target_cut": cut} | fields))
    return str(folder)


def shown_points(dataset: Path, centre: str) -> NDArray[np.float64]:
    """(N, 3), what the crops should have in the middle, camera frame, by the dataset's own files.

    Read with nothing of our own.
    """
    scene = dataset / "train/000000"
    gt = json.loads((scene / "scene_gt.json").read_text())
    points = []
    for key in sorted(gt, key=int):
        target = gt[key][0]
        mesh = trimesh.load(dataset / f"models/obj_{target['obj_id']:06d}.ply", process=False)
        point = {
            "mean": np.unique(mesh.vertices, axis=0).mean(axis=0),
            "box": mesh.bounds.mean(axis=0),
            "origin": np.zeros(3),
        }[centre]
        rotation = np.reshape(target["cam_R_m2c"], (3, 3))
        points.append(rotation @ point + target["cam_t_m2c"])
    return np.array(points)


def cameras(dataset: Path) -> NDArray[np.float64]:
    """(N, 3, 3), pixels counted from the crops' corners."""
    content = json.loads((dataset / "train/000000/scene_camera.json").read_text())
    matrices = np.array([np.reshape(entry["cam_K"], (3, 3)) for entry in content.values()])
    matrices[:, :2, 2] += 0.5
    return matrices


CUTS: dict[str, dict[str, Any]] = {
    "mean": {"centre": "mean", "off_axis": 10.0},
    "origin": {"centre": "origin", "off_axis": 30.0, "randomize": CLUTTER},
    "visible": {"centre": "visible", "off_axis": 10.0, "randomize": CLUTTER},
    "strong": {"centre": "mean", "off_axis": 20.0, "randomize": "strong"},
    "picture": {"cut_from": "640x480", "centre": "mean"},
    "camera": {
        "cut_from": "800x600", "camera": (700.0, 710.0, 390.0, 310.0), "off_axis": 15.0,
        "centre": "visible", "randomize": CLUTTER, "format": ("bop", "bop-webdataset"),
    },
    "so3": {"centre": "mean", "off_axis": 45.0, "viewpoints": "so3", "size": 128},
    "rectified": {"centre": "mean", "off_axis": 20.0, "rectified": True},
    "adapted": {"adapter": "shipped", "centre": "mean", "off_axis": 10.0},
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_what_a_run_makes_is_sound_wherever_it_cuts(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "dataset", **CUTS[name])
    before = tree_hash(folder)
    found = verify(folder, workers=1)
    assert found.bad == ()
    assert found.crops == 12
    assert generate(config(folder, **CUTS[name])).crops_made == 0
    assert tree_hash(folder) == before


@pytest.mark.parametrize("centre", ["mean", "box", "origin"])
def test_files_agree_on_what_is_in_the_middle_and_how_far_off_the_axis(
    centre: Any, tmp_path: Path
) -> None:
    folder = made(tmp_path / "dataset", centre=centre, off_axis=25.0, n=30)
    points, matrices = shown_points(folder, centre), cameras(folder)
    pixels = np.array([k @ point for k, point in zip(matrices, points, strict=True)])
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], 32, atol=1e-3)
    off = np.degrees(np.arctan2(np.linalg.norm(points[:, :2], axis=1), points[:, 2]))
    assert 10 < off.max() <= 25
    rows = parquet.read_table(folder / "index/000000.parquet").to_pylist()
    np.testing.assert_allclose([row["centre_depth"] for row in rows], points[:, 2], atol=1e-3)
    window = 64 * points[:, 2] / matrices[:, 0, 0]
    np.testing.assert_allclose(window, 200, rtol=1e-6)
    for crop, k in zip(load(folder), matrices, strict=True):
        np.testing.assert_array_equal(crop.camera_matrix[:2, 2], k[:2, 2] - 0.5)


def test_crops_of_pictures_have_their_cameras_k_on_whole_pixels(tmp_path: Path) -> None:
    folder = made(tmp_path / "dataset", cut_from="640x480", centre="mean", n=30)
    fx, fy, cx, cy = linemod_camera(640, 480)
    points = shown_points(folder, "mean")
    for k, point in zip(cameras(folder), points, strict=True):
        side = int(window_pixels(fx, 200.0, point[2]))
        scale = 64 / side
        assert k[0, 0] == pytest.approx(scale * fx)
        assert k[1, 1] == pytest.approx(scale * fy)
        corner = np.array([cx, cy]) - k[:2, 2] / scale
        np.testing.assert_allclose(corner, np.rint(corner), atol=1e-6)
        middle = corner + side / 2
        there = np.array([fx, fy]) * point[:2] / point[2] + [cx, cy]
        assert (np.abs(there - middle) <= 1 + 1e-6).all()
    assert manifest(folder)["plan"]["picture"] == [640, 480]
    assert manifest(folder)["settings"]["cut_from"] == "640x480"


@pytest.fixture(scope="module")
def off_axis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("off-axis") / "dataset"
    return made(folder, centre="mean", off_axis=20.0, randomize=CLUTTER)


def mirrored(entries: list[dict[str, Any]]) -> None:
    entries[0]["cam_t_m2c"][0] *= -1


def on_the_axis(entries: list[dict[str, Any]]) -> None:
    entries[0]["cam_t_m2c"][:2] = [0.0, 0.0]


def by_a_camera_that_turned(entries: list[dict[str, Any]]) -> None:
    """The rotation that a camera would see which looks straight at the object."""
    translation = np.array(entries[0]["cam_t_m2c"])
    ray = translation / np.linalg.norm(translation)
    axis = np.cross([0, 0, 1], ray)
    turn = cv2.Rodrigues(axis * np.arcsin(np.linalg.norm(axis)) / np.linalg.norm(axis))[0]
    turned = turn.T @ np.reshape(entries[0]["cam_R_m2c"], (3, 3))
    entries[0]["cam_R_m2c"] = turned.ravel().tolist()


def principal_point_in_the_middle(entry: dict[str, Any]) -> None:
    entry["cam_K"][2] = entry["cam_K"][5] = 31.5


def principal_point_mirrored(entry: dict[str, Any]) -> None:
    entry["cam_K"][2] = 63.0 - entry["cam_K"][2]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scene_gt", mirrored),
        ("scene_gt", on_the_axis),
        ("scene_gt", by_a_camera_that_turned),
        ("scene_camera", principal_point_in_the_middle),
        ("scene_camera", principal_point_mirrored),
    ],
)
def test_poses_and_cameras_that_are_not_of_one_view_are_found(
    name: str, change: Any, off_axis: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(off_axis, tmp_path / "dataset"))
    Scene(folder).change_json(name, 5, change)
    sign_again(folder)
    assert "000005" in complaint(folder)


def test_a_centre_depth_of_another_point_is_found(off_axis: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(off_axis, tmp_path / "dataset"))
    file = folder / "manifest.json"
    described = manifest(folder)
    del described["plan"]["centre"]
    file.write_text(json.dumps(described))
    sign_again(folder)
    assert "centre_depth that the other files do not have" in complaint(folder)


def test_a_manifest_with_a_centre_that_there_is_not_is_refused(
    off_axis: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(off_axis, tmp_path / "dataset"))
    for centre in ("middle", 3, None, ["mean"], {"mean": 1}):
        described = manifest(folder)
        described["plan"]["centre"] = centre
        (folder / "manifest.json").write_text(json.dumps(described))
        with pytest.raises(DatasetError, match=r"manifest\.json"):
            verify(folder, workers=1)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"centre": "box"}, r'plan\.centre "mean" there, "box" here|plan\.centre only there'),
        ({"off_axis": 21.0}, r"plan\.off_axis 20\.0 there, 21\.0 here"),
        ({"off_axis": 0.0}, r"plan\.off_axis only there"),
        ({"cut_from": "640x480"}, r"plan\.picture only here"),
    ],
)
def test_another_cut_in_the_same_folder_is_refused_with_the_difference(
    changes: dict[str, Any], difference: str, off_axis: Path
) -> None:
    before = tree_hash(off_axis)
    settings = {"centre": "mean", "off_axis": 20.0, "randomize": CLUTTER} | changes
    with pytest.raises(DatasetError, match=rf"holds another run \(.*({difference})"):
        generate(config(off_axis, **settings))
    assert tree_hash(off_axis) == before


@pytest.mark.parametrize("name", ["mean", "camera"])
def test_a_damaged_shard_is_made_again_as_it_was(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "dataset", **CUTS[name])
    before = tree_hash(folder)
    (folder / "train/000000/depth/000003.png").write_bytes(b"")
    found = verify(folder, workers=1)
    assert [file.path.name for file in found.bad] == ["000003.png"]
    repair(found, workers=1)
    assert tree_hash(folder) == before


def test_a_run_continues_off_the_axis_where_it_was_stopped(tmp_path: Path) -> None:
    settings = {"objects": ("ape",), "n": 260, "centre": "mean", "off_axis": 30.0}
    made(tmp_path / "whole", **settings)

    def stop_after_first_shard(done: int, total: int) -> None:
        if done > 250:
            raise KeyboardInterrupt

    stopped = config(tmp_path / "stopped", **settings)
    with pytest.raises(KeyboardInterrupt):
        generate(stopped, stop_after_first_shard)
    assert generate(stopped).crops_made == 10
    assert tree_hash(tmp_path / "stopped") == tree_hash(tmp_path / "whole")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"randomize": "strong"},
        {"viewpoints": "so3"},
        {"rectified": True},
        {"frames": "160x120", "objects_per_frame": 3, "n": 2},
    ],
)
def test_what_is_the_case_where_nothing_is_given_may_also_be_given(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    made(tmp_path / "nothing", **settings)
    given: dict[str, Any] = {"window": 200.0}
    if "frames" not in settings:
        given |= {"centre": "box", "off_axis": 0.0}
    made(tmp_path / "given", **settings, **given)
    assert tree_hash(tmp_path / "nothing") == tree_hash(tmp_path / "given")
    described = manifest(tmp_path / "nothing")
    later = {"centre", "off_axis", "cut_from", "picture"}
    assert not later & (described["settings"].keys() | described["plan"].keys())
    assert described["settings"]["window"] == 200.0


MEAN_10 = {"centre": "mean", "window_mm": 250.0, "off_axis_degrees": 10.0, "pixels": 120}


def test_an_adapter_brings_the_cut_that_it_learnt_from(tmp_path: Path) -> None:
    adapter = adapter_with(tmp_path / "adapter", MEAN_10, window_mm=250.0)
    assert read_info(Path(adapter)).cut == TargetCut("mean", 250.0, 10.0, 120)
    left = config(tmp_path / "left", adapter=adapter)
    assert generate(left).notes == ()
    described = manifest(tmp_path / "left")
    assert described["plan"]["centre"] == "mean"
    assert described["plan"]["off_axis"] == 10.0
    assert described["plan"]["window"] == 250.0
    points = shown_points(tmp_path / "left", "mean")
    pixels = np.array([k @ p for k, p in zip(cameras(tmp_path / "left"), points, strict=True)])
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], 32, atol=1e-3)
    assert verify(tmp_path / "left", workers=1).bad == ()
    given = config(
        tmp_path / "given", adapter=adapter, centre="mean", off_axis=10.0, window=250.0
    )  # fmt: skip
    assert generate(given).notes == ()
    assert tree_hash(tmp_path / "left") == tree_hash(tmp_path / "given")


@pytest.mark.several_seconds
def test_workers_take_the_adapters_cut_too(tmp_path: Path) -> None:
    adapter = adapter_with(tmp_path / "adapter", MEAN_10)
    settings = {"adapter": adapter, "objects": ("ape",), "n": 260}
    made(tmp_path / "one", **settings, workers=1)
    made(tmp_path / "two", **settings, workers=2)
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")


def test_flags_win_over_an_adapters_cut_and_that_is_said(tmp_path: Path) -> None:
    adapter = adapter_with(tmp_path / "adapter", MEAN_10, window_mm=250.0)
    changed = {"centre": "box", "off_axis": 0.0, "window": 200.0}
    run = config(tmp_path / "run", adapter=adapter, **changed)
    (note,) = generate(run).notes
    for difference in (
        "`centre` box in place of mean", "`off_axis` 0 in place of 10",
        "`window` 200 in place of 250",
    ):  # fmt: skip
        assert difference in note
    points = shown_points(tmp_path / "run", "box")
    np.testing.assert_allclose(points[:, :2], 0, atol=1e-3)
    picture = config(tmp_path / "picture", adapter=adapter, cut_from="640x480", n=3)
    (note,) = generate(picture).notes
    assert "(`cut_from`)" in note
    assert manifest(tmp_path / "picture")["plan"]["centre"] == "mean"


@pytest.mark.parametrize(
    "changes", [{}, {"centre": "box", "off_axis": 0.0}, {"cut_from": "640x480"}]
)
def test_a_run_of_an_adapter_with_a_cut_is_repaired_and_continued_as_it_was_given(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    adapter = adapter_with(tmp_path / "adapter", MEAN_10)
    folder = made(tmp_path / "dataset", adapter=adapter, **changes)
    before = tree_hash(folder)
    (folder / "train/000000/rgb/000003.png").write_bytes(b"")
    repair(verify(folder, workers=1), workers=1)
    assert tree_hash(folder) == before
    assert generate(config(folder, adapter=adapter, **changes)).crops_made == 0


def test_an_adapter_that_says_nothing_of_its_cut_changes_nothing(tmp_path: Path) -> None:
    settings = {"n": 4, "objects": ("ape", "cat")}
    adapter = adapter_with(tmp_path / "adapter", None)
    assert read_info(Path(adapter)).cut is None
    made(tmp_path / "silent", adapter=adapter, **settings)
    described = manifest(tmp_path / "silent")["plan"]
    assert "centre" not in described
    assert "off_axis" not in described
    points = shown_points(tmp_path / "silent", "box")
    np.testing.assert_allclose(points[:, :2], 0, atol=1e-3)
    boxed = made(tmp_path / "boxed", adapter=adapter, centre="box", off_axis=0.0, **settings)
    assert tree_hash(boxed) == tree_hash(tmp_path / "silent")


def test_one_crop_by_itself_is_the_runs(off_axis: Path, tmp_path: Path) -> None:
    settings = config(
        tmp_path / "d", centre="mean", off_axis=20.0, randomize=CLUTTER
    )  # fmt: skip
    alone = make_only(settings, 7)
    (picture,) = alone.rglob("rgb/*.png")
    whole = off_axis / "train/000000/rgb/000007.png"
    assert picture.read_bytes() == whole.read_bytes()


def test_linemods_preset_is_the_cut_of_linemods_crops() -> None:
    plan = RunConfig(objects=("ape",), n=1, **PRESETS["linemod"]).fitted_to(None).planner.config
    assert (plan.centre, plan.off_axis, plan.window, plan.picture) == ("mean", 10.0, 200.0, None)
    paper = RunConfig(**PRESETS["linemod-paper"]).planner.config
    assert (paper.centre, paper.off_axis) == ("mean", 0.0)


def test_objects_far_from_their_origin_are_noted_where_that_is_the_middle(tmp_path: Path) -> None:
    far = trimesh.creation.box((60, 40, 30))
    far.apply_translation((0, 150, 0))
    far.export(tmp_path / "part.stl")
    objects = (f"widget={tmp_path / 'part.stl'}",)
    run = config(tmp_path / "d", objects=objects, n=2, centre="origin", units="mm")
    (note,) = generate(run).notes
    assert "the origin of widget lies 150 mm from its middle" in note
    assert "`centre` box" in note
    run = config(tmp_path / "e", objects=objects, n=2, centre="mean", units="mm")
    assert generate(run).notes == ()


def test_a_mean_far_from_the_middle_is_no_origin(tmp_path: Path) -> None:
    """Most vertices are at one end of a long part; its mean is still within it."""
    knob = trimesh.creation.icosphere(4, 20.0)
    rod = trimesh.creation.box((10, 10, 400))
    rod.apply_translation((0, 0, 200))
    trimesh.util.concatenate([knob, rod]).export(tmp_path / "part.stl")
    objects = (f"rod={tmp_path / 'part.stl'}",)
    run = config(tmp_path / "d", objects=objects, n=2, centre="mean", units="mm")
    (note,) = generate(run).notes
    assert "to see it whole" in note


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"centre": "top"}, "`centre` is top"),
        ({"centre": ""}, "`centre` is '': it must be mean, box, origin or visible"),
        ({"cut_from": "640x480", "camera": ()}, r"`camera` is \(\)"),
        ({"off_axis": 90.0}, "`off_axis` is 90"),
        ({"cut_from": "640"}, "`cut_from` is 640: it must be width x height, as in 640x480"),
        ({"cut_from": "\u0663x\u0663"}, "`cut_from` is"),
        ({"cut_from": "4x480"}, "`cut_from` is 4x480"),
        (
            {"cut_from": "90x90", "camera": (572.0, 572.0, 45.0, 45.0)},
            r"`window` 200 covers \d+ pixels at 650 mm",
        ),
        ({"camera": (500.0, 500.0, 320.0, 240.0)}, "`camera` is for `frames` or `cut_from`"),
        ({"cut_from": "640x480", "camera": (0.0, 500.0, 320.0, 240.0)}, "`camera` is"),
        ({"frames": "160x120", "centre": "mean"}, "`centre` is for crops"),
        ({"frames": "160x120", "centre": "box"}, "`centre` is for crops"),
        ({"frames": "160x120", "off_axis": 5.0}, "`off_axis` is for crops"),
        ({"frames": "160x120", "cut_from": "640x480"}, "`cut_from` is for crops"),
        ({"frames": "160x120", "window": 100.0}, "`window` is for crops"),
    ],
)
def test_cuts_that_cannot_be_are_refused_by_their_flags(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        RunConfig(objects=("ape",), n=3, adapter="none", **settings)
