"""Splits by plan, and scenes that are numbered from elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pyarrow import parquet

from render_adapt import (
    DatasetError,
    RunConfig,
    SettingError,
    generate,
    load,
    make_only,
    merge,
    repair,
    torch_dataset,
    verify,
    webdataset_pipeline,
    write_report,
)

FORMATS = ("bop", "bop-webdataset", "coco", "yolo", "dope", "bop-targets", "huggingface")
SPLIT = "train:0.9,val:0.1"


def made(out: Path, **changes: Any) -> Path:
    settings = {
        "objects": ("ape", "duck"), "n": 252, "seed": 4, "adapter": "none", "workers": 1,
        "format": FORMATS, "split": SPLIT, "out": out,
    }  # fmt: skip
    generate(RunConfig(**{**settings, **changes}))
    return out


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of every 250 crops the last 25 are to validate on."""
    return made(tmp_path_factory.mktemp("splits") / "d")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_which_crops_are_of_which_split(dataset: Path) -> None:
    assert verify(dataset, workers=1).bad == ()
    whole, train, val = load(dataset), load(dataset, split="train"), load(dataset, split="val")
    held_out = list(range(225, 250))
    assert val.columns["index"].tolist() == held_out
    assert train.columns["index"].tolist() == [*range(225), *range(250, 252)]
    assert len(whole) == 252
    assert [whole.split_of(shard) for shard in whole.shards] == ["train", "val", "train"]
    assert whole.columns["split"].tolist() == ["train"] * 225 + ["val"] * 25 + ["train"] * 2
    assert np.bincount(val.columns["obj_id"])[[1, 9]].tolist() == [12, 13]
    with pytest.raises(DatasetError, match="has no split test, but train, val"):
        load(dataset, split="test")


