"""A third engine: Blender's path tracer, Cycles, in this process or in one beside it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import RenderError
from renderer._engines.blender.process import BlenderProcess
from renderer._engines.scenes import Picture, Scene, SceneRenderer, oriented_faces
from renderer._plans.symmetry import alike_pose
from renderer._streams import Stream
from safe_files import list_folder, open_file

PYTHON_VARIABLE = "RENDER_ADAPT_BLENDER_PYTHON"
BINARY_VARIABLE = "RENDER_ADAPT_BLENDER"

INSTALL = (
    "make an environment of its own for it (python3.11 -m venv blender && blender/bin/pip install "
    f"'bpy>=4.2') and set {PYTHON_VARIABLE}=$PWD/blender/bin/python, or set {BINARY_VARIABLE} to a "
    "Blender of 4.2 or later"
)

_ENVIRONMENT_FILES = frozenset({".hdr", ".exr"})
_MOST_BYTES = 2**31
"""Of an HDRI picture."""


class BlenderSide(Protocol):
    """Blender, wherever it runs."""

    description: str
    models: list[dict[str, NDArray[Any]]]

    def draw(self, plan: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class BlendFile:
    """Objects in a file that Blender has saved."""

    path: Path
    objects: tuple[str, ...]
    """Their names in it."""
    scene_light: bool = False
    """Whether they are lit by its scene's lights and world, in place of a plan's light."""


class BlenderRenderer(SceneRenderer):
    """Renders with Cycles: geometry as the other engines, light as it travels.

    Beside what `Surfaces` describes, objects cast shadows on each other and themselves and light
    each other, and ambient light reaches what it can reach. Highlights are those of a Beckmann
    surface as wide and as bright as Blinn's. A value of 8 bits means itself, as for the other
    engines: there is no tone curve. Depth, masks and colour are of the pixels' centres.

    It runs in this process where bpy can be imported; else in the Python that the environment
    variable RENDER_ADAPT_BLENDER_PYTHON names (one with bpy), the Blender that
    RENDER_ADAPT_BLENDER names, or the `blender` of the search path. The variables come first where
    they are set. Blender 4.2 to 5.2.

    Args:
        models: what `Plans.object_index` counts.
        threads: CPU threads. The result does not depend on it.
        textures: what `Surfaces.texture` counts, each (h, w, 3) RGB, top row first.
        environments: a folder of HDRI pictures (.hdr, .exr) to be lit by: their light takes the
            place of the ambient colour's, as bright as that on the mean over all directions, the
            picture's ground under the target, turned at random about its vertical.
        seed: the run's; only from where a crop is lit by pictures or a file's scene depends on it.
        blend: the .blend file that `models` are from (`load_blend_models`). They are drawn with
            their materials there, whose colour and gloss stay whatever `Surfaces` says, but for a
            texture that is swapped in; light is seen as sRGB has it. With its `scene_light` the
            camera goes around each crop's target as it stands in the file's scene, in the light of
            that; of a symmetric target any of the poses that look alike is taken for the light, at
            random.
        samples: rays per pixel for each light. With 4, corners that ambient light hardly reaches
            are grainy.
        through_file: whether to read what Cycles rendered through OpenEXR files, as is done by
            itself where its memory cannot be read.

    Raises:
        RenderError: as for `SceneRenderer`; Blender is missing, too old or does not start; there
            are no pictures in `environments`.
    """

    def __init__(
        self,
        models: Sequence[CadModel],
        threads: int = 1,
        textures: Sequence[NDArray[np.uint8]] = (),
        *,
        environments: Path | None = None,
        seed: int = 0,
        blend: BlendFile | None = None,
        samples: int = 4,
        through_file: bool = False,
    ) -> None:
        super().__init__(models, textures)
        if threads < 1 or samples < 1:
            raise RenderError(f"threads is {threads} and samples is {samples}: give at least 1")
        self._seed = seed
        self._start: dict[str, Any] = {
            "meshes": [] if blend else [_mesh_arrays(model) for model in models],
            "blend": str(blend.path.resolve()) if blend else "",
            "objects": blend.objects if blend else (),
            "scene_light": blend is not None and blend.scene_light,
            "textures": [
                {"picture": picture, "aspect": np.array(aspect)}
                for picture, aspect in zip(
                    self._pictures.levels, self._pictures.aspects, strict=True
                )
            ],
            "environments": _environment_files(environments),
            "samples": samples,
            "threads": threads,
            "through_file": through_file,
        }
        self._side: BlenderSide | None = None

    def draw(self, scene: Scene) -> Picture:
        """Draw all instances of a scene."""
        return Picture(**self._blender().draw(self._plan(scene, depth_only=False)))

    def draw_depth(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W), z of all instances of a scene in millimetres, 0 where there is no surface."""
        return self._blender().draw(self._plan(scene, depth_only=True))["depth"]

    @property
    def description(self) -> str:
        """Which Blender draws, and where; starts it."""
        return self._blender().description

    def close(self) -> None:
        """End the process with Blender, or take everything out of this one's again."""
        if self._side is not None:
            self._side.close()
        self._side = None

    def _plan(self, scene: Scene, *, depth_only: bool) -> dict[str, Any]:
        draws = np.zeros(2)
        if self._start["environments"] or self._start["scene_light"]:
            draws = np.random.default_rng([self._seed, scene.index, Stream.ENVIRONMENT]).random(2)
        symmetries = self._models[scene.object_index[0]].symmetries
        rotation, translation = alike_pose(
            scene.rotation[0], scene.translation[0], symmetries, draws
        )
        return {
            **vars(scene), "environment": draws, "depth_only": depth_only,
            "lit_rotation": rotation, "lit_translation": translation,
        }  # fmt: skip

    def _blender(self) -> BlenderSide:
        if self._side is None:
            self._side = start_blender(self._start)
        return self._side


