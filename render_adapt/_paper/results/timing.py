"""How fast training and inference are, also beside the widely copied PyTorch-GAN script's networks.

All systems take turns on the same crops in one run, so that what else the machine does hits all of
them alike.
"""

from __future__ import annotations

import dataclasses
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from adapter import (
    PRESETS,
    LabelledCrops,
    TrainConfig,
    architecture_of,
    export_onnx,
    open_network,
    training_steps,
)
from render_adapt._paper.machine import hardware
from render_adapt._paper.results.peer import peer_steps
from render_adapt._paper.scenarios.digits import DIGITS, make_mnist_m, read_mnist

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class TimedSystem:
    """Something to be timed."""

    what: str
    task: Literal["training", "inference"]
    batch: int
    size: int
    """Side of the crops, pixels."""
    precision: str
    device: str
    threads: int
    step: Callable[[], object]
    """One training step, or one batch adapted."""


def time_systems(
    data: Path,
    seconds: float,
    threads: int,
    peer: Path | None,
    device: Device,
    *,
    batches: Sequence[int] = (32, 64),
) -> list[dict[str, Any]]:
    """Time the training steps and the generators.

    Training is on MNIST and MNIST-M, 32x32, which both systems take from memory; neither's
    evaluation or logging is counted. Inference is the paper's LineMod generator, 64x64 RGB-D.

    Args:
        data: folder with `digits/mnist` and `bsds500/train`.
        seconds: to spend on each system, beside a first step that does not count.
        threads: processor threads.
        peer: a checkout of eriklindernoren/PyTorch-GAN, or None to leave its networks out.
        device: where to train and to run torch; ONNX Runtime stays on the processor.
        batches: crops in a step.

    Returns:
        A row for each system: what, task, batch, size, precision, device, threads, hardware,
        steps_per_second (the median over turns), slowest and fastest turn, crops_per_second,
        milliseconds_per_crop, steps that were timed.
    """
    source = _mnist(data)
    target = make_mnist_m(data, "test").as_crops()
    with _threads(threads):
        systems = [
            *training_systems(source, target, threads, device, batches),
            *peer_systems(source, target, threads, device, batches, peer),
            *inference_systems(threads, device, batches),
        ]
        return take_turns(systems, seconds)


def _mnist(data: Path) -> LabelledCrops:
    """MNIST's test digits, in memory."""
    digits = read_mnist(data, "test")
    crops = digits.as_crops()
    return LabelledCrops(
        images=crops,
        masks=crops[:, 0] > -1.0,
        class_index=digits.labels,
        quaternion=np.tile(np.array([1, 0, 0, 0], np.float32), (len(crops), 1)),
        class_names=DIGITS,
    )


def training_systems(
    source: LabelledCrops,
    target: NDArray[Any],
    threads: int,
    device: Device,
    batches: Sequence[int],
) -> Iterator[TimedSystem]:
    """Our training step: the paper's networks, and the preset for processors."""
    paper, fast = PRESETS["mnistm"], dataclasses.replace(PRESETS["fast"], task="digits")
    configs: list[tuple[str, TrainConfig]] = [
        ("PixelDA, the paper's networks", paper),
        ("PixelDA, the paper's networks", dataclasses.replace(paper, precision="bf16")),
        ("PixelDA, the fast preset", fast),
    ]
    if device == "cuda":
        compiled = dataclasses.replace(paper, precision="bf16", device="cuda", compile=True)
        configs.append(("PixelDA, the paper's networks, compiled", compiled))
    for batch in batches:
        for name, config in configs:
            config = dataclasses.replace(config, batch=batch, device=device, threads=threads)
            steps = training_steps(source, target, config)
            yield TimedSystem(
                what=name,
                task="training",
                batch=batch,
                size=source.images.shape[-1],
                precision=config.precision,
                device=device,
                threads=threads,
                step=_stepper(steps),
            )


