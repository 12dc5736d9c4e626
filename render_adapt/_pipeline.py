"""The way of a crop: plan, render, adapt, label, write; in shards that are committed whole."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

from adapter import Adapter, load_adapter
from cad_models import CadModel, load_models
from render_adapt._bop import SPLIT, SceneWriter, write_dataset_files
from render_adapt._config import RunConfig, refuse_too_near
from render_adapt._coupling import adapt_crops
from render_adapt._executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._index import index_rows, write_index
from render_adapt._labels import label_crops
from render_adapt._manifest import RunFolder, ShardEntry, writing
from render_adapt._sheet import write_contact_sheet
from renderer import CropBatch, Renderer, make_plans

BATCH_SIZE = 64
"""Crops in memory at once, per worker; a multiple of what an adapter takes at once."""
SHEET = "contact_sheet.png"
_CONTINUE = "what is finished is kept: mend that and give the same command to continue"


@dataclass(frozen=True)
class RunSummary:
    """What a run did."""

    folder: Path
    crops: int
    """Crops in the dataset."""
    crops_made: int
    """Crops made by this call; the others were there already."""
    seconds: float
    bytes: int
    contact_sheet: Path
    stage_seconds: dict[str, float]
    """Time in each stage, summed over workers: render, adapt, write."""
    notes: tuple[str, ...]
    """What the user may want to know, a sentence each."""


@dataclass(frozen=True)
class ShardResult:
    """A committed shard and the time that its stages took."""

    entry: ShardEntry
    stage_seconds: dict[str, float]


def generate(
    config: RunConfig, on_progress: Callable[[int, int], None] | None = None
) -> RunSummary:
    """Make a labelled dataset.

    The same command in the same folder continues a run; every shard is whole or absent.

    Args:
        config: what to make.
        on_progress: called with (crops done, crops in all) at the start and after each shard.

    Raises:
        ConfigError, ModelError, AdapterError, RenderError, DatasetError, WorkerError: one sentence
            each; nothing half-written counts as finished.
    """
    started = time.perf_counter()
    studio = Studio(config)
    folder = RunFolder(config.out)
    folder.open(describe_run(config, studio))
    with writing(config.out, _CONTINUE):
        write_dataset_files(config.out, studio.models, config.size, _middle_focal_length(config))
    done = folder.finished()
    todo = [shard for shard in range(config.shards) if shard not in done]
    results = _make_shards(config, studio, todo, sum(_crops(e) for e in done.values()), on_progress)
    entries = [*done.values(), *(result.entry for result in results)]
    with writing(config.out, _CONTINUE):
        write_contact_sheet(config.out / SHEET, *studio.examples())
        folder.close()
    return RunSummary(
        folder=config.out,
        crops=sum(_crops(entry) for entry in entries),
        crops_made=sum(_crops(result.entry) for result in results),
        seconds=time.perf_counter() - started,
        bytes=sum(entry.bytes for entry in entries),
        contact_sheet=config.out / SHEET,
        stage_seconds=_total_stages(results),
        notes=_notes(studio),
    )


class Studio:
    """A run's models, renderer and adapter, loaded; makes crops for any part of the run."""

    def __init__(self, config: RunConfig) -> None:
        # numba is imported where crops are rasterised, not by everything that imports this module.
        from renderer import RasterRenderer

        # One thread a worker: two pools of threads on the same cores cost more than they bring.
        cv2.setNumThreads(1)
        self.config = config
        self.models: list[CadModel] = load_models(
            config.objects, models=config.models, units=config.units
        )
        refuse_too_near(self.models, config.plan)
        self.adapter: Adapter | None = (
            None if config.adapter == "none" else load_adapter(config.adapter, threads=1)
        )
        self.renderer: Renderer = RasterRenderer(self.models, threads=1)

    def render(self, start: int, stop: int) -> CropBatch:
        """Plan and render crops `start` to `stop`."""
        config = self.config
        plans = make_plans(config.plan, self.models, config.seed, start, stop)
        return self.renderer.render(plans)

    def adapt(self, crops: CropBatch) -> CropBatch:
        """Pass renders through the adapter; without one they stay as they are."""
        if self.adapter is None:
            return crops
        return adapt_crops(crops, self.adapter, self.config.seed, self.config.window)

    def examples(self) -> tuple[CropBatch, CropBatch, Sequence[CadModel]]:
        """The run's first crops as rendered and as adapted, for the contact sheet."""
        renders = self.render(0, min(self.config.n, 24))
        return renders, self.adapt(renders), self.models


