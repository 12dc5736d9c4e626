"""The default engine: the rasteriser on the processor."""

from __future__ import annotations

from collections.abc import Sequence

from cad_models import CadModel
from renderer._crops import Renderer
from renderer._engines.engine import Engine, EngineOptions


def _make(models: Sequence[CadModel], options: EngineOptions) -> Renderer:
    from renderer._engines.raster.renderer import RasterRenderer

    return RasterRenderer(models, options.threads, textures=options.textures, levels=options.levels)


RASTER = Engine(
    name="raster",
    use="drawing; the default",
    make=_make,
    options=frozenset({"threads", "textures", "levels"}),
)
