"""The seam between adapters and the networks that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from adapter._settings.pixelda import TrainConfig


@dataclass(frozen=True)
class AdapterArchitecture:
    """A kind of generator: all in which kinds differ to training, to saving and to loading.

    A package of your own may bring one: an entry point of the group `adapter.architectures`, called
    as the architecture is, that names an object of this class (docs/extending.md).

    Convention:
        A generator is a torch module that takes crops (N, C, H, W) in [-1, 1] and noise
        (N, config.noise_dimension) in [-1, 1), and gives crops of the same shape in [-1, 1], each
        from its own crop and noise alone. In evaluation mode nothing in it is random. Batch
        normalisation is `adapter.BatchNorm`, since training has to hold its statistics apart.
    """

    name: str
    """What settings and adapter.json call it: letters, digits and dashes."""
    build: Callable[[int, int, TrainConfig], nn.Module]
    """Channels, size and settings to a freshly initialised generator.

    It makes modules and nothing else, since it is also called without memory (on torch's device
    "meta") to compare a stranger's weights with what it would make.
    """
    export: Callable[[nn.Module, int, int, int], bytes]
    """A generator in evaluation mode, its channels, size and length of noise to an ONNX file, with
    inputs `crops` and `noise` of a free batch size; `adapter.export_onnx` does for most."""
    keeps_background: bool = False
    """Whether it leaves alone what is behind objects: see `AdapterInfo.keeps_background`."""
