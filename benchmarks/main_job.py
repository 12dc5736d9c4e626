"""Rates and memory of the main job, as a user runs it.

    python -m benchmarks.main_job --n 1000 10000 --json benchmarks/results/main_job.json
    python -m benchmarks.main_job --paper-set --n 2000 109208 --workers 2 --json FILE

Runs `render-adapt` in a fresh process for each number of crops, then `render-adapt verify`, and
prints crops/s of each stage (per core: stages run in workers of one thread each), of the whole run
with its start, and the peak memory of all processes together (proportional set size, sampled ten
times a second, Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

OBJECTS = "ape,benchvise,cam,cat,duck"


def main() -> None:
    """Print a line for each run and write them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", type=Path, help="a BOP models folder; built-in by default")
    parser.add_argument("--paper-set", action="store_true", help="plain renders, linemod-paper")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = []
    for n in arguments.n:
        for workers in arguments.workers:
            task = ["--preset", "linemod-paper"] if arguments.paper_set else ["--objects", OBJECTS]
            runs.append(measure(n, workers, task, arguments.models))
            print(json.dumps(runs[-1]))
    report = {"hardware": f"{os.cpu_count()} cores, {platform.machine()}", "runs": runs}
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(n: int, workers: int, task: list[str], models: Path | None) -> dict[str, Any]:
    """Run the main job once, and verify what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        printed, seconds, peak = watch(
            [
                *task, "--n", str(n), "--workers", str(workers), "--out", str(dataset),
                *(["--models", str(models)] if models else []),
            ]
        )  # fmt: skip
        _, verify_seconds, verify_peak = watch(["verify", str(dataset), "--workers", str(workers)])
        files = [path for path in dataset.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        fullest = max(Counter(path.parent for path in files).values())
    stages = re.findall(r"(render|adapt|write) ([\d.]+) s", printed)
    rates = {f"{stage}_per_core": round(n / max(float(s), 0.05)) for stage, s in stages}
    return {
        "n": n,
        "workers": workers,
        "crops_per_second": rates,
        "whole_run_crops_per_second": round(n / seconds, 1),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(peak / 1e6),
        "verified_crops_per_second": round(n / verify_seconds, 1),
        "verify_peak_memory_mb": round(verify_peak / 1e6),
        "bytes_per_crop": round(size / n),
        "files": len(files),
        "most_files_in_a_folder": fullest,
    }


def watch(arguments: list[str]) -> tuple[str, float, int]:
    """What a command of render-adapt prints, how long it takes, and its peak memory in bytes."""
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        [sys.executable, "-m", "render_adapt", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        peak = max(peak, sum(memory(pid) for pid in [process.pid, *descendants(process.pid)]))
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    assert process.stdout is not None
    printed = process.stdout.read().decode()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}")
    return printed, seconds, peak


def descendants(pid: int) -> list[int]:
    """All processes below a process."""
    pids: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in read(task).split():
            pids += [int(child), *descendants(int(child))]
    return pids


def memory(pid: int) -> int:
    """Bytes of a process, shared pages counted in shares."""
    match = re.search(r"^Pss:\s+(\d+) kB", read(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def read(path: Path) -> str:
    """A file of /proc; empty where the process has gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


if __name__ == "__main__":
    main()
