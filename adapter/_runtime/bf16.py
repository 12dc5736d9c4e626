"""Networks in bf16, on processors that compute in it: OpenVINO, of the extra `fast`."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from checked_settings import MissingDependency, SettingError
from safe_files import open_file

Precision = Literal["fp32", "bf16"]

_AMX = "amx_bf16"
_FIRST_GPU = (8, 0)
"""Compute capability of the first GPUs with bf16."""
_PROCESSOR, _MOST_BYTES = Path("/proc/cpuinfo"), 2**24
_WHAT, _INSTALL = "`precision` bf16", "'render-adapt[fast]'"


def precision_here(
    asked: Literal["auto", "fp32", "bf16"],
    flags: Collection[str] | None = None,
    device: str = "cpu",
) -> Precision:
    """What networks compute in on this machine.

    Args:
        asked: auto is bf16 where that is faster. On processors it takes OpenVINO and AMX: AVX-512
            alone computes in bf16 too, but no faster than in fp32. GPUs have it from Ampere on.
        flags: the processor's, as Linux calls them; this one's, if not given.
        device: from `device_here`.

    Raises:
        MissingDependency: bf16 is asked for on the processor, and OpenVINO is not there.
        SettingError: bf16 is asked for, and the processor or GPU has none.
    """
    if asked == "fp32":
        return "fp32"
    if device != "cpu":
        return _precision_of_gpu(asked, device)
    if asked == "auto":
        has_amx = _AMX in (_processor_flags() if flags is None else flags)
        return "bf16" if has_amx and importlib.util.find_spec("openvino") else "fp32"
    # Elsewhere OpenVINO would compute in fp32 in its place.
    if "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise SettingError(
            "`precision` is bf16, which this processor does not compute in: give `precision` fp32, "
            "or make it on one with AMX or AVX-512 bf16"
        )
    return "bf16"


def _precision_of_gpu(asked: Literal["auto", "bf16"], device: str) -> Precision:
    import torch

    if torch.cuda.get_device_capability(device) >= _FIRST_GPU:
        return "bf16"
    if asked == "bf16":
        raise SettingError(
            "`precision` is bf16, which this GPU does not compute in: give `precision` fp32, or "
            "make it on one of NVIDIA's Ampere generation or a later one"
        )
    return "fp32"


class Bf16Network:
    """A network in bf16, with what of an `onnxruntime.InferenceSession` is used here.

    Args:
        content: an ONNX file that ONNX Runtime can read.
        threads: processor threads.
        session: ONNX Runtime's, which says what the network takes.

    Raises:
        ValueError: OpenVINO cannot read it.
        MissingDependency: OpenVINO is not there.
    """

    def __init__(self, content: bytes, threads: int, session: Any) -> None:
        self._session, self._threads = session, threads
        self._core = _core()
        try:
            self._model = self._core.read_model(content)
        except RuntimeError as error:
            raise ValueError("OpenVINO cannot read it") from error
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._request: Any = None

    def get_inputs(self) -> Any:
        """As ONNX Runtime's."""
        return self._session.get_inputs()

    def run(
        self, names: Sequence[str] | None, inputs: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names, or all, float32.

        Raises:
            ValueError: it cannot be run on such inputs.
        """
        shapes = {name: values.shape for name, values in inputs.items()}
        try:
            if shapes != self._shapes:
                self._request, self._shapes = self._compiled(shapes), shapes
            results = self._request.infer(dict(inputs))
        except RuntimeError as error:
            raise ValueError("OpenVINO cannot run it") from error
        outputs = self._session.get_outputs() if names is None else ()
        return [np.array(results[name]) for name in names or [node.name for node in outputs]]

    def _compiled(self, shapes: Mapping[str, tuple[int, ...]]) -> Any:
        """What runs the network for inputs of fixed shapes, which is faster than for any."""
        self._model.reshape({name: list(shape) for name, shape in shapes.items()})
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # workers side by side would be pinned to one core
        }
        return self._core.compile_model(self._model, "CPU", settings).create_infer_request()


def _core() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingDependency(_WHAT, "OpenVINO", _INSTALL) from error
    return openvino.Core()


def _processor_flags() -> frozenset[str]:
    """What the processor can do, as Linux calls it; nothing on other systems."""
    if not _PROCESSOR.exists():
        return frozenset()
    with open_file(_PROCESSOR, most=_MOST_BYTES) as file:
        return frozenset(file.read(_MOST_BYTES).decode(errors="replace").split())
