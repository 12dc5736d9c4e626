"""A run from its command to its dataset: shards that are made side by side and committed whole."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cad_models import CadModel
from checked_settings import SettingError
from render_adapt._config import RunConfig
from render_adapt._exceptions import WorkerError
from render_adapt._files import writing
from render_adapt._formats.bop_scenes import write_dataset_files
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.registry import finish_dataset
from render_adapt._runs.description import describe_run
from render_adapt._runs.estimate import refuse_without_room
from render_adapt._runs.executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._runs.layout import DatasetLayout, ShardLayout
from render_adapt._runs.manifest import (
    MANIFEST,
    as_it_grew,
    read_manifest,
    refuse_changed_manifest,
    refuse_other_run,
    shard_range,
)
from render_adapt._runs.parcels import Parcel, ParcelMaker, commit_parcel
from render_adapt._runs.ray_executor import RayExecutor
from render_adapt._runs.run_folder import CONTINUE, RunFolder
from render_adapt._runs.shard_entry import ShardEntry
from render_adapt._runs.shards import ShardMaker, ShardResult
from render_adapt._runs.stored import StoredRun
from render_adapt._runs.studio import Studio
from render_adapt._stores.address import StoreAddress
from render_adapt._verdict.words import note_of

SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class RunSummary:
    """What a run did."""

    folder: Path | StoreAddress
    """Where it is."""
    crops: int
    """Crops in the dataset: those asked for, but for the dropped."""
    redrawn: int
    """Of these, adapted with another noise vector than their first."""
    dropped: int
    """Left out as not faithful enough (`RunConfig.min_fidelity`)."""
    crops_made: int
    """Crops made by this call; the others were there already."""
    seconds: float
    bytes: int
    sha256: str
    """Of the whole dataset: that of `dataset.sha256`, which lists the hashes of all else."""
    contact_sheet: Path | StoreAddress
    stage_seconds: dict[str, float]
    """Time in each stage, summed over workers: render, adapt, write."""
    notes: tuple[str, ...]
    """What the user may want to know, a sentence each."""


def generate(
    config: RunConfig, on_progress: Callable[[int, int], None] | None = None
) -> RunSummary:
    """Make a labelled dataset.

    The same command in the same folder continues a run; every shard is whole or absent. A worker
    that dies is replaced, and its shard begun anew.

    Args:
        config: what to make.
        on_progress: called with (crops done, crops in all) at the start and after each shard; with
            one worker, after each batch.

    Raises:
        RenderAdaptError: one sentence that says why; nothing half-written counts as finished.
    """
    return make_dataset(config, on_progress)


def make_dataset(
    config: RunConfig,
    on_progress: Callable[[int, int], None] | None = None,
    remade: Collection[int] = (),
    models: Sequence[CadModel] | None = None,
) -> RunSummary:
    """As `generate`; the shards `remade` are made anew even where they seem to be there, and with
    these models, where some are given, in place of those that the settings name."""
    started = time.perf_counter()
    studio = Studio(config, models)
    config = studio.config
    run = describe_run(studio)
    refuse_without_room(studio)
    with contextlib.closing(run_folder(config.out)) as folder:
        # A run that goes on has the versions of its beginning there, and is made with these.
        run = {**folder.open(run, grows=True), "versions": run["versions"]}
        began = read_manifest(folder.path)
        with writing(config.out, CONTINUE):
            shared = write_dataset_files(
                folder.path, studio.models, *studio.planner.camera, config.pixel_centre
            )
        sound, lost = folder.sound(run)
        finished = {shard: entry for shard, entry in sound.items() if shard not in remade}
        results = []
        crops_done = sum(_crops(entry) for entry in finished.values())
        if on_progress:
            on_progress(crops_done, config.n)
        layout = DatasetLayout.of(run)
        todo = [shard for shard in layout.numbers if shard not in finished]

        def show_batch(of_shard: int) -> None:
            if on_progress:
                on_progress(crops_done + of_shard, config.n)

        coming = _make_shards(config, run, folder, studio, models, todo, show_batch)
        with contextlib.closing(coming) as made:
            for result in made:
                results.append(result)
                crops_done += _crops(result.entry)
                if on_progress:
                    on_progress(crops_done, config.n)
        entries = [*finished.values(), *(result.entry for result in results)]
        folder.gather_index(entries)
        with writing(config.out, CONTINUE):
            shared += finish_dataset(
                folder.path,
                config.format,
                {layout.shard(entry.shard): entry.crops for entry in entries},
            )
            studio.write_contact_sheet(folder.path / SHEET)
            sha256 = folder.finish(entries, [*shared, SHEET])
    return RunSummary(
        folder=config.out,
        crops=sum(entry.crops for entry in entries),
        redrawn=sum(entry.redrawn for entry in entries),
        dropped=sum(entry.dropped for entry in entries),
        crops_made=sum(result.entry.crops for result in results),
        seconds=time.perf_counter() - started,
        bytes=sum(entry.bytes for entry in entries),
        sha256=sha256,
        contact_sheet=config.out / SHEET,
        stage_seconds=_total_stages(results),
        notes=(
            *run_notes(studio),
            *sorted({note for result in results for note in result.notes}),
            *_lost_shards(0 if remade else lost),
            *_other_versions(began, run),
        ),
    )


def run_folder(out: Path | StoreAddress) -> RunFolder:
    """What holds a run's files at the place where they are to be."""
    return StoredRun(out) if isinstance(out, StoreAddress) else RunFolder(out)


