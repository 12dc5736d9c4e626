"""Which engines there are: those that come with the package, and those of other packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from checked_settings import WrongValue, alternatives
from plug_ins import PlugIns
from renderer._crops import Renderer, RenderError
from renderer._engines.blender.engine import BLENDER
from renderer._engines.blender.renderer import BlendFile
from renderer._engines.cuda.engine import CUDA
from renderer._engines.engine import Engine, EngineOptions
from renderer._engines.opengl.engine import PYRENDER
from renderer._engines.raster.engine import RASTER

_SHIPPED: tuple[Engine, ...] = (RASTER, CUDA, PYRENDER, BLENDER)

ENGINES: Mapping[str, Engine] = PlugIns(
    group="renderer.engines",
    word="engine",
    kind=Engine,
    shipped={one.name: one for one in _SHIPPED},
    names_of=lambda one: (one.name,),
    error=RenderError,
)
"""All engines by name: ours, the same on a GPU, OpenGL's, Blender's, and those of installed
packages, each loaded when it is asked for."""


def make_renderer(
    name: str,
    models: Sequence[CadModel],
    *,
    threads: int = EngineOptions.threads,
    textures: Sequence[NDArray[np.uint8]] = (),
    environments: Path | None = None,
    seed: int = EngineOptions.seed,
    blend: BlendFile | None = None,
    samples: int = EngineOptions.samples,
    device: str = EngineOptions.device,
    levels: bool = EngineOptions.levels,
) -> Renderer:
    """A renderer of the engine of a name. Each engine draws the same plan as the others do.

    Args:
        name: one of `ENGINES`.
        models: what `Plans.object_index` counts.
        threads, textures, environments, seed, blend, samples, device, levels: as of
            `EngineOptions`.

    Raises:
        RenderError: the engine is missing on this machine, or cannot do what is asked.
        WrongValue: there is no engine of that name.
    """
    if name not in ENGINES:
        raise WrongValue("renderer", name, alternatives(ENGINES))
    options = EngineOptions(
        threads=threads, textures=textures, environments=environments, seed=seed, blend=blend,
        samples=samples, device=device, levels=levels,
    )  # fmt: skip
    engine = ENGINES[name]
    for option, asked, lack in _demands(options):
        if option not in engine.options:
            able_engines = " or ".join(
                other_engine.name for other_engine in _SHIPPED if option in other_engine.options
            )
            raise RenderError(
                f"{asked}, and {name} {lack}: use `renderer` {able_engines}, or leave it out"
            )
    return engine.make(models, options)


def _demands(options: EngineOptions) -> Iterator[tuple[str, str, str]]:
    """Options that would be missed, how each is asked, and what an engine lacks without it.

    The others are leave to do something, or change what is drawn in no engine but those that take
    them.
    """
    if options.environments is not None:
        environments = f"environments is {options.environments}"
        yield "environments", environments, "cannot be lit by pictures"
    if len(options.textures):
        textures = f"texture_swap has {len(options.textures)} pictures"
        yield "textures", textures, "swaps none in"
