"""The run's folder: what run it belongs to, which shards are done, and how a shard is committed.

manifest.json            the run: config, seed, versions, hashes; written first, never changed
shards/000000.json       one entry per finished shard; written last, so it means "whole"
shards/000000.sha256     a hash for each of the shard's files, for `sha256sum --check` too
train/000000/            the shard's scene
index/000000.parquet     the shard's rows of the index
dataset.sha256           a hash for every file that is not in a shard, and for the shards' own
                         lists: its own hash is that of the whole dataset
INCOMPLETE               a note to people, present until all is done, and the lock of the run
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapter._lock import FolderLock
from render_adapt._exceptions import DatasetError
from render_adapt._files import (
    flush_all,
    flush_folder,
    make_listing,
    partial,
    write_atomically,
    writing,
)

MANIFEST = "manifest.json"
INCOMPLETE = "INCOMPLETE"
LISTING = "dataset.sha256"
_SHARED = (
    MANIFEST, "camera.json", "contact_sheet.png", "models/*", "*/key_to_shard.json",
    "shards/*.json", "shards/*.sha256",
)  # fmt: skip
_NOT_DECISIVE = ("settings", "versions")
"""Of a manifest: where things lay, and with what it was made."""
_FOLLOWING = ("config_sha256", "conventions", "shards")
"""Of a manifest: what says nothing that its other entries do not."""


@dataclass(frozen=True)
class ShardEntry:
    """A finished shard."""

    shard: int
    start: int
    """Index of its first crop."""
    stop: int
    """Index after its last crop."""
    files: int
    bytes: int
    sha256: str
    """Of the list of its files' hashes and names."""
    redrawn: int = 0
    """Crops that were adapted with another noise vector than their first."""
    dropped: int = 0
    """Crops that were left out as not faithful enough."""

    @property
    def crops(self) -> int:
        """Crops in the dataset."""
        return self.stop - self.start - self.dropped


