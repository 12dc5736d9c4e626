"""Boxes, poses of pictures, adapted and merged datasets from strangers: used, or one sentence."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checked_settings import RenderAdaptError
from render_adapt import (
    CropTargetConfig,
    RunConfig,
    crop_target,
    generate,
    load,
    merge,
    verify,
    write_report,
)
from renderer import RenderError, load_photographs
from tests.fuzzing import check_refusal, damaged_bytes, damaged_json

QUICK = settings(max_examples=40, deadline=None)
FEW = settings(max_examples=15, deadline=None)
NAME = "000000.png"
BOX = [10, 12, 20, 18]
COCO = {
    "images": [{"id": 1, "file_name": f"rgb/{NAME}", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": BOX, "iscrowd": 0}],
    "categories": [{"id": 3, "name": "ape"}],
}
RESULTS = [
    {"image_id": NAME, "category_id": 3, "bbox": BOX, "score": 0.9},
    {"scene_id": 0, "image_id": 0, "category_id": 3, "bbox": BOX, "score": 0.9},
]
BY_FRAME = {NAME: [{"box": BOX, "label": "ape", "score": 0.75}]}
YOLO = b"0 0.4 0.5 0.25 0.3 0.9\n1 0.5 0.5 0.2 0.2\n"


@functools.cache
def picture() -> bytes:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return bytes(cv2.imencode(".png", rgb)[1])


@st.composite
def damaged_boxes(draw: st.DrawFn) -> dict[str, bytes]:
    """A JSON file of boxes, or YOLO's, by their names in a folder."""
    kind = draw(st.sampled_from(["coco", "results", "by frame", "yolo", "classes"]))
    if kind == "yolo":
        return {"labels/000000.txt": draw(damaged_bytes(YOLO))}
    if kind == "classes":
        return {"000000.txt": YOLO, "classes.txt": draw(damaged_bytes(b"ape\ncat\n"))}
    document = {"coco": COCO, "results": RESULTS, "by frame": BY_FRAME}[kind]
    return {"boxes.json": draw(damaged_json(document))}


