"""From where an object is looked at."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from checked_settings import WrongValue
from renderer._plans.rotations import matrix_from_quaternion, rotation_about

_TINY = 1e-9
MOST_SUBDIVISIONS = 7


@functools.cache
def hemisphere_viewpoints(subdivisions: int) -> NDArray[np.float64]:
    """The vertices of a subdivided icosahedron above the object, the equator left out.

    The icosahedron stands on a vertex, as Blender's does. 3 subdivisions give the 301 viewpoints
    of Wohlhart & Lepetit's templates, 4 the 1241 of their training set (CVPR 2015).

    Args:
        subdivisions: how often each edge is halved, 0 to 7.

    Returns:
        (N, 3), unit, model frame, from the object towards the camera, all with z > 0; sorted by
        elevation, then azimuth. Read-only.

    Raises:
        WrongValue: `subdivisions` is out of range.
    """
    if not 0 <= subdivisions <= MOST_SUBDIVISIONS:
        raise WrongValue("subdivisions", subdivisions, f"from 0 to {MOST_SUBDIVISIONS}")
    vertices, faces = _icosahedron()
    for _ in range(subdivisions):
        vertices, faces = _subdivide(vertices, faces)
    above = vertices[vertices[:, 2] > _TINY]
    # Round-off must neither split a ring of equal elevation nor wrap azimuth 0 round to 360.
    azimuth = (np.arctan2(above[:, 1], above[:, 0]) + _TINY) % (2 * np.pi)
    order = np.lexsort((azimuth, np.round(above[:, 2], 9)))
    viewpoints = above[order]
    viewpoints.setflags(write=False)
    return viewpoints


def look_at(direction: ArrayLike) -> NDArray[np.float64]:
    """Model-to-camera rotations of cameras that look at the object with its +z up in the image.

    Convention:
        Camera axes x right, y down, z forward. Straight above or below, where +z cannot be up, the
        rotation is the limit of coming from the model's +x: up in the image is then the model's
        -x above, +x below.

    Args:
        direction: (..., 3), model frame, from the object towards the camera, any length but 0.

    Returns:
        (..., 3, 3).
    """
    towards = np.asarray(direction, np.float64)
    forward = -towards / np.linalg.norm(towards, axis=-1, keepdims=True)
    horizontal = np.hypot(forward[..., 0], forward[..., 1])[..., None]
    at_pole = horizontal < _TINY
    # Else it would not be at a right angle to the east that stands in for its outward direction.
    forward = np.where(at_pole, forward * [0.0, 0.0, 1.0], forward)
    east = np.array([1.0, 0.0, 0.0])
    outward = np.where(
        at_pole, east, -forward * [1.0, 1.0, 0.0] / np.where(at_pole, 1.0, horizontal)
    )
    # Seen from outside, right is a quarter turn of the outward direction about +z.
    right = np.stack([-outward[..., 1], outward[..., 0], np.zeros(outward.shape[:-1])], axis=-1)
    return np.stack([right, np.cross(forward, right), forward], axis=-2)


def in_plane(angle: ArrayLike) -> NDArray[np.float64]:
    """Rotations that turn the image: `in_plane(angle) @ rotation` turns it clockwise by `angle`.

    Args:
        angle: (...), radians.

    Returns:
        (..., 3, 3).
    """
    return rotation_about([0.0, 0.0, 1.0], angle)


def uniform_rotation(draws: ArrayLike) -> NDArray[np.float64]:
    """Rotations uniform over all of SO(3) from uniform numbers (Shoemake, Graphics Gems III, 1992).

    Args:
        draws: (..., 3), in [0, 1).

    Returns:
        (..., 3, 3).
    """
    u = np.asarray(draws, np.float64)
    near, far = np.sqrt(1 - u[..., 0]), np.sqrt(u[..., 0])
    first, second = 2 * np.pi * u[..., 1], 2 * np.pi * u[..., 2]
    parts = [far * np.cos(second), near * np.sin(first), near * np.cos(first), far * np.sin(second)]
    return matrix_from_quaternion(np.stack(parts, axis=-1))


def _icosahedron() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    ring = np.arange(5)
    upper = np.stack([np.cos(0.4 * np.pi * ring), np.sin(0.4 * np.pi * ring), np.full(5, 0.5)], 1)
    lower = -upper[(ring + 3) % 5]
    vertices = np.concatenate([[[0.0, 0.0, 1.0]], upper, lower, [[0.0, 0.0, -1.0]]])
    after = (ring + 1) % 5
    faces = np.concatenate(
        [
            np.stack([np.zeros(5, np.int64), 1 + ring, 1 + after], 1),
            np.stack([1 + ring, 6 + ring, 1 + after], 1),
            np.stack([6 + ring, 6 + after, 1 + after], 1),
            np.stack([np.full(5, 11), 6 + after, 6 + ring], 1),
        ]
    )
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces


def _subdivide(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    a, b, c = faces.T
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, edge_index = np.unique(edges, axis=0, return_inverse=True)
    middle = vertices[unique].sum(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = len(vertices) + edge_index.reshape(3, -1)
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([vertices, middle]), np.concatenate([np.stack(p, 1) for p in parts])
