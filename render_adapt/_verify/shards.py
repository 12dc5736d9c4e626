"""A shard on disk: are its files those that were written, and are its labels true?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import load_models
from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT, hash_file, read_listing
from render_adapt._formats.crop_reader import CropReader
from render_adapt._formats.format import Format
from render_adapt._formats.index import Provenance
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._formats.parquet.columns import are_of_shard, read_columns
from render_adapt._formats.registry import formats
from render_adapt._formats.shard import Shard
from render_adapt._formats.written import runs_of
from render_adapt._runs.layout import DatasetLayout
from render_adapt._runs.manifest import LISTING, MANIFEST, read_manifest, run_of_length
from render_adapt._runs.shard_entry import ShardEntry, entry_of, listing_of, parts_of, read_entry
from render_adapt._stores.address import StoreAddress
from render_adapt._verify.labels import (
    LabelChecker,
    LabelRules,
    WrongLabelError,
    annotation_problem,
)
from safe_files import parse_json, read_file

OF_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers leave behind, and no reader takes for anything."""
UNLISTED = "is listed nowhere, so that it is not of this dataset: move it out of the folder"
_INDEX = (
    "index", "scene_id", "im_id", "obj_id", "quaternion", "translation", "camera_matrix",
    "centre_depth", "bbox_obj", "bbox_visib", "visib_fract", "box_corners", "others",
)  # fmt: skip


@dataclass(frozen=True)
class BadFile:
    """A file that is not what it must be."""

    path: Path | StoreAddress
    """Of a tar file with its member in brackets."""
    problem: str
    """What is wrong with it, as it goes on after its name."""
    shard: int | None = None
    """Whose it is; None where it is of no shard."""
    unlisted: bool = False
    """Whether it is a file that the dataset does not list, which nothing can make right."""


@dataclass(frozen=True)
class RunFacts:
    """What a manifest says that checks rely on."""

    layout: DatasetLayout
    shards: int
    formats: list[str]
    object_ids: list[int]
    provenances: list[list[Provenance]]
    """Of each run that the dataset is of, and each of the lengths that this had."""
    rules: list[LabelRules]
    """Of each run."""

    @staticmethod
    def of(folder: Path) -> RunFacts:
        """Of the run in a folder.

        Raises:
            DatasetError: it is no dataset of ours, or its manifest makes no sense.
        """
        manifest = read_manifest(folder)
        try:
            layout, runs = DatasetLayout.of(manifest), runs_of(manifest)
            facts = RunFacts(
                layout, int(manifest["shards"]), list(manifest["format"]),
                [int(entry["obj_id"]) for entry in manifest["objects"].values()],
                [
                    [Provenance.of_run(run_of_length(n, run)) for n in part.lengths]
                    for part, run in zip(layout.parts, runs, strict=True)
                ],
                [LabelRules.of_run(run) for run in runs],
            )  # fmt: skip
            if not facts._make_sense():
                raise ValueError("its numbers do not fit together")
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(
                f"{folder / MANIFEST} is damaged ({error}): take it from a copy"
            ) from None
        return facts

    def _make_sense(self) -> bool:
        return (
            self.shards == self.layout.count > 0
            and set() < set(self.formats) <= formats().keys()
            and min(side for rules in self.rules for side in rules.shape) > 0
            and len(self.object_ids) > 0
        )

    @property
    def crops(self) -> int:
        """All of the dataset's."""
        return self.layout.crops

    def provenance_of(self, shard: int) -> Provenance:
        """What the rows of a shard's index say of where they came from."""
        place, of_run = self.layout.place_of(shard)
        return self.provenances[place][self.layout.parts[place].part_of(of_run)]

    def rules_of(self, shard: int) -> LabelRules:
        """What a shard's labels are held to."""
        return self.rules[self.layout.place_of(shard)[0]]


