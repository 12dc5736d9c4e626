"""Adapting until crops agree with their labels, or giving them up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter import Adapter
from render_adapt._coupling import adapt_crops
from render_adapt._fidelity.judge import FidelityScores, Judge
from renderer import CropBatch


@dataclass(frozen=True)
class Decisions:
    """What became of the K objects of N frames beside their targets."""

    fidelity: NDArray[np.float64]
    """(N, K), 0 to 1; NaN where there is nothing to judge by, or no object."""
    attempt: NDArray[np.int32]
    """(N, K), as `FaithfulCrops.attempt`."""

    def __getitem__(self, rows: NDArray[np.int64]) -> Decisions:
        """Those of some frames."""
        return Decisions(self.fidelity[rows], self.attempt[rows])


LEFT_AS_RENDERED = -1
"""In place of an attempt: no noise vector was faithful enough, or the object could not be shown to
the adapter."""


@dataclass(frozen=True)
class FaithfulCrops:
    """N adapted crops or frames, how faithful they are, and how often each was adapted."""

    crops: CropBatch
    scores: FidelityScores
    attempt: NDArray[np.int32]
    """(N,), how often the noise vector was drawn anew; 0 where the first one served. Of a frame's
    target also `LEFT_AS_RENDERED`."""
    kept: NDArray[np.bool_]
    """(N,), False where no attempt was faithful enough: such a crop is to be dropped. Frames are
    all kept."""
    others: Decisions | None = None
    """Of frames: on their other objects."""

    @staticmethod
    def of_renders(renders: CropBatch) -> FaithfulCrops:
        """Renders that are not to be adapted: all are kept and none is judged."""
        count = len(renders)
        return FaithfulCrops(
            crops=renders,
            scores=FidelityScores.unknown(count),
            attempt=np.zeros(count, np.int32),
            kept=np.ones(count, np.bool_),
        )

    def without_dropped(self) -> FaithfulCrops:
        """Those that are kept."""
        rows = np.flatnonzero(self.kept)
        others = self.others and self.others[rows]
        return FaithfulCrops(
            self.crops[rows], self.scores[rows], self.attempt[rows], self.kept[rows], others
        )

    @property
    def redrawn(self) -> int:
        """Crops that were kept with another noise vector than their first; frames with such an
        object."""
        is_redrawn = self.attempt > 0
        if self.others is not None:
            is_redrawn = is_redrawn | (self.others.attempt > 0).any(axis=1)
        return int((self.kept & is_redrawn).sum())

    @property
    def dropped(self) -> int:
        """Crops to be dropped."""
        return int((~self.kept).sum())


def adapt_faithfully(
    renders: CropBatch,
    adapter: Adapter,
    judge: Judge,
    *,
    seed: int,
    window: float,
    min_fidelity: float = 0.0,
    redraws: int = 3,
    number: ArrayLike = 0,
) -> FaithfulCrops:
    """Adapt renders; where one is not faithful enough, with other noise vectors.

    What becomes of a crop depends on its number and the run's seed, not on its company. Crops that
    cannot be judged, their target being hidden, are kept.

    Args:
        renders: N, with their labels.
        adapter: a trained generator.
        judge: of that adapter's crops.
        seed: the run's.
        window: side of the crop's window, millimetres.
        min_fidelity: the least fidelity that will do, 0 to 1; 0 keeps all.
        redraws: how often a noise vector is drawn anew at most; never for an adapter without noise.
        number: (N,), or one for all: as for `adapter.draw_noise`.
    """
    numbers = np.broadcast_to(np.asarray(number, np.int64), len(renders))
    crops = adapt_crops(renders, adapter, seed, window, number=numbers)
    scores = judge.score(crops, renders)
    attempt = np.zeros(len(renders), np.int32)
    failing = np.flatnonzero(scores.fidelity < min_fidelity)
    is_kept = np.ones(len(renders), np.bool_)
    if len(failing) and redraws and adapter.info.noise_dimension:
        # All at once: the network takes as long for one crop as for a chunk of them.
        rows, attempts = np.repeat(failing, redraws), np.tile(1 + np.arange(redraws), len(failing))
        redrawn = renders[rows]
        readapted = adapt_crops(redrawn, adapter, seed, window, attempts, numbers[rows])
        better = judge.score(readapted, redrawn)
        passes = (better.fidelity >= min_fidelity).reshape(len(failing), redraws)
        first = np.argmax(passes, axis=1)
        saved = passes.any(axis=1)
        old, new = failing[saved], np.flatnonzero(saved) * redraws + first[saved]
        crops = _exchange(crops, readapted, old, new)
        scores = _exchange_scores(scores, better, old, new)
        attempt[old] = attempts[new]
        failing = failing[~saved]
    is_kept[failing] = False
    return FaithfulCrops(crops, scores, attempt, is_kept)


def _exchange(
    crops: CropBatch, replacements: CropBatch, old: NDArray[np.int64], new: NDArray[np.int64]
) -> CropBatch:
    rgb, depth = crops.rgb.copy(), crops.depth.copy()
    rgb[old], depth[old] = replacements.rgb[new], replacements.depth[new]
    return replace(crops, rgb=rgb, depth=depth)


def _exchange_scores(
    scores: FidelityScores,
    replacements: FidelityScores,
    old: NDArray[np.int64],
    new: NDArray[np.int64],
) -> FidelityScores:
    parts = []
    for before, after in (
        (scores.edges, replacements.edges), (scores.depth, replacements.depth),
        (scores.judge, replacements.judge),
    ):  # fmt: skip
        parts.append(before.copy())
        parts[-1][old] = after[new]
    return FidelityScores(*parts)
