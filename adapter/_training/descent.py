"""One step of an optimiser down a loss."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from adapter._processes import add_gradients


def descend(
    optimizer: torch.optim.Optimizer,
    loss: Tensor,
    *,
    clip_norm: float = 0.0,
    parameters: Iterable[nn.Parameter] | None = None,
) -> None:
    """Move an optimiser's parameters down a loss.

    Args:
        optimizer: it has the learning rate.
        loss: a number.
        clip_norm: norm that each variable's gradient has at most; 0 is off.
        parameters: those that gradients are computed for; all that the loss depends on by default.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=None if parameters is None else list(parameters))  # type: ignore[no-untyped-call]
    learnt = [p for group in optimizer.param_groups for p in group["params"]]
    add_gradients(learnt)
    if clip_norm > 0:
        clip_each(learnt, clip_norm)
    optimizer.step()


def clip_each(parameters: Iterable[nn.Parameter], norm: float) -> None:
    """Clip each variable's gradient alone, as the official code does, not all by one norm."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    factors = (norm / (norms + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, factors.unbind())
