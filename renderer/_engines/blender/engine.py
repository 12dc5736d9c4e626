"""Blender's Cycles, as an engine."""

from __future__ import annotations

from collections.abc import Sequence

from cad_models import CadModel
from renderer._crops import Renderer
from renderer._engines.blender.renderer import BlenderRenderer
from renderer._engines.engine import Engine, EngineOptions


def _make(models: Sequence[CadModel], options: EngineOptions) -> Renderer:
    return BlenderRenderer(
        models,
        options.threads,
        options.textures,
        environments=options.environments,
        seed=options.seed,
        blend=options.blend,
        samples=options.samples,
    )


BLENDER = Engine(
    name="blender",
    use="drawing with Cycles",
    make=_make,
    options=frozenset({"threads", "textures", "environments", "seed", "blend", "samples"}),
    slow=True,
)
