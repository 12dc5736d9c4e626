"""Reading unlabelled real crops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from adapter import AdapterError, TargetCut, encode, read_target

RED, BLUE = (255, 0, 0), (0, 0, 255)


def write_rgb(file: Path, rgb: NDArray[np.uint8]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), rgb[:, :, ::-1])


def write_depth(file: Path, depth: NDArray[np.uint16]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), depth)


def plain(color: tuple[int, int, int], size: int = 64) -> NDArray[np.uint8]:
    return np.full((size, size, 3), color, np.uint8)


def write_crops(folder: Path, n: int = 20, size: int = 64) -> None:
    """Crop number i has red value 10 i."""
    for i in range(n):
        write_rgb(folder / f"crop{i}.png", plain((10 * i, 0, 40), size))


def reds(images: NDArray[np.float16]) -> list[int]:
    return [round(float(v)) for v in (images[:, 0, 0, 0].astype(np.float32) + 1) * 127.5]


def test_crops_come_in_natural_order_as_rgb(tmp_path: Path) -> None:
    write_crops(tmp_path)
    target = read_target(tmp_path)
    assert target.images.shape == (20, 3, 64, 64)
    assert target.images.dtype == np.float16
    assert not target.has_depth
    assert target.names == tuple(f"crop{i}" for i in range(20))
    assert reds(target.images) == [10 * i for i in range(20)]
    assert len(target) == 20
    assert target.skipped == ()


def test_values_are_those_of_encode(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    for i, crop in enumerate(crops):
        write_rgb(tmp_path / f"{i}.png", crop)
    expected = encode(crops, None, None)
    np.testing.assert_allclose(read_target(tmp_path).images, expected, atol=5e-4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "bmp", "tif"])
def test_images_of_every_kind_are_found_in_subfolders(tmp_path: Path, suffix: str) -> None:
    for i in range(16):
        write_rgb(tmp_path / "a" / f"b{i % 2}" / f"{i}.{suffix}", plain((200, 30, 30)))
    target = read_target(tmp_path)
    assert target.images.shape == (16, 3, 64, 64)
    assert all(abs(red - 200) < 4 for red in reds(target.images))


@pytest.mark.parametrize("count", [2, 5])
def test_the_folders_that_crops_are_from_are_named(tmp_path: Path, count: int) -> None:
    for number in range(count):
        write_crops(tmp_path / f"day{number}", n=10)
    first = read_target(tmp_path).report.lines()[0]
    named = {2: "day0/, day1/", 5: "day0/, day1/, day2/, ..."}[count]
    assert first == f"{10 * count} crops from {count} folders ({named}), 64x64 pixels"


def test_pictures_of_floats_are_no_crops(tmp_path: Path) -> None:
    write_crops(tmp_path)
    hdr = np.random.default_rng(0).random((64, 64, 3), np.float32)
    assert cv2.imwrite(str(tmp_path / "light.tiff"), hdr)
    target = read_target(tmp_path)
    assert target.skipped == ("light.tiff",)
    assert [each.reason for each in target.report.left_out] == ["neither 8 nor 16 bits a colour"]


def test_large_crops_are_averaged_down_and_small_ones_enlarged(tmp_path: Path) -> None:
    board = np.zeros((128, 128, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    for i in range(15):
        write_rgb(tmp_path / f"{i}.png", board)
    write_rgb(tmp_path / "small.png", plain((100, 0, 0), 20))
    target = read_target(tmp_path)
    middle = (target.images[0].astype(np.float32) + 1) * 127.5
    assert np.abs(middle - 127.5).max() < 1.1  # not a pattern of 0 and 255
    assert reds(target.images)[-1] == 100
    assert read_target(tmp_path, size=32).images.shape == (16, 3, 32, 32)


def write_rgbd(folder: Path, n: int = 16, size: int = 64, scale: float = 1.0) -> None:
    for i in range(n):
        write_rgb(folder / "rgb" / f"{i:03d}.png", plain(RED, size))
        depth = np.full((size, size), 800 / scale, np.uint16)
        depth[: size // 8] = 850 / scale  # 50 mm behind the centre
        depth[-size // 8 :] = 0  # not measured
        write_depth(folder / "depth" / f"{i:03d}.png", depth)


def test_depth_beside_rgb_is_read_in_millimetres_about_the_measured_centre(tmp_path: Path) -> None:
    write_rgbd(tmp_path)
    target = read_target(tmp_path)
    assert target.has_depth
    assert target.images.shape == (16, 4, 64, 64)
    depth = target.images[:, 3]
    assert (depth[:, :8] == 0.25).all()
    assert (depth[:, 8:-8] == 0.0).all()
    assert (depth[:, -8:] == 1.0).all()
    assert (read_target(tmp_path, window_mm=100.0).images[:, 3, 0] == 0.5).all()


def test_crops_json_gives_scale_and_centre(tmp_path: Path) -> None:
    write_rgbd(tmp_path, scale=0.1)
    about: dict[str, Any] = {"depth_scale": 0.1, "centre_depth": {"003": 780.0}}
    (tmp_path / "crops.json").write_text(json.dumps(about))
    depth = read_target(tmp_path).images[:, 3, 32, 32].astype(np.float32)
    assert depth[3] == pytest.approx(0.1, abs=1e-3)
    assert (np.delete(depth, 3) == 0.0).all()


def test_depth_is_not_averaged_over_edges(tmp_path: Path) -> None:
    write_rgbd(tmp_path, size=200)
    depth = read_target(tmp_path).images[:, 3]
    assert set(np.unique(depth).tolist()) == {0.0, 0.25, 1.0}


def test_depth_can_be_left_out(tmp_path: Path) -> None:
    write_rgbd(tmp_path)
    assert read_target(tmp_path, channels=3).images.shape == (16, 3, 64, 64)


def test_missing_depth_is_refused_where_it_is_wanted(tmp_path: Path) -> None:
    write_rgbd(tmp_path)
    (tmp_path / "depth" / "002.png").unlink()
    for channels in (None, 4):
        with pytest.raises(AdapterError, match=r"1 of 16 crops .* no depth"):
            read_target(tmp_path, channels=channels)
    assert not read_target(tmp_path, channels=3).has_depth


def test_rgb_crops_are_refused_where_depth_is_wanted(tmp_path: Path) -> None:
    write_crops(tmp_path)
    with pytest.raises(AdapterError, match=r"20 of 20 crops .* no depth"):
        read_target(tmp_path, channels=4)


def test_unreadable_images_and_depth_without_measurement_are_left_out_and_named(
    tmp_path: Path,
) -> None:
    write_rgbd(tmp_path, n=18)
    (tmp_path / "rgb" / "004.png").write_bytes(b"not an image")
    (tmp_path / "rgb" / "005.png").write_bytes(b"")
    write_depth(tmp_path / "depth" / "007.png", np.zeros((64, 64), np.uint16))
    (tmp_path / "rgb" / "notes.txt").write_text("not a crop")
    with pytest.raises(AdapterError, match="15 usable crops"):
        read_target(tmp_path)
    write_rgb(tmp_path / "rgb" / "020.png", plain(RED))
    write_depth(tmp_path / "depth" / "020.png", np.full((64, 64), 900, np.uint16))
    target = read_target(tmp_path)
    assert target.skipped == ("rgb/004.png", "rgb/005.png", "rgb/007.png")
    assert len(target) == 16


def test_depth_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    write_rgbd(tmp_path)
    write_depth(tmp_path / "depth" / "003.png", np.full((32, 32), 900, np.uint16))
    with pytest.raises(AdapterError, match=r"003\.png is 32x32 pixels and its image 64x64"):
        read_target(tmp_path)


def test_depth_in_colour_is_refused(tmp_path: Path) -> None:
    write_rgbd(tmp_path)
    write_rgb(tmp_path / "depth" / "003.png", plain(RED))
    with pytest.raises(AdapterError, match="3 channels; a depth image has one"):
        read_target(tmp_path)


def test_a_folder_of_other_files_is_refused_with_their_number(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.csv").write_text("1,2")
    with pytest.raises(AdapterError, match="holds 12 files, none an image"):
        read_target(tmp_path)


def test_a_folder_of_broken_images_is_refused(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i}.png").write_bytes(b"broken")
    with pytest.raises(AdapterError, match="holds 20 files, none an image"):
        read_target(tmp_path)


def test_too_few_crops_are_refused(tmp_path: Path) -> None:
    write_crops(tmp_path, n=15)
    with pytest.raises(AdapterError, match="holds 15 usable crops; at least 16"):
        read_target(tmp_path)


def test_frames_that_are_not_square_are_refused(tmp_path: Path) -> None:
    write_crops(tmp_path)
    write_rgb(tmp_path / "frame.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(AdapterError, match=r"frame\.png is 64x48 pixels; crops must be square"):
        read_target(tmp_path)


def test_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(AdapterError, match="is not a folder"):
            read_target(folder)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_crops_json_is_refused(tmp_path: Path, content: str) -> None:
    write_rgbd(tmp_path)
    (tmp_path / "crops.json").write_text(content)
    with pytest.raises(AdapterError, match=r"crops\.json"):
        read_target(tmp_path)


STATED = {"centre": "visible", "window_mm": 100.0, "off_axis_degrees": 12.5, "pixels": 90}


@pytest.mark.parametrize("with_depth", [True, False])
def test_crops_json_says_how_crops_were_cut(tmp_path: Path, with_depth: bool) -> None:
    if with_depth:
        write_rgbd(tmp_path)
    else:
        write_crops(tmp_path)
    assert read_target(tmp_path).cut is None
    (tmp_path / "crops.json").write_text(json.dumps({"cut": STATED}))
    target = read_target(tmp_path)
    assert target.cut == TargetCut("visible", 100.0, 12.5, 90)
    if with_depth:
        assert (target.images[:, 3, 0] == 0.5).all(), "depth is in shares of that window"
        assert (read_target(tmp_path, window_mm=200.0).images[:, 3, 0] == 0.25).all()
    without = {name: value for name, value in STATED.items() if name != "pixels"}
    (tmp_path / "crops.json").write_text(json.dumps({"cut": without}))
    assert read_target(tmp_path).cut == TargetCut("visible", 100.0, 12.5)


def test_json_files_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    write_crops(tmp_path)
    (tmp_path / "crops.json").write_text(json.dumps({"cut": STATED}), encoding="utf-8-sig")
    assert read_target(tmp_path).cut == TargetCut("visible", 100.0, 12.5, 90)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centre": "middle"}, "centre is middle: it must be mean, box, origin or visible"),
        ({"centre": None}, "centre is None"),
        ({"window_mm": 0}, "window_mm is 0: it must be from 1 to 100000"),
        ({"window_mm": "200"}, "window_mm is 200: it must be a number, not a text"),
        ({"off_axis_degrees": 61}, "off_axis_degrees is 61: it must be from 0 to 60"),
        ({"off_axis_degrees": None}, "off_axis_degrees is None"),
        ({"off_axis_degrees": True}, "off_axis_degrees is True"),
        ({"pixels": 0}, "pixels is 0"),
        ({"degrees": 3}, "a cut that is not one: there is no setting degrees: centre, window_mm"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_crops(tmp_path)
    (tmp_path / "crops.json").write_text(json.dumps({"cut": STATED | changes}))
    with pytest.raises(AdapterError, match=message) as caught:
        read_target(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "crops.json"))


CAMERA = np.array([[572.0, 0, 319.5], [0, 572.0, 239.5], [0, 0, 1]])
"""That of a calibration, whose pixels have their centres at integers."""


def write_scene(
    scene: Path,
    poses: list[list[list[float]]],
    *,
    visible: float = 1.0,
    depth: bool = True,
    pixel_centre: float | None = None,
) -> None:
    """Frames of 640x480 with a red square, 100 mm wide, at each object's place."""
    cameras, truths, infos = {}, {}, {}
    for frame, translations in enumerate(poses):
        rgb = np.zeros((480, 640, 3), np.uint8)
        measured = np.full((480, 640), 20000, np.uint16)
        for x, y, z in translations:
            column, row = round(320 + 572 * x / z), round(240 + 572 * y / z)
            half = round(572 * 50 / z)
            square = slice(row - half, row + half), slice(column - half, column + half)
            rgb[square], measured[square] = RED, round(z * 10)
        write_rgb(scene / "rgb" / f"{frame:06d}.png", rgb)
        if depth:
            write_depth(scene / "depth" / f"{frame:06d}.png", measured)
        matrix = CAMERA + np.outer([1, 1, 0], [0, 0, pixel_centre or 0.0])
        cameras[str(frame)] = {"cam_K": matrix.ravel().tolist(), "depth_scale": 0.1}
        if pixel_centre is not None:
            cameras[str(frame)]["pixel_center"] = pixel_centre
        truths[str(frame)] = [
            {"cam_R_m2c": np.eye(3).ravel().tolist(), "cam_t_m2c": t, "obj_id": 1}
            for t in translations
        ]
        infos[str(frame)] = [{"visib_fract": visible} for _ in translations]
    for name, content in [("camera", cameras), ("gt", truths), ("gt_info", infos)]:
        (scene / f"scene_{name}.json").write_text(json.dumps(content))


