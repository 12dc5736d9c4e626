"""Datasets in an object store, against a server that speaks S3."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from render_adapt import DatasetError, MissingDependency, RunConfig, SettingError, generate
from tests.command import run_command
from tests.store_server import StoreServer, new_bucket, store_server
from tests.test_ray import environment_of_nodes

CONFIG = RunConfig(
    objects=("ape", "duck"), n=260, seed=7, adapter="none", workers=1, format=("bop-webdataset",)
)
SETTINGS = (
    "--objects", "ape,duck", "--n", "260", "--seed", "7", "--adapter", "none",
    "--format", "bop-webdataset",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[StoreServer]:
    with store_server() as server:
        yield server


@pytest.fixture
def bucket(server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> str:
    return new_bucket(server, monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two shards, in a folder."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    generate(dataclasses.replace(CONFIG, out=out))
    return files_of(out)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def at(address: str, **changes: Any) -> RunConfig:
    return dataclasses.replace(CONFIG, out=address, **changes)  # type: ignore[arg-type]


def refuse_what_is_not_whole(objects: dict[str, bytes]) -> None:
    """What counts is whole: the hashes of a shard's entry, list and objects."""
    for name in objects:
        if name.startswith("shards/") and name.endswith(".json"):
            lines = objects[name.replace(".json", ".sha256")].decode().splitlines()
            assert lines
            for line in lines:
                digest, _, of = line.partition("  ")
                assert hashlib.sha256(objects[of]).hexdigest() == digest
    if "dataset.sha256" in objects:
        for line in objects["dataset.sha256"].decode().splitlines():
            digest, _, of = line.partition("  ")
            assert hashlib.sha256(objects[of]).hexdigest() == digest


def test_the_objects_are_the_files_of_a_folder(
    server: StoreServer, bucket: str, tmp_path: Path
) -> None:
    small = {"n": 6, "format": ("bop", "bop-webdataset")}
    in_folder = generate(dataclasses.replace(CONFIG, out=tmp_path / "run", **small))
    summary = generate(at(f"{bucket}/deep/run", **small))
    assert server.objects("deep/run") == files_of(tmp_path / "run")
    assert summary.sha256 == in_folder.sha256
    assert str(summary.folder) == f"{bucket}/deep/run"
    assert str(summary.contact_sheet) == f"{bucket}/deep/run/contact_sheet.png"


@pytest.mark.several_seconds
def test_only_what_is_gone_is_made_again(
    server: StoreServer, bucket: str, undisturbed: dict[str, bytes], capsys: Any
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_command(*SETTINGS, "--workers", 2, "--out", f"{bucket}/run")
    assert server.objects("run") == undisturbed
    # Of another run, beside it.
    server.client.put_object(Bucket=server.bucket, Key="run2/train_web/shard-000000.tar", Body=b"")
    assert generate(at(f"{bucket}/run")).crops_made == 0
    lost = "run/train_web/shard-000001.tar"
    server.client.delete_object(Bucket=server.bucket, Key=lost)
    summary = generate(at(f"{bucket}/run"))
    assert summary.crops_made == 10
    assert "of 1 shard that had been finished something was gone" in summary.notes[0]
    assert server.objects("run") == undisturbed
    assert f"dataset: {bucket}/run\n" in capsys.readouterr().out


def test_a_shard_that_is_made_anew_takes_nothing_over(
    server: StoreServer, bucket: str, undisturbed: dict[str, bytes]
) -> None:
    """Its entry is gone while its objects are exchanged, and what it does not list is too."""
    generate(at(f"{bucket}/run"))
    for name in ("run/train_web/shard-000000.tar", "run/train/000000/rgb/000000.png"):
        server.client.put_object(Bucket=server.bucket, Key=name, Body=b"of another version")

    def look(path: str) -> bool:
        if path.endswith("/shard-000000.tar"):
            assert "shards/000000.json" not in server.objects("run")
        return True

    server.on_put = look
    assert generate(at(f"{bucket}/run")).crops_made == 250
    assert server.objects("run") == undisturbed


def kill_in_mid_upload(
    server: StoreServer, address: str, workers: int, random: random.Random
) -> int:
    """The exit code of a run that is killed in its n-th upload, n drawn by lot."""
    command = [sys.executable, "-m", "render_adapt", *SETTINGS, "--out", address]
    command += ["--workers", str(workers)]
    left = random.randrange(1, 12)
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)

    def count(path: str) -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            os.killpg(process.pid, signal.SIGKILL)
        return left > 0

    server.on_put = count
    code = process.wait()
    server.on_put = lambda path: True
    return code


