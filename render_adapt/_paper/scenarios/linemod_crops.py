"""How LINEMOD's real crops were cut from their frames: each crop as a plan, to be drawn again.

Convention:
    A crop is the window of 2 floor(100 mm f / z) pixels, on whole pixels, around the projected mean
    of the mesh's vertices, whose depth is z. Found by looking for 38 crops in their own frames
    (cam, cat, and LM-O's of benchvise): each lies on whole pixels and is an even number of them
    wide, to a hundredth of a pixel. For cat the rule gives every one. cam's were cut around a point
    3 mm from the mean of BOP's mesh, whose vertices are not the original's: that which puts its
    windows where they were found, to half a pixel.
    Labels are poses of the BOP mesh as the camera saw it (egocentric).

Where the object was is known for cam and cat. For the others, distances are drawn from theirs, and
the ray is estimated from the crop: the pose that the label gives is drawn along 81 rays, and the
rays are averaged by how well the drawn edges agree with the picture's and by how likely such a ray
is. On cam and cat, whose rays are known, that is off by 4.5 degrees on average, the optical axis by
6.3.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._paper.scenarios.data_files import read_data, read_labels, read_rgb
from renderer import (
    CropBatch,
    Plans,
    RasterRenderer,
    centre_points,
    cut_camera,
    matrix_from_quaternion,
    plans_from_poses,
    window_pixels,
)

OBJECTS = ("ape", "benchvise", "cam", "cat", "duck")
SIZE = 64
WINDOW = 200.0
CAMERA = (572.4114, 573.57043, 325.7611, 242.54899)
"""fx, fy, cx, cy of LINEMOD's calibration, which counts from the first pixel's middle, counted from
the picture's corner."""
OFF_AXIS = 10.0
"""Degrees: an even disc of rays of this radius is 6.7 off the axis on average; cam 6.0, cat 6.7."""
KNOWN_PLACES = {"cam": "04", "cat": "06"}
"""Sequences whose translations are at hand."""
# The crops' poses are of an ape that faces the other way than the BOP mesh does;
# tests/test_renderer_references.py has the evidence.
TURNED_ABOUT_Z = {"ape": np.diag([-1.0, -1.0, 1.0])}

_CUT_AROUND = {"cam": np.array([-17.7, 2.6, -7.4])}
"""Millimetres: what crops were cut around, where that is not the mean of the mesh's vertices."""

_REACH, _STEP = 12.0, 3.0
"""Degrees: which rays are tried."""
_SPREAD = 6.0
"""Degrees: how far off the axis rays are, standard deviation of each coordinate."""
_SHARPNESS = 80.0
"""How much an agreement of edges counts; found on cam and cat, with `_SPREAD`."""


@dataclasses.dataclass(frozen=True)
class RealCrops:
    """The real crops of one object, in one split."""

    frames: tuple[str, ...]
    """LINEMOD's frame numbers."""
    rgb: NDArray[np.uint8]
    """(N, 64, 64, 3), the camera's."""
    plans: Plans
    """What draws them again, of one model alone; lights and surfaces are not known."""


def read_real_crops(
    linemod: Path,
    split: str,
    model: CadModel,
    generator: np.random.Generator,
    frames: Sequence[str] | None = None,
) -> RealCrops:
    """The crops of an object with what can be said of how they were taken.

    Args:
        linemod: the folder with `crops/`, `frames/` and `models/`.
        split: train or test.
        model: one of `OBJECTS`, from `models/`.
        generator: draws the distances that are not known.
        frames: some of the split's; all if not given.

    Raises:
        SettingError: labels or a picture cannot be read.
    """
    folder = linemod / "crops" / split
    labels: dict[str, list[float]] = read_labels(folder / "poses.json")[model.name]
    names = tuple(labels if frames is None else frames)
    rgb = np.stack([read_rgb(folder / model.name / f"{frame}.png") for frame in names])
    rotation = matrix_from_quaternion(np.array([labels[frame] for frame in names]))
    rotation = rotation @ TURNED_ABOUT_Z.get(model.name, np.eye(3))
    if model.name in KNOWN_PLACES:
        plans, window_middle = _plans_as_known(linemod, model, names, rotation)
    else:
        depth = generator.choice(known_distances(linemod), len(names))
        plans, window_middle = _plans_as_estimated(model, rgb, rotation, depth)
    side = window_pixels(CAMERA[0], WINDOW, plans.centre_depth)
    camera_matrix = cut_camera(CAMERA, window_middle, side, SIZE)
    return RealCrops(names, rgb, dataclasses.replace(plans, camera_matrix=camera_matrix))


def _plans_as_known(
    linemod: Path, model: CadModel, frames: Sequence[str], rotation: NDArray[np.float64]
) -> tuple[Plans, NDArray[np.float64]]:
    """Plans, and the middles of their windows in the camera's picture: (N, 2) pixels."""
    translations = read_translations(linemod, model.name)
    translation = np.array([translations[int(frame)] for frame in frames])
    cut_around = _CUT_AROUND.get(model.name, centre_points([model], "mean")[0])
    centre = rotation @ cut_around + translation
    plans = dataclasses.replace(plans_of(model, rotation, centre), translation=translation)
    # A whole number of pixels from the first pixel's middle, not from its corner.
    return plans, np.floor(project(centre) - 0.5)


