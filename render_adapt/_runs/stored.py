"""A run in an object store: its shards are made in a folder here, and uploaded.

The objects are those files that a run's folder has, under the same names, and `aws s3 sync` makes
that folder of them. A shard's entry goes first where it is made anew, and comes last: it counts
while all that it lists is there. What is here is one shard for each worker, the index, the lists of
shards, and what is of no shard.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT, writing
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._runs.layout import DatasetLayout
from render_adapt._runs.manifest import (
    LISTING,
    MANIFEST,
    MOST_MANIFEST,
    as_it_grew,
    manifest_text,
    read_manifest,
    refuse_changed_manifest,
    refuse_other_run,
)
from render_adapt._runs.run_folder import CONTINUE, INCOMPLETE, NOTE, RunFolder, enter_shard, held
from render_adapt._runs.shard_entry import ShardEntry, entry_of, index_of, is_part, parts_of
from render_adapt._stores.address import StoreAddress, named_after
from render_adapt._stores.store import Store
from safe_files import write_file

_LISTED_AT_ONCE = 16
"""Shards; an answer takes much longer than what there is to do with it."""


class StoredRun(RunFolder):
    """A dataset in an object store.

    Stores have no locks. Two runs with the same settings make the same objects, whoever comes last;
    of two with other settings the second is refused.

    Args:
        address: where it is to be.
    """

    def __init__(self, address: StoreAddress) -> None:
        super().__init__(Path())
        self.address = address
        self._store = Store(address, CONTINUE)

    def open(self, run: Mapping[str, Any], grows: bool = False) -> Mapping[str, Any]:
        """Start a run there, or continue it; none grows there.

        Raises:
            DatasetError: another run or other objects are there, its manifest is not what was
                written, or the store cannot be read or written.
        """
        with writing(tempfile.gettempdir(), "make room there, or set TMPDIR to another folder"):
            self.path = Path(tempfile.mkdtemp(prefix="render-adapt-"))
        held.add(self)
        text = self._store.read(MANIFEST, MOST_MANIFEST)
        if text is None:
            self._refuse_other_objects()
            written = manifest_text(run)
            if self._store.create(MANIFEST, written):
                text = written.encode()
            else:
                text = self._store.read(MANIFEST, MOST_MANIFEST) or b""
        listing = self._store.read(LISTING, MOST_TEXT)
        with named_after(self.address, self.path):
            write_file(self.path / MANIFEST, text)
            if listing is not None:
                write_file(self.path / LISTING, listing)
            present = read_manifest(self.path)
            refuse_other_run(present, run, self.path)
            refuse_changed_manifest(self.path)
        self._store.write(INCOMPLETE, NOTE)
        return as_it_grew(run, present)

    def sound(self, run: Mapping[str, Any]) -> tuple[dict[int, ShardEntry], int]:
        """Entries of the shards that are done, and how many more were done once."""
        numbers = DatasetLayout.of(run).numbers
        names = [*self._store.level("shards"), *self._store.level("index")]
        self._store.download((name for name in names if is_part(name, numbers)), self.path)
        return super().sound(run)

    def _each(
        self, look: Callable[[int], ShardEntry | None], shards: Iterable[int]
    ) -> Iterable[ShardEntry | None]:
        with ThreadPoolExecutor(_LISTED_AT_ONCE) as threads:
            return list(threads.map(look, shards))

    def _sizes(self, shard: int, names: Iterable[str]) -> list[int]:
        there = self._sizes_of(shard)
        return [there[name] for name in names if name in there]

    def _sizes_of(self, shard: int) -> dict[str, int]:
        """Of a shard's objects, whatever formats it has."""
        sizes: dict[str, int] = {}
        for part in parts_of(shard):
            sizes |= self._store.sizes(part)
        return sizes

    def begin_shard(self, shard: int) -> PreparedShard:
        """An empty folder to prepare a shard in."""
        # On another machine of a cluster, the run's own folder is not there.
        beside = self.path if self.path != Path() and self.path.is_dir() else None
        return PreparedShard(Path(tempfile.mkdtemp(prefix=f".shard-{shard:06d}-", dir=beside)))

    def commit_shard(
        self,
        prepared: PreparedShard,
        shard: int,
        start: int,
        stop: int,
        redrawn: int = 0,
        dropped: int = 0,
    ) -> ShardEntry:
        """Upload a prepared shard; it counts only once its entry is there.

        Raises:
            DatasetError: what lies in the folder is not what was written, or cannot be uploaded.
        """
        entry = enter_shard(prepared, shard, start, stop, redrawn, dropped)
        name = entry_of(Path(), shard).as_posix()
        files = [path for path in prepared.path.rglob("*") if path.is_file()]
        names = {path.relative_to(prepared.path).as_posix() for path in files} - {name}
        there = self._sizes_of(shard)
        # While some objects are of the shard before and some of this one, neither may count.
        self._store.remove({name} & there.keys())
        self._store.remove(there.keys() - names - {name})
        self._store.upload(prepared.path, sorted(names))
        self._store.upload(prepared.path, [name])
        shutil.rmtree(prepared.path)
        return entry

    def gather_index(self, entries: Iterable[ShardEntry]) -> None:
        """Have the rows of the index here that were made elsewhere, and the formats' folders."""
        for part in parts_of(0):
            (self.path / part).parent.mkdir(parents=True, exist_ok=True)
        names = [index_of(Path(), entry.shard) for entry in entries]
        missing = [name.as_posix() for name in names if not (self.path / name).exists()]
        self._store.download(missing, self.path)

    def finish(self, entries: Iterable[ShardEntry], shared: Iterable[str]) -> str:
        """Mark the dataset as complete, and return its hash; arguments as of `RunFolder`'s."""
        shared = list(shared)
        listing = self.hash_list(entries, shared)
        self._store.upload(self.path, shared)
        self._store.write(LISTING, listing)
        self._store.remove([INCOMPLETE])
        return hashlib.sha256(listing.encode()).hexdigest()

    def close(self) -> None:
        """Remove what is here of the run. All workers must have ended."""
        held.discard(self)
        self._sweep()

    def _sweep(self) -> None:
        if self.path != Path():
            shutil.rmtree(self.path, ignore_errors=True)

    def _refuse_other_objects(self) -> None:
        if self._store.level().keys() - {INCOMPLETE}:
            raise DatasetError(
                f"{self.address} holds objects that are not a render-adapt run: give `out` an "
                "address with nothing below it"
            )