class RunFolder:
    """A dataset's folder. Whoever works in it holds its lock, from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FolderLock | None = None

    def open(self, run: Mapping[str, Any]) -> None:
        """Start a run here, or continue it.

        Raises:
            DatasetError: the folder holds another run or other files, another run is at work in
                it, or it cannot be written.
        """
        manifest = self.path / MANIFEST
        with writing(self.path, "give --out a folder that can be written"):
            if manifest.exists():
                refuse_other_run(read_manifest(self.path), run, self.path)
            else:
                self._refuse_other_files()
                self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(
                self.path / INCOMPLETE,
                DatasetError(
                    f"another run is at work in {self.path}: wait until it has ended, or give "
                    "--out another folder"
                ),
            )
            if manifest.exists():
                # Another run may have begun meanwhile.
                refuse_other_run(read_manifest(self.path), run, self.path)
            else:
                write_atomically(manifest, json.dumps(run, indent=2, sort_keys=True) + "\n")
            (self.path / "shards").mkdir(exist_ok=True)
            (self.path / INCOMPLETE).write_text(
                "This run has not finished. Give the same command again to continue it.\n"
            )

    def finished(self) -> dict[int, ShardEntry]:
        """Entries of the shards that are done.

        Raises:
            DatasetError: one of them is damaged.
        """
        paths = sorted((self.path / "shards").glob("*.json"))
        return {entry.shard: entry for entry in map(read_entry, paths)}

    def begin_shard(self, shard: int) -> Path:
        """An empty folder to prepare a shard in."""
        folder = self.path / f".shard-{shard:06d}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        return folder

    def commit_shard(
        self, prepared: Path, shard: int, start: int, stop: int, redrawn: int = 0, dropped: int = 0
    ) -> ShardEntry:
        """Move a prepared shard to its place; it counts only once its entry is there."""
        files = [path for path in prepared.rglob("*") if path.is_file()]
        listing = make_listing(prepared, files)
        entry = ShardEntry(
            shard, start, stop, len(files), sum(path.stat().st_size for path in files),
            hashlib.sha256(listing.encode()).hexdigest(), redrawn, dropped,
        )  # fmt: skip
        (prepared / "shards").mkdir()
        listing_of(prepared, shard).write_text(listing)
        flush_all()
        self.place(prepared)
        text = json.dumps(asdict(entry), sort_keys=True) + "\n"
        write_atomically(entry_of(self.path, shard), text)
        return entry

    def place(self, prepared: Path) -> None:
        """Move what is in a prepared folder's folders to the folders of the same names here."""
        for source in sorted(prepared.iterdir()):
            folder = self.path / source.name
            folder.mkdir(exist_ok=True)
            for item in sorted(source.iterdir()):
                if (folder / item.name).is_dir():
                    shutil.rmtree(folder / item.name)
                os.replace(item, folder / item.name)
            # Their names must be on the disk before the entry that says they are.
            flush_folder(folder)
        shutil.rmtree(prepared)

    def finish(self) -> str:
        """Mark the dataset as complete, and return its hash."""
        self._sweep()
        flush_all()
        shared = [path for pattern in _SHARED for path in self.path.glob(pattern)]
        listing = make_listing(self.path, shared)
        write_atomically(self.path / LISTING, listing)
        (self.path / INCOMPLETE).unlink(missing_ok=True)
        return hashlib.sha256(listing.encode()).hexdigest()

    def close(self) -> None:
        """Let other runs work in the folder. All workers must have ended."""
        if self._lock is not None:
            self._sweep()
            self._lock.release()
            self._lock = None

    def _sweep(self) -> None:
        """Give back the room of shards that were not committed: the disk may be full."""
        for leftover in self.path.glob(".shard-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _refuse_other_files(self) -> None:
        if not self.path.exists():
            return
        # What a run that died at its very start leaves is ours.
        ours = {partial(self.path / MANIFEST), self.path / INCOMPLETE}
        if any(item not in ours for item in self.path.iterdir()):
            raise DatasetError(
                f"{self.path} holds files that are not a render-adapt run: "
                "give --out an empty or new folder"
            )


def entry_of(folder: Path, shard: int) -> Path:
    """The file that says that a shard is done."""
    return folder / "shards" / f"{shard:06d}.json"


def listing_of(folder: Path, shard: int) -> Path:
    """The file with the hashes of a shard's files."""
    return folder / "shards" / f"{shard:06d}.sha256"


def read_entry(path: Path) -> ShardEntry:
    """A shard's entry.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        content = json.loads(path.read_bytes())
        kinds = {name: type(value).__name__ for name, value in content.items()}
        if kinds != dict(ShardEntry.__annotations__):
            raise ValueError("it is not a shard's entry")
        entry = ShardEntry(**content)
        if path.stem != f"{entry.shard:06d}" or not 0 <= entry.start <= entry.stop:
            raise ValueError("it is not this shard's entry")
        if not 0 <= entry.redrawn + entry.dropped <= entry.stop - entry.start:
            raise ValueError("it counts more crops than the shard has")
        return entry
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{path} is damaged ({error}): mend it with render-adapt verify {path.parents[1]} "
            "--repair"
        ) from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """What run a folder belongs to.

    Raises:
        DatasetError: there is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DatasetError(f"{folder} is no dataset of render-adapt: it has no {MANIFEST}")
    try:
        manifest = json.loads(path.read_bytes())
        if not isinstance(manifest, dict):
            raise ValueError("it is not one of ours")
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged ({error}): take it from a copy") from None
    return manifest


def refuse_other_run(present: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Refuse to work on a run in the folder of another.

    Raises:
        DatasetError: what decides the bytes of the two is not the same; the message says what.
    """
    there, here = _settings(present), _settings(wanted)
    keys = sorted(key for key in {*there, *here} if there.get(key) != here.get(key))
    if keys:
        difference = ", ".join(_both(key, there, here) for key in keys[:8])
        difference += f" and {len(keys) - 8} more" if len(keys) > 8 else ""
        raise DatasetError(
            f"{folder} holds another run ({difference}): "
            "give --out another folder, or the same settings to continue that run"
        )


def _settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a run's bytes, one level deep."""
    settings: dict[str, Any] = {}
    for key, value in manifest.items():
        if key in _FOLLOWING or key in _NOT_DECISIVE:
            continue
        nested = value if isinstance(value, dict) else {}
        settings |= {f"{key}.{name}": entry for name, entry in nested.items()}
        if not nested:
            settings[key] = value
    return settings


def _both(key: str, there: dict[str, Any], here: dict[str, Any]) -> str:
    if key not in here:
        return f"{key} only there"
    if key not in there:
        return f"{key} only here"
    texts = [json.dumps(settings[key]) for settings in (there, here)]
    if max(len(text) for text in texts) > 40:
        return f"{key} not the same"
    return f"{key} {texts[0]} there, {texts[1]} here"
