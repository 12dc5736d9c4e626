"""A format of your own: each crop in one NPZ file, for training loops that read nothing but numpy.

    pip install examples/plug_ins/a_format
    render-adapt --objects ape,cat --n 1000 --format npz

From then on `render_adapt.load`, `verify` and `report` read it too. The entry point in
`pyproject.toml` is all that makes it known.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cad_models import CadModel
from render_adapt import (
    BopImage,
    CropReader,
    Format,
    InstanceLabel,
    LabelledCrop,
    PreparedShard,
    RgbKind,
    Shard,
    ShardWriter,
    assemble_crop,
    bop_image,
)
from renderer import CropBatch
from safe_files import parse_json, read_file

MOST_BYTES = 2**26


class NpzFormat(Format):
    """A folder of NPZ files for each shard."""

    name = "npz"

    def entry(self, shard: Shard) -> str:
        return f"npz/{shard.number:06d}"

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> NpzWriter:
        return NpzWriter(prepared, self.entry(shard), models, pixel_centre, rgb)

    def reader(self, dataset: Path) -> NpzReader:
        return NpzReader(dataset)

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        return f"{self.entry(shard)}/{image:06d}.npz"


class NpzWriter(ShardWriter):
    """Writes the crops of a shard."""

    def __init__(
        self,
        prepared: PreparedShard,
        folder: str,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> None:
        self._prepared, self._folder = prepared, folder
        self._models, self._pixel_centre, self._rgb = models, pixel_centre, rgb
        self._images = 0
        (prepared.path / folder).mkdir()

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        for row, of_crop in enumerate(labels):
            image = bop_image(crops, row, of_crop, self._models, self._pixel_centre, self._rgb)
            self._prepared.write(f"{self._folder}/{self._images:06d}.npz", packed(image))
            self._images += 1

    def close(self) -> None:
        pass


def packed(image: BopImage) -> bytes:
    """What one file holds: pictures as files, labels in BOP's words, masks as arrays."""
    file = io.BytesIO()
    np.savez(
        file,
        rgb=np.frombuffer(image.rgb, np.uint8),
        depth=np.frombuffer(image.depth, np.uint8),
        labels=np.array(json.dumps([image.camera, image.gt, image.gt_info])),
        mask=np.stack(image.masks),
        mask_visib=np.stack(image.masks_visib),
    )
    return file.getvalue()


class NpzReader(CropReader):
    """Reads crops again."""

    def read_unchecked(self, shard: Shard, im_id: int) -> LabelledCrop:
        path = self.dataset / f"npz/{shard.number:06d}/{im_id:06d}.npz"
        content = read_file(path, most=MOST_BYTES, inside=self.dataset)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            stored: Mapping[str, Any] = dict(file)
        camera, gt, gt_info = parse_json(str(stored["labels"]))
        return assemble_crop(
            shard.number,
            im_id,
            stored["rgb"].tobytes(),
            stored["depth"].tobytes(),
            camera,
            gt,
            gt_info,
            {"mask": list(stored["mask"]), "mask_visib": list(stored["mask_visib"])},
        )


FORMAT = NpzFormat()