def make_only(config: RunConfig, index: int, models: Sequence[CadModel] | None = None) -> Path:
    """Make one crop of a run alone, in this process, and leave the run's own folder as it is.

    The crop has the bytes that it has in the run; its files have the numbers of a shard's first.

    Args:
        config: the run's.
        index: the crop's number in the run.
        models: the run's objects, where they need not be read.

    Returns:
        The folder that it was written to, with a contact sheet: beside the run's, or in this one
        where that is in an object store.

    Raises:
        SettingError: the run has no such crop.
        DatasetError: the run's folder holds another run, or its manifest was changed.
    """
    if not 0 <= index < config.n:
        raise SettingError(f"`only` is {index}: this run has crops 0 to {config.n - 1}")
    studio = Studio(config, models)
    config = studio.config
    run = describe_run(studio)
    beside = Path(config.out.name) if isinstance(config.out, StoreAddress) else config.out
    if beside is config.out and (beside / MANIFEST).exists():
        refuse_changed_manifest(beside)
        present = read_manifest(beside)
        refuse_other_run(present, run, beside)
        run = {**as_it_grew(run, present)}
    folder = RunFolder(beside.with_name(f"{beside.name}-only-{index}"))
    with writing(folder.path, "make room for it beside the dataset"):
        folder.path.mkdir(parents=True, exist_ok=True)
        shard = ShardLayout.of_run(run).shard_of(index)
        prepared = folder.begin_shard(shard)
        ShardMaker(config, run, folder, studio).write(prepared, shard, index, index + 1)
        folder.place(prepared.path)
        studio.write_contact_sheet(folder.path / SHEET, index, index + 1)
    return folder.path


def _make_shards(
    config: RunConfig,
    run: dict[str, Any],
    folder: RunFolder,
    studio: Studio,
    models: Sequence[CadModel] | None,
    shards: Sequence[int],
    on_crops: Callable[[int], None],
) -> Generator[ShardResult, None, None]:
    with contextlib.closing(
        _results(config, run, folder, studio, models, shards, on_crops)
    ) as results:
        try:
            yield from results
        except WorkerError as error:
            if error.shard is None:
                raise
            raise _blame(config, run, models, error.shard, str(error)) from None


def _results(
    config: RunConfig,
    run: dict[str, Any],
    folder: RunFolder,
    studio: Studio,
    models: Sequence[CadModel] | None,
    shards: Sequence[int],
    on_crops: Callable[[int], None],
) -> Generator[ShardResult, None, None]:
    """Committed shards, made by whoever the settings say."""
    if config.executor == "ray" and shards:
        return _results_of_cluster(config, run, folder, studio, shards)
    executor: Executor[ShardResult]
    if min(config.workers, len(shards)) > 1:
        executor = ProcessExecutor(min(config.workers, len(shards)))
        make_worker = functools.partial(ShardMaker, config, run, folder, models=models)
    else:
        executor = SerialExecutor()
        make_worker = functools.partial(ShardMaker, config, run, folder, studio, on_crops)
    return executor.map(make_worker, shards)


