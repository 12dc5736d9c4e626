"""Which formats there are, and who writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cad_models import CadModel
from render_adapt._formats.bop_scenes import SPLIT, SceneWriter
from render_adapt._formats.bop_webdataset import (
    KEY_TO_SHARD,
    WEB_SPLIT,
    TarWriter,
    write_key_to_shard,
)
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard_writer import ShardWriter

FORMATS = ("bop", "bop-webdataset")
"""BOP scene-wise (a folder of files for each shard), and BOP webdataset (a tar file)."""


def make_writers(
    formats: Sequence[str],
    prepared: PreparedShard,
    shard: int,
    models: Sequence[CadModel],
    pixel_centre: float,
) -> list[ShardWriter]:
    """A writer for each format, which all take the same batches.

    Args:
        formats: of `FORMATS`.
        prepared: an empty one; each writer fills one entry of its `<folder>/`, which belongs at
            `<folder>/` of the dataset.
        shard: its number.
        models: the run's.
        pixel_centre: the run's (`RunConfig.pixel_centre`).
    """
    writers: list[ShardWriter] = []
    if "bop" in formats:
        writers.append(SceneWriter(prepared, f"{SPLIT}/{shard:06d}", models, pixel_centre))
    if "bop-webdataset" in formats:
        (prepared.path / WEB_SPLIT).mkdir()
        name = f"{WEB_SPLIT}/shard-{shard:06d}.tar"
        writers.append(TarWriter(prepared, name, shard, models, pixel_centre))
    return writers


def finish_dataset(out: Path, formats: Sequence[str], crops: Mapping[int, int]) -> list[str]:
    """Write what belongs to all shards, the same bytes whenever it is called.

    Args:
        out: the dataset's folder, its shards committed and their index written.
        formats: of `FORMATS`.
        crops: how many each shard has, by its number.

    Returns:
        The names of the files, relative to the folder.
    """
    if "bop-webdataset" not in formats:
        return []
    write_key_to_shard(out, dict(sorted(crops.items())))
    return [f"{WEB_SPLIT}/{KEY_TO_SHARD}"]
