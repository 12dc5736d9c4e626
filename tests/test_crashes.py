"""Whatever ends a run, what is finished is whole, and the same command ends with the same bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter import SHIPPED_ADAPTER, AdapterError
from benchmarks.kills import kill, kill_repairs
from render_adapt import DatasetError, RunConfig, generate, make_only
from safe_files import FolderLock
from tests.test_dataset import tree_hash
from tests.windows_locks import as_on_windows

CONFIG = RunConfig(objects=("ape", "duck"), n=260, seed=7, adapter="none", workers=1)
IN_USE = DatasetError("in use")
SETTINGS = ("--objects", "ape,duck", "--n", "260", "--seed", "7", "--adapter", "none")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards."""
    return made(tmp_path_factory.mktemp("undisturbed") / "dataset")


def made(out: Path, **changes: Any) -> Path:
    generate(dataclasses.replace(CONFIG, out=out, **changes))
    return out


def once(action: Callable[[], object]) -> Callable[[int, int], None]:
    """What to do when the first shard is done."""
    waiting = [action]

    def on_progress(done: int, total: int) -> None:
        if done and waiting:
            waiting.pop()()

    return on_progress


def command(out: Path, *more: str, module: str = "render_adapt") -> list[str]:
    return [sys.executable, "-m", module, *SETTINGS, "--workers", "2", "--out", str(out), *more]


@pytest.fixture(params=["whole files", "bytes"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """The locks of this system, and Windows' in their place; what has a worker use them too."""
    if request.param == "whole files":
        return None
    if sys.platform != "linux":
        pytest.skip("Windows' locks are made of Linux'")
    return as_on_windows(monkeypatch)


def test_two_runs_in_one_folder_at_once_are_refused(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, locks: object
) -> None:
    monkeypatch.setattr("safe_files._lock.PATIENCE", 0.1)
    config = dataclasses.replace(CONFIG, out=tmp_path / "d")

    def begin_another() -> None:
        with pytest.raises(DatasetError, match=r"another run is at work in .*: wait until"):
            generate(config)

    generate(config, once(begin_another))
    assert tree_hash(tmp_path / "d") == tree_hash(undisturbed)
    assert generate(config).crops_made == 0


def hold(locks: object, lock: FolderLock, held: Any, let_go: Any) -> None:
    held.set()
    let_go.wait()


def test_a_lock_is_held_until_the_last_worker_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: object
) -> None:
    """A run that was killed may have workers that still write."""
    monkeypatch.setattr("safe_files._lock.PATIENCE", 0.1)
    context = multiprocessing.get_context("spawn")
    held, let_go = ([context.Event() for _ in range(2)] for _ in range(2))
    lock = FolderLock(tmp_path / "lock", IN_USE)
    workers = [
        context.Process(target=hold, args=(locks, lock, *events))
        for events in zip(held, let_go, strict=True)
    ]
    for worker, started in zip(workers, held, strict=True):
        worker.start()
        while not started.wait(1.0):
            assert worker.is_alive()
    lock.release()
    with pytest.raises(DatasetError, match="in use"):
        FolderLock(tmp_path / "lock", IN_USE)
    workers[0].kill()
    workers[0].join()
    with pytest.raises(DatasetError, match="in use"):
        FolderLock(tmp_path / "lock", IN_USE)
    let_go[1].set()
    workers[1].join()
    FolderLock(tmp_path / "lock", IN_USE).release()


def test_a_lock_whose_file_was_removed_is_not_held(tmp_path: Path, locks: object) -> None:
    """Whoever waited for it takes that of the new file, and who comes after them has to wait."""
    path = tmp_path / "lock"
    first = FolderLock(path, IN_USE)
    first.write("A note")
    assert path.read_text() == "A note"
    with pytest.raises(DatasetError, match="in use"):
        FolderLock(path, IN_USE, patience=0.0)
    first.remove()
    assert not path.exists()
    with FolderLock(path, IN_USE, patience=0.0) as second:
        with pytest.raises(DatasetError, match="in use"):
            FolderLock(path, IN_USE, patience=0.0)
        first.release()
        second.write("Another")
        assert path.read_text() == "Another"
    FolderLock(path, IN_USE, patience=0.0).remove()
    assert not path.exists()


def test_a_worker_that_dies_costs_its_shard_and_nothing_else(
    tmp_path: Path, undisturbed: Path
) -> None:
    config = dataclasses.replace(CONFIG, out=tmp_path / "d", workers=2)
    generate(config, once(lambda: multiprocessing.active_children()[0].kill()))
    assert tree_hash(tmp_path / "d") == tree_hash(undisturbed)


def test_an_interrupted_run_says_so_in_one_line_and_can_be_continued(
    tmp_path: Path, undisturbed: Path
) -> None:
    """The run cannot end by itself: one of its workers waits for ever at a crop drawn by lot."""
    out, reached = tmp_path / "d", tmp_path / "reached"
    endless = random.randrange(CONFIG.n)
    environment = {**os.environ, "ENDLESS_CROP": str(endless), "REACHED": str(reached)}
    process = subprocess.Popen(
        command(out, module="tests.faulty"), env=environment, stderr=subprocess.PIPE, text=True
    )
    while not reached.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1].strip()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "render-adapt: interrupted; the same command continues"
    assert not (out / "dataset.sha256").exists()
    its_shard = range(250) if endless < 250 else range(250, CONFIG.n)
    assert generate(dataclasses.replace(CONFIG, out=out)).crops_made >= len(its_shard)
    assert tree_hash(out) == tree_hash(undisturbed)


