"""PixelDA's generator as others will use it: calibrated, and seen at work."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import image_tensor, seed_of
from adapter._networks.normalisation import BatchNorm
from adapter._settings.pixelda import TrainConfig
from adapter._training.device import to_device


def draw_z(n: int, config: TrainConfig) -> Tensor:
    """(n, Z) noise vectors from U(-1, 1), on the device."""
    return to_device(2.0 * torch.rand(n, config.noise_dimension) - 1.0, config.device)


def calibrated(
    generator: nn.Module,
    images: NDArray[Any],
    config: TrainConfig,
    seed: tuple[int, int],
    batches: int = 16,
) -> nn.Module:
    """A copy of a generator whose statistics are those of its own activations.

    Args:
        generator: as it is trained, or its moving average.
        images: (N, C, H, W) source crops.
        config: settings.
        seed: index and stream of the crops and the noise that they are taken from.
        batches: how many they are taken from.
    """
    generator = copy.deepcopy(generator)
    norms = [module for module in generator.modules() if isinstance(module, BatchNorm)]
    torch.manual_seed(seed_of(config.seed, *seed))
    random = np.random.default_rng([config.seed, *seed])
    generator.train()
    with torch.no_grad():
        for number in range(batches):
            for norm in norms:
                norm.momentum = 1.0 / (number + 1)  # a plain mean over the batches
            rows = random.integers(0, len(images), config.batch)
            x = image_tensor(images[rows], config.device)
            generator(x, draw_z(len(x), config))
    return generator.eval()


def looks(
    generator: nn.Module, crops: NDArray[Any], config: TrainConfig, stream: int, n: int = 1
) -> list[NDArray[np.float32]]:
    """The crops as a generator adapts them n times, with the same noise whenever it is asked."""
    torch.manual_seed(seed_of(config.seed, 0, stream))
    x = image_tensor(crops, config.device)
    with torch.no_grad():
        return [generator(x, draw_z(len(x), config)).cpu().numpy() for _ in range(n)]


def picture(
    generator: nn.Module,
    source: NDArray[Any],
    target: NDArray[Any],
    config: TrainConfig,
    stream: int,
    columns: int = 12,
) -> NDArray[np.uint8]:
    """Columns of crops: source, adapted with two noise vectors, real; depth below. BGR."""
    rows = np.linspace(0, len(source) - 1, columns).astype(int)
    real = np.linspace(0, len(target) - 1, columns).astype(int)
    lines = []
    for crops in (source[rows], *looks(generator, source[rows], config, stream, 2), target[real]):
        pixels = np.clip((crops.astype(np.float32) + 1.0) * 127.5, 0, 255).astype(np.uint8)
        lines.append(np.hstack(list(pixels[:, 2::-1].transpose(0, 2, 3, 1))))
        if source.shape[1] == 4:
            depth = np.hstack(list(pixels[:, 3]))
            lines.append(cv2.applyColorMap(depth, cv2.COLORMAP_VIRIDIS))
    return np.ascontiguousarray(np.vstack(lines))
