"""Depth as a sensor would measure it: a structured-light camera (Kinect v1), or a Gaussian one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from renderer._crops import Plans, RenderError
from renderer._plans.planes import plane_depth


@dataclass(frozen=True)
class StructuredLight:
    """A Kinect v1-like sensor: an infrared projector beside a camera, depth by triangulation.

    The constants are fitted to LINEMOD's twelve real depth frames. What
    `python -m benchmarks.depth_statistics` counts in them, and in brackets in simulated depth of
    the same scenes:

    - steps: all depths are 8 x 42,750 mm px (42,760) over a whole number, in whole millimetres;
    - noise of the bare board, in steps, between pixels 1, 3, 9 and 20 apart: across 0.30, 0.47,
      0.66, 0.70 (0.36, 0.47, 0.65, 0.65), down 0.35, 0.47, 0.59, 0.61 (0.38, 0.48, 0.66, 0.66), as
      windows of 9 pixels give; the same at 850 as at 1200 mm, so that as depth it grows with z
      squared;
    - noise on the object at slopes of up to 20, 40, 60 and 75 degrees, in steps: 0.71, 0.73, 0.78,
      0.92 (0.68, 0.65, 0.73, 0.88);
    - how ragged straight depth edges are: 0.59 px when level, 0.93 px when upright (0.55, 0.90);
    - missing: 0.2 % of the object's inside (0.2), 3.0 % within 3 px of its silhouette (3.7), 2.5 %
      of the rest of a 200 mm window (1.4);
    - shadow, to the left of the nearer surface: of jumps by 8 to 15 px of disparity 54 % have a gap
      (50), to the right 19 % (7).

    Left out: what dark, shiny or thin things lose, which is most of what is missing off the object
    and at jumps to the right; smooth distortions of the image; depth between the near and the far
    surface where a shadow is closed.
    """

    focal_length: float = 572.4
    """Pixels, of the sensor's full 640x480 image."""
    baseline: float = 74.7
    """Millimetres from the camera to the projector, which is on its right."""
    disparity_step: float = 0.125
    """Pixels: the sensor counts eighths of a pixel, so depth steps grow with z squared."""
    unit: float = 1.0
    """Millimetres: depth is reported as a whole number of these."""
    disparity_noise: float = 0.068
    """Pixels, standard deviation; as depth it grows with z squared (1.6 mm at 1 m)."""
    noise_window: float = 9.0
    """Sensor pixels: the sensor compares windows of this side, so that noise is correlated over as
    many."""
    edge_jitter: tuple[float, float] = (1.2, 0.7)
    """Sensor pixels, standard deviation: depth edges wander by this much, along rows and along
    columns."""
    edge_window: float = 5.0
    """Sensor pixels over which an edge's wandering is correlated."""
    surface_jitter: float = 0.65
    """Share of that by which smooth surfaces wander, so that noise grows with the slope."""
    edge_step: float = 20.0
    """Millimetres between neighbours from which they count as a depth edge."""
    edge_reach: float = 2.0
    """Sensor pixels to either side of an edge that may give no measurement."""
    edge_dropout: float = 0.03
    """Share of them that give none."""
    dropout_size: float = 18.0
    """Sensor pixels: those come in patches of about this size, cut to the edge's reach."""
    shadow_fill: tuple[float, float] = (7.0, 2.0)
    """Sensor pixels of projector shadow that the sensor's windows close again: with the depth of
    what is behind, from its left end, and of what casts it, from its right end."""
    grazing_limit: float = 85.0
    """Degrees between surface normal and line of sight from which nothing is measured."""


