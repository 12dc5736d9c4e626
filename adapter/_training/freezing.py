"""Networks that a loss goes through without teaching them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from adapter._networks.normalisation import BatchNorm


def follow_statistics(network: nn.Module, follows: bool) -> None:
    """Whether running statistics of batch normalisation follow the crops that come."""
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.update_statistics = follows


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation uses the batch but does not learn from it."""
    follow_statistics(network, False)
    yield
    follow_statistics(network, True)


@contextmanager
def without_gradient(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Gradients pass through the networks, none is computed for their weights."""
    for network in networks:
        network.requires_grad_(False)
    yield
    for network in networks:
        network.requires_grad_(True)
