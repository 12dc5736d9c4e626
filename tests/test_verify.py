"""Verification: what is as it was written passes, and whatever is not is named."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render_adapt import DatasetError, RunConfig, Verification, generate, repair, verify
from renderer import RANDOMIZATIONS
from tests.test_dataset import tree_hash

CLUTTER = dataclasses.replace(
    RANDOMIZATIONS["linemod"], occluders=(0, 2), neighbours=(0, 2), off_centre=0.3, zoom=(0.9, 1.4)
)
FORMATS = ("bop", "bop-webdataset")


def made(out: Path, **changes: Any) -> Path:
    settings = {
        "objects": ("ape", "benchvise", "bowl"), "n": 12, "seed": 3, "workers": 1,
        "adapter": "none", "randomize": CLUTTER, "format": FORMATS, "out": out,
    }  # fmt: skip
    generate(RunConfig(**{**settings, **changes}))
    return out


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cluttered crops in both formats."""
    return made(tmp_path_factory.mktemp("sound") / "dataset")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many kinds of files, of fewer crops."""
    return made(tmp_path_factory.mktemp("few") / "dataset", n=3)


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "dataset"))


def check(folder: Path) -> Verification:
    return verify(folder, workers=1)


def sign_again(folder: Path) -> None:
    """Make all hashes fit what is there now, so that only the labels can speak."""
    listing = folder / "shards/000000.sha256"
    names = [line.split("  ")[1] for line in listing.read_text().splitlines()]
    listing.write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))
    entry = folder / "shards/000000.json"
    content = json.loads(entry.read_text()) | {"sha256": sha256(listing)}
    entry.write_text(json.dumps(content, sort_keys=True) + "\n")
    outermost = folder / "dataset.sha256"
    names = [line.split("  ")[1] for line in outermost.read_text().splitlines()]
    outermost.write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"adapter": "shipped", "format": ("bop",)},
        {"randomize": "strong"},
        {"randomize": dataclasses.replace(CLUTTER, depth_sensor="gaussian")},
        {"frames": "160x120", "n": 3, "objects_per_frame": 5, "randomize": "linemod"},
        {"size": 128, "adapter": "shipped", "n": 4, "randomize": "linemod"},
    ],
    ids=["both formats", "adapted", "strong", "gaussian", "frames", "128"],
)
def test_what_a_run_makes_is_sound(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = made(tmp_path / "dataset", **changes)
    before = tree_hash(folder)
    found = check(folder)
    assert found.bad == ()
    assert found.crops == changes.get("n", 12)
    assert tree_hash(folder) == before


def test_sha256sum_agrees(sound: Path) -> None:
    """An independent judge of the lists: every file but the outermost list is in one of them."""
    lists = [sound / "dataset.sha256", *sound.glob("shards/*.sha256")]
    listed = "".join(path.read_text() for path in lists)
    subprocess.run(
        ["sha256sum", "--check", "--quiet"], cwd=sound, input=listed.encode(), check=True
    )
    names = {line.split("  ")[1] for line in listed.splitlines()}
    files = {path.relative_to(sound).as_posix() for path in sound.rglob("*") if path.is_file()}
    assert files - names == {"dataset.sha256"}


def complaint(folder: Path) -> str:
    """What is said of the first bad file; nothing of a sound dataset."""
    try:
        bad = check(folder).bad
    except DatasetError as error:
        return str(error)
    return f"{bad[0].path} {bad[0].problem}" if bad else ""


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_changed_byte_is_found_and_its_file_named(data: st.DataObject, few: Path) -> None:
    path = data.draw(st.sampled_from(sorted(path for path in few.rglob("*") if path.is_file())))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytes([content[at] ^ data.draw(st.integers(1, 255))])
    try:
        path.write_bytes(content[:at] + changed + content[at + 1 :])
        said = complaint(few)
        # A wrong hash in the outermost list speaks against the file that it is of.
        assert str(few) in said if path.name == "dataset.sha256" else str(path) in said
    finally:
        path.write_bytes(content)


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_any_missing_file_is_named(data: st.DataObject, few: Path) -> None:
    path = data.draw(st.sampled_from(sorted(path for path in few.rglob("*") if path.is_file())))
    away = few.parent / "away"
    try:
        path.rename(away)
        said = complaint(few)
        assert path.name in said
        assert " it has no manifest" in said or "is not there" in said
    finally:
        away.rename(path)


class Scene:
    """The scene of a dataset, to be changed."""

    def __init__(self, dataset: Path) -> None:
        self.folder = dataset / "train/000000"
        self.index = dataset / "index/000000.parquet"

    def change_json(self, name: str, image: int, change: Callable[[Any], None]) -> None:
        path = self.folder / f"{name}.json"
        content = json.loads(path.read_text())
        change(content[str(image)])
        rows = (f"  {json.dumps(key)}: {json.dumps(content[key])}" for key in content)
        path.write_text("{\n" + ",\n".join(rows) + "\n}\n")

    def change_picture(self, name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
        path = str(self.folder / name)
        picture = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        changed = change(picture)
        cv2.imwrite(path, picture if changed is None else changed)

    def change_index(self, image: int, change: Callable[[dict[str, Any]], None]) -> None:
        table = parquet.read_table(self.index)
        rows = table.to_pylist()
        change(rows[image])
        parquet.write_table(arrow.Table.from_pylist(rows, schema=table.schema), self.index)

    def drop_column(self, name: str) -> None:
        parquet.write_table(parquet.read_table(self.index).drop_columns([name]), self.index)

    def others(self) -> int:
        """An image in which something stands beside the target."""
        gt = json.loads((self.folder / "scene_gt.json").read_text())
        return next(int(image) for image, entries in gt.items() if len(entries) > 1)


def shift_k(scene: Scene, pixels: float) -> None:
    """In all files alike."""

    def in_camera(entry: dict[str, Any]) -> None:
        entry["cam_K"][2] += pixels

    def in_index(row: dict[str, Any]) -> None:
        row["camera_matrix"][2] += pixels
        row["box_corners"][::2] = [u + pixels for u in row["box_corners"][::2]]

    scene.change_json("scene_camera", 4, in_camera)
    scene.change_index(4, in_index)


def set_entry(name: str, value: Any, instance: int = 0) -> Callable[[list[dict[str, Any]]], None]:
    return lambda entries: entries[instance].update({name: value})


def scale_entry(name: str, by: float) -> Callable[[list[dict[str, Any]]], None]:
    def change(entries: list[dict[str, Any]]) -> None:
        entries[0][name] = [by * value for value in entries[0][name]]

    return change


def turn_other(scene: Scene, degrees: float) -> str:
    image, turn = scene.others(), cv2.Rodrigues(np.radians([0.0, 0.0, degrees]))[0]

    def change(entries: list[dict[str, Any]]) -> None:
        turned = turn @ np.reshape(entries[1]["cam_R_m2c"], (3, 3))
        entries[1]["cam_R_m2c"] = turned.ravel().tolist()

    scene.change_json("scene_gt", image, change)
    return f"mask/{image:06d}_000001.png"


def flip_a_pixel(picture: np.ndarray) -> None:
    """In the midst of what is set."""
    inner = cv2.erode(picture, np.ones((3, 3), np.uint8))
    row, column = np.argwhere(inner)[0]
    picture[row, column] = 0


def cut(scene: Scene, image: int) -> None:
    """All pictures of an image alike, so that they fit together."""
    for path in scene.folder.glob(f"*/{image:06d}*.png"):
        scene.change_picture(path.relative_to(scene.folder).as_posix(), lambda p: p[:32, :32])


def raise_a_pixel(picture: np.ndarray) -> None:
    row, column = np.argwhere(picture)[len(np.argwhere(picture)) // 2]
    picture[row, column] += 3


def in_coco(scene: Scene, name: str, value: Any) -> None:
    path = scene.folder / "scene_gt_coco.json"
    content = json.loads(path.read_text())
    content["annotations"][2][name] = value
    path.write_text(json.dumps(content))


def quaternion(change: Callable[[list[float]], list[float]]) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update(quaternion=change(row["quaternion"]))


FAULTS: dict[str, tuple[str, Callable[[Scene], object]]] = {
    "half a pixel": ("mask/000004_000000.png", lambda s: shift_k(s, 0.5)),
    "a tenth of a pixel": ("mask/000004_000000.png", lambda s: shift_k(s, 0.1)),
    "a shifted mask": (
        "mask/000003_000000.png",
        lambda s: s.change_picture("mask/000003_000000.png", lambda m: np.roll(m, 1, axis=1)),
    ),
    "a hole in a mask": (
        "mask/000003_000000.png",
        lambda s: s.change_picture("mask/000003_000000.png", flip_a_pixel),
    ),
    "a hole in what is seen": (
        "mask_visib/000003_000000.png",
        lambda s: s.change_picture("mask_visib/000003_000000.png", flip_a_pixel),
    ),
    "an empty mask": (
        "mask/000003_000000.png",
        lambda s: s.change_picture("mask/000003_000000.png", np.zeros_like),
    ),
    "depth off by a step": (
        "depth/000002.png",
        lambda s: s.change_picture("depth/000002.png", raise_a_pixel),
    ),
    "depth of another image": (
        "depth/000002.png",
        lambda s: shutil.copy(s.folder / "depth/000003.png", s.folder / "depth/000002.png"),
    ),
    "an image of another size": ("depth/000002.png", lambda s: cut(s, 2)),
    "metres": (
        "depth/000002.png",
        lambda s: s.change_json("scene_camera", 2, lambda e: e.update(depth_scale=1e-4)),
    ),
    "a scaled rotation": (
        "scene_gt.json", lambda s: s.change_json("scene_gt", 1, scale_entry("cam_R_m2c", 1.001)),
    ),
    "a mirrored rotation": (
        "scene_gt.json", lambda s: s.change_json("scene_gt", 1, scale_entry("cam_R_m2c", -1)),
    ),
    "a pose behind the camera": (
        "scene_gt.json", lambda s: s.change_json("scene_gt", 1, scale_entry("cam_t_m2c", -1)),
    ),
    "no number": (
        "scene_gt.json",
        lambda s: s.change_json("scene_gt", 1, scale_entry("cam_t_m2c", float("nan"))),
    ),
    "text for numbers": (
        "scene_gt.json", lambda s: s.change_json("scene_gt", 1, set_entry("cam_t_m2c", "abc")),
    ),
    "an unknown object": (
        "scene_gt.json", lambda s: s.change_json("scene_gt", 1, set_entry("obj_id", 77)),
    ),
    "a mirrored K": (
        "scene_camera.json",
        lambda s: s.change_json("scene_camera", 1, lambda e: e["cam_K"].__setitem__(0, -600.0)),
    ),
    "a box": (
        "scene_gt_info.json",
        lambda s: s.change_json("scene_gt_info", 5, set_entry("bbox_visib", [1, 2, 3, 4])),
    ),
    "a box beyond the border": (
        "scene_gt_info.json",
        lambda s: s.change_json("scene_gt_info", 5, set_entry("bbox_obj", [1, 2, 3, 4])),
    ),
    "a fraction": (
        "scene_gt_info.json",
        lambda s: s.change_json("scene_gt_info", 5, set_entry("visib_fract", 0.123)),
    ),
    "a count": (
        "scene_gt_info.json",
        lambda s: s.change_json("scene_gt_info", 5, set_entry("px_count_all", 20000)),
    ),
    "a COCO box": ("scene_gt_coco.json", lambda s: in_coco(s, "bbox", [1, 2, 3, 4])),
    "no COCO file": (
        "scene_gt_coco.json",
        lambda s: (s.folder / "scene_gt_coco.json").write_text('{"annotations": 3}'),
    ),
    "an index without the run's seed": ("000000.parquet", lambda s: s.drop_column("seed")),
    "an index without poses": ("000000.parquet", lambda s: s.drop_column("quaternion")),
    "a COCO category": ("scene_gt_coco.json", lambda s: in_coco(s, "category_id", 9)),
    "a COCO image": ("scene_gt_coco.json", lambda s: in_coco(s, "image_id", 9)),
    "a long quaternion": (
        "000000.parquet", lambda s: s.change_index(7, quaternion(lambda q: [1.01 * v for v in q])),
    ),
    "a negative w": (
        "000000.parquet", lambda s: s.change_index(7, quaternion(lambda q: [-v for v in q])),
    ),
    "x, y, z, w": (
        "000000.parquet", lambda s: s.change_index(7, quaternion(lambda q: [*q[1:], q[0]])),
    ),
    "a translation": (
        "000000.parquet", lambda s: s.change_index(7, lambda r: r.update(translation=[0, 0, 1])),
    ),
    "a number in the index": (
        "000000.parquet", lambda s: s.change_index(7, lambda r: r.update(index=300)),
    ),
    "an empty cell": (
        "000000.parquet", lambda s: s.change_index(7, lambda r: r.update(quaternion=None)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_labels_that_are_not_true_are_found_though_all_hashes_fit(name: str, dataset: Path) -> None:
    file, plant = FAULTS[name]
    plant(Scene(dataset))
    sign_again(dataset)
    (bad,) = check(dataset).bad
    assert str(bad.path).endswith(file), bad


def test_another_object_that_turned_a_little_is_found(dataset: Path) -> None:
    mask = turn_other(Scene(dataset), 3)
    sign_again(dataset)
    (bad,) = check(dataset).bad
    assert str(bad.path).endswith(mask), bad


def test_a_trace_of_a_pixel_may_be_rounding(tmp_path: Path) -> None:
    dataset = made(tmp_path / "d", format=("bop",))
    shift_k(Scene(dataset), 0.002)
    sign_again(dataset)
    assert check(dataset).bad == ()


def test_labels_in_tar_files_are_checked_too(sound: Path, tmp_path: Path) -> None:
    """A mask is moved down by a pixel."""
    dataset = made(tmp_path / "web", format=("bop-webdataset",))
    path = dataset / "train_web/shard-000000.tar"
    with tarfile.open(path) as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive}
    moved = "000000_000002.mask.json"
    masks = json.loads(contents[moved])
    masks["0"]["counts"][0] += 1
    masks["0"]["counts"][-1] -= 1
    contents[moved] = json.dumps(masks).encode()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    sign_again(dataset)
    (bad,) = check(dataset).bad
    assert bad.path.name == f"shard-000000.tar ({moved})"


def test_adapted_depth_must_be_about_where_the_pose_is(tmp_path: Path) -> None:
    dataset = made(tmp_path / "adapted", adapter="shipped", randomize="linemod", format=("bop",))
    scene = Scene(dataset)

    def push(picture: np.ndarray) -> np.ndarray:
        return np.where(picture, picture + np.uint16(1500), 0).astype(np.uint16)

    scene.change_picture("depth/000006.png", push)
    sign_again(dataset)
    (bad,) = check(dataset).bad
    assert bad.path.name == "000006.png"
    assert re.match(r"is 1[4-6]\d\.\d mm off", bad.problem)


def test_repair_makes_the_bad_anew_with_the_same_bytes(dataset: Path) -> None:
    before = tree_hash(dataset)
    (dataset / "train/000000/rgb/000003.png").unlink()
    (dataset / "models/obj_000001.ply").write_bytes(b"ply")
    (dataset / "shards/000000.json").write_text("{")
    found = check(dataset)
    assert [(bad.path.name, bad.shard) for bad in found.bad] == [
        ("obj_000001.ply", None), ("000000.json", 0),
    ]  # fmt: skip
    repair(found, workers=1)
    assert check(dataset).bad == ()
    assert tree_hash(dataset) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"stop": 11}, "is the entry of another shard"),
        ({"start": 1}, "is the entry of another shard"),
        ({"shard": 1}, "is no entry of a shard"),
        ({"redrawn": 7, "dropped": 6}, "is no entry of a shard"),
        ({"redrawn": "none"}, "is no entry of a shard"),
    ],
)
def test_an_entry_that_is_not_of_its_shard_is_named(
    change: dict[str, Any], problem: str, dataset: Path
) -> None:
    path = dataset / "shards/000000.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert complaint(dataset) == f"{path} {problem}"


@pytest.mark.parametrize("name", ["shards/000000.json", "shards/000000.sha256"])
def test_what_the_outermost_list_leaves_out_is_named(name: str, dataset: Path) -> None:
    path = dataset / "dataset.sha256"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.endswith(f"  {name}\n")))
    assert complaint(dataset) == f"{path} does not list {name}"


@pytest.mark.parametrize("text", ["[1]", "3", "{", '"manifest"'])
def test_a_manifest_that_is_none_is_refused(text: str, dataset: Path) -> None:
    (dataset / "manifest.json").write_text(text)
    with pytest.raises(DatasetError, match=r"manifest\.json is damaged"):
        check(dataset)


@pytest.mark.parametrize(
    "change",
    [
        {"n": "many"}, {"n": 0}, {"n": 10**9}, {"shards": 2}, {"plan": None}, {"format": None},
        {"objects": []}, {"randomization": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_refused(change: dict[str, Any], dataset: Path) -> None:
    path = dataset / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DatasetError, match=r"manifest\.json is damaged"):
        check(dataset)


@pytest.mark.several_seconds
def test_a_run_that_was_stopped_is_not_sound(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 250:
            raise KeyboardInterrupt

    config = RunConfig(objects=("ape",), n=260, adapter="none", workers=1, out=tmp_path / "d")
    with pytest.raises(KeyboardInterrupt):
        generate(config, stop)
    found = check(tmp_path / "d")
    assert [(bad.path.name, bad.shard) for bad in found.bad] == [
        ("dataset.sha256", None), ("000001.json", 1),
    ]  # fmt: skip
    assert found.crops == 250
    repair(found, workers=1)
    assert check(tmp_path / "d").bad == ()
    generate(dataclasses.replace(config, out=tmp_path / "whole"))
    assert tree_hash(tmp_path / "d") == tree_hash(tmp_path / "whole")
