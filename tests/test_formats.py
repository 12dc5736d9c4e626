"""What is written: the same crops in every format, as independent readers of each see them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from cad_models import load_models
from render_adapt import (
    PreparedShard,
    RunConfig,
    SettingError,
    Shard,
    decode_mask,
    encode_mask,
    formats,
    generate,
    label_crops,
)
from renderer import RANDOMIZATIONS, PlanConfig, RasterRenderer, make_plans

CLUTTER = dataclasses.replace(
    RANDOMIZATIONS["linemod"], occluders=(1, 2), neighbours=(0, 2), off_centre=0.4, zoom=(0.6, 1.2)
)
KINDS = ["rgb.png", "depth.png", "camera.json", "gt.json", "gt_info.json", "mask.json",
         "mask_visib.json"]  # fmt: skip


def config(out: Path, **changes: object) -> RunConfig:
    settings = {"objects": ("ape", "benchvise", "duck"), "n": 10, "seed": 3, "workers": 1,
                "adapter": "none", "randomize": CLUTTER, "out": out}  # fmt: skip
    return RunConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten crops of several objects each, some cut by the border, in shards of four."""
    out = tmp_path_factory.mktemp("both") / "dataset"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        generate(config(out, format=("bop", "bop-webdataset")))
    return out


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def read_mask(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0


def coco_decode(encoded: dict) -> np.ndarray:
    """By pycocotools: an independent judge."""
    return coco_masks.decode(coco_masks.frPyObjects(encoded, *encoded["size"])).astype(bool)


def test_tar_files_hold_what_the_scenes_hold(both: Path) -> None:
    seen = instances = 0
    for shard in range(3):
        scene = both / f"train/{shard:06d}"
        camera, gt, info = (
            json.loads((scene / f"scene_{name}.json").read_text())
            for name in ("camera", "gt", "gt_info")
        )
        files = members(both / f"train_web/shard-{shard:06d}.tar")
        keys = [f"{shard:06d}_{image:06d}" for image in range(len(gt))]
        assert list(files) == [f"{key}.{kind}" for key in keys for kind in KINDS]
        for image, key in enumerate(keys):
            for kind in ("rgb", "depth"):
                assert (
                    files[f"{key}.{kind}.png"] == (scene / kind / f"{image:06d}.png").read_bytes()
                )
            for kind, there in (("camera", camera), ("gt", gt), ("gt_info", info)):
                assert json.loads(files[f"{key}.{kind}.json"]) == there[str(image)]
            for kind in ("mask", "mask_visib"):
                masks = json.loads(files[f"{key}.{kind}.json"])
                assert list(masks) == [str(number) for number in range(len(gt[str(image)]))]
                for number, encoded in masks.items():
                    expected = read_mask(scene / kind / f"{image:06d}_{int(number):06d}.png")
                    np.testing.assert_array_equal(coco_decode(encoded), expected)
                    instances += 1
            seen += 1
    assert seen == 10
    assert instances > 40


def test_members_have_no_date_and_no_owner(both: Path) -> None:
    """What differs between machines and runs would make equal runs differ."""
    with tarfile.open(both / "train_web/shard-000000.tar") as archive:
        for member in archive:
            assert member.isreg()
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            assert (member.uname, member.gname, member.mode) == ("", "", 0o444)


def test_the_tar_command_reads_them(both: Path) -> None:
    listed = subprocess.run(
        ["tar", "--list", "--file", both / "train_web/shard-000002.tar"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stderr == ""
    assert len(listed.stdout.splitlines()) == 2 * len(KINDS)


def test_stock_webdataset_reads_them(both: Path) -> None:
    pytest.importorskip("webdataset")
    code = (
        "import json, sys, webdataset\n"
        "samples = webdataset.WebDataset(sys.argv[1:], shardshuffle=False)\n"
        "print(json.dumps([[s['__key__'], sorted(k for k in s if k[0] != '_')] "
        "for s in samples]))"
    )
    # In a process of its own: it leaves the files open.
    result = subprocess.run(
        [sys.executable, "-c", code, *sorted((both / "train_web").glob("*.tar"))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    keys = json.loads((both / "train_web/key_to_shard.json").read_text())
    assert json.loads(result.stdout) == [[key, sorted(KINDS)] for key in keys]


def test_key_to_shard_names_every_crop(both: Path) -> None:
    listed = json.loads((both / "train_web/key_to_shard.json").read_text())
    expected = [(0, k) for k in range(4)] + [(1, k) for k in range(4)] + [(2, 0), (2, 1)]
    assert listed == {f"{shard:06d}_{image:06d}": shard for shard, image in expected}


def test_finishing_again_writes_the_same_bytes(both: Path) -> None:
    path = both / "train_web/key_to_shard.json"
    before = path.read_bytes()
    path.unlink()
    formats()["bop-webdataset"].finish(both, {Shard(2): 2, Shard(0): 4, Shard(1): 4})
    assert path.read_bytes() == before


@pytest.mark.parametrize("format", ["bop", "bop-webdataset"])
def test_a_format_alone_is_what_it_is_beside_the_other(
    format: str, both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render_adapt._config.SHARD_SIZE", 4)
    generate(config(tmp_path / "one", format=(format,)))
    folder, other = {"bop": ("train", "train_web"), "bop-webdataset": ("train_web", "train")}[
        format
    ]
    assert not (tmp_path / "one" / other).exists()
    files = [path for path in (tmp_path / "one" / folder).rglob("*") if path.is_file()]
    assert len(files) == sum(path.is_file() for path in (both / folder).rglob("*"))
    for path in files:
        assert path.read_bytes() == (both / path.relative_to(tmp_path / "one")).read_bytes()


def test_what_is_written_does_not_depend_on_batches(tmp_path: Path) -> None:
    models = load_models(["ape", "benchvise", "duck"])
    renderer = RasterRenderer(models, levels=False)
    crops = renderer.render(make_plans(PlanConfig(), models, 3, 0, 6, CLUTTER))
    labels = label_crops(crops, renderer, models)
    for name, bounds in (("whole", [0, 6]), ("parts", [0, 1, 4, 6])):
        (tmp_path / name).mkdir()
        prepared = PreparedShard(tmp_path / name)
        for format in (formats()["bop"], formats()["bop-webdataset"]):
            (prepared.path / format.entry(Shard(5))).parent.mkdir()
            writer = format.writer(prepared, Shard(5), models, 0.0, "png")
            for first, last in itertools.pairwise(bounds):
                writer.add(crops[first:last], labels[first:last])
            writer.close()
    files = [path for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"shard-000005.tar", "scene_gt.json"}
    for path in files:
        twin = tmp_path / "parts" / path.relative_to(tmp_path / "whole")
        assert path.read_bytes() == twin.read_bytes()


def test_coco_boxes_are_those_of_the_silhouettes_within_the_image(both: Path) -> None:
    """As bop_toolkit makes them: `bbox_obj` goes on beyond the border, and COCO's must not."""
    beyond = 0
    for scene in sorted((both / "train").iterdir()):
        coco = COCO(str(scene / "scene_gt_coco.json"))
        info = json.loads((scene / "scene_gt_info.json").read_text())
        for image, entries in info.items():
            annotations = iter(coco.loadAnns(coco.getAnnIds(imgIds=[int(image)])))
            for number, entry in enumerate(entries):
                if not entry["px_count_visib"]:
                    continue
                annotation = next(annotations)
                whole = read_mask(scene / f"mask/{int(image):06d}_{number:06d}.png")
                encoded = coco_masks.encode(np.asfortranarray(whole.astype(np.uint8)))
                assert annotation["bbox"] == coco_masks.toBbox(encoded).tolist()
                assert annotation["area"] == entry["px_count_visib"]
                assert annotation["ignore"] == (entry["visib_fract"] < 0.1)
                x, y, width, height = entry["bbox_obj"]
                beyond += annotation["bbox"] != [x, y, width + 1, height + 1]
    assert beyond >= 3


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_masks_survive_run_lengths(mask: np.ndarray) -> None:
    encoded = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(encoded, mask.shape), mask)
    np.testing.assert_array_equal(coco_decode(encoded), mask)


def test_a_mask_that_begins_with_the_object_begins_with_no_zeros() -> None:
    """What bop_toolkit's own converter gets wrong: it inverts such masks."""
    mask = np.array([[True, False], [True, True], [False, True]])
    assert encode_mask(mask) == {"counts": [0, 2, 2, 2], "size": [3, 2]}


@pytest.mark.parametrize(
    "encoded",
    [
        {"counts": [3], "size": [2, 2]}, {"counts": [-4, 8], "size": [2, 2]},
        {"counts": [4.0], "size": [2, 2]}, {"counts": "PPYo0", "size": [2, 2]},
        {"counts": [4], "size": [4]}, {"counts": [], "size": [2, 2]}, {"size": [2, 2]}, [4], None,
        {"counts": [4], "size": ["2", "2"]}, {"counts": [[4]], "size": [2, 2]},
        {"counts": [4], "size": [-2, -2]}, {"counts": [1e300], "size": [2, 2]},
        {"counts": [10**30], "size": [2, 2]}, {"counts": [10**12], "size": [10**6, 10**6]},
        {"counts": [4], "size": [1, 4]}, {"counts": [4], "size": [2, 2, 1]},
    ],
)  # fmt: skip
def test_run_lengths_that_make_no_mask_are_refused(encoded: object) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        decode_mask(encoded, (2, 2))


@pytest.mark.parametrize(
    "given", [("bop", "bop-webdataset"), ("bop-webdataset,bop",), ("bop-webdataset", "bop", "bop")]
)
def test_the_order_in_which_formats_are_given_does_not_matter(given: tuple[str, ...]) -> None:
    assert RunConfig(objects=("ape",), n=1, format=given).format == ("bop", "bop-webdataset")


@pytest.mark.parametrize("given", [("tfrecord",), ("bop,tfds",), (), ("",)])
def test_other_formats_are_refused(given: tuple[str, ...]) -> None:
    with pytest.raises(
        SettingError, match=r"`format` is .* must be bop, bop-webdataset, coco, .* or xyz-crop"
    ):
        RunConfig(objects=("ape",), n=1, format=given)


def test_index_says_where_each_crop_came_from(tmp_path: Path) -> None:
    generate(config(tmp_path / "plain", n=2))
    generate(config(tmp_path / "adapted", n=2, adapter="shipped"))
    for name in ("plain", "adapted"):
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        table = parquet.read_table(tmp_path / name / "index/000000.parquet").to_pylist()
        assert len(table) == 2
        for row in table:
            assert row["seed"] == 3
            assert row["config_sha256"] == manifest["config_sha256"]
            assert row["version"] == manifest["version"]
            network = manifest["adapter"] and manifest["adapter"]["generator.onnx"]
            assert row["adapter_sha256"] == network
    assert network is not None
