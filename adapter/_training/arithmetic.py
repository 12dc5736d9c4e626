"""Torch as a training wants it: device, threads, random generators, precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from adapter._errors import AdapterError


class Machine(Protocol):
    """Settings that say what a training runs on."""

    @property
    def device(self) -> str: ...
    @property
    def threads(self) -> int: ...


class Precision(Protocol):
    """Settings that say how exactly networks compute."""

    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...


@contextmanager
def torch_of(config: Machine) -> Iterator[None]:
    """Torch as a training wants it; its threads and random generators are the caller's again after.

    Raises:
        AdapterError: there is no such device.
    """
    cuda = config.device == "cuda"
    if cuda:
        refuse_no_gpu()
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


def refuse_no_gpu() -> None:
    """Refuse to train on a GPU where there is none.

    Raises:
        AdapterError: torch finds none.
    """
    if not torch.cuda.is_available():
        raise AdapterError("torch finds no CUDA device; train with `device` cpu")


def autocast(config: Precision) -> torch.autocast:
    """The arithmetic of the networks."""
    return torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16")
