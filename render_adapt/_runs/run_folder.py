"""The run's folder: what run it belongs to, which shards are done, and how a shard is committed.

manifest.json            the run: config, seed, versions, hashes; written first, and anew only where
                         the run grows
shards/000000.json       one entry per finished shard; written last, so it means "whole"
shards/000000.sha256     a hash for each of the shard's files, for `sha256sum --check` too
train/000000/            the shard's scene
index/000000.parquet     the shard's rows of the index
dataset.sha256           a hash for every file that is not in a shard, and for the shards' own
                         lists: its own hash is that of the whole dataset
INCOMPLETE               a note to people, present until all is done, and the lock of the run
.shard-000000/           a shard in the making
.whole-000000/           a shard that is made, on its way to the places above
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT, flush_all, hash_file, listing_text, read_listing, writing
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._runs.layout import DatasetLayout
from render_adapt._runs.manifest import (
    LISTING,
    MANIFEST,
    as_it_grew,
    grown,
    is_longer,
    listed_hashes,
    manifest_text,
    read_manifest,
    refuse_changed_manifest,
    refuse_other_run,
    settings_of,
    shard_range,
)
from render_adapt._runs.shard_entry import (
    ShardEntry,
    entry_of,
    listing_of,
    parts_of,
    present_shards,
    read_entry,
)
from safe_files import (
    FolderLock,
    create_file,
    flush_folder,
    partials_of,
    read_file,
    remove_partials,
    write_file,
)

INCOMPLETE = "INCOMPLETE"
NOTE = "This run has not finished. Give the same command again to continue it.\n"
CONTINUE = "what is finished is kept: mend that and give the same command to continue"
_WHOLE = ".whole-"
held: set[RunFolder] = set()
"""Those whose locks this process holds."""


class RunFolder:
    """A dataset's folder. Whoever works in it holds its lock, from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FolderLock | None = None

    def open(self, run: Mapping[str, Any], grows: bool = False) -> Mapping[str, Any]:
        """Start a run here, or continue it.

        A run that began here and has finished no shard gives way to another.

        Args:
            run: what it is, as its manifest says it.
            grows: whether one that is here may be a shorter one, which goes on as this.

        Returns:
            Its manifest, which also says how the run grew.

        Raises:
            DatasetError: the folder holds another run or other files, its manifest is not what was
                written, another run is at work in it, or it cannot be written.
        """
        manifest = self.path / MANIFEST
        with writing(self.path, "give `out` a folder that can be written"):
            if not manifest.exists():
                self._refuse_other_files()
                self.path.mkdir(parents=True, exist_ok=True)
            elif not self._is_bare():
                self._as_here(run, grows)
            interrupted, bare = (self.path / INCOMPLETE).exists(), self._is_bare()
            self._lock = FolderLock(self.path / INCOMPLETE, self._in_use())
            held.add(self)
            if bare and manifest.exists():
                self._clear_unless_of(run)
            shorter = None
            if manifest.exists():
                refuse_changed_manifest(self.path)
                # Another run may have begun meanwhile.
                present, run = read_manifest(self.path), self._as_here(run, grows)
                shorter = present if present["n"] < run["n"] else None
            else:
                write_file(manifest, manifest_text(run))
            self._lock.write(NOTE)
            self._take_up(interrupted)
            if shorter is not None:
                self._grow(shorter, run)
        return run

    def _as_here(self, run: Mapping[str, Any], grows: bool) -> Mapping[str, Any]:
        """The manifest of a run that began here, as it is or grown.

        Raises:
            DatasetError: it is another run, or has no manifest that can be read.
        """
        present = read_manifest(self.path)
        if grows and is_longer(run, present):
            return grown(present, run["n"])
        refuse_other_run(present, run, self.path)
        return as_it_grew(run, present)

    def _grow(self, present: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Let a run be longer. What is not as its list says is taken out before the list goes."""
        sound, _ = self.sound(present)
        numbers = DatasetLayout.of(present).numbers
        for shard in present_shards(self.path / "shards", ".json", numbers):
            if shard not in sound:
                entry_of(self.path, shard).unlink()
        (self.path / LISTING).unlink(missing_ok=True)
        flush_folder(self.path)
        write_file(self.path / MANIFEST, manifest_text(run))

    def _is_bare(self) -> bool:
        """Whether a run began here and has finished nothing."""
        finished = (self.path / LISTING).exists() or any(self.path.glob("shards/*.json"))
        under_way = any(self.path.glob(f"{_WHOLE}*"))
        return (self.path / INCOMPLETE).exists() and not (finished or under_way)

    def _clear_unless_of(self, run: Mapping[str, Any]) -> None:
        """Remove what another run wrote before its first shard."""
        if settings_of(read_manifest(self.path)) == settings_of(run):
            return
        if (self.path / "models").is_dir():
            shutil.rmtree(self.path / "models")
        for name in ("camera.json", MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def sound(self, run: Mapping[str, Any]) -> tuple[dict[int, ShardEntry], int]:
        """Entries of the shards that are done, and how many more were done once.

        Of these something is gone, or of another size: they are to be made again. What has changed
        within a file is for `verify` to find.
        """
        listed = listed_hashes(self.path)
        numbers = DatasetLayout.of(run).numbers
        present = present_shards(self.path / "shards", ".json", numbers)
        entered = {f"shards/{shard:06d}.json" for shard in present}
        entered |= {name for name in listed if re.fullmatch(r"shards/\d+\.json", name)}
        entries = self._each(lambda shard: self._sound_entry(shard, run, listed), present)
        sound = {entry.shard: entry for entry in entries if entry is not None}
        return sound, len(entered) - len(sound)

    def _each(
        self, look: Callable[[int], ShardEntry | None], shards: Iterable[int]
    ) -> Iterable[ShardEntry | None]:
        return map(look, shards)

    def _sound_entry(
        self, shard: int, run: Mapping[str, Any], listed: Mapping[str, str]
    ) -> ShardEntry | None:
        with contextlib.suppress(DatasetError, OSError, ValueError):
            entry = read_entry(entry_of(self.path, shard))
            if self._is_whole(entry, run, listed):
                return entry
        return None

    def _is_whole(
        self, entry: ShardEntry, run: Mapping[str, Any], listed: Mapping[str, str]
    ) -> bool:
        listing = listing_of(self.path, entry.shard)
        text = read_file(listing, most=MOST_TEXT, inside=self.path)
        sizes = self._sizes(entry.shard, read_listing(text.decode()))
        return (
            (entry.start, entry.stop) == shard_range(entry.shard, run)
            and hashlib.sha256(text).hexdigest() == entry.sha256
            and (not listed or entry.hashes().items() <= listed.items())
            and len(sizes) == entry.files
            and sum(sizes) == entry.bytes
        )

    def _sizes(self, shard: int, names: Iterable[str]) -> list[int]:
        """Bytes of a shard's files, of those that are there."""
        files = [os.lstat(self.path / name) for name in names]
        return [file.st_size for file in files if stat.S_ISREG(file.st_mode)]

    def begin_shard(self, shard: int) -> PreparedShard:
        """An empty folder to prepare a shard in."""
        folder, whole = self.path / f".shard-{shard:06d}", self.path / f"{_WHOLE}{shard:06d}"
        if whole.exists():
            # Of a worker that died among its moves, and in whose place this one is.
            self.place(whole)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        return PreparedShard(folder)

    def commit_shard(
        self,
        prepared: PreparedShard,
        shard: int,
        start: int,
        stop: int,
        redrawn: int = 0,
        dropped: int = 0,
    ) -> ShardEntry:
        """Move a prepared shard to its place; it counts only once its entry is there.

        Raises:
            DatasetError: what lies in the folder is not what was written.
        """
        entry = enter_shard(prepared, shard, start, stop, redrawn, dropped)
        flush_all()
        whole = self.path / f"{_WHOLE}{shard:06d}"
        os.replace(prepared.path, whole)
        # From here on the shard is there, whatever happens: the next run moves on what is left.
        flush_folder(self.path)
        self.place(whole)
        return entry

    def place(self, whole: Path) -> None:
        """Put what is in a shard's folders into the folders of the same names here.

        What was there of it before is kept until all is in its place. May be called again where it
        was cut short.
        """
        before = whole / "before"
        before.mkdir(exist_ok=True)
        folders = sorted(folder for folder in whole.iterdir() if folder != before)
        items = [item for folder in folders for item in sorted(folder.iterdir())]
        items.sort(key=lambda item: item.parent.name == "shards" and item.suffix == ".json")
        for item in items:
            place = self.path / item.relative_to(whole)
            place.parent.mkdir(exist_ok=True)
            if place.is_dir():
                os.replace(place, before / f"{place.parent.name}-{place.name}")
            os.replace(item, place)
            # Their names must be on the disk before the entry that says they are.
            flush_folder(place.parent)
        shutil.rmtree(whole)

    def gather_index(self, entries: Iterable[ShardEntry]) -> None:
        """Have all shards' rows of the index in `path`, for the formats to finish by."""

    def finish(self, entries: Iterable[ShardEntry], shared: Iterable[str]) -> str:
        """Mark the dataset as complete, let other runs work in the folder, and return its hash.

        Args:
            entries: of all shards.
            shared: names of the files beside the manifest that are of no shard.
        """
        shared = list(shared)
        self._sweep()
        for folder in {(self.path / name).parent for name in shared}:
            remove_partials(folder)
        flush_all()
        listing = self.hash_list(entries, shared)
        write_file(self.path / LISTING, listing)
        if self._lock is not None:
            held.discard(self)
            self._lock.remove()
            self._lock = None
        return hashlib.sha256(listing.encode()).hexdigest()

    def hash_list(self, entries: Iterable[ShardEntry], shared: Iterable[str]) -> str:
        """What `dataset.sha256` holds; arguments as of `finish`."""
        hashes = {name: hash_file(self.path / name, self.path) for name in (MANIFEST, *shared)}
        for entry in entries:
            hashes |= entry.hashes()
        return listing_text(hashes)

    def close(self) -> None:
        """Let other runs work in the folder. All workers must have ended."""
        if self._lock is not None:
            self._sweep()
            held.discard(self)
            self._lock.release()
            self._lock = None

    def _in_use(self) -> DatasetError:
        return DatasetError(
            f"another run is at work in {self.path}: wait until it has ended, or give `out` "
            "another folder"
        )

    def _take_up(self, interrupted: bool) -> None:
        """Move to its place what a run that was killed had made, but not moved yet."""
        for whole in sorted(self.path.glob(f"{_WHOLE}*")):
            number = whole.name.removeprefix(_WHOLE)
            if interrupted and number.isdecimal() and _is_shard(whole, int(number)):
                self.place(whole)
            else:
                shutil.rmtree(whole, ignore_errors=True)

    def _sweep(self) -> None:
        """Give back the room of shards that were not committed: the disk may be full."""
        for leftover in self.path.glob(".shard-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        remove_partials(self.path)

    def _refuse_other_files(self) -> None:
        if not self.path.exists():
            return
        # What a run that died at its very start leaves is ours.
        own_files = {*partials_of(self.path / MANIFEST), self.path / INCOMPLETE}
        if any(item not in own_files for item in self.path.iterdir()):
            raise DatasetError(
                f"{self.path} holds files that are not a render-adapt run: "
                "give `out` an empty or new folder"
            )


def enter_shard(
    prepared: PreparedShard, shard: int, start: int, stop: int, redrawn: int, dropped: int
) -> ShardEntry:
    """Write a prepared shard's list and entry beside its files; arguments as of `commit_shard`.

    Raises:
        DatasetError: what lies in the folder is not what was written.
    """
    prepared.check()
    listing = prepared.listing()
    entry = ShardEntry(
        shard, start, stop, prepared.files, prepared.bytes,
        hashlib.sha256(listing.encode()).hexdigest(), redrawn, dropped,
    )  # fmt: skip
    (prepared.path / "shards").mkdir()
    create_file(listing_of(prepared.path, shard), listing)
    create_file(entry_of(prepared.path, shard), entry.text())
    return entry


def sweep_held() -> None:
    """Remove what this process has begun and not committed, in folders whose locks it holds."""
    for folder in list(held):
        folder._sweep()


def _is_shard(whole: Path, shard: int) -> bool:
    """Whether there is nothing in a folder but what `commit_shard` leaves when it is killed."""
    if whole.is_symlink() or not whole.is_dir():
        return False
    folders = [folder for folder in whole.iterdir() if folder.name != "before"]
    if any(folder.is_symlink() or not folder.is_dir() for folder in folders):
        return False
    items = [item for folder in folders for item in folder.iterdir()]
    return all(
        item.relative_to(whole).as_posix() in parts_of(shard) and not item.is_symlink()
        for item in items
    )
