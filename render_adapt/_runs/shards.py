"""A shard's way: plan, render, adapt, label, write, commit."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cad_models import CadModel
from render_adapt._config import RunConfig
from render_adapt._exceptions import DatasetError
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._files import writing
from render_adapt._formats.index import Provenance
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.registry import make_writers
from render_adapt._runs.description import describe_run
from render_adapt._runs.labelled_shard import LabelledShard
from render_adapt._runs.layout import ShardLayout
from render_adapt._runs.manifest import made_as, refuse_other_run, shard_range
from render_adapt._runs.run_folder import CONTINUE, RunFolder
from render_adapt._runs.shard_entry import ShardEntry
from render_adapt._runs.studio import Studio
from renderer import ENGINES, CropBatch

AT_ONCE_OF_SLOW = 16
"""Pictures in memory at once, with an engine so slow that whoever waits wants to see it go on."""


@dataclass(frozen=True)
class ShardResult:
    """A committed shard and the time that its stages took."""

    entry: ShardEntry
    stage_seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    """What is worth knowing of how it was made, a sentence each."""


@dataclass
class ShardTally:
    """What it took to make a shard."""

    seconds: dict[str, float]
    """Of its stages: render, adapt, write."""
    redrawn: int = 0
    dropped: int = 0


class ShardMaker:
    """Makes shards of a run and commits them; one per worker process.

    Args:
        config: the run's.
        run: what `describe_run` said of it as it began.
        folder: the run's, held by its lock.
        studio: the run's, where it can be shared; else it is loaded here.
        models: the run's objects, where they need not be read.
        on_crops: called with the number of each shard's crops that are made, time and again.

    Raises:
        DatasetError: a mesh, a picture, the adapter or a library is not what it was as the run
            began.
    """

    def __init__(
        self,
        config: RunConfig,
        run: dict[str, Any],
        folder: RunFolder,
        studio: Studio | None = None,
        on_crops: Callable[[int], None] | None = None,
        models: Sequence[CadModel] | None = None,
    ) -> None:
        self._config = config
        self._on_crops = on_crops
        self._folder = folder
        self._run = run
        if studio is None:
            studio = Studio(config, models)
            # Also a worker that starts late, in place of one that died, must make the same crops.
            described = describe_run(studio)
            refuse_other_run(run, described, config.out)
            _refuse_other_versions(run["versions"], described["versions"])
        self._studio = studio

    def __call__(self, shard: int) -> ShardResult:
        """Make and commit one shard."""
        start, stop = shard_range(shard, self._run)
        with writing(self._config.out, CONTINUE):
            prepared = self._folder.begin_shard(shard)
            tally = self.write(prepared, shard, start, stop)
            with _timed(tally.seconds, "write"):
                entry = self._folder.commit_shard(
                    prepared, shard, start, stop, tally.redrawn, tally.dropped
                )
        return ShardResult(entry, tally.seconds, self._studio.notes)

    def write(self, prepared: PreparedShard, shard: int, start: int, stop: int) -> ShardTally:
        """Write crops `start` to `stop` of a shard, but for the dropped."""
        tally = ShardTally({"render": 0.0, "adapt": 0.0, "write": 0.0})
        layout = ShardLayout.of_run(self._run)
        of_split = layout.shard(shard)
        writers = make_writers(
            self._config.format, prepared, of_split, self._studio.models, self._config.pixel_centre,
            self._config.rgb,
        )  # fmt: skip
        provenance = Provenance.of_run(made_as(shard, self._run))
        labelled = LabelledShard(
            prepared, shard, self._studio.models, self._studio.renderer, writers, provenance,
            self._config.pixel_centre,
            split=of_split.split if self._config.splits else None,
        )  # fmt: skip
        for last, adapted in self._adapted(start, stop, tally):
            tally.redrawn += adapted.redrawn
            tally.dropped += adapted.dropped
            with _timed(tally.seconds, "write"):
                labelled.add(adapted)
            if self._on_crops:
                self._on_crops(last - start)
        with _timed(tally.seconds, "write"):
            labelled.close()
        return tally

    def _adapted(
        self, start: int, stop: int, tally: ShardTally
    ) -> Iterator[tuple[int, FaithfulCrops]]:
        """Batches, each with the crop after its last; while one is adapted the next is rendered."""

        def adapt(renders: CropBatch) -> FaithfulCrops:
            with _timed(tally.seconds, "adapt"):
                return self._studio.adapt(renders)

        at_once = self._studio.planner.at_once
        if ENGINES[self._config.renderer].slow:
            at_once = min(at_once, AT_ONCE_OF_SLOW)
        waiting: tuple[int, Future[FaithfulCrops]] | None = None
        with ThreadPoolExecutor(1) as thread:
            for first in range(start, stop, at_once):
                last = min(first + at_once, stop)
                with _timed(tally.seconds, "render"):
                    renders = self._studio.render(first, last)
                ahead = last, thread.submit(adapt, renders)
                if waiting:
                    yield waiting[0], waiting[1].result()
                waiting = ahead
            if waiting:
                yield waiting[0], waiting[1].result()


def _refuse_other_versions(of_run: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse to make shards on a machine of a cluster whose libraries may round otherwise."""
    other = [
        f"{name} {here[name]}, not {of_run[name]}" for name in here if here[name] != of_run[name]
    ]
    if other:
        raise DatasetError(
            f"{platform.node()} has {', '.join(other)} as where the run began: install the same "
            "versions on all machines of the cluster"
        )


@contextlib.contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Adds the time that a block takes to a stage's total."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] += time.perf_counter() - started
