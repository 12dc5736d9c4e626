"""What each stage of a run takes, one after the other in this process."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from render_adapt import RunConfig
from render_adapt._coupling import adapt_crops
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._formats.index import Provenance, index_file, index_rows
from render_adapt._formats.labels import label_crops
from render_adapt._formats.registry import make_writers
from render_adapt._runs.description import describe_run
from render_adapt._runs.layout import ShardLayout
from render_adapt._runs.run_folder import RunFolder
from render_adapt._runs.studio import Studio
from renderer import CropBatch, capture

STAGES = ("plan", "render", "captures", "adapt", "judge", "label", "write")


def measure_stages(config: RunConfig) -> dict[str, float]:
    """Seconds a crop of each of `STAGES`, the median over shards, in this process alone.

    Args:
        config: a run of crops; where it is written says nothing, since all is thrown away.
    """
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock(replace(config, out=Path(folder) / "run", workers=1))
        shards = [clock.shard(number) for number in clock.layout.numbers]
    return {
        stage: statistics.median(shard[stage] for shard in shards)
        for stage in STAGES
        if stage in shards[0]
    }


class _Clock:
    """Makes shards as `render_adapt` does, but stage by stage."""

    def __init__(self, config: RunConfig) -> None:
        self.studio = Studio(config)
        self.config = self.studio.config
        self._run = describe_run(self.studio)
        self.layout = ShardLayout.of_run(self._run)
        self._folder = RunFolder(Path(str(config.out)))
        self._folder.open(self._run)
        self._seconds: dict[str, float] = {}
        self._make(0, 1)  # what is compiled and loaded once is no crop's

    def shard(self, number: int) -> dict[str, float]:
        """Seconds a crop of each stage."""
        shard = self.layout.shard(number)
        start, stop = self.layout.range_of(number)
        self._seconds = {}
        with self._timed("write"):
            prepared = self._folder.begin_shard(number)
            writers = make_writers(
                self.config.format, prepared, shard, self.studio.models,
                self.config.pixel_centre, self.config.rgb,
            )  # fmt: skip
        rows: list[dict[str, Any]] = []
        provenance = Provenance.of_run(self._run)
        at_once = self.studio.planner.at_once
        for first in range(start, stop, at_once):
            made = self._make(first, min(first + at_once, stop))
            with self._timed("label"):
                labels = label_crops(made.crops, self.studio.renderer, self.studio.models)
            with self._timed("write"):
                for writer in writers:
                    writer.add(made.crops, labels)
                rows += index_rows(
                    made.crops, labels, self.studio.models, provenance, made.scores, made.attempt,
                    shard=number, first_image=len(rows), pixel_centre=self.config.pixel_centre,
                    split=shard.split if self.config.splits else None,
                )  # fmt: skip
        with self._timed("write"):
            for writer in writers:
                writer.close()
            (prepared.path / "index").mkdir()
            prepared.write(f"index/{number:06d}.parquet", index_file(rows))
            self._folder.commit_shard(prepared, number, start, stop)
        return {stage: seconds / (stop - start) for stage, seconds in self._seconds.items()}

    def _make(self, first: int, last: int) -> FaithfulCrops:
        studio, config = self.studio, self.config
        with self._timed("plan"):
            plans = studio.planner.plans(
                studio.models, config.seed, first, last, config.randomization, len(studio.textures)
            )
        with self._timed("render"):
            renders = studio.renderer.render(plans)
        with self._timed("captures"):
            renders = capture(
                renders, config.randomization, config.seed, studio.models, studio.photographs
            )
        return self._adapted(renders)

    def _adapted(self, renders: CropBatch) -> FaithfulCrops:
        studio, config = self.studio, self.config
        if studio.adapter is None or studio.judge is None:
            return FaithfulCrops.of_renders(renders)
        window = studio.planner.window
        assert window is not None
        with self._timed("adapt"):
            crops = adapt_crops(renders, studio.adapter, config.seed, window)
        with self._timed("judge"):
            scores = studio.judge.score(crops, renders)
        return replace(FaithfulCrops.of_renders(crops), scores=scores)

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - started
