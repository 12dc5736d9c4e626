"""What the training loops of PixelDA and of the systems beside it have in common."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from adapter._errors import AdapterError
from adapter._settings.pixelda import LabelledCrops


class Settings(Protocol):
    """Settings that every training has."""

    @property
    def steps(self) -> int: ...
    @property
    def max_minutes(self) -> float: ...
    @property
    def precision(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def threads(self) -> int: ...


@contextmanager
def torch_of(config: Settings) -> Iterator[None]:
    """Torch as a training wants it; its threads and random generators are the caller's again after.

    Raises:
        AdapterError: there is no such device.
    """
    cuda = config.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise AdapterError("torch finds no CUDA device; train with `device` cpu")
    threads, tries = torch.get_num_threads(), torch.backends.cudnn.benchmark
    if config.threads:
        torch.set_num_threads(config.threads)
    # Shapes never change, so trying all of cuDNN's algorithms once pays.
    torch.backends.cudnn.benchmark = cuda
    try:
        with torch.random.fork_rng([torch.cuda.current_device()] if cuda else []):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = tries


def autocast(config: Settings) -> torch.autocast:
    """The arithmetic of the networks."""
    return torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16")


def check_finite(report: Mapping[str, float], step: int, saved: int) -> None:
    """Stop a training whose losses are no numbers any more.

    Args:
        report: losses by name.
        step: steps done.
        saved: the step of the last checkpoint, negative for none.

    Raises:
        AdapterError: one is not finite: the run has diverged.
    """
    for name, value in report.items():
        if not math.isfinite(value):
            kept = f"the checkpoint of step {saved} is kept" if saved >= 0 else "none was saved yet"
            raise AdapterError(
                f"training diverged at step {step}: the {name} loss is not a finite "
                f"number; lower `learning_rate` or use `precision` fp32 ({kept})"
            )


def pace(config: Settings, step: int, first: int, seconds: float) -> tuple[float, float]:
    """Steps per second since step `first`, and seconds until the last step or the time limit."""
    rate = (step - first) / seconds
    left = (config.steps - step) / rate
    if config.max_minutes:
        left = min(left, max(0.0, 60.0 * config.max_minutes - seconds))
    return rate, left


def average_share(ema: float, step: int) -> float:
    """What a moving average of weights keeps of itself after `step` steps; 0 for no average."""
    # Early on it must forget the initial weights faster than `ema` would let it.
    return min(ema, (1.0 + step) / (10.0 + step)) if ema > 0 else 0.0


def crops_metadata(source: LabelledCrops) -> dict[str, str]:
    """What a checkpoint says of the crops, to build its networks again."""
    channels, size = source.images.shape[1:3]
    return {
        "channels": str(channels),
        "size": str(size),
        "class_names": json.dumps(source.class_names),
    }


def check_alike(source: LabelledCrops, target: NDArray[Any]) -> None:
    """Refuse domains of different shapes.

    Raises:
        AdapterError: source crops and target crops (M, C, H, W) do not go together.
    """
    if source.images.shape[1:] != target.shape[1:]:
        raise AdapterError(
            f"source crops are {source.images.shape[1:]} (channels, height, width) and target "
            f"crops {target.shape[1:]}; they must be alike"
        )


def check_labelled_target(source: LabelledCrops, labelled: LabelledCrops) -> None:
    """Refuse labelled target crops that do not go with the source.

    Raises:
        AdapterError: other classes or another shape.
    """
    if labelled.class_names != source.class_names:
        raise AdapterError(
            f"the labelled target crops are of {', '.join(labelled.class_names)} and the source "
            f"crops of {', '.join(source.class_names)}; the classes must be the same"
        )
    if labelled.images.shape[1:] != source.images.shape[1:]:
        raise AdapterError(
            f"labelled target crops are {labelled.images.shape[1:]} (channels, height, width) and "
            f"source crops {source.images.shape[1:]}; they must be alike"
        )
