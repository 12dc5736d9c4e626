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
import numpy as np
from numpy.typing import NDArray

from adapter import Adapter, load_adapter
from cad_models import CadModel, load_models
from render_adapt._bop import SPLIT, SceneWriter, write_dataset_files
from render_adapt._config import RunConfig, refuse_too_near
from render_adapt._coupling import adapt_crops
from render_adapt._exceptions import ConfigError
from render_adapt._executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._index import index_rows, write_index
from render_adapt._labels import label_crops
from render_adapt._manifest import RunFolder, ShardEntry, writing
from render_adapt._sheet import write_contact_sheet
from renderer import (
    CropBatch,
    Renderer,
    capture,
    load_photographs,
    load_textures,
    make_frame_plans,
    make_plans,
    make_renderer,
)

BATCH_SIZE = 64
"""Crops in memory at once, per worker; a multiple of what an adapter takes at once."""
FRAMES_AT_ONCE = 8
"""Whole frames in memory at once, per worker."""
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
        write_dataset_files(config.out, studio.models, *_dataset_camera(config))
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
        randomization = config.randomization
        self.textures = load_textures(randomization.textures) if randomization.texture_swap else []
        folder = randomization.photographs if "photographs" in randomization.background else None
        self.photographs = load_photographs(folder) if folder else []
        # Labels are those of the model itself, to the pixel: no levels of detail.
        self.renderer: Renderer = make_renderer(
            config.renderer, self.models, textures=self.textures,
            environments=randomization.environments, seed=config.seed, levels=False,
        )  # fmt: skip

    def render(self, start: int, stop: int) -> CropBatch:
        """Plan and render crops `start` to `stop`, and take them as the camera would."""
        config, frame = self.config, self.config.frame_plan
        changes = config.randomization
        among = (self.models, config.seed, start, stop, changes)
        if frame is None:
            plans = make_plans(config.plan, *among, textures=len(self.textures))
        else:
            plans = make_frame_plans(frame, *among, textures=len(self.textures))
        crops = self.renderer.render(plans)
        return capture(crops, changes, config.seed, self.models, self.photographs)

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
        "plan": asdict(config.frame_plan or config.plan),
        "randomization": _describe_randomization(studio),
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


def _describe_randomization(studio: Studio) -> dict[str, Any]:
    """The settings; in place of folders, whose names may change, what was read from them."""
    randomization = studio.config.randomization
    return asdict(randomization) | {
        "environments": _hash_files(randomization.environments),
        "photographs": _hash_pictures(studio.photographs),
        "textures": _hash_pictures(studio.textures),
    }


def _hash_files(folder: Path | None) -> str | None:
    """Of the names and contents of a folder's files, in order of name."""
    if folder is None:
        return None
    digest = hashlib.sha256()
    try:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.name}\0{content}\0".encode())
    except OSError as error:
        raise ConfigError(
            f"environments: {error.filename} cannot be read: {error.strerror}"
        ) from None
    return digest.hexdigest()


def _hash_pictures(pictures: Sequence[NDArray[np.uint8]]) -> str | None:
    if not len(pictures):
        return None
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.shape}\0".encode() + picture.tobytes())
    return digest.hexdigest()


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
            at_once = BATCH_SIZE if self._config.frames is None else FRAMES_AT_ONCE
            for first in range(start, stop, at_once):
                rows += self._make_batch(scene, shard, first, min(first + at_once, stop), seconds)
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
            labels = label_crops(crops, studio.renderer, studio.models)
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
    if studio.config.frames is not None:
        return ()
    window = studio.config.window
    return tuple(
        f"{model.name} is {model.diameter:.0f} mm across and a crop shows {window:.0f} mm: "
        f"give --window {10 * math.ceil(0.11 * model.diameter)} to see it whole"
        for model in studio.models
        if model.diameter > 2 * window
    )


def _dataset_camera(config: RunConfig) -> tuple[NDArray[np.float64], int, int]:
    """K, width and height for `camera.json`; crops have a K each, in `scene_camera.json`."""
    if config.frame_plan is not None:
        return config.frame_plan.camera_matrix, config.frame_plan.width, config.frame_plan.height
    nearest, farthest = config.plan.distance
    focal = config.size * (nearest + farthest) / 2 / config.window
    middle = config.size / 2
    camera = np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]])
    return camera, config.size, config.size
