"""Adapting whole frames: each object in its windows, judged, and carried back to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapter import Adapter
from cad_models import CadModel
from render_adapt._coupling import adapt_crops
from render_adapt._fidelity.faithful import (
    LEFT_AS_RENDERED,
    Decisions,
    FaithfulCrops,
    adapt_faithfully,
)
from render_adapt._fidelity.judge import FidelityScores, Judge
from render_adapt._frames.changes import Change, paint
from render_adapt._frames.windows import (
    Windows,
    cut_windows,
    find_windows,
    further_windows,
    seen_masks,
)
from renderer import Centre, CropBatch


def adapt_frames(
    frames: CropBatch,
    models: Sequence[CadModel],
    adapter: Adapter,
    judge: Judge,
    *,
    seed: int,
    min_fidelity: float = 0.0,
    redraws: int = 3,
) -> FaithfulCrops:
    """Pass every object of whole frames through an adapter; poses and masks stay as they are.

    A window is cut around each object as the adapter's own crops were cut, and others beside it
    where the object is larger. What the adapter changed of the object is resampled and added to
    those of the frame's pixels where the object is seen, and to no others: outlines are the frame's
    own, and so is all that is behind the objects. Depth changes only where it was measured, so that
    every count in a label stays true.

    Each object is judged as a crop is. One that is not faithful enough is adapted with other noise
    vectors, and left as it was where none serves. Each object's noise vector is drawn from the
    seed, its frame's number and which object of the frame it is, in the order of its labels.

    Args:
        frames: N frames, of any size.
        models: those that the frames' plans were made for.
        adapter: a trained generator.
        judge: of that adapter's crops.
        seed: the run's.
        min_fidelity: the least fidelity that will do, 0 to 1; 0 takes all.
        redraws: how often a noise vector is drawn anew at most.
    """
    info, seen = adapter.info, seen_masks(frames)
    centre: Centre = "box" if info.cut is None else info.cut.centre
    windows = find_windows(frames, seen, models, info.window_mm, centre)
    if not len(windows):
        return _decided(frames, seen.shape[1], windows, FaithfulCrops.of_renders(frames[:0]))
    crops = cut_windows(frames, seen, windows, info.size, keeps_background=info.keeps_background)
    others = (frames.plans.others.object_index >= 0).cumsum(axis=1)
    places = np.concatenate([np.zeros((len(frames), 1), np.int64), others], axis=1)
    place = places[windows.row, windows.number]
    faithful = adapt_faithfully(
        crops, adapter, judge, seed=seed, window=info.window_mm, min_fidelity=min_fidelity,
        redraws=redraws, number=place,
    )  # fmt: skip
    changes = [[Change.of(windows, w, crops, faithful.crops)] for w in range(len(windows))]
    further, beside = further_windows(windows, seen)
    for w, change in zip(
        beside, _changes(frames, seen, further, adapter, seed, faithful.attempt[beside],
                         place[beside]), strict=True,
    ):  # fmt: skip
        changes[w].append(change)
    rgb, depth = frames.rgb.copy(), frames.depth.copy()
    for w in np.flatnonzero(faithful.kept):
        row = windows.row[w]
        paint(rgb[row], depth[row], seen[row, windows.number[w]], changes[w])
    return _decided(replace(frames, rgb=rgb, depth=depth), seen.shape[1], windows, faithful)


def _changes(
    frames: CropBatch,
    seen: NDArray[np.bool_],
    windows: Windows,
    adapter: Adapter,
    seed: int,
    attempt: NDArray[np.int32],
    place: NDArray[np.int64],
) -> list[Change]:
    """Of windows that are not judged, by the noise vectors that were decided on."""
    info = adapter.info
    crops = cut_windows(frames, seen, windows, info.size, keeps_background=info.keeps_background)
    adapted = adapt_crops(crops, adapter, seed, info.window_mm, attempt, place)
    return [Change.of(windows, w, crops, adapted) for w in range(len(windows))]


def _decided(
    frames: CropBatch, objects: int, windows: Windows, faithful: FaithfulCrops
) -> FaithfulCrops:
    """Frames with what became of each of their objects."""
    count = len(frames)
    parts = np.full((4, count, objects), np.nan)
    attempt = np.full((count, objects), LEFT_AS_RENDERED, np.int32)
    scores = faithful.scores
    where = windows.row, windows.number
    for part, values in zip(
        parts, (scores.edges, scores.depth, scores.judge, scores.fidelity), strict=True
    ):
        part[where] = values
    attempt[where] = np.where(faithful.kept, faithful.attempt, LEFT_AS_RENDERED)
    return FaithfulCrops(
        crops=frames,
        scores=FidelityScores(*parts[:3, :, 0]),
        attempt=attempt[:, 0],
        kept=np.ones(count, np.bool_),
        others=Decisions(parts[3, :, 1:], attempt[:, 1:]),
    )