class ShardChecker:
    """Checks shards of a dataset; one per worker process.

    Args:
        folder: the dataset's.
        facts: of its manifest.
        labels: whether labels are checked too, which takes models that are as they were.

    Raises:
        ModelError: the models cannot be read.
    """

    def __init__(self, folder: Path, facts: RunFacts, labels: bool) -> None:
        self._folder = folder
        self._facts = facts
        try:
            self._vouched = read_hashes(folder, LISTING)
        except BadFileError:
            # Said once, by `verify`.
            self._vouched = {}
        self._checkers: dict[LabelRules, LabelChecker] | None = None
        if labels:
            names = [str(number) for number in facts.object_ids]
            models = load_models(names, models=folder / "models", units="mm")
            self._checkers = {rules: LabelChecker(models, rules) for rules in set(facts.rules)}

    def __call__(self, shard: int) -> BadFile | int:
        """The first bad file of a shard, or how many crops it has."""
        try:
            entry = self._check_files(shard)
            return self._check_labels(shard, entry.stop - entry.start - entry.dropped)
        except BadFileError as bad:
            file = self._folder / bad.name
            return BadFile(file, bad.problem, shard, unlisted=bad.problem == UNLISTED)

    def _check_files(self, shard: int) -> ShardEntry:
        """Its entry vouches for its list, and its list for all else."""
        entry_file, list_file = entry_of(self._folder, shard), listing_of(self._folder, shard)
        entry_name, list_name = (
            path.relative_to(self._folder).as_posix() for path in (entry_file, list_file)
        )
        if not entry_file.exists():
            raise BadFileError(entry_name, "is not there: the run has not finished this shard")
        try:
            entry = read_entry(entry_file)
        except DatasetError:
            raise BadFileError(entry_name, "is no entry of a shard") from None
        if (entry.shard, entry.start, entry.stop) != (shard, *self._facts.layout.range_of(shard)):
            raise BadFileError(entry_name, "is the entry of another shard")
        for name in (entry_name, list_name) if self._vouched else ():
            if name not in self._vouched:
                raise BadFileError(LISTING, f"does not list {name}")
            check_hashes(self._folder, {name: self._vouched[name]})
        check_hashes(self._folder, {list_name: entry.sha256})
        listed = read_hashes(self._folder, list_name)
        for part in parts_of(shard):
            for name in files_below(self._folder, part):
                if name not in listed and not name.startswith("shards/"):
                    raise BadFileError(name, UNLISTED)
        check_hashes(self._folder, listed)
        return entry

    def _check_labels(self, shard: int, crop_count: int) -> int:
        """Returns the number of crops, which are checked in each of the formats."""
        index_name = f"index/{shard:06d}.parquet"
        index = _read_index(self._folder, index_name)
        start, stop = self._facts.layout.range_of(shard)
        count = len(index["index"])
        in_order = np.diff(index["index"], prepend=start - 1, append=stop) > 0
        if count != crop_count or not (in_order.all() and are_of_shard(index, shard)):
            raise BadFileError(index_name, "does not have the numbers of this shard's crops")
        self._check_provenance(index_name, self._facts.provenance_of(shard))
        if self._checkers is None:
            return count
        of_split = self._facts.layout.shard(shard)
        checker = self._checkers[self._facts.rules_of(shard)]
        for name in self._facts.formats:
            format_ = formats()[name]
            reader, coco = format_.reader(self._folder), format_.annotations(of_split)
            if reader is None:
                continue
            annotations = None if coco is None else _read_annotations(self._folder, coco)
            for first in range(0, count, checker.at_once):
                images = range(first, min(first + checker.at_once, count))
                crops = [self._read(reader, format_, of_split, image) for image in images]
                rows = {
                    column: values[images.start : images.stop] for column, values in index.items()
                }
                _check_batch(checker, format_, of_split, crops, rows)
                if coco is not None and annotations is not None:
                    _check_annotations(coco, crops, annotations)
        return count

    def _read(self, reader: CropReader, format_: Format, shard: Shard, image: int) -> LabelledCrop:
        try:
            return reader.read(shard, image)
        except DatasetError:
            raise BadFileError(
                format_.file_of("gt", shard, image, 0),
                f"or what belongs to image {image} is damaged",
            ) from None

    def _check_provenance(self, name: str, provenance: Provenance) -> None:
        """A shard that another run made may be in order in itself."""
        expected = asdict(provenance)
        try:
            read = read_columns(self._folder / name, list(expected), inside=self._folder)
        except (OSError, ValueError) as error:
            raise BadFileError(name, f"is no index: {error}") from None
        for column, value in expected.items():
            if any(entry != value for entry in read[column].tolist()):
                raise BadFileError(name, f"is of another run: {column} is not the manifest's")