def start_blender(start: Mapping[str, Any]) -> BlenderSide:
    """Blender as this machine has it, in this process or in one beside it.

    Args:
        start: the arguments of `renderer._engines.blender.inside.scene.BlenderScene`.

    Raises:
        RenderError: there is none, it does not start, or refuses what it is given.
    """
    command = blender_command()
    if command is not None:
        return BlenderProcess(command, start)
    from renderer._engines.blender.inside.scene import BlenderScene

    return BlenderScene(**start)


def blender_command() -> list[str] | None:
    """How a process with Blender is started; None where this one has it.

    Raises:
        RenderError: there is no Blender, or a variable names a file that is not there.
    """
    script = str(Path(__file__).parent / "inside" / "worker.py")
    python, binary = os.environ.get(PYTHON_VARIABLE), os.environ.get(BINARY_VARIABLE)
    for variable, file in ((PYTHON_VARIABLE, python), (BINARY_VARIABLE, binary)):
        if file and shutil.which(file) is None:
            raise RenderError(f"{variable} is {file}, which is no program: {INSTALL}")
    if python:
        return [python, script]
    if not binary and importlib.util.find_spec("bpy") is not None:
        return None
    binary = binary or shutil.which("blender")
    if binary:
        return [binary, "--background", "--factory-startup", "--python", script]
    raise RenderError(f"there is no Blender: {INSTALL}")


def _mesh_arrays(model: CadModel) -> dict[str, NDArray[Any]]:
    mesh = model.mesh
    arrays: dict[str, NDArray[Any]] = {
        "vertices": mesh.vertices,
        "faces": oriented_faces(mesh),
        "normals": mesh.normals,
        "colors": mesh.colors,
    }
    if mesh.texture is not None and mesh.texture_coordinates is not None:
        arrays["coordinates"], arrays["texture"] = mesh.texture_coordinates, mesh.texture
    return arrays


def _environment_files(folder: Path | None) -> list[str]:
    if folder is None:
        return []
    files = list_folder(folder, _ENVIRONMENT_FILES)
    if not files:
        raise RenderError(f"there are no HDRI pictures (.hdr, .exr) in {folder}: add some")
    for file in files:
        try:
            open_file(file, most=_MOST_BYTES, inside=folder).close()
        except OSError as error:
            raise RenderError(f"{file} cannot be read ({error.strerror}): remove it") from None
    return [str(file.resolve()) for file in files]
