"""A shard's number and split, by which formats name what is of it."""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("train", "val", "test")
"""BOP's names of splits."""


@dataclass(frozen=True, order=True)
class Shard:
    """Which of a dataset's shards."""

    number: int
    """That of its BOP scene; no two shards have one, whatever their splits."""
    split: str = SPLITS[0]
    """The one of `SPLITS` that all its crops are of."""

    def within(self, folder: str) -> str:
        """A folder's name with the split behind it, where that is not `train`."""
        return folder if self.split == SPLITS[0] else f"{folder}_{self.split}"
