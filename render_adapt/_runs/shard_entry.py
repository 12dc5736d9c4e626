"""The entry of a finished shard, and where its files are."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from render_adapt._exceptions import DatasetError
from render_adapt._formats.registry import formats
from render_adapt._formats.shard import SPLITS, Shard
from safe_files import parse_json, read_file

MOST_ENTRY = 2**16
"""Bytes of its file."""


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

    def text(self) -> str:
        """What its file holds."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    def hashes(self) -> dict[str, str]:
        """Of its file and of its list's, by name."""
        name = f"shards/{self.shard:06d}"
        return {
            f"{name}.json": hashlib.sha256(self.text().encode()).hexdigest(),
            f"{name}.sha256": self.sha256,
        }


def parts_of(shard: int) -> tuple[str, ...]:
    """The names of what a shard may have, of whichever split: files, and folders such as scenes."""
    entries = (
        format_.entry(Shard(shard, split)) for format_ in formats().values() for split in SPLITS
    )
    return (
        f"index/{shard:06d}.parquet",
        f"shards/{shard:06d}.json",
        f"shards/{shard:06d}.sha256",
        *dict.fromkeys(entry for entry in entries if entry is not None),
    )


def is_part(name: str, shards: range) -> bool:
    """Whether a name is one of `parts_of` one of a dataset's shards."""
    number = re.search(r"(\d{6,9})[^/]*$", name, re.ASCII)
    return number is not None and int(number[1]) in shards and name in parts_of(int(number[1]))


def present_shards(folder: Path, suffix: str, shards: range) -> list[int]:
    """Numbers of a run's shards that have a file in a folder, in order; other files are left out.

    Args:
        folder: `shards` or `index` of a dataset.
        suffix: of the files.
        shards: the numbers of the dataset's.
    """
    paths = folder.glob(f"*{suffix}")
    return sorted(int(path.stem) for path in paths if is_part(f"{folder.name}/{path.name}", shards))


def entry_of(folder: Path, shard: int) -> Path:
    """The file that says that a shard is done."""
    return folder / "shards" / f"{shard:06d}.json"


def listing_of(folder: Path, shard: int) -> Path:
    """The file with the hashes of a shard's files."""
    return folder / "shards" / f"{shard:06d}.sha256"


def index_of(folder: Path, shard: int) -> Path:
    """The file with a shard's rows of the index."""
    return folder / f"index/{shard:06d}.parquet"


def read_entry(path: Path) -> ShardEntry:
    """A shard's entry.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        content = parse_json(read_file(path, most=MOST_ENTRY, inside=path.parents[1]))
        kinds = {name: type(value).__name__ for name, value in content.items()}
        if kinds != dict(ShardEntry.__annotations__):
            raise ValueError("it is not a shard's entry")
        entry = ShardEntry(**content)
        if path.stem != f"{entry.shard:06d}" or not 0 <= entry.start <= entry.stop:
            raise ValueError("it is not this shard's entry")
        if not 0 <= entry.redrawn + entry.dropped <= entry.stop - entry.start:
            raise ValueError("it counts more crops than the shard has")
        return entry
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path} is damaged ({error}): mend it with render-adapt verify {path.parents[1]} "
            "--repair"
        ) from None
