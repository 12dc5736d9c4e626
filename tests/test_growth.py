"""Runs that grow: what was made stays to the byte, and everything says how it came to be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from render_adapt import DatasetError, RunConfig, generate, load, make_only, repair, verify

CONFIG = RunConfig(objects=("ape", "duck"), n=6, seed=3, adapter="none", workers=1)


def run(out: Path, n: int, **changes: Any) -> RunConfig:
    return dataclasses.replace(CONFIG, out=out, n=n, **changes)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stop_at(crops: int) -> Callable[[int, int], None]:
    def stop(done: int, total: int) -> None:
        if done >= crops:
            raise KeyboardInterrupt

    return stop


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A run of 6 crops that grew to 10 and then to 262, and its files when it had 6."""
    out = tmp_path_factory.mktemp("growth") / "d"
    generate(run(out, 6))
    before = files(out)
    assert generate(run(out, 10)).crops_made == 4
    summary = generate(run(out, 262))
    assert (summary.crops, summary.crops_made) == (262, 252)
    return out, before


WHAT_IS_OF_ALL = {"manifest.json", "dataset.sha256", "contact_sheet.png"}


def test_what_was_made_stays_to_the_byte(grown: tuple[Path, dict[str, bytes]]) -> None:
    out, before = grown
    after = files(out)
    assert {name for name in before if after[name] != before[name]} == WHAT_IS_OF_ALL
    listed = set(after["dataset.sha256"].decode().splitlines())
    of_shards = {
        line for line in before["dataset.sha256"].decode().splitlines() if "shards/" in line
    }
    assert of_shards <= listed


def test_its_crops_are_those_of_a_run_made_at_once(
    grown: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    generate(run(tmp_path / "at_once", 262))
    at_once, dataset = load(tmp_path / "at_once"), load(grown[0])
    assert len(dataset) == len(at_once) == 262
    assert dataset.columns["index"].tolist() == list(range(262))
    assert dataset.shards == [0, 1, 2, 3]
    for number in (0, 5, 6, 9, 10, 259, 260, 261):
        assert (dataset[number].rgb == at_once[number].rgb).all()
        assert (dataset[number].rotation == at_once[number].rotation).all()


def test_every_crop_says_which_run_made_it(
    grown: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    """Its hash is that of a run of as many crops as this one had when the crop was made."""
    out, _ = grown
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["n"], manifest["grown_from"], manifest["shards"]) == (262, [6, 10], 4)
    assert manifest["settings"]["n"] == 262
    hashes = []
    for n in (6, 10, 262):
        with pytest.raises(KeyboardInterrupt):
            generate(run(tmp_path / str(n), n), stop_at(0))
        begun = json.loads((tmp_path / str(n) / "manifest.json").read_text())
        hashes.append(begun["config_sha256"])
    assert manifest["config_sha256"] == hashes[-1]
    written = [
        parquet.read_table(out / f"index/{shard:06d}.parquet")["config_sha256"].unique().to_pylist()
        for shard in range(4)
    ]
    assert written == [[hashes[0]], [hashes[1]], [hashes[2]], [hashes[2]]]


def test_it_is_verified_and_mended_whole(grown: tuple[Path, dict[str, bytes]]) -> None:
    out, _ = grown
    verification = verify(out, workers=1)
    assert (verification.crops, verification.shards, verification.bad) == (262, 4, ())
    digest = hashlib.sha256((out / "dataset.sha256").read_bytes()).hexdigest()
    assert verification.sha256 == digest
    damaged = [out / "train/000000/rgb/000005.png", out / "train/000003/scene_gt.json"]
    before = [file.read_bytes() for file in damaged]
    for file in damaged:
        file.write_bytes(b"")
    bad = verify(out, workers=1)
    assert [file.shard for file in bad.bad] == [0, 3]
    assert repair(bad, workers=1).sha256 == digest
    assert [file.read_bytes() for file in damaged] == before


def test_given_again_it_is_there_and_a_shorter_one_is_refused(
    grown: tuple[Path, dict[str, bytes]],
) -> None:
    out, _ = grown
    before = files(out)
    assert generate(run(out, 262)).crops_made == 0
    with pytest.raises(DatasetError, match="n 262 there, 10 here"):
        generate(run(out, 10))
    with pytest.raises(DatasetError, match=r"another run \(n 262 there, 300 here, seed 3 there, 4"):
        generate(run(out, 300, seed=4))
    assert files(out) == before


def test_one_of_its_crops_alone(grown: tuple[Path, dict[str, bytes]]) -> None:
    out, _ = grown
    folder = make_only(run(out, 262), 8)
    alone = parquet.read_table(folder / "index/000001.parquet").to_pylist()
    row = parquet.read_table(out / "index/000001.parquet").to_pylist()[2]
    assert alone == [{**row, "im_id": 0}]


@pytest.mark.parametrize("crops", [0, 4, 250, 255])
def test_an_interrupted_growth_goes_on(crops: int, tmp_path: Path) -> None:
    out, whole = tmp_path / "d", tmp_path / "whole"
    for folder in (out, whole):
        generate(run(folder, 4))
    with pytest.raises(KeyboardInterrupt):
        generate(run(out, 256), stop_at(crops))
    summary = generate(run(out, 256))
    assert summary.crops == 256
    assert summary.crops_made <= 256 - 4
    generate(run(whole, 256))
    assert files(out) == files(whole)


def test_an_unfinished_run_may_grow_too(tmp_path: Path) -> None:
    out = tmp_path / "d"
    with pytest.raises(KeyboardInterrupt):
        generate(run(out, 252), stop_at(251))
    assert generate(run(out, 253)).crops == 253
    assert json.loads((out / "manifest.json").read_text())["grown_from"] == [252]
    assert verify(out, workers=1).bad == ()


def test_a_shard_that_is_not_as_listed_is_made_again_as_the_run_grows(tmp_path: Path) -> None:
    """The list that speaks against it goes as the run grows."""
    out, sound = tmp_path / "d", tmp_path / "sound"
    for folder in (out, sound):
        generate(run(folder, 4))
    listing = out / "shards/000000.sha256"
    scene = out / "train/000000/scene_gt.json"
    other = scene.read_bytes().replace(b"1", b"2", 1)
    old, new = (hashlib.sha256(content).hexdigest() for content in (scene.read_bytes(), other))
    scene.write_bytes(other)
    listing.write_text(listing.read_text().replace(old, new))
    entry = out / "shards/000000.json"
    changed = json.loads(entry.read_text())
    changed["sha256"] = hashlib.sha256(listing.read_bytes()).hexdigest()
    entry.write_text(json.dumps(changed, sort_keys=True) + "\n")
    for folder in (out, sound):
        generate(run(folder, 6))
    assert files(out) == files(sound)


@pytest.mark.parametrize(
    "grown_from", [5, [6], [0], [7], [-1], "6", [2.0], [3, 3], [[3]], list(range(1, 5000))]
)
def test_a_manifest_that_says_nonsense_of_its_growth(tmp_path: Path, grown_from: Any) -> None:
    out = tmp_path / "d"
    generate(run(out, 6))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["grown_from"] = grown_from
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match=r"manifest\.json is (damaged|not the file)"):
        verify(out, workers=1)
    with pytest.raises(DatasetError, match=r"manifest\.json is (damaged|not the file)"):
        generate(run(out, 8))


