"""A run that is killed before any one of its calls that change a folder, and continued."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render_adapt import DatasetError, RunConfig, generate, load, merge, repair, verify
from tests.test_dataset import tree_hash

pytestmark = [
    pytest.mark.several_seconds,
    pytest.mark.skipif(sys.platform != "linux", reason="forks processes"),
]

CONFIG = RunConfig(
    objects=("ape", "duck"), n=3, seed=7, adapter="none", workers=1,
    format=("bop", "bop-webdataset", "yolo"),
)  # fmt: skip
CALLS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir")


def make(out: Path) -> None:
    generate(dataclasses.replace(CONFIG, out=out))


def grow(out: Path) -> None:
    generate(dataclasses.replace(CONFIG, out=out, n=5))


def mend(out: Path) -> None:
    repair(verify(out, workers=1), workers=1)


def combine(out: Path) -> None:
    merge([out.parent / "one", out.parent / "two"], out)


def killed(job: Callable[[Path], None], out: Path, calls: int) -> None:
    """Do a job and die before a call, of which there have been so many."""
    left = [calls]

    def before(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*arguments, **more)

        return called

    for name in CALLS:
        setattr(os, name, before(getattr(os, name)))
    job(out)


def begun(job: Callable[[Path], None], folder: Path) -> Path:
    """What the job finds."""
    out = folder / "begun"
    if job is combine:
        for name, seed in (("one", 1), ("two", 2)):
            generate(dataclasses.replace(CONFIG, out=folder / name, seed=seed))
        return out
    if job is not make:
        make(out)
    if job is mend:
        next(out.glob("train/*/rgb/*.png")).write_bytes(b"damaged")
        next(out.glob("models/*.ply")).unlink()
    return out


def refuses_or_is_whole(out: Path, expected: Path) -> None:
    """What a kill leaves is read only where nothing of it is missing."""
    try:
        crops = load(out)
    except DatasetError:
        return
    assert len(crops) == len(load(expected))
    assert verify(out, workers=1).bad == ()


@pytest.mark.parametrize(
    ("job", "step"),
    [
        (make, 5),
        (combine, 7),
        *(pytest.param(job, 1, marks=pytest.mark.slow) for job in (make, grow, mend, combine)),
    ],
)
def test_a_kill_before_any_change_changes_nothing(
    job: Callable[[Path], None], step: int, tmp_path: Path
) -> None:
    start, expected = begun(job, tmp_path), tmp_path / "expected"
    if start.exists():
        shutil.copytree(start, expected)
    job(expected)
    # Its children begin with everything imported and no threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_every_kill"])
    calls = 0
    while True:
        out = tmp_path / f"killed-{calls}"
        if start.exists():
            shutil.copytree(start, out)
        process = context.Process(target=killed, args=(job, out, calls))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if process.exitcode == 0:
            break
        if job in (make, combine):
            refuses_or_is_whole(out, expected)
        job(out)
        assert tree_hash(out) == tree_hash(expected), calls
        shutil.rmtree(out)
        calls += step
    assert tree_hash(out) == tree_hash(expected)
    assert calls > 20
