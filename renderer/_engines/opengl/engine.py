"""pyrender, as an engine."""

from __future__ import annotations

from collections.abc import Sequence

from cad_models import CadModel
from renderer._crops import Renderer
from renderer._engines.engine import Engine, EngineOptions


def _make(models: Sequence[CadModel], options: EngineOptions) -> Renderer:
    from renderer._engines.opengl.renderer import PyrenderRenderer

    return PyrenderRenderer(models, options.threads, options.textures)


PYRENDER = Engine(
    name="pyrender",
    use="drawing with OpenGL",
    make=_make,
    options=frozenset({"threads", "textures"}),
)
