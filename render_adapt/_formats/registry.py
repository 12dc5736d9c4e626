"""Which formats there are: those that come with the package, and those of other packages."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cad_models import CadModel
from plug_ins import PlugIns
from render_adapt._exceptions import DatasetError
from render_adapt._formats.bop_scenes import BopScenes
from render_adapt._formats.bop_targets import BopTargets
from render_adapt._formats.bop_webdataset import BopWebdataset
from render_adapt._formats.crop_reader import CropReader
from render_adapt._formats.dope import Dope
from render_adapt._formats.format import Format
from render_adapt._formats.hugging_face import HuggingFace
from render_adapt._formats.image import RgbKind
from render_adapt._formats.linemod_preprocessed import LinemodPreprocessed
from render_adapt._formats.merged_coco import MergedCoco
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.pvnet import PvNet
from render_adapt._formats.shard import Shard
from render_adapt._formats.shard_writer import ShardWriter
from render_adapt._formats.xyz_crop import XyzCrop
from render_adapt._formats.yolo import Yolo, YoloPose

_SHIPPED: tuple[Format, ...] = (
    BopScenes(), BopWebdataset(), MergedCoco(), Yolo(), YoloPose(), BopTargets(), HuggingFace(),
    Dope(), LinemodPreprocessed(), PvNet(), XyzCrop(),
)  # fmt: skip


@functools.cache
def formats() -> Mapping[str, Format]:
    """All formats by name, those that come with the package first.

    Raises:
        DatasetError: another package's cannot be used.
    """
    return dict(
        PlugIns(
            group="render_adapt.formats",
            word="format",
            kind=Format,
            shipped={format_.name: format_ for format_ in _SHIPPED},
            names_of=lambda format_: (format_.name,),
            error=DatasetError,
        )
    )


def formats_of(manifest: Mapping[str, Any], folder: Path) -> list[str]:
    """The names of the formats that a dataset was written in.

    Raises:
        DatasetError: its manifest names none, or one that is not known here.
    """
    names = manifest.get("format")
    known = isinstance(names, list) and all(
        isinstance(name, str) and name in formats() for name in names
    )
    if not known or not names:
        raise DatasetError(f"the manifest of {folder} names no format that can be read")
    return list(names)


def reader_of(dataset: Path, names: Sequence[str]) -> tuple[Format, CropReader]:
    """The first of these formats that crops are read of, and what reads a dataset's.

    Raises:
        DatasetError: none has.
    """
    for format_ in (formats()[name] for name in names):
        reader = format_.reader(dataset)
        if reader is not None:
            return format_, reader
    raise DatasetError(
        f"{dataset} was written as {', '.join(names)}, which others read: crops are read of bop "
        "or bop-webdataset, written beside it"
    )


def make_writers(
    names: Iterable[str],
    prepared: PreparedShard,
    shard: Shard,
    models: Sequence[CadModel],
    pixel_centre: float,
    rgb: RgbKind,
) -> list[ShardWriter]:
    """A writer for each format, which all take the same batches; arguments as of `Format.writer`.

    Args:
        names: of formats.
        prepared: an empty one.
        shard: which.
        models, pixel_centre, rgb: the run's.
    """
    writers = []
    for format_ in (formats()[name] for name in names):
        entry = format_.entry(shard)
        if entry is not None:
            (prepared.path / entry).parent.mkdir(parents=True, exist_ok=True)
        writer = format_.writer(prepared, shard, models, pixel_centre, rgb)
        if writer is not None:
            writers.append(writer)
    return writers


def finish_dataset(out: Path, names: Iterable[str], crops: Mapping[Shard, int]) -> list[str]:
    """Have each format write what belongs to all shards; see `Format.finish`."""
    return [file for name in names for file in formats()[name].finish(out, crops)]
