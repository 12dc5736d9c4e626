"""Moving averages of weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """A network whose weights follow another's: after every step it keeps a share of its own.

    Args:
        follows: the network that is trained, in its first state.
        share: of its own weights that it keeps in a step, below 1; 0 makes it a copy.
        statistics: whether what is not trained (running statistics) is averaged, too; else it
            stays as it was.
    """

    def __init__(self, follows: Network, share: float, *, statistics: bool = False) -> None:
        self.network: Network = copy.deepcopy(follows).requires_grad_(False)
        self._follows, self._share, self._statistics = follows, share, statistics

    def move(self, step: int) -> None:
        """Follow what was learnt in a step, after `step` others."""
        # Early on it must forget the initial weights faster than its share would let it.
        keep = min(self._share, (1.0 + step) / (10.0 + step)) if self._share > 0 else 0.0
        with torch.no_grad():
            averaged, learnt = self._values(self.network), self._values(self._follows)
            torch._foreach_lerp_(averaged, learnt, 1.0 - keep)

    def _values(self, network: nn.Module) -> list[Tensor]:
        if self._statistics:
            return list(network.state_dict().values())
        return list(network.parameters())
