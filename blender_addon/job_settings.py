# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is asked to do: the scene's settings, checked, by the names that the job knows."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from .refusal import Refusal
from .scene_objects import declared_symmetries, diameter_mm, refuse_distractors

LINEMOD_DIAMETER, LINEMOD_WINDOW, LINEMOD_DISTANCE = 220.0, 200.0, (650.0, 1100.0)
"""Millimetres; what is no larger is shown as LINEMOD's objects are."""


def dataset_settings(
    context: bpy.types.Context, objects: Sequence[bpy.types.Object], copy: Path
) -> dict[str, Any]:
    """Of a dataset.

    Raises:
        Refusal: its folder cannot be written, or there is no adapter where there should be one.
    """
    out = folder_for_writing(context.scene.render_adapt.out, "Output")
    return {**preview_settings(context, objects, copy), "out": str(out)}


def preview_settings(
    context: bpy.types.Context, objects: Sequence[bpy.types.Object], copy: Path
) -> dict[str, Any]:
    """Of a dataset's first crops, which are written nowhere.

    Raises:
        Refusal: there is no adapter where there should be one.
    """
    settings = context.scene.render_adapt
    adapter = chosen_adapter(settings)
    return {
        **_models(context, objects, copy),
        **_distractors(context, objects),
        "n": settings.count,
        "size": int(settings.size),
        "seed": settings.seed,
        "adapter": adapter,
        "renderer": "blender",
        "samples": int(settings.samples),
        "randomize": settings.randomize,
        "min_fidelity": 0.0 if adapter == "none" else settings.min_fidelity,
    }


def learning_settings(
    context: bpy.types.Context, objects: Sequence[bpy.types.Object], copy: Path
) -> dict[str, Any]:
    """Of an adapter.

    Raises:
        Refusal: there are no crops to learn from, or its folder cannot be written.
    """
    settings = context.scene.render_adapt
    if not settings.target:
        raise Refusal("No folder to learn from is chosen: choose your camera's crops")
    target = absolute(settings.target, "Camera Crops")
    if not target.is_dir():
        raise Refusal(f"There is no folder {target}: choose your camera's crops")
    return {
        **_models(context, objects, copy),
        **_depth(settings),
        "target": str(target),
        "out": str(folder_for_writing(settings.learned, "New Adapter")),
        "preset": settings.learning,
        "source_crops": settings.renders,
        "steps": settings.steps,
    }


def framing(diameter: float) -> tuple[float, tuple[float, float]]:
    """Window and distances in millimetres that suit an object of this diameter."""
    if diameter <= LINEMOD_DIAMETER:
        return LINEMOD_WINDOW, LINEMOD_DISTANCE
    window = math.ceil(1.1 * diameter / 10) * 10.0
    near, far = LINEMOD_DISTANCE
    return window, (near * window / LINEMOD_WINDOW, far * window / LINEMOD_WINDOW)


def absolute(path: str, name: str) -> Path:
    """A path as the user gave it, which may begin at the .blend file.

    Raises:
        Refusal: there is no .blend file yet.
    """
    if path.startswith("//") and not bpy.data.filepath:
        raise Refusal(
            f"{name} is {path}, beside the .blend file, which is not saved yet: save it, or choose "
            "another folder"
        )
    return Path(os.path.abspath(bpy.path.abspath(path)))


def folder_for_writing(path: str, name: str) -> Path:
    """A folder that is there and can be written, or that can be made.

    Raises:
        Refusal: it cannot.
    """
    if not path:
        raise Refusal(f"{name} is empty: choose a folder")
    folder = absolute(path, name)
    place = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(
            f"{name}: {folder} cannot be written ({reason}): choose another folder"
        ) from None
    return folder


def _models(
    context: bpy.types.Context, objects: Sequence[bpy.types.Object], copy: Path
) -> dict[str, Any]:
    settings = context.scene.render_adapt
    diameter = diameter_mm(objects, context)
    if settings.auto_framing:
        window, distance = framing(diameter)
    else:
        window, distance = settings.window, (settings.near, settings.far)
        if settings.near > settings.far:
            raise Refusal("Nearest is beyond Farthest: exchange them")
    return {
        "models": str(copy),
        "objects": [item.name for item in objects],
        "symmetry": declared_symmetries(objects),
        "lit_by": settings.lit_by,
        "window": window,
        "distance": list(distance),
        **_cut(settings),
    }


def _distractors(context: bpy.types.Context, objects: Sequence[bpy.types.Object]) -> dict[str, Any]:
    """The objects around those that are rendered, with the symmetries of all."""
    distractors = refuse_distractors(context)
    return {
        "distractors": [item.name for item in distractors],
        "symmetry": declared_symmetries([*objects, *distractors]),
    }


def _cut(settings: Any) -> dict[str, Any]:
    """Where crops are cut; what is left to the adapter, or to the camera's crops, is not in it."""
    cut: dict[str, Any] = {}
    if settings.centre != "ADAPTER":
        cut["centre"] = settings.centre.lower()
    if not settings.auto_off_axis:
        # Blender keeps 0.1 as 0.10000000149, which is another setting.
        cut["off_axis"] = round(settings.off_axis, 4)
    return cut


def _depth(settings: Any) -> dict[str, Any]:
    """How the camera's depth is taken; what is left to the crops' folder is not in it."""
    depth: dict[str, Any] = {}
    if settings.channels != "FOUND":
        depth["channels"] = int(settings.channels)
    if settings.depth_step:
        depth["depth_scale"] = round(settings.depth_step, 6)
    return depth


def chosen_adapter(settings: Any) -> str:
    """`shipped`, `none`, or the folder of the user's own.

    Raises:
        Refusal: no folder is chosen, or there is no adapter in it.
    """
    if settings.adapter != "FOLDER":
        return str(settings.adapter).lower()
    if not settings.adapter_folder:
        raise Refusal("No adapter is chosen: choose its folder, or take the shipped one")
    folder = absolute(settings.adapter_folder, "Adapter Folder")
    if not (folder / "adapter.json").is_file():
        raise Refusal(
            f"There is no adapter in {folder}: choose a folder that Learn from Folder wrote, or "
            "take the shipped one"
        )
    return str(folder)
