"""What the machine can do at most: bytes/s of a copy on the device, FLOP/s of a matrix product."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

KINDS = ("bf16", "fp16", "tf32", "fp32")


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """How long it takes, by the device's clock, `repeats` times after two that do not count."""
    for _ in range(2):
        work()
    if device.type != "cuda":
        times = [time.perf_counter()]
        for _ in range(repeats):
            work()
            times.append(time.perf_counter())
        return [after - before for before, after in itertools.pairwise(times)]
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]  # type: ignore[no-untyped-call]
    marks[0].record()
    for mark in marks[1:]:
        work()
        mark.record()
    torch.cuda.synchronize(device)
    return [a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks)]


def significant(value: float) -> float:
    """With four digits, however small."""
    return float(f"{value:.4g}")


def allow_tf32(allowed: bool) -> None:
    """Whether products and convolutions of float32 may take 10 bits of mantissa."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def hardware(device: torch.device) -> dict[str, Any]:
    """The device, in words and numbers."""
    about: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about |= {
            "name": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cudnn": torch.backends.cudnn.version(),
        }
    return about


def copied(gib: float, device: torch.device) -> float:
    """Bytes/s read and written by a copy of random numbers within the device's memory."""
    size = 4 * int(gib * 2**28)
    source = torch.rand(size // 4, device=device)
    target = torch.empty_like(source)
    seconds = statistics.median(seconds_of(lambda: target.copy_(source), device, 11))
    return 2 * size / seconds


def multiplied(side: int, kind: str, device: torch.device) -> float:
    """FLOP/s of the product of two random square matrices."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(kind, torch.float32)
    allow_tf32(kind == "tf32")
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    repeats = 5 if kind == "fp32" else 21
    seconds = statistics.median(seconds_of(lambda: torch.mm(a, b, out=out), device, repeats))
    return 2 * side**3 / seconds


def main() -> int:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--copy-gib", type=float, default=4.0)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    report: dict[str, Any] = {"device": hardware(device), "tflops": {}}

    def write() -> None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")

    report["copy_gb_per_s"] = significant(copied(arguments.copy_gib, device) / 1e9)
    print(f"{report['device']}\ncopy: {report['copy_gb_per_s']} GB/s", flush=True)
    write()
    for kind in KINDS:
        report["tflops"][kind] = significant(multiplied(arguments.side, kind, device) / 1e12)
        print(f"matrix product, {kind}: {report['tflops'][kind]} TFLOP/s", flush=True)
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