POSES = [[[-200.0 + 10 * i, 20.0, 700.0 + 20 * i], [220.0, -60.0, 900.0]] for i in range(10)]


def test_crops_are_cut_from_the_frames_of_a_bop_dataset(tmp_path: Path) -> None:
    """A 100 mm square fills the middle half of a 200 mm window, at whatever distance."""
    write_scene(tmp_path / "test" / "000001", POSES)
    target = read_target(tmp_path)
    assert target.images.shape == (20, 4, 64, 64)
    assert target.names[0] == "test/000001/rgb/000000.png object 0"
    expected = np.zeros((64, 64), bool)
    expected[16:48, 16:48] = True
    for image in target.images:
        wrong = (image[0] > 0) != expected
        wrong[[15, 16, 47, 48]] = wrong[:, [15, 16, 47, 48]] = False  # resampled edges
        assert not wrong.any()
        assert np.abs(image[3, 20:44, 20:44]).max() < 1e-3
        assert (image[3, :12] == 1.0).all()


def test_a_window_is_cut_as_its_camera_counts_pixels(tmp_path: Path) -> None:
    """A calibration's numbers, and the same camera's counted from the picture's corner."""
    for centre in (None, 0.0, 0.5):
        write_scene(tmp_path / str(centre), POSES, pixel_centre=centre)
    plain, integer, corner = (read_target(tmp_path / str(c)).images for c in (None, 0.0, 0.5))
    np.testing.assert_array_equal(plain, integer)
    np.testing.assert_array_equal(plain, corner)
    red = plain[:, 0] > 0
    for axis in (1, 2):
        # As much of it to either side of the middle.
        seen = red.any(axis=axis)
        np.testing.assert_array_equal(seen, seen[:, ::-1])