def kill_and_continue(
    server: StoreServer, bucket: str, undisturbed: dict[str, bytes], kills: int, workers: int
) -> None:
    """Runs that are killed, at moments that a seed draws; one that comes to its end does not count.

    What is visible then is of an undisturbed run, byte for byte, and what counts is all there.
    """
    done, random_kills = 0, random.Random(0)
    while done < kills:
        run = f"run-{done}"
        code = kill_in_mid_upload(server, f"{bucket}/{run}", workers, random_kills)
        done += code == -signal.SIGKILL
        objects = server.objects(run)
        objects.pop("INCOMPLETE", None)
        assert objects.items() <= undisturbed.items()
        refuse_what_is_not_whole(objects)
    for number in range(kills):
        generate(at(f"{bucket}/run-{number}"))
        assert server.objects(f"run-{number}") == undisturbed


@pytest.mark.several_seconds
@pytest.mark.skipif(os.name != "posix", reason="kills a group of processes")
def test_a_kill_in_mid_upload_changes_nothing(
    server: StoreServer, bucket: str, undisturbed: dict[str, bytes]
) -> None:
    kill_and_continue(server, bucket, undisturbed, kills=2, workers=1)


@pytest.mark.slow
def test_many_kills_in_mid_upload_change_nothing(
    server: StoreServer, bucket: str, undisturbed: dict[str, bytes]
) -> None:
    kill_and_continue(server, bucket, undisturbed, kills=20, workers=2)


@pytest.mark.several_seconds
def test_a_full_store(server: StoreServer, bucket: str, undisturbed: dict[str, bytes]) -> None:
    """At its very start, in its first shard, in its second."""
    of_first = ("manifest.json", "train_web/shard-000000", "index/000000", "shards/000000")
    first_shard = sum(len(undisturbed[name]) for name in undisturbed if name.startswith(of_first))
    for room in (100, first_shard // 2, first_shard + 1000):
        server.room = room
        with pytest.raises(DatasetError, match=r"cannot write s3://.*: .*no room left.*; what is"):
            generate(at(f"{bucket}/run"))
        refuse_what_is_not_whole(server.objects("run"))
    server.room = None
    assert generate(at(f"{bucket}/run")).crops_made == 10
    assert server.objects("run") == undisturbed


@pytest.mark.several_seconds
def test_what_cannot_be_used_is_named(
    server: StoreServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(config: RunConfig) -> str:
        with pytest.raises(DatasetError) as caught:
            generate(config)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    server.client.put_object(Bucket=server.bucket, Key="mine/thesis.pdf", Body=b"")
    assert refusal(at(f"{bucket}/mine")) == (
        f"{bucket}/mine holds objects that are not a render-adapt run: give `out` an address with "
        "nothing below it"
    )
    generate(at(f"{bucket}/run", n=2))
    said = refusal(at(f"{bucket}/run", n=2, seed=8))
    assert said.startswith(f"{bucket}/run holds another run (seed 7 there, 8 here): give `out`")
    server.client.put_object(Bucket=server.bucket, Key="run/manifest.json", Body=b"{")
    assert refusal(at(f"{bucket}/run", n=2)).startswith(f"{bucket}/run/manifest.json is damaged (")
    assert "bucket does not exist" in refusal(at("s3://no-such-bucket-of-ours/run"))
    server.forbidden = True
    assert "cannot read " in (said := refusal(at(f"{bucket}/run")))
    assert "orbidden" in said or "Denied" in said
    server.forbidden = False
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        command = [sys.executable, "-m", "render_adapt", *SETTINGS, "--out", f"{bucket}/run"]
        said = subprocess.run(command, capture_output=True, text=True).stderr
        assert f"render-adapt: cannot read {bucket}/run/manifest.json: Could not connect" in said
        assert said.strip().count("\n") == 0
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    said = subprocess.run(command, capture_output=True, text=True).stderr
    assert "Unable to locate credentials; what is finished is kept" in said
    assert said.strip().count("\n") == 0


def test_addresses_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"one slash where .* give the text s3://bucket/run"):
        at(Path("s3://bucket/run"))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="is a folder of this machine: give its path alone"):
        at("file:///tmp/run")
    with pytest.raises(SettingError, match=r"s3:///run names no bucket: give an address as in"):
        at("s3:///run")
    with pytest.raises(SettingError, match="nosuch:// is no kind of store that is known"):
        generate(at("nosuch://bucket/run"))
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingDependency, match="gs:// needs gcsfs; install with: pip install gcs"):
        generate(at("gs://bucket/run"))


@pytest.mark.slow
def test_actors_of_a_cluster_upload(
    server: StoreServer, bucket: str, undisturbed: dict[str, bytes]
) -> None:
    pytest.importorskip("ray", reason="needs ray, of the cluster extra")
    with environment_of_nodes():
        summary = generate(at(f"{bucket}/run", executor="ray"))
    assert summary.crops_made == 260
    assert server.objects("run") == undisturbed
