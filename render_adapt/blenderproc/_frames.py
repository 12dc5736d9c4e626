"""A frame of BlenderProc's as the rest of this package has frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render_adapt.blenderproc._scene import SceneFrames
from renderer import CropBatch, Instances, Plans, Surfaces


def frame_of(
    scene: SceneFrames,
    row: int,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> CropBatch:
    """One frame, with all labelled objects of its scene in their order.

    What is hidden of an object is not known: its whole silhouette is what is seen of it.

    Args:
        scene: what the frame is of.
        row: which of its frames.
        rgb, depth: (H, W, 3) and (H, W), as `CropBatch` has them.
        seen: (K, H, W), where each object is seen.
    """
    return CropBatch(
        plans=_plans(scene, row), rgb=rgb[None], depth=depth[None],
        object_depth=np.where(seen[0], depth, np.float32(0))[None],
        mask=seen[None, 0], mask_visib=seen[None, 0],
        others_mask=seen[None, 1:], others_mask_visib=seen[None, 1:],
    )  # fmt: skip


def _plans(scene: SceneFrames, row: int) -> Plans:
    """What the frame contains; light and surfaces do not matter where nothing is drawn."""
    objects = np.arange(len(scene.objects), dtype=np.int32)
    rotation, translation = scene.rotation[row], scene.translation[row]
    return Plans(
        index=np.array([row]),
        object_index=objects[:1],
        rotation=rotation[None, 0],
        translation=translation[None, 0],
        others=Instances(objects[None, 1:], rotation[None, 1:], translation[None, 1:]),
        camera_matrix=scene.camera_matrix[None],
        centre_depth=translation[None, 0, 2],
        light_direction=np.array([[[0, 0, -1]]], np.float32),
        light_color=np.ones((1, 1, 3), np.float32),
        ambient_color=np.ones((1, 3), np.float32),
        surfaces=Surfaces.plain(1, len(objects) - 1),
        width=scene.width,
        height=scene.height,
    )
