"""Feeding a GPU without making it wait: crops that lie there, copies that run beside its work."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapter._batches import LabelledBatch, LabelledBatches, Rows, labelled_batch
from adapter._settings.pixelda import LabelledCrops


def to_device(tensor: Tensor, device: str) -> Tensor:
    """The tensor on `device`, copied there without waiting for what the GPU is doing."""
    if device == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Images:
    """(N, C, H, W) images of which batches are drawn, on the GPU as a whole where they fit.

    They lie there in their own type, half of float32's size for float16.
    """

    def __init__(self, images: NDArray[Any], device: str) -> None:
        self.device = device
        self.images: NDArray[Any] | Tensor = images
        if _fit_on(device, images):
            self.images = torch.from_numpy(np.array(images)).to(device)

    def at(self, rows: NDArray[np.int64]) -> Tensor:
        """The images at `rows`, float32, on the device."""
        if isinstance(self.images, Tensor):
            return self.images[to_device(torch.from_numpy(rows), self.device)].float()
        images = np.ascontiguousarray(self.images[rows], dtype=np.float32)
        return to_device(torch.from_numpy(images), self.device)


def _fit_on(device: str, images: NDArray[Any]) -> bool:
    """Whether the images leave enough of a GPU's memory to train in."""
    return device == "cuda" and images.nbytes < torch.cuda.mem_get_info()[0] // 4


class ResidentBatches:
    """The batches that `LabelledBatches` draws, from crops that lie on the device."""

    def __init__(
        self, crops: LabelledCrops, batch: int, seed: int, stream: int, device: str
    ) -> None:
        self.device = device
        self.rows = Rows(len(crops), batch, seed, stream)
        self.images = Images(crops.images, device)
        without_images = dataclasses.replace(crops, images=crops.images[:, :0])
        self.labels = labelled_batch(without_images, np.arange(len(crops)), device)

    def draw(self, draw: int) -> LabelledBatch:
        """Batch number `draw`."""
        rows = self.rows.draw(draw)
        places = to_device(torch.from_numpy(rows), self.device)
        labels = {k: v[places] for k, v in vars(self.labels).items() if v is not None}
        return dataclasses.replace(self.labels, **(labels | {"x": self.images.at(rows)}))


def labelled_batches(
    crops: LabelledCrops, batch: int, seed: int, stream: int, device: str
) -> LabelledBatches | ResidentBatches:
    """Batches of labelled crops, from where they are drawn fastest."""
    kind = ResidentBatches if device == "cuda" else LabelledBatches
    return kind(crops, batch, seed, stream, device)
