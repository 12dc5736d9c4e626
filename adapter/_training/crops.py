"""The crops that a training learns from: checked, described, and drawn in batches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from adapter._batches import LabelledBatch, Rows
from adapter._errors import AdapterError
from adapter._settings.pixelda import LabelledCrops
from adapter._training.device import Images, labelled_batches


@dataclass(frozen=True)
class Crops:
    """What a run is trained on."""

    source: LabelledCrops
    target: NDArray[Any]
    """(M, C, H, W) in [-1, 1], unlabelled."""
    labelled_target: LabelledCrops | None = None

    def describe(self) -> dict[str, str]:
        """What a checkpoint says of the crops, to build its networks again."""
        channels, size = self.source.images.shape[1:3]
        return {
            "channels": str(channels),
            "size": str(size),
            "class_names": json.dumps(self.source.class_names),
        }


class Drawn(Protocol):
    """Settings that say how batches are drawn."""

    @property
    def batch(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def device(self) -> str: ...


class Batches:
    """Batches of each kind of crops, each a pure function of (seed, draw).

    Args:
        crops: what they are drawn from.
        config: how large they are, and where they shall lie.
        source, target, labelled_target: the random streams of their orders.
        with_target: whether target crops are drawn at all.
    """

    def __init__(
        self,
        crops: Crops,
        config: Drawn,
        *,
        source: int,
        target: int,
        labelled_target: int | None = None,
        with_target: bool = True,
    ) -> None:
        n, seed, device = config.batch, config.seed, config.device
        self._source = labelled_batches(crops.source, n, seed, source, device)
        self._target = Images(crops.target, device) if with_target else None
        self._rows = Rows(len(crops.target), n, seed, target)
        self._labelled = None
        if crops.labelled_target is not None and labelled_target is not None:
            self._labelled = labelled_batches(
                crops.labelled_target, n, seed, labelled_target, device
            )

    def source(self, draw: int) -> LabelledBatch:
        """Source crops with their labels."""
        return self._source.draw(draw)

    def target(self, draw: int) -> Tensor:
        """As many target crops, (N, C, H, W), which belong to none of the source's."""
        assert self._target is not None
        return self._target.at(self._rows.draw(draw))

    def labelled_target(self, draw: int) -> LabelledBatch | None:
        """As many target crops with labels, where there are any."""
        return None if self._labelled is None else self._labelled.draw(draw)


def check_alike(source: LabelledCrops, target: NDArray[Any]) -> None:
    """Refuse domains of different shapes.

    Raises:
        AdapterError: source crops and target crops (M, C, H, W) do not go together.
    """
    if source.images.shape[1:] != target.shape[1:]:
        raise AdapterError(
            f"source crops are {source.images.shape[1:]} (channels, height, width) and target "
            f"crops {target.shape[1:]}; they must be alike"
        )


def check_two_of_each(source: LabelledCrops, target: NDArray[Any]) -> None:
    """Refuse domains of one crop.

    Raises:
        AdapterError: there are too few source crops or target crops (M, C, H, W).
    """
    if len(source) < 2 or len(target) < 2:
        raise AdapterError(
            f"there are {len(source)} source and {len(target)} target crops; at least 2 of each "
            "are needed"
        )


def check_labelled_target(source: LabelledCrops, labelled: LabelledCrops) -> None:
    """Refuse labelled target crops that do not go with the source.

    Raises:
        AdapterError: other classes or another shape.
    """
    if labelled.class_names != source.class_names:
        raise AdapterError(
            f"the labelled target crops are of {', '.join(labelled.class_names)} and the source "
            f"crops of {', '.join(source.class_names)}; the classes must be the same"
        )
    if labelled.images.shape[1:] != source.images.shape[1:]:
        raise AdapterError(
            f"labelled target crops are {labelled.images.shape[1:]} (channels, height, width) and "
            f"source crops {source.images.shape[1:]}; they must be alike"
        )
