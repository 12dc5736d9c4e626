"""Crops/s of the shipped adapter's generator in torch, and the share of what the machine can do.

For every precision, layout and way to run it there is the rate of its arithmetic (the convolutions'
and linear layers' operations; the batch norms are folded into the convolutions), that rate's share
of the matrix product measured in the same call, and of the floor, which is the longer of two times:
the arithmetic at that product's rate, and every convolution's input and output once at the copy's.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adapter import load_adapter
from adapter._networks.normalisation import BatchNorm
from adapter._networks.pixelda import NoiseImage, ResidualBlock
from benchmarks.gpu.ceilings import allow_tf32, hardware, seconds_of, significant

REPEATS = 9
BYTES = {"bf16": 2, "fp16": 2, "tf32": 4, "fp32": 4}
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
LAYOUTS = {"channels-last": torch.channels_last, "plain": torch.contiguous_format}
LEVELS = 127.5
"""Grey levels in a step of 1."""
_COMPARED = 64


@dataclass(frozen=True)
class Variant:
    """How the generator is run."""

    precision: str
    layout: str = "channels-last"
    way: str = "graph"
    """`eager`, `graph` (a CUDA graph) or `compiled` (and a CUDA graph of that)."""
    folded: bool = True
    """Whether batch norms are folded into the convolutions before them."""

    @property
    def name(self) -> str:
        """For people."""
        return ", ".join(
            (self.precision, self.layout, self.way, *(() if self.folded else ("unfolded",)))
        )


VARIANTS = (
    Variant("bf16"),
    Variant("fp32"),
    Variant("tf32"),
    Variant("bf16", way="compiled"),
    Variant("fp16"),
    Variant("bf16", layout="plain"),
    Variant("bf16", way="eager"),
    Variant("bf16", folded=False),
    Variant("tf32", way="compiled"),
)


def fold(generator: nn.Module) -> nn.Module:
    """A copy whose batch norms are part of the convolutions before them."""
    folded = copy.deepcopy(generator)
    for module in folded.modules():
        if isinstance(module, ResidualBlock):
            for number in ("1", "2"):
                _fold_pair(getattr(module, f"conv{number}"), getattr(module, f"norm{number}"))
                setattr(module, f"norm{number}", nn.Identity())
        elif isinstance(module, NoiseImage):
            for conv, norm in zip(module.convs, module.norms, strict=True):
                _fold_pair(conv, norm)
            module.norms = nn.ModuleList(nn.Identity() for _ in module.norms)
        elif isinstance(module, nn.Sequential):
            for place, (conv, norm) in enumerate(itertools.pairwise(module)):
                if isinstance(norm, BatchNorm):
                    _fold_pair(conv, norm)
                    module[place + 1] = nn.Identity()
    return folded


def _fold_pair(conv: nn.Module, norm: nn.Module) -> None:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, BatchNorm)
    scale = torch.rsqrt(norm.running_var + norm.epsilon)
    with torch.no_grad():
        conv.weight.mul_(scale[:, None, None, None])
        conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)


def work_of(generator: nn.Module, channels: int, size: int, noise: int) -> tuple[float, float]:
    """Operations that a crop takes, and values that its convolutions read and write."""
    values = 0

    def count(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal values
        values += given[0].numel() + made.numel()

    hooks = [
        module.register_forward_hook(count)
        for module in generator.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(torch.zeros(1, channels, size, size), torch.zeros(1, noise))
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), float(values)


def prepare(
    generator: nn.Module, variant: Variant, x: Tensor, z: Tensor
) -> tuple[Callable[[], object], Callable[[], Tensor]]:
    """A call that adapts the batch x with noise z, and one that gives what it made."""
    allow_tf32(variant.precision == "tf32")
    layout = LAYOUTS[variant.layout]
    network: Any = generator.to(device=x.device, memory_format=layout)
    x = x.contiguous(memory_format=layout)
    if variant.way == "compiled":
        network = torch.compile(network, dynamic=False)
    half = HALVES.get(variant.precision)

    def call() -> Tensor:
        with (
            torch.inference_mode(),
            torch.autocast(x.device.type, half, enabled=half is not None, cache_enabled=False),
        ):
            made: Tensor = network(x, z)
            return made

    made = call()
    if variant.way == "eager" or x.device.type != "cuda":
        return call, call
    for _ in range(2):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = call()
    return graph.replay, lambda: made


def measure(
    networks: dict[bool, nn.Module], variant: Variant, x: Tensor, z: Tensor, expected: Tensor
) -> dict[str, Any]:
    """Rate and exactness of one variant at the size of batch of x."""
    run, result = prepare(networks[variant.folded], variant, x, z)
    seconds = statistics.median(seconds_of(run, x.device, REPEATS))
    levels = LEVELS * (result()[:_COMPARED].float() - expected).abs()
    return {
        "crops_per_s": significant(len(x) / seconds),
        "levels_off": {
            "mean": round(float(levels.mean()), 4),
            "most": round(float(levels.max()), 3),
        },
    }


def shares(
    figures: dict[str, Any], precision: str, work: tuple[float, float], ceilings: dict[str, Any]
) -> dict[str, Any]:
    """The rate as arithmetic, and what share of the machine's it is."""
    operations, values = work
    rate = figures["crops_per_s"] * operations / 1e12
    product = ceilings["tflops"][precision]
    seconds = max(
        operations / (1e12 * product), values * BYTES[precision] / (1e9 * ceilings["copy_gb_per_s"])
    )
    return {
        "tflops": significant(rate),
        "share_of_matrix_product": significant(rate / product),
        "share_of_floor": significant(figures["crops_per_s"] * seconds),
    }


def main() -> int:
    """Measure all variants, writing each as it is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", default="256,1024,4096")
    parser.add_argument("--ceilings", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    device, batches = torch.device(arguments.device), list(map(int, arguments.batches.split(",")))
    ceilings = json.loads(arguments.ceilings.read_text())
    torch.backends.cudnn.benchmark = True
    adapter: Any = load_adapter("shipped", runtime="torch")
    info, generator = adapter.info, adapter._generator
    work = work_of(fold(generator), info.channels, info.size, info.noise_dimension)
    report: dict[str, Any] = {
        "device": hardware(device), "gflop_a_crop": round(work[0] / 1e9, 4), "batches": {}
    }  # fmt: skip
    networks = {folded: (fold(generator) if folded else generator).to(device)
                for folded in (True, False)}  # fmt: skip
    torch.manual_seed(0)
    size = (max(batches), info.channels, info.size, info.size)
    crops = torch.rand(size, device=device) * 2 - 1
    noise = torch.rand(size[0], info.noise_dimension, device=device) * 2 - 1
    allow_tf32(False)
    with torch.inference_mode():
        expected = networks[False](crops[:_COMPARED], noise[:_COMPARED])
    failed = False
    for variant in VARIANTS:
        for batch in batches if variant.way != "compiled" else batches[-1:]:
            try:
                figures = measure(networks, variant, crops[:batch], noise[:batch], expected[:batch])
                figures |= shares(figures, variant.precision, work, ceilings)
            except RuntimeError as error:  # too little memory, or what cannot be compiled
                figures = {"error": str(error).partition("\n")[0]}
                failed = True
            report["batches"].setdefault(str(batch), {})[variant.name] = figures
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")
            print(f"{variant.name}, {batch} at once: {figures}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
