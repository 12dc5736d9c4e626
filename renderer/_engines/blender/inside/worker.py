"""Renders crops for another process. Run by a Python that has bpy, or by Blender, as a script.

Reads messages from standard input and answers on standard output until the input ends.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import IO


def main() -> None:
    """Serve until standard input ends."""
    _find_our_packages(Path(__file__).resolve().parents[4])
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever Blender prints from here on goes where errors go.
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    try:
        _serve(requests, answers)
    finally:
        # An interpreter that has loaded bpy may hang or crash on its regular way out.
        sys.stderr.flush()
        os._exit(0)


def _find_our_packages(place: Path) -> None:
    """Make importable what is needed of the packages in a folder, and nothing else there."""
    spec = importlib.util.spec_from_file_location(
        "checked_settings", place / "checked_settings/__init__.py"
    )
    assert spec is not None
    assert spec.loader is not None
    settings = importlib.util.module_from_spec(spec)
    sys.modules["checked_settings"] = settings
    spec.loader.exec_module(settings)
    # Blender's Python may lack what importing this one in full needs.
    renderer = types.ModuleType("renderer")
    renderer.__path__ = [str(place / "renderer")]
    sys.modules["renderer"] = renderer


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    from renderer._engines.blender import wire

    answers.write(wire.GREETING)
    answers.flush()
    try:
        from renderer._crops import RenderError
        from renderer._engines.blender.inside.scene import VERSION, BlenderScene
    except ImportError as error:
        wire.receive(requests)
        reason = f"it cannot be used as Blender 4.2 to 5.2 can ({error})"
        wire.send(answers, {"error": reason})
        return
    scene: BlenderScene | None = None
    while True:
        try:
            message = wire.receive(requests)
        except EOFError:
            return
        try:
            if scene is None:
                scene = BlenderScene(
                    wire.unpack_list("mesh", message),
                    wire.unpack_list("texture", message),
                    [str(item["file"]) for item in wire.unpack_list("environment", message)],
                    samples=int(message["samples"]),
                    threads=int(message["threads"]),
                    through_file=bool(message["through_file"]),
                    blend=str(message["blend"]),
                    objects=[str(item["name"]) for item in wire.unpack_list("object", message)],
                    scene_light=bool(message["scene_light"]),
                )
                wire.send(answers, {"version": VERSION, **wire.pack_list("model", scene.models)})
            else:
                wire.send(answers, scene.draw(message))
        except RenderError as error:
            wire.send(answers, {"refused": str(error)})
        except Exception as error:
            import traceback

            traceback.print_exc()
            wire.send(answers, {"error": f"Blender's side failed: {type(error).__name__}: {error}"})


main()
