"""What BlenderProc's scene has: labelled objects, the camera, and their poses in each frame."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, Mesh, Symmetries
from checked_settings import RenderAdaptError
from render_adapt._formats.pixel_centre import INSIDE, recounted

PIXEL_CENTRE = 0.0
"""Where the first pixel's centre is in the coordinates of BlenderProc's K."""
_MILLIMETRES = 1000.0
"""In a unit of BlenderProc's scenes, which is a metre."""
_FROM_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])
"""A camera's axes in Blender are x right, y up, z backward."""


class SceneError(RenderAdaptError):
    """What BlenderProc's scene has, or its renderer gave, cannot be worked with as it is."""


@dataclass(frozen=True)
class SceneObject:
    """A labelled object."""

    name: str
    """Blender's."""
    category_id: int
    """BlenderProc's, which BOP's `obj_id` is."""
    pass_index: int
    """What it is in segmentation maps by instance; 0 where nothing gave it a number."""
    model: CadModel
    """As far as windows around it need it: its points, without faces."""


@dataclass(frozen=True)
class SceneFrames:
    """F frames of a scene of K labelled objects.

    Convention:
        As in `renderer.Plans`: millimetres, OpenCV's axes, pixels counted from the corner.
    """

    objects: tuple[SceneObject, ...]
    shared_categories: frozenset[int]
    """Category ids that several objects of the scene have."""
    has_pass_indices: bool
    """Whether any object of the scene has a number in segmentation maps."""
    camera_matrix: NDArray[np.float64]
    """(3, 3)."""
    rotation: NDArray[np.float64]
    """(F, K, 3, 3), `cam_R_m2c`."""
    translation: NDArray[np.float64]
    """(F, K, 3), `cam_t_m2c`."""
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.rotation)


def read_scene(target_objects: Sequence[Any] | None) -> SceneFrames:
    """The frames that are registered in BlenderProc, in their order.

    Args:
        target_objects: BlenderProc's `MeshObject`s; all with a `category_id` above 0 that are not
            hidden, if not given.

    Raises:
        SceneError: BlenderProc is not running, or there is nothing to be adapted.
    """
    bproc = sys.modules.get("blenderproc")
    if bproc is None or not hasattr(bproc, "renderer"):
        raise SceneError(
            "BlenderProc is not running: call this in a script that imports blenderproc first, by "
            "blenderproc run"
        )
    import bpy

    everything = bproc.object.get_all_mesh_objects()
    entities = _labelled(everything) if target_objects is None else list(target_objects)
    for entity in entities:
        if _category(entity) <= 0:
            raise SceneError(
                f"{entity.get_name()} is among `target_objects` without a category_id above 0: "
                'give it one by set_cp("category_id", ...)'
            )
    if not entities:
        raise SceneError(
            "no object of the scene is labelled: give objects a category_id above 0 by "
            'set_cp("category_id", ...)'
        )
    scene = bpy.context.scene
    current = scene.frame_current
    poses = []
    try:
        for frame in range(scene.frame_start, scene.frame_end):
            scene.frame_set(frame)
            to_camera = np.linalg.inv(bproc.camera.get_camera_pose() @ _FROM_BLENDER)
            poses.append([to_camera @ entity.get_local2world_mat() for entity in entities])
    finally:
        scene.frame_set(current)
    if not poses:
        raise SceneError("no camera pose is registered: add some by bproc.camera.add_camera_pose")
    matrices = np.array(poses)
    rotation = _rotations(matrices[..., :3, :3])
    inner = np.swapaxes(rotation[0], -1, -2) @ matrices[0, :, :3, :3]
    categories = [_category(entity) for entity in everything]
    return SceneFrames(
        objects=tuple(_object(entity, part) for entity, part in zip(entities, inner, strict=True)),
        shared_categories=frozenset(c for c in categories if categories.count(c) > 1),
        has_pass_indices=any(entity.blender_obj.pass_index for entity in everything),
        camera_matrix=recounted(
            np.array(bproc.camera.get_intrinsics_as_K_matrix()), PIXEL_CENTRE, INSIDE
        ),
        rotation=rotation,
        translation=_MILLIMETRES * matrices[..., :3, 3],
        width=scene.render.resolution_x,
        height=scene.render.resolution_y,
    )


def _labelled(entities: Sequence[Any]) -> list[Any]:
    return [entity for entity in entities if not entity.is_hidden() and _category(entity) > 0]


def _category(entity: Any) -> int:
    """0 where it has none."""
    return int(entity.get_cp("category_id")) if entity.has_cp("category_id") else 0


def _rotations(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3, 3), what is left of poses without the objects' scale, as BlenderProc's BOP writer
    has it."""
    scale = np.linalg.norm(linear, axis=-2, keepdims=True)
    left, _, right = np.linalg.svd(linear / np.maximum(scale, 1e-30))
    rotation = left @ right
    mirrored = np.linalg.det(rotation)[..., None, None] < 0
    return np.asarray(np.where(mirrored, -rotation, rotation))


def _object(entity: Any, inner: NDArray[np.float64]) -> SceneObject:
    """An object whose mesh is scaled, or mirrored, by a (3, 3) matrix."""
    mesh = entity.get_mesh()
    places = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", places)
    if not len(places):
        raise SceneError(
            f"{entity.get_name()} has no vertices: give it a mesh, or a category_id of 0"
        )
    vertices = (_MILLIMETRES * places.reshape(-1, 3) @ inner.T).astype(np.float32)
    category, name = _category(entity), str(entity.get_name())
    points = Mesh(
        vertices, np.empty((0, 3), np.int32), np.zeros_like(vertices),
        np.zeros(vertices.shape, np.uint8),
    )  # fmt: skip
    model = CadModel(name, category, points, 0.0, Symmetries(), "BlenderProc", "")
    return SceneObject(name, category, int(entity.blender_obj.pass_index), model)
