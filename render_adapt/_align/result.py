"""What was found of each of a target's crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.aligner import Aligned, TargetView
from render_adapt._align.evidence import depth_offset
from render_adapt._align.search import Poses, PoseSearch
from render_adapt._align.source import DenseCrops, at_size
from renderer import canonical_pose


@dataclass(frozen=True)
class Result:
    """Of N crops."""

    names: tuple[str, ...]
    """Their files within the target, and their objects where they were cut from frames."""
    view: TargetView
    poses: Poses
    """Canonical, with cameras at which measured and drawn depth agree."""
    confidence: NDArray[np.float64]
    """(N,), the probability that the pose is right; 0 where none was found."""
    found: NDArray[np.bool_]
    """(N,), whether there is a pose at all."""
    kept: NDArray[np.bool_]
    """(N,), whether the crop goes into the dataset."""

    @property
    def image_of(self) -> NDArray[np.int64]:
        """(N,), each crop's number in the dataset; -1 where it is left out."""
        return np.where(self.kept, np.cumsum(self.kept) - 1, -1)


def make_result(
    names: tuple[str, ...],
    view: TargetView,
    aligned: Aligned,
    confidence: NDArray[np.float64],
    min_confidence: float,
    models: Sequence[CadModel],
    search: PoseSearch,
) -> Result:
    """Put together what was found.

    Args:
        names, view: the crops.
        aligned: their poses.
        confidence: (N,), in those that were found.
        min_confidence: from which on they are kept.
        models: the objects.
        search: draws them.
    """
    confidence = np.where(aligned.found, confidence, 0.0)
    poses = _canonical(aligned.poses, models)
    if view.depth is not None:
        poses = _at_measured_depth(poses, view, view.depth, aligned.found, search)
    kept = aligned.found & (confidence >= min_confidence)
    return Result(names, view, poses, confidence, aligned.found, kept)


def sure_crops(result: Result, models: Sequence[CadModel], threads: int) -> DenseCrops:
    """The crops that are kept, with object coordinates and masks drawn in their poses: to be
    learnt from as renders are.

    Args:
        result: what was found.
        models: the objects.
        threads: of the processor.
    """
    poses, size = result.poses[result.kept], result.view.rgb.shape[1]
    search = PoseSearch(models, size, threads)
    drawn = search.renderer.render(at_size(search.plans(poses), size // 2), surface_maps=True)
    assert drawn.object_coordinates is not None
    return DenseCrops(
        rgb=result.view.rgb[result.kept],
        object_index=poses.object_index,
        mask=drawn.mask,
        coordinates=np.rint(255 * drawn.object_coordinates).astype(np.uint8),
    )


def _canonical(poses: Poses, models: Sequence[CadModel]) -> Poses:
    rotation, translation = poses.rotation.copy(), poses.translation.copy()
    for number, model in enumerate(models):
        rows = poses.object_index == number
        rotation[rows], translation[rows] = canonical_pose(
            rotation[rows], translation[rows], model.symmetries
        )
    return Poses(poses.object_index, rotation, translation, poses.camera_matrix)


def _at_measured_depth(
    poses: Poses,
    view: TargetView,
    measured: NDArray[np.float32],
    found: NDArray[np.bool_],
    search: PoseSearch,
) -> Poses:
    """The poses moved to where their objects were measured, with cameras that see them as large.

    A crop says how large its object is, and depth how far; its own focal length follows.
    """
    translation, camera_matrix = poses.translation.copy(), poses.camera_matrix.copy()
    for first in range(0, len(poses), 64):
        rows = first + np.flatnonzero(found[first : first + 64])
        if not len(rows):
            continue
        drawn = search.draw(poses[rows])
        for place, row in enumerate(rows):
            relative = drawn.object_depth[place] - np.float32(view.centre_depth[row])
            offset = depth_offset(measured[row], relative, drawn.mask[place])
            depth = drawn.plans.centre_depth[place]
            if offset is not None and abs(offset) < 0.25 * depth:
                translation[row, 2] += offset
                camera_matrix[row, :2, :2] *= (depth + offset) / depth
    return Poses(poses.object_index, poses.rotation, translation, camera_matrix)
