"""Reading single crops of BOP datasets, of either format, wherever they lie in their files.

What was looked up of a file, where its crops begin, is kept: a few kilobytes for each shard. Files
are opened anew for each crop, so that readers can be copied to other processes.
"""

from __future__ import annotations

import abc
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_BYTES, MOST_PICTURE, MOST_TEXT
from render_adapt._formats.bop_scenes import SPLIT
from render_adapt._formats.bop_webdataset import WEB_SPLIT, key_of
from render_adapt._formats.coco import decode_mask
from render_adapt._formats.labelled_crop import LabelledCrop, assemble_crop, crop_shape, decode_png
from safe_files import open_file, parse_json, read_file

KINDS = (
    "rgb.png", "depth.png", "camera.json", "gt.json", "gt_info.json", "mask.json",
    "mask_visib.json",
)  # fmt: skip
"""What a tar file holds of each crop."""
_DAMAGED = (
    LookupError, TypeError, ValueError, OverflowError, AttributeError,
    tarfile.TarError,
)  # fmt: skip


class CropReader(abc.ABC):
    """Reads crops of one dataset. The seam between its readers and its format."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset

    def read(self, scene_id: int, im_id: int) -> LabelledCrop:
        """One crop.

        Raises:
            DatasetError: one of its files is missing or damaged.
        """
        try:
            return self._read(scene_id, im_id)
        except OSError as error:
            raise DatasetError(f"cannot read {error.filename}: {error.strerror}") from None
        except _DAMAGED as error:
            raise DatasetError(
                f"image {im_id} of scene {scene_id} in {self._dataset} is damaged ({error}): "
                f"render-adapt verify {self._dataset} names what is"
            ) from None

    @abc.abstractmethod
    def _read(self, scene_id: int, im_id: int) -> LabelledCrop: ...


class SceneReader(CropReader):
    """Reads scene-wise datasets."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(dataset)
        self._starts: dict[Path, NDArray[np.int64]] = {}

    def _read(self, scene_id: int, im_id: int) -> LabelledCrop:
        scene = self._dataset / SPLIT / f"{scene_id:06d}"
        gt = self._entry(scene / "scene_gt.json", im_id)
        rgb = self._picture(scene / f"rgb/{im_id:06d}.png")
        shape = crop_shape(rgb, len(gt))
        return assemble_crop(
            scene_id,
            im_id,
            rgb,
            self._picture(scene / f"depth/{im_id:06d}.png"),
            self._entry(scene / "scene_camera.json", im_id),
            gt,
            self._entry(scene / "scene_gt_info.json", im_id),
            {
                kind: [
                    self._mask(scene / kind / f"{im_id:06d}_{number:06d}.png", shape)
                    for number in range(len(gt))
                ]
                for kind in ("mask", "mask_visib")
            },
        )

    def _entry(self, path: Path, im_id: int) -> Any:
        """An image's entry of a scene's file, which has one entry a line."""
        if path not in self._starts:
            content = read_file(path, most=MOST_TEXT, inside=self._dataset)
            breaks = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
            self._starts[path] = breaks + 1
        start, stop = self._starts[path][im_id : im_id + 2].tolist()
        with open_file(path, most=MOST_TEXT, inside=self._dataset) as file:
            file.seek(start)
            line = file.read(stop - start).strip().removesuffix(b",")
        return parse_json(b"{" + line + b"}")[str(im_id)]

    def _picture(self, path: Path) -> bytes:
        return read_file(path, most=MOST_PICTURE, inside=self._dataset)

    def _mask(self, path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
        return np.asarray(decode_png(self._picture(path), cv2.IMREAD_UNCHANGED, shape) > 0)


class TarReader(CropReader):
    """Reads webdatasets."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(dataset)
        self._places: dict[int, NDArray[np.int64]] = {}

    def _read(self, scene_id: int, im_id: int) -> LabelledCrop:
        path = self._dataset / WEB_SPLIT / f"shard-{scene_id:06d}.tar"
        if scene_id not in self._places:
            with open_file(path, most=MOST_BYTES, inside=self._dataset) as file:
                self._places[scene_id] = _find_members(file, scene_id)
        sample = {}
        with open_file(path, most=MOST_BYTES, inside=self._dataset) as file:
            for kind, (offset, size) in zip(KINDS, self._places[scene_id][im_id], strict=True):
                file.seek(offset)
                sample[kind] = file.read(min(size, MOST_PICTURE))
        return crop_from_sample(scene_id, im_id, sample)


def crop_from_sample(scene_id: int, im_id: int, sample: Mapping[str, bytes]) -> LabelledCrop:
    """A crop of what a tar file holds of it, under `KINDS`.

    Raises:
        KeyError, TypeError, ValueError: something is missing, malformed or does not fit the rest.
    """
    gt = parse_json(sample["gt.json"])
    shape = crop_shape(sample["rgb.png"], len(gt))
    encoded = {kind: parse_json(sample[f"{kind}.json"]) for kind in ("mask", "mask_visib")}
    return assemble_crop(
        scene_id,
        im_id,
        sample["rgb.png"],
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
    """(images, len(KINDS), 2), where each image's members begin, and how long they are."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        found = {
            member.name: (member.offset_data, member.size) for member in archive if member.isreg()
        }
    places: list[list[tuple[int, int]]] = []
    while f"{key_of(scene_id, len(places))}.{KINDS[0]}" in found:
        key = key_of(scene_id, len(places))
        places.append([found[f"{key}.{kind}"] for kind in KINDS])
    return np.array(places, np.int64).reshape(-1, len(KINDS), 2)
