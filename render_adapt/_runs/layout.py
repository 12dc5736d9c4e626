"""How a run's crops lie in shards: of one that grew, with splits, or merged of several too."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from render_adapt._config import LEAST_SHARE
from render_adapt._files import MOST_CROPS
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.written import runs_of

GROWN_FROM = "grown_from"
"""Of a manifest: the numbers of crops that the run had before it grew, in order."""
SPLIT = "split"
"""Of a manifest: names of splits, each with its share of the crops."""
FIRST_SCENE = "first_scene"
"""Of a manifest: the number of the first shard, where that is not 0."""
OLD_SHARD_SIZE = 250
"""Crops in a shard where a manifest does not say it, as was so before it did."""
_MOST_LENGTHS = 1000
_MOST_SCENES = 10**6
_MOST_SHARDS = 4 * _MOST_SCENES
"""Of a run with the most crops, whatever its splits."""
_UNSPLIT = ((SPLITS[0], 1.0),)


@dataclass(frozen=True)
class ShardLayout:
    """Which crops are in which shard.

    A run that grows keeps its shards as they are, the last one too, which may be short: new ones
    begin after it.

    Crops come in blocks of `size`. A block is cut into a piece for each split, in their order, of
    which each is a shard: so which split a crop is of follows from its number and the shares alone.
    Pieces are such that all blocks up to any one together have the splits' shares, to half a crop.
    """

    lengths: tuple[int, ...]
    """Numbers of crops that the run had, ascending; the last one is what it has."""
    size: int
    """Crops in a block; without splits, in a shard that is not the last of a length."""
    splits: tuple[tuple[str, float], ...] = _UNSPLIT
    """Names, in the order of `SPLITS`, and shares."""
    first: int = 0
    """The number of the first shard."""

    @staticmethod
    def of_run(run: Mapping[str, Any]) -> ShardLayout:
        """That of a run, by its manifest.

        Raises:
            ValueError: its numbers make no sense.
        """
        earlier = run.get(GROWN_FROM, [])
        lengths = (*(earlier if isinstance(earlier, list) else [None]), run.get("n"))
        size, first = run.get("shard_size", OLD_SHARD_SIZE), first_scene_of(run)
        whole = all(type(number) is int for number in (*lengths, size))
        if not (whole and size > 0 and len(lengths) <= _MOST_LENGTHS):
            raise ValueError("its numbers of crops are none")
        if any(stop <= start for start, stop in zip((0, *lengths), lengths, strict=False)):
            raise ValueError("its numbers of crops do not grow")
        layout = ShardLayout(lengths, size, _splits_of(run), first)
        if lengths[-1] > MOST_CROPS or layout.count > _MOST_SHARDS:
            raise ValueError("its numbers of crops are those of no run")
        return layout

    @property
    def count(self) -> int:
        """How many shards there are."""
        return self._first_shards[-1]

    @property
    def numbers(self) -> range:
        """Those of all shards."""
        return range(self.first, self.first + self.count)

    def range_of(self, shard: int) -> tuple[int, int]:
        """First crop of a shard, and the first one after it."""
        part = self.part_of(shard)
        begins, ends = (0, *self.lengths)[part], self.lengths[part]
        of_part = shard - self.first - self._first_shards[part]
        piece, origin = self._piece_of(begins, part) + of_part, self._origin(part)
        start, stop = origin + self._cut(piece), origin + self._cut(piece + 1)
        return max(start, begins), min(stop, ends)

    def shard_of(self, index: int) -> int:
        """The shard that a crop is in."""
        part = bisect.bisect_right(self.lengths, index)
        begins = (0, *self.lengths)[part]
        of_part = self._piece_of(index, part) - self._piece_of(begins, part)
        return self.first + self._first_shards[part] + of_part

    def part_of(self, shard: int) -> int:
        """The place in `lengths` of that which the run had when the shard was made."""
        return bisect.bisect_right(self._first_shards, shard - self.first) - 1

    def split_of(self, shard: int) -> str:
        """The split that a shard is of."""
        part = self.part_of(shard)
        piece = self._piece_of(self.range_of(shard)[0], part)
        return self.splits[piece % len(self.splits)][0]

    def shard(self, number: int) -> Shard:
        """A shard by its number."""
        return Shard(number, self.split_of(number))

    @property
    def least_crops(self) -> int:
        """How many crops it takes for each split to have one."""
        return self._cut(len(self.splits) - 1) + 1

    @property
    def _first_shards(self) -> list[int]:
        """Of each length the shard that comes first of what it added, counted from 0; last, how
        many shards there are."""
        firsts = [0]
        for part, (start, stop) in enumerate(zip((0, *self.lengths), self.lengths, strict=False)):
            pieces = self._piece_of(stop - 1, part) - self._piece_of(start, part) + 1
            firsts.append(firsts[-1] + pieces)
        return firsts

    def _origin(self, part: int) -> int:
        """The crop that blocks are counted from. Splits do not change as a run grows."""
        return 0 if len(self.splits) > 1 else (0, *self.lengths)[part]

    def _cut(self, piece: int) -> int:
        """The first crop of a piece, of pieces that are counted through, from their origin on."""
        block, place = divmod(piece, len(self.splits))
        before = sum(share for _, share in self.splits[:place])
        return self.size * block + sum(
            self._reached(before, blocks) * sign for blocks, sign in ((block + 1, 1), (block, -1))
        )

    def _reached(self, share: float, blocks: int) -> int:
        """Crops in that many blocks of splits that have this share together."""
        return math.floor(self.size * blocks * share + 0.5)

    def _piece_of(self, index: int, part: int) -> int:
        """The piece that a crop is in."""
        block, count = (index - self._origin(part)) // self.size, len(self.splits)
        pieces = range(count * block, count * (block + 1))
        return max(piece for piece in pieces if self._cut(piece) <= index - self._origin(part))


@dataclass(frozen=True)
class DatasetLayout:
    """Which shards of a dataset are of which run: of one, or of several that were merged."""

    parts: tuple[ShardLayout, ...]
    """Of each run; its shards come after those of the runs before it."""
    first: int
    """The number of the first shard."""

    @staticmethod
    def of(manifest: Mapping[str, Any]) -> DatasetLayout:
        """That of a dataset, by its manifest.

        Raises:
            ValueError: its numbers make no sense.
        """
        parts = tuple(map(ShardLayout.of_run, runs_of(manifest)))
        layout = DatasetLayout(parts, first_scene_of(manifest))
        if layout.crops > MOST_CROPS:
            raise ValueError("its numbers of crops are those of no dataset")
        return layout

    @property
    def count(self) -> int:
        """How many shards there are."""
        return sum(part.count for part in self.parts)

    @property
    def numbers(self) -> range:
        """Those of all shards."""
        return range(self.first, self.first + self.count)

    @property
    def crops(self) -> int:
        """How many crops the runs have together."""
        return sum(part.lengths[-1] for part in self.parts)

    @property
    def has_splits(self) -> bool:
        """Whether the crops of one of the runs are of several splits."""
        return any(part.splits != _UNSPLIT for part in self.parts)

    def place_of(self, shard: int) -> tuple[int, int]:
        """Which of the runs a shard is of, and which number it has in that run."""
        left = shard - self.first
        for place, part in enumerate(self.parts):
            if left < part.count:
                return place, part.first + left
            left -= part.count
        raise IndexError(f"the dataset has {self.count} shards")

    def range_of(self, shard: int) -> tuple[int, int]:
        """First crop of a shard and the first one after it, by their numbers in their run."""
        place, of_run = self.place_of(shard)
        return self.parts[place].range_of(of_run)

    def shard(self, number: int) -> Shard:
        """A shard by its number."""
        place, of_run = self.place_of(number)
        return Shard(number, self.parts[place].split_of(of_run))


def first_scene_of(manifest: Mapping[str, Any]) -> int:
    """The number of a dataset's first shard.

    Raises:
        ValueError: it is none.
    """
    first = manifest.get(FIRST_SCENE, 0)
    if type(first) is not int or not 0 <= first < _MOST_SCENES:
        raise ValueError("its first scene has no number")
    return first


def _splits_of(run: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    if SPLIT not in run:
        return _UNSPLIT
    try:
        splits = tuple((str(name), float(share)) for name, share in run[SPLIT])
    except (TypeError, ValueError):
        raise ValueError("its splits are none") from None
    names = [name for name, _ in splits]
    shares = [share for _, share in splits]
    in_order = names == [name for name in SPLITS if name in names] and len(names) > 1
    if not (in_order and min(shares) >= LEAST_SHARE and abs(sum(shares) - 1) < 1e-9):
        raise ValueError("its splits are none")
    return splits
