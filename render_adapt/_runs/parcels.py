"""Shards that are made on other machines, and sent whole to the one that has the run's folder.

So no disk need be shared, and nobody writes in the folder but the run's own process: an actor that
was thought to be dead, and is not, can do no harm there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cad_models import CadModel
from render_adapt._config import RunConfig
from render_adapt._files import MOST_BYTES, writing
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._runs.manifest import shard_range
from render_adapt._runs.run_folder import CONTINUE, RunFolder
from render_adapt._runs.shards import ShardMaker, ShardResult, ShardTally
from safe_files import read_file


@dataclass(frozen=True)
class Parcel:
    """A shard's files, in memory."""

    shard: int
    tally: ShardTally
    files: dict[str, bytes]
    """By their names in the dataset."""


class ParcelMaker:
    """Makes shards of a run, and commits none; one per actor. Arguments as of `ShardMaker`."""

    def __init__(
        self, config: RunConfig, run: dict[str, Any], models: Sequence[CadModel] | None
    ) -> None:
        self._maker = ShardMaker(config, run, RunFolder(Path()), models=models)
        self._run = run

    def __call__(self, shard: int) -> Parcel:
        """Make one shard."""
        with (
            writing(tempfile.gettempdir(), CONTINUE),
            tempfile.TemporaryDirectory(prefix="render-adapt-") as folder,
        ):
            prepared = PreparedShard(Path(folder))
            tally = self._maker.write(prepared, shard, *shard_range(shard, self._run))
            paths = [path for path in prepared.path.rglob("*") if path.is_file()]
            return Parcel(
                shard,
                tally,
                {
                    path.relative_to(prepared.path).as_posix(): read_file(path, most=MOST_BYTES)
                    for path in sorted(paths)
                },
            )


def commit_parcel(
    parcel: Parcel, config: RunConfig, run: dict[str, Any], folder: RunFolder
) -> ShardResult:
    """Write and commit a shard that was made elsewhere.

    Raises:
        DatasetError: it cannot be written.
    """
    tally, (start, stop) = parcel.tally, shard_range(parcel.shard, run)
    with writing(config.out, CONTINUE):
        prepared = folder.begin_shard(parcel.shard)
        for name, content in parcel.files.items():
            (prepared.path / name).parent.mkdir(parents=True, exist_ok=True)
            prepared.write(name, content)
        entry = folder.commit_shard(
            prepared, parcel.shard, start, stop, tally.redrawn, tally.dropped
        )
    return ShardResult(entry, tally.seconds)
