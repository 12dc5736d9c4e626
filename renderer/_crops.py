"""The two things every renderer speaks of: plans (what to render) and crops (what came out)."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from checked_settings import RenderAdaptError


class RenderError(RenderAdaptError, ValueError):
    """A crop cannot be rendered as asked; the message says which, why and what to do."""


class _Rows:
    """A structure of arrays whose first axis is the crops'."""

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """The same of some crops."""
        parts = {
            name: value[rows] if isinstance(value, (np.ndarray, _Rows)) else value
            for name, value in vars(self).items()
        }
        return type(self)(**parts)


@dataclass(frozen=True)
class Instances(_Rows):
    """Objects in a crop beside its target: occluders and neighbours, or a frame's other objects.

    Convention:
        As for `Plans`; crops with fewer than K of them have -1 in the last places.
    """

    object_index: NDArray[np.int32]
    """(N, K), position in the list of models that the plans were made for; -1 where there is
    none."""
    rotation: NDArray[np.float64]
    """(N, K, 3, 3), `cam_R_m2c`; the identity where there is none."""
    translation: NDArray[np.float64]
    """(N, K, 3), `cam_t_m2c`, millimetres; 0 where there is none."""

    @staticmethod
    def none(count: int) -> Instances:
        """Of `count` crops that show their target alone."""
        return Instances(
            object_index=np.empty((count, 0), np.int32),
            rotation=np.empty((count, 0, 3, 3)),
            translation=np.empty((count, 0, 3)),
        )


@dataclass(frozen=True)
class Surfaces(_Rows):
    """What the objects' surfaces look like, of the target (place 0) and of the K others.

    A point's colour is that of the model, or of a swapped-in texture, times `gain`, times what
    reaches it of the lights, plus specular x light x max(0, n . h)^shininess for each light that
    reaches it, n . l > 0 (Blinn 1977; h is half-way between the directions to light and camera).
    """

    gain: NDArray[np.float32]
    """(N, 1 + K, 3), factors of red, green and blue; 1 is the model's own colour."""
    specular: NDArray[np.float32]
    """(N, 1 + K), strength of highlights; 0 is matt, 1 as bright as the light."""
    shininess: NDArray[np.float32]
    """(N, 1 + K), Blinn's exponent; the larger, the smaller a highlight."""
    texture: NDArray[np.int32]
    """(N, 1 + K), the picture that is swapped in, as a position in the renderer's list; -1 is the
    model's own colour."""
    texture_period: NDArray[np.float32]
    """(N, 1 + K), millimetres of the model that a swapped-in picture's width covers. It is
    projected along the model's x, y or z, whichever the surface faces most."""

    @staticmethod
    def plain(count: int, others: int = 0) -> Surfaces:
        """Matt, with the models' own colours."""
        shape = (count, 1 + others)
        return Surfaces(
            gain=np.ones((*shape, 3), np.float32),
            specular=np.zeros(shape, np.float32),
            shininess=np.full(shape, 20.0, np.float32),
            texture=np.full(shape, -1, np.int32),
            texture_period=np.full(shape, 50.0, np.float32),
        )


@dataclass(frozen=True)
class Plans(_Rows):
    """What N crops contain, as a structure of arrays. A full frame is a crop with more objects.

    Convention:
        Millimetres. Camera axes as in OpenCV: x right, y down, z forward. Poses are
        model-to-camera: X_camera = rotation @ X_model + translation.
        Pixel (0, 0) covers [0, 1) x [0, 1); its centre is at (0.5, 0.5) in the coordinates of K.
    """

    index: NDArray[np.int64]
    """(N,), each crop's number within its run."""
    object_index: NDArray[np.int32]
    """(N,), the target: position in the list of models that the plans were made for."""
    rotation: NDArray[np.float64]
    """(N, 3, 3), the target's `cam_R_m2c`."""
    translation: NDArray[np.float64]
    """(N, 3), the target's `cam_t_m2c`, millimetres."""
    others: Instances
    """What is in the crop beside its target."""
    camera_matrix: NDArray[np.float64]
    """(N, 3, 3), the crop's own K."""
    centre_depth: NDArray[np.float64]
    """(N,), z of the target's centre: the distance at which the crop's window is measured."""
    light_direction: NDArray[np.float32]
    """(N, L, 3), unit, camera frame, from the objects towards each of the lights."""
    light_color: NDArray[np.float32]
    """(N, L, 3), RGB intensity of each light, 1 = full, 0 = off."""
    ambient_color: NDArray[np.float32]
    """(N, 3), RGB intensity of the ambient light, 1 = full."""
    surfaces: Surfaces
    """What the objects look like."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> int:
        """Side of square crops, pixels.

        Raises:
            RenderError: they are not square.
        """
        if self.width != self.height:
            raise RenderError(
                f"square crops are needed here and these are {self.width} x {self.height} pixels: "
                "plan them with one size"
            )
        return self.width


@dataclass(frozen=True)
class CropBatch(_Rows):
    """N rendered (or adapted) crops with their labels, as a structure of arrays.

    A pixel belongs to the object that is nearest at its centre.
    """

    plans: Plans
    rgb: NDArray[np.uint8]
    """(N, H, W, 3), RGB, black where there is no surface."""
    depth: NDArray[np.float32]
    """(N, H, W), z in millimetres of what is seen, 0 where there is no surface or no
    measurement."""
    object_depth: NDArray[np.float32]
    """(N, H, W), z in millimetres of the target alone, as if nothing stood before it; 0 elsewhere.
    """
    mask: NDArray[np.bool_]
    """(N, H, W), the target's whole silhouette."""
    mask_visib: NDArray[np.bool_]
    """(N, H, W), what is seen of it."""
    others_mask: NDArray[np.bool_]
    """(N, K, H, W), the whole silhouettes of the others."""
    others_mask_visib: NDArray[np.bool_]
    """(N, K, H, W), what is seen of them."""
    normals: NDArray[np.float32] | None = None
    """(N, H, W, 3), unit, camera frame, towards the camera: the smooth normal of what is seen of
    the target, 0 elsewhere."""
    object_coordinates: NDArray[np.float32] | None = None
    """(N, H, W, 3), where on the target a pixel's centre lies: 0 to 1 along x, y and z of its
    bounding box (as Wang et al., CVPR 2019, but for the scale of each axis); 0 where it is not
    seen."""
    exact_depth: NDArray[np.float32] | None = None
    """(N, H, W), `depth` as it was before a sensor measured it; None where it still is so."""

    def __len__(self) -> int:
        return len(self.plans)


class Renderer(abc.ABC):
    """Turns plans into crops. The seam between the pipeline and every rendering engine."""

    @abc.abstractmethod
    def render(self, plans: Plans, *, surface_maps: bool = False) -> CropBatch:
        """Render every plan; the result depends on the plans alone, not on how they are batched.

        Args:
            plans: N crops.
            surface_maps: whether normals and object coordinates are wanted.

        Raises:
            RenderError: a crop cannot be rendered as planned.
        """

    def silhouettes(self, plans: Plans) -> NDArray[np.bool_]:
        """(N, H, W), `CropBatch.mask` of every plan and nothing else, which may be quicker.

        Raises:
            RenderError: as for `render`.
        """
        return self.render(plans).mask

    @property
    def description(self) -> str:
        """What draws, for people; starts it where it is not started."""
        return "on the processor"

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what it holds of drivers, devices and processes, until it is used again."""