def test_a_scene_of_another_split_is_named_and_not_read(dataset: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    shutil.copytree(copy / "train/000000", copy / "train/000001")
    bad = verify(copy, workers=1).bad
    assert [(file.shard, file.unlisted) for file in bad] == [(1, True)]
    assert "/train/000001/" in str(bad[0].path)
    np.testing.assert_array_equal(load(copy)[225].rgb, load(dataset)[225].rgb)


def test_crops_are_those_of_a_run_without_splits(dataset: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"objects": ("ape", "duck"), "seed": 4, "adapter": "none"}
    config = RunConfig(**settings, n=252, workers=1, out=tmp_path / "plain")
    val = load(dataset, "bop-webdataset", split="val")
    for number in (0, 24):
        alone = make_only(config, 225 + number)
        rgb = cv2.imread(str(alone / "train/000000/rgb/000000.png"))
        np.testing.assert_array_equal(val[number].rgb, rgb[..., ::-1])
    index = parquet.read_table(alone / "index/000000.parquet")
    assert "split" not in index.column_names


def test_a_run_that_grew_with_more_workers_has_the_same_splits(
    dataset: Path, tmp_path: Path
) -> None:
    out = made(tmp_path / "grown", n=230, format=("bop",))
    before = {path: path.read_bytes() for path in out.rglob("rgb/*.png")}
    made(out, format=("bop",), workers=2)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert verify(out, workers=1).bad == ()
    for split in ("train", "val"):
        grown, at_once = load(out, split=split), load(dataset, "bop", split=split)
        assert grown.columns["index"].tolist() == at_once.columns["index"].tolist()
        np.testing.assert_array_equal(grown[-1].rgb, at_once[-1].rgb)


def test_where_formats_have_them(dataset: Path) -> None:
    scenes = {path.relative_to(dataset).as_posix() for path in dataset.glob("*/00000?")}
    assert scenes == {
        f"{folder}{ending}/{number}"
        for folder, other in (("train", "val"), ("yolo", "yolo_val"), ("dope", "dope_val"))
        for ending, number in (("", "000000"), ("", "000002"))
    } | {f"{folder}/000001" for folder in ("val", "yolo_val", "dope_val")}
    assert (dataset / "val_web/shard-000001.tar").is_file()
    assert read_json(dataset / "val_web/key_to_shard.json") == {
        f"000001_{k:06d}": 1 for k in range(25)
    }
    assert len(read_json(dataset / "key_to_shard.json")) == 252
    for split, count in (("train", 227), ("val", 25)):
        coco = read_json(dataset / f"annotations/instances_{split}.json")
        assert len(coco["images"]) == count
        assert all((dataset / image["file_name"]).is_file() for image in coco["images"])
        assert {image["file_name"].split("/")[0] for image in coco["images"]} == {split}
    assert {row["scene_id"] for row in read_json(dataset / "test_targets_bop19.json")} == {1}
    lines = (dataset / "yolo/data.yaml").read_text().splitlines()
    assert lines[:2] == ["train: .", "val: ../yolo_val"]
    card = (dataset / "README.md").read_text()
    assert "  - split: train\n    path: train_web/*.tar\n" in card
    assert "  - split: validation\n    path: val_web/*.tar\n" in card


def test_other_readers_take_a_split(dataset: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("webdataset")
    samples = torch_dataset(dataset, split="val")
    streamed = list(webdataset_pipeline(dataset, split="val"))
    assert len(samples) == len(streamed) == 25
    assert {int(one["scene_id"]) for one in streamed} == {1}
    assert len(list(webdataset_pipeline(dataset))) == 252


def test_frames_to_test_on_have_their_list(tmp_path: Path) -> None:
    out = made(
        tmp_path / "frames", frames="64x48", objects_per_frame=1, objects=("duck",), n=5,
        split="train:0.01,test:0.99", format=("bop", "linemod-preprocessed"),
    )  # fmt: skip
    folder = out / "Linemod_preprocessed/data/09"
    assert (folder / "train.txt").read_text().split() == ["0000", "0001", "0002"]
    assert (folder / "test.txt").read_text().split() == ["0003", "0004"]
    assert verify(out, workers=1).bad == ()


@pytest.mark.parametrize(
    "split",
    ["", "train", "train:1", "val:0.5,test:0.5", "train:0.9,val:0.2", "train:0.995,val:0.005",
     "train:0.5,train:0.5", "train:0.9,dev:0.1", "train:0.9,val:x", "train:nan,val:nan"],
)  # fmt: skip
def test_splits_that_are_none(split: str, tmp_path: Path) -> None:
    if not split:
        assert RunConfig(objects=("ape",), n=1, split="").split is None
        return
    with pytest.raises(SettingError, match=r"`split` is .*train and val, or test, each with a"):
        RunConfig(objects=("ape",), n=1, split=split, out=tmp_path)


def test_a_run_that_is_too_short_for_its_splits(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"`split` leaves val none of 225 .* `n` 226 or more"):
        made(tmp_path / "d", n=225)
    assert not (tmp_path / "d").exists()
    assert RunConfig(objects=("ape",), n=1, split="val:.1, train:.9").split == SPLIT


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("scenes")
    settings: dict[str, Any] = {"n": 3, "split": None, "format": FORMATS}
    return (
        made(folder / "one", **settings),
        made(folder / "two", **settings, seed=5, first_scene=40),
    )


def test_scenes_are_numbered_from_a_first_one(side_by_side: tuple[Path, Path]) -> None:
    one, two = side_by_side
    assert [path.name for path in (two / "train").iterdir()] == ["000040"]
    assert verify(two, workers=1).bad == ()
    for format_ in ("bop", "bop-webdataset"):
        crops = load(two, format_)
        assert crops.shards == [40]
        assert [(crop.scene_id, crop.im_id) for crop in crops] == [(40, 0), (40, 1), (40, 2)]
    assert "first_scene" not in read_json(one / "manifest.json")
    assert write_report(two).is_file()
    (two / "report.html").unlink()
    for folder in ("train", "train_web", "yolo", "dope", "index"):
        names = [{path.name for path in (part / folder).iterdir()} for part in side_by_side]
        assert names[0] & names[1] <= {"key_to_shard.json", "data.yaml"}


def test_such_a_run_goes_on_and_is_mended(side_by_side: tuple[Path, Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(side_by_side[1], tmp_path / "two"))
    made(out, n=5, split=None, seed=5, first_scene=40)
    assert load(out).shards == [40, 41]
    (out / "train/000041/scene_gt.json").write_text("")
    before = verify(out, workers=1)
    assert [file.shard for file in before.bad] == [41]
    assert repair(before, workers=1).sha256 == before.sha256
    assert verify(out, workers=1).bad == ()
    alone = make_only(
        RunConfig(objects=("ape", "duck"), n=5, seed=5, adapter="none", workers=1, out=out,
                  format=FORMATS, first_scene=40),
        4,
    )  # fmt: skip
    alone_rgb = (alone / "train/000041/rgb/000000.png").read_bytes()
    assert alone_rgb == (out / "train/000041/rgb/000001.png").read_bytes()
    with pytest.raises(DatasetError, match="first_scene 40 there, 7 here"):
        made(out, n=5, split=None, seed=5, first_scene=7)


def test_merged_sets_keep_splits(
    dataset: Path, side_by_side: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "merged"
    merge([side_by_side[1], dataset], out, first_scene=100)
    assert verify(out, workers=1).bad == ()
    assert load(out, split="val").shards == [102]
    assert load(out, split="train").shards == [100, 101, 103]
    assert len(load(out, split="val")) == 25
    columns = load(out).columns
    assert columns["split"].tolist() == ["train"] * 228 + ["val"] * 25 + ["train"] * 2
    files = parquet.read_table(out / "index")["split"].to_pylist()
    assert sorted(files) == sorted(columns["split"].tolist())
    crop = load(out, split="val")[3]
    np.testing.assert_array_equal(crop.rgb, load(dataset, split="val")[3].rgb)
    coco = read_json(out / "annotations/instances_val.json")
    assert len(coco["images"]) == 25
