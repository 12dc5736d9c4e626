"""What a model looks like, straight from one side, in its own colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import RasterRenderer, plans_from_poses

_TOP = np.diag([1.0, -1.0, -1.0])
_BOTTOM = np.eye(3)


def from_above(model: CadModel) -> NDArray[np.uint8]:
    """(64, 64, 3) RGB of the side with the largest z: x to the right, y up, the box of the mesh in
    the middle and half as wide as the picture where it is a cube."""
    return _seen(model, _TOP)


def from_below(model: CadModel) -> NDArray[np.uint8]:
    """(64, 64, 3) RGB of the side with the smallest z: x to the right, y down."""
    return _seen(model, _BOTTOM)


def _seen(model: CadModel, rotation: NDArray[np.float64]) -> NDArray[np.uint8]:
    largest = float(np.ptp(model.bounds, axis=0).max())
    # From so far away that nothing of the other sides is seen.
    plans = plans_from_poses(
        [model], [0], [rotation], 100 * largest, size=64, window=2 * largest, canonical=False,
        light_color=0.0, ambient_color=1.0,
    )  # fmt: skip
    return RasterRenderer([model], levels=False).render(plans).rgb[0]
