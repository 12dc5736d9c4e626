"""Crops per second of the rasteriser on a GPU, and what limits it.

    python -m benchmarks.cuda_rendering --json benchmarks/results/cuda_rendering.json

Poses are planned beforehand; crops are 64x64, colour, depth and all masks. "On the GPU" ends when
the last crop is drawn there, "with the adapter's tensor" when that is made of them too, "in the
processor's memory" when all arrays have been copied. Kernels are timed by the GPU's own clock, in a
run of their own. Figures are medians over repetitions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rendering import bumpy_ball, poses
from renderer import Plans, RasterRenderer, RenderError
from renderer._engines.cuda.device import CudaLauncher, Launcher
from renderer._engines.cuda.renderer import CudaRasterRenderer

FACES = (1_000, 10_000, 50_000, 200_000)
TARGET = 100_000
"""Crops/s, on the GPU, at 10,000 faces."""
_CHECKED = 32


class StageClock:
    """A launcher that can time what it launches.

    Args:
        launcher: what runs the kernels.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self.name, self.device = launcher.name, launcher.device
        self.timing = False
        self._marks: list[tuple[str, Any, Any]] = []

    def launch(self, kernel: str, blocks: int, job: bytes) -> None:
        """Start a kernel, between two marks while it is timed."""
        if not self.timing:
            self._launcher.launch(kernel, blocks, job)
            return
        before = self._mark()
        self._launcher.launch(kernel, blocks, job)
        self._marks.append((kernel, before, self._mark()))

    def seconds(self) -> dict[str, float]:
        """What each kernel has taken since it was last asked."""
        wait(self)
        total: dict[str, float] = {}
        for kernel, before, after in self._marks:
            on_gpu = self.device.type == "cuda"
            seconds = before.elapsed_time(after) / 1000 if on_gpu else after - before
            total[kernel] = total.get(kernel, 0.0) + seconds
        self._marks.clear()
        return total

    def _mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        import torch

        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event


def wait(launcher: Launcher) -> None:
    """Until the GPU has nothing left to do."""
    if launcher.device.type == "cuda":
        import torch

        torch.cuda.synchronize(launcher.device)


def main() -> int:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--faces", type=int, nargs="+", default=FACES)
    parser.add_argument("--crops", type=int, default=8192, help="at once")
    parser.add_argument("--levels", action="store_true", help="draw levels of detail")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    try:
        clock = StageClock(CudaLauncher())
    except RenderError as error:
        print(f"benchmarks.cuda_rendering: {error}", file=sys.stderr)
        return 1
    drawn = "levels of detail" if arguments.levels else "every face"
    report: dict[str, Any] = {
        "gpu": clock.name, "crops": arguments.crops, "drawn": drawn, "faces": {},
    }  # fmt: skip
    print(f"{clock.name}, {arguments.crops} crops of 64x64 at once, {drawn}")
    for faces in arguments.faces:
        figures = measure(clock, faces, arguments.crops, arguments.repeats, arguments.levels)
        report["faces"][faces] = figures
        print(describe(faces, figures), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def measure(
    clock: StageClock, faces: int, crops: int, repeats: int, levels: bool = False
) -> dict[str, Any]:
    """All figures of one mesh: rates in crops/s, times in microseconds a crop."""
    model = bumpy_ball(faces)
    plans = poses(model, crops)
    renderer = CudaRasterRenderer([model], levels=levels, launcher=clock)
    agreement = compare(renderer, RasterRenderer([model], levels=levels), plans[:_CHECKED])

    def seconds(work: Callable[[], object]) -> float:
        work()
        return statistics.median(_timed(work, clock) for _ in range(repeats))

    drawn = seconds(lambda: renderer.render_tensors(plans))
    encoded = seconds(lambda: renderer.render_tensors(plans).encode())
    copied = seconds(lambda: renderer.render(plans))
    clock.timing = True
    stages, in_python = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        renderer.render_tensors(plans)
        in_python.append(time.perf_counter() - started)
        stages.append(clock.seconds())
    clock.timing = False
    per_crop = {
        f"{name}, kernel": statistics.median(stage[name] for stage in stages) for name in stages[0]
    }
    # Kernels are started without waiting for them: what the call takes is the processor's work.
    per_crop["plans to arrays, and launches"] = statistics.median(in_python)
    per_crop["copy to the processor's memory"] = max(0.0, copied - drawn)
    return {
        "crops/s": {
            "on the GPU": crops / drawn,
            "with the adapter's tensor": crops / encoded,
            "in the processor's memory": crops / copied,
        },
        "us a crop": {name: 1e6 * value / crops for name, value in per_crop.items()},
        "differs from the processor's": agreement,
    }


def _timed(work: Callable[[], object], clock: StageClock) -> float:
    wait(clock)
    started = time.perf_counter()
    work()
    wait(clock)
    return time.perf_counter() - started


def compare(
    renderer: CudaRasterRenderer, reference: RasterRenderer, plans: Plans
) -> dict[str, float]:
    """How far the crops are from those of the processor."""
    crops, expected = renderer.render(plans), reference.render(plans)
    in_both = crops.mask & expected.mask
    levels = np.abs(crops.rgb.astype(int) - expected.rgb)[in_both]
    return {
        "pixels of the masks": float((crops.mask != expected.mask).sum()),
        "depth, mm at most": float(np.abs(crops.depth - expected.depth)[in_both].max()),
        "colour, levels at most": float(levels.max()),
    }


def describe(faces: int, figures: dict[str, Any]) -> str:
    """The figures of one mesh as lines of text."""
    lines = [f"\n{faces:,} faces"]
    for name, rate in figures["crops/s"].items():
        target = f" (target {TARGET:,})" if faces == 10_000 and name == "on the GPU" else ""
        lines.append(f"  {name:32s} {rate:12,.0f} crops/s{target}")
    times = figures["us a crop"]
    lines += [f"    {name:32s} {value:10.3f} us a crop" for name, value in times.items()]
    lines.append(f"  what takes most: {max(times, key=lambda name: times[name])}")
    differences = figures["differs from the processor's"]
    lines.append("  differs from the processor's: " + ", ".join(
        f"{name} {value:g}" for name, value in differences.items()
    ))  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
