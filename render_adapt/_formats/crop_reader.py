"""Reading single crops of a dataset, wherever they lie in its files.

What was looked up of a file, where its crops begin, is kept: a few kilobytes for each shard. Files
are opened anew for each crop, so that readers can be copied to other processes.
"""

from __future__ import annotations

import abc
import tarfile
from pathlib import Path

from render_adapt._exceptions import DatasetError
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._formats.shard import Shard

_DAMAGED = (
    LookupError, TypeError, ValueError, OverflowError, AttributeError,
    tarfile.TarError,
)  # fmt: skip


class CropReader(abc.ABC):
    """Reads crops of one dataset, in one format."""

    def __init__(self, dataset: Path) -> None:
        self.dataset = dataset

    def read(self, shard: Shard, im_id: int) -> LabelledCrop:
        """One crop.

        Raises:
            DatasetError: one of its files is missing or damaged.
        """
        try:
            return self.read_unchecked(shard, im_id)
        except OSError as error:
            raise DatasetError(f"cannot read {error.filename}: {error.strerror}") from None
        except _DAMAGED as error:
            raise DatasetError(
                f"image {im_id} of scene {shard.number} in {self.dataset} is damaged ({error}): "
                f"render-adapt verify {self.dataset} names what is"
            ) from None

    @abc.abstractmethod
    def read_unchecked(self, shard: Shard, im_id: int) -> LabelledCrop:
        """One crop, as `read` gives it; it may raise what parsing raises, and OSError."""
