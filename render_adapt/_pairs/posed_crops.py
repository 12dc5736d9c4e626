"""Crops of a dataset of ours, as they look and as they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._formats.pixel_centre import INSIDE, recounted
from render_adapt._readers.load import load
from render_adapt._runs.manifest import read_manifest
from renderer import matrix_from_quaternion


@dataclass(frozen=True)
class PosedCrops:
    """N crops of S x S pixels with their poses."""

    rgb: NDArray[np.uint8]
    """(N, S, S, 3)."""
    shown: NDArray[np.bool_]
    """(N, S, S), where the object is seen."""
    object_index: NDArray[np.int64]
    """(N,), position among the models."""
    rotation: NDArray[np.float64]
    """(N, 3, 3)."""
    translation: NDArray[np.float64]
    """(N, 3), millimetres."""
    camera_matrix: NDArray[np.float64]
    """(N, 3, 3), each crop's K, pixels counted from the corner."""

    def __len__(self) -> int:
        return len(self.rgb)


def read_posed_crops(
    folder: Path, models: Sequence[CadModel], size: int, most: int | None = None
) -> PosedCrops:
    """The crops of a dataset that show some objects.

    Args:
        folder: the dataset's.
        models: the objects; crops of others are left out.
        size: pixels of the crops.
        most: so many of these crops at most, the first ones.

    Raises:
        DatasetError: the dataset cannot be read, or has no crop of these models, or of other ones
            with the same names, or crops of another size.
    """
    _refuse_other_models(folder, models)
    dataset = load(folder)
    names = [model.name for model in models]
    shown_objects = np.asarray(dataset.columns["object"])
    ours = np.flatnonzero(np.isin(shown_objects, names))[:most]
    if not len(ours):
        raise DatasetError(f"{folder} has no crop of {', '.join(names)}: name what it shows")
    rgb = np.empty((len(ours), size, size, 3), np.uint8)
    shown = np.empty((len(ours), size, size), np.bool_)
    for place, row in enumerate(ours):
        crop = dataset[int(row)]
        if crop.rgb.shape != rgb.shape[1:]:
            raise DatasetError(f"{folder} has crops of another size: make it with `size` {size}")
        rgb[place], shown[place] = crop.rgb, crop.mask_visib[0]
    written = np.asarray(dataset.columns["camera_matrix"])[ours].reshape(-1, 3, 3)
    return PosedCrops(
        rgb=rgb,
        shown=shown,
        object_index=np.array([names.index(name) for name in shown_objects[ours]]),
        rotation=matrix_from_quaternion(np.asarray(dataset.columns["quaternion"])[ours]),
        translation=np.asarray(dataset.columns["translation"])[ours].astype(np.float64),
        camera_matrix=recounted(written, dataset[0].pixel_centre, INSIDE),
    )


def _refuse_other_models(folder: Path, models: Sequence[CadModel]) -> None:
    objects = read_manifest(folder).get("objects")
    for model in models:
        about = objects.get(model.name) if isinstance(objects, dict) else None
        if isinstance(about, dict) and about.get("sha256") != model.sha256:
            raise DatasetError(
                f"{folder} shows another model of {model.name} than this: give the one that it "
                "was made with, or make it anew"
            )
