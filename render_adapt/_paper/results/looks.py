"""What noise does to adapted crops: their looks, and what of them it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapter import LabelledCrops, Predict, angle_degrees

Generate = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]
"""Crops (N, C, H, W) in [-1, 1] and noise (N, noise_dimension) to adapted crops (N, C, H, W)."""

_LOOKS = 53  # Random stream, beside the seed.
_BATCH = 100


@dataclass(frozen=True)
class StyleAndContent:
    """What changes in an adapted crop when nothing but its noise does.

    A generator whose noise changes style and not content keeps class and pose, and changes
    backgrounds. Changes are mean absolute differences between two looks of a crop.
    """

    background_change: float
    """Off the object, in grey levels of 255."""
    object_change: float
    """On the object, in grey levels of 255."""
    object_depth_change: float | None
    """Depth on the object, in the units of the crop's tensor (1 is a window's side); None without
    depth."""
    same_class_percent: float | None
    """Share of crops that the task network takes for one class in all their looks; None without
    a task network."""
    right_class_percent: float | None
    """Share of looks that it takes for the source crop's class."""
    mean_angle_between_looks_degrees: float | None
    """Mean angle between the poses that it sees in two looks of a crop; None without poses."""


def style_and_content(
    generate: Generate,
    predict: Predict | None,
    crops: LabelledCrops,
    noise_dimension: int,
    *,
    looks: int = 8,
    seed: int = 0,
) -> StyleAndContent:
    """Measure what noise changes in adapted crops.

    Args:
        generate: the generator.
        predict: a task network on adapted crops, which it takes from the processor's memory;
            None measures pixels alone.
        crops: source crops with masks and labels.
        noise_dimension: length of the noise vector, drawn from U(-1, 1).
        looks: noise vectors for each crop, 2 at least.
        seed: of the noise.
    """
    noise = uniform_noise((looks, len(crops), noise_dimension), seed, _LOOKS)
    # (looks, N, C, H, W)
    pictures = np.stack([adapt_in_batches(generate, crops.images, z) for z in noise])
    change = np.abs(np.diff(pictures, axis=0)).mean(axis=0)  # (N, C, H, W)
    color, on_object = 127.5 * change[:, :3].mean(axis=1), crops.masks
    has_depth = change.shape[1] == 4
    classes, poses = _predictions(predict, pictures)
    same = right = None
    if classes is not None:
        same = 100.0 * float((classes == classes[0]).all(axis=0).mean())
        right = 100.0 * float((classes == crops.class_index).mean())
    return StyleAndContent(
        background_change=float(color[~on_object].mean()),
        object_change=float(color[on_object].mean()),
        object_depth_change=float(change[:, 3][on_object].mean()) if has_depth else None,
        same_class_percent=same,
        right_class_percent=right,
        mean_angle_between_looks_degrees=(
            None if poses is None else _mean_angle_between_looks(poses, crops)
        ),
    )


def _mean_angle_between_looks(poses: NDArray[np.float32], crops: LabelledCrops) -> float | None:
    """Mean angle, degrees, between the poses (looks, N, 4) in one look of a crop and in the next.

    None where no crop has a pose that counts.
    """
    pairs = len(poses) - 1
    first, second = (torch.from_numpy(part).flatten(0, 1) for part in (poses[:-1], poses[1:]))
    symmetries = None
    if crops.symmetries is not None:
        crop_symmetries = crops.symmetries[crops.class_index]
        symmetries = torch.from_numpy(np.tile(crop_symmetries, (pairs, 1, 1)))
    counts = np.ones(len(crops), bool) if crops.pose_weight is None else crops.pose_weight > 0
    angles = angle_degrees(second, first, symmetries).numpy()[np.tile(counts, pairs)]
    return float(angles.mean()) if angles.size else None


def _predictions(
    predict: Predict | None, pictures: NDArray[np.float32]
) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
    """Classes (looks, N) and poses (looks, N, 4), as far as the task network gives them."""
    if predict is None:
        return None, None
    looks, n = pictures.shape[:2]
    flat = torch.from_numpy(pictures).flatten(0, 1)
    with torch.no_grad():
        parts = [predict(part) for part in torch.split(flat, _BATCH)]
    classes = torch.cat([logits.argmax(dim=1) for logits, _ in parts]).cpu().numpy()
    poses = [pose for _, pose in parts if pose is not None]
    return (
        classes.reshape(looks, n),
        torch.cat(poses).cpu().numpy().reshape(looks, n, 4) if poses else None,
    )


def adapt_in_batches(
    generate: Generate, crops: NDArray[Any], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Adapted crops (N, C, H, W), a batch at a time."""
    parts = [
        np.asarray(generate(crops[i : i + _BATCH].astype(np.float32), noise[i : i + _BATCH].copy()))
        for i in range(0, len(crops), _BATCH)
    ]
    return np.concatenate(parts).astype(np.float32)


def uniform_noise(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float32]:
    """Noise from U(-1, 1), a function of the seed and the random stream."""
    random = np.random.default_rng([seed, 0, stream])
    return random.uniform(-1.0, 1.0, shape).astype(np.float32)
