"""One training in several processes, as torchrun starts them: what they agree in, who writes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed

from adapter._errors import AdapterError
from adapter._processes import is_first, started, with_the_others
from adapter._settings.pixelda import TrainConfig
from adapter._training.arithmetic import refuse_no_gpu
from checked_settings import SettingError

Value = TypeVar("Value")


@contextmanager
def joined(config: TrainConfig) -> Iterator[None]:
    """Within it, the processes that torchrun started, where it did, are one group that trains.

    Args:
        config: of the training; on GPUs each process of a machine takes one of its own.

    Raises:
        AdapterError: there are more processes on this machine than GPUs.
        SettingError: a setting with which several processes cannot train.
    """
    group = torch.distributed
    if not group.is_available() or group.is_initialized() or not group.is_torchelastic_launched():
        yield
        return
    if config.device == "cuda":
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    group.init_process_group("cpu:gloo,cuda:nccl" if config.device == "cuda" else "gloo")
    try:
        refuse_unshared(config)
        yield
    finally:
        group.destroy_process_group()


def _take_gpu(number: int) -> None:
    refuse_no_gpu()
    count = torch.cuda.device_count()
    if number >= count:
        raise AdapterError(
            f"torch finds {count} GPUs here, and there are more processes than that: let torchrun "
            f"start {count}, or train with `device` cpu"
        )
    torch.cuda.set_device(number)


def refuse_unshared(config: TrainConfig) -> None:
    """Refuse settings with which batches cannot be shared by as many processes as there are.

    Raises:
        SettingError: one of them is such.
    """
    processes = started()
    if config.batch % processes:
        raise SettingError(
            f"`batch` is {config.batch}, which {processes} processes cannot share equally: give a "
            f"multiple of {processes}"
        )
    if config.compile and processes > 1:
        raise SettingError("`compile` is for one process: leave it out, or do without torchrun")


def refuse_different(described: str) -> None:
    """Refuse processes that were not given the same.

    Args:
        described: all that decides what this process computes.

    Raises:
        AdapterError: another one's differs.
    """
    if started() == 1:
        return
    digest = hashlib.sha256(described.encode()).digest()
    own = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
    digests = [torch.empty_like(own) for _ in range(started())]
    with with_the_others():
        torch.distributed.all_gather(digests, own)
    if any(not torch.equal(own, other) for other in digests):
        raise AdapterError(
            "the processes of this training do not learn from the same: give all of them the same "
            "command, files and versions, and an `out` that all machines share"
        )


def first_says(answer: bool) -> bool:
    """The first process' answer, in all of them, once it has one."""
    if started() == 1:
        return answer
    said = torch.tensor([answer])
    with with_the_others():
        torch.distributed.broadcast(said, src=0)
    return bool(said)


def made_once(make: Callable[[], Value], read: Callable[[], Value]) -> Value:
    """What the first process makes, and the others read when it is there.

    Args:
        make: writes it.
        read: reads what was written.
    """
    made = make() if is_first() else None
    first_says(True)
    return read() if made is None else made
