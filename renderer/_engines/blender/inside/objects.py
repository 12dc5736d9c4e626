"""Objects of an open .blend file as they look in its scene: meshes with all modifiers, materials.

Runs in Blender's own Python: imports numpy and bpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from renderer._crops import RenderError

_WITH_SURFACE = ("MESH", "CURVE", "SURFACE", "FONT", "META")
_GREY = 190
"""Of faces without a material; as for mesh files without colours."""


@dataclass(frozen=True)
class BlendObject:
    """An object of the file, evaluated."""

    mesh: bpy.types.Mesh
    """In the object's own coordinates and the scene's unit, with its materials."""
    scale: Matrix
    """(4, 4), scale and shear as in the scene, without rotation or place."""
    standing: Matrix
    """(4, 4), rotation and place in the scene, without scale."""
    arrays: dict[str, NDArray[Any]]
    """`vertices` (V, 3) in millimetres, `faces` (F, 3), `normals` (V, 3), `colors` (V, 3), and
    `name`."""


def open_blend(file: Path) -> None:
    """Open a file, if it is not the one that is open.

    Raises:
        RenderError: it cannot be read, or another one is open in a window.
    """
    if bpy.data.filepath and Path(bpy.data.filepath).resolve() == file.resolve():
        return
    if not bpy.app.background:
        raise RenderError(f"{file} cannot be opened in a Blender that is in use: save it there")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(file), load_ui=False)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("Error: ")
        raise RenderError(f"{file} cannot be opened by Blender: {reason}") from None


def millimetres_per_unit() -> float:
    """Of the open file's scene."""
    return 1000.0 * float(bpy.context.scene.unit_settings.scale_length)


def evaluate_objects(names: Sequence[str]) -> list[BlendObject]:
    """The named objects of the open file.

    Convention:
        Coordinates are the object's own: its origin, its axes, its scale in the scene. Modifiers
        count as they do for renders.

    Raises:
        RenderError: there is no such object, or nothing of it can be rendered.
    """
    objects = [_find(name) for name in names]
    unit = millimetres_per_unit()
    scene = bpy.data.scenes.new("render-adapt evaluation")
    # What the scene's own view layer leaves out is evaluated here all the same.
    for object_ in objects:
        if object_.name not in scene.collection.objects:
            scene.collection.objects.link(object_)
        _as_rendered(object_)
    layer = scene.view_layers[0]
    layer.update()
    try:
        return [_evaluated(object_, layer.depsgraph, unit) for object_ in objects]
    finally:
        bpy.data.scenes.remove(scene)


def names_of_objects() -> list[str]:
    """Names of all objects of the open file that have surfaces."""
    return sorted(object_.name for object_ in bpy.data.objects if object_.type in _WITH_SURFACE)


def _find(name: str) -> bpy.types.Object:
    object_ = bpy.data.objects.get(name)
    if object_ is None:
        names = ", ".join(names_of_objects()) or "none with a surface"
        file = Path(bpy.data.filepath).name
        raise RenderError(f"there is no object {name} in {file}: it has {names}")
    return object_


def _as_rendered(object_: bpy.types.Object) -> None:
    """Show it, and let its modifiers do in this window-less Blender what they do in renders."""
    object_.hide_viewport = object_.hide_render = False
    for modifier in object_.modifiers:
        modifier.show_viewport = modifier.show_render
        if modifier.type in ("SUBSURF", "MULTIRES"):
            modifier.levels = modifier.render_levels


def _evaluated(
    object_: bpy.types.Object, depsgraph: bpy.types.Depsgraph, unit: float
) -> BlendObject:
    _refuse_missing(object_)
    if object_.type not in _WITH_SURFACE:
        raise RenderError(
            f"{object_.name} has no surface, it is of the type {object_.type.lower()}: leave it out"
        )
    evaluated = object_.evaluated_get(depsgraph)
    mesh = bpy.data.meshes.new_from_object(
        evaluated, preserve_all_data_layers=True, depsgraph=depsgraph
    )
    mesh.name = f"render-adapt {object_.name}"
    if not mesh.polygons:
        raise RenderError(
            f"{object_.name} has no faces: give it some (of instances, by Realize Instances), or "
            "leave it out"
        )
    if not mesh.materials:
        mesh.materials.append(None)
    scale = _without_rotation(evaluated.matrix_world, object_.name)
    standing = evaluated.matrix_world @ scale.inverted()
    return BlendObject(mesh, scale, standing, _arrays(object_.name, mesh, scale, unit))


