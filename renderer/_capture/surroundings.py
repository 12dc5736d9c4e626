"""What a camera saw around objects that it saw in nearly the pose of a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import Plans, RenderError
from renderer._pictures.folders import Photographs

_NEAREST = 3
"""Pictures of the nearest poses, of which one is taken."""
_STRETCHED = 2.5
"""Times that the ground may be as long, or as short, in a corner of the crop as in the picture."""


class Surroundings:
    """Pictures of known poses, which are drawn as another pose would show them.

    All that is around an object is taken to lie on the ground that it stands on, the plane through
    its least z: a picture is turned, moved and foreshortened as that plane is. Where the plane is
    seen too flatly for that, as near its horizon, it is turned, moved and scaled alone. Where a
    picture ends it is mirrored.

    Args:
        photographs: with their poses.
        models: the run's objects.

    Raises:
        RenderError: the poses are not known.
    """

    def __init__(
        self, photographs: Sequence[NDArray[np.uint8]], models: Sequence[CadModel]
    ) -> None:
        poses = photographs.poses if isinstance(photographs, Photographs) else None
        if poses is None:
            raise RenderError(
                "background has surroundings in it, and there is no poses.json beside the "
                "photographs: take photographs in their place, or a folder that an adapter has"
            )
        self._pictures, self._poses = photographs, poses
        self._names = [model.name for model in models]
        self._low = np.stack([_under(model) for model in models])
        known = {model.name: self._low[k] for k, model in enumerate(models)}
        middle: NDArray[np.float64] = self._low.mean(axis=0)
        self._picture_low = np.stack([known.get(name, middle) for name in poses.object])
        shown = np.array(poses.object)
        self._of = {name: np.flatnonzero(shown == name) for name in self._names}

    def behind(self, plans: Plans, row: int, draw: float) -> NDArray[np.uint8]:
        """(H, W, 3), what is behind and around one crop's target.

        Args:
            plans: of the crops.
            row: which.
            draw: 0 to 1, decides between the nearest.
        """
        which = int(plans.object_index[row])
        candidates = self._of[self._names[which]]
        if not len(candidates):
            candidates = np.arange(len(self._poses))
        rotation = plans.rotation[row]
        # The trace grows as the angle falls.
        traces = np.einsum("pij,ij->p", self._poses.rotation[candidates], rotation)
        nearest = candidates[np.argsort(-traces, kind="stable")[:_NEAREST]]
        chosen = int(nearest[int(draw * len(nearest))])
        poses = self._poses
        here = _View(
            rotation, plans.translation[row], plans.camera_matrix[row], self._low[which]
        )  # fmt: skip
        there = _View(
            poses.rotation[chosen], poses.translation[chosen], poses.camera_matrix[chosen],
            self._picture_low[chosen],
        )  # fmt: skip
        matrix = there.ground @ np.linalg.pinv(here.ground)
        if not _is_mild(matrix, here.ground, plans.width, plans.height):
            matrix = _similarity(here, there)
        # OpenCV counts from the first pixel's centre.
        to_corner = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        drawn = cv2.warpPerspective(
            self._pictures[chosen], np.linalg.inv(to_corner) @ matrix @ to_corner,
            (plans.width, plans.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
        return np.asarray(drawn, np.uint8)


@dataclass(frozen=True)
class _View:
    """An object before a camera."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    camera: NDArray[np.float64]
    under: NDArray[np.float64]
    """(3,), the point of the ground under it, in its frame."""

    @property
    def at(self) -> NDArray[np.float64]:
        """(3,), that point in the camera's frame."""
        return np.asarray(self.rotation @ self.under + self.translation)

    @property
    def ground(self) -> NDArray[np.float64]:
        """(3, 3), from places on the ground, in metres along the object's x and y, to pixels."""
        axes = 1e3 * self.rotation[:, :2]
        return np.asarray(self.camera @ np.stack([axes[:, 0], axes[:, 1], self.at], axis=1))


def _is_mild(
    matrix: NDArray[np.float64], ground: NDArray[np.float64], width: int, height: int
) -> bool:
    """Whether the ground is seen in all corners of a crop, and is not drawn out in any."""
    if np.linalg.cond(ground) > 1e8 or np.linalg.cond(matrix) > 1e8:
        return False
    corners = np.array([[x, y, 1.0] for x in (0, width) for y in (0, height)]).T
    middle = np.array([width / 2, height / 2, 1.0])
    back = np.linalg.inv(ground)
    # Before the camera it has the sign that it has where the object stands.
    seen = ((back[2] @ corners) * (back[2] @ middle)) > 0
    depth = matrix[2] @ corners
    if not (seen.all() and (depth * (matrix[2] @ middle) > 0).all()):
        return False
    places = matrix[:2] @ corners / depth
    slopes = (matrix[None, :2, :2] - places.T[:, :, None] * matrix[None, 2:, :2]) / depth[
        :, None, None
    ]
    stretches = np.linalg.svd(slopes, compute_uv=False)
    return bool(((stretches < _STRETCHED) & (stretches > 1 / _STRETCHED)).all())


def _similarity(here: _View, there: _View) -> NDArray[np.float64]:
    """(3, 3), from pixels of one view to those of another, about the point under the object."""
    turn = there.rotation @ here.rotation.T
    angle = np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
    first, second = (view.camera @ view.at for view in (here, there))
    first, second = first[:2] / first[2], second[:2] / second[2]
    scales = [view.camera[0, 0] / view.at[2] for view in (here, there)]
    scale = scales[1] / scales[0]
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, second - linear @ first
    return matrix


def _under(model: CadModel) -> NDArray[np.float64]:
    """(3,), the point of the ground under the middle of the object's box, in its frame."""
    low, high = model.bounds
    return np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
