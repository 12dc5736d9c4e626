"""Objects, poses and lights to crops: viewpoints, plans and renderers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from renderer._crops import CropBatch, Plans, Renderer, RenderError
from renderer._fake import FakeRenderer
from renderer._geometry import (
    angle_between,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotation_about,
)
from renderer._plan import PlanConfig, make_plans, plans_from_poses
from renderer._sensor import StructuredLight, board_depth, simulate_structured_light_depth
from renderer._symmetry import canonical_pose, canonical_rotation, symmetry_quaternions
from renderer._viewpoints import hemisphere_viewpoints, in_plane, look_at, uniform_rotation

if TYPE_CHECKING:
    from renderer._raster import RasterRenderer

__all__ = [
    "CropBatch",
    "FakeRenderer",
    "PlanConfig",
    "Plans",
    "RasterRenderer",
    "RenderError",
    "Renderer",
    "StructuredLight",
    "angle_between",
    "board_depth",
    "canonical_pose",
    "canonical_rotation",
    "hemisphere_viewpoints",
    "in_plane",
    "look_at",
    "make_plans",
    "matrix_from_quaternion",
    "plans_from_poses",
    "quaternion_from_matrix",
    "rotation_about",
    "simulate_structured_light_depth",
    "symmetry_quaternions",
    "uniform_rotation",
]


def __getattr__(name: str) -> Any:
    # numba takes most of a second to import: only those who rasterise wait for it.
    if name == "RasterRenderer":
        from renderer._raster import RasterRenderer

        return RasterRenderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
