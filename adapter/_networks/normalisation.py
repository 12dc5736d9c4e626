"""Batch normalisation, of a batch that several processes may share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapter._processes import mean_of_processes, sharers


class BatchNorm(nn.Module):
    """Batch normalisation with an offset but no scale (the official code's setting).

    `update_statistics` False leaves the running statistics alone while training: the generator's
    move in generator steps only, the discriminator's in discriminator steps only.
    """

    running_mean: Tensor
    running_var: Tensor
    ones: Tensor

    def __init__(self, features: int, momentum: float = 0.1, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("ones", torch.ones(features), persistent=False)
        self.momentum = momentum
        self.epsilon = epsilon
        self.update_statistics = True

    def forward(self, x: Tensor) -> Tensor:
        if self.training and sharers() > 1:
            return self._of_all_rows(x)
        use_running = self.update_statistics or not self.training
        normalised: Tensor = F.batch_norm(
            x,
            self.running_mean if use_running else None,
            self.running_var if use_running else None,
            # On a GPU torch cannot differentiate an offset without a scale.
            weight=self.ones if x.is_cuda else None,
            bias=self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.epsilon,
        )
        return normalised

    def _of_all_rows(self, x: Tensor) -> Tensor:
        """The same by the statistics of all processes' rows, of which x are some."""
        variance, mean = torch.var_mean(x.float(), [0, *range(2, x.ndim)], correction=0)
        # In double precision the difference of the two loses nothing.
        mean = mean.double()
        moments = mean_of_processes(torch.stack([mean, variance + mean.square()]))
        mean, variance = moments[0].float(), (moments[1] - moments[0].square()).float()
        if self.update_statistics:
            count = x.numel() // x.shape[1] * sharers()
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        shape = (-1, *(1,) * (x.ndim - 2))
        scale = torch.rsqrt(variance + self.epsilon).view(shape)
        normalised = (x - mean.view(shape)) * scale + self.bias.view(shape)
        return normalised.to(x.dtype)