def _results_of_cluster(
    config: RunConfig,
    run: dict[str, Any],
    folder: RunFolder,
    studio: Studio,
    shards: Sequence[int],
) -> Generator[ShardResult, None, None]:
    """Actors upload into a store by themselves; for a folder they send what they made here."""
    models = studio.models
    if isinstance(folder, StoredRun):
        make_uploader = functools.partial(ShardMaker, config, run, folder, models=models)
        yield from RayExecutor[ShardResult](config.address).map(make_uploader, shards)
        return
    make_parcels = functools.partial(ParcelMaker, config, run, models)
    made = RayExecutor[Parcel](config.address).map(make_parcels, shards)
    with contextlib.closing(made) as parcels:
        for parcel in parcels:
            yield commit_parcel(parcel, config, run, folder)


def _blame(
    config: RunConfig,
    run: dict[str, Any],
    models: Sequence[CadModel] | None,
    shard: int,
    message: str,
) -> WorkerError:
    """Find the crop that ends the workers: make each of a shard's alone, and see what dies."""
    start, stop = shard_range(shard, run)
    trial = functools.partial(_CropTrial, config, run, models)
    try:
        for _ in ProcessExecutor[None](1, attempts=1).map(trial, range(start, stop)):
            pass
    except WorkerError as error:
        if error.shard is None:
            return error
        return WorkerError(
            f"crop {error.shard} (seed {config.seed}) ends the process that makes it, each time: "
            f"make it alone with render-adapt --out {config.out} --only {error.shard}; what is "
            "finished is kept",
            error.shard,
        )
    return WorkerError(
        f"{message}; each of its crops {start} to {stop - 1} (seed {config.seed}) can be made "
        "alone, so that memory may have run out: give fewer `workers`",
        shard,
    )


class _CropTrial:
    """Makes crops of a run one by one, for nothing."""

    def __init__(
        self, config: RunConfig, run: dict[str, Any], models: Sequence[CadModel] | None
    ) -> None:
        self._maker = ShardMaker(config, run, run_folder(config.out), models=models)
        self._layout = ShardLayout.of_run(run)

    def __call__(self, index: int) -> None:
        shard = self._layout.shard_of(index)
        with tempfile.TemporaryDirectory() as folder:
            self._maker.write(PreparedShard(Path(folder)), shard, index, index + 1)


def _crops(entry: ShardEntry) -> int:
    return entry.stop - entry.start


def _total_stages(results: Sequence[ShardResult]) -> dict[str, float]:
    stages = ("render", "adapt", "write")
    return {stage: sum(result.stage_seconds[stage] for result in results) for stage in stages}


def run_notes(studio: Studio) -> tuple[str, ...]:
    """What is worth knowing of a run before it begins, a sentence each."""
    notes = [note for model in studio.models for note in model.notes]
    notes += _too_few_objects(studio)
    info = None if studio.adapter is None else studio.adapter.info
    verdict = None if info is None else note_of(info, studio.config.adapter)
    cut = None if info is None else info.cut
    planned = studio.planner.notes(studio.models, cut)
    return (*([] if verdict is None else [verdict]), *notes, *planned)


def _lost_shards(lost: int) -> tuple[str, ...]:
    """A note where shards had to be made a second time."""
    if not lost:
        return ()
    return (
        f"of {lost} shard{'s' if lost > 1 else ''} that had been finished something was gone or "
        "not as it was written: made again",
    )


def _too_few_objects(studio: Studio) -> tuple[str, ...]:
    """A note where there are too few objects for each to show but once."""
    planner, object_count = studio.planner, len(studio.models)
    most = planner.most_objects(studio.config.randomization)
    if studio.config.repeat_objects or most <= object_count:
        return ()
    return (
        f"a {planner.what} shows up to {most} objects and the run has {object_count}, so that some "
        "show more than once, which readers that expect one of each may not take: name more, or "
        "let fewer show",
    )


def _other_versions(began: Mapping[str, Any], run: Mapping[str, Any]) -> tuple[str, ...]:
    """A note where a run goes on with other libraries than it began with."""
    begun_with, versions = began["versions"], run["versions"]
    changed = [
        f"{name} {begun_with.get(name)}"
        for name in versions
        if versions[name] != begun_with.get(name)
    ]
    if not changed:
        return ()
    return (
        f"this run began with {', '.join(changed)}, and other versions may round otherwise: its "
        "bytes need not be those of a run with one version alone",
    )
