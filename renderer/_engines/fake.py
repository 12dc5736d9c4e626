"""A renderer for tests of what comes after rendering: no mesh, no compiler, a few lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import CropBatch, Plans, Renderer

_Image = NDArray[np.float64]


class FakeRenderer(Renderer):
    """Renders every object as a ball around its bounding box's centre.

    The ball is as wide as the box's shortest side, so that it lies within the box, and its depth,
    masks and place in the crop are exact. Its red, green and blue follow the surface normal's x, y
    and z in the model's frame, so that the picture shows the rotation, and the plan's lights shine
    on it as on any object. Swapped-in textures are not shown.

    Args:
        models: what `Plans.object_index` counts.
    """

    def __init__(self, models: Sequence[CadModel]) -> None:
        self._bounds = np.array([model.bounds for model in models])
        self._centres = self._bounds.mean(axis=1)
        self._radii = np.ptp(self._bounds, axis=1).min(axis=1) / 2

    def render(self, plans: Plans, *, surface_maps: bool = False) -> CropBatch:
        """Render every plan."""
        count, other_count = len(plans), plans.others.object_index.shape[1]
        image = (count, plans.height, plans.width)
        maps = np.zeros((2, *image, 3), np.float32) if surface_maps else (None, None)
        batch = CropBatch(
            plans=plans,
            rgb=np.zeros((*image, 3), np.uint8),
            depth=np.zeros(image, np.float32),
            object_depth=np.zeros(image, np.float32),
            mask=np.zeros(image, bool),
            mask_visib=np.zeros(image, bool),
            others_mask=np.zeros((count, other_count, *image[1:]), bool),
            others_mask_visib=np.zeros((count, other_count, *image[1:]), bool),
            normals=maps[0],
            object_coordinates=maps[1],
        )
        for row in range(count):
            self._render_one(batch, row)
        return batch

    def _render_one(self, batch: CropBatch, row: int) -> None:
        plans = batch.plans
        across, down = np.meshgrid(np.arange(plans.width) + 0.5, np.arange(plans.height) + 0.5)
        pixels = np.stack([across, down, np.ones_like(across)], axis=-1)
        ray = pixels @ np.linalg.inv(plans.camera_matrix[row]).T
        models = [plans.object_index[row], *plans.others.object_index[row]]
        rotations = [plans.rotation[row], *plans.others.rotation[row]]
        translations = [plans.translation[row], *plans.others.translation[row]]
        nearest = np.full(across.shape, np.inf)
        owner = np.full(across.shape, -1)
        for place, model in enumerate(models):
            if model < 0:
                continue
            rotation = rotations[place]
            centre = rotation @ self._centres[model] + translations[place]
            z = _ball_depth(ray, centre, self._radii[model])
            hit = np.isfinite(z)
            if place == 0:
                batch.mask[row] = hit
                batch.object_depth[row] = np.where(hit, z, 0)
            else:
                batch.others_mask[row, place - 1] = hit
            nearer = z < nearest
            nearest[nearer], owner[nearer] = z[nearer], place
            points = z[nearer, None] * ray[nearer]
            normal = (points - centre) / self._radii[model]
            batch.rgb[row, nearer] = _color(plans, row, place, points, normal, normal @ rotation)
            if place == 0 and batch.normals is not None and batch.object_coordinates is not None:
                batch.normals[row, nearer] = normal
                low, high = self._bounds[model]
                on_model = (points - translations[0]) @ rotation
                batch.object_coordinates[row, nearer] = (on_model - low) / (high - low)
        batch.depth[row] = np.where(owner >= 0, nearest, 0)
        batch.mask_visib[row] = owner == 0
        for place in range(1, len(models)):
            batch.others_mask_visib[row, place - 1] = owner == place
        for surface_map in (batch.normals, batch.object_coordinates):
            if surface_map is not None:
                surface_map[row, owner != 0] = 0


def _ball_depth(ray: _Image, centre: NDArray[np.float64], radius: float) -> _Image:
    """(H, W), z of |z * ray - centre| = radius, its nearer solution; infinite where none is."""
    square, half = (ray * ray).sum(axis=-1), ray @ centre
    root = half**2 - square * (centre @ centre - radius**2)
    z = (half - np.sqrt(np.maximum(root, 0))) / square
    return np.asarray(np.where((root >= 0) & (z > 0), z, np.inf))


def _color(
    plans: Plans, row: int, place: int, points: _Image, normal: _Image, on_model: _Image
) -> _Image:
    """(P, 3), as `Surfaces` says; `on_model` is the normal in the model's frame."""
    surfaces = plans.surfaces
    towards_camera = -points / np.linalg.norm(points, axis=1, keepdims=True)
    reaching = np.broadcast_to(plans.ambient_color[row], points.shape).astype(np.float64)
    highlight = np.zeros(points.shape)
    for direction, color in zip(plans.light_direction[row], plans.light_color[row], strict=True):
        cosine = np.maximum(0, normal @ direction)[:, None]
        reaching += color * cosine
        between = towards_camera + direction
        between /= np.maximum(np.linalg.norm(between, axis=1, keepdims=True), 1e-12)
        facing = np.maximum(0, (normal * between).sum(axis=1))[:, None]
        highlight += (cosine > 0) * color * facing ** surfaces.shininess[row, place]
    own_color = 127.5 * (1 + on_model) * surfaces.gain[row, place]
    reflected = own_color * reaching + 255 * surfaces.specular[row, place] * highlight
    return np.asarray(np.rint(np.clip(reflected, 0, 255)))
