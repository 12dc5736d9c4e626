"""The rasteriser on an NVIDIA GPU, as an engine."""

from __future__ import annotations

from collections.abc import Sequence

from cad_models import CadModel
from renderer._crops import Renderer
from renderer._engines.engine import Engine, EngineOptions


def _make(models: Sequence[CadModel], options: EngineOptions) -> Renderer:
    from renderer._engines.cuda.renderer import CudaRasterRenderer

    return CudaRasterRenderer(
        models, options.textures, levels=options.levels, device=options.device
    )


CUDA = Engine(
    name="cuda",
    use="drawing on a GPU",
    make=_make,
    options=frozenset({"textures", "levels", "device"}),
)
