"""Crops to train on, out of a camera's frames: cut where, of what, and what is said of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from adapter import TargetCut, read_target
from cad_models import load_models
from checked_settings import RenderAdaptError
from render_adapt import CropTargetConfig, crop_target
from renderer import centre_points
from tests.command import run_command

WIDTH, HEIGHT, FOCAL = 320, 240, 400.0
CAMERA = (FOCAL, FOCAL, 159.5, 119.5)
LINEMOD_K = [572.4114, 0, 325.2611, 0, 573.57043, 242.04899, 0, 0, 1]
BOXES = {
    "frame_00": [(100, 60, 40, 30, "cat")],
    "frame_01": [(180, 90, 50, 50, "cat"), (60, 120, 20, 30, "ape")],
    "frame_02": [],
}
"""x, y, width, height and label in pixels, by frame."""
DISTANCE = 800.0


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def write_frames(folder: Path, *, depth: float | None = DISTANCE) -> Path:
    for seed, name in enumerate(BOXES):
        for part in ("rgb", "depth")[: 2 if depth else 1]:
            (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"rgb/{name}.png"), picture(seed))
        if depth:
            plane = np.full((HEIGHT, WIDTH), depth, np.uint16)
            plane[::4] = 0
            cv2.imwrite(str(folder / f"depth/{name}.png"), plane)
    return folder


def table(out: Path) -> list[dict[str, str]]:
    with (out / "crops.csv").open() as file:
        return list(csv.DictReader(file))


def windows(rows: list[dict[str, str]]) -> list[tuple[str, int, int, int]]:
    return [(row["frame"], int(row["left"]), int(row["top"]), int(row["side"])) for row in rows]


def expected_window(box: tuple[Any, ...], z: float = DISTANCE) -> tuple[int, int, int]:
    """LineMod's: left, top and side."""
    x, y, width, height, _ = box
    half = int(100.0 * FOCAL / z)
    return round(x + width / 2) - half, round(y + height / 2) - half, 2 * half


def as_coco() -> Mapping[str, Any]:
    images = [{"id": 10 + k, "file_name": f"data/rgb/{name}.png"} for k, name in enumerate(BOXES)]
    return {
        "images": images,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "ape"}],
        "annotations": [
            {"image_id": image["id"], "bbox": box[:4], "category_id": 1 + (box[4] == "ape")}
            for image, boxes in zip(images, BOXES.values(), strict=True)
            for box in boxes
        ],
    }


def as_results() -> list[Mapping[str, Any]]:
    """With the frames' numbers, and one of a low score."""
    return [
        {"image_id": number, "category_id": box[4], "bbox": list(box[:4]), "score": score}
        for number, boxes in enumerate(BOXES.values())
        for box in boxes
        for score in (0.9, 0.3)
    ]


def as_plain() -> Mapping[str, Any]:
    return {
        f"{name}.png": [{"box": box[:4], "label": box[4], "score": 0.8} for box in boxes]
        for name, boxes in BOXES.items()
    }


