"""What a run would make, how much room it takes and how long, before it begins."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from render_adapt._config import RunConfig
from render_adapt._exceptions import DatasetError
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._runs.description import describe_run, planned_layout
from render_adapt._runs.layout import ShardLayout
from render_adapt._runs.manifest import read_manifest
from render_adapt._runs.run_folder import RunFolder
from render_adapt._runs.shard_entry import present_shards
from render_adapt._runs.shards import ShardMaker
from render_adapt._runs.studio import Studio
from render_adapt._stores.address import StoreAddress
from renderer import ENGINES

_BLOCK = 4096
"""Bytes that a file system gives out at once."""
_FEW = 64
_FEW_OF_SLOW = 2
"""Pictures that are made to measure, in one batch; of an engine that takes seconds for each."""


@dataclass(frozen=True)
class Estimate:
    """What a run would make; sizes and times are those of its first crops, times their number."""

    crops: int
    """Crops, or frames, that the run has."""
    shards: int
    crops_left: int
    """Of these, those of shards that are not there already."""
    bytes: int
    """On disk, of those that are left."""
    free_bytes: int | None
    """On the disk of the folder; None where that is an object store."""
    seconds: float
    """With the run's workers, of those that are left."""
    measured: int
    """How many crops were made to find that out."""


def estimate(config: RunConfig) -> Estimate:
    """Find out what a run would make by making a few of its crops, which are thrown away.

    Args:
        config: the run's. Nothing is written to its folder.

    Raises:
        RenderAdaptError: as for `generate`, of what can be known before a run begins.
    """
    return estimate_of(Studio(config))


def estimate_of(studio: Studio) -> Estimate:
    """As `estimate`, of a run that is loaded already."""
    config, left = studio.config, _crops_left(studio.config)
    few = min(config.n, _FEW_OF_SLOW if ENGINES[config.renderer].slow else _FEW)
    few = min(few, studio.planner.at_once)
    seconds, size = _measure(studio, few)
    workers = max(1, min(config.workers, -(-left // config.shard_size)))
    return Estimate(
        crops=config.n,
        shards=planned_layout(config).count,
        crops_left=left,
        bytes=round(size / few * left),
        free_bytes=free_bytes(config.out),
        seconds=seconds / few * left / workers,
        measured=few,
    )


def refuse_without_room(studio: Studio) -> None:
    """Refuse a run that the disk of its folder has no room for.

    Raises:
        DatasetError: it has none.
    """
    config = studio.config
    free = free_bytes(config.out)
    if free is None or _crops_left(config) * _most_bytes(studio) <= free:
        return
    found = estimate_of(studio)
    if found.bytes > free:
        raise DatasetError(
            f"`n` {config.n} needs about {size_text(found.bytes)} in {config.out}, and "
            f"{size_text(free)} are free there: give fewer, or `out` on a disk with more room"
        )


def free_bytes(folder: Path | StoreAddress) -> int | None:
    """Room on the disk that a folder is on, or will be; None of an object store."""
    if isinstance(folder, StoreAddress):
        return None
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError as error:
        raise DatasetError(
            f"{place} cannot be looked at ({error.strerror}): give `out` another folder"
        ) from None


def size_text(count: float) -> str:
    """Bytes as people say them: `16 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} TB" if count >= 100 else f"{count:.3g} TB"


def _crops_left(config: RunConfig) -> int:
    if isinstance(config.out, StoreAddress):
        return config.n
    try:
        layout = ShardLayout.of_run(read_manifest(config.out))
    except (DatasetError, ValueError):
        # Whether the folder can be worked in is for the run to say.
        return config.n
    present = present_shards(config.out / "shards", ".json", layout.numbers)
    ranges = (layout.range_of(shard) for shard in present)
    return max(0, config.n - sum(stop - start for start, stop in ranges))


def _most_bytes(studio: Studio) -> int:
    """More than a crop takes on disk: its pictures as they are in memory, and whole blocks."""
    _, width, height = studio.planner.camera
    objects = studio.planner.most_objects(studio.config.randomization)
    pixels = width * height
    of_one = 6 * pixels + objects * (2 * pixels + 4 * _BLOCK) + 8 * _BLOCK
    return of_one * len(studio.config.format)


def _measure(studio: Studio, few: int) -> tuple[float, int]:
    """Seconds and bytes on disk of a run's first crops."""
    config = studio.config
    maker = ShardMaker(config, describe_run(studio), RunFolder(Path()), studio)
    with tempfile.TemporaryDirectory() as folder:
        # What is compiled and loaded once is not each crop's.
        for name, count in (("first", 1), ("few", few)):
            prepared = PreparedShard(Path(folder) / name)
            prepared.path.mkdir()
            started = time.perf_counter()
            maker.write(prepared, config.first_scene, 0, count)
            seconds = time.perf_counter() - started
        files = [Path(at) / file for at, _, names in os.walk(prepared.path) for file in names]
        size = sum(-(-os.stat(file).st_size // _BLOCK) * _BLOCK for file in files)
    return seconds, size
