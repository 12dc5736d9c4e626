"""Crops to the adapter's tensor and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FAR = 0.99
"""Normalised depth from here on is background: nothing was measured (the official code's mask)."""


def encode(
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32] | None,
    centre_depth: ArrayLike | None,
    window: float = 200.0,
) -> NDArray[np.float32]:
    """Crops as the networks take them.

    Convention:
        Channels R, G, B, depth, all in [-1, 1]. Depth is (d - centre_depth) / window, clipped;
        where nothing was measured (d = 0) it is +1, the far plane. With the 200 mm window, a
        surface 100 mm behind the centre is +0.5.

    Args:
        rgb: (N, H, W, 3), RGB.
        depth: (N, H, W), z in millimetres, 0 = no measurement; None for RGB-only adapters.
        centre_depth: (N,), millimetres; needed with depth.
        window: side of the crop's window, millimetres.

    Returns:
        (N, 4, H, W), or (N, 3, H, W) without depth.
    """
    color = np.moveaxis(rgb, -1, 1).astype(np.float32) / 127.5 - 1.0
    if depth is None:
        return color
    centre = np.asarray(centre_depth, dtype=np.float32).reshape(-1, 1, 1)
    relative = np.clip((depth - centre) / np.float32(window), -1.0, 1.0)
    relative = np.where(depth > 0, relative, np.float32(1.0)).astype(np.float32)
    return np.concatenate([color, relative[:, None]], axis=1)


def decode(
    tensor: NDArray[np.float32],
    centre_depth: ArrayLike | None = None,
    window: float = 200.0,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """The inverse of `encode`: (N, H, W, 3) RGB and (N, H, W) millimetres (None without depth).

    Depth at or beyond `FAR` is 0, no measurement.
    """
    color = np.clip((tensor[:, :3] + 1.0) * 127.5, 0.0, 255.0)
    rgb = np.ascontiguousarray(np.moveaxis(np.rint(color).astype(np.uint8), 1, -1))
    if tensor.shape[1] == 3:
        return rgb, None
    centre = np.asarray(centre_depth, dtype=np.float32).reshape(-1, 1, 1)
    relative = tensor[:, 3]
    depth = np.where(relative < FAR, centre + relative * np.float32(window), np.float32(0.0))
    return rgb, depth.astype(np.float32)
