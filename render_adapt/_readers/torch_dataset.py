"""Datasets for PyTorch: any crop in any order, shared among workers by the DataLoader's sampler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset as TorchDataset

from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._readers.load import Dataset
from render_adapt._stores.address import StoreAddress


class CropDataset(TorchDataset[Any]):
    """See `render_adapt.torch_dataset`."""

    def __init__(
        self,
        place: Path | StoreAddress,
        format: str | None,
        transform: Callable[[LabelledCrop], Any] | None,
        split: str | None,
    ) -> None:
        self.crops = Dataset(place, format, split)
        self._transform = transform or target_tensors

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, number: int) -> Any:
        return self._transform(self.crops[number])


def target_tensors(crop: LabelledCrop) -> dict[str, torch.Tensor]:
    """A crop with the labels of its target, all of one size, so that batches can be made of them.

    Returns:
        rgb (3, H, W) uint8; depth (1, H, W) float32, millimetres, 0 = no measurement; mask and
        mask_visib (H, W) bool; camera_matrix (3, 3), pixel_centre (), rotation (3, 3), quaternion
        (4,), translation (3,), visib_fract () float32; bbox_obj and bbox_visib (4,), object_id,
        scene_id and im_id () int64.
    """
    labels = {
        "camera_matrix": crop.camera_matrix,
        "pixel_centre": crop.pixel_centre,
        "rotation": crop.rotation[0],
        "quaternion": crop.quaternion[0],
        "translation": crop.translation[0],
        "visib_fract": crop.visib_fract[0],
    }
    numbers = {
        "bbox_obj": crop.bbox_obj[0],
        "bbox_visib": crop.bbox_visib[0],
        "object_id": crop.object_id[0],
        "scene_id": crop.scene_id,
        "im_id": crop.im_id,
    }
    return {
        "rgb": torch.from_numpy(crop.rgb).permute(2, 0, 1).contiguous(),
        "depth": torch.from_numpy(crop.depth)[None],
        "mask": torch.from_numpy(crop.mask[0]),
        "mask_visib": torch.from_numpy(crop.mask_visib[0]),
        **{name: torch.as_tensor(value, dtype=torch.float32) for name, value in labels.items()},
        **{name: torch.as_tensor(value, dtype=torch.int64) for name, value in numbers.items()},
    }
