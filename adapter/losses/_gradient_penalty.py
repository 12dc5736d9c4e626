"""R1, the gradient penalty of discriminators."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(logits_of: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the mean squared gradient of the logit at real crops (R1, Mescheder et al. 2018).

    Args:
        logits_of: the discriminator, (N, C, H, W) to (N,) logits, differentiable twice.
        real: (N, C, H, W).
    """
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(logits_of(real).sum(), real, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()
