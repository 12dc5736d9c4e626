"""Where the renderer meets the adapter: a batch of renders in, the same batch adapted out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter import BACKGROUNDS, Adapter, AdapterError, AdapterInfo, decode, draw_noise, encode
from renderer import POSES, RANDOMIZATIONS, CropBatch, Randomization, read_randomization

OWN_SETTINGS = "randomize.toml"
"""In an adapter's folder: what its crops differ in where a run's settings say nothing."""


def adapt_crops(
    crops: CropBatch,
    adapter: Adapter,
    seed: int,
    window: float,
    attempt: ArrayLike = 0,
    number: ArrayLike = 0,
) -> CropBatch:
    """Pass renders through an adapter; poses and masks stay as they are.

    Each crop's noise vector is drawn from the seed and its index alone. Crops of another size than
    the adapter's are adapted at the adapter's size, and what it changed is carried over: see
    `carry_over`. An RGB adapter leaves depth as rendered, and so does one that keeps backgrounds;
    so does one with depth where an occluder is nearer than a window before the target's centre,
    which is as far as adapters see.

    Args:
        crops: N renders.
        adapter: a trained generator.
        seed: the run's seed.
        window: side of the crop's window, millimetres.
        attempt: (N,), or one for all: how often a crop's noise vector has been drawn before.
        number: (N,), or one for all: as for `adapter.draw_noise`.
    """
    plans = crops.plans
    noise = draw_noise(seed, plans.index, adapter.info.noise_dimension, attempt, number)
    objects = crops.mask_visib | crops.others_mask_visib.any(axis=1)
    depth = crops.depth if adapter.info.channels == 4 else None
    if depth is not None and adapter.info.keeps_background:
        # As it was trained: of objects alone, and exact, whatever a sensor makes of it.
        others = np.where(objects, depth, np.float32(0))
        depth = np.where(crops.mask_visib, crops.object_depth, others)
    source = encode(crops.rgb, depth, plans.centre_depth, window)
    if plans.size == adapter.info.size:
        adapted = adapter.adapt(source, noise)
    else:
        small = _resize(source, objects, adapter.info.size)
        adapted = carry_over(source, objects, small, adapter.adapt(small, noise))
    rgb, new_depth = decode(adapted, plans.centre_depth, window)
    if new_depth is None or adapter.info.keeps_background:
        return replace(crops, rgb=rgb)
    # The adapter sees depth to within a window of the centre; what is before that has its own.
    nearest = (plans.centre_depth - window).astype(np.float32)[:, None, None]
    beyond = (crops.depth > 0) & (crops.depth < nearest) & (new_depth > 0)
    return replace(crops, rgb=rgb, depth=np.where(beyond, crops.depth, new_depth))


def left_to_adapter(randomization: Randomization, folder: Path) -> Randomization:
    """Settings, or those that an adapter brings, where they are the default ones.

    Args:
        randomization: as given.
        folder: where the adapter is.

    Raises:
        AdapterError: what it brings leads out of its folder.
        SettingError: it cannot be used.
    """
    own = folder / OWN_SETTINGS
    if randomization != RANDOMIZATIONS["linemod"] or not own.exists():
        return randomization
    _refuse_outside(own, folder)
    brought = read_randomization(own)
    for place in (brought.environments, brought.photographs, brought.textures):
        if place is not None:
            _refuse_outside(place, folder)
    return brought


def before_backgrounds(
    randomization: Randomization, adapter: AdapterInfo, folder: Path
) -> Randomization:
    """Settings under which an adapter that keeps backgrounds has some, where they have none.

    Args:
        randomization: as given.
        adapter: a trained one.
        folder: where it is; its camera's backgrounds lie in it.

    Raises:
        AdapterError: they lie elsewhere.
    """
    backgrounds = folder / BACKGROUNDS
    if not adapter.keeps_background or randomization.background != ("black",):
        return randomization
    _refuse_outside(backgrounds, folder)
    if (backgrounds / POSES).exists():
        return replace(randomization, background=("surroundings",), photographs=backgrounds)
    if backgrounds.is_dir():
        return replace(randomization, background=("photographs",), photographs=backgrounds)
    return replace(randomization, background=("board",))


def _refuse_outside(place: Path, folder: Path) -> None:
    """Refuse what lies outside of an adapter's folder: whoever made the adapter would choose which
    of the user's files go into datasets.

    Raises:
        AdapterError: it does.
    """
    if not place.resolve().is_relative_to(folder.resolve()):
        raise AdapterError(f"{place} leads out of the adapter's folder: remove it")


def carry_over(
    source: NDArray[np.float32],
    mask: NDArray[np.bool_],
    small_source: NDArray[np.float32],
    small_adapted: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Carry what an adapter changed at its own size over to crops of another size.

    The change (adapted - source) is resampled on the objects and off them separately, so that
    neither bleeds over the outline, and added to the full-size render: the render's own detail, and
    with it the pose, stays sharp.

    Args:
        source: (N, C, H, W), full-size renders in [-1, 1].
        mask: (N, H, W), the objects, as seen.
        small_source, small_adapted: (N, C, h, w), before and after the adapter.

    Returns:
        (N, C, H, W), in [-1, 1].
    """
    size = source.shape[-1]
    change = small_adapted - small_source
    result = np.empty_like(source)
    for row in range(len(source)):
        inside = _shrink(mask[row].astype(np.float32), change.shape[-1])
        on_object = spread(change[row], mostly_pure(inside), size)
        off_object = spread(change[row], mostly_pure(1 - inside), size)
        result[row] = source[row] + np.where(mask[row], on_object, off_object)
    return np.clip(result, -1.0, 1.0)


def _resize(images: NDArray[np.float32], mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
    """(N, C, size, size): colour averaged over area; depth averaged on the object alone."""
    small = np.stack([[_shrink(channel, size) for channel in image] for image in images])
    if images.shape[1] == 4:
        for row, inside in enumerate(mask):
            weight = _shrink(inside.astype(np.float32), size)
            inner = _shrink(np.where(inside, images[row, 3], np.float32(0)), size)
            small[row, 3] = np.where(weight >= 0.5, inner / np.maximum(weight, 1e-6), 1.0)
    return small


def _shrink(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA))


def mostly_pure(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w), weights that heed a pixel on the outline only where there is no purer one near."""
    return np.where(share > 0.999, np.float32(1), np.float32(1e-6) * share).astype(np.float32)


def spread(
    change: NDArray[np.float32], weight: NDArray[np.float32], size: int
) -> NDArray[np.float32]:
    """(C, size, size): `change` where `weight` is, resampled, and grown past its border."""
    planes = [*(channel * weight for channel in change), weight]
    # A trace of a wide blur reaches the pixels that have no weighted neighbour in the small crop.
    grown = [
        cv2.resize(plane + 1e-4 * cv2.GaussianBlur(plane, (0, 0), 3.0), (size, size))
        for plane in planes
    ]
    return np.asarray(np.stack(grown[:-1]) / np.maximum(grown[-1], 1e-9), dtype=np.float32)
