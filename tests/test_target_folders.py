"""Folders of camera crops as people keep them: what is a crop, what is depth, what is neither."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from adapter import AdapterError, TargetCrops, read_target
from tests.fuzzing import check_refusal, damaged_bytes
from tests.test_adapter_target import POSES, write_scene

N, SIZE = 20, 16
EXIF_ORIENTATION = 0x0112


def picture(number: int) -> NDArray[np.uint8]:
    """Red in the top left quarter, and unlike the others."""
    few = np.random.default_rng(number).integers(0, 200, (4, 4, 3), np.uint8)
    rgb = np.asarray(cv2.resize(few, (SIZE, SIZE)), np.uint8)
    rgb[: SIZE // 2, : SIZE // 2] = (255, 0, 0)
    return rgb


def depth_map() -> NDArray[np.uint16]:
    """900 mm, but for 850 in the top left quarter's middle and a hole in the last row."""
    depth = np.full((SIZE, SIZE), 900, np.uint16)
    depth[: SIZE // 2, : SIZE // 2], depth[-1] = 850, 0
    return depth


def mask() -> NDArray[np.uint8]:
    return np.where(np.indices((SIZE, SIZE)).sum(axis=0) < SIZE, 255, 0).astype(np.uint8)


def drawn_depth() -> NDArray[np.uint8]:
    steps = (np.arange(SIZE * SIZE) % 256).astype(np.uint8).reshape(SIZE, SIZE)
    return np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_JET), np.uint8)


def save(file: Path, pixels: NDArray[Any]) -> None:
    """Write a picture, RGB where it has colours."""
    file.parent.mkdir(parents=True, exist_ok=True)
    stored = pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100] if file.suffix.lower() == ".jpg" else []
    done, content = cv2.imencode(file.suffix, np.ascontiguousarray(stored), quality)
    assert done
    file.write_bytes(content.tobytes())


def fill(folder: Path, **kinds: tuple[str, Callable[[int], NDArray[Any]]]) -> None:
    """Write N pictures of each kind; the name of number i has i in place of {} or {:06d}."""
    for name, make in kinds.values():
        for number in range(N):
            save(folder / name.format(number), make(number))


def read(folder: Path, **options: Any) -> TargetCrops:
    return read_target(folder, size=SIZE, **options)


def reasons(target: TargetCrops) -> dict[str, int]:
    return {each.reason: each.count for each in target.report.left_out}


def check_crops(target: TargetCrops, channels: int) -> None:
    """They are the N pictures, and depth is in millimetres and in place."""
    assert target.images.shape == (N, channels, SIZE, SIZE)
    quarter = SIZE // 2
    for number, image in enumerate(target.images.astype(np.float32)):
        rgb = np.moveaxis((image[:3] + 1) * 127.5, 0, -1)
        assert np.abs(rgb[: quarter - 2, : quarter - 2] - (255, 0, 0)).max() < 60, "the corner"
        assert np.abs(rgb - picture(number)).mean() < 30, "another crop"
        if channels == 4:
            # The middle half of the crop is measured at 900 in the median, 850 is a quarter of it.
            assert (image[3, :quarter, :quarter] == -0.25).all()
            assert (image[3, quarter:-1] == 0).all()
            assert (image[3, -1] == 1).all()


