"""Aligned crops that a generator learns within seconds: boxes, and what a camera makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter import AlignedPairs, LabelledCrops, TrainConfig

SIZE = 32
LIGHTS = 3
GAIN, OFFSET = np.float32([0.5, -0.6, 0.2]), np.float32([-0.3, 0.1, 0.6])
"""What the camera makes of a render's red, green and blue."""

TOY = TrainConfig(
    architecture="layered", steps=6, batch=8, noise_dimension=4, width=8, blocks=1,
    discriminator_width=8, discriminator_shift=2, discriminator_color=0.1, gan_loss="hinge",
    generator_weight=1.0, pair_weight=10.0, task="none", schedule="constant", clip_norm=0.0,
    checkpoint_every=100, threads=1,
)  # fmt: skip


def as_camera(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 3, H, W) colours of renders as the toy's camera has them."""
    return np.asarray(colors * GAIN[:, None, None] + OFFSET[:, None, None], np.float32)


def _boxes(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(N, 4, S, S) boxes on black, of random place, side, depth and colours; their masks."""
    random = np.random.default_rng(seed)
    images = np.full((count, 4, SIZE, SIZE), -1.0, np.float32)
    images[:, 3] = 1.0
    masks = np.zeros((count, SIZE, SIZE), np.bool_)
    for image, mask in zip(images, masks, strict=True):
        side = random.integers(12, 20)
        top, left = random.integers(2, SIZE - side - 2, 2)
        mask[top : top + side, left : left + side] = True
        image[:3, mask] = random.uniform(-0.8, 0.8, (3, 1)) + random.normal(0, 0.1, (3, mask.sum()))
        image[3, mask] = random.uniform(-0.3, 0.3)
    images[:, :3] = np.clip(images[:, :3], -1, 1)
    return images, masks


def toy_source(count: int = 64, seed: int = 0) -> LabelledCrops:
    """Renders that are aligned with nothing."""
    images, masks = _boxes(count, seed)
    quaternion = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    class_index = np.zeros(count, np.int64)
    return LabelledCrops(images, masks, class_index, quaternion, ("box",))


def toy_pairs(count: int = 48, seed: int = 100) -> AlignedPairs:
    """Boxes in lights of different strength, and as the camera saw them before greys and greens."""
    random = np.random.default_rng(seed)
    images, masks = _boxes(count, seed)
    behind = random.uniform(-0.6, 0.2, (count, 3, 1, 1)) + random.normal(
        0, 0.1, (count, 3, SIZE, SIZE)
    )
    behind = behind.astype(np.float32)
    real = np.where(masks[:, None], as_camera(images[:, :3]), behind).astype(np.float32)
    renders = np.repeat(images[:, None], LIGHTS, axis=1)
    light = random.uniform(-0.1, 0.1, (count, LIGHTS, 1, 1, 1)).astype(np.float32)
    lit = np.clip(renders[:, :, :3] + light, -1, 1)
    renders[:, :, :3] = np.where(masks[:, None, None], lit, -1)
    return AlignedPairs(renders, np.clip(real, -1, 1), behind)