def test_a_start_that_failed_gives_way_to_another_run(tmp_path: Path) -> None:
    out = tmp_path / "d"
    with pytest.raises(KeyboardInterrupt):
        generate(run(out, 300), stop_at(0))
    assert (out / "models/obj_000009.ply").exists()
    generate(run(out, 4, seed=8, objects=("ape",)))
    assert sorted(path.name for path in (out / "models").iterdir()) == [
        "models_info.json", "obj_000001.ply",
    ]  # fmt: skip
    verification = verify(out, workers=1)
    assert (verification.crops, verification.bad) == (4, ())
    other = tmp_path / "e"
    with pytest.raises(KeyboardInterrupt):
        generate(run(other, 300), stop_at(251))
    with pytest.raises(DatasetError, match="holds another run"):
        generate(run(other, 300, seed=8))


def test_webdatasets_and_dropped_crops_grow(tmp_path: Path) -> None:
    out = tmp_path / "d"
    strict = {
        "format": ("bop-webdataset",),
        "adapter": "shipped",
        "min_fidelity": 0.5,
        "redraws": 0,
    }
    generate(run(out, 8, **strict))
    first = (out / "train_web/shard-000000.tar").read_bytes()
    summary = generate(run(out, 20, **strict))
    assert (out / "train_web/shard-000000.tar").read_bytes() == first
    assert summary.crops + summary.dropped == 20
    assert summary.dropped > 0
    keys = json.loads((out / "train_web/key_to_shard.json").read_text())
    assert len(keys) == summary.crops == len(load(out))
    assert set(keys.values()) == {0, 1}
    assert np.unique(load(out).columns["config_sha256"]).size == 2
    assert verify(out, workers=1).bad == ()
