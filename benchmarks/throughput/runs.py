"""Whole runs of growing length, each in processes of its own, and what follows for longer ones."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from render_adapt import RunConfig, generate, verify

SLOPES = ("seconds", "again seconds", "verify seconds", "bytes", "files")
"""Of a run: making it, giving its command again, and verifying it; what it leaves on disk."""
_PER_KIB = 1 if sys.platform == "darwin" else 1024
_HOUR = 3600.0


def measure_run(config: RunConfig) -> dict[str, float]:
    """What a run takes, from its command to its dataset, which is thrown away.

    Returns:
        Crops, seconds and crops/s; seconds of the same command again, which finds all there, and of
        `verify`; bytes and files; MiB of the run's own process and of its largest worker at most.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measure_here, config).result()


def _measure_here(config: RunConfig) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, out=Path(folder) / "run")
        marks = [time.perf_counter()]

        def mark() -> None:
            marks.append(time.perf_counter())

        generate(config)
        mark()
        generate(config)
        mark()
        verify(Path(folder) / "run", workers=config.workers)
        mark()
        made, again, verified = np.diff(marks).tolist()
        files = [Path(at) / name for at, _, names in os.walk(folder) for name in names]
        size = sum(file.stat().st_size for file in files)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _PER_KIB
    return {
        "crops": config.n,
        "seconds": made,
        "crops/s": config.n / made,
        "again seconds": again,
        "verify seconds": verified,
        "bytes": float(size),
        "files": float(len(files)),
        "MiB, own process": _peak() / 2**20,
        "MiB, largest worker": workers / 2**20,
    }


def _peak() -> int:
    """Bytes that this process has had in memory at most."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PER_KIB
    # What Linux says of usage counts that of the process which began this one.
    words = status.read_text().partition("VmHWM:")[2].split()
    return int(words[0]) * 1024


def slopes_of(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The line through what runs of several lengths took: at no crops, and for each crop.

    Args:
        runs: of two lengths or more, from `measure_run`.
    """
    crops = [run["crops"] for run in runs]
    slopes = {}
    for name in SLOPES:
        each, start = np.polyfit(crops, [run[name] for run in runs], 1)
        slopes[name] = {"at the start": float(start), "a crop": float(each)}
    return slopes


def projected(slopes: Mapping[str, Mapping[str, float]], crops: int) -> dict[str, float]:
    """What a run of so many crops would take by the slopes alone, on the machine they are of.

    Args:
        slopes: from `slopes_of`.
        crops: how many.

    Returns:
        Hours to make it, to give its command again and to verify it, TB and files.
    """

    def at(name: str) -> float:
        # Of what hardly grows the line may fall, and the true one does not.
        return max(0.0, slopes[name]["at the start"]) + max(0.0, slopes[name]["a crop"]) * crops

    return {
        "crops": crops,
        "hours": at("seconds") / _HOUR,
        "hours, again": at("again seconds") / _HOUR,
        "hours, verify": at("verify seconds") / _HOUR,
        "TB": at("bytes") / 1e12,
        "files": at("files"),
    }


def available(config: RunConfig) -> dict[str, Any]:
    """The machine, in words and numbers."""
    return {"cores": len(os.sched_getaffinity(0)), "workers": config.workers,
            "load at the start": os.getloadavg()[0]}  # fmt: skip
