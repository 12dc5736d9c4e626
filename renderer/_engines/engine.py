"""The seam between plans and what draws them: an engine, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import Renderer, RenderError
from renderer._engines.blender.renderer import BlendFile


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What an engine may be asked beside which models it is to draw."""

    threads: int = 1
    """CPU threads that it may use."""
    textures: Sequence[NDArray[np.uint8]] = ()
    """What `Surfaces.texture` counts, each (h, w, 3) RGB, top row first."""
    environments: Path | None = None
    """A folder of HDRI pictures to be lit by."""
    seed: int = 0
    """The run's, which decides which of `environments` lights a crop."""
    blend: BlendFile | None = None
    """The .blend file that the models are from, where they are to be drawn with their materials
    there; an engine that does not take it draws plain colours."""
    samples: int = 4
    """Rays per pixel for each light."""
    device: str = "cuda"
    """Torch's name of the GPU that it draws on, as "cuda:1"."""
    levels: bool = True
    """Whether it may draw objects with fewer faces, as `RasterRenderer` says."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to draw plans: all in which engines differ.

    A package of your own may bring one: an entry point of the group `renderer.engines`, called as
    the engine is, that names an object of this class (docs/extending.md).

    Raises:
        RenderError: an option is none of `EngineOptions`.
    """

    name: str
    """What settings call it: letters, digits and dashes."""
    use: str
    """What it is for, a few words: `drawing with OpenGL`."""
    make: Callable[[Sequence[CadModel], EngineOptions], Renderer]
    """Makes a renderer of the models that `Plans.object_index` counts. It imports what it needs,
    and raises RenderError, with one sentence on what to install, where that is missing."""
    options: frozenset[str] = frozenset()
    """Which of `EngineOptions` it takes. `textures` and `environments` are never asked of one
    that does not take them; the others may be, and change nothing."""
    slow: bool = False
    """Whether it takes so long over a crop that whoever waits wants to see every few of them."""

    def __post_init__(self) -> None:
        unknown = self.options - {field.name for field in fields(EngineOptions)}
        if unknown:
            raise RenderError(
                f"the engine {self.name} takes {', '.join(sorted(unknown))}, which is none of "
                "renderer.EngineOptions"
            )