def peer_systems(
    source: LabelledCrops,
    target: NDArray[Any],
    threads: int,
    device: Device,
    batches: Sequence[int],
    peer: Path | None,
) -> Iterator[TimedSystem]:
    """The PyTorch-GAN script's networks in its training step; none without its checkout."""
    if peer is None:
        return
    for batch in batches:
        yield TimedSystem(
            what="PyTorch-GAN's PixelDA networks",
            task="training",
            batch=batch,
            size=source.images.shape[-1],
            precision="fp32",
            device=device,
            threads=threads,
            step=_stepper(peer_steps(peer, source, target, batch, device)),
        )


def inference_systems(
    threads: int, device: Device, batches: Sequence[int]
) -> Iterator[TimedSystem]:
    """The paper's LineMod generator, 64x64 RGB-D, in torch and ONNX Runtime."""
    config = PRESETS["linemod"]
    generator = architecture_of(config).build(4, 64, config).eval()
    session = open_network(export_onnx(generator, 4, 64, config.noise_dimension), threads)
    generator.to(device)
    random = np.random.default_rng(0)
    for batch in (1, *batches):
        x = random.uniform(-1, 1, (batch, 4, 64, 64)).astype(np.float32)
        z = random.uniform(-1, 1, (batch, config.noise_dimension)).astype(np.float32)

        def by_torch(x: Any = x, z: Any = z) -> object:
            # From the processor's memory and back, as it is used.
            inputs = (torch.from_numpy(array).to(device) for array in (x, z))
            with torch.inference_mode():
                return generator(*inputs).cpu()

        def by_onnx(x: Any = x, z: Any = z) -> object:
            return session.run(None, {"crops": x, "noise": z})

        runtimes = {"torch": (device, by_torch), "ONNX Runtime": ("cpu", by_onnx)}
        for runtime, (runs_on, step) in runtimes.items():
            yield TimedSystem(
                what=f"generator of LineMod, {runtime}",
                task="inference",
                batch=batch,
                size=64,
                precision="fp32",
                device=runs_on,
                threads=threads,
                step=step,
            )


def take_turns(
    systems: Sequence[TimedSystem], seconds: float, turns: int = 5
) -> list[dict[str, Any]]:
    """Time the systems in turns: A B C A B C ...

    Args:
        systems: what to time.
        seconds: to spend on each, in all turns; each turn is one step at least.
        turns: how many.
    """
    for system in systems:
        _timed_steps(system, 0.0)  # memory, algorithms and compilation are chosen in the first
    rates: list[list[float]] = [[] for _ in systems]
    steps = [0] * len(systems)
    for _ in range(turns):
        for number, system in enumerate(systems):
            step_count, spent = _timed_steps(system, seconds / turns)
            rates[number].append(step_count / spent)
            steps[number] += step_count
    return [
        _row(system, of_system, step_count)
        for system, of_system, step_count in zip(systems, rates, steps, strict=True)
    ]


def _timed_steps(system: TimedSystem, seconds: float) -> tuple[int, float]:
    """Steps done within about as many seconds, one at least, and the seconds that they took."""
    _wait(system.device)
    step_count, started = 0, time.perf_counter()
    while step_count == 0 or time.perf_counter() - started < seconds:
        system.step()
        step_count += 1
        if step_count % 10 == 0:
            _wait(system.device)  # else steps would be counted that a GPU has not done
    _wait(system.device)
    return step_count, time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _row(system: TimedSystem, rates: Sequence[float], steps: int) -> dict[str, Any]:
    facts = {
        field.name: getattr(system, field.name)
        for field in dataclasses.fields(system)
        if field.name != "step"
    }
    rate = statistics.median(rates)
    return facts | {
        "hardware": hardware(system.device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "steps_per_second": rate,
        "slowest_turn": min(rates),
        "fastest_turn": max(rates),
        "crops_per_second": rate * system.batch,
        "milliseconds_per_crop": 1000.0 / (rate * system.batch),
        "steps": steps,
    }


def _stepper(steps: Iterator[None]) -> Callable[[], object]:
    return lambda: next(steps)


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    threads_before, benchmark_before = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.backends.cudnn.benchmark = benchmark_before
