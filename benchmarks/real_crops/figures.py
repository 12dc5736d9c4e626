"""How far estimates are from labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapter import angle_degrees
from benchmarks.real_crops.crops import RealCrops
from render_adapt._paper.scenarios.linemod_crops import OBJECTS
from renderer import quaternion_from_matrix

WITHIN = (5, 10, 20)
"""Degrees."""
WITHOUT_POSE = 180.0
"""Degrees that a crop is off of which no pose was found."""


@dataclass(frozen=True)
class Estimates:
    """What an estimator says of N crops."""

    object_index: NDArray[np.int64]
    """(N,), position in `OBJECTS`."""
    rotation: NDArray[np.float64]
    """(N, 3, 3), as a camera sees it that looks straight at the crop's middle."""
    found: NDArray[np.bool_]
    """(N,), whether there is a pose."""


def angles_off(
    said: Estimates,
    rotation: NDArray[np.float64],
    object_index: NDArray[np.int64],
    symmetries: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N,) degrees that rotations are off, whatever object was said.

    Args:
        said: of N crops; 180 degrees where no pose was found.
        rotation: (N, 3, 3), what is true; NaN where it is not known, which gives NaN.
        object_index: (N,), what is true.
        symmetries: (objects, S, 4), of which the nearest counts.
    """
    known = np.isfinite(rotation[:, 0, 0])
    true = quaternion_from_matrix(np.where(known[:, None, None], rotation, np.eye(3)))
    off = angle_degrees(
        torch.from_numpy(quaternion_from_matrix(said.rotation)), torch.from_numpy(true),
        torch.from_numpy(symmetries[object_index]),
    ).numpy()  # fmt: skip
    return np.where(known, np.where(said.found, off, WITHOUT_POSE), np.nan)


def figures(said: Estimates, true: RealCrops, symmetries: NDArray[np.float64]) -> dict[str, Any]:
    """Errors as labelled and allocentric, of all crops and by object.

    Args:
        said: of N crops.
        true: their labels.
        symmetries: (objects, S, 4).
    """
    right = said.object_index == true.object_index
    off = {
        "as_labelled": angles_off(said, true.rotation, true.object_index, symmetries),
        "allocentric": angles_off(said, true.straight, true.object_index, symmetries),
    }
    everything = np.ones(len(true), np.bool_)
    rows = {"all": everything} | {
        name: true.object_index == number for number, name in enumerate(OBJECTS)
    }
    known = np.isfinite(off["allocentric"])
    return {
        group: {
            "crops": int(here.sum()),
            "class_percent": _rounded(100 * right[here].mean()),
            "without_pose_percent": _rounded(100 * (~said.found[here]).mean()),
            "as_labelled": summary(off["as_labelled"][here], right[here]),
            "allocentric": summary(off["allocentric"][here & known], right[here & known]),
            "known_as_labelled": summary(off["as_labelled"][here & known], right[here & known]),
        }
        for group, here in rows.items()
        if here.any()
    }


def summary(off: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, float] | None:
    """Mean and median, and the percentage of crops that are of the right object and within so many
    degrees; None of no crops.

    Args:
        off: (N,) degrees.
        right: (N,), whether the object is right.
    """
    if not len(off):
        return None
    shares = {f"within_{most}": _rounded(100 * (right & (off <= most)).mean()) for most in WITHIN}
    return {
        "crops": len(off), "mean": _rounded(off.mean()), "median": _rounded(np.median(off)),
        **shares,
    }  # fmt: skip


def _rounded(value: float) -> float:
    return round(float(value), 3)