def test_how_crops_were_cut_from_frames_is_measured(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES)
    places = np.array(POSES).reshape(-1, 3)
    off_axis = np.degrees(np.arctan(np.linalg.norm(places[:, :2] / places[:, 2:], axis=1)))
    sides = 572 * 200 / places[:, 2]
    cut = read_target(tmp_path).cut
    assert cut is not None
    assert (cut.centre, cut.window_mm) == ("origin", 200.0)
    # Of rays that are even over a disc the mean is two thirds of the farthest.
    assert cut.off_axis_degrees == pytest.approx(1.5 * off_axis.mean(), abs=0.1)
    assert cut.pixels == pytest.approx(np.median(sides), abs=2)
    narrow = read_target(tmp_path, window_mm=100.0).cut
    assert narrow is not None
    assert narrow.window_mm == 100.0
    assert narrow.pixels == pytest.approx(np.median(sides) / 2, abs=2)


def test_images_that_were_taken_whole_say_nothing_of_how_others_were_cut(tmp_path: Path) -> None:
    write_scene(tmp_path / "frames", POSES)
    alone = read_target(tmp_path).cut
    write_scene(tmp_path / "whole", [[[0.0, 0.0, 800.0]] for _ in range(40)])
    for frame in range(40):
        write_rgb(tmp_path / "whole/rgb" / f"{frame:06d}.png", plain(BLUE))
        write_depth(
            tmp_path / "whole/depth" / f"{frame:06d}.png", np.full((64, 64), 8000, np.uint16)
        )
    together = read_target(tmp_path)
    assert len(together) == 60
    assert together.cut == alone
    assert read_target(tmp_path / "whole").cut is None


