"""What a figure was measured on: processor or GPU, and commit."""

from __future__ import annotations

import functools
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from render_adapt._config import available_cores
from safe_files import open_file

# Tables that were written before do not change what a training does.
_CHANGES = ("status", "--porcelain", "--", ":(top)", ":(top,exclude)benchmarks/results")


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
        with open_file(Path("/proc/cpuinfo"), most=0) as file:  # which says that it is empty
            listed = file.read().decode()
    except OSError:
        listed = ""
    model = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


@functools.cache
def commit() -> str:
    """The checkout's short commit, with a "+" where files differ from it.

    Of a package that was installed without its checkout the version, as in "v0.1.0".
    """
    # An environment may lie in the checkout of something else.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return f"v{version('render-adapt')}"
    head = _git("rev-parse", "--short=12", "HEAD")
    return f"{head or 'unknown'}{'+' if _git(*_CHANGES) else ''}"


def _git(*arguments: str) -> str | None:
    """What git says of the repository that this file is in; None where it refuses, or is absent."""
    try:
        process = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
        )
    except FileNotFoundError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None
