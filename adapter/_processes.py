"""A batch shared by the processes of a training: each computes some rows, and all have the whole.

Networks, which take the time, see the rows of their own process; losses are of whole batches, and
every process computes them alike. So they are one process's whatever they make of a batch, and no
loss has to know of this. Each operation here is the adjoint of another (as in Shoeybi et al.,
"Megatron-LM", 2019, section 3), so that gradients may be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from adapter._errors import AdapterError, brief


def started() -> int:
    """Processes of `torch.distributed` that this one is one of; 1 where there is no group."""
    return torch.distributed.get_world_size() if _is_in_group() else 1


def is_first() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return not _is_in_group() or torch.distributed.get_rank() == 0


def _is_in_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class _Now:
    sharers = 1


def sharers() -> int:
    """Processes that share batches at the moment; 1 outside of `sharing_batches`."""
    return _Now.sharers


@contextmanager
def sharing_batches() -> Iterator[None]:
    """Within it, all processes of the group share each batch, where there are several."""
    _Now.sharers = started()
    try:
        yield
    finally:
        _Now.sharers = 1


def shared(network: Callable[..., Any], *inputs: Tensor) -> Any:
    """What a network makes of a batch of which each process gives it some rows.

    Args:
        network: takes tensors (N, ...), and gives such or lists of such, each row from its own row
            and from statistics that `mean_of_processes` has.
        inputs: (B, ...), the same in all processes.

    Returns:
        Of all B rows, the same in all processes.
    """
    if sharers() == 1:
        return network(*inputs)
    return _mapped(all_rows, network(*(_Own.apply(x) for x in inputs)))  # type: ignore[no-untyped-call]


def _mapped(change: Callable[[Tensor], Tensor], made: Any) -> Any:
    if isinstance(made, Tensor):
        return change(made)
    return None if made is None else type(made)(_mapped(change, part) for part in made)


def all_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order; what is made of them all processes make alike."""
    whole: Tensor = rows if sharers() == 1 else _Whole.apply(rows)  # type: ignore[no-untyped-call]
    return whole


def for_own_rows(value: Tensor) -> Tensor:
    """A value that all processes have, about to be used for each one's own rows."""
    handed: Tensor = value if sharers() == 1 else _Handed.apply(value)  # type: ignore[no-untyped-call]
    return handed


def mean_of_processes(value: Tensor) -> Tensor:
    """The mean of what each process has of its own rows, for use on its own rows."""
    total: Tensor = _Added.apply(value)  # type: ignore[no-untyped-call]
    return for_own_rows(total / sharers())


def like_all_rows(rows: Tensor) -> Tensor:
    """A tensor as large as all processes' rows together, and laid out as one's own (N, ...)."""
    return rows if sharers() == 1 else torch.cat([rows.detach()] * sharers())


def own_rows(whole: Tensor) -> Tensor:
    """This process's rows of what all processes have: of random numbers, drawn for all at once."""
    if sharers() == 1:
        return whole
    if len(whole) % sharers():
        raise AdapterError(
            f"a batch of {len(whole)} crops cannot be shared equally by {sharers()} processes: "
            f"give a `batch` that is a multiple of {sharers()}"
        )
    return whole.chunk(sharers())[torch.distributed.get_rank()]


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give each parameter the gradient of the whole batch, of which processes have their rows'."""
    if sharers() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    # At once, for each exchange takes its time however small it is.
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    _add_up(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


@contextmanager
def with_the_others() -> Iterator[None]:
    """Around an exchange between the processes.

    Raises:
        AdapterError: one of them is there no more.
    """
    try:
        yield
    except RuntimeError as error:
        raise AdapterError(
            f"another process of this training has ended ({brief(error)}): what it said is the "
            "reason, and the same command goes on from the last checkpoint"
        ) from error


def _add_up(value: Tensor) -> None:
    with with_the_others():
        torch.distributed.all_reduce(value)


class _Whole(torch.autograd.Function):
    """Own rows to all rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(sharers())]
        with with_the_others():
            torch.distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Own.apply(gradient)  # type: ignore[no-untyped-call]


class _Own(torch.autograd.Function):
    """All rows to own rows."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor) -> Tensor:
        return own_rows(whole).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Whole.apply(gradient)  # type: ignore[no-untyped-call]


class _Added(torch.autograd.Function):
    """What each process has to the sum, which all have."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        _add_up(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Handed.apply(gradient)  # type: ignore[no-untyped-call]


class _Handed(torch.autograd.Function):
    """What all processes have to what each uses for its own rows."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Added.apply(gradient)  # type: ignore[no-untyped-call]
