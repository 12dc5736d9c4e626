"""Depth as a structured-light camera (Kinect v1) would measure it, and the board it looks at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._crops import Plans, RenderError


@dataclass(frozen=True)
class StructuredLight:
    """A Kinect v1-like sensor: an infrared projector beside a camera, depth by triangulation.

    Baseline and disparity step are a Kinect's, the focal length LINEMOD's; together they give the
    steps of 2.8 mm at 975 mm of its real depth. Noise and dropouts are estimates, judged by eye
    beside ten real frames of the driller, which miss 0.1-3 % of a 200 mm window; they are not
    fitted.
    """

    focal_length: float = 572.4
    """Pixels, of the sensor's full 640x480 image."""
    baseline: float = 75.0
    """Millimetres from the camera to the projector, which is on its right."""
    disparity_step: float = 0.125
    """Pixels: the sensor counts eighths of a pixel, so depth steps grow with z squared."""
    disparity_noise: float = 0.06
    """Pixels, standard deviation; as depth it grows with z squared (1.4 mm at 1 m)."""
    edge_jitter: float = 0.6
    """Sensor pixels, standard deviation: depth edges wander by this much."""
    edge_step: float = 20.0
    """Millimetres between neighbours from which they count as a depth edge."""
    edge_dropout: float = 0.12
    """Share of the pixels at depth edges that give no measurement."""
    shadow_fill: float = 4.0
    """Sensor pixels of projector shadow that the sensor's matching window closes again."""
    grazing_limit: float = 80.0
    """Degrees between surface normal and line of sight from which nothing is measured."""


def board_depth(plans: Plans, heights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Depth of the board that each object stands on: the plane z = height of the model's frame.

    Args:
        plans: N crops.
        heights: (N,), model z of the board, millimetres (an object's least z, when it stands).

    Returns:
        (N, H, W), z in millimetres at pixel centres, 0 where the ray meets no board.
    """
    centres = np.arange(plans.size) + 0.5
    columns, rows = np.meshgrid(centres, centres)
    pixels = np.stack([columns, rows, np.ones_like(rows)])
    rays = np.einsum("nij,jhw->nihw", np.linalg.inv(plans.camera_matrix), pixels)
    normals = plans.rotation[:, :, 2]
    points = plans.translation + normals * heights[:, None]
    facing = np.einsum("ni,nihw->nhw", normals, rays)
    offsets = np.einsum("ni,ni->n", normals, points)[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = offsets / facing
    seen = np.isfinite(depth) & (depth > 0)
    return np.where(seen, depth, 0.0).astype(np.float32)


def simulate_structured_light_depth(
    depth: NDArray[np.float32],
    focal_length: float,
    generator: np.random.Generator,
    sensor: StructuredLight | None = None,
) -> NDArray[np.float32]:
    """What a structured-light sensor reports of a scene whose exact depth is known.

    In order: depth edges wander sideways; disparity gets noise and is quantised; what the
    projector cannot reach, what is seen at a grazing angle and some of the edge pixels are lost.

    Args:
        depth: (H, W), exact z in millimetres, 0 = nothing there.
        focal_length: pixels, of this image (a crop's is longer than the sensor's own).
        generator: the source of every draw.
        sensor: its constants; a Kinect v1 by default.

    Returns:
        (H, W), z in millimetres, 0 = no measurement.
    """
    sensor = sensor or StructuredLight()
    if depth.ndim != 2:
        raise RenderError(f"sensor simulation takes one (H, W) depth image, got {depth.shape}")
    focal_length = float(focal_length)  # a numpy scalar would turn the images to float64
    scale = focal_length / sensor.focal_length
    moved = _wander(depth, sensor.edge_jitter * scale, scale, generator)
    lost = (
        _shadow(moved, focal_length, sensor, scale)
        | _grazing(moved, focal_length, sensor.grazing_limit)
        | (
            _at_edges(moved, sensor.edge_step)
            & _patches(moved.shape, sensor.edge_dropout, scale, generator)
        )
    )
    product = sensor.focal_length * sensor.baseline
    grain = _smooth_noise(moved.shape, scale, generator)
    with np.errstate(divide="ignore"):
        disparity = product / moved + sensor.disparity_noise * grain
    steps = np.maximum(np.rint(disparity / sensor.disparity_step), 1.0)
    measured = product / (steps * sensor.disparity_step)
    return np.where((depth > 0) & (moved > 0) & ~lost, measured, 0.0).astype(np.float32)


def _smooth_noise(
    shape: tuple[int, ...], scale: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """(H, W), unit standard deviation, correlated over about one sensor pixel."""
    noise = generator.standard_normal(shape, dtype=np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), max(0.5 * scale, 0.3))
    return np.asarray(blurred / max(float(blurred.std()), 1e-6), dtype=np.float32)


def _wander(
    depth: NDArray[np.float32], amount: float, scale: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    rows, columns = np.indices(depth.shape, dtype=np.float32)
    across = columns + amount * _smooth_noise(depth.shape, scale, generator)
    down = rows + amount * _smooth_noise(depth.shape, scale, generator)
    moved = cv2.remap(depth, across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


def _shadow(
    depth: NDArray[np.float32], focal_length: float, sensor: StructuredLight, scale: float
) -> NDArray[np.bool_]:
    """Pixels that the projector does not light: along a row, what it sees keeps its order."""
    with np.errstate(divide="ignore"):
        projected = np.arange(depth.shape[1]) - focal_length * sensor.baseline / depth
    projected = np.where(depth > 0, projected, np.inf)
    nearest_right = np.minimum.accumulate(projected[:, ::-1], axis=1)[:, ::-1]
    shadow = np.zeros(depth.shape, dtype=np.uint8)
    shadow[:, :-1] = projected[:, :-1] > nearest_right[:, 1:]
    width = max(round(sensor.shadow_fill * scale), 1)
    return np.asarray(cv2.erode(shadow, np.ones((1, width), np.uint8)), dtype=bool)


def _grazing(depth: NDArray[np.float32], focal_length: float, limit: float) -> NDArray[np.bool_]:
    with np.errstate(divide="ignore", invalid="ignore"):
        footprint = depth / focal_length
        slopes = [
            cv2.Sobel(depth, cv2.CV_32F, *order, scale=1 / 8) / footprint
            for order in ((1, 0), (0, 1))
        ]
    steep = np.hypot(*slopes) > np.tan(np.radians(limit))
    # A step between two surfaces is an edge, not a grazing surface: leave it to the edge dropout.
    smooth = np.abs(cv2.Laplacian(depth, cv2.CV_32F)) < 2 * footprint * np.tan(np.radians(limit))
    return np.asarray(steep & smooth)


def _at_edges(depth: NDArray[np.float32], step: float) -> NDArray[np.bool_]:
    """Pixels beside a step; a steep but even surface has none, however far it falls per pixel."""
    bend = np.abs(cv2.Laplacian(depth, cv2.CV_32F))
    return np.asarray(bend > step)


def _patches(
    shape: tuple[int, ...], share: float, scale: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    noise = cv2.GaussianBlur(_smooth_noise(shape, scale, generator), (0, 0), 3 * scale)
    return np.asarray(noise > np.quantile(noise, 1 - share))
