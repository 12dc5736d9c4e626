"""What a system of the paper is trained and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from adapter import LabelledCrops


@dataclass(frozen=True)
class Scenario:
    """A labelled source domain and a target domain, in the paper's splits."""

    name: str
    """As the tables call it."""
    task: Literal["digits", "pose"]
    """Which task tower, and so which metrics."""
    source: LabelledCrops
    """The labelled source domain."""
    source_validation: LabelledCrops
    """Source crops held out of training, for choosing a model without target labels."""
    target: NDArray[Any]
    """(M, C, H, W), the target's training crops without their labels: those of `target_train`, and
    for LineMod after them those of `target_validation`."""
    target_train: LabelledCrops
    """The first of these crops with labels, for target-only and semi-supervised training alone."""
    target_validation: LabelledCrops
    """Target crops held out of training; their labels choose a model as the paper's authors did."""
    target_test: LabelledCrops
    """What the figures are measured on."""
