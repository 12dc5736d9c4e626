"""Which architectures there are: the one that comes with the package, and other packages'."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import nn

from adapter._errors import AdapterError
from adapter._networks.architecture import AdapterArchitecture
from adapter._networks.layered import LAYERED
from adapter._networks.pixelda import PIXELDA
from adapter._settings.pixelda import TrainConfig
from plug_ins import PlugIns

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_SHIPPED: tuple[AdapterArchitecture, ...] = (PIXELDA, LAYERED)


@functools.cache
def architectures() -> Mapping[str, AdapterArchitecture]:
    """All architectures by name, those that come with the package first.

    Another package's is loaded when it is asked for, and raises `AdapterError` where it cannot be
    used.
    """
    return PlugIns(
        group="adapter.architectures",
        word="architecture",
        kind=AdapterArchitecture,
        shipped={architecture.name: architecture for architecture in _SHIPPED},
        names_of=lambda architecture: (architecture.name,),
        error=AdapterError,
    )


def architecture_of(config: TrainConfig) -> AdapterArchitecture:
    """The architecture that settings name.

    Raises:
        AdapterError: no package here brings it, or what brings it cannot be used.
    """
    if config.architecture not in architectures():
        raise AdapterError(
            f"there is no architecture {config.architecture!r:.40} here, only "
            f"{', '.join(architectures())}: install the package that brings it"
        )
    return architectures()[config.architecture]


def new_generator(channels: int, size: int, config: TrainConfig) -> nn.Module:
    """A freshly initialised generator to train, looked at before hours go into it.

    Raises:
        AdapterError: no package here brings its architecture, or it does not do what
            `AdapterArchitecture` asks of one.
    """
    generator = architecture_of(config).build(channels, size, config)
    named = f"the generator of architecture {config.architecture}"
    if any(isinstance(module, _BATCH_NORMS) for module in generator.modules()):
        raise AdapterError(
            f"{named} has torch's batch normalisation, whose statistics training would spoil: take "
            "adapter.BatchNorm, or a normalisation of each crop"
        )
    crops = torch.zeros(2, channels, size, size)
    noise = torch.zeros(2, config.noise_dimension, requires_grad=True)
    adapted = generator.eval()(crops, noise)
    if adapted.shape != crops.shape:
        raise AdapterError(
            f"{named} makes {tuple(adapted.shape)} of crops {tuple(crops.shape)}: both must be "
            "alike"
        )
    if config.noise_dimension and not _depends(adapted, noise):
        raise AdapterError(f"{named} makes nothing of its noise: give `noise_dimension` 0")
    return generator.train()


def _depends(result: torch.Tensor, source: torch.Tensor) -> bool:
    """Whether any of what was given went into the result."""
    if not result.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(result.sum(), source, allow_unused=True)
    return gradient is not None
