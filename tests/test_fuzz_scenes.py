"""BOP scenes from strangers, as a target of training and as a dataset: crops, or one sentence."""

from __future__ import annotations

import functools
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter import AdapterError, read_target
from render_adapt import CropReader, DatasetError, Shard, formats
from tests.fuzzing import check_refusal, damaged_bytes, damaged_json

QUICK = settings(max_examples=40, deadline=None)
IMAGES = 16
"""As many as a target must have."""
MASK = np.zeros((16, 16), np.uint8)
MASK[4:9, 5:12] = 255


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@functools.cache
def scene(side: int = 16) -> dict[str, bytes]:
    """The files of a scene of plain images, by path."""
    camera = {"cam_K": [300.0, 0, side / 2, 0, 300.0, side / 2, 0, 0, 1], "depth_scale": 0.1}
    pose = {"cam_R_m2c": [1, 0, 0, 0, 1, 0, 0, 0, 1], "cam_t_m2c": [0, 0, 5000.0], "obj_id": 1}
    info = {
        "bbox_obj": [5, 4, 6, 4], "bbox_visib": [5, 4, 6, 4], "px_count_all": 35,
        "px_count_valid": 35, "px_count_visib": 35, "visib_fract": 1.0,
    }  # fmt: skip
    entries = {"scene_camera": camera, "scene_gt": [pose], "scene_gt_info": [info]}
    files = {}
    for name, entry in entries.items():
        lines = ",\n".join(f'  "{image}": {json.dumps(entry)}' for image in range(IMAGES))
        files[f"{name}.json"] = ("{\n" + lines + "\n}\n").encode()
    rgb, depth = np.full((side, side, 3), 90, np.uint8), np.full((side, side), 8000, np.uint16)
    for image in range(IMAGES):
        files[f"rgb/{image:06d}.png"] = png(rgb)
        files[f"depth/{image:06d}.png"] = png(depth)
        for kind in ("mask", "mask_visib"):
            files[f"{kind}/{image:06d}_000000.png"] = png(MASK)
    return files


JSON_FILES = ("scene_camera.json", "scene_gt.json", "scene_gt_info.json")
PICTURES = ("rgb/000000.png", "depth/000000.png", "mask/000000_000000.png")


@st.composite
def damaged_scenes(draw: st.DrawFn, side: int) -> dict[str, bytes]:
    files = dict(scene(side))
    name = draw(st.sampled_from([*JSON_FILES, *JSON_FILES, *PICTURES]))
    if name in JSON_FILES:
        document = json.loads(files[name])
        few = {key: document[key] for key in draw(st.sampled_from([["0"], list(document)[:3]]))}
        changed = draw(damaged_json(few))
        try:
            files[name] = json.dumps({**document, **json.loads(changed)}).encode()
        except (ValueError, TypeError):
            files[name] = changed
    else:
        files[name] = draw(damaged_bytes(files[name]))
    return files


def write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@QUICK
@given(st.data(), st.sampled_from([16, 40]))
def test_damaged_target_scenes(data: st.DataObject, side: int) -> None:
    """Crops of 16 pixels, taken whole, or cut from frames of 40."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(data.draw(damaged_scenes(side)), folder / "train/000000")
        try:
            crops = read_target(folder, size=16, channels=data.draw(st.sampled_from([3, 4, None])))
        except AdapterError as error:
            check_refusal(error, folder)
        else:
            assert crops.images.shape[2:] == (16, 16)
            assert np.isfinite(crops.images).all()
            assert np.abs(crops.images).max() <= 1


@QUICK
@given(damaged_scenes(16))
def test_damaged_dataset_scenes(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(files, folder / "train/000000")
        reads_or_refuses(formats()["bop"].reader(folder), folder)


def reads_or_refuses(reader: CropReader, folder: Path) -> None:
    for image in (0, 1):
        try:
            crop = reader.read(Shard(0), image)
        except DatasetError as error:
            check_refusal(error, folder)
        else:
            assert crop.mask.shape[1:] == crop.depth.shape == crop.rgb.shape[:2]
            assert len(crop.mask) == len(crop.rotation) == len(crop.object_id)
            assert np.isfinite(crop.rotation).all()
            assert np.isfinite(crop.translation).all()
            assert np.isfinite(crop.depth).all()


RLE = {"counts": [100, 7, 149], "size": [16, 16]}


@functools.cache
def members() -> dict[str, Any]:
    """What a tar file holds of one crop."""
    files = scene()
    parsed = {name: json.loads(files[name])["0"] for name in JSON_FILES}
    return {
        "rgb.png": files["rgb/000000.png"],
        "depth.png": files["depth/000000.png"],
        "camera.json": parsed["scene_camera.json"],
        "gt.json": parsed["scene_gt.json"],
        "gt_info.json": parsed["scene_gt_info.json"],
        "mask.json": {"0": RLE},
        "mask_visib.json": {"0": RLE},
    }


@QUICK
@given(st.data())
def test_damaged_tar_files(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*members(), "archive"]))
    content = b""
    for image in (0, 1):
        for name, entry in members().items():
            raw = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
            if name == kind:
                raw = data.draw(
                    damaged_bytes(raw) if isinstance(entry, bytes) else damaged_json(entry)
                )
            member = (
                data.draw(st.sampled_from([f"000000_{image:06d}", "../../x"]))
                if (kind == "archive")
                else f"000000_{image:06d}"
            )
            header = tarfile.TarInfo(f"{member}.{name}")
            header.size = len(raw)
            content += header.tobuf(tarfile.USTAR_FORMAT) + raw + bytes(-len(raw) % 512)
    content += bytes(10240)
    if kind == "archive":
        content = data.draw(damaged_bytes(content))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write({"train_web/shard-000000.tar": content}, folder)
        reads_or_refuses(formats()["bop-webdataset"].reader(folder), folder)
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["shard-000000.tar"]
