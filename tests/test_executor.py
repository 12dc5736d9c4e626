"""Executors: order, errors, and workers that die."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from render_adapt import Executor, ProcessExecutor, SerialExecutor, WorkerError

ATTEMPTS = 3
"""Workers that a shard may end."""


def square_maker() -> Callable[[int], tuple[int, int]]:
    return lambda shard: (shard, shard**2)


def failing_maker() -> Callable[[int], int]:
    def work(shard: int) -> int:
        if shard == 3:
            raise LookupError("shard three")
        return shard

    return work


def dying(shard: int, victim: int, log: Path, lives: int) -> int:
    """Ends its process at the victim, so many times; says in `log` who was there."""
    if shard == victim:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(log.read_text().splitlines()) <= lives:
            os.kill(os.getpid(), signal.SIGKILL)
    return shard


def dying_maker(log: Path, lives: int) -> Callable[[int], int]:
    return functools.partial(dying, victim=5, log=log, lives=lives)


def stillborn_maker() -> Callable[[int], int]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def slow_maker(log: Path) -> Callable[[int], int]:
    def work(shard: int) -> int:
        if shard:
            log.write_text(str(os.getpid()))
            time.sleep(1e6)
        return shard

    return work


@pytest.mark.parametrize("executor", [SerialExecutor(), ProcessExecutor(2)], ids=lambda e: type(e))
def test_every_shard_is_made_once(executor: Executor[tuple[int, int]]) -> None:
    results = list(executor.map(square_maker, range(20)))
    assert sorted(results) == [(shard, shard**2) for shard in range(20)]


@pytest.mark.parametrize("executor", [SerialExecutor(), ProcessExecutor(2)], ids=lambda e: type(e))
def test_an_error_in_a_worker_reaches_the_caller(executor: Executor[int]) -> None:
    with pytest.raises(LookupError, match="shard three"):
        list(executor.map(failing_maker, range(20)))


def test_the_workers_traceback_comes_along() -> None:
    with pytest.raises(LookupError) as caught:
        list(ProcessExecutor[int](2).map(failing_maker, range(20)))
    assert "in work\n    raise LookupError" in caught.value.__notes__[0]


def test_a_worker_that_dies_is_replaced_and_every_shard_is_made_once(tmp_path: Path) -> None:
    maker = functools.partial(dying_maker, tmp_path / "log", ATTEMPTS - 1)
    assert sorted(ProcessExecutor[int](2).map(maker, range(20))) == list(range(20))
    assert len(set((tmp_path / "log").read_text().split())) == ATTEMPTS


def test_a_shard_that_ends_every_worker_is_reported_and_holds_up_no_other(tmp_path: Path) -> None:
    maker = functools.partial(dying_maker, tmp_path / "log", 100)
    made: list[int] = []
    with pytest.raises(WorkerError, match=r"died at shard 5, 3 times, .* signal 9") as caught:
        made.extend(ProcessExecutor[int](2).map(maker, range(7)))
    assert caught.value.shard == 5
    assert {*range(5)} <= set(made) <= {0, 1, 2, 3, 4, 6}
    assert len((tmp_path / "log").read_text().split()) == ATTEMPTS


def test_workers_that_die_as_they_start_are_reported() -> None:
    with pytest.raises(WorkerError, match=r"died as it started, 3 times") as caught:
        list(ProcessExecutor[int](2).map(stillborn_maker, range(20)))
    assert caught.value.shard is None


def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = ProcessExecutor[int](2).map(functools.partial(slow_maker, log), range(3))
    assert next(results) == 0
    while not log.exists() or not log.read_text():
        time.sleep(0.01)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


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


@pytest.mark.several_seconds
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
    while not list(out.glob("shards/*.json")) and process.poll() is None:
        time.sleep(0.05)
    assert len(workers_of(out)) >= 2
    process.send_signal(number)
    _, errors = process.communicate()
    while workers_of(out):
        time.sleep(0.05)
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "render-adapt: interrupted; the same command continues" in errors
