"""Blender in a process beside this one, which draws what it is sent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError
from renderer._engines.blender import wire

_START_SECONDS = 120
_SINGLE = ("blend", "scene_light", "samples", "threads", "through_file")
"""Arguments that are one value."""


class BlenderProcess:
    """Blender in a process beside this one; it ends with this one, or when nobody needs it.

    Args:
        command: how it is started.
        start: the arguments of `renderer._engines.blender.inside.scene.BlenderScene`.

    Raises:
        RenderError: it does not start, or is no Blender that can be used.
    """

    def __init__(self, command: list[str], start: Mapping[str, Any]) -> None:
        self._name = command[0]
        # Blender's own Python must not see this one's packages.
        surroundings = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env=surroundings,
        )  # fmt: skip
        self._end = weakref.finalize(self, _end, self._process, self._errors)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        too_long = threading.Timer(_START_SECONDS, self._process.kill)
        too_long.start()
        try:
            wire.await_greeting(self._answers)
        except EOFError:
            raise self._death("does not start") from None
        finally:
            too_long.cancel()
        ready = self._ask(
            {
                **wire.pack_list("mesh", start["meshes"]),
                **wire.pack_list("texture", start["textures"]),
                **wire.pack_list(
                    "environment", [{"file": np.array(item)} for item in start["environments"]]
                ),
                **wire.pack_list("object", [{"name": np.array(name)} for name in start["objects"]]),
                **{name: start[name] for name in _SINGLE},
            }
        )
        self.models = wire.unpack_list("model", ready)
        self.description = f"Blender {ready['version']} through {command[0]}"

    def draw(self, plan: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
        """As `BlenderScene.draw`.

        Raises:
            RenderError: it cannot draw this, or has died.
        """
        return self._ask(plan)

    def close(self) -> None:
        """End it."""
        self._end()

    def _ask(self, message: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        try:
            wire.send(self._requests, message)
            answer = wire.receive(self._answers)
        except (EOFError, OSError):
            raise self._death("has died") from None
        if "refused" in answer:
            raise RenderError(answer["refused"])
        if "error" in answer:
            raise RenderError(f"{self._name}: {answer['error']}")
        return answer

    def _death(self, event: str) -> RenderError:
        """What to say when the process is gone, with the last that it said."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f", its last words were: {lines[-1].strip()}" if lines else ""
        return RenderError(
            f"the process with Blender, {self._name}, {event} (exit code "
            f"{self._process.returncode}{last}): check it with render-adapt doctor"
        )


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    """It ends when its input does."""
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
