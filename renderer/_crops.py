"""The two things every renderer speaks of: plans (what to render) and crops (what came out)."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RenderError(ValueError):
    """A crop cannot be rendered as asked; the message says which, why and what to do."""


@dataclass(frozen=True)
class Plans:
    """What N crops contain, as a structure of arrays.

    Convention:
        Millimetres. Camera axes as in OpenCV: x right, y down, z forward. Poses are
        model-to-camera: X_camera = rotation @ X_model + translation.
        Pixel (0, 0) covers [0, 1) x [0, 1); its centre is at (0.5, 0.5) in the coordinates of K.
    """

    index: NDArray[np.int64]
    """(N,), each crop's number within its run."""
    object_index: NDArray[np.int32]
    """(N,), position in the list of models that the plans were made for."""
    rotation: NDArray[np.float64]
    """(N, 3, 3), `cam_R_m2c`."""
    translation: NDArray[np.float64]
    """(N, 3), `cam_t_m2c`, millimetres."""
    camera_matrix: NDArray[np.float64]
    """(N, 3, 3), the crop's own K."""
    centre_depth: NDArray[np.float64]
    """(N,), z of the object's centre: the distance at which the crop's window is measured."""
    light_direction: NDArray[np.float32]
    """(N, 3), unit, camera frame, from the object towards the key light."""
    light_color: NDArray[np.float32]
    """(N, 3), RGB intensity of the key light, 1 = full."""
    ambient_color: NDArray[np.float32]
    """(N, 3), RGB intensity of the ambient light, 1 = full."""
    size: int
    """Crops are `size` x `size` pixels."""

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Plans:
        """The plans of some rows, as `Plans` again."""
        parts = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return Plans(**parts, size=self.size)


@dataclass(frozen=True)
class CropBatch:
    """N rendered (or adapted) crops with their labels, as a structure of arrays."""

    plans: Plans
    rgb: NDArray[np.uint8]
    """(N, H, W, 3), RGB, black where there is no surface."""
    depth: NDArray[np.float32]
    """(N, H, W), z in millimetres, 0 where there is no surface or no measurement."""
    mask: NDArray[np.bool_]
    """(N, H, W), the object's whole silhouette."""
    mask_visib: NDArray[np.bool_]
    """(N, H, W), what is seen of it."""

    def __len__(self) -> int:
        return len(self.plans)


class Renderer(abc.ABC):
    """Turns plans into crops. The seam between the pipeline and every rendering engine."""

    @abc.abstractmethod
    def render(self, plans: Plans) -> CropBatch:
        """Render every plan; the result depends on the plans alone, not on how they are batched."""
