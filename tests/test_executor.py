"""Executors: order, errors, and workers that die."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from render_adapt import Executor, ProcessExecutor, SerialExecutor, WorkerError
from tests.test_dataset import tree_hash


def square_maker() -> Callable[[int], tuple[int, int]]:
    return lambda shard: (shard, shard**2)


def failing_maker() -> Callable[[int], int]:
    def work(shard: int) -> int:
        if shard == 3:
            raise LookupError("shard three")
        return shard

    return work


def dying(shard: int, victim: int) -> int:
    if shard == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return shard


def dying_maker() -> Callable[[int], int]:
    return functools.partial(dying, victim=5)


@pytest.mark.parametrize("executor", [SerialExecutor(), ProcessExecutor(2)], ids=lambda e: type(e))
def test_every_shard_is_made_once(executor: Executor[tuple[int, int]]) -> None:
    results = list(executor.map(square_maker, range(20)))
    assert sorted(results) == [(shard, shard**2) for shard in range(20)]


@pytest.mark.parametrize("executor", [SerialExecutor(), ProcessExecutor(2)], ids=lambda e: type(e))
def test_an_error_in_a_worker_reaches_the_caller(executor: Executor[int]) -> None:
    with pytest.raises(LookupError, match="shard three"):
        list(executor.map(failing_maker, range(20)))


def test_a_dead_worker_is_reported_with_what_to_do() -> None:
    with pytest.raises(WorkerError, match=r"worker process died .* the same command continues"):
        list(ProcessExecutor[int](2).map(dying_maker, range(20)))


def workers_of(out: Path) -> list[int]:
    """Processes of a run that were spawned by multiprocessing (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (status / "cmdline").read_bytes()
            environment = (status / "environ").read_bytes()
        except OSError:
            continue
        if b"multiprocessing" in arguments and f"RUN_OF_TEST={out}".encode() in environment:
            found.append(int(status.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_run(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "dataset"
    command = [
        sys.executable, "-m", "render_adapt", "--objects", "ape", "--n", "50000",
        "--adapter", "none", "--workers", "2", "--out", str(out),
    ]  # fmt: skip
    environment = {**os.environ, "RUN_OF_TEST": str(out)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers_of(out)) >= 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    while workers_of(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers_of(out) == []
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "render-adapt: interrupted; the same command continues" in errors


def test_after_a_kill_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL to the whole run, at three moments that differ from test run to test run."""

    def command(out: Path) -> list[str]:
        return [
            sys.executable, "-m", "render_adapt", "--objects", "ape,duck", "--n", "1100",
            "--adapter", "none", "--workers", "2", "--out", str(out),
        ]  # fmt: skip

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    subprocess.run(command(undisturbed), check=True, capture_output=True)
    for _ in range(3):
        process = subprocess.Popen(
            command(killed),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (killed / "manifest.json").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 4.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command(killed), check=True, capture_output=True)
    assert tree_hash(killed) == tree_hash(undisturbed)
