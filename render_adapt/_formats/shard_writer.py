"""The seam between the pipeline and what a dataset looks like on disk."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from render_adapt._formats.labels import InstanceLabel
from renderer import CropBatch


class ShardWriter(abc.ABC):
    """Writes the crops of one shard in one format, batch by batch.

    Convention:
        Shard s is scene s; the k-th crop that is added to it is its image k, whatever the format.
    """

    @abc.abstractmethod
    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Write a batch of crops with the labels of all their objects, their targets first."""

    @abc.abstractmethod
    def close(self) -> None:
        """Write what is known once all crops are there; nothing is added afterwards."""


class FakeShardWriter(ShardWriter):
    """Keeps what it is given: for tests of what comes before."""

    def __init__(self) -> None:
        self.batches: list[tuple[CropBatch, Sequence[Sequence[InstanceLabel]]]] = []
        self.closed = False

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Keep the batch."""
        self.batches.append((crops, labels))

    def close(self) -> None:
        """Note that all crops are there."""
        self.closed = True
