"""BOP webdatasets: one shard is one tar file, which readers stream from its start to its end.

Format: bop_toolkit's `bop_toolkit_lib/dataset/bop_webdataset.py`.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._files import MOST_BYTES, MOST_PICTURE
from render_adapt._formats.bop_scenes import renumbered
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.coco import decode_mask, encode_mask
from render_adapt._formats.crop_reader import CropReader
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.image import RgbKind, bop_image
from render_adapt._formats.labelled_crop import LabelledCrop, assemble_crop, crop_shape
from render_adapt._formats.labels import InstanceLabel
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.shard_writer import ShardWriter
from renderer import CropBatch
from safe_files import open_file, parse_json, write_file

KEY_TO_SHARD = "key_to_shard.json"
"""Beside the tar files, where bop_toolkit writes it, and above them, where GigaPose looks."""
_COLOURS = ("rgb.png", "rgb.jpg")
_OTHERS = ("depth.png", "camera.json", "gt.json", "gt_info.json", "mask.json", "mask_visib.json")
"""What a tar file holds of each crop: one of `_COLOURS`, as the run asked for, and these."""
_MEMBER = re.compile(r"(\d{6,9})_(\d{6,9})\.([a-z_.]+)", re.ASCII)


def web_folder(split: str) -> str:
    """Where a split's tar files are."""
    return f"{split}_web"


def tar_file(split: str, number: int) -> str:
    """A shard's tar file, relative to the dataset."""
    return f"{web_folder(split)}/shard-{number:06d}.tar"


def sample_key(scene_id: int, im_id: int) -> str:
    """What a crop's files in a tar file begin with."""
    return f"{scene_id:06d}_{im_id:06d}"


