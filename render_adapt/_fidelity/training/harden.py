"""Pictures spoilt as adapters spoil them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._fidelity.label_view import SIDE


def harden(
    pictures: NDArray[np.uint8], inside: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float32]:
    """Spoil pictures as adapters do, without moving anything.

    Blotches of all sizes, little of them on the object; backgrounds of nothing but blotches, or of
    the object's own colour; the object's colours and contrast changed; blur; noise.

    Args:
        pictures: (B, 64, 64, 3), RGB.
        inside: (B, 64, 64), the target.
        random: draws it all.

    Returns:
        (B, 3, 64, 64) in [-1, 1].
    """
    planes = np.ascontiguousarray(np.moveaxis(pictures, -1, 1))
    spoilt = [_harden(*pair, random) for pair in zip(planes, inside, strict=True)]
    return np.stack(spoilt) * 2 - 1


def _harden(
    picture: NDArray[np.uint8], inside: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float32]:
    x = picture.astype(np.float32) / 255
    gain, offset = _uniform(random, 0.6, 1.3, 3), _uniform(random, -0.06, 0.06, 3)
    inner = x * gain + (offset + _uniform(random, -0.15, 0.15))
    object_mask = inside if inside.any() else np.ones_like(inside)
    mean_color = inner[:, object_mask].mean(axis=1)[:, None, None]
    inner = mean_color + (inner - mean_color) * _uniform(random, 0.4, 1.1)
    inner += _blotches(random) * _uniform(random, 0.0, 0.1)
    strength = _uniform(random, 0.0, 0.2)
    if random.random() < 0.4:
        outer = _blotches(random) * (0.1 + strength) + _uniform(random, 0.0, 1.0, 3)
    else:
        outer = x + _blotches(random) * strength
    if random.random() < 0.3:
        outer += (mean_color - outer.mean(axis=(1, 2), keepdims=True)) * _uniform(random, 0.3, 1.0)
    x = np.where(inside, inner, outer)
    if random.random() < 0.6:
        soft = np.stack([cv2.blur(plane, (3, 3)) for plane in x])
        x += (soft - x) * _uniform(random, 0.0, 1.0)
    x += random.standard_normal(x.shape, dtype=np.float32) * _uniform(random, 0.0, 0.06)
    return np.clip(x, 0, 1)


def _uniform(
    random: np.random.Generator, low: float, high: float, count: int = 1
) -> NDArray[np.float32]:
    """(count, 1, 1)."""
    return random.uniform(low, high, (count, 1, 1)).astype(np.float32)


def _blotches(random: np.random.Generator) -> NDArray[np.float32]:
    """(3, 64, 64), about unit variance, a mixture of sizes."""
    total = np.zeros((3, SIDE, SIDE), np.float32)
    for cells, weight in zip((4, 8, 16, 32), random.dirichlet(np.ones(4)) ** 0.5, strict=True):
        noise = random.standard_normal((3, cells, cells), dtype=np.float32)
        noise *= np.float32(1.4 * weight)
        total += np.stack([cv2.resize(plane, (SIDE, SIDE)) for plane in noise])
    return total
