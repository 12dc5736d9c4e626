"""What a figure was measured on: processor or GPU, and commit."""

from __future__ import annotations

import functools
import platform
import re
import subprocess
from pathlib import Path

from render_adapt._config import available_cores

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

# Tables that were written before do not change what a training does.
_CHANGES = ("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")


@functools.cache
def hardware(device: str) -> str:
    """The GPU's name, or the processor's with the number of cores that this process may use."""
    if device == "cuda":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return f"{_processor()}, {available_cores()} cores"


def _processor() -> str:
    try:
        listed = Path("/proc/cpuinfo").read_text()
    except OSError:
        listed = ""
    named = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


@functools.cache
def commit() -> str:
    """The checkout's short commit, with a "+" where files differ from it; "unknown" outside git."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return "unknown" if head is None else head + ("+" if _git(*_CHANGES) else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
