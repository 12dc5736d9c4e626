"""A GPU of patience: the rasteriser's kernels, compiled for the processor.

Tests of the CUDA engine take from here what they need of its inside.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from renderer._engines.cuda.device import MACROS, SOURCE, THREADS, compile_kernels

__all__ = ["COMPILER", "THREADS", "EmulatedGpu", "compile_kernels", "compiled", "run"]

COMPILER = shutil.which("g++") or shutil.which("clang++")
_HERE = Path(__file__).with_name("emulated_gpu.cpp")


@functools.cache
def compiled(source: Path = SOURCE, *options: str) -> ctypes.CDLL:
    """Kernels and what runs them; `options` are the compiler's."""
    assert COMPILER is not None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "emulated_gpu.so"
        # The threads' jumps between stacks are what _FORTIFY_SOURCE forbids.
        subprocess.run(
            [COMPILER, "-std=c++17", "-O2", "-ffp-contract=off", "-w",
             "-U_FORTIFY_SOURCE", "-fPIC", "-shared", *MACROS, f'-DKERNELS="{source}"', *options,
             str(_HERE), "-o", str(library)],
            check=True,
        )  # fmt: skip
        return ctypes.CDLL(str(library))


class EmulatedGpu:
    """Runs blocks, and a block's threads between barriers, in an order that `seed` draws."""

    name = "emulated"

    def __init__(self, seed: int = 0) -> None:
        self.device = torch.device("cpu")
        self.seed = seed
        self.launches: list[tuple[str, int]] = []

    def launch(self, kernel: str, blocks: int, job: bytes) -> None:
        """Run a kernel to its end."""
        self.launches.append((kernel, blocks))
        run(compiled(), kernel, blocks, job, self.seed)


def run(library: ctypes.CDLL, kernel: str, blocks: int, job: bytes, seed: int) -> None:
    """Run a kernel of a compiled library to its end."""
    assert len(job) == library.size_of_job()
    function = ctypes.cast(library[kernel], ctypes.c_void_p)
    status = library.emulate(function, blocks, THREADS, job, seed)
    assert status == 0, f"{kernel}: not all threads of a block reach the same barriers"