def _plans_as_estimated(
    model: CadModel,
    rgb: NDArray[np.uint8],
    rotation: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> tuple[Plans, NDArray[np.float64]]:
    """As `_plans_as_known`, of crops whose place in the picture is not known."""
    rays = estimate_rays(model, rgb, rotation, depth)
    centre = depth[:, None] * np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    # What the rule takes off on average: half a pixel in rounding down, half as above.
    return plans_of(model, rotation, centre), project(centre) - 1.0


def plans_of(model: CadModel, rotation: NDArray[np.float64], centre: NDArray[np.float64]) -> Plans:
    """(N, 3, 3) poses that put the mean of the vertices at (N, 3), each in the crop's middle."""
    depth = centre[:, 2]
    return plans_from_poses(
        [model], np.zeros(len(depth), int), rotation, depth, centre="mean",
        rays=centre[:, :2] / depth[:, None], canonical=False,
    )  # fmt: skip


def at_size(plans: Plans, size: int) -> Plans:
    """The same windows at another number of pixels."""
    camera_matrix = plans.camera_matrix.copy()
    camera_matrix[:, :2] *= size / plans.size
    return dataclasses.replace(plans, camera_matrix=camera_matrix, width=size, height=size)


def estimate_rays(
    model: CadModel,
    rgb: NDArray[np.uint8],
    rotation: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, 2), along which rays (x / z, y / z) crops were seen, by their labels and edges."""
    steps = np.arange(-_REACH, _REACH + 1e-9, _STEP)
    degrees = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    candidates = np.tan(np.radians(degrees))
    likely = np.exp(-(degrees**2).sum(axis=1) / (2 * _SPREAD**2))
    raster = RasterRenderer([model], levels=False)
    rays = np.empty((len(rgb), 2))
    for row, picture in enumerate(rgb):
        points = depth[row] * np.concatenate([candidates, np.ones((len(candidates), 1))], axis=1)
        turned = np.broadcast_to(rotation[row], (len(candidates), 3, 3))
        drawn = raster.render(plans_of(model, turned, points), surface_maps=True)
        agreement = edge_correlation(picture_edges(picture), drawn_edges(drawn))
        weight = likely * np.exp(_SHARPNESS * (agreement - agreement.max()))
        rays[row] = np.tan(np.radians(weight @ degrees / weight.sum()))
    return rays


def picture_edges(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W), how much colours change from pixel to pixel, against how much they do around."""
    strength = _steepness(cv2.GaussianBlur(rgb, (0, 0), 1.0).astype(np.float32)).max(axis=-1)
    return np.asarray(strength / (cv2.GaussianBlur(strength, (0, 0), 8.0) + 5.0), np.float32)


def drawn_edges(crops: CropBatch) -> NDArray[np.float32]:
    """(N, H, W), outlines, and 0.7 times as strong the target's creases, a little blurred.

    Args:
        crops: rendered with surface maps.
    """
    assert crops.normals is not None
    edges = []
    for mask, normals in zip(crops.mask, crops.normals, strict=True):
        outline = _steepness(mask.astype(np.float32)[..., None])[..., 0] / 4
        crease = np.sqrt((_steepness(normals) ** 2).sum(axis=-1)) / 4
        edge = np.maximum(outline, 0.7 * np.minimum(crease, 1.0))
        edges.append(cv2.GaussianBlur(edge, (0, 0), 1.3))
    return np.stack(edges).astype(np.float32)


def edge_correlation(
    picture: NDArray[np.float32], drawn: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(N,), the correlation of (H, W) edges with each of (N, H, W), -1 to 1."""
    first = picture.ravel() - picture.mean()
    second = drawn.reshape(len(drawn), -1)
    second = second - second.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(first) * np.linalg.norm(second, axis=1)
    return np.asarray(second @ first / np.maximum(scale, 1e-9), np.float64)


def _steepness(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, C), the gradient's length in each channel."""
    across, down = (cv2.Sobel(image, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    strength = np.sqrt(across**2 + down**2).reshape(*image.shape[:2], -1)
    return np.asarray(strength, np.float32)


def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2), where (N, 3) points are in LINEMOD's pictures, pixels from the corner."""
    return np.asarray(points[:, :2] / points[:, 2:] * CAMERA[:2] + np.array(CAMERA[2:]))


def known_distances(linemod: Path) -> NDArray[np.float64]:
    """(M,) millimetres: z of cam and cat in all their frames."""
    return np.array(
        [place[2] for name in KNOWN_PLACES for place in read_translations(linemod, name).values()]
    )


def read_translations(linemod: Path, name: str) -> dict[int, NDArray[np.float64]]:
    """Frame number to `cam_t_m2c` in millimetres, of the sequences whose poses are at hand."""
    text = read_data(linemod / "frames/dpod" / KNOWN_PLACES[name] / "gt.yml").decode()
    number = r"(-?[\d.]+)"
    pattern = rf"^(\d+):\n(?:(?!^\d+:).*\n)*?.*cam_t_m2c: \[{number}, {number}, {number}\]"
    frames = re.finditer(pattern, text, re.MULTILINE)
    return {int(frame[1]): np.array([float(frame[i]) for i in (2, 3, 4)]) for frame in frames}
