"""Labelled crops, as estimators learn from them and are tested on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.align import straight_rotations
from cad_models import CadModel
from render_adapt import DatasetError
from render_adapt._align.source import DenseCrops, dense_crops
from render_adapt._pairs.posed_crops import read_posed_crops
from render_adapt._paper.scenarios.data_files import read_labels, read_rgb
from render_adapt._paper.scenarios.linemod_crops import OBJECTS, SIZE, TURNED_ABOUT_Z
from renderer import matrix_from_quaternion, quaternion_from_matrix, turn_towards

_HELD_OUT, _LEAST_SHARE = 500, 0.1


@dataclass(frozen=True)
class LabelledCrops:
    """N crops of a training set."""

    dense: DenseCrops
    """Pictures, objects, masks and object coordinates."""
    quaternion: NDArray[np.float32]
    """(N, 4), unit, w, x, y, z: the pose as a camera sees it that looks straight at the crop's
    middle, which is all that a crop tells."""

    def __len__(self) -> int:
        return len(self.dense)

    def __getitem__(self, rows: NDArray[np.int64]) -> LabelledCrops:
        dense = DenseCrops(**{name: value[rows] for name, value in vars(self.dense).items()})
        return LabelledCrops(dense, self.quaternion[rows])

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(N, 3, 3)."""
        return matrix_from_quaternion(self.quaternion.astype(np.float64))


@dataclass(frozen=True)
class RealCrops:
    """N real crops with their labels."""

    rgb: NDArray[np.uint8]
    """(N, 64, 64, 3)."""
    object_index: NDArray[np.int64]
    """(N,), position in `OBJECTS`."""
    rotation: NDArray[np.float64]
    """(N, 3, 3), as labelled: as the camera saw the object (egocentric)."""
    straight: NDArray[np.float64]
    """(N, 3, 3), as a camera sees it that looks straight at the crop's middle (allocentric); NaN
    where the object's place is not known."""

    def __len__(self) -> int:
        return len(self.rgb)


def read_set(folder: Path, models: Sequence[CadModel], count: int, threads: int) -> LabelledCrops:
    """The first crops of a dataset that `render-adapt` wrote, at most so many.

    Object coordinates are drawn in the poses that the dataset states.

    Args:
        folder: the dataset's.
        models: `OBJECTS`.
        count: at most.
        threads: of the processor.

    Raises:
        DatasetError: it cannot be read, or is of other objects, or of crops of another size.
    """
    _refuse_others(folder, models)
    crops = read_posed_crops(folder, models, SIZE, count)
    straight = quaternion_from_matrix(straightened(crops.rotation, crops.camera_matrix))
    return LabelledCrops(dense_crops(crops, models, threads), straight.astype(np.float32))


def joined(parts: Sequence[LabelledCrops]) -> LabelledCrops:
    """One after the other."""
    names = vars(parts[0].dense)
    dense = {name: np.concatenate([vars(one.dense)[name] for one in parts]) for name in names}
    return LabelledCrops(DenseCrops(**dense), np.concatenate([one.quaternion for one in parts]))


def held_out(crops: LabelledCrops) -> tuple[LabelledCrops, LabelledCrops]:
    """Crops to learn from, and 500 others (a tenth at most) by which it is seen how well: the same
    for every estimator and seed."""
    order = np.random.default_rng(0).permutation(len(crops))
    count = max(1, min(_HELD_OUT, int(_LEAST_SHARE * len(crops))))
    return crops[order[count:]], crops[order[:count]]


def straightened(rotation: NDArray[np.float64], camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) poses as cameras see them that look straight at the middles of the crops.

    Args:
        rotation: (N, 3, 3), as the crops' own cameras see them.
        camera: (N, 3, 3), their K, counted from the corner.
    """
    middle = (SIZE / 2 - camera[:, :2, 2]) / camera[:, [0, 1], [0, 1]]
    return np.asarray(np.swapaxes(turn_towards(middle), 1, 2) @ rotation)


def read_real(linemod: Path, folder: Path, each: int | None = None) -> RealCrops:
    """Real crops with their labels.

    Args:
        linemod: the folder with `frames/` and `models/`.
        folder: `poses.json` and a folder of pictures for each object, as in `crops/test`.
        each: so many of each object at most, spread evenly over its frames.

    Raises:
        SettingError: labels or a picture cannot be read.
    """
    labels = read_labels(folder / "poses.json")
    # An absolute path stands in for the split's name.
    known = straight_rotations(linemod, str(folder.resolve()))
    unknown = np.full((3, 3), np.nan)
    frames = [(name, frame) for name in OBJECTS for frame in spread(labels.get(name, ()), each)]
    quaternions = np.array([labels[name][frame] for name, frame in frames])
    turned = np.stack([TURNED_ABOUT_Z.get(name, np.eye(3)) for name, _ in frames])
    return RealCrops(
        rgb=np.stack([read_rgb(folder / name / f"{frame}.png") for name, frame in frames]),
        object_index=np.array([OBJECTS.index(name) for name, _ in frames]),
        rotation=matrix_from_quaternion(quaternions) @ turned,
        straight=np.stack([known.get(frame, unknown) for frame in frames]),
    )


def spread(frames: Iterable[str], count: int | None) -> list[str]:
    """So many of frames at most, evenly spread over them; all if no count is given."""
    some = list(frames)
    taken = min(count or len(some), len(some))
    return [some[number * len(some) // taken] for number in range(taken)]


def _refuse_others(folder: Path, models: Sequence[CadModel]) -> None:
    known = {model.name: model.sha256 for model in models}
    objects = json.loads((folder / "manifest.json").read_text())["objects"]
    for name, about in objects.items():
        if known.get(name) != about["sha256"]:
            raise DatasetError(
                f"{folder} shows {name}, which is none of {', '.join(known)} as they are in "
                "LINEMOD's models: make it with `models` DATA/linemod/models"
            )
