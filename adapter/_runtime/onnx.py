"""The one door to ONNX Runtime: it sends nothing, prints nothing, and takes no more than it may."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any

from adapter._runtime.bf16 import Bf16Network, Precision

MOST_MEMORY = 4 * 2**30
"""Bytes that networks may take in this process, all together: a few bytes of ONNX can ask for all
that the machine has."""
MOST_BYTES = 2**29
"""Of an ONNX file."""
_REFUSED = {
    b"\x22\x04Loop": "a loop",
    b"\x22\x04Scan": "a loop",
    b"\x22\x0bSequenceMap": "a loop",
    b"\x0a\x08location": "weights in another file",
}
"""As they stand in the file (protocol buffers): what may never end, or reads what it likes."""


def import_onnx_runtime() -> ModuleType:
    """The module `onnxruntime`.

    Its wheels look up a host of their maker's and keep a number for the device, unless they are
    told otherwise before they are imported.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]


def open_network(content: bytes, threads: int = 1, precision: Precision = "fp32") -> Any:
    """A network, ready to run on the processor, with the same results each time.

    Args:
        content: an ONNX file.
        threads: processor threads.
        precision: fp32, or bf16, which OpenVINO runs.

    Returns:
        An `onnxruntime.InferenceSession`, or for bf16 what has its `run` and `get_inputs`.

    Raises:
        ValueError: it is none that ONNX Runtime can read, or has a loop or weights elsewhere.
        MissingDependency: bf16 without OpenVINO.
    """
    for words, feature in _REFUSED.items():
        if words in content:
            raise ValueError(f"it has {feature}")
    onnxruntime = _with_limited_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Even its errors quote names from the file, whatever these do to a terminal.
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that spin while they wait slow down the renderer's and the writers'.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # which prints, and tries the same again
        )
    except network_errors() as error:
        raise ValueError("ONNX Runtime cannot read it") from error
    return session if precision == "fp32" else Bf16Network(content, threads, session)


def network_errors() -> tuple[type[Exception], ...]:
    """What is raised about a network that cannot be loaded or run."""
    import_onnx_runtime()
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return (
        errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf,
        errors.NotImplemented, errors.RuntimeException,
        ValueError,  # of ONNX Runtime's own message, which quotes what it read; and of bf16
    )  # fmt: skip


@functools.cache
def _with_limited_memory() -> ModuleType:
    """ONNX Runtime, whose networks share an allocator of limited size."""
    onnxruntime = import_onnx_runtime()
    onnxruntime.set_default_logger_severity(4)
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    limits = onnxruntime.OrtArenaCfg({"max_mem": MOST_MEMORY})
    onnxruntime.create_and_register_allocator(memory, limits)
    return onnxruntime
