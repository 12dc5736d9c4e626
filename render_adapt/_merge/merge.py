"""Finished datasets into one: scenes and objects renumbered, all else carried over."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from checked_settings import SettingError, WrongValue
from render_adapt._config import MOST_FIRST_SCENE, SHARD_SIZE
from render_adapt._exceptions import DatasetError
from render_adapt._existing.folder import refuse_overlap
from render_adapt._files import MOST_TEXT, writing
from render_adapt._formats.bop_scenes import write_model_files
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.index import carried_rows, index_file
from render_adapt._formats.parquet.columns import read_columns
from render_adapt._formats.registry import finish_dataset, formats
from render_adapt._formats.shard import Shard
from render_adapt._formats.written import MERGED
from render_adapt._merge.fitting import chosen_formats, refuse_misfits, refuse_the_same_crops
from render_adapt._merge.objects import MergedObjects, merge_objects
from render_adapt._merge.source import CAMERA, Source
from render_adapt._own_packages import refuse_own_name
from render_adapt._runs.layout import FIRST_SCENE, DatasetLayout
from render_adapt._runs.manifest import config_hash
from render_adapt._runs.run_folder import CONTINUE, RunFolder
from render_adapt._runs.shard_entry import ShardEntry, index_of
from safe_files import read_file, write_file


@dataclass(frozen=True)
class MergeSummary:
    """What was merged."""

    folder: Path
    crops: int
    """In the dataset."""
    by_object: dict[str, int]
    """Crops around each object."""
    sha256: str
    """Of the whole dataset: that of `dataset.sha256`."""
    notes: tuple[str, ...]
    """What the user may want to know, a sentence each."""


def merge(
    datasets: Sequence[Path | str],
    out: Path | str,
    first_scene: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> MergeSummary:
    """Make one dataset of several finished ones, which stay as they are.

    Scenes are numbered through in the order of the datasets. An object that several have is one,
    with the number that it has in the first; where different objects have one number, the later
    one's becomes another in all files. Pictures, masks, poses, K and what the index says of where
    crops came from are carried over; the formats are those that all have. The same call continues.

    Args:
        datasets: their folders, two or more; also merged ones.
        out: the folder of what is made.
        first_scene: the number of its first BOP scene.
        on_progress: called with (crops done, crops in all) at the start and after each shard.

    Raises:
        RenderAdaptError: one sentence that says why; nothing half-written counts as finished.
    """
    folders, place = list(map(Path, datasets)), Path(out)
    refuse_own_name("out", place)
    if len(folders) < 2:
        raise SettingError("one dataset alone is nothing to merge: name two or more")
    for dataset in folders:
        refuse_overlap(dataset, place)
    sources = list(map(Source.of, folders))
    refuse_misfits(sources)
    refuse_the_same_crops(sources)
    objects = merge_objects(sources)
    names, notes = chosen_formats(sources)
    if not 0 <= first_scene <= MOST_FIRST_SCENE:
        raise WrongValue("first_scene", first_scene, f"0 to {MOST_FIRST_SCENE}")
    run = _describe(sources, objects, names, first_scene)
    work = _Work(sources, objects, names, place)
    with contextlib.closing(RunFolder(place)) as folder:
        folder.open(run)
        sha256, crops = work.make(folder, run, on_progress or (lambda done, total: None))
    shown = [name for shard in sorted(crops) for name in _targets(place, shard.number)]
    return MergeSummary(
        folder=place, crops=len(shown),
        by_object={model.name: shown.count(model.name) for model in objects.models},
        sha256=sha256, notes=(*objects.notes, *notes),
    )  # fmt: skip


@dataclass(frozen=True)
class _Work:
    sources: Sequence[Source]
    objects: MergedObjects
    formats: Sequence[str]
    out: Path

    def make(
        self, folder: RunFolder, run: Mapping[str, Any], on_progress: Callable[[int, int], None]
    ) -> tuple[str, dict[Shard, int]]:
        """Carry over what is not there; the dataset's hash, and how many crops each shard has."""
        with writing(self.out, CONTINUE):
            shared = [CAMERA, *write_model_files(self.out, self.objects.models)]
            camera = read_file(
                self.sources[0].folder / CAMERA, most=MOST_TEXT, inside=self.sources[0].folder
            )
            write_file(self.out / CAMERA, camera)
            done, _ = folder.sound(run)
            on_progress(sum(entry.stop - entry.start for entry in done.values()), run["n"])
            layout = DatasetLayout.of(run)
            coming = [
                (place, number)
                for place, source in enumerate(self.sources)
                for number in source.layout.numbers
            ]
            for becomes, (place, number) in zip(layout.numbers, coming, strict=True):
                if becomes not in done:
                    done[becomes] = self._carry(folder, place, number, layout.shard(becomes))
                    on_progress(sum(entry.stop - entry.start for entry in done.values()), run["n"])
            crops = {layout.shard(number): entry.crops for number, entry in done.items()}
            shared += finish_dataset(self.out, self.formats, crops)
            return folder.finish(done.values(), shared), crops

    def _carry(self, folder: RunFolder, place: int, number: int, becomes: Shard) -> ShardEntry:
        """Write and commit a shard of one of the sources."""
        source, prepared = self.sources[place], folder.begin_shard(becomes.number)
        shard, entry = source.layout.shard(number), source.entries[number]
        carried = CarriedShard(
            source.folder, shard, source.hashes(number), becomes, self.objects.numberings[place],
            prepared,
        )  # fmt: skip
        try:
            for format_ in map(formats().__getitem__, self.formats):
                if isinstance(format_, MergeableFormat) and format_.entry(shard) is not None:
                    format_.carry(carried)
            self._carry_index(carried)
        except (LookupError, TypeError, ValueError, AttributeError, tarfile.TarError) as error:
            raise DatasetError(
                f"shard {number} of {source.folder} is not as render-adapt writes it "
                f"({str(error)[:200]}): leave that dataset out, or take it from a copy"
            ) from None
        return folder.commit_shard(
            prepared, becomes.number, entry.start, entry.stop, entry.redrawn, entry.dropped
        )

    def _carry_index(self, shard: CarriedShard) -> None:
        """A shard's rows of the index."""
        name = index_of(shard.dataset, shard.shard.number).relative_to(shard.dataset).as_posix()
        shard.read(name)
        columns = read_columns(shard.dataset / name, inside=shard.dataset)
        frames = any(
            source.pictures.what == "frame" and part["run"]["adapter"] is not None
            for source in self.sources
            for part in source.parts
        )
        splits = any(source.layout.has_splits for source in self.sources)
        rows = carried_rows(columns, shard, as_adapted_frames=frames, with_split=splits)
        becomes = index_of(shard.prepared.path, shard.becomes.number)
        place = becomes.relative_to(shard.prepared.path).as_posix()
        shard.write(place, index_file(rows))


def _targets(out: Path, shard: int) -> list[str]:
    """The names of the objects that a shard's crops are around."""
    columns = read_columns(index_of(out, shard), ["object"], inside=out)
    return [str(name) for name in columns["object"]]


def _describe(
    sources: Sequence[Source], objects: MergedObjects, names: Sequence[str], first_scene: int
) -> dict[str, Any]:
    """The dataset's manifest: what decides its bytes, and what its readers need."""
    decisive = {
        "format": list(names),
        MERGED: [part for source in sources for part in source.parts],
        "n": sum(source.layout.crops for source in sources),
        "objects": objects.described,
        "order": [model.name for model in objects.models],
        "version": version("render-adapt"),
        **({FIRST_SCENE: first_scene} if first_scene else {}),
    }
    decisive = json.loads(json.dumps(decisive, default=str))
    return {
        **decisive,
        "config_sha256": config_hash(decisive),
        "conventions": dict(sources[0].conventions),
        "shard_size": SHARD_SIZE,
        "shards": sum(source.layout.count for source in sources),
    }