class TarWriter(ShardWriter):
    """Writes a shard's crops into one tar file.

    Convention:
        Image k of shard s has the members `KEY.rgb.png` (or `.jpg`), `KEY.depth.png`,
        `KEY.camera.json`, `KEY.gt.json`, `KEY.gt_info.json`, `KEY.mask.json` and
        `KEY.mask_visib.json`, one after the other, KEY = `%06d_%06d` % (s, k). Members have no date
        and no owner: equal runs have equal bytes.
    """

    def __init__(
        self,
        prepared: PreparedShard,
        name: str,
        shard: int,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> None:
        self._prepared = prepared
        self._name = name
        self._shard = shard
        self._models = models
        self._pixel_centre = pixel_centre
        self._rgb: RgbKind = rgb
        self._images = 0
        self._bytes = 0

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Append a batch of crops with the labels of all their objects."""
        for row, of_crop in enumerate(labels):
            image = bop_image(crops, row, of_crop, self._models, self._pixel_centre, self._rgb)
            contents = {
                f"rgb.{self._rgb}": image.rgb,
                "depth.png": image.depth,
                "camera.json": _json(image.camera),
                "gt.json": _json(image.gt),
                "gt_info.json": _json(image.gt_info),
                "mask.json": _masks(image.masks),
                "mask_visib.json": _masks(image.masks_visib),
            }
            key = sample_key(self._shard, self._images)
            members = (_member(f"{key}.{kind}", content) for kind, content in contents.items())
            self._write(b"".join(members))
            self._images += 1

    def close(self) -> None:
        """End the tar file: two empty blocks, and more up to a whole record."""
        self._write(_end(self._bytes))

    def _write(self, content: bytes) -> None:
        self._prepared.write(self._name, content)
        self._bytes += len(content)


def write_key_to_shard(out: Path, crops: Mapping[Shard, int]) -> list[str]:
    """Write `key_to_shard.json`, of each split and of all: in which tar file each crop is.

    Args:
        out: the dataset's folder.
        crops: how many each tar file has.

    Returns:
        The names of the files.
    """
    splits = {shard.split: f"{web_folder(shard.split)}/{KEY_TO_SHARD}" for shard in crops}
    for split, place in [*splits.items(), ("", KEY_TO_SHARD)]:
        lines = [
            f'  "{sample_key(shard.number, image)}": {shard.number}'
            for shard, count in sorted(crops.items())
            for image in range(count)
            if split in (shard.split, "")
        ]
        write_file(out / place, "{\n" + ",\n".join(lines) + "\n}\n")
    return [*splits.values(), KEY_TO_SHARD]


def _member(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o444
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _end(size: int) -> bytes:
    """What comes after the last member of a tar file, of which there are so many bytes."""
    empty = 2 * tarfile.BLOCKSIZE
    return bytes(empty + -(size + empty) % tarfile.RECORDSIZE)


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _masks(masks: Sequence[NDArray[np.bool_]]) -> bytes:
    return _json({str(number): encode_mask(mask) for number, mask in enumerate(masks)})


class TarReader(CropReader):
    """Reads webdatasets."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(dataset)
        self._places: dict[int, NDArray[np.int64]] = {}

    def read_unchecked(self, shard: Shard, im_id: int) -> LabelledCrop:
        """One crop of a tar file."""
        path, scene_id = self.dataset / tar_file(shard.split, shard.number), shard.number
        if scene_id not in self._places:
            with open_file(path, most=MOST_BYTES, inside=self.dataset) as file:
                self._places[scene_id] = _find_members(file, scene_id)
        sample = {}
        kinds = ("rgb", *_OTHERS)
        with open_file(path, most=MOST_BYTES, inside=self.dataset) as file:
            for kind, (offset, size) in zip(kinds, self._places[scene_id][im_id], strict=True):
                file.seek(offset)
                sample[kind] = file.read(min(size, MOST_PICTURE))
        return _crop(scene_id, im_id, sample.pop("rgb"), sample)


def crop_from_sample(scene_id: int, im_id: int, sample: Mapping[str, bytes]) -> LabelledCrop:
    """A crop of what a tar file holds of it, by kind.

    Raises:
        KeyError, TypeError, ValueError: something is missing, malformed or does not fit the rest.
    """
    kind = next((kind for kind in _COLOURS if kind in sample), _COLOURS[0])
    return _crop(scene_id, im_id, sample[kind], sample)


def _crop(scene_id: int, im_id: int, rgb: bytes, sample: Mapping[str, bytes]) -> LabelledCrop:
    gt = parse_json(sample["gt.json"])
    shape = crop_shape(rgb, len(gt))
    encoded = {kind: parse_json(sample[f"{kind}.json"]) for kind in ("mask", "mask_visib")}
    return assemble_crop(
        scene_id,
        im_id,
        rgb,
        sample["depth.png"],
        parse_json(sample["camera.json"]),
        gt,
        parse_json(sample["gt_info.json"]),
        {
            kind: [decode_mask(masks[str(number)], shape) for number in range(len(gt))]
            for kind, masks in encoded.items()
        },
    )


def _find_members(file: BinaryIO, scene_id: int) -> NDArray[np.int64]:
    """(images, 7, 2), where each image's members begin, and how long they are; colours first."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        members = {
            member.name: (member.offset_data, member.size) for member in archive if member.isreg()
        }
    places: list[list[tuple[int, int]]] = []
    while True:
        key = sample_key(scene_id, len(places))
        colours = next((kind for kind in _COLOURS if f"{key}.{kind}" in members), None)
        if colours is None:
            return np.array(places, np.int64).reshape(-1, 1 + len(_OTHERS), 2)
        places.append([members[f"{key}.{kind}"] for kind in (colours, *_OTHERS)])


def _members(file: BinaryIO) -> Iterator[tuple[int, int, str, bytes]]:
    """What a tar file holds, member by member: of which scene and image, what, and its content."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            found = _MEMBER.fullmatch(member.name)
            content = archive.extractfile(member) if member.isreg() else None
            if found is None or content is None or member.size > MOST_PICTURE:
                raise ValueError(f"it has the member {member.name[:80]!r}")
            yield int(found[1]), int(found[2]), found[3], content.read()


class BopWebdataset(MergeableFormat):
    """BOP webdataset: a tar file for each shard."""

    name = "bop-webdataset"
    shared = (*(f"{web_folder(split)}/{KEY_TO_SHARD}" for split in SPLITS), KEY_TO_SHARD)

    def entry(self, shard: Shard) -> str:
        """Its tar file."""
        return tar_file(shard.split, shard.number)

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> TarWriter:
        """Writes a tar file."""
        return TarWriter(prepared, self.entry(shard), shard.number, models, pixel_centre, rgb)

    def reader(self, dataset: Path) -> TarReader:
        """Reads tar files."""
        return TarReader(dataset)

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """A tar file, with the member in brackets."""
        ending = "png" if kind == "depth" else "json"
        return f"{self.entry(shard)} ({sample_key(shard.number, image)}.{kind}.{ending})"

    def carry(self, shard: CarriedShard) -> None:
        """All members in their order, under the keys that they have there; poses with the numbers
        of their objects."""
        becomes, size = self.entry(shard.becomes), 0
        with shard.opened(self.entry(shard.shard)) as file:
            for scene_id, im_id, kind, content in _members(file):
                if scene_id != shard.shard.number:
                    raise ValueError(f"it has a crop of scene {scene_id}")
                if kind == "gt.json":
                    content = _json(renumbered(parse_json(content), shard.numbering))
                member = _member(f"{sample_key(shard.becomes.number, im_id)}.{kind}", content)
                shard.write(becomes, member)
                size += len(member)
        shard.write(becomes, _end(size))

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes `key_to_shard.json`."""
        return write_key_to_shard(out, crops)
