"""A stand-in for BlenderProc: what it has of a scene and gives of its frames, made of our own.

Structure, types and conventions are those that BlenderProc 2.8.0 was found to have
(tests/test_blenderproc.py compares): metres, K that counts pixel centres at integers, cameras that
look along -z with y up, objects with a scale, and 1e10 m where there is no surface.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    FrameConfig,
    RasterRenderer,
    capture,
    make_frame_plans,
    uniform_rotation,
)

NOTHING = np.float32(1e10)
"""Metres, where there is no surface."""
SCALE = 0.001
"""Of the objects: their meshes are in millimetres."""
FROM_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])
BEHIND = -1000.0
"""Millimetres: where an object is that a frame does not show."""


MODELS = load_models(["ape", "benchvise", "cam", "cat", "duck"])


def make_frames(count: int) -> CropBatch:
    """Frames of some of `MODELS`, each once at most, on a board."""
    config = FrameConfig(width=320, height=240, objects=5, distance=(400.0, 900.0))
    plans = make_frame_plans(config, MODELS, 1, 0, count)
    drawn = RasterRenderer(MODELS, levels=False).render(plans)
    on_board = replace(RANDOMIZATIONS["none"], background=("board",))
    return capture(drawn, on_board, 1, MODELS)


@dataclass
class Vertices:
    """Blender's, of a mesh."""

    places: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.places)

    def foreach_get(self, attribute: str, values: NDArray[np.float32]) -> None:
        assert attribute == "co"
        values[:] = self.places.ravel()


@dataclass
class Entity:
    """BlenderProc's `MeshObject`."""

    name: str
    vertices: NDArray[np.float32]
    pose: Callable[[], NDArray[np.float64]]
    properties: dict[str, Any]
    blender_obj: Any = field(default_factory=lambda: SimpleNamespace(pass_index=0))
    hidden: bool = False

    def get_name(self) -> str:
        return self.name

    def has_cp(self, key: str) -> bool:
        return key in self.properties

    def get_cp(self, key: str) -> Any:
        return self.properties[key]

    def is_hidden(self) -> bool:
        return self.hidden

    def get_mesh(self) -> Any:
        return SimpleNamespace(vertices=Vertices(self.vertices))

    def get_local2world_mat(self) -> NDArray[np.float64]:
        return self.pose()


class StandIn:
    """BlenderProc with a floor and some models in its scene, as some frames show them.

    Args:
        frames: each shows a model once at most.
        models: that they were made for.
    """

    def __init__(self, frames: CropBatch, models: Sequence[CadModel]) -> None:
        self.frames, self.models = frames, models
        self.places = np.column_stack([frames.plans.object_index, frames.plans.others.object_index])
        self.cameras = np.tile(np.eye(4), (len(frames), 1, 1))
        turned = uniform_rotation(np.random.default_rng(0).uniform(size=(len(frames), 3)))
        self.cameras[:, :3, :3] = turned
        self.cameras[:, :3, 3] = np.arange(3 * len(frames)).reshape(-1, 3)
        self.scene = SimpleNamespace(
            frame_start=0, frame_end=len(frames), frame_current=1, frame_set=self._set_frame,
            render=SimpleNamespace(
                resolution_x=frames.plans.width, resolution_y=frames.plans.height
            ),
        )  # fmt: skip
        floor = Entity("Plane", np.zeros((4, 3), np.float32), lambda: np.eye(4), {"category_id": 0})
        self.entities = [floor, *map(self._entity, range(len(models)))]
        for number, entity in enumerate(self.entities, 1):
            entity.blender_obj.pass_index = number
        self.k = frames.plans.camera_matrix[0] - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have it found as `blenderproc` and `bpy`."""
        blenderproc, bpy = ModuleType("blenderproc"), ModuleType("bpy")
        vars(blenderproc).update(
            renderer=SimpleNamespace(),
            object=SimpleNamespace(get_all_mesh_objects=lambda: self.entities),
            camera=SimpleNamespace(
                get_camera_pose=lambda: self.cameras[self.scene.frame_current],
                get_intrinsics_as_K_matrix=lambda: self.k,
            ),
        )
        vars(bpy).update(context=SimpleNamespace(scene=self.scene))
        monkeypatch.setitem(sys.modules, "blenderproc", blenderproc)
        monkeypatch.setitem(sys.modules, "bpy", bpy)

    def render(self) -> dict[str, Any]:
        """What `bproc.renderer.render()` gives."""
        maps = [self._segmentation(row) for row in range(len(self.frames))]
        names = [
            [
                {"idx": number, "name": entity.name}
                for number, entity in enumerate(self.entities, 1)
                if (values == number).any()
            ]
            for values in maps
        ]
        depth = self.frames.depth / np.float32(1000)
        return {
            "colors": list(self.frames.rgb),
            "depth": list(np.where(depth > 0, depth, NOTHING)),
            "instance_segmaps": maps,
            "instance_attribute_maps": names,
        }

    def _set_frame(self, frame: int) -> None:
        self.scene.frame_current = frame

    def _entity(self, place: int) -> Entity:
        model = self.models[place]
        return Entity(
            f"{model.name}.001", model.mesh.vertices, lambda: self._pose(place),
            {"category_id": model.object_id},
        )  # fmt: skip

    def _pose(self, place: int) -> NDArray[np.float64]:
        """(4, 4), object to world in the current frame."""
        row = self.scene.frame_current
        plans, pose = self.frames.plans, np.eye(4)
        pose[2, 3] = BEHIND / 1000
        pose[:3, :3] = SCALE * np.eye(3)
        for number in np.flatnonzero(self.places[row] == place):
            part = plans if number == 0 else plans.others
            key = row if number == 0 else (row, number - 1)
            pose[:3, :3] = SCALE * part.rotation[key]
            pose[:3, 3] = part.translation[key] / 1000
        return np.asarray(self.cameras[row] @ FROM_BLENDER @ pose)

    def _segmentation(self, row: int) -> NDArray[np.int64]:
        values = np.ones(self.frames.depth.shape[1:], np.int64)
        seen = [self.frames.mask_visib[row], *self.frames.others_mask_visib[row]]
        for place, mask in zip(self.places[row], seen, strict=True):
            values[mask] = 2 + place
        return values
