"""BOP webdatasets: one shard is one tar file, which readers stream from its start to its end.

Format: bop_toolkit's `bop_toolkit_lib/dataset/bop_webdataset.py`.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._formats.coco import encode_mask
from render_adapt._formats.image import bop_image
from render_adapt._formats.labels import InstanceLabel
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard_writer import ShardWriter
from renderer import CropBatch
from safe_files import write_file

WEB_SPLIT = "train_web"
KEY_TO_SHARD = "key_to_shard.json"


def key_of(scene: int, image: int) -> str:
    """What a crop's files in a tar file begin with."""
    return f"{scene:06d}_{image:06d}"


class TarWriter(ShardWriter):
    """Writes a shard's crops into one tar file.

    Convention:
        Image k of shard s has the members `KEY.rgb.png`, `KEY.depth.png`, `KEY.camera.json`,
        `KEY.gt.json`, `KEY.gt_info.json`, `KEY.mask.json` and `KEY.mask_visib.json`, one after the
        other, KEY = `%06d_%06d` % (s, k). Members have no date and no owner: equal runs have equal
        bytes.
    """

    def __init__(
        self,
        prepared: PreparedShard,
        name: str,
        shard: int,
        models: Sequence[CadModel],
        pixel_centre: float,
    ) -> None:
        self._prepared = prepared
        self._name = name
        self._shard = shard
        self._models = models
        self._pixel_centre = pixel_centre
        self._images = 0
        self._bytes = 0

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Append a batch of crops with the labels of all their objects."""
        for row, of_crop in enumerate(labels):
            image = bop_image(crops, row, of_crop, self._models, self._pixel_centre)
            contents = {
                "rgb.png": image.rgb,
                "depth.png": image.depth,
                "camera.json": _json(image.camera),
                "gt.json": _json(image.gt),
                "gt_info.json": _json(image.gt_info),
                "mask.json": _masks(image.masks),
                "mask_visib.json": _masks(image.masks_visib),
            }
            key = key_of(self._shard, self._images)
            members = (_member(f"{key}.{kind}", content) for kind, content in contents.items())
            self._write(b"".join(members))
            self._images += 1

    def close(self) -> None:
        """End the tar file: two empty blocks, and more up to a whole record."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._bytes % tarfile.RECORDSIZE))

    def _write(self, content: bytes) -> None:
        self._prepared.write(self._name, content)
        self._bytes += len(content)


def write_key_to_shard(out: Path, crops: Mapping[int, int]) -> None:
    """Write `key_to_shard.json`: in which tar file each crop is, by how many there are in each."""
    lines = [
        f'  "{key_of(shard, image)}": {shard}'
        for shard, count in crops.items()
        for image in range(count)
    ]
    write_file(out / WEB_SPLIT / KEY_TO_SHARD, "{\n" + ",\n".join(lines) + "\n}\n")


def _member(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o444
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _masks(masks: Sequence[NDArray[np.bool_]]) -> bytes:
    return _json({str(number): encode_mask(mask) for number, mask in enumerate(masks)})
