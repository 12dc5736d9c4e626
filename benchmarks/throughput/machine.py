"""What the machine can do at most, beside the stages that it holds."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

FILE_BYTES = 8192
"""About what one picture of a crop takes."""
_FILES = 1000


def measure_ceilings(device: str, side: int, copy_gib: float) -> dict[str, Any]:
    """Rates of matrix products in fp32 and bf16 and of a copy in the device's memory, with one
    thread on a processor; bytes/s and files/s of writing small files and having them on disk.

    Args:
        device: torch's name of it.
        side: of the matrices.
        copy_gib: GiB to copy.
    """
    return {**_by_torch(device, side, copy_gib), **written(_FILES)}


def _by_torch(device: str, side: int, copy_gib: float) -> dict[str, Any]:
    try:
        import torch
    except ImportError:
        return {"left out": "torch is not installed: no matrix product is measured"}
    from benchmarks.gpu.ceilings import copied, hardware, multiplied, significant

    threads, place = torch.get_num_threads(), torch.device(device)
    torch.set_num_threads(1)  # a worker's
    try:
        return {
            "device": hardware(place),
            "tflops": {
                kind: significant(multiplied(side, kind, place) / 1e12) for kind in ("fp32", "bf16")
            },
            "copy_gb_per_s": significant(copied(copy_gib, place) / 1e9),
        }
    finally:
        torch.set_num_threads(threads)


def written(count: int) -> dict[str, float]:
    """Files/s and MB/s of `count` small files, until they are on disk."""
    content = os.urandom(FILE_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for number in range(count):
            (Path(folder) / f"{number:06d}.bin").write_bytes(content)
        os.sync()
        seconds = time.perf_counter() - started
    return {"files_per_s": count / seconds, "file_mb_per_s": count * FILE_BYTES / seconds / 1e6}


def work_of_adapter(name: str) -> float | None:
    """Operations that an adapter's network takes for a crop; None where torch cannot run it."""
    try:
        import torch
    except ImportError:
        return None
    from torch.utils.flop_counter import FlopCounterMode

    from adapter import AdapterError, load_adapter

    try:
        adapter: Any = load_adapter(name, "torch")
    except AdapterError:
        return None
    info = adapter.info
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        adapter._generator(
            torch.zeros(1, info.channels, info.size, info.size),
            torch.zeros(1, info.noise_dimension),
        )
    return float(counter.get_total_flops())