LAYOUTS = {
    "rgb and depth": ("rgb/{}.png", "depth/{}.png", None),
    "color and depth": ("color/{}.png", "depth/{}.png", None),
    "images, depth, masks": ("images/{:06d}.jpg", "depth/{:06d}.png", "masks/{:06d}.png"),
    "BOP without its files": ("rgb/{:06d}.png", "depth/{:06d}.png", "mask_visib/{:06d}_000000.png"),
    "LINEMOD": ("data/color{}.jpg", "data/depth{}.png", "data/mask{}.png"),
    "LINEMOD in one folder": ("color{}.jpg", "depth{}.png", "mask{}.png"),
    "YCB-Video": ("{:06d}-color.png", "{:06d}-depth.png", "{:06d}-label.png"),
    "7-Scenes": ("seq-01/frame-{:06d}.color.png", "seq-01/frame-{:06d}.depth.png", None),
    "RealSense viewer": ("cup_{}_Color.png", "cup_{}_Depth.png", None),
    "RealSense in ROS": (
        "camera_color_image_raw/{}.png",
        "camera_aligned_depth_to_color_image_raw/{}.png",
        None,
    ),
    "plain colour": ("IMG_{:04d}.JPG", "IMG_{:04d}_depth.png", "IMG_{:04d}_mask.png"),
    "PVNet": ("JPEGImages/{}.jpg", "Depth16/{}.tiff", "SegmentationObject/{}.png"),
    "sessions": ("s1/rgb/a/{}.png", "s1/depth/a/{}.png", "s1/mask/a/{}.png"),
    "numbers of other lengths": ("colour/{}.png", "depth_raw/{:05d}.png", None),
    "an object's folders": ("ape_rgb/{}.png", "ape_depth/{}.png", "ape_mask/{}.png"),
    "run together": ("rgbimages/{}.png", "depthimages/{}.png", "maskimages/{}.png"),
    "two kinds of depth": ("rgb/{}.png", "aligned_depth/{}.png", "depth_vis/{}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_way_of_naming_gives_the_crops_with_their_depth(layout: str, tmp_path: Path) -> None:
    colour, depth, other = LAYOUTS[layout]
    fill(tmp_path, colour=(colour, picture), depth=(depth, lambda _: depth_map()))
    if other:
        draw = drawn_depth if "vis/" in other else mask
        fill(tmp_path, other=(other, lambda _: draw()))
    target = read(tmp_path)
    check_crops(target, 4)
    assert sum(reasons(target).values()) == (N if other else 0)
    assert target.report.depth_mm == (850, 900, 900)
    assert target.report.depth_unit == "in millimetres by its values"
    assert target.report.with_depth == N


def test_what_the_folders_hold_is_told(tmp_path: Path) -> None:
    fill(
        tmp_path,
        rgb=("rgb/{:06d}.png", picture),
        depth=("depth/{:06d}.png", lambda _: depth_map()),
        mask=("mask/{:06d}.png", lambda _: mask()),
    )
    (tmp_path / "rgb/broken.png").write_bytes(b"")
    save(tmp_path / "depth/broken.png", depth_map())
    save(tmp_path / "depth/77.png", depth_map())
    save(tmp_path / "photo.png", picture(0))
    target = read(tmp_path)
    assert target.report.lines() == (
        "20 crops from rgb/, 16x16 pixels",
        "depth of all, in millimetres by its values: 850 to 900 mm, median 900 mm",
        "left out: 20 as masks or labels (mask/000000.png)",
        "left out: 1 as pictures beside the folders of colour (photo.png)",
        "left out: 1 as damaged (rgb/broken.png)",
        "left out: 1 as depth of no crop, by its name (depth/77.png)",
    )
    assert target.report.folders == {"rgb": 20}
    assert json.loads(json.dumps(asdict(target.report)))["crops"] == 20
    assert target.skipped == ("rgb/broken.png",)


def test_depth_drawn_in_colours_is_no_crop_and_no_depth(tmp_path: Path) -> None:
    fill(
        tmp_path,
        colour=("snap_{}_Color.png", picture),
        depth=("snap_{}_Depth.png", lambda _: drawn_depth()),
    )
    target = read(tmp_path)
    check_crops(target, 3)
    assert reasons(target) == {"depth drawn in colours, which measures nothing": N}
    assert target.report.lines()[1] == "no depth: colour alone"


def test_other_channels_of_crops_that_are_there_in_colour_are_left_out(tmp_path: Path) -> None:
    fill(
        tmp_path,
        colour=("{}_rgb.png", picture),
        grey=("{}_gray.png", lambda i: picture(i)[..., 1]),
        normals=("normals/{}.png", picture),
        infrared=("infra1/{}_ir.png", lambda i: picture(i)[..., 0]),
    )
    target = read(tmp_path)
    check_crops(target, 3)
    assert sum(reasons(target).values()) == 3 * N


def test_crops_of_an_infrared_camera_are_crops(tmp_path: Path) -> None:
    fill(tmp_path, infrared=("infra1/{}.png", lambda i: picture(i)[..., 1]))
    target = read(tmp_path)
    assert len(target) == N
    assert target.report.notes == ("20 crops are in grey, which all three colours take",)


@pytest.mark.parametrize("other", ["mask", "label", "depth_gauge", "overlay", "ir_lamp"])
def test_photographs_of_what_is_called_like_a_mask_are_crops(other: str, tmp_path: Path) -> None:
    """Objects by folder and by name, none of which lies over another picture."""
    fill(tmp_path / "folders", mug=("mug/{}.png", picture), other=(f"{other}s/{{}}.png", picture))
    fill(tmp_path / "files", mug=("mug_{}.png", picture), other=(f"{other}_{{}}.png", picture))
    assert len(read(tmp_path / "files")) == 2 * N
    if other != "overlay":
        assert len(read(tmp_path / "folders")) == 2 * N


def test_masks_are_known_by_content_where_names_do_not_match(tmp_path: Path) -> None:
    fill(
        tmp_path,
        colour=("a{}.png", picture),
        mask=("mask/other_{}.png", lambda _: mask()),
        label=("labels/class_{}.png", lambda i: np.full((SIZE, SIZE, 3), i, np.uint8)),
        jpeg=("masks/jpeg_{}.jpg", lambda _: mask()),
        unnamed=("b{}.png", lambda _: mask()),
    )
    target = read(tmp_path)
    check_crops(target, 3)
    assert reasons(target) == {"masks or labels": 4 * N}


def test_16_bit_maps_beside_colour_are_no_crops(tmp_path: Path) -> None:
    fill(tmp_path, colour=("a{}.png", picture), depth=("b{}.png", lambda _: depth_map()))
    target = read(tmp_path)
    check_crops(target, 3)
    assert reasons(target) == {"16-bit or float maps beside colour pictures": N}


@pytest.mark.parametrize("colour", ["rgb", "images"])
@pytest.mark.parametrize("other", ["depth_of_something", "mask_overlay", "my_depth_pictures"])
def test_what_lies_beside_a_folder_of_colour_is_no_crop(
    colour: str, other: str, tmp_path: Path
) -> None:
    fill(
        tmp_path,
        colour=(f"{colour}/{{}}.png", picture),
        other=(f"{other}/{{}}.png", lambda i: picture(i)[..., 0]),
    )
    check_crops(read(tmp_path), 3)


def test_a_folder_of_depth_alone_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, depth=("depth/{}.png", lambda i: depth_map()))
    with pytest.raises(AdapterError, match=r"holds depth alone; give the folder above it"):
        read(tmp_path / "depth")
    with pytest.raises(AdapterError, match=r"none an image .*20 as depth of no crop"):
        read(tmp_path)


def test_a_folder_of_masks_alone_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, mask=("mask/{}.png", lambda _: mask()))
    for folder in (tmp_path, tmp_path / "mask"):
        with pytest.raises(AdapterError, match=r"none an image .*20 as masks or labels"):
            read(folder)