def test_a_scene_is_a_dataset_too_and_may_lack_depth(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES, depth=False)
    assert read_target(tmp_path).images.shape == (20, 3, 64, 64)


def test_hidden_objects_and_windows_that_leave_the_frame_are_left_out(tmp_path: Path) -> None:
    write_scene(tmp_path / "hidden", POSES, visible=0.05)
    write_scene(tmp_path / "seen", [*POSES, [[380.0, 0.0, 700.0]]])
    target = read_target(tmp_path)
    assert all(name.startswith("seen") for name in target.names)
    assert len(target) == 20
    assert target.skipped == ("seen/rgb/000010.png object 0",)


def test_frames_that_cannot_be_used_are_left_out_and_named(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES * 2)
    (tmp_path / "rgb/000003.png").write_bytes(b"not an image")
    (tmp_path / "depth/000005.png").write_bytes(b"not an image")
    write_rgb(tmp_path / "rgb/000020.png", plain(RED))
    truths = json.loads((tmp_path / "scene_gt.json").read_text())
    truths["7"] = []
    (tmp_path / "scene_gt.json").write_text(json.dumps(truths))
    target = read_target(tmp_path)
    assert {each.reason: each.count for each in target.report.left_out} == {
        "damaged": 1,
        "crops whose depth is damaged": 1,
        "frames of which the scene's files do not say camera and objects": 2,
    }
    assert target.skipped == tuple(f"rgb/{k:06d}.png" for k in (3, 5, 7, 20))
    assert len(target) == 2 * 17


