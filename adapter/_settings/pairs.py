"""What a training on aligned crops learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError


@dataclass(frozen=True)
class AlignedPairs:
    """P crops of the camera beside renders in their poses.

    Raises:
        AdapterError: arrays whose shapes do not go together.
    """

    renders: NDArray[np.float32] | NDArray[np.float16]
    """(P, V, 4, H, W) in [-1, 1], on black, in V lights each; depth is far off the object."""
    real: NDArray[np.float32] | NDArray[np.float16]
    """(P, 3, H, W) in [-1, 1], what the camera saw."""
    backgrounds: NDArray[np.float32] | NDArray[np.float16]
    """(P, 3, H, W) in [-1, 1], the same without the object, and something in its place."""

    def __post_init__(self) -> None:
        shape = self.real.shape
        renders = self.renders.shape
        if len(renders) != 5 or (renders[0], 3, *renders[3:]) != shape or renders[2] != 4:
            raise AdapterError(f"renders {renders} and real crops {shape} do not go together")
        if self.backgrounds.shape != shape:
            raise AdapterError(f"backgrounds {self.backgrounds.shape} are not like {shape}")

    def __len__(self) -> int:
        return len(self.real)
