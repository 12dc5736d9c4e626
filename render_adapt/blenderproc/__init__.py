"""Adapters within BlenderProc scripts.

    import blenderproc as bproc
    import render_adapt.blenderproc
    ...
    data = bproc.renderer.render()
    data = render_adapt.blenderproc.adapt(data)
    bproc.writer.write_bop(output, objects, data["depth"], data["colors"])

Blender's Python needs numpy, OpenCV and ONNX Runtime for it, and nothing else: docs/blenderproc.md.
"""

from __future__ import annotations

from render_adapt.blenderproc._adapting import adapt
from render_adapt.blenderproc._crops import SceneCrop, crops
from render_adapt.blenderproc._scene import SceneError

__all__ = ["SceneCrop", "SceneError", "adapt", "crops"]
