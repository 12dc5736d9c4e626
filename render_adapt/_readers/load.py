"""Datasets for numpy users: every crop as arrays, and the whole index as columns."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from render_adapt._exceptions import DatasetError
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._formats.parquet.columns import are_of_shard, read_columns
from render_adapt._formats.registry import formats_of, reader_of
from render_adapt._readers.stored_copy import StoredCopy
from render_adapt._runs.layout import DatasetLayout
from render_adapt._runs.manifest import layout_in, read_manifest
from render_adapt._runs.run_folder import INCOMPLETE
from render_adapt._runs.shard_entry import index_of, present_shards
from render_adapt._stores.address import StoreAddress, place_of

_KEYS = ("scene_id", "im_id")


def load(
    path: Path | str | StoreAddress, format: str | None = None, *, split: str | None = None
) -> Dataset:
    """Open a dataset.

        dataset = render_adapt.load("dataset")
        crop = dataset[0]
        crop.rgb, crop.depth, crop.mask_visib[0], crop.quaternion[0], crop.translation[0]
        dataset.columns["quaternion"]    # (N, 4), of all crops at once

    Args:
        path: its folder, or its address in an object store, as in "s3://bucket/run". Of that,
            shards are brought to the user's caches as crops of them are asked for.
        format: `bop` or `bop-webdataset`, where it has both; the first if not given.
        split: `train`, `val` or `test`, as in `RunConfig.split`; the crops of all if not given.

    Raises:
        DatasetError: it is no dataset of ours, has not been finished, is damaged, was not written
            in this format, or has no crops of this split.
    """
    return Dataset(place_of(path), format, split)


class Dataset(Sequence[LabelledCrop]):
    """A finished dataset; crops are read as they are asked for.

    It may be copied to other processes. What is in memory is the index once `columns` was asked
    for, and otherwise a few bytes for each crop.
    """

    def __init__(
        self, place: Path | StoreAddress, format: str | None = None, split: str | None = None
    ) -> None:
        self._copy = StoredCopy(place) if isinstance(place, StoreAddress) else None
        path = place if self._copy is None else self._copy.path
        assert isinstance(path, Path)
        manifest = read_manifest(path)
        if (path / INCOMPLETE).exists():
            raise DatasetError(
                f"{path} has not been finished: give the command that began it again"
            )
        written = formats_of(manifest, path)
        if format is not None and format not in written:
            raise DatasetError(f"{place} was not written as {format}, but as {', '.join(written)}")
        self.path = path
        """The dataset's folder, or where files are that were brought from its store."""
        self._format, self._reader = reader_of(path, [format] if format else written)
        self._layout = layout_in(path, manifest)
        self._numbers = _numbers_of(self._layout, split, place)
        if self._copy is not None:
            self._copy.bring_index(self._numbers)
        self._files = _index_files(path, self._layout, self._numbers)
        self._keys = np.stack(list(self._read_index(_KEYS).values()), axis=1)

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, number: int) -> LabelledCrop: ...
    @overload
    def __getitem__(self, number: slice) -> list[LabelledCrop]: ...
    def __getitem__(self, number: int | slice) -> LabelledCrop | list[LabelledCrop]:
        """A crop, or several.

        Raises:
            DatasetError: a file of it is missing or damaged.
        """
        if isinstance(number, slice):
            return [self[k] for k in range(len(self))[number]]
        scene_id, im_id = self._keys[number].tolist()
        self.bring_shard(scene_id)
        return self._reader.read(self._layout.shard(scene_id), im_id)

    def bring_shard(self, shard: int) -> None:
        """Have a shard's files in `path`, where the dataset is in an object store.

        Raises:
            DatasetError: one cannot be read there, or is not what was written.
        """
        if self._copy is not None:
            entry = self._format.entry(self._layout.shard(shard))
            assert entry is not None, "what has a reader has something to read"
            self._copy.bring_entry(shard, entry)

    @property
    def shards(self) -> list[int]:
        """The shards' numbers; shard s is scene s."""
        return list(np.unique(self._keys[:, 0]).tolist())

    def split_of(self, shard: int) -> str:
        """The split that a shard is of: `train` where the run had none."""
        return self._layout.shard(shard).split

    @functools.cached_property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """The index: a column of all N crops for each name, lists of one length as (N, length).

        docs/datasets.md says what each is.
        """
        return self._read_index()

    def _read_index(self, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        try:
            shards = [read_columns(file, names, inside=self.path) for file in self._files]
            for number, shard in zip(self._numbers, shards, strict=True):
                if not are_of_shard(shard, number):
                    raise ValueError(f"that of shard {number} has crops of another")
            return {name: _joined([shard[name] for shard in shards]) for name in shards[0]}
        except (ValueError, KeyError, OSError) as error:
            raise DatasetError(
                f"the index of {self.path} is damaged ({error}): render-adapt verify {self.path} "
                "names the file"
            ) from None


def _numbers_of(
    layout: DatasetLayout, split: str | None, place: Path | StoreAddress
) -> Sequence[int]:
    """Of the shards of a split, or of all."""
    if split is None:
        return layout.numbers
    splits = {number: layout.shard(number).split for number in layout.numbers}
    found = [number for number in layout.numbers if splits[number] == split]
    if not found:
        there = ", ".join(dict.fromkeys(splits.values()))
        raise DatasetError(f"{place} has no split {split}, but {there}")
    return found


def _index_files(path: Path, layout: DatasetLayout, numbers: Sequence[int]) -> list[Path]:
    """One for each of these shards, in order; other files are none of the dataset's."""
    present = set(present_shards(path / "index", ".parquet", layout.numbers))
    missing = next((number for number in numbers if number not in present), None)
    if missing is not None:
        raise DatasetError(
            f"{path} has no index of shard {missing}: render-adapt verify {path} --repair makes it"
        )
    return [index_of(path, number) for number in numbers]


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """A column of all shards; lists that are of one length in each but not in all as objects."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    rows = [row for part in parts for row in part]
    column = np.empty(len(rows), object)
    column[:] = rows
    return column