def board_depth(plans: Plans, heights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Depth of the board that each object stands on: the plane z = height of the model's frame.

    Args:
        plans: N crops.
        heights: (N,), model z of the board, millimetres (an object's least z, when it stands).

    Returns:
        (N, H, W), z in millimetres at pixel centres, 0 where the ray meets no board.
    """
    normals = plans.rotation[:, :, 2]
    points = plans.translation + normals * heights[:, None]
    return plane_depth(plans, normals, points).astype(np.float32)


def simulate_gaussian_depth(
    depth: NDArray[np.float32], deviation: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """What a sensor reports whose noise is normal, of each pixel on its own, and grows with z
    squared.

    Args:
        depth: (H, W), exact z in millimetres, 0 = nothing there.
        deviation: standard deviation in millimetres at 1 m.
        generator: the source of every draw.

    Returns:
        (H, W), z in millimetres, 0 = no measurement.
    """
    noise = generator.standard_normal(depth.shape, np.float32)
    measured = depth + np.float32(deviation) * (depth / 1000) ** 2 * noise
    return np.where(depth > 0, np.maximum(measured, 0), 0).astype(np.float32)


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
    with np.errstate(divide="ignore"):
        moved = _wander(depth, sensor, scale, generator)
        lost, moved = _shadow(moved, focal_length, sensor, scale)
        lost |= _grazing(depth, focal_length, sensor.grazing_limit)
        lost |= _edge_dropouts(depth, sensor, scale, generator)
        product = np.float32(sensor.focal_length * sensor.baseline)
        noise = _window_noise(moved.shape, sensor.noise_window * scale, generator)
        disparity = product / moved
        disparity += np.float32(sensor.disparity_noise) * noise
    disparity /= np.float32(sensor.disparity_step)
    steps = np.maximum(np.rint(disparity, out=disparity), 1)
    measured = np.rint(product / (sensor.disparity_step * sensor.unit) / steps) * sensor.unit
    lost |= (depth <= 0) | (moved <= 0)
    measured[lost] = 0
    return np.asarray(measured, np.float32)


def _window_noise(
    shape: tuple[int, ...], width: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """(H, W), normal, unit standard deviation: white noise summed over squares of `width` pixels.

    Its correlation falls evenly to 0 at a distance of `width`.
    """
    whole = max(int((width - 1) // 2), 0)  # pixels to either side that are in the square whole
    rest = max((width - 1) / 2 - whole, 0.0)
    row = np.concatenate([[rest], np.ones(2 * whole + 1), [rest]])
    row = (row / np.sqrt((row**2).sum())).astype(np.float32)
    reach = whole + 1
    white = generator.standard_normal((shape[0] + 2 * reach, shape[1] + 2 * reach), np.float32)
    summed = cv2.sepFilter2D(white, -1, row, row)
    return np.asarray(summed[reach:-reach, reach:-reach], np.float32)


@functools.lru_cache(16)
def _pixels(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(2, H, W), every pixel's row and column. Read-only."""
    pixels = np.indices(shape, dtype=np.float32)
    pixels.setflags(write=False)
    return pixels


def _wander(
    depth: NDArray[np.float32],
    sensor: StructuredLight,
    scale: float,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Depth taken from a little beside each pixel: whole pixels at edges, between pixels off them.

    Off edges that is noise which grows with the slope.
    """
    rows, columns = _pixels(depth.shape)
    width = sensor.edge_window * scale
    across, down = (
        np.float32(amount * scale) * _window_noise(depth.shape, width, generator)
        for amount in sensor.edge_jitter
    )
    edge = cv2.BORDER_REPLICATE
    moved = cv2.remap(depth, columns + across, rows + down, cv2.INTER_NEAREST, borderMode=edge)
    share = np.float32(sensor.surface_jitter)
    bent = cv2.remap(
        depth, columns + share * across, rows + share * down, cv2.INTER_LINEAR, borderMode=edge
    )
    square = np.ones((3, 3), np.uint8)
    span = cv2.dilate(depth, square) - cv2.erode(depth, square)
    smooth = (span <= sensor.edge_step) & (np.abs(bent - depth) <= sensor.edge_step)
    smooth &= np.abs(moved - depth) <= sensor.edge_step
    return np.where(smooth, bent, moved).astype(np.float32)


def _shadow(
    depth: NDArray[np.float32], focal_length: float, sensor: StructuredLight, scale: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Pixels that the projector does not light, and depth with the shadow's ends closed.

    Along a row, what the projector sees keeps its order.
    """
    columns = np.arange(depth.shape[1], dtype=np.float32)
    projected = columns - np.float32(focal_length * sensor.baseline) / depth
    nothing = depth <= 0
    projected[nothing] = np.inf
    nearest_right = np.minimum.accumulate(projected[:, ::-1], axis=1)[:, ::-1]
    shadow = np.zeros(depth.shape, dtype=np.uint8)
    shadow[:, :-1] = projected[:, :-1] > nearest_right[:, 1:]
    behind, before = (round(width * scale) for width in sensor.shadow_fill)
    kernel = np.ones((1, before + behind + 1), np.uint8)
    left = cv2.erode(shadow, kernel, anchor=(behind, 0))
    solid = np.where(nothing, np.float32(np.inf), depth)
    caster = cv2.erode(solid, np.ones((1, before + 1), np.uint8), anchor=(0, 0))
    return left > 0, np.where((shadow > 0) & ~nothing, caster, depth)


def _grazing(depth: NDArray[np.float32], focal_length: float, limit: float) -> NDArray[np.bool_]:
    """Surfaces steeper than `limit` degrees to the line of sight.

    Of the slopes to either side the gentler one counts: a step between two surfaces is an edge, not
    a grazing surface.
    """
    down = _gentler(np.abs(depth[1:] - depth[:-1]))
    across = _gentler(np.abs(depth[:, 1:] - depth[:, :-1]).T).T
    steepest = np.float32(np.tan(np.radians(limit)) / focal_length)
    return np.asarray(down * down + across * across > (steepest * depth) ** 2)


def _gentler(step: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W), the smaller step beside each pixel, of the (H - 1, W) between them."""
    gentler = np.empty((len(step) + 1, step.shape[1]), np.float32)
    gentler[0], gentler[-1] = step[0], step[-1]
    np.minimum(step[:-1], step[1:], out=gentler[1:-1])
    return gentler


def _edge_dropouts(
    depth: NDArray[np.float32],
    sensor: StructuredLight,
    scale: float,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Patches of the pixels beside a step; a steep but even surface has none, however steep."""
    bend = np.abs(cv2.Laplacian(depth, cv2.CV_32F))
    reach = max(round(sensor.edge_reach * scale), 0)
    edge = cv2.dilate((bend > sensor.edge_step).astype(np.uint8), np.ones((2 * reach + 1,) * 2))
    threshold = _exceeded_by(sensor.edge_dropout)
    patches = _window_noise(depth.shape, sensor.dropout_size * scale, generator)
    return np.asarray((edge > 0) & (patches > threshold))


@functools.lru_cache(16)
def _exceeded_by(share: float) -> float:
    """What this share of normal numbers is greater than."""
    return NormalDist().inv_cdf(1 - share) if share else np.inf
