"""Runs the rasteriser's kernels on an NVIDIA GPU: NVRTC compiles them, torch holds the memory."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from checked_settings import MissingDependency
from renderer._crops import RenderError

if TYPE_CHECKING:
    import torch

SOURCE = Path(__file__).with_name("kernels.cu")
KERNELS = ("project_vertices", "draw_faces", "keep_target", "shade_pixels")
THREADS = 128
"""Of each block."""
FACES_AT_ONCE = 1024
"""Faces that a block looks through before it draws those that hold a sample."""
MACROS = (f"-DTHREADS={THREADS}", f"-DFACES_AT_ONCE={FACES_AT_ONCE}")
"""What compilers have to be told beside the source."""

_OPTIONS = ("--std=c++17", "--fmad=false", *MACROS)
_INSTALL = "'render-adapt[cuda]'"
_WHAT = "rendering on a GPU"


class Launcher(Protocol):
    """What runs the kernels."""

    name: str
    """What people call it."""
    device: torch.device
    """Where the memory lies that they work on."""

    def launch(self, kernel: str, blocks: int, job: bytes) -> None:
        """Start one of `KERNELS`, after those started before.

        Args:
            kernel: its name.
            blocks: how many blocks of `THREADS` threads.
            job: its argument, a `Job`.
        """


@functools.cache
def job_fields() -> tuple[str, ...]:
    """The names of the members of the kernels' `Job`, in order."""
    _, _, rest = SOURCE.read_text(encoding="utf-8").partition("struct Job {")
    return tuple(re.findall(r"^    [^/;]*?(\w+);", rest.partition("};")[0], re.MULTILINE))


def pack_job(values: Mapping[str, torch.Tensor | int]) -> bytes:
    """A kernel's argument: addresses of tensors, and numbers; 0 for what is not given."""
    values_by_field = (values.get(name, 0) for name in job_fields())
    numbers = [value if isinstance(value, int) else value.data_ptr() for value in values_by_field]
    return np.array(numbers, np.int64).tobytes()


class CudaLauncher:
    """Runs the kernels on a GPU, in torch's current stream.

    Args:
        device: torch's name of the GPU, as "cuda" or "cuda:1".

    Raises:
        RenderError: there is no such GPU here.
        MissingDependency: something that it takes is not installed.
    """

    def __init__(self, device: str = "cuda") -> None:
        self.device = _find(device)
        import torch

        try:
            from cuda.bindings import driver
        except ImportError as error:
            raise MissingDependency(_WHAT, "cuda-bindings", _INSTALL) from error
        self._driver = driver
        self.name = torch.cuda.get_device_name(self.device)
        major, minor = torch.cuda.get_device_capability(self.device)
        code = compile_kernels(f"sm_{major}{minor}")
        with torch.cuda.device(self.device):
            torch.zeros(1, device=self.device)  # makes torch's context this thread's
            self._module = _checked(driver.cuModuleLoadData(code))
            self._kernels = {
                name: _checked(driver.cuModuleGetFunction(self._module, name.encode()))
                for name in KERNELS
            }

    def launch(self, kernel: str, blocks: int, job: bytes) -> None:
        """Start a kernel; see `Launcher`."""
        import torch

        argument = ctypes.create_string_buffer(job, len(job))
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        stream = self._driver.CUstream(torch.cuda.current_stream(self.device).cuda_stream)
        _checked(
            self._driver.cuLaunchKernel(
                self._kernels[kernel], blocks, 1, 1, THREADS, 1, 1, 0, stream,
                ctypes.addressof(arguments), 0,
            )
        )  # fmt: skip


def _find(device: str) -> torch.device:
    try:
        import torch
    except ImportError as error:
        raise MissingDependency(_WHAT, "torch", _INSTALL) from error
    if not torch.cuda.is_available():
        raise RenderError(
            "no CUDA device was found: draw with `renderer` raster, or go to a machine with an "
            "NVIDIA GPU and a torch that is built for CUDA"
        )
    try:
        asked_device = torch.device(device)
    except RuntimeError as error:
        raise RenderError(f"device is {device!r}: give 'cuda' or 'cuda:0'") from error
    count = torch.cuda.device_count()
    number = torch.cuda.current_device() if asked_device.index is None else asked_device.index
    if asked_device.type != "cuda" or number >= count:
        raise RenderError(
            f"device is {device!r}, and the GPUs here are cuda:0 to cuda:{count - 1}: "
            "give one of them"
        )
    return torch.device("cuda", number)


@functools.cache
def compile_kernels(architecture: str) -> bytes:
    """Machine code of the kernels; needs NVRTC, but no GPU.

    Args:
        architecture: of the GPU, as "sm_90".

    Raises:
        RenderError: NVRTC is too old to know the architecture.
        MissingDependency: it is not installed.
    """
    try:
        from cuda.bindings import nvrtc

        architectures = _checked(nvrtc.nvrtcGetSupportedArchs())
    except ImportError as error:
        raise MissingDependency(_WHAT, "cuda-bindings", _INSTALL) from error
    except RuntimeError as error:  # of a library that cannot be loaded
        nvrtc_of_bindings = "NVRTC of the version that cuda-bindings has"
        raise MissingDependency(_WHAT, nvrtc_of_bindings, "nvidia-cuda-nvrtc") from error
    if int(architecture.removeprefix("sm_")) not in architectures:
        raise RenderError(
            f"NVRTC, which compiles for the GPU, does not know {architecture}: install a version "
            "of torch or nvidia-cuda-nvrtc that was made for this GPU"
        )
    source = SOURCE.read_bytes()
    program = _checked(nvrtc.nvrtcCreateProgram(source, SOURCE.name.encode(), 0, [], []))
    options = [option.encode() for option in (*_OPTIONS, f"--gpu-architecture={architecture}")]
    status = nvrtc.nvrtcCompileProgram(program, len(options), options)
    log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
    _checked(nvrtc.nvrtcGetProgramLog(program, log))
    _checked(status, log.decode().rstrip("\0 \n"))
    code = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program))
    _checked(nvrtc.nvrtcGetCUBIN(program, code))
    _checked(nvrtc.nvrtcDestroyProgram(program))
    return bytes(code)


def _checked(answer: tuple[Any, ...], explanation: str = "") -> Any:
    """What a function of the driver or of NVRTC returns beside its status."""
    status, *values = answer
    if status != 0:
        raise RenderError(
            f"the GPU cannot render: {status.name} {explanation}".rstrip()
            + "; update the driver, or draw with `renderer` raster"
        )
    return values[0] if values else None
