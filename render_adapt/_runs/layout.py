"""How a run's crops lie in shards, of one that grew too."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GROWN_FROM = "grown_from"
"""Of a manifest: the numbers of crops that the run had before it grew, in order."""
OLD_SHARD_SIZE = 250
"""Crops in a shard where a manifest does not say it, as was so before it did."""
_MOST_LENGTHS = 1000


@dataclass(frozen=True)
class ShardLayout:
    """Which crops are in which shard.

    A run that grows keeps its shards as they are, the last one too, which may be short: new ones
    begin after it.
    """

    lengths: tuple[int, ...]
    """Numbers of crops that the run had, ascending; the last one is what it has."""
    size: int
    """Crops in a shard that is not the last of a length."""

    @staticmethod
    def of_run(run: Mapping[str, Any]) -> ShardLayout:
        """That of a run, by its manifest.

        Raises:
            ValueError: its numbers make no sense.
        """
        earlier = run.get(GROWN_FROM, [])
        lengths = (*(earlier if isinstance(earlier, list) else [None]), run.get("n"))
        size = run.get("shard_size", OLD_SHARD_SIZE)
        whole = all(type(number) is int for number in (*lengths, size))
        if not (whole and size > 0 and len(lengths) <= _MOST_LENGTHS):
            raise ValueError("its numbers of crops are none")
        if any(stop <= start for start, stop in zip((0, *lengths), lengths, strict=False)):
            raise ValueError("its numbers of crops do not grow")
        return ShardLayout(lengths, size)

    @property
    def count(self) -> int:
        """How many shards there are."""
        return self._first_shards[-1]

    def range_of(self, shard: int) -> tuple[int, int]:
        """First crop of a shard, and the first one after it."""
        part = self.part_of(shard)
        start = (0, *self.lengths)[part] + (shard - self._first_shards[part]) * self.size
        return start, min(start + self.size, self.lengths[part])

    def shard_of(self, index: int) -> int:
        """The shard that a crop is in."""
        part = bisect.bisect_right(self.lengths, index)
        return self._first_shards[part] + (index - (0, *self.lengths)[part]) // self.size

    def part_of(self, shard: int) -> int:
        """The place in `lengths` of that which the run had when the shard was made."""
        return bisect.bisect_right(self._first_shards, shard) - 1

    @property
    def _first_shards(self) -> list[int]:
        """Of each length the shard that comes first of what it added; last, their number."""
        firsts = [0]
        for start, stop in zip((0, *self.lengths), self.lengths, strict=False):
            firsts.append(firsts[-1] - (start - stop) // self.size)
        return firsts