def test_depth_whose_names_match_no_crop_is_refused(tmp_path: Path) -> None:
    fill(
        tmp_path,
        colour=("rgb/1305031102.{:03d}.png", picture),
        depth=("depth/1305031999.{:03d}.png", lambda _: depth_map()),
    )
    with pytest.raises(AdapterError, match=r"none of the 20 depth maps .*name them alike"):
        read(tmp_path)
    check_crops(read(tmp_path, channels=3), 3)


class TestUnits:
    """Values in the file, and millimetres."""

    @settings(max_examples=40, deadline=None)
    @given(st.floats(120, 2900), st.sampled_from(["uint16", "float mm", "float m"]))
    def test_the_unit_is_told_from_the_values(self, distance: float, kind: str) -> None:
        scale = {"uint16": 1.0, "float mm": 1.0, "float m": 1e-3}[kind]
        values = np.full((SIZE, SIZE), distance * scale, np.float32)
        values[0] += np.float32(20 * scale)
        values[-1] = 0
        if kind == "uint16":
            values = values.round().astype(np.uint16)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fill(folder, rgb=("rgb/{}.png", picture), depth=("depth/{}.tiff", lambda _: values))
            target = read(folder)
        assert target.report.depth_mm == pytest.approx((distance, distance, distance + 20), abs=0.6)
        assert target.report.depth_unit is not None
        assert ("metres" in target.report.depth_unit.split()) == (kind == "float m")
        depth = target.images[0, 3].astype(np.float32)
        assert depth[0] == pytest.approx(0.1, abs=4e-3)
        assert (depth[1:-1] == 0).all()
        assert (depth[-1] == 1).all()

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (9000, r"median of 9000, too far for millimetres: give `depth_scale`.*0.1 would "),
            (30, r"median of 30, too near for millimetres.*10 would make it 300 mm"),
            (60000, r"too far for millimetres"),
        ],
    )
    def test_what_millimetres_cannot_be_is_refused(
        self, value: int, text: str, tmp_path: Path
    ) -> None:
        fill(
            tmp_path,
            rgb=("rgb/{}.png", picture),
            depth=("depth/{}.png", lambda _: np.full((SIZE, SIZE), value, np.uint16)),
        )
        with pytest.raises(AdapterError, match=text):
            read(tmp_path)
        assert not read(tmp_path, channels=3).has_depth

    def test_the_step_may_be_said(self, tmp_path: Path) -> None:
        fill(
            tmp_path,
            rgb=("rgb/{}.png", picture),
            depth=("depth/{}.png", lambda _: depth_map() * np.uint16(10)),
        )
        target = read(tmp_path, depth_scale=0.1)
        check_crops(target, 4)
        assert target.report.depth_unit == "in steps of 0.1 mm by `depth_scale`"
        (tmp_path / "crops.json").write_text(json.dumps({"depth_scale": 0.1}))
        target = read(tmp_path)
        check_crops(target, 4)
        assert target.report.depth_unit == "in steps of 0.1 mm by crops.json"
        assert read(tmp_path, depth_scale=0.2).report.depth_mm == (1700, 1800, 1800)

    def test_a_step_that_makes_crops_too_deep_is_doubted(self, tmp_path: Path) -> None:
        """Tenths of a millimetre 25 cm away pass for 2.5 m; the shape gives it away."""
        slope = np.tile(np.linspace(2000, 3000, SIZE).astype(np.uint16), (SIZE, 1))
        fill(tmp_path, rgb=("rgb/{}.png", picture), depth=("depth/{}.png", lambda _: slope))
        assert read(tmp_path, depth_scale=0.1).report.notes == ()
        assert read(tmp_path, window_mm=1000.0).report.notes == ()
        assert read(tmp_path, window_mm=90.0).report.notes == (
            "75% of the depth in the crops' middles is more than a window (90 mm) from their "
            "centres: are `depth_scale` and `window` right?",
        )

    def test_8_bits_are_not_millimetres(self, tmp_path: Path) -> None:
        coarse = (depth_map() // 10).astype(np.uint8)
        fill(tmp_path, rgb=("rgb/{}.png", picture), depth=("depth/{}.png", lambda _: coarse))
        with pytest.raises(AdapterError, match=r"depth/0.png has 8 bits, too few .*`channels` 3"):
            read(tmp_path)
        check_crops(read(tmp_path, depth_scale=10.0), 4)
        assert read(tmp_path, channels=3).report.lines()[1] == (
            "depth of all is left aside: colour alone"
        )

    def test_holes_in_whatever_form_are_no_measurement(self, tmp_path: Path) -> None:
        metres = depth_map().astype(np.float32) / 1000
        for row, hole in enumerate([np.nan, np.inf, -np.inf, -1.0, 0.0], start=SIZE // 2 + 1):
            metres[row] = hole
        whole = depth_map()
        whole[SIZE // 2 + 1 : SIZE // 2 + 6] = 65535
        fill(tmp_path / "a", c=("rgb/{}.png", picture), d=("depth/{}.tif", lambda _: metres))
        fill(tmp_path / "b", c=("rgb/{}.png", picture), d=("depth/{}.png", lambda _: whole))
        for folder in (tmp_path / "a", tmp_path / "b"):
            target = read(folder)
            assert (target.images[:, 3, SIZE // 2 + 1 : SIZE // 2 + 6] == 1).all()
            assert target.report.depth_mm == pytest.approx((850, 900, 900))
            np.testing.assert_allclose(target.images[:, 3, :4, :4], -0.25, atol=1e-3)


def with_exif(pixels: NDArray[np.uint8], orientation: int, kind: str) -> bytes:
    exif, content = Image.Exif(), BytesIO()
    exif[EXIF_ORIENTATION] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    Image.fromarray(pixels).save(content, kind, exif=exif, **options)
    return content.getvalue()


@settings(max_examples=32, deadline=None)
@given(st.integers(1, 8), st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]), st.integers(0, 9))
def test_exif_turns_colour_and_depth_alike(orientation: int, kind: str, seed: int) -> None:
    """Depth is 700 mm plus a grey level each, so that it follows the colour wherever that goes."""
    noise = np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE), np.uint8)
    grey = cv2.GaussianBlur(noise, (0, 0), 2)
    grey[:3, :3] = 255
    content = with_exif(np.repeat(grey[..., None], 3, axis=2), orientation, kind)
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rgb").mkdir()
        for number in range(N):
            (folder / f"rgb/{number}.{kind.lower()[:4]}").write_bytes(content)
            save(folder / f"depth/{number}.png", grey.astype(np.uint16) + 700)
        (folder / "crops.json").write_text(
            json.dumps({"centre_depth": {str(number): 800.0 for number in range(N)}})
        )
        target = read(folder)
    image = target.images[0].astype(np.float32)
    levels = (image[0] + 1) * 127.5
    if kind != "WEBP":  # which OpenCV turns in some versions only
        np.testing.assert_allclose(levels, shown[..., 0], atol=0.6)
    depth = image[3] * 200 + 800
    np.testing.assert_allclose(depth - 700, levels, atol=6 if kind == "JPEG" else 1)
    turned = "20 crops are turned as EXIF says, and their depth alike"
    assert (turned in target.report.notes) == (orientation != 1)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_depth_that_has_a_turn_of_its_own_is_turned_by_it(orientation: int, tmp_path: Path) -> None:
    """An upright colour picture, and depth that its TIFF says how to bring upright."""
    back = {3: 2, 6: 1, 8: -1}[orientation]
    for number in range(N):
        save(tmp_path / f"rgb/{number}.png", picture(number))
        lying = np.ascontiguousarray(np.rot90(depth_map(), back)).astype(np.float32)
        (tmp_path / "depth").mkdir(exist_ok=True)
        Image.fromarray(lying).save(
            tmp_path / f"depth/{number}.tiff", tiffinfo={EXIF_ORIENTATION: orientation}
        )
    check_crops(read(tmp_path), 4)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([10, 12, 14, 16]), st.booleans())