def describe_run(config: RunConfig, studio: Studio) -> dict[str, Any]:
    """What decides a run's bytes, and the conventions that its readers need."""
    info = studio.adapter.info if studio.adapter else None
    decisive = {
        "adapter": info.sha256 if info else None,
        "n": config.n,
        "objects": {model.name: _describe_object(model) for model in studio.models},
        "plan": asdict(config.plan),
        "renderer": config.renderer,
        "seed": config.seed,
        "units": config.units,
        "version": version("render-adapt"),
    }
    text = json.dumps(decisive, sort_keys=True)
    return {
        **decisive,
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "conventions": {
            "axes": "OpenCV: x right, y down, z forward; right-handed",
            "depth": "z in millimetres = PNG value * depth_scale; 0 = no measurement",
            "pixel_center": 0.5,
            "pose": "model to camera, millimetres",
            "quaternion": "w, x, y, z; unit; w >= 0",
        },
        "shards": config.shards,
    }


def _describe_object(model: CadModel) -> dict[str, Any]:
    return {
        "obj_id": model.object_id,
        "origin": model.origin,
        "sha256": model.sha256,
        # Not in the mesh file's hash, but they decide which pose is written.
        "symmetries_discrete": model.symmetries.discrete.tolist(),
        "symmetries_continuous": [asdict(symmetry) for symmetry in model.symmetries.continuous],
    }


def _make_shards(
    config: RunConfig,
    studio: Studio,
    shards: Sequence[int],
    crops_done: int,
    on_progress: Callable[[int, int], None] | None,
) -> list[ShardResult]:
    workers = min(config.workers, len(shards))
    executor: Executor[ShardResult]
    if workers > 1:
        executor, make_worker = ProcessExecutor(workers), functools.partial(ShardMaker, config)
    else:
        executor, make_worker = SerialExecutor(), functools.partial(ShardMaker, config, studio)
    results = []
    if on_progress:
        on_progress(crops_done, config.n)
    for result in executor.map(make_worker, shards):
        results.append(result)
        crops_done += _crops(result.entry)
        if on_progress:
            on_progress(crops_done, config.n)
    return results


class ShardMaker:
    """Makes shards of a run and commits them; one per worker process."""

    def __init__(self, config: RunConfig, studio: Studio | None = None) -> None:
        self._config = config
        self._studio = studio or Studio(config)
        self._folder = RunFolder(config.out)

    def __call__(self, shard: int) -> ShardResult:
        """Make and commit one shard."""
        start, stop = self._config.shard_range(shard)
        seconds = {"render": 0.0, "adapt": 0.0, "write": 0.0}
        with writing(self._config.out, _CONTINUE):
            prepared = self._folder.begin_shard(shard)
            scene = SceneWriter(prepared / SPLIT / f"{shard:06d}", self._studio.models)
            rows: list[dict[str, Any]] = []
            for first in range(start, stop, BATCH_SIZE):
                rows += self._make_batch(
                    scene, shard, first, min(first + BATCH_SIZE, stop), seconds
                )
            with _timed(seconds, "write"):
                scene.close()
                (prepared / "index").mkdir()
                write_index(prepared / "index" / f"{shard:06d}.parquet", rows)
                entry = self._folder.commit_shard(prepared, shard, start, stop)
        return ShardResult(entry, seconds)

    def _make_batch(
        self, scene: SceneWriter, shard: int, start: int, stop: int, seconds: dict[str, float]
    ) -> list[dict[str, Any]]:
        studio = self._studio
        with _timed(seconds, "render"):
            renders = studio.render(start, stop)
        with _timed(seconds, "adapt"):
            crops = studio.adapt(renders)
        with _timed(seconds, "write"):
            labels = label_crops(crops, studio.renderer)
            scene.add(crops, labels)
            first_image = start - self._config.shard_range(shard)[0]
            return index_rows(
                crops,
                labels,
                studio.models,
                seed=self._config.seed,
                shard=shard,
                first_image=first_image,
            )


class _timed:
    """Adds the time that a block takes to a stage's total."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self._seconds, self._stage = seconds, stage

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._seconds[self._stage] += time.perf_counter() - self._started


def _crops(entry: ShardEntry) -> int:
    return entry.stop - entry.start


def _total_stages(results: Sequence[ShardResult]) -> dict[str, float]:
    stages = ("render", "adapt", "write")
    return {stage: sum(result.stage_seconds[stage] for result in results) for stage in stages}


def _notes(studio: Studio) -> tuple[str, ...]:
    window = studio.config.window
    return tuple(
        f"{model.name} is {model.diameter:.0f} mm across and a crop shows {window:.0f} mm: "
        f"give --window {10 * math.ceil(0.11 * model.diameter)} to see it whole"
        for model in studio.models
        if model.diameter > 2 * window
    )


def _middle_focal_length(config: RunConfig) -> float:
    """`camera.json` wants one focal length; every crop has its own in `scene_camera.json`."""
    nearest, farthest = config.plan.distance
    return config.size * (nearest + farthest) / 2 / config.window
