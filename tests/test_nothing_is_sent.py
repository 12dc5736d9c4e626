"""Nothing is sent to anybody, and nothing is written but the output and our own cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest


def can_trace() -> bool:
    """Containers may have strace and not allow it."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="needs strace")

CALL = re.compile(r"^\d+ +(?P<call>socket|connect|sendto|sendmsg|bind)\((?P<what>.*)$")
LOCAL = ("AF_UNIX", "AF_LOCAL", "AF_NETLINK")


def run(folder: Path, *arguments: object) -> list[str]:
    """What a command, watched from outside, asks of the network."""
    trace = folder / "trace"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ORT_")
    } | {"HOME": str(folder / "home"), "XDG_CACHE_HOME": ""}
    result = subprocess.run(
        ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=network", "-o", trace,
         sys.executable, "-m", "render_adapt", *map(str, arguments)],
        env=environment, capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    calls = (CALL.match(line) for line in trace.read_text().splitlines())
    return [call[0] for call in calls if call and not any(name in call["what"] for name in LOCAL)]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path


def test_the_tracer_sees_a_call(folder: Path) -> None:
    """Were strace not allowed here, the tests below would see nothing."""
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    trace = folder / "trace"
    subprocess.run(
        ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=network", "-o", trace,
         sys.executable, "-c", code], check=True,
    )  # fmt: skip
    assert "127.0.0.1" in trace.read_text()


@pytest.mark.several_seconds
def test_a_run_its_check_and_its_report_ask_nothing_of_the_network(folder: Path) -> None:
    assert run(folder, "--objects", "ape", "--n", 20, "--workers", 2, "--out", "dataset") == []
    assert run(folder, "verify", "dataset") == []
    assert run(folder, "report", "dataset") == []
    at_home = files_below(folder / "home")
    assert all(name.startswith(".cache/render-adapt/") for name in at_home), at_home
    assert {path.name for path in folder.iterdir()} == {"dataset", "home", "trace"}


@pytest.mark.several_seconds
def test_a_training_asks_nothing_of_the_network(folder: Path) -> None:
    (folder / "crops").mkdir()
    random = np.random.default_rng(0)
    for number in range(20):
        picture = random.integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"crops/{number}.png"), picture)
    asked = run(
        folder, "train", "--objects", "ape", "--target", "crops", "--out", "trained",
        "--steps", 2, "--batch", 4, "--width", 8, "--discriminator-width", 4,
        "--source-crops", 20, "--precision", "fp32",
    )  # fmt: skip
    assert asked == []
    at_home = files_below(folder / "home")
    assert all(name.startswith(".cache/render-adapt/") for name in at_home), at_home
