"""What BlenderProc's renderer gave, checked: colours, depth, and where each object is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render_adapt._formats.pixel_centre import INSIDE, recounted
from render_adapt.blenderproc._scene import PIXEL_CENTRE, SceneError, SceneFrames

DEPTHS = ("depth", "distance")
"""Along the camera's axis, and along each pixel's ray."""
_BY_INSTANCE, _NAMES = "instance_segmaps", "instance_attribute_maps"
_BY_CATEGORY = ("category_id_segmaps", "class_segmaps")
_MILLIMETRES = 1000.0
_FARTHEST = 1e6
"""Millimetres: what is farther is no surface; Blender gives 1e10 m where there is none."""


def colors_of(data: Mapping[str, Any], scene: SceneFrames) -> list[NDArray[np.uint8]]:
    """(H, W, 3) of each frame, or (H, W, 4) with transparency.

    Raises:
        SceneError: there are none, or they are not as adapters need them.
    """
    colors = _of_all_frames(data, "colors", scene, "bproc.renderer.render() makes them")
    for picture in colors:
        if picture.dtype != np.uint8 or picture.shape[2:] not in ((3,), (4,)):
            raise SceneError(
                "the colors are not of 8 bits a channel: render them so by "
                'bproc.renderer.set_output_format("PNG", color_depth=8)'
            )
    return colors


def depth_of(data: Mapping[str, Any], scene: SceneFrames) -> list[NDArray[np.float32]]:
    """(H, W) of each frame: z in millimetres, 0 where there is nothing or no measurement.

    Raises:
        SceneError: there is neither depth nor distance.
    """
    key = next((key for key in DEPTHS if key in data), "depth")
    advice = "call bproc.renderer.enable_depth_output(activate_antialiasing=False) before render()"
    share = 1.0 if key == "depth" else 1 / ray_lengths(scene)
    depth = []
    for values in _of_all_frames(data, key, scene, advice):
        if values.ndim != 2:
            raise SceneError(f"the {key} has several channels: {advice}")
        z = _MILLIMETRES * values * share
        depth.append(np.where((z > 0) & (z < _FARTHEST), z, 0).astype(np.float32))
    return depth


def ray_lengths(scene: SceneFrames) -> NDArray[np.float64]:
    """(H, W), how much longer than z the way to a surface along a pixel's ray is."""
    k = recounted(scene.camera_matrix, INSIDE, PIXEL_CENTRE)
    x = (np.arange(scene.width) - k[0, 2]) / k[0, 0]
    y = (np.arange(scene.height) - k[1, 2]) / k[1, 1]
    return np.asarray(np.sqrt(1 + x**2 + y[:, None] ** 2))


@dataclass(frozen=True)
class Segmentation:
    """Where each of K objects is seen in F frames."""

    maps: list[NDArray[Any]]
    """(H, W) of each frame, which number is seen where."""
    numbers: list[NDArray[np.int64]]
    """(K,) of each frame, the objects'."""

    def seen(self, row: int) -> NDArray[np.bool_]:
        """(K, H, W), where each object is seen in a frame."""
        return np.asarray(self.maps[row] == self.numbers[row][:, None, None])


def segmentation_of(data: Mapping[str, Any], scene: SceneFrames) -> Segmentation:
    """Where each object is seen.

    Raises:
        SceneError: there is no segmentation, or it does not tell the objects apart.
    """
    advice = (
        'call bproc.renderer.enable_segmentation_output(map_by=["instance", "name"]) before '
        "render()"
    )
    by_category = next((key for key in _BY_CATEGORY if key in data), None)
    if _BY_INSTANCE not in data and by_category is not None:
        for item in scene.objects:
            if item.category_id in scene.shared_categories:
                raise SceneError(
                    f"several objects have the category_id {item.category_id}, which segmentation "
                    f"by category does not tell apart: {advice}"
                )
        maps = _of_all_frames(data, by_category, scene, advice)
        ids = np.array([item.category_id for item in scene.objects])
        return Segmentation(maps, [ids] * len(scene))
    maps = _of_all_frames(data, _BY_INSTANCE, scene, advice)
    return Segmentation(maps, _instance_numbers(data, scene))


def _instance_numbers(data: Mapping[str, Any], scene: SceneFrames) -> list[NDArray[np.int64]]:
    """(K,) of each frame: what each object is in the maps by instance, -1 where it is not there."""
    for item in scene.objects:
        if not item.pass_index and (scene.has_pass_indices or _NAMES not in data):
            raise SceneError(
                f"{item.name} has no number in the segmentation: call "
                "bproc.renderer.enable_segmentation_output after all objects are loaded"
            )
    if not all("name" in entry for entries in data.get(_NAMES, [[{}]]) for entry in entries):
        numbers = np.array([item.pass_index for item in scene.objects])
        return [numbers] * len(scene)
    _refuse_other_frames(_NAMES, data[_NAMES], scene)
    found = []
    for entries in data[_NAMES]:
        by_name = {entry["name"]: int(entry["idx"]) for entry in entries}
        found.append(np.array([by_name.get(item.name, -1) for item in scene.objects]))
    return found


def _of_all_frames(
    data: Mapping[str, Any], key: str, scene: SceneFrames, advice: str
) -> list[NDArray[Any]]:
    """One of the renderer's outputs, a picture for each frame.

    Raises:
        SceneError: it is not there, or not of these frames.
    """
    if key not in data:
        raise SceneError(f"the renderer gave no {key}: {advice}")
    _refuse_other_frames(key, data[key], scene)
    arrays = [np.asarray(picture) for picture in data[key]]
    for array in arrays:
        if array.shape[:2] != (scene.height, scene.width):
            raise SceneError(
                f"the {key} are not of the camera's {scene.width} x {scene.height} pixels: adapt "
                "them as they are rendered, one camera's, before lens distortion is applied"
            )
    return arrays


def _refuse_other_frames(key: str, values: Sequence[Any], scene: SceneFrames) -> None:
    if len(values) != len(scene):
        raise SceneError(
            f"there are {len(values)} {key} and {len(scene)} camera poses: give all that "
            "bproc.renderer.render() returned, before other poses are registered"
        )