def write_yolo(folder: Path) -> Path:
    folder.mkdir()
    (folder / "classes.txt").write_text("ape\ncat\n")
    for name, boxes in BOXES.items():
        lines = []
        for x, y, w, h, label in boxes:
            shares = (x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT
            lines.append(" ".join(map(str, ((label == "cat") + 0, *shares))))
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_masks(folder: Path) -> Path:
    """Of each object one of its own, as BOP's."""
    folder.mkdir()
    for name, boxes in BOXES.items():
        for number, (x, y, w, h, _) in enumerate(boxes):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[y : y + h, x : x + w] = 255
            cv2.imwrite(str(folder / f"{name}_{number:06d}.png"), mask)
    return folder


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


WAYS: dict[str, Callable[[Path], dict[str, Path]]] = {
    "coco": lambda folder: {"boxes": write_json(folder / "coco.json", as_coco())},
    "results": lambda folder: {"boxes": write_json(folder / "results.json", as_results())},
    "plain": lambda folder: {"boxes": write_json(folder / "plain.json", as_plain())},
    "yolo": lambda folder: {"boxes": write_yolo(folder / "labels")},
    "masks": lambda folder: {"masks": write_masks(folder / "masks")},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_saying_where_objects_are_cuts_the_same(tmp_path: Path, way: str) -> None:
    frames = write_frames(tmp_path / "frames")
    where: Any = WAYS[way](tmp_path)
    out = tmp_path / "crops"
    summary = crop_target(CropTargetConfig(frames=frames, out=out, camera=CAMERA, **where))
    boxes = [(name, box) for name, of_frame in BOXES.items() for box in of_frame]
    rows = table(out)
    assert windows(rows) == [(f"rgb/{name}", *expected_window(box)) for name, box in boxes]
    for row in rows:
        left, top, side = (int(row[name]) for name in ("left", "top", "side"))
        window = np.s_[top : top + side, left : left + side]
        frame = cv2.imread(str(frames / f"{row['frame']}.png"))
        crop = cv2.imread(str(out / f"rgb/{row['crop']}.png"))
        np.testing.assert_array_equal(crop, frame[window])
        depth = cv2.imread(str(out / f"depth/{row['crop']}.png"), cv2.IMREAD_UNCHANGED)
        depth_file = frames / f"{row['frame'].replace('rgb', 'depth')}.png"
        of_frame = cv2.imread(str(depth_file), cv2.IMREAD_UNCHANGED)
        assert depth.dtype == np.uint16
        np.testing.assert_array_equal(depth, of_frame[window] * 10)
    if way != "masks":
        assert summary.by_object == {"cat": 2, "ape": 1}
    assert summary.by_source == {"rgb": 3}
    assert (summary.crops, summary.frames) == (3, 3)
    left_out = {one.reason: one.count for one in summary.report.left_out}
    assert left_out == {"frames without an object to cut": 1}
    assert any("25% of the crops' pixels have no depth" in note for note in summary.report.notes)


def test_a_training_reads_them_as_they_were_cut(tmp_path: Path) -> None:
    """20 crops of an object that is off the axis in all of them."""
    frames = tmp_path / "frames"
    for part in ("rgb", "depth"):
        (frames / part).mkdir(parents=True)
    boxes = {}
    for number in range(20):
        cv2.imwrite(str(frames / f"rgb/{number}.png"), picture(number))
        plane = np.full((HEIGHT, WIDTH), 0.7 + 0.01 * number, np.float32)
        cv2.imwrite(str(frames / f"depth/{number}.tiff"), plane)
        boxes[f"{number}.png"] = [{"box": [200, 100, 40, 40]}]
    where = write_json(tmp_path / "boxes.json", boxes)
    out = tmp_path / "crops"
    summary = crop_target(CropTargetConfig(frames=frames, out=out, boxes=where, camera=CAMERA))
    target = read_target(out)
    assert len(target) == 20
    assert target.report.left_out == ()
    assert target.report.crops == summary.report.crops
    assert target.report.depth_mm == summary.report.depth_mm
    assert target.centre_depth is not None
    np.testing.assert_allclose(target.centre_depth, 700.0 + 10 * np.arange(20), atol=0.01)
    np.testing.assert_allclose(target.images[:, 3], 0, atol=1e-3)
    angle = np.degrees(np.arctan(60 / FOCAL))
    assert target.cut == TargetCut(
        "visible", 200.0, pytest.approx(1.5 * angle, abs=0.06), pixels=100
    )
    assert summary.contact_sheet == tmp_path / "crops_sheet.png"
    assert cv2.imread(str(summary.contact_sheet)) is not None


def test_without_depth_an_objects_size_or_distance_says_how_large_a_window_is(
    tmp_path: Path,
) -> None:
    frames = write_frames(tmp_path / "frames", depth=None)
    boxes = write_json(tmp_path / "boxes.json", as_plain())

    def sides(name: str, **settings: Any) -> list[int]:
        out = tmp_path / name
        crop_target(CropTargetConfig(frames=frames, out=out, boxes=boxes, **settings))
        assert not (out / "depth").exists()
        assert "depth_scale" not in json.loads((out / "crops.json").read_text())
        return [int(row["side"]) for row in table(out)]

    assert sides("distance", distance=1000.0, camera=CAMERA) == [80, 80, 80]
    # 200 mm are 100 / 80 of half of a box whose 80 mm are 40 and 50 pixels, and 30 of 60 mm.
    assert sides("size", object_size=("cat=80", "ape=60")) == [100, 124, 100]
    assert sides("size-camera", object_size=("cat=80,ape=60",), camera=CAMERA) == [100, 124, 100]


def test_a_crops_json_beside_the_frames_says_how_to_cut(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames")
    cut = {"centre": "visible", "window_mm": 120, "off_axis_degrees": 3}
    write_json(frames / "crops.json", {"cut": cut, "depth_scale": 2.0})
    boxes = write_json(tmp_path / "boxes.json", as_plain())
    out = tmp_path / "crops"
    crop_target(CropTargetConfig(frames=frames, out=out, boxes=boxes, camera=CAMERA))
    assert {row["side"] for row in table(out)} == {str(2 * int(60 * FOCAL / 1600))}
    stated = json.loads((out / "crops.json").read_text())
    assert stated["cut"]["window_mm"] == 120
    assert set(stated["centre_depth"].values()) == {1600.0}


def test_only_some_objects_and_frames(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames")
    boxes = write_json(tmp_path / "boxes.json", as_plain())
    settings: Any = {"frames": frames, "boxes": boxes, "camera": CAMERA}
    some = crop_target(CropTargetConfig(out=tmp_path / "some", only=("ape",), **settings))
    assert some.by_object == {"ape": 1}
    second = crop_target(CropTargetConfig(out=tmp_path / "second", every=2, **settings))
    assert second.frames == 2
    assert second.by_object == {"cat": 1}


def test_the_frames_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for number in range(30):
        video.write(np.full((HEIGHT, WIDTH, 3), 8 * number, np.uint8))
    video.release()
    boxes = [
        {"image_id": number, "category_id": 7, "bbox": [100, 80, 40, 40]} for number in range(30)
    ]
    config = CropTargetConfig(
        frames=path, out=tmp_path / "crops", every=10, camera=CAMERA, distance=800.0,
        boxes=write_json(tmp_path / "boxes.json", boxes),
    )  # fmt: skip
    summary = crop_target(config)
    assert summary.by_source == {"clip.avi": 3}
    assert [row["frame"] for row in table(config.out)] == ["000000", "000010", "000020"]
    for number in range(3):
        crop = cv2.imread(str(config.out / f"rgb/{number:06d}.png"))
        assert crop.shape == (100, 100, 3)
        assert abs(float(crop.mean()) - 80 * number) < 3


def test_the_pictures_of_a_ros_bag(tmp_path: Path) -> None:
    """Colour, the depth that is nearest in time, and K are found by their topics' kinds."""
    pytest.importorskip("rosbags.highlevel")
    path = write_bag(tmp_path / "recording.bag")
    boxes = {f"{number:06d}": [{"box": [100, 80, 40, 40]}] for number in range(3)}
    config = CropTargetConfig(
        frames=path, out=tmp_path / "crops", boxes=write_json(tmp_path / "boxes.json", boxes)
    )
    crop_target(config)
    rows = table(config.out)
    assert [float(row["distance"]) for row in rows] == [800.0, 900.0, 1000.0]
    for number, row in enumerate(rows):
        left, top, side = (int(row[name]) for name in ("left", "top", "side"))
        assert (left + side // 2, top + side // 2) == (120, 100)
        crop = cv2.imread(str(config.out / f"rgb/{row['crop']}.png"))[..., ::-1]
        expected = picture(number)[top : top + side, left : left + side]
        np.testing.assert_array_equal(crop, expected)


def write_bag(path: Path) -> Path:
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    image, header = types["sensor_msgs/msg/Image"], types["std_msgs/msg/Header"]
    time, info = types["builtin_interfaces/msg/Time"], types["sensor_msgs/msg/CameraInfo"]
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([FOCAL, 0, 159.5, 0, FOCAL, 119.5, 0, 0, 1])

    def message(number: int, later: int, encoding: str, pixels: NDArray[Any]) -> Any:
        data = np.frombuffer(pixels.tobytes(), np.uint8)
        stamp = time(sec=10 + number, nanosec=later)
        return image(
            header(number, stamp, "camera"), HEIGHT, WIDTH, encoding, 0, len(data) // HEIGHT, data
        )

    with Writer(path) as writer:
        topics = {
            "/camera/color/image_raw": "sensor_msgs/msg/Image",
            "/camera/aligned_depth_to_color/image_raw": "sensor_msgs/msg/Image",
            "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
        }
        connections = [
            writer.add_connection(topic, kind, typestore=store) for topic, kind in topics.items()
        ]
        for number in range(3):
            plane = np.full((HEIGHT, WIDTH), 800 + 100 * number, np.uint16)
            of_camera = info(
                header(number, time(sec=10 + number, nanosec=0), "camera"), HEIGHT, WIDTH, "",
                np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, region,
            )  # fmt: skip
            messages = [
                message(number, 0, "rgb8", picture(number)),
                message(number, 9_000_000, "16UC1", plane),
                of_camera,
            ]
            for later, (connection, content) in enumerate(zip(connections, messages, strict=True)):
                raw = store.serialize_ros1(content, connection.msgtype)
                writer.write(connection, (10 + number) * 1_000_000_000 + later, raw)
    return path


def vertices_mean(path: Path) -> NDArray[np.float64]:
    """Of an ASCII PLY file, each place counted once."""
    lines = path.read_text().splitlines()
    count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    start = lines.index("end_header") + 1
    rows = [tuple(map(float, line.split()[:3])) for line in lines[start : start + count]]
    return np.array(sorted(set(rows))).mean(axis=0)


def test_lm_os_frames_are_cut_as_linemods_crops_are(tmp_path: Path, data_dir: Path) -> None:
    """By the rule of the data's README, computed here from its files alone."""
    scene, models = data_dir / "lmo/test/000002", data_dir / "linemod/models"
    out = tmp_path / "crops"
    summary = crop_target(CropTargetConfig(frames=scene, out=out, models=models))
    truths = json.loads((scene / "scene_gt.json").read_text())
    infos = json.loads((scene / "scene_gt_info.json").read_text())
    k = np.array(LINEMOD_K).reshape(3, 3)
    means = {
        object_id: vertices_mean(models / f"obj_{object_id:06d}.ply")
        for object_id in {entry["obj_id"] for entries in truths.values() for entry in entries}
    }
    expected = []
    for image in sorted(truths, key=int):
        for entry, info in zip(truths[image], infos[image], strict=True):
            rotation = np.array(entry["cam_R_m2c"]).reshape(3, 3)
            place = rotation @ means[entry["obj_id"]] + entry["cam_t_m2c"]
            u, v, z = k @ place
            half = int(100 * k[0, 0] / place[2])
            # The window's middle is the pixel border that is next to the projected point.
            left, top = round(u / z + 0.5) - half, round(v / z + 0.5) - half
            inside = min(left, top) >= 0 and left + 2 * half <= 640 and top + 2 * half <= 480
            if info["visib_fract"] >= 0.1 and inside:
                expected.append((f"rgb/{int(image):06d}", left, top, 2 * half))
    found = windows(table(out))
    assert found == expected
    assert summary.crops == len(found) == 267
    crops = sorted((out / "rgb").iterdir())
    for (name, left, top, side), crop in list(zip(found, crops, strict=True))[::9]:
        frame = cv2.imread(str(scene / f"{name}.jpg"))
        np.testing.assert_array_equal(
            cv2.imread(str(crop)), frame[top : top + side, left : left + side]
        )


@pytest.mark.parametrize(("image", "split"), [(1, "train"), (8, "train"), (16, "test")])
def test_linemods_own_crops_are_a_pixel_above_and_left(
    tmp_path: Path, data_dir: Path, image: int, split: str
) -> None:
    """They were cut from the same frames, with the point rounded down: half a pixel off its place
    on average, where ours are not. Nothing else differs: size, and pixels."""
    linemod = data_dir / "linemod"
    scene = dpod_scene(tmp_path / "scene", linemod / "frames/dpod/06", image)
    out = tmp_path / "crops"
    crop_target(CropTargetConfig(frames=scene, out=out, models=linemod / "models"))
    (row,) = table(out)
    left, top, side = (int(row[name]) for name in ("left", "top", "side"))
    frame = cv2.imread(str(linemod / f"frames/dpod/06/rgb/{image:04d}.png"))
    real = cv2.imread(str(linemod / f"crops/{split}/cat/{image:04d}.png")).astype(float)
    differences = {}
    for across in range(-3, 4):
        for down in range(-3, 4):
            x, y = left + across, top + down
            small = cv2.resize(frame[y : y + side, x : x + side], (64, 64))
            differences[across, down] = float(np.abs(small - real).mean())
    assert min(differences, key=differences.__getitem__) == (-1, -1)
    assert (
        differences[-1, -1]
        < 1.5
        < 4
        < min(value for shift, value in differences.items() if shift != (-1, -1))
    )


def dpod_scene(scene: Path, sequence: Path, image: int) -> Path:
    """A BOP scene of one frame, whose pose is read off the sequence's list."""
    lines = (sequence / "gt.yml").read_text().splitlines()
    at = lines.index(f"{image}:")
    numbers = [json.loads(line.split(":", 1)[1]) for line in lines[at + 1 : at + 3]]
    (scene / "rgb").mkdir(parents=True)
    shutil.copy(sequence / f"rgb/{image:04d}.png", scene / f"rgb/{image:06d}.png")
    pose = {"cam_R_m2c": numbers[0], "cam_t_m2c": numbers[1], "obj_id": 6}
    write_json(scene / "scene_gt.json", {str(image): [pose]})
    write_json(scene / "scene_camera.json", {str(image): {"cam_K": LINEMOD_K}})
    return scene


def test_depth_that_disagrees_with_poses_is_doubted(tmp_path: Path, data_dir: Path) -> None:
    """LM-O's depth is right as it is, and a doubt in steps of twice their size."""
    scene = tmp_path / "scene"
    source = data_dir / "linemod/frames/sam6d_lmo_frame3"
    for name in ("rgb", "depth"):
        (scene / name).mkdir(parents=True)
        shutil.copy(source / f"{name}.png", scene / f"{name}/000003.png")
    truth = json.loads((data_dir / "lmo/test/000002/scene_gt.json").read_text())["3"]
    write_json(scene / "scene_gt.json", {"3": truth})

    def notes(scale: float) -> str:
        camera = {"cam_K": LINEMOD_K, "depth_scale": scale}
        write_json(scene / "scene_camera.json", {"3": camera})
        config = CropTargetConfig(frames=scene, out=tmp_path / f"crops{scale}")
        return "; ".join(crop_target(config).report.notes)

    assert "are said to be" not in notes(1.0)
    assert "from where their objects are said to be" in notes(2.0)


def test_visible_boxes_of_bop_poses(tmp_path: Path, data_dir: Path) -> None:
    scene = data_dir / "lmo/test/000002"
    out = tmp_path / "crops"
    crop_target(CropTargetConfig(frames=scene, out=out, centre="visible", only=("1",)))
    info = json.loads((scene / "scene_gt_info.json").read_text())["3"][0]
    x, y, width, height = info["bbox_visib"]
    first = table(out)[0]
    middle = [int(first[name]) + int(first["side"]) / 2 for name in ("left", "top")]
    np.testing.assert_allclose(middle, [x + (width + 1) / 2, y + (height + 1) / 2], atol=0.5)


def test_a_dry_run_writes_a_picture_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = write_frames(tmp_path / "frames")
    boxes = write_json(tmp_path / "boxes.json", as_plain())
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(SystemExit) as ended:
        run_command(
            "crop-target", "--frames", frames, "--boxes", boxes, "--out", tmp_path / "crops",
            "--camera", *CAMERA, "--dry-run",
        )  # fmt: skip
    assert ended.value.code == 0
    assert {path.name for path in tmp_path.iterdir()} - before == {"crops_sheet.png"}
    said = capsys.readouterr().out
    assert "3 crops from rgb/, 100x100 pixels" in said
    assert "depth of all, in millimetres by its values: 800 to 800 mm" in said
    assert "object cat: 2 crops" in said


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "nothing says where objects are"),
    "both": ({"boxes": Path("boxes.json"), "masks": Path("x")}, "both say where objects are"),
    "no_camera": ({"boxes": Path("boxes.json")}, "the camera is not known: give `camera`"),
    "centre": ({"boxes": Path("boxes.json"), "centre": "mean"}, "`centre` mean is known of poses"),
    "no_boxes": ({"boxes": Path("none.json")}, "cannot be read (No such file"),
    "no_json": ({"boxes": Path("bad.json")}, "cannot be read as JSON"),
    "malformed": ({"boxes": Path("malformed.json")}, "is no box: x, y, width and height"),
    "other_names": ({"boxes": Path("others.json"), "camera": CAMERA}, "it names elsewhere"),
    "yolo": ({"boxes": Path("yolo")}, "has a line that is no YOLO box"),
    "empty_yolo": ({"boxes": Path("frames")}, "holds no YOLO files"),
    "only": (
        {"boxes": Path("boxes.json"), "camera": CAMERA, "only": ("dog",)}, "none of 3 objects",
    ),
    "mask_size": ({"masks": Path("masks"), "camera": CAMERA}, "they must be alike"),
    "out": ({"boxes": Path("boxes.json"), "camera": CAMERA, "out": Path("frames")},
            "is there already"),
    "frames": ({"frames": Path("none")}, "is not there"),
    "no_video": ({"frames": Path("clip.mp4"), "boxes": Path("boxes.json")}, "is no video"),
    "size": ({"object_size": ("cat=big",)}, "`object_size` cat=big is no size"),
    "unit": ({"boxes": Path("boxes.json"), "camera": CAMERA, "frames": Path("far")},
             "too far for millimetres"),
    "depth_size": ({"boxes": Path("boxes.json"), "camera": CAMERA, "frames": Path("small")},
                   "they must be alike"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "frames")
    write_frames(tmp_path / "far", depth=8000.0)
    write_frames(tmp_path / "small")
    for file in (tmp_path / "small/depth").iterdir():
        cv2.imwrite(str(file), np.full((HEIGHT // 2, WIDTH // 2), 800, np.uint16))
    write_json(tmp_path / "boxes.json", as_plain())
    write_json(tmp_path / "malformed.json", {"frame_00.png": [{"box": [1, 2, 3]}]})
    write_json(tmp_path / "others.json", {"elsewhere.png": [{"box": [1, 2, 3, 4]}]})
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/frame_00.txt").write_text("0 10 20 30 40\n")
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks/frame_00.png"), np.full((8, 8), 255, np.uint8))
    settings, message = BAD[case]
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(RenderAdaptError) as caught:
        crop_target(CropTargetConfig(**{"frames": Path("frames"), "out": Path("crops")} | settings))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_one_frames_boxes_are_not_taken_for_anothers(tmp_path: Path) -> None:
    """Two folders have a frame of one name, and boxes say the name alone."""
    for folder in ("left", "right"):
        (tmp_path / "frames" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "frames" / folder / "0.png"), picture(0))
    boxes = write_json(tmp_path / "boxes.json", {"0.png": [{"box": [100, 60, 40, 30]}]})
    config = CropTargetConfig(
        frames=tmp_path / "frames", out=tmp_path / "crops", boxes=boxes, object_size=("100",)
    )
    with pytest.raises(RenderAdaptError, match="name frames there with their folders"):
        crop_target(config)


def test_models_give_objects_their_names(tmp_path: Path, data_dir: Path) -> None:
    (cat,) = load_models(["6"], models=data_dir / "linemod/models")
    assert np.abs(centre_points([cat], "mean")).max() > 5, "so that it is not the origin"
    summary = crop_target(
        CropTargetConfig(
            frames=data_dir / "lmo/test/000002", out=tmp_path / "crops", centre="origin",
            only=("cat",), models=data_dir / "linemod/models",
        )
    )  # fmt: skip
    assert summary.by_object == {"cat": 35}
