"""Objects of a .blend file as models."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from cad_models import CadModel, model_from_arrays
from renderer._crops import RenderError
from renderer._engines.blender.renderer import BlenderRenderer, BlendFile, start_blender
from renderer._plans.crops import plans_from_poses
from renderer._plans.viewpoints import hemisphere_viewpoints, look_at

_LOOK_SIZE = 32
_LOOK_SAMPLES = 4


def load_blend_models(blend: BlendFile) -> list[CadModel]:
    """The objects of a .blend file as they look in its scene, by Blender.

    Their names are made fit for file names; ids count from 1. Hashes are of shape and looks: of
    what Blender draws of them.

    Convention:
        Millimetres, by the scene's unit scale. Coordinates are the object's own: its origin and
        axes, its scale in the scene applied, all modifiers as in renders.

    Raises:
        RenderError: there is no Blender, it cannot open the file, or an object is not in it or
            cannot be rendered, or two have one name in files.
        ModelError: an object has no area.
    """
    start = {
        "meshes": (), "textures": (), "environments": (), "through_file": False,
        "samples": 1, "threads": 1,
        "blend": str(blend.path.resolve()), "objects": blend.objects, "scene_light": False,
    }  # fmt: skip
    side = start_blender(start)
    models_arrays = side.models
    side.close()
    models = [
        model_from_arrays(
            str(arrays["name"]), number, arrays["vertices"], arrays["faces"],
            normals=arrays["normals"], colors=arrays["colors"], origin=blend.path.name,
        )
        for number, arrays in enumerate(models_arrays, 1)
    ]  # fmt: skip
    _refuse_same_names(models, blend)
    return _with_looks(models, blend)


def _refuse_same_names(models: list[CadModel], blend: BlendFile) -> None:
    owners: dict[str, str] = {}
    for model, name in zip(models, blend.objects, strict=True):
        owner = owners.setdefault(model.name.casefold(), name)
        if owner != name:
            raise RenderError(
                f"{owner} and {name} have one name in files, {model.name}: rename one of them"
            )


def _with_looks(models: list[CadModel], blend: BlendFile) -> list[CadModel]:
    """The models, their hashes over what they look like too: materials are in no other hash."""
    views = look_at(hemisphere_viewpoints(0))
    renderer = BlenderRenderer(models, blend=blend, samples=_LOOK_SAMPLES)
    hashed = []
    for number, model in enumerate(models):
        reach = float(np.linalg.norm(model.bounds[1] - model.centre))
        plans = plans_from_poses(
            models, [number] * len(views), views, 4 * reach, window=2 * reach, size=_LOOK_SIZE
        )
        looks = renderer.render(plans).rgb.tobytes()
        hashed.append(
            replace(model, sha256=hashlib.sha256(model.sha256.encode() + looks).hexdigest())
        )
    renderer.close()
    return hashed
