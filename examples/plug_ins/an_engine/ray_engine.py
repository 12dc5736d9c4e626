"""An engine of your own: a ray through each pixel's centre, cast by Intel's Embree.

    pip install examples/plug_ins/an_engine
    render-adapt doctor
    render-adapt --objects ape,cat --n 1000 --renderer rays

It shares no arithmetic with the rasteriser, and agrees with it. The entry point in
`pyproject.toml` is all that makes it known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import Engine, EngineOptions, Picture, RenderError, Scene, SceneRenderer

Numbers = NDArray[Any]


class RayRenderer(SceneRenderer):
    """Draws what the rays through the pixels' centres hit first. Objects cast no shadows."""

    description = "Embree, on the processor"

    def __init__(self, models: Sequence[CadModel]) -> None:
        super().__init__(models)
        self._meshes = [model.mesh for model in models]

    def draw(self, scene: Scene) -> Picture:
        rays, hits = self._cast(scene)
        rgb, normals, positions = np.zeros((3, *rays.shape))
        for place, model in enumerate(scene.object_index):
            mesh, seen = self._meshes[model], hits["geomID"] == place
            u, v = hits["u"][seen], hits["v"][seen]
            corners = mesh.faces[hits["primID"][seen]]
            weights = np.stack([1 - u - v, u, v], axis=1)
            away = (hits["Ng"][seen] * rays[seen]).sum(axis=1) > 0
            normal = _mean(mesh.normals, corners, weights) @ scene.rotation[place].T
            normals[seen] = _unit(np.where(away[:, None], -normal, normal))
            positions[seen] = _mean(mesh.vertices, corners, weights)
            if mesh.texture is None or mesh.texture_coordinates is None:
                own = _mean(mesh.colors, corners, weights)
            else:
                own = _looked_up(mesh.texture, _mean(mesh.texture_coordinates, corners, weights))
            rgb[seen] = _shaded(own, scene, place, normals[seen], rays[seen])
        picture = (scene.size[1], scene.size[0])
        return Picture(
            rgb=np.rint(rgb.clip(0, 255)).astype(np.uint8).reshape(*picture, 3),
            depth=_depth(hits).reshape(picture),
            instance=hits["geomID"].astype(np.int16).reshape(picture),
            normals=normals.astype(np.float32).reshape(*picture, 3) if scene.maps else None,
            positions=positions.astype(np.float32).reshape(*picture, 3) if scene.maps else None,
        )

    def draw_depth(self, scene: Scene) -> NDArray[np.float32]:
        return _depth(self._cast(scene)[1]).reshape(scene.size[1], scene.size[0])

    def _cast(self, scene: Scene) -> tuple[Numbers, dict[str, NDArray[Any]]]:
        """(H * W, 3), rays in the camera's frame as far as z = 1, and what each hits."""
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        embree = EmbreeScene(robust=True)
        for model, turn, shift in zip(
            scene.object_index, scene.rotation, scene.translation, strict=True
        ):
            mesh = self._meshes[model]
            TriangleMesh(embree, (mesh.vertices @ turn.T + shift).astype(np.float32), mesh.faces)
        width, height = scene.size
        across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        pixels = np.stack([across, down, np.ones_like(across)], axis=-1).reshape(-1, 3)
        rays = (pixels @ np.linalg.inv(scene.camera_matrix).T).astype(np.float32)
        return rays, embree.run(np.zeros_like(rays), rays, output=True)


def _depth(hits: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Where a ray's z is 1, the distance along it is z."""
    return np.asarray(np.where(hits["geomID"] >= 0, hits["tfar"], 0), np.float32)


def _mean(values: NDArray[Any], corners: NDArray[np.int32], weights: Numbers) -> Numbers:
    """(P, 3) or (P, 2), what a face's corners have, in between."""
    return np.asarray(np.einsum("pc,pcd->pd", weights, values[corners]))


def _looked_up(texture: NDArray[np.uint8], at: Numbers) -> Numbers:
    """(P, 3), a repeating picture's nearest texels; (0, 0) is its bottom-left corner."""
    height, width = texture.shape[:2]
    rows, columns = np.floor([(1 - at[:, 1]) * height, at[:, 0] * width]).astype(int)
    return np.asarray(texture[rows % height, columns % width], float)


def _shaded(own: Numbers, scene: Scene, place: int, normal: Numbers, rays: Numbers) -> Numbers:
    """(P, 3), colours as `renderer.Surfaces` says."""
    reaching, highlight = np.zeros((2, *normal.shape))
    reaching += scene.ambient_color
    for direction, color in zip(scene.light_direction, scene.light_color, strict=True):
        cosine = (normal @ direction).clip(0)[:, None]
        between = _unit(direction - _unit(rays))
        facing = (normal * between).sum(axis=1, keepdims=True).clip(0)
        reaching += color * cosine
        highlight += (cosine > 0) * color * facing ** scene.shininess[place]
    shown = own * scene.gain[place] * reaching + 255 * scene.specular[place] * highlight
    return np.asarray(shown)


def _unit(vectors: Numbers) -> Numbers:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def _make(models: Sequence[CadModel], options: EngineOptions) -> RayRenderer:
    try:
        import embreex.rtcore_scene  # noqa: F401
    except ImportError as error:
        raise RenderError(f"rays needs Embree ({error}): pip install embreex.") from error
    return RayRenderer(models)


ENGINE = Engine(name="rays", use="drawing by ray casting", make=_make)
