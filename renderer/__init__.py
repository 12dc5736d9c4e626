"""Objects, poses and lights to crops: viewpoints, plans and renderers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from renderer._capture.capture import capture
from renderer._capture.sensor import (
    StructuredLight,
    board_depth,
    simulate_gaussian_depth,
    simulate_structured_light_depth,
)
from renderer._crops import CropBatch, Instances, Plans, Renderer, RenderError, Surfaces
from renderer._engines.blender.models import load_blend_models
from renderer._engines.blender.renderer import BlenderRenderer, BlendFile
from renderer._engines.check import EngineCheck, check_engine
from renderer._engines.engine import Engine, EngineOptions
from renderer._engines.fake import FakeRenderer
from renderer._engines.registry import ENGINES, make_renderer
from renderer._engines.scenes import Picture, Scene, SceneRenderer
from renderer._pictures.folders import MOST_POSED, Photographs, load_photographs, load_textures
from renderer._pictures.posed import POSES, PicturePoses, write_poses
from renderer._plans.crops import PlanConfig, make_plans, plans_from_poses
from renderer._plans.cutting import (
    CameraSettings,
    Centre,
    centre_points,
    cut_camera,
    turn_towards,
    window_pixels,
)
from renderer._plans.frames import LINEMOD_CAMERA, FrameConfig, linemod_camera, make_frame_plans
from renderer._plans.placing import CLEARANCE, board_under
from renderer._plans.randomization import RANDOMIZATIONS, Randomization, read_randomization
from renderer._plans.rotations import (
    angle_between,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotation_about,
)
from renderer._plans.symmetry import canonical_pose, canonical_rotation, symmetry_quaternions
from renderer._plans.viewpoints import hemisphere_viewpoints, in_plane, look_at, uniform_rotation

if TYPE_CHECKING:
    from renderer._engines.cuda.renderer import CropTensors, CudaRasterRenderer
    from renderer._engines.raster.renderer import RasterRenderer

__all__ = [
    "CLEARANCE",
    "ENGINES",
    "LINEMOD_CAMERA",
    "MOST_POSED",
    "POSES",
    "RANDOMIZATIONS",
    "BlendFile",
    "BlenderRenderer",
    "CameraSettings",
    "Centre",
    "CropBatch",
    "CropTensors",
    "CudaRasterRenderer",
    "Engine",
    "EngineCheck",
    "EngineOptions",
    "FakeRenderer",
    "FrameConfig",
    "Instances",
    "Photographs",
    "Picture",
    "PicturePoses",
    "PlanConfig",
    "Plans",
    "Randomization",
    "RasterRenderer",
    "RenderError",
    "Renderer",
    "Scene",
    "SceneRenderer",
    "StructuredLight",
    "Surfaces",
    "angle_between",
    "board_depth",
    "board_under",
    "canonical_pose",
    "canonical_rotation",
    "capture",
    "centre_points",
    "check_engine",
    "cut_camera",
    "hemisphere_viewpoints",
    "in_plane",
    "linemod_camera",
    "load_blend_models",
    "load_photographs",
    "load_textures",
    "look_at",
    "make_frame_plans",
    "make_plans",
    "make_renderer",
    "matrix_from_quaternion",
    "plans_from_poses",
    "quaternion_from_matrix",
    "read_randomization",
    "rotation_about",
    "simulate_gaussian_depth",
    "simulate_structured_light_depth",
    "symmetry_quaternions",
    "turn_towards",
    "uniform_rotation",
    "window_pixels",
    "write_poses",
]


def __getattr__(name: str) -> Any:
    # numba takes most of a second to import: only those who rasterise wait for it.
    if name == "RasterRenderer":
        from renderer._engines.raster.renderer import RasterRenderer

        return RasterRenderer
    if name in ("CropTensors", "CudaRasterRenderer"):
        from renderer._engines.cuda import renderer as _cuda

        return getattr(_cuda, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