@pytest.mark.slow
def test_an_adapter_that_is_lost_in_mid_run(tmp_path: Path) -> None:
    """The workers that have read it go on; one that starts in place of another cannot."""
    adapter, out = tmp_path / "adapter", tmp_path / "d"
    shutil.copytree(SHIPPED_ADAPTER, adapter)
    config = dataclasses.replace(CONFIG, out=out, adapter=str(adapter), workers=2)

    def lose(then: Callable[[], object]) -> Callable[[int, int], None]:
        def action() -> None:
            then()
            multiprocessing.active_children()[0].kill()

        return once(action)

    network = adapter / "generator.onnx"
    with pytest.raises(AdapterError, match=r"generator\.onnx"):
        generate(config, lose(lambda: network.rename(tmp_path / "away")))
    (tmp_path / "away").rename(network)
    summary = generate(config)
    assert summary.crops_made in (10, 250)
    generate(dataclasses.replace(config, out=tmp_path / "whole"))
    assert tree_hash(out) == tree_hash(tmp_path / "whole")


@pytest.mark.several_seconds
def test_a_crop_that_ends_its_process_is_named_and_can_be_made_alone(
    tmp_path: Path, undisturbed: Path
) -> None:
    out = tmp_path / "d"
    environment = {**os.environ, "FATAL_CROP": "255"}
    faulty = functools.partial(subprocess.run, env=environment, capture_output=True, text=True)
    run = faulty(command(out, module="tests.faulty"))
    assert run.returncode == 1
    # Where a run takes long, lines before that say how far it is.
    assert run.stderr.strip().splitlines()[-1] == (
        "render-adapt: crop 255 (seed 7) ends the process that makes it, each time: make it alone "
        f"with render-adapt --out {out} --only 255; what is finished is kept"
    )
    assert not (out / "shards/000001.json").exists()
    alone = [sys.executable, "-m", "tests.faulty", "--out", str(out), "--only"]
    assert faulty([*alone, "255"]).returncode == -signal.SIGKILL
    before = tree_hash(out)
    assert faulty([*alone, "256"]).returncode == 0
    assert tree_hash(out) == before
    for name in ("rgb/{}.png", "depth/{}.png", "mask/{}_000000.png", "mask_visib/{}_000000.png"):
        there = undisturbed / "train/000001" / name.format("000006")
        here = tmp_path / "d-only-256/train/000001" / name.format("000000")
        assert here.read_bytes() == there.read_bytes()
    made(out)
    assert tree_hash(out) == tree_hash(undisturbed)


def test_one_crop_alone_is_of_the_run_that_is_there(tmp_path: Path, undisturbed: Path) -> None:
    folder = make_only(dataclasses.replace(CONFIG, out=tmp_path / "new"), 259)
    assert [path.name for path in (folder / "train/000001/rgb").iterdir()] == ["000000.png"]
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="`only` is 260: this run has crops 0 to 259"):
        make_only(dataclasses.replace(CONFIG, out=undisturbed), 260)
    with pytest.raises(DatasetError, match=r"holds another run \(seed 7 there, 8 here\)"):
        make_only(dataclasses.replace(CONFIG, out=undisturbed, seed=8), 0)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk(
    workers: int, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its very start, in its first shard, in its last: others fill it after it was looked at."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10**12))
    room = 4096 * sum(-(-path.stat().st_size // 4096) for path in undisturbed.rglob("*"))
    with small_disk(tmp_path / "disk", "20k"):
        out = tmp_path / "disk/dataset"
        for share in (0.002, 0.2, 0.5, 0.93):
            grow(tmp_path / "disk", str(int(share * room)))
            with pytest.raises(DatasetError, match=r"cannot write .*: No space left on device; "):
                made(out, workers=workers)
            assert not list(out.glob(".shard-*")), "the room is given back"
        assert list(out.glob("shards/*.json")), "what is finished is kept"
        grow(tmp_path / "disk", str(2 * room))
        made(out, workers=workers)
        assert tree_hash(out) == tree_hash(undisturbed)


@pytest.mark.several_seconds
def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """`python -m benchmarks.kills` kills more often."""
    settings = [*SETTINGS, "--workers", "2"]
    outcome = kill(settings, tmp_path, kills=3, seed=random.randrange(10**6))
    assert outcome.kills == {"run": 1, "worker": 1, "commit": 1}
    assert outcome.endings >= 1
    kill_repairs(tmp_path / "undisturbed", 1, random.randrange(10**6), outcome)
    assert outcome.kills["repair"] == 1
    assert outcome.not_whole == outcome.different == 0
