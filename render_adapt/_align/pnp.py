"""A pose from object coordinates at pixels: perspective-n-point with inliers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FEWEST = 8
"""Pixels that a pose is made of."""
INLIER = 1 / 32
"""Of a crop's side: how far a point may be off its pixel; 2 pixels of 64."""
_TRIES = 100


def model_points(
    coordinates: NDArray[np.float32], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(..., 3), millimetres in the model's frame, of coordinates from 0 to 1 along its box."""
    return np.asarray(bounds[0] + np.clip(coordinates, 0.0, 1.0) * (bounds[1] - bounds[0]))


def pixel_centres(side: int) -> NDArray[np.float64]:
    """(side, side, 2), x and y of each pixel's centre; pixel (0, 0) has (0.5, 0.5)."""
    places = np.arange(side) + 0.5
    return np.stack(np.meshgrid(places, places), axis=-1)


def pose_from_points(
    points: NDArray[np.float64], pixels: NDArray[np.float64], camera_matrix: NDArray[np.float64],
    tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:  # fmt: skip
    """The pose that most of the points agree with, fitted to those.

    EPnP (Lepetit et al., IJCV 2009) on samples (RANSAC), then Levenberg-Marquardt on the inliers.

    Args:
        points: (P, 3), millimetres in the model's frame.
        pixels: (P, 2), where they are seen, in the coordinates of K.
        camera_matrix: (3, 3).
        tolerance: pixels that an inlier may be off.

    Returns:
        Rotation (3, 3) and translation (3,), model-to-camera; None where the points have none.
    """
    if len(points) < FEWEST:
        return None
    try:
        found, turn, shift, inliers = cv2.solvePnPRansac(
            points, pixels, camera_matrix, None, iterationsCount=_TRIES,
            reprojectionError=tolerance, flags=cv2.SOLVEPNP_EPNP,
        )  # fmt: skip
        if not found or inliers is None or len(inliers) < FEWEST:
            return None
        rows = inliers.ravel()
        turn, shift = cv2.solvePnPRefineLM(
            points[rows], pixels[rows], camera_matrix, None, turn, shift
        )
    except cv2.error:
        # Points of a line, or all of one place.
        return None
    rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
    translation = np.asarray(shift, np.float64).ravel()
    if not (np.isfinite(rotation).all() and np.isfinite(translation).all()):
        return None
    return rotation, translation


def inlier_share(
    points: NDArray[np.float64], pixels: NDArray[np.float64], camera_matrix: NDArray[np.float64],
    rotation: NDArray[np.float64], translation: NDArray[np.float64], tolerance: float,
) -> float:  # fmt: skip
    """The share of points that a pose puts where they are seen; 0 of none."""
    if not len(points):
        return 0.0
    seen = (points @ rotation.T + translation) @ camera_matrix.T
    before = seen[:, 2] > 0
    off = np.linalg.norm(seen[:, :2] / np.where(before, seen[:, 2], 1)[:, None] - pixels, axis=1)
    return float((before & (off <= tolerance)).mean())
