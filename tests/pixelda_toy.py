"""A toy shift between domains that trains in seconds: grey squares move to a green room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapter import LabelledCrops, TrainConfig

SIZE = 16
GREEN = np.float32([-0.6, 0.5, -0.2])


def toy_source(n: int = 96, channels: int = 3) -> LabelledCrops:
    """Grey squares of random place and brightness on black; the depth channel, if any, too."""
    random = np.random.default_rng(1)
    images = np.full((n, channels, SIZE, SIZE), -1.0, np.float32)
    images[:, 3:] = 1.0
    masks = np.zeros((n, SIZE, SIZE), bool)
    for image, mask in zip(images, masks, strict=True):
        top, left = random.integers(3, 7, 2)
        mask[top : top + 6, left : left + 6] = True
        image[:3, mask] = random.uniform(0.2, 0.9) + random.uniform(-0.2, 0.2, mask.sum())
        image[3:, mask] = random.uniform(-0.2, 0.2)
    quaternion = random.normal(size=(n, 4)).astype(np.float32)
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    return LabelledCrops(
        np.clip(images, -1, 1),
        masks,
        random.integers(0, 2, n),
        quaternion,
        ("square", "other square"),
    )


def toy_target(n: int = 80, channels: int = 3) -> NDArray[np.float32]:
    """Such squares in a room whose green differs from crop to crop and pixel to pixel."""
    random = np.random.default_rng(2)
    source = toy_source(n, channels)
    noise = random.normal(0, 0.05, (n, 3, SIZE, SIZE)) + random.normal(0, 0.15, (n, 3, 1, 1))
    room = np.clip(GREEN[:, None, None] + noise, -1, 1)
    images = source.images.astype(np.float32)
    images[:, :3] = np.where(source.masks[:, None], images[:, :3], room)
    images[:, 3:] = np.where(source.masks[:, None], images[:, 3:], 0.5)
    return images


TOY = TrainConfig(
    steps=6,
    batch=8,
    width=8,
    blocks=1,
    half_resolution=True,
    discriminator_width=8,
    task="pose",
    similarity_weight=1.0,
    similarity_normaliser="mask",
    similarity_per_channel=True,
    checkpoint_every=100,
    threads=1,
)

LEARNS = replace(
    TOY,
    steps=300,
    batch=16,
    width=16,
    last_kernel=3,
    discriminator_keep=1.0,
    task="none",
    similarity_weight=10.0,
    diversity_weight=0.1,
    learning_rate=2e-3,
    schedule="linear",
    ema=0.95,
)
"""Settings under which the shift is learnt within seconds."""
