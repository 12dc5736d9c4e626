"""A second engine: pyrender, which is OpenGL, on EGL or OSMesa without a display."""

from __future__ import annotations

import ctypes.util
import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from checked_settings import MissingDependency
from renderer._crops import RenderError
from renderer._engines.scenes import Picture, Scene, SceneRenderer, oriented_faces

if TYPE_CHECKING:
    from renderer._engines.opengl.context import Context

INSTALL = (
    "pip install 'render-adapt[pyrender]', and the system's OpenGL: on Debian and Ubuntu, "
    "apt install libegl1 libgl1 libgl1-mesa-dri (or libosmesa6)"
)


class PyrenderRenderer(SceneRenderer):
    """Renders with pyrender's scenes, cameras and OpenGL calls.

    Colours are what `Surfaces` says and the rasteriser draws: pyrender's own shaders are physically
    based and know neither our lights' meaning nor swapped-in textures, so that others take their
    place. Neither colour nor depth is multisampled: both are of the pixels' centres, and depth is
    read from a 32-bit buffer between the planes where the crop's objects begin and end. Faces seen
    from behind are drawn and lit from the camera's side. Objects cast no shadows.

    The environment variable PYOPENGL_PLATFORM chooses between egl and osmesa, and EGL_DEVICE_ID
    among the devices of EGL; without them it is EGL, on the first device that works, or OSMesa
    where there is no EGL. An OpenGL context belongs to one process and one thread: use a renderer
    where you first used it.

    Args:
        models: what `Plans.object_index` counts.
        threads: CPU threads, where OpenGL runs on the processor and LP_NUM_THREADS does not say.
        textures: what `Surfaces.texture` counts, each (h, w, 3) RGB, top row first.

    Raises:
        RenderError: as for `SceneRenderer`, or pyrender or OpenGL is missing here.
    """

    def __init__(
        self,
        models: Sequence[CadModel],
        threads: int = 1,
        textures: Sequence[NDArray[np.uint8]] = (),
    ) -> None:
        super().__init__(models, textures)
        if threads < 1:
            raise RenderError(f"threads is {threads}: give at least 1")
        self._threads = threads
        self._owner: tuple[int, int] | None = None
        self._context: Context | None = None

    def draw(self, scene: Scene) -> Picture:
        """Draw all instances of a scene."""
        return self._ready().draw(scene)

    def draw_depth(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W), z of all instances of a scene in millimetres, 0 where there is no surface."""
        return self._ready().draw_depth(scene)

    @property
    def description(self) -> str:
        """Which driver draws; starts it."""
        return self._ready().description

    def close(self) -> None:
        """Give back what the driver holds; the renderer starts anew when it is used again."""
        if self._context is not None:
            self._context.delete()
        self._context = self._owner = None

    def _ready(self) -> Context:
        owner = (os.getpid(), threading.get_ident())
        if self._context is None:
            self._context, self._owner = self._start(), owner
        if self._owner != owner:
            raise RenderError(
                "a pyrender renderer is used in another process or thread than the one that its "
                "OpenGL context belongs to: make one renderer in each"
            )
        return self._context

    def _start(self) -> Context:
        # Elsewhere there is a window system, and pyrender opens a hidden window.
        if sys.platform == "linux" and "PYOPENGL_PLATFORM" not in os.environ:
            os.environ["PYOPENGL_PLATFORM"] = _platform()
        name = os.environ.get("PYOPENGL_PLATFORM", "egl")
        if name not in ("egl", "osmesa"):
            raise RenderError(
                f"PYOPENGL_PLATFORM is {name}: set it to egl or osmesa, or not at all"
            )
        os.environ.setdefault("LP_NUM_THREADS", str(self._threads))
        try:
            from renderer._engines.opengl.context import Context
        except ModuleNotFoundError as error:
            name = error.name or "pyrender"
            raise MissingDependency("pyrender", name, "'render-adapt[pyrender]'") from error
        except (ImportError, AttributeError, OSError) as error:
            # PyOpenGL's answers where the system's libraries are missing or too old.
            raise RenderError(f"OpenGL cannot be loaded ({error}): {INSTALL}") from error
        meshes = [(model.mesh, oriented_faces(model.mesh)) for model in self._models]
        return Context(meshes, self._pictures)


def _platform() -> str:
    """What PyOpenGL is to use where nothing is said."""
    if ctypes.util.find_library("EGL"):
        return "egl"
    if ctypes.util.find_library("OSMesa"):
        return "osmesa"
    raise RenderError(f"there is neither EGL nor OSMesa on this machine: {INSTALL}")
