"""Which formats there are, and who writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cad_models import CadModel
from render_adapt._bop import SPLIT, SceneWriter
from render_adapt._bop_webdataset import WEB_SPLIT, TarWriter, write_key_to_shard
from render_adapt._manifest import ShardEntry
from render_adapt._shard_writer import ShardWriter

FORMATS = ("bop", "bop-webdataset")
"""BOP scene-wise (a folder of files for each shard), and BOP webdataset (a tar file)."""


def make_writers(
    formats: Sequence[str],
    prepared: Path,
    shard: int,
    models: Sequence[CadModel],
    pixel_centre: float,
) -> list[ShardWriter]:
    """A writer for each format, which all take the same batches.

    Args:
        formats: of `FORMATS`.
        prepared: an empty folder; each writer fills one entry of `prepared/<folder>/`, which
            belongs at `<folder>/` of the dataset.
        shard: its number.
        models: the run's.
        pixel_centre: the run's (`RunConfig.pixel_centre`).
    """
    writers: list[ShardWriter] = []
    if "bop" in formats:
        writers.append(SceneWriter(prepared / SPLIT / f"{shard:06d}", models, pixel_centre))
    if "bop-webdataset" in formats:
        (prepared / WEB_SPLIT).mkdir()
        path = prepared / WEB_SPLIT / f"shard-{shard:06d}.tar"
        writers.append(TarWriter(path, shard, models, pixel_centre))
    return writers


def finish_dataset(out: Path, formats: Sequence[str], entries: Sequence[ShardEntry]) -> None:
    """Write what belongs to all shards, the same bytes whenever it is called.

    Args:
        out: the dataset's folder, its shards committed and their index written.
        formats: of `FORMATS`.
        entries: of all shards, in any order.
    """
    if "bop-webdataset" in formats:
        crops = {entry.shard: entry.crops for entry in entries}
        write_key_to_shard(out, dict(sorted(crops.items())))
