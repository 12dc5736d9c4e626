"""Where a crop is cut: which point of its object is in the middle, and where in the camera's view.

Convention:
    A camera's axes are x right, y down, z forward. A ray is (x / z, y / z) of the points along it:
    (0, 0) is the optical axis. A crop off the axis is cut from the camera's own picture, not taken
    by a camera that turns towards it: its pose is the camera's (egocentric), and its K has the
    principal point where the axis meets the picture, outside the crop where that is far enough.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel, Mesh
from checked_settings import Ascending, Between
from renderer._crops import Plans
from renderer._plans.draws import draw
from renderer._plans.rotations import rotation_about
from renderer._streams import Stream

_Distance = Annotated[float, Between(1, 1e5, "mm")]
Centre = Literal["mean", "box", "origin", "visible"]

CameraSettings = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels, counted from the picture's corner: the first pixel's centre is at
(0.5, 0.5)."""

Distances = Annotated[tuple[_Distance, _Distance], Ascending()]
"""Least and greatest."""


@dataclass(frozen=True)
class _IsCamera:
    """What a pinhole camera's numbers have to be; a rule for `CameraSettings`."""

    most: float = 1e6
    """Pixels: of the focal length, and from the picture's corner to the axis."""
    phrase: str = "fx, fy, cx and cy in pixels, fx and fy above 0 and none beyond a million"

    def holds(self, camera: CameraSettings) -> bool:
        return min(camera[:2]) > 0 and max(map(abs, camera)) <= self.most


CAMERA = _IsCamera()

_TRIES = 64
"""Rays that are drawn for a crop until one lies in the picture and near enough to the axis."""

_means: dict[int, NDArray[np.float64]] = {}


def centre_points(models: Sequence[CadModel], centre: Centre) -> NDArray[np.float64]:
    """(M, 3), the point of each model that its crops have in the middle, millimetres.

    `mean` is the mean of the mesh's vertices, each place counted once; `box` and `visible` are the
    bounding box's centre; `origin` is (0, 0, 0).
    """
    if centre == "origin":
        return np.zeros((len(models), 3))
    if centre == "mean":
        return np.array([_mean_vertex(model.mesh) for model in models]).reshape(-1, 3)
    return np.array([model.centre for model in models]).reshape(-1, 3)


def target_points(plans: Plans, models: Sequence[CadModel], centre: Centre) -> NDArray[np.float64]:
    """(N, 3), where that point of each crop's target is in the camera's frame, millimetres."""
    points = centre_points(models, centre)[plans.object_index]
    return np.asarray((plans.rotation @ points[..., None])[..., 0] + plans.translation)


def _mean_vertex(mesh: Mesh) -> NDArray[np.float64]:
    """(3,); plans are made batch by batch, a mesh is looked at once."""
    if id(mesh) not in _means:
        # A texture's seams double vertices, and the same shape without it has another mean.
        places = np.unique(mesh.vertices, axis=0)
        _means[id(mesh)] = places.mean(axis=0, dtype=np.float64)
        weakref.finalize(mesh, _means.pop, id(mesh)).atexit = False
    return _means[id(mesh)]


def turn_towards(rays: ArrayLike) -> NDArray[np.float64]:
    """The least rotations that turn the optical axis into rays.

    `turn_towards(ray) @ rotation` is how a camera sees an object along a ray, that a camera which
    looks straight at it sees by `rotation`.

    Args:
        rays: (..., 2).

    Returns:
        (..., 3, 3).
    """
    across, down = np.moveaxis(np.asarray(rays, np.float64), -1, 0)
    length = np.sqrt(1 + across**2 + down**2)
    x, y, z = across / length, down / length, 1 / length
    share = 1 / (1 + z)
    rows = [
        np.stack([1 - share * x * x, -share * x * y, x], axis=-1),
        np.stack([-share * x * y, 1 - share * y * y, y], axis=-1),
        np.stack([-x, -y, z], axis=-1),
    ]
    return np.stack(rows, axis=-2)


