"""The lights and the world of an open .blend file's scene, for objects that are lit as there.

Runs in Blender's own Python: imports numpy and bpy only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

_RAYS = ("visible_diffuse", "visible_glossy", "visible_transmission", "visible_shadow")


class SceneLight:
    """What lights a file's scene, put into another scene too.

    Args:
        source: the file's.
        scene: the other one, whose world becomes that of the file's.
    """

    def __init__(self, source: bpy.types.Scene, scene: bpy.types.Scene) -> None:
        depsgraph = bpy.context.evaluated_depsgraph_get()
        self._lights = [
            _copy(item, item.evaluated_get(depsgraph).matrix_world, scene)
            for item in _rendered(source.view_layers[0].layer_collection)
            if item.type == "LIGHT"
        ]
        scene.world = source.world
        scene.frame_current = source.frame_current
        self.exposure = 2.0 ** float(source.view_settings.exposure)
        """By how much the scene's pictures are brighter than its light."""

    @property
    def count(self) -> int:
        """How many lights there are, the world among them."""
        return len(self._lights) + 1

    def close(self) -> None:
        """Take the lights out of the other scene."""
        bpy.data.batch_remove(self._lights)


def camera_place(standing: Matrix, pose: Matrix) -> Matrix:
    """(4, 4), where a camera is that sees an object in a pose which stands somewhere.

    Args:
        standing: the object's own axes in the scene.
        pose: from these to Blender's camera axes.
    """
    return standing @ pose.inverted()


def seen_from(
    place: Matrix, normals: NDArray[np.float32], positions: NDArray[np.float32]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Directions and points of a scene, (H, W, 3) each, in the axes of a camera at a place."""
    inverse = np.array(place.inverted())
    turn, shift = inverse[:3, :3], inverse[:3, 3]
    return normals @ turn.T, positions @ turn.T + shift


def _copy(item: bpy.types.Object, place: Matrix, scene: bpy.types.Scene) -> bpy.types.Object:
    light = bpy.data.objects.new("render-adapt light", item.data)
    light.matrix_world = place
    for ray in _RAYS:
        setattr(light, ray, getattr(item, ray))
    # Pictures show objects alone.
    light.visible_camera = False
    scene.collection.objects.link(light)
    return light


def _rendered(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Object]:
    """The objects of a scene that its renders show."""
    if layer.exclude or layer.collection.hide_render:
        return
    yield from (item for item in layer.collection.objects if not item.hide_render)
    for child in layer.children:
        yield from _rendered(child)
