"""A shard in the making: its crops go into the files of every format, and into the index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cad_models import CadModel
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._formats.index import Provenance, index_file, index_rows
from render_adapt._formats.labels import label_crops
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard_writer import ShardWriter
from renderer import Renderer


class LabelledShard:
    """Labels crops and writes them.

    Args:
        prepared: the shard's folder.
        shard: its number.
        models: the run's objects.
        renderer: draws their silhouettes.
        writers: of the run's formats, for this folder.
        provenance: what the index says of where crops come from.
        pixel_centre: where K has the first pixel's centre.
        split: that the crops are of, where the run has several.
    """

    def __init__(
        self,
        prepared: PreparedShard,
        shard: int,
        models: Sequence[CadModel],
        renderer: Renderer,
        writers: Sequence[ShardWriter],
        provenance: Provenance,
        pixel_centre: float,
        split: str | None = None,
    ) -> None:
        self._prepared, self._shard = prepared, shard
        self._models, self._renderer, self._writers = models, renderer, writers
        self._provenance, self._pixel_centre = provenance, pixel_centre
        self._split = split
        self._index: list[dict[str, Any]] = []

    @property
    def crops(self) -> int:
        """How many were written."""
        return len(self._index)

    def add(self, faithful: FaithfulCrops) -> None:
        """Write crops, but for those that are dropped."""
        kept = faithful.without_dropped()
        if not len(kept.crops):
            return
        labels = label_crops(kept.crops, self._renderer, self._models)
        for writer in self._writers:
            writer.add(kept.crops, labels)
        self._index += index_rows(
            kept.crops, labels, self._models, self._provenance, kept.scores, kept.attempt,
            shard=self._shard, first_image=self.crops, pixel_centre=self._pixel_centre,
            others=kept.others, split=self._split,
        )  # fmt: skip

    def close(self) -> None:
        """Write what is of the whole shard."""
        for writer in self._writers:
            writer.close()
        (self._prepared.path / "index").mkdir()
        self._prepared.write(f"index/{self._shard:06d}.parquet", index_file(self._index))
