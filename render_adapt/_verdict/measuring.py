"""Measures an adapter's crops beside its camera's, as they are made to calibrate its fidelity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import (
    Adapter,
    AdapterInfo,
    Verdict,
    adapter_folder,
    encode,
    load_adapter,
    save_verdict,
)
from cad_models import CadModel
from render_adapt._coupling import adapt_crops
from render_adapt._fidelity.calibrate import CROPS, SEED, calibrate_adapter
from render_adapt._fidelity.judge import general_calibration, scores_of
from render_adapt._files import writing
from render_adapt._verdict.card import write_card
from renderer import CropBatch, PlanConfig, Renderer

DOUBTFUL = 0.01
"""Label fidelity below which a crop's label is in doubt."""
_MOST_COMPARED, _LEAST_COMPARED = 600, 100
"""Crops beside the camera's: as many as of these, within bounds; 20 seconds of a core for 600."""
VARIED = 200
"""Crops that are adapted with a second noise vector."""


@dataclass(frozen=True)
class OneThread:
    """Of the processor: as adapters run."""

    device: str = "cpu"
    threads: int = 1


def judge_adapter(
    path: Path | str,
    models: Sequence[CadModel],
    plan: PlanConfig,
    target: NDArray[Any],
    crops: int = CROPS,
    renderer: Renderer | None = None,
) -> AdapterInfo:
    """Calibrate an adapter's fidelity, and measure what its crops are worth beside the camera's.

    Both are kept in the adapter's folder, and its card says them in words, where it has none of
    somebody's own. The same adapter and crops give the same figures.

    Args:
        path, models, plan, crops, renderer: as for `calibrate_adapter`.
        target: (M, C, H, W) in [-1, 1], the camera's crops; colours alone are compared.

    Returns:
        The adapter's description, with its verdict.

    Raises:
        RenderAdaptError: one sentence that says why not.
    """
    seen = _Seen(compared(len(target)))
    calibrate_adapter(path, models, plan, crops, renderer, on_batch=seen)
    adapter = load_adapter(path, threads=1)
    verdict = _verdict(seen, adapter, plan.window, _spread(target, _MOST_COMPARED))
    folder = adapter_folder(path)
    with writing(folder, "make room there, or give a folder that can be written to"):
        info = save_verdict(folder, verdict)
        write_card(folder, info)
    return info


def compared(real_crops: int) -> int:
    """How many crops of an adapter are compared with so many of the camera."""
    return min(max(real_crops, _LEAST_COMPARED), _MOST_COMPARED)


class _Seen:
    """What a calibration makes, as far as a verdict is of it.

    Args:
        count: crops to keep.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        self._parts: list[Mapping[str, NDArray[np.float64]]] = []
        self.renders: list[CropBatch] = []
        """Batches that were adapted, `VARIED` crops or a few more."""
        self.adapted: list[NDArray[np.uint8]] = []
        """Their colours then."""

    def __call__(
        self, renders: CropBatch, crops: CropBatch, parts: Mapping[str, NDArray[np.float64]]
    ) -> None:
        if sum(len(before) for before, _ in self._pictures) < self._count:
            self._pictures.append((renders.rgb, crops.rgb))
        if sum(map(len, self.renders)) < VARIED:
            self.renders.append(renders)
            self.adapted.append(crops.rgb)
        self._parts.append(parts)

    @property
    def pictures(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(N, S, S, 3) before and after the adapter."""
        before, after = (np.concatenate(some) for some in zip(*self._pictures, strict=True))
        return before[: self._count], after[: self._count]

    @property
    def parts(self) -> dict[str, NDArray[np.float64]]:
        """Of all crops, as `measure_parts` has them."""
        return {
            name: np.concatenate([parts[name] for parts in self._parts]) for name in self._parts[0]
        }


def _verdict(seen: _Seen, adapter: Adapter, window: float, target: NDArray[Any]) -> Verdict:
    from adapter import kernel_distance, told_apart

    domains = [*(encode(rgb, None, None) for rgb in seen.pictures), target]
    before, after, real = _features(domains)
    middle_before, middle_after, middle_real = _features([_middle(crops) for crops in domains])
    fidelity = scores_of(seen.parts, general_calibration(adapter.info)).fidelity
    on_object, off_object = _noise_effect(seen, adapter, window)
    return Verdict(
        crops=len(after),
        real_crops=len(real),
        unfaithful_percent=_rounded(100 * (fidelity[np.isfinite(fidelity)] < DOUBTFUL).mean(), 2),
        told_apart_percent=_rounded(told_apart(after, real), 1),
        distance=_rounded(kernel_distance(after, real, real).mean, 3),
        distance_before=_rounded(kernel_distance(before, real, real).mean, 3),
        middle_distance=_rounded(kernel_distance(middle_after, middle_real, middle_real).mean, 3),
        middle_distance_before=_rounded(
            kernel_distance(middle_before, middle_real, middle_real).mean, 3
        ),
        noise_on_object=on_object,
        noise_off_object=off_object,
    )


def _features(domains: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """Of crops (N, C, H, W), with one thread: more wait for each other on a busy machine."""
    from adapter import domain_features
    from adapter._training.arithmetic import torch_of

    with torch_of(OneThread()):
        return [domain_features(crops) for crops in domains]


def _middle(crops: NDArray[Any]) -> NDArray[Any]:
    """Half as wide and high, where objects are and little else."""
    side = crops.shape[-1]
    middle = slice(side // 4, side // 4 + side // 2)
    return crops[..., middle, middle]


def _noise_effect(
    seen: _Seen, adapter: Adapter, window: float
) -> tuple[float | None, float | None]:
    if not adapter.info.noise_dimension:
        return None, None
    changes = [
        changed_by_noise(renders, rgb, adapter, SEED, window)
        for renders, rgb in zip(seen.renders, seen.adapted, strict=True)
    ]
    on_object, off_object = (float(np.mean(some)) for some in zip(*changes, strict=True))
    keeps_background = adapter.info.keeps_background
    return _rounded(on_object, 2), None if keeps_background else _rounded(off_object, 2)


def changed_by_noise(
    renders: CropBatch, adapted: NDArray[np.uint8], adapter: Adapter, seed: int, window: float
) -> tuple[float, float]:
    """Mean change of a pixel, 0 to 255, on the target and off it, when noise alone changes.

    Args:
        renders: N crops.
        adapted: (N, H, W, 3), their colours after the adapter.
        adapter: with noise.
        seed: by which they were adapted.
        window: side of a crop's window, millimetres.
    """
    otherwise = adapt_crops(renders, adapter, seed + 1, window).rgb
    change = np.abs(adapted.astype(np.int64) - otherwise).mean(axis=-1)
    on_object, off_object = (
        float(change[where].mean()) if where.any() else 0.0
        for where in (renders.mask, ~renders.mask)
    )
    return on_object, off_object


def _spread(crops: NDArray[Any], most: int) -> NDArray[Any]:
    """At most so many, from all over them."""
    rows = np.linspace(0, len(crops) - 1, min(most, len(crops))).astype(np.int64)
    selected: NDArray[Any] = crops[rows]
    return selected


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)