def test_16_bit_pictures_are_as_bright_as_their_sensor_saw_them(bits: int, colour: bool) -> None:
    random = np.random.default_rng(bits)
    shape = (N, SIZE, SIZE, 3) if colour else (N, SIZE, SIZE)
    values = random.integers(0, 1 << bits, shape).astype(np.uint16)
    values[0, 0, 0] = (1 << bits) - 1
    values[1] //= 8  # a dark one stays dark beside the others
    with tempfile.TemporaryDirectory() as name:
        for number, pixels in enumerate(values):
            save(Path(name) / f"{number}.png", pixels)
        target = read(Path(name))
    expected = values / ((1 << bits) - 1) * 255
    planes = np.moveaxis(expected, -1, 1) if colour else np.repeat(expected[:, None], 3, axis=1)
    found = (target.images.astype(np.float32) + 1) * 127.5
    np.testing.assert_allclose(found, planes, atol=0.6)
    assert f"20 crops are of {bits} bits in 16, brought to 8" in target.report.notes


def test_transparent_parts_are_laid_on_black(tmp_path: Path) -> None:
    for number in range(N):
        alpha = np.zeros((SIZE, SIZE, 1), np.uint8)
        alpha[: SIZE // 2], alpha[SIZE // 2] = 255, 128
        bgr = np.full((SIZE, SIZE, 3), (40, 100, 200), np.uint8)
        save(tmp_path / f"{number}.png", np.concatenate([bgr, alpha], axis=2))
    target = read(tmp_path)
    levels = (target.images[0].astype(np.float32) + 1) * 127.5
    np.testing.assert_allclose(levels[:, 0, 0], (200, 100, 40), atol=0.5)
    np.testing.assert_allclose(levels[:, SIZE // 2, 0], (100, 50, 20), atol=1)
    assert (levels[:, SIZE // 2 + 1 :] == 0).all()
    assert "20 crops are transparent in part, and laid on black" in target.report.notes


@pytest.mark.parametrize("filling", [0, 255])
def test_a_fourth_channel_that_says_nothing_is_passed_over(filling: int, tmp_path: Path) -> None:
    extra = np.full((SIZE, SIZE, 1), filling, np.uint8)
    for number in range(N):
        bgra = np.concatenate([picture(number)[..., ::-1], extra], axis=2)
        save(tmp_path / f"{number}.png", bgra)
    target = read(tmp_path)
    check_crops(target, 3)
    assert target.report.notes == ()


def test_damaged_files_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, whole=("{}.png", picture))
    content = (tmp_path / "0.png").read_bytes()
    for number in range(N, 60):
        (tmp_path / f"{number}.png").write_bytes(content[: len(content) // 2])
    for number in range(60, 75):
        (tmp_path / f"{number}.jpg").write_bytes(b"<html>" if number % 2 else b"")
    target = read(tmp_path)
    check_crops(target, 3)
    assert reasons(target) == {"damaged": 55}
    assert len(target.skipped) == 55
    for number in range(5):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(
        AdapterError,
        match=r"holds 15 usable crops; at least 16 .* \(left out: 55 as damaged \(20.png\)\)",
    ):
        read(tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([".png", ".jpg"]), st.floats(0.0, 0.999), st.booleans())
def test_no_picture_that_is_cut_off_is_a_crop(kind: str, share: float, thumbnail: bool) -> None:
    """Decoders may fill in grey; a thumbnail in the head has an end of its own."""
    done, encoded = cv2.imencode(kind, picture(0))
    assert done
    content = encoded.tobytes()
    if thumbnail and kind == ".jpg":
        inner = cv2.imencode(".jpg", picture(1)[:8, :8])[1].tobytes()
        size = (len(inner) + 2).to_bytes(2, "big")
        content = content[:2] + b"\xff\xe1" + size + inner + content[2:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, whole=(f"{{}}{kind}", picture))
        (folder / f"whole{kind}").write_bytes(content)
        (folder / f"cut{kind}").write_bytes(content[: int(share * len(content))])
        target = read(folder)
    assert len(target) == N + 1
    assert target.skipped == (f"cut{kind}",)


def test_files_of_systems_and_trainings_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, crops=("IMG_{}.PNG", picture))
    for number in range(N):
        (tmp_path / f"._IMG_{number}.PNG").write_bytes(b"\0\5\x16\7" + b"\0" * 100)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"\0")
    for folder in ("__MACOSX", ".thumbnails", "adapter.training/samples"):
        save(tmp_path / folder / "1.png", picture(1))
    save(tmp_path / "preview.png", np.zeros((12, 30, 3), np.uint8))
    (tmp_path / "crops.json").write_text("\ufeff{}", encoding="utf-8")
    target = read(tmp_path)
    check_crops(target, 3)
    assert reasons(target) == {
        "hidden files, as macOS and others leave them": N,
        "previews, by their names": 1,
    }


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "crops"
    save(outside / "secret.png", picture(1))
    (outside / "crops.json").write_text(json.dumps({"cut": {"centre": "mean"}}))
    fill(folder, crops=("{}.png", picture))
    (folder / "crops.json").symlink_to(outside / "crops.json")
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "more").symlink_to(outside)
    (folder / "inside.png").symlink_to(folder / "0.png")
    (folder / "round.png").symlink_to(folder / "round.png")
    os.mkfifo(folder / "pipe.png")
    target = read(folder)
    assert len(target) == N + 1
    assert reasons(target) == {"links, which are not followed out of the folder": 3}
    (tmp_path / "linked").symlink_to(folder)
    assert len(read(tmp_path / "linked")) == N + 1


def test_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    for number in range(N):
        (tmp_path / f"IMG_{number}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(
        AdapterError, match=r"20 files, none an image .*20 as kinds that are not read: save PNG"
    ):
        read(tmp_path)
    fill(tmp_path, crops=("{}.webp", picture))
    assert len(read(tmp_path)) == N


def test_crops_that_repeat_are_told(tmp_path: Path) -> None:
    fill(tmp_path, crops=("{}.png", lambda i: picture(i % 4)))
    assert read(tmp_path).report.notes == ("16 crops are the same as another, pixel by pixel",)


def test_a_bop_dataset_states_its_own_step(tmp_path: Path) -> None:
    write_scene(tmp_path, POSES)
    (tmp_path / "rgb/._000000.png").write_bytes(b"\0\5\x16\7")
    target = read_target(tmp_path)
    assert target.report.depth_unit == "in steps of 0.1 mm by scene_camera.json"
    assert target.report.depth_mm is not None
    assert target.report.depth_mm[0] == 700
    with pytest.raises(AdapterError, match=r"is a BOP dataset, .*leave out `depth_scale`"):
        read_target(tmp_path, depth_scale=1.0)


@functools.cache
def rgbd_files() -> dict[str, bytes]:
    """A folder of crops in several kinds of files, by name."""
    kinds = ("JPEG", "PNG", "WEBP")
    files = {f"rgb/{i}.{kinds[i % 3].lower()}": with_exif(picture(i), 6, kinds[i % 3])
             for i in range(N)}  # fmt: skip
    metres = depth_map().astype(np.float32) / 1000
    for number in range(N):
        files[f"depth/{number}.tiff"] = cv2.imencode(".tiff", metres)[1].tobytes()
    files["crops.json"] = json.dumps({"depth_scale": 1000, "centre_depth": {"1": 900}}).encode()
    return files


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(["rgb/0.jpeg", "rgb/1.png", "rgb/2.webp",
                                          "depth/0.tiff", "crops.json"])))  # fmt: skip
def test_damaged_target_pictures(data: st.DataObject, damaged: str) -> None:
    files = dict(rgbd_files())
    files[damaged] = data.draw(damaged_bytes(files[damaged]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
        try:
            target = read(folder)
        except AdapterError as error:
            check_refusal(error, folder)
        else:
            assert len(target) >= N - 1
            assert np.abs(target.images).max() <= 1


_FOLDERS = st.sampled_from(
    ["", "rgb/", "color/", "images/", "depth/", "mask/", "vis/", "s1/", "ir/"]
)
_STEMS = st.sampled_from(["", "color", "depth_", "mask", "label-", "gray", "preview", "x"])
_MAKES = st.sampled_from(
    [picture, lambda _: depth_map(), lambda _: mask(), lambda _: drawn_depth()]
)


@pytest.mark.several_seconds
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(_FOLDERS, _STEMS, st.integers(0, 30), st.sampled_from([".png", ".tiff"]), _MAKES),
        min_size=16, max_size=60, unique_by=lambda made: made[:4],
    ),
    st.sampled_from([None, 3]),
)  # fmt: skip
def test_every_picture_is_accounted_for(made: list[tuple[Any, ...]], channels: int | None) -> None:
    """It is a crop, a crop's depth, or left out for a reason that is told."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, stem, number, suffix, make in made:
            save(folder / f"{place}{stem}{number}{suffix}", make(number))
        try:
            target = read(folder, channels=channels)
        except AdapterError as error:
            check_refusal(error, folder)
            return
    told = len(target) + sum(reasons(target).values())
    depth = sum("depth" in f"{place}{stem}" for place, stem, *_ in made)
    assert 0 <= len(made) - told <= depth
    assert len(target) == target.report.crops == sum(target.report.folders.values())