def test_objects_count_as_seen_where_nothing_says_how_much(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES, visible=0.05)
    infos = json.loads((tmp_path / "scene_gt_info.json").read_text())
    for key in "02468":
        del infos[key]
    (tmp_path / "scene_gt_info.json").write_text(json.dumps(infos))
    with pytest.raises(AdapterError, match="10 usable crops"):
        read_target(tmp_path)
    (tmp_path / "scene_gt_info.json").unlink()
    assert len(read_target(tmp_path)) == 20


def test_an_object_behind_the_camera_has_no_window(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES)
    truths = json.loads((tmp_path / "scene_gt.json").read_text())
    truths["4"][1]["cam_t_m2c"][2] *= -1
    (tmp_path / "scene_gt.json").write_text(json.dumps(truths))
    target = read_target(tmp_path)
    assert target.skipped == ("rgb/000004.png object 1",)
    assert len(target) == 19


def test_square_images_of_the_wanted_size_are_taken_whole(tmp_path: Path) -> None:
    write_scene(tmp_path, [[[0.0, 0.0, 800.0]] for _ in range(16)])
    for frame in range(16):
        write_rgb(tmp_path / "rgb" / f"{frame:06d}.png", plain(BLUE))
        write_depth(tmp_path / "depth" / f"{frame:06d}.png", np.full((64, 64), 8200, np.uint16))
    target = read_target(tmp_path)
    assert target.images.shape == (16, 4, 64, 64)
    np.testing.assert_allclose(target.images[:, 3], 0.1, atol=1e-3)
    assert (target.images[:, 2] == 1.0).all()
    assert (target.images[:, 0] == -1.0).all()


def test_a_scene_without_places_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES)
    (tmp_path / "scene_gt.json").unlink()
    with pytest.raises(AdapterError, match=r"has no scene_gt\.json"):
        read_target(tmp_path)


def test_real_crops(data_dir: Path) -> None:
    target = read_target(data_dir / "linemod" / "crops" / "train")
    assert target.images.shape == (2355, 3, 64, 64)
    assert target.skipped == ()
    duck = np.array([name.startswith("duck") for name in target.names])
    red, _, blue = target.images[duck, :, 24:40, 24:40].astype(np.float32).mean(axis=(0, 2, 3))
    assert red > blue + 0.3  # ducks are yellow


def test_real_frames(data_dir: Path) -> None:
    target = read_target(data_dir / "lmo" / "test")
    assert 200 < len(target) < 8 * 40
    assert all(name.startswith("000002/rgb/") for name in target.names)
