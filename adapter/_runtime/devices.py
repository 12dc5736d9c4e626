"""Where networks run: this machine's processor, or a GPU through torch."""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any

from adapter._errors import AdapterError, brief
from adapter._runtime.description import WEIGHTS, AdapterInfo
from checked_settings import MissingDependency

if TYPE_CHECKING:
    import torch

PROCESSOR = "cpu"
"""The device on which ONNX Runtime runs networks; elsewhere torch does."""
_INSTALL = "'render-adapt[cuda]'"
_OR = "or give `device` cpu"


def device_here(asked: str, info: AdapterInfo | None = None, worker: int = 0) -> str:
    """The device that networks run on, seen to work.

    Args:
        asked: "cpu"; "cuda", a GPU; "cuda:1", that one; or "auto": cuda where torch sees a GPU that
            works, and cpu elsewhere.
        info: of an adapter: with "auto", one without weights for torch runs on the processor.
        worker: number of one of several processes that work side by side: with "cuda", where there
            are several GPUs of the first one's kind, each takes the next of these.

    Returns:
        "cpu", or torch's name of a GPU, as "cuda:1".

    Raises:
        MissingDependency: a GPU is asked for, and torch is not there.
        AdapterError: a GPU is asked for, and there is none, or it cannot be used.
    """
    if asked == PROCESSOR:
        return PROCESSOR
    if asked != "auto":
        return _working_gpu(asked, worker)
    if importlib.util.find_spec("torch") is None or (info and WEIGHTS not in info.sha256):
        return PROCESSOR
    try:
        return _working_gpu("cuda", worker)
    except (MissingDependency, AdapterError):
        return PROCESSOR


def device_name(device: torch.device) -> str:
    """What people call a device."""
    if device.type != "cuda":
        return "the processor"
    import torch

    return str(torch.cuda.get_device_name(device))


def _working_gpu(asked: str, worker: int) -> str:
    """The GPU that is asked for, which has been made to compute something.

    Raises:
        MissingDependency: torch is not there.
        AdapterError: there is no such GPU, or it does not work.
    """
    torch = _import_torch(asked)
    count = _count_gpus(torch, asked)
    if asked == "cuda":
        names = [torch.cuda.get_device_name(number) for number in range(count)]
        alike = [number for number, name in enumerate(names) if name == names[0]]
        device = f"cuda:{alike[worker % len(alike)]}"
    else:
        device = asked
    if int(device.partition(":")[2]) >= count:
        there = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise AdapterError(
            f"`device` is {asked}, and of GPUs there is {there} here: give that, {_OR}"
        )
    try:
        torch.ones(8, device=device).sum().item()
    except torch.OutOfMemoryError as error:
        raise AdapterError(
            f"`device` is {asked}, and the memory of {device} is full: give fewer `workers`, end "
            f"what else uses it, {_OR}"
        ) from error
    except RuntimeError as error:
        raise AdapterError(
            f"`device` is {asked}, and {device} does not work ({brief(error)}): install a torch "
            f"that was made for this GPU and its driver, {_OR}"
        ) from error
    return device


def _count_gpus(torch: Any, asked: str) -> int:
    if not torch.backends.cuda.is_built():
        raise AdapterError(
            f"`device` is {asked}, and this torch was built for processors alone: install one for "
            f"CUDA as https://pytorch.org/get-started says, {_OR}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exception says the same
            torch.cuda.init()
            return int(torch.cuda.device_count())
    except RuntimeError as error:  # no GPU, no driver, or one that is too old
        raise AdapterError(
            f"`device` is {asked}, and torch can use no GPU here ({brief(error)}): install or "
            f"update the GPU's driver, {_OR}"
        ) from error


def _import_torch(device: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingDependency(f"`device` {device}", "torch", _INSTALL) from error
    except OSError as error:  # of a library of its own that cannot be loaded
        raise AdapterError(
            f"`device` is {device}, and torch cannot be loaded ({brief(error)}): install it again, "
            f"{_OR}"
        ) from error
    return torch
