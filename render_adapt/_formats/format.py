"""The seam between datasets and how they lie on disk."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path

from cad_models import CadModel
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.crop_reader import CropReader
from render_adapt._formats.image import RgbKind
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import Shard
from render_adapt._formats.shard_writer import ShardWriter


class Format(abc.ABC):
    """A way in which datasets lie on disk: all in which formats differ.

    A package of your own may bring one: an entry point of the group `render_adapt.formats`, called
    as the format is, that names an object of a class like this (docs/extending.md).

    Convention:
        Whatever belongs to shard s is one file or one folder, `entry(s)`, in a folder of the
        dataset; what does not belong to a shard is written by `finish`. A shard's number stands in
        the entry's own name, with six digits; no two shards have one, whatever their splits.
    """

    name: str
    """What `--format` calls it: letters, digits and dashes."""
    needs: str | None = None
    """Another format, without which it is not written: it is made of that one's files, or names
    them."""
    reads_shards: bool = False
    """Whether `finish` reads what shards have written, which is not here where `out` is an object
    store."""
    of_one_camera: bool = False
    """Whether all pictures must have one K, as whole frames have."""

    @abc.abstractmethod
    def entry(self, shard: Shard) -> str | None:
        """The name of a shard's file or folder, relative to the dataset, as `train/000003`; None
        where there is none."""

    @abc.abstractmethod
    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> ShardWriter | None:
        """What writes a shard; None where it has no entry.

        Args:
            prepared: where it is written, with names as in the dataset; the folder that `entry`
                lies in is there.
            shard: which.
            models: the run's.
            pixel_centre: of the K that is written (`RunConfig.pixel_centre`).
            rgb: what colour pictures are written as (`RunConfig.rgb`).
        """

    @abc.abstractmethod
    def reader(self, dataset: Path) -> CropReader | None:
        """What reads a dataset's crops again; None of a format that holds too little of them, of
        which hashes alone are verified."""

    @abc.abstractmethod
    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """Where something of an image stands, for a message about it.

        Args:
            kind: camera, gt, gt_info, depth, mask, mask_visib or coco.
            shard, image, instance: whose it is.
        """

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Write what belongs to all shards, the same bytes whenever it is called.

        Args:
            out: the dataset's folder, its shards committed and their index written.
            crops: how many each shard has.

        Returns:
            The names of the files, relative to the folder; of `shared`.
        """
        return []

    shared: tuple[str, ...] = ()
    """What `finish` may write: files, or folders of them."""

    def annotations(self, shard: Shard) -> str | None:
        """The name of a shard's COCO file, where it has one."""
        return None


class MergeableFormat(Format):
    """A format whose shards can be carried to another dataset; others are left out where datasets
    are merged."""

    @abc.abstractmethod
    def carry(self, shard: CarriedShard) -> None:
        """Write a shard of another dataset as one of this.

        What does not hang on the shard's number, or on those of its objects, stays to the byte.

        Args:
            shard: what is read, and where it is written.

        Raises:
            LookupError, TypeError, ValueError, AttributeError: what is read is not as it is written
                here.
        """


class DerivedFormat(MergeableFormat):
    """A format that is made of what another wrote, by `finish` alone, once all shards are there."""

    def carry(self, shard: CarriedShard) -> None:
        """Nothing: it is made anew."""

    def entry(self, shard: Shard) -> None:
        """None."""
        return None

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> None:
        """None."""
        return None

    def reader(self, dataset: Path) -> None:
        """None."""
        return None

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """The first of its files, since none is of an image."""
        return self.shared[0]
