"""The run's folder: what run it belongs to, which shards are done, and how a shard is committed.

manifest.json            the run: config, seed, versions, hashes; written first, never changed
shards/000000.json       one entry per finished shard; written last, so it means "whole"
train/000000/            the shard's scene
index/000000.parquet     the shard's rows of the index
INCOMPLETE               a note to people, present until the last shard is done
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

from render_adapt._exceptions import DatasetError

MANIFEST = "manifest.json"
INCOMPLETE = "INCOMPLETE"


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
    """Of the names and contents of its files, in order of name."""


class RunFolder:
    """A dataset's folder, opened for one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, run: Mapping[str, Any]) -> None:
        """Start a run here, or continue it.

        Raises:
            DatasetError: the folder holds another run or other files, or cannot be written.
        """
        wanted = json.loads(json.dumps(run))
        manifest = self.path / MANIFEST
        with writing(self.path, "give --out a folder that can be written"):
            if manifest.exists():
                self._refuse_other_run(wanted)
            else:
                self._refuse_other_files()
                self.path.mkdir(parents=True, exist_ok=True)
                write_atomically(manifest, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
            (self.path / "shards").mkdir(exist_ok=True)
            (self.path / INCOMPLETE).write_text(
                "This run has not finished. Give the same command again to continue it.\n"
            )

    def finished(self) -> dict[int, ShardEntry]:
        """Entries of the shards that are done."""
        entries = {}
        for path in sorted((self.path / "shards").glob("*.json")):
            try:
                entry = ShardEntry(**json.loads(path.read_text()))
            except (ValueError, TypeError) as error:
                raise DatasetError(
                    f"{path} is damaged ({error}): delete it and run again"
                ) from None
            entries[entry.shard] = entry
        return entries

    def begin_shard(self, shard: int) -> Path:
        """An empty folder to prepare a shard in."""
        folder = self.path / f".shard-{shard:06d}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        return folder

    def commit_shard(self, prepared: Path, shard: int, start: int, stop: int) -> ShardEntry:
        """Move a prepared shard to its place; it counts only once its entry is there."""
        _flush_files()
        entry = _entry(prepared, shard, start, stop)
        for source in sorted(path for path in prepared.iterdir()):
            for item in sorted(source.iterdir()):
                place = self.path / source.name / item.name
                place.parent.mkdir(exist_ok=True)
                if place.is_dir():
                    shutil.rmtree(place)
                os.replace(item, place)
            source.rmdir()
        prepared.rmdir()
        text = json.dumps(asdict(entry), sort_keys=True) + "\n"
        write_atomically(self.path / "shards" / f"{shard:06d}.json", text)
        return entry

    def close(self) -> None:
        """Mark the dataset as complete."""
        (self.path / INCOMPLETE).unlink(missing_ok=True)

    def _refuse_other_files(self) -> None:
        if not self.path.exists():
            return
        # A manifest that was being written when the run died is ours.
        if any(item != _partial(self.path / MANIFEST) for item in self.path.iterdir()):
            raise DatasetError(
                f"{self.path} holds files that are not a render-adapt run: "
                "give --out an empty or new folder"
            )

    def _refuse_other_run(self, wanted: dict[str, Any]) -> None:
        try:
            present = json.loads((self.path / MANIFEST).read_text())
        except ValueError as error:
            raise DatasetError(f"{self.path / MANIFEST} is damaged ({error})") from None
        if not isinstance(present, dict) or present != wanted:
            raise DatasetError(
                f"{self.path} holds another run ({_difference(present, wanted)}): "
                "give --out another folder, or the same settings to continue that run"
            )


class writing:
    """Turns an OSError into one sentence about the dataset's folder."""

    def __init__(self, path: Path, advice: str) -> None:
        self._path, self._advice = path, advice

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            where = error.filename or self._path
            raise DatasetError(f"cannot write {where}: {error.strerror}; {self._advice}") from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is whole or absent, also after a power cut."""
    temporary = _partial(path)
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _flush_files() -> None:
    # One flush of everything costs less than one for each of a shard's thousand small files.
    if hasattr(os, "sync"):
        os.sync()


def _entry(folder: Path, shard: int, start: int, stop: int) -> ShardEntry:
    digest, count, size = hashlib.sha256(), 0, 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
        count, size = count + 1, size + len(content)
    return ShardEntry(shard, start, stop, count, size, digest.hexdigest())


def _difference(present: object, wanted: dict[str, Any]) -> str:
    if not isinstance(present, dict):
        return "its manifest is not one of ours"
    there, here = _settings(present), _settings(wanted)
    keys = sorted(key for key in {*there, *here} if there.get(key) != here.get(key))
    return ", ".join(_both(key, there, here) for key in keys)


def _settings(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a run was given, one level deep; without what follows from it."""
    settings: dict[str, Any] = {}
    for key, value in manifest.items():
        if key in ("config_sha256", "conventions", "shards"):
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
