"""Datasets in an object store are read as those in a folder."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from render_adapt import (
    DatasetError,
    RunConfig,
    generate,
    load,
    repair,
    torch_dataset,
    verify,
    webdataset_pipeline,
)
from tests.command import run_command
from tests.store_server import StoreServer, new_bucket, store_server

CONFIG = RunConfig(
    objects=("ape", "duck"),
    n=9,
    seed=7,
    adapter="none",
    workers=1,
    format=("bop", "bop-webdataset"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[StoreServer]:
    with store_server() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards."""
    out = tmp_path_factory.mktemp("datasets") / "dataset"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        generate(dataclasses.replace(CONFIG, out=out))
    return out


@pytest.fixture
def address(
    server: StoreServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A copy of it, and caches that are empty."""
    bucket = new_bucket(server, monkeypatch)
    for path in folder.rglob("*"):
        if path.is_file():
            put(server, path.relative_to(folder).as_posix(), path.read_bytes())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return f"{bucket}/run"


def put(server: StoreServer, name: str, content: bytes) -> None:
    server.client.put_object(Bucket=server.bucket, Key=f"run/{name}", Body=content)


def brought(tmp_path: Path) -> set[str]:
    """Files of crops."""
    (copy,) = (tmp_path / "caches/render-adapt/stores").iterdir()
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    return {name for name in files if re.match(r"train.*\d{6}", name)}


@pytest.mark.parametrize("format", ["bop", "bop-webdataset"])
def test_crops_are_those_of_the_folder_and_come_a_shard_at_a_time(
    server: StoreServer, folder: Path, address: str, tmp_path: Path, format: str
) -> None:
    here, there = load(folder, format), load(address, format)
    assert len(there) == 9
    np.testing.assert_equal(dict(there.columns), dict(here.columns))
    assert brought(tmp_path) == set()
    np.testing.assert_equal(vars(there[5]), vars(here[5]))
    entry = {"bop": "train/000001/", "bop-webdataset": "train_web/shard-000001.tar"}[format]
    assert brought(tmp_path)
    assert all(name.startswith(entry) for name in brought(tmp_path))
    np.testing.assert_equal([vars(crop) for crop in there], [vars(crop) for crop in here])
    top = f"{entry.partition('/')[0]}/"
    assert all(name.startswith(top) for name in brought(tmp_path)), "only the format that is read"


def test_training_reads_from_a_store(folder: Path, address: str) -> None:
    from torch.utils.data import DataLoader

    def numbers(batches: DataLoader[dict[str, object]]) -> list[tuple[int, int]]:
        return sorted((int(crop["scene_id"]), int(crop["im_id"])) for crop in batches)  # type: ignore[call-overload]

    expected = [(number // 4, number % 4) for number in range(9)]
    loader = DataLoader(torch_dataset(address), batch_size=None, num_workers=2)
    assert numbers(loader) == expected
    pipeline = webdataset_pipeline(address)
    assert numbers(DataLoader(pipeline, batch_size=None, num_workers=2)) == expected


def test_what_is_not_as_it_was_written_is_not_read(server: StoreServer, address: str) -> None:
    put(server, "train/000001/rgb/000001.png", b"of somebody else")
    dataset = load(address)
    assert dataset[0].scene_id == 0
    with pytest.raises(DatasetError, match=r"s3://.*/rgb/000001\.png is not the file that was wr"):
        dataset[4]
    put(server, "INCOMPLETE", b"")
    with pytest.raises(DatasetError, match=r"s3://.*/run has not been finished: give the command"):
        load(address)
    with pytest.raises(DatasetError, match=r"s3://.*/run/no is no dataset of render-adapt: it has"):
        load(f"{address}/no")
    server.forbidden = True
    with pytest.raises(DatasetError, match=r"cannot read s3://.*orbidden"):
        load(address)


def test_a_dataset_in_a_store_is_checked_and_mended_there(
    server: StoreServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render_adapt._config.SHARD_SIZE", 4)
    before = server.objects("run")
    verification = verify(address, workers=1)
    assert (verification.bad, verification.crops) == ((), 9)
    assert verification.sha256 == hashlib.sha256(before["dataset.sha256"]).hexdigest()
    assert str(verification.folder) == address
    put(server, "train/000001/rgb/000001.png", b"of somebody else")
    put(server, "train/000002/notes.txt", b"of mine")
    put(server, "notes.txt", b"of mine")
    server.client.delete_object(Bucket=server.bucket, Key="run/train_web/shard-000000.tar")
    bad = verify(address, workers=1).bad
    assert [str(file.path).removeprefix(f"{address}/") for file in bad] == [
        "notes.txt", "train_web/shard-000000.tar", "train/000001/rgb/000001.png",
        "train/000002/notes.txt",
    ]  # fmt: skip
    assert [file.unlisted for file in bad] == [True, False, False, True]
    for name in ("run/notes.txt", "run/train/000002/notes.txt"):
        server.client.delete_object(Bucket=server.bucket, Key=name)
    repair(verify(address, workers=1), workers=1)
    assert server.objects("run") == before
    with pytest.raises(SystemExit, match="0"):
        run_command("verify", address, "--workers", 1)


def test_a_dataset_that_is_not_whole_is_said_to_be_so(server: StoreServer, address: str) -> None:
    for name in ("dataset.sha256", "shards/000002.json"):
        server.client.delete_object(Bucket=server.bucket, Key=f"run/{name}")
    bad = verify(address, workers=1).bad
    assert [(str(file.path), file.problem) for file in bad] == [
        (f"{address}/dataset.sha256", "is not there"),
        (f"{address}/shards/000002.json", "is not there: the run has not finished this shard"),
    ]
    server.client.delete_object(Bucket=server.bucket, Key="run/manifest.json")
    with pytest.raises(DatasetError, match=r"^s3://.*/run is no dataset of render-adapt"):
        verify(address)
