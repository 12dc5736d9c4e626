"""What Cycles rendered, as arrays: straight from its memory, or through a file where that fails.

Runs in Blender's own Python: imports numpy and bpy only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError
from renderer._engines.blender.inside.exr import read_exr

Passes = dict[str, NDArray[np.float32]]
"""By name, each (H, W, channels), top row first."""

_NAMES = {
    "Combined": "Combined",
    "Depth": "Depth",
    "IndexOB": "Index",
    "Object Index": "Index",
    "Normal": "Normal",
    "Position": "Position",
}
"""Blender's names of passes (they differ between versions) and ours."""


class PassReader:
    """Renders one of Blender's scenes with Cycles and reads its passes.

    Args:
        scene: what is rendered; its settings for files are ours.
        through_file: whether to go through an OpenEXR file even where memory can be read.
    """

    def __init__(self, scene: bpy.types.Scene, through_file: bool = False) -> None:
        self._scene = scene
        self._through_file = through_file or not _watch_cycles()

    def render(self) -> Passes:
        """Render, and return the passes that the scene has switched on.

        Raises:
            RenderError: Blender fails to render; the message has its own words.
        """
        try:
            with _quiet():
                passes = self._by_file() if self._through_file else self._by_memory()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise RenderError(f"Blender cannot render this crop: {reason}") from error
        if "Combined" not in passes or "Depth" not in passes:
            raise RenderError(
                "Blender has rendered no picture: this version of it is not supported, "
                "use 4.2 to 5.2"
            )
        return passes

    def _by_memory(self) -> Passes:
        _collected[self._scene.name] = {}
        try:
            bpy.ops.render.render(scene=self._scene.name)
        finally:
            passes = _collected.pop(self._scene.name)
        return passes

    def _by_file(self) -> Passes:
        render, settings = self._scene.render, self._scene.render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "MULTI_LAYER_IMAGE"
        settings.file_format, settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
        settings.exr_codec = "NONE"
        if hasattr(settings, "use_exr_interleave"):
            # Blender 5.0 fails to write files of several parts with pixels that are not square.
            settings.use_exr_interleave = True
        with tempfile.TemporaryDirectory(prefix="render-adapt-") as folder:
            file = Path(folder) / "passes.exr"
            render.filepath = str(file)
            bpy.ops.render.render(scene=self._scene.name, write_still=True)
            return _passes_of(read_exr(file.read_bytes()))


def _passes_of(channels: Mapping[str, NDArray[np.float32]]) -> Passes:
    """Channels called LAYER.PASS.CHANNEL, as passes."""
    parts_of_pass: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, image in channels.items():
        *_, kind, channel = name.split(".")
        if kind in _NAMES:
            parts_of_pass.setdefault(_NAMES[kind], {})[channel] = image
    order = "RXVGYBZA"
    return {
        kind: np.stack([parts[name] for name in sorted(parts, key=order.index)], axis=-1)
        for kind, parts in parts_of_pass.items()
    }


_collected: dict[str, Passes] = {}
"""What Cycles has just rendered of the scenes that wait for it, by scene."""


def _watch_cycles() -> bool:
    """Have Cycles leave what it rendered in `_collected`; False where it cannot be had to."""
    import cycles

    engine = cycles.CyclesRender
    if hasattr(engine.render, "watched"):
        return True
    original = engine.render

    def render(self: Any, depsgraph: Any) -> None:
        original(self, depsgraph)
        name = depsgraph.scene.name
        if name in _collected:
            _collected[name] = _from_memory(self.get_result())

    render.watched = True  # type: ignore[attr-defined]
    try:
        engine.render = render
    except TypeError:
        return False
    return True


def _from_memory(result: Any) -> Passes:
    passes = {}
    width, height = result.resolution_x, result.resolution_y
    for part in result.layers[0].passes:
        if part.name in _NAMES:
            values = np.empty(width * height * part.channels, np.float32)
            part.rect.foreach_get(values)
            passes[_NAMES[part.name]] = values.reshape(height, width, part.channels)[::-1]
    return passes


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Blender's progress lines out of standard output, which it writes past Python."""
    stdout = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)