def _refuse_missing(object_: bpy.types.Object) -> None:
    for part in (object_, object_.data):
        library = part and part.library
        if library and not Path(bpy.path.abspath(library.filepath)).exists():
            raise RenderError(
                f"{object_.name} is linked from {library.filepath}, which is missing: find that "
                "file, or leave the object out"
            )


def _without_rotation(world: Matrix, name: str) -> Matrix:
    """What is left of a matrix when its rotation and place are taken away.

    Raises:
        RenderError: it flattens the object.
    """
    inner = np.array(world.to_3x3())
    left, sizes, right = np.linalg.svd(inner)
    if sizes.min() <= 1e-9 * max(sizes.max(), 1e-30):
        raise RenderError(f"{name} has a scale of 0 along an axis: give it another")
    # The polar decomposition; a mirrored object stays mirrored, and the rotation is one.
    turn = left @ right
    if np.linalg.det(turn) < 0:
        turn = -turn
    return Matrix((turn.T @ inner).tolist()).to_4x4()


def _arrays(name: str, mesh: bpy.types.Mesh, scale: Matrix, unit: float) -> dict[str, NDArray[Any]]:
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    corners = np.empty(3 * count, np.int32)
    mesh.loop_triangles.foreach_get("vertices", corners)
    loops = np.empty(3 * count, np.int32)
    mesh.loop_triangles.foreach_get("loops", loops)
    normals = np.empty(3 * len(mesh.loops), np.float32)
    mesh.corner_normals.foreach_get("vector", normals)
    slots = np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("material_index", slots)
    palette = _palette(mesh)
    colors = palette[np.clip(slots, 0, len(palette) - 1)].repeat(3, axis=0)
    inner = np.array(scale.to_3x3())
    turned = normals.reshape(-1, 3)[loops] @ np.linalg.inv(inner)
    turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    rows, faces = _joined(corners, turned, colors)
    faces = faces.reshape(-1, 3)
    if np.linalg.det(inner) < 0:
        faces = faces[:, ::-1]
    return {
        "name": np.array(name),
        "vertices": (vertices.reshape(-1, 3).astype(np.float64) @ inner.T * unit)[corners[rows]],
        "faces": np.ascontiguousarray(faces),
        "normals": turned[rows],
        "colors": colors[rows],
    }


def _joined(
    corners: NDArray[np.int32], normals: NDArray[np.floating], colors: NDArray[np.uint8]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Corners of triangles that are alike in all, as one: its first row, and which one each is."""
    key = np.column_stack([corners, np.rint(normals * 1024).astype(np.int32), colors])
    _, rows, joined_row = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return rows, joined_row.reshape(-1)


def _palette(mesh: bpy.types.Mesh) -> NDArray[np.uint8]:
    """(M, 3), a plain colour for each material, for engines that cannot draw these."""
    colors = [_plain_color(material) for material in mesh.materials]
    return np.array(colors, np.uint8)


def _plain_color(material: bpy.types.Material | None) -> tuple[int, ...]:
    if material is None:
        return (_GREY,) * 3
    linear = np.array(material.diffuse_color[:3])
    if material.use_nodes:
        for node in material.node_tree.nodes:
            if node.type == "BSDF_PRINCIPLED" and not node.inputs["Base Color"].is_linked:
                linear = np.array(node.inputs["Base Color"].default_value[:3])
    return tuple(int(value) for value in np.rint(255 * to_srgb(linear)))


def to_srgb(linear: NDArray[Any]) -> NDArray[Any]:
    """Light, 1 for white, as values of a picture from 0 to 1 (IEC 61966-2-1)."""
    light = np.clip(linear, 0, 1)
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, curve))