def upright_along(rotation: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3), poses turned about their (N, 2) rays so that the model's z axis points up there.

    Where the axis points along the ray it has no direction in the picture, and nothing is turned.
    """
    ray = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    axis = rotation[:, :, 2]
    # The plane through camera and axis shows as a vertical line if it holds the picture's y axis.
    normal = np.cross(ray, axis)
    across = axis - (axis * ray).sum(axis=1, keepdims=True) * ray
    angle = np.arctan2(normal[:, 1], across[:, 1])
    turned = rotation_about(ray, angle) @ rotation
    down = turned[:, 1, 2] - ray[:, 1] / ray[:, 2] * turned[:, 2, 2] > 0
    return np.asarray(np.where(down[:, None, None], rotation_about(ray, np.pi) @ turned, turned))


def window_pixels(focal: float, window: float, depth: ArrayLike) -> NDArray[np.int64]:
    """(...), pixels across a window of `window` millimetres at `depth`: an even number, no larger.

    LINEMOD's crops are cut so: 2 floor(100 mm x f / z), found by looking for 38 of them in their
    frames.
    """
    half = np.floor(focal * window / 2 / np.asarray(depth, np.float64))
    return np.asarray(2 * np.maximum(half, 1), np.int64)


def cut_camera(
    camera: CameraSettings, middle: ArrayLike, side: ArrayLike, size: int
) -> NDArray[np.float64]:
    """The K of square windows that are cut from a camera's pictures and resampled.

    Args:
        camera: fx, fy, cx, cy of the whole picture.
        middle: (N, 2), of the windows, pixels from the picture's corner.
        side: (N,), of the windows, pixels.
        size: pixels of the crops.

    Returns:
        (N, 3, 3).
    """
    fx, fy, cx, cy = camera
    across = np.asarray(side, np.float64)
    scale = size / across
    matrix = np.zeros((len(scale), 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1] = fx * scale, fy * scale
    matrix[:, :2, 2] = ([cx, cy] - np.asarray(middle) + across[:, None] / 2) * scale[:, None]
    matrix[:, 2, 2] = 1.0
    return matrix


def draw_rays(
    seed: int,
    index: NDArray[np.int64],
    *,
    off_axis: float | None,
    camera: CameraSettings | None = None,
    picture: tuple[int, int] | None = None,
    window: float = 200.0,
    depth: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(N, 2), where crops lie in their camera's view.

    Without a picture, evenly over the disc of rays within `off_axis` degrees of the axis. With one,
    evenly over the places where the whole window is in the picture, within those degrees too.

    Args:
        seed: the run's.
        index: (N,), the crops' numbers.
        off_axis: degrees; None is no limit with a picture, and the axis itself without.
        camera: fx, fy, cx, cy of the picture.
        picture: its width and height, pixels.
        window: side of the windows, millimetres.
        depth: (N,), at which they are measured; needed with a picture.
    """
    most = np.tan(np.radians(off_axis or 0.0)) if picture is None or off_axis is not None else None
    if picture is None:
        assert most is not None
        return np.asarray(most * _in_disc(draw(seed, index, Stream.VIEW, 2)))
    assert camera is not None
    assert depth is not None
    focal, middle = np.array(camera[:2]), np.array(camera[2:])
    half = window_pixels(camera[0], window, depth)[:, None] / 2
    low, high = (half - middle) / focal, (picture - half - middle) / focal
    if most is not None:
        # Of a picture that begins farther off the axis than that, the nearest places.
        nearest = np.clip(0.0, low, high)
        low = np.minimum(np.maximum(low, -most), nearest)
        high = np.maximum(np.minimum(high, most), nearest)
    draws = draw(seed, index, Stream.VIEW, 2 * _TRIES).reshape(-1, _TRIES, 2)
    rays = low[:, None] + (high - low)[:, None] * draws
    far = np.linalg.norm(rays, axis=2)
    first = np.zeros(len(index), np.int64)
    if most is not None:
        within = far <= most
        first = np.where(within.any(axis=1), np.argmax(within, axis=1), np.argmin(far, axis=1))
    return np.asarray(rays[np.arange(len(index)), first])


def _in_disc(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2), evenly over the unit disc."""
    turn = 2 * np.pi * draws[:, 1]
    return np.asarray(np.sqrt(draws[:, :1]) * np.stack([np.cos(turn), np.sin(turn)], axis=1))
