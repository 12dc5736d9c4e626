"""What a training's checkpoint is good for before it is an adapter: adapting crops with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from adapter._batches import image_tensor
from adapter._errors import AdapterError
from adapter._networks.registry import architecture_of
from adapter._settings.pixelda import TrainConfig
from adapter._training.arithmetic import autocast
from adapter._training.checkpoint import part, read_checkpoint, read_metadata


class TrainedGenerator:
    """The generator of a training, as a checkpoint has it, at work.

    It computes on the training's device and with its arithmetic (`TrainConfig.precision`), as the
    discriminator and the task network saw it. `save_adapter` makes an adapter of a checkpoint,
    which needs neither torch nor the checkpoint.
    """

    def __init__(self, generator: nn.Module, config: TrainConfig) -> None:
        self._generator, self._config = generator, config

    @property
    def noise_dimension(self) -> int:
        """Length of the noise vector that each crop takes."""
        return self._config.noise_dimension

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make crops look like the target's.

        Args:
            crops: (N, C, H, W) in [-1, 1]; all are adapted at once.
            noise: (N, noise_dimension), drawn from U(-1, 1) in training.

        Returns:
            (N, C, H, W) in [-1, 1].
        """
        device = self._config.device
        x, z = image_tensor(crops, device), image_tensor(noise, device)
        with torch.no_grad(), autocast(self._config):
            adapted = self._generator(x, z)
        array: NDArray[np.float32] = adapted.float().cpu().numpy()
        return array


def load_generator(checkpoint: Path) -> TrainedGenerator:
    """The generator of a PixelDA training; its weights are the average, where the run kept one.

    Args:
        checkpoint: what `train` returned, or gave to `on_checkpoint`.

    Raises:
        AdapterError: the checkpoint cannot be read, is not PixelDA's, or has an architecture that
            no package here brings.
    """
    tensors, metadata = read_checkpoint(checkpoint)
    weights = part(tensors, "exported")
    if not weights:
        raise AdapterError(f"{checkpoint} holds no generator of PixelDA's; give one of train's")
    config = TrainConfig(**json.loads(metadata["config"]))
    channels, size = int(metadata["channels"]), int(metadata["size"])
    generator = architecture_of(config).build(channels, size, config)
    generator.load_state_dict(weights)
    generator.eval().to(config.device)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainedGenerator(generator, config)


def checkpoint_step(checkpoint: Path) -> int:
    """Steps of its training that a checkpoint was written after.

    Args:
        checkpoint: of any training: `train`'s, `train_baseline`'s or `train_cogan`'s.

    Raises:
        AdapterError: the checkpoint cannot be read.
    """
    return int(read_metadata(checkpoint)["step"])