@QUICK
@given(damaged_boxes())
def test_damaged_boxes(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, boxes = Path(name), Path(name) / "boxes"
        for file, content in {**files, "../frames/000000.png": picture()}.items():
            path = boxes / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        given_boxes = boxes / "boxes.json" if "boxes.json" in files else boxes
        config = CropTargetConfig(
            frames=folder / "frames", out=folder / "out", boxes=given_boxes,
            camera=(100.0, 100.0, 32.0, 24.0), distance=700.0,
        )  # fmt: skip
        try:
            summary = crop_target(config, dry_run=True)
        except RenderAdaptError as error:
            check_refusal(error, "")
        else:
            assert summary.crops == sum(summary.by_object.values()) > 0
        assert not config.out.exists()


POSES = {
    "a.png": {
        "object": "ape", "cam_R_m2c": [1, 0, 0, 0, 1, 0, 0, 0, 1], "cam_t_m2c": [0, 0, 700.0],
        "cam_K": [100.0, 0, 32, 0, 100.0, 24, 0, 0, 1],
    }
}  # fmt: skip


@QUICK
@given(damaged_json(POSES))
def test_damaged_picture_poses(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.png").write_bytes(picture())
        (folder / "poses.json").write_bytes(content)
        try:
            poses = load_photographs(folder).poses
        except RenderError as error:
            check_refusal(error, folder / "poses.json")
        else:
            assert poses is not None
            for array in (poses.rotation, poses.translation, poses.camera_matrix):
                assert np.isfinite(array).all()
            assert (
                np.abs(poses.rotation @ poses.rotation.transpose(0, 2, 1) - np.eye(3)) < 1
            ).all()


def listing(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


@functools.cache
def adapted() -> dict[str, bytes]:
    """The files of an adapted dataset of one scene, as far as verify looks."""
    scene = {f"train_pbr/000000/{name}": b"{}\n" for name in ("scene_gt.json", "rgb/000000.png")}
    described = {
        "format": "render-adapt adaptation 1", "adapter": {"generator.onnx": "0" * 64},
        "scenes": {"train_pbr/000000": {"images": 1, "files": {}}}, "seed": 0,
    }  # fmt: skip
    others = {
        "adaptation.json": json.dumps(described).encode(),
        "adapted/train_pbr-000000.sha256": listing(scene),
    }
    return {**scene, **others, "dataset.sha256": listing(others)}


@QUICK
@given(st.data())
def test_damaged_adaptations(data: st.DataObject) -> None:
    """What `adapt` wrote of a dataset, and its lists, which vouch for each other or do not."""
    files = dict(adapted())
    names = ["adaptation.json", "adapted/train_pbr-000000.sha256", "dataset.sha256"]
    name = data.draw(st.sampled_from(names))
    whole = files[name]
    is_json = name.endswith(".json")
    files[name] = data.draw(damaged_json(json.loads(whole)) if is_json else damaged_bytes(whole))
    if name != "dataset.sha256" and data.draw(st.booleans()):
        files["dataset.sha256"] = listing({one: files[one] for one in names[:2]})
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            path = Path(folder) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            found = verify(folder, workers=1)
        except RenderAdaptError as error:
            check_refusal(error, folder)
        else:
            assert all(len(file.problem) < 600 for file in found.bad)
            assert found.bad or found.crops >= 0


@functools.cache
def merged_sets() -> tuple[Path, Path]:
    """A merged dataset of two crops, and another dataset."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-merged-"))
    for name, seed in (("one", 1), ("two", 2), ("three", 3)):
        generate(
            RunConfig(
                objects=("ape",), n=1, seed=seed, adapter="none", workers=1, out=folder / name
            )
        )
    merge([folder / "one", folder / "two"], folder / "merged")
    return folder / "merged", folder / "three"


def check_merged_set(manifest: bytes) -> list[str | None]:
    """Use a merged dataset with another manifest, whose hash its list has, as somebody would write
    it; returns how each use was refused, that of merging it last."""
    whole, other = merged_sets()
    refusals: list[str | None] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(whole, Path(name) / "merged"))
        (folder / "manifest.json").write_bytes(manifest)
        lines = (folder / "dataset.sha256").read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.endswith("  manifest.json\n")]
        digest = hashlib.sha256(manifest).hexdigest()
        (folder / "dataset.sha256").write_text("".join([*kept, f"{digest}  manifest.json\n"]))
        for use in (
            lambda: verify(folder, workers=1),
            lambda: load(folder)[-1],
            lambda: write_report(folder, Path(name) / "report.html"),
            lambda: merge([folder, other], Path(name) / "out"),
        ):
            try:
                use()
                refusals.append(None)
            except RenderAdaptError as error:
                check_refusal(error, "")
                refusals.append(str(error))
    return refusals


@FEW
@given(st.data())
def test_damaged_merged_sets(data: st.DataObject) -> None:
    whole, _ = merged_sets()
    check_merged_set(data.draw(damaged_json(json.loads((whole / "manifest.json").read_bytes()))))


@pytest.mark.parametrize(
    "facts",
    [
        *({"obj_id": number} for number in ("", "1", False, None, [], 1.0, 7, -1, 10**400)),
        *({key: value} for key in ("origin", "sha256") for value in (None, {}, 1)),
    ],
    ids=lambda facts: ascii(facts)[:30],
)
def test_merged_sets_with_objects_that_are_none(facts: dict[str, Any]) -> None:
    whole, _ = merged_sets()
    manifest = json.loads((whole / "manifest.json").read_bytes())
    manifest["objects"]["ape"] |= facts
    refusal = check_merged_set(json.dumps(manifest).encode())[-1]
    assert refusal is not None
    assert "manifest.json is damaged" in refusal


@pytest.mark.parametrize("key", ["obj_id", "origin", "sha256"])
def test_merged_sets_with_objects_of_which_something_is_not_said(key: str) -> None:
    whole, _ = merged_sets()
    manifest = json.loads((whole / "manifest.json").read_bytes())
    del manifest["objects"]["ape"][key]
    refusal = check_merged_set(json.dumps(manifest).encode())[-1]
    assert refusal is not None
    assert "manifest.json is damaged" in refusal


def test_merged_sets_with_two_objects_of_one_number() -> None:
    whole, _ = merged_sets()
    manifest = json.loads((whole / "manifest.json").read_bytes())
    manifest["objects"]["cat"] = manifest["objects"]["ape"]
    manifest["order"].append("cat")
    refusal = check_merged_set(json.dumps(manifest).encode())[-1]
    assert refusal is not None
    assert "two of its objects have one number" in refusal