class BadFileError(Exception):
    """What is found wrong first.

    Args:
        name: the file's, relative to the dataset's folder.
        problem: as in `BadFile`.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem


def check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Check that files are those that were written.

    Args:
        folder: the dataset's.
        hashes: SHA-256 by name.

    Raises:
        BadFileError: one is not; the first, in order of name.
    """
    for name in sorted(hashes):
        try:
            sha256 = hash_file(folder / name, folder)
        except FileNotFoundError:
            raise BadFileError(name, "is not there") from None
        except OSError as error:
            raise BadFileError(name, f"cannot be read: {error.strerror}") from None
        if sha256 != hashes[name]:
            raise BadFileError(name, "is not the file that was written: its SHA-256 differs")


def files_below(
    folder: Path, name: str = "", leave_out: Callable[[str], bool] = lambda name: False
) -> Iterator[str]:
    """Names of the files in a folder and in those below it; of a file, its own.

    A link is a file, whatever it leads to.

    Args:
        folder: the dataset's, which names are relative to.
        name: of the folder to look in.
        leave_out: says of a name whether it, and what is below it, does not matter.

    Raises:
        BadFileError: a folder cannot be read.
    """
    waiting = [name]
    while waiting:
        path = folder / waiting.pop()
        if not path.is_dir() or (path.is_symlink() and path != folder):
            if path.exists() or path.is_symlink():
                yield path.relative_to(folder).as_posix()
            continue
        try:
            entries = os.listdir(path)
        except OSError as error:
            name = path.relative_to(folder).as_posix()
            raise BadFileError(name, f"cannot be read: {error.strerror}") from None
        below = [(path / entry).relative_to(folder).as_posix() for entry in entries]
        waiting += sorted((name for name in below if not leave_out(name)), reverse=True)


def read_hashes(folder: Path, name: str) -> Mapping[str, str]:
    """The hashes in one of a dataset's lists.

    Raises:
        BadFileError: it is not there, or no such list.
    """
    try:
        content = read_file(folder / name, most=MOST_TEXT, inside=folder)
        return read_listing(content.decode())
    except FileNotFoundError:
        raise BadFileError(name, "is not there") from None
    except (OSError, ValueError) as error:
        raise BadFileError(name, f"is no list of hashes: {error}") from None


def _check_batch(
    checker: LabelChecker,
    format_: Format,
    shard: Shard,
    crops: list[LabelledCrop],
    index: Mapping[str, NDArray[np.float64]],
) -> None:
    try:
        checker.check(crops, index)
    except WrongLabelError as wrong:
        crop = crops[wrong.row]
        file = f"index/{shard.number:06d}.parquet"
        if wrong.kind != "index":
            file = format_.file_of(wrong.kind, shard, crop.im_id, wrong.instance)
        where = f"(image {crop.im_id}, object {wrong.instance})"
        raise BadFileError(file, f"{wrong.problem} {where}") from None


def _check_annotations(
    name: str, crops: list[LabelledCrop], annotations: Mapping[int, list[Any]]
) -> None:
    for crop in crops:
        problem = annotation_problem(crop, annotations.get(crop.im_id, []))
        if problem:
            raise BadFileError(name, f"{problem} (image {crop.im_id})")


def _read_index(folder: Path, name: str) -> dict[str, NDArray[np.float64]]:
    """Columns of the index of a shard; (N,) numbers or (N, length) lists."""
    try:
        read = read_columns(folder / name, _INDEX, inside=folder)
        columns = {key: np.array(list(read[key]), np.float64) for key in _INDEX}
    except (OSError, TypeError, ValueError) as error:
        raise BadFileError(name, f"is no index: {error}") from None
    return columns


def _read_json(folder: Path, name: str) -> Any:
    return parse_json(read_file(folder / name, most=MOST_TEXT, inside=folder))


def _read_annotations(folder: Path, name: str) -> dict[int, list[Any]]:
    """A COCO file's annotations by image."""
    by_image: dict[int, list[Any]] = {}
    try:
        for entry in _read_json(folder, name)["annotations"]:
            by_image.setdefault(entry["image_id"], []).append(entry)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadFileError(name, f"is no COCO file: {error}") from None
    return by_image
