"""The readers that need a library of their own, which is imported when they are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checked_settings import MissingDependency
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._stores.address import StoreAddress, place_of

if TYPE_CHECKING:
    import webdataset

    from render_adapt._readers.torch_dataset import CropDataset


def torch_dataset(
    path: Path | str | StoreAddress,
    *,
    format: str | None = None,
    split: str | None = None,
    transform: Callable[[LabelledCrop], Any] | None = None,
) -> CropDataset:
    """A dataset for PyTorch's DataLoader, with any number of workers, in any order.

        loader = DataLoader(render_adapt.torch_dataset("dataset"), 64, shuffle=True, num_workers=4)

    Args:
        path: the dataset's folder, or its address in an object store.
        format, split: as for `render_adapt.load`.
        transform: makes of each crop what is to be in a batch. If not given, a dict of tensors:
            rgb (3, H, W) uint8; depth (1, H, W) float32, millimetres; mask and mask_visib (H, W)
            bool; camera_matrix, rotation (3, 3), quaternion (4,), translation (3,), visib_fract
            and pixel_centre, which says how camera_matrix counts pixels (`LabelledCrop`), float32;
            bbox_obj, bbox_visib (4,), object_id, scene_id and im_id int64; of the target.

    Raises:
        MissingDependency: torch is not installed.
        DatasetError: as for `render_adapt.load`.
    """
    try:
        from render_adapt._readers.torch_dataset import CropDataset
    except ModuleNotFoundError as error:
        raise _missing(error, "torch_dataset", "torch") from None
    return CropDataset(place_of(path), format, transform, split)


def webdataset_pipeline(
    path: Path | str | StoreAddress,
    *,
    shuffle: int = 0,
    split: str | None = None,
    transform: Callable[[LabelledCrop], Any] | None = None,
) -> webdataset.FluidWrapper:
    """A pipeline that streams a dataset's tar files, with `.batched()`, `.map()` and so on.

        pipeline = render_adapt.webdataset_pipeline("dataset", shuffle=1000)
        loader = DataLoader(pipeline.batched(64), batch_size=None, num_workers=4)

    Every crop comes once an epoch, whatever the number of nodes (torch.distributed) and workers:
    each takes tar files of its own. Nodes may have tar files to a different number, and then crops
    to a different number too. Orders follow from `torch.manual_seed` and differ between epochs.

    Args:
        path: the dataset's folder, or its address in an object store.
        shuffle: tar files come in random order, and crops are shuffled within as many as this; 0
            keeps the order of the dataset.
        split: as for `render_adapt.load`.
        transform: as for `torch_dataset`.

    Raises:
        MissingDependency: webdataset or torch is not installed.
        DatasetError: as for `render_adapt.load`; while reading, that a crop is damaged.
    """
    try:
        from render_adapt._readers.webdataset_pipeline import make_pipeline
    except ModuleNotFoundError as error:
        raise _missing(error, "webdataset_pipeline", "webdataset", "torch") from None
    return make_pipeline(place_of(path), shuffle, transform, split)


def _missing(error: ModuleNotFoundError, reader: str, *needed: str) -> Exception:
    """What to say of a module that is not there; the error itself if it is none of ours."""
    if error.name not in needed:
        return error
    return MissingDependency(reader, error.name, " ".join(needed))
