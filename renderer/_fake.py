"""A renderer for tests of what comes after rendering: no mesh, no compiler, a few lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cad_models import CadModel
from renderer._crops import CropBatch, Plans, Renderer


class FakeRenderer(Renderer):
    """Renders every object as a ball around its bounding box's centre.

    The ball is as wide as the box's shortest side, so that it lies within the box, and its depth,
    mask and place in the crop are exact. Its red, green and blue follow the surface normal's x, y
    and z in the model's frame, so that the picture shows the rotation, and the plan's lights shine
    on it as on any object.

    Args:
        models: what `Plans.object_index` counts.
    """

    def __init__(self, models: Sequence[CadModel]) -> None:
        self._centres = np.array([model.centre for model in models])
        self._radii = np.array([np.ptp(model.bounds, axis=0).min() / 2 for model in models])

    def render(self, plans: Plans) -> CropBatch:
        """Render every plan."""
        count, size = len(plans), plans.size
        rgb = np.zeros((count, size, size, 3), np.uint8)
        depth = np.zeros((count, size, size), np.float32)
        pixel = np.arange(size) + 0.5
        across, down = np.meshgrid(pixel, pixel)
        image = np.stack([across, down, np.ones_like(across)], axis=-1)
        for row, model in enumerate(plans.object_index):
            rotation = plans.rotation[row]
            centre = rotation @ self._centres[model] + plans.translation[row]
            ray = image @ np.linalg.inv(plans.camera_matrix[row]).T
            # |z * ray - centre| = radius, solved for its nearer z.
            square, half = (ray * ray).sum(axis=-1), ray @ centre
            root = half**2 - square * (centre @ centre - self._radii[model] ** 2)
            hit = root >= 0
            z = (half - np.sqrt(np.maximum(root, 0))) / square
            depth[row] = np.where(hit, z, 0)
            normal = (z[..., None] * ray - centre) / self._radii[model]
            cosine = np.maximum(0, normal @ plans.light_direction[row])[..., None]
            light = plans.ambient_color[row] + plans.light_color[row] * cosine
            color = np.clip(127.5 * (1 + normal @ rotation) * light, 0, 255)
            rgb[row] = np.where(hit[..., None], np.rint(color), 0)
        mask = depth > 0
        return CropBatch(plans=plans, rgb=rgb, depth=depth, mask=mask, mask_visib=mask.copy())
