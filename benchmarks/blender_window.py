"""A Blender with its window on a virtual screen, to be clicked in, asked and photographed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from safe_files import write_file

SIDE = Path(__file__).with_name("blender_window_side.py")
WIDTH, HEIGHT = 1280, 800
_START_SECONDS = 300
"""Of patience: beside other work, and drawn by software."""


class BlenderWindow:
    """Needs Linux, Xvfb, xdotool and ImageMagick.

    Args:
        prefix: of the command, as for `env`: followed by variables, `blender` and its arguments.
        folder: where both sides find each other's files.
        display: number of the virtual screen.
    """

    def __init__(self, prefix: str, folder: Path, display: int) -> None:
        self.folder = folder
        self._display = f":{display}"
        (folder / "home").mkdir(parents=True, exist_ok=True)
        shutil.copy2(SIDE, folder / SIDE.name)
        self._screen = subprocess.Popen(
            ["Xvfb", self._display, "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "+extension", "GLX",
             "-nolisten", "tcp"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(2)
        with (folder / "blender.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*shlex.split(prefix), f"DISPLAY={self._display}", "LIBGL_ALWAYS_SOFTWARE=1",
                 f"HOME={folder}/home", "blender", "--factory-startup", "--window-geometry", "0",
                 "0", str(WIDTH), str(HEIGHT), "--python", str(folder / SIDE.name), "--",
                 str(folder)],
                stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
        try:
            self.version = self.ask("answer = bpy.app.version_string", patience=_START_SECONDS)
        except TimeoutError:
            self.close()
            raise

    def ask(self, code: str, patience: float = 60) -> Any:
        """Run Python in it, and return what that leaves in `answer`."""
        answer = self.folder / "answer"
        answer.unlink(missing_ok=True)
        write_file(self.folder / "ask", code)
        until = time.monotonic() + patience
        while not answer.exists():
            if time.monotonic() > until or self.process.poll() is not None:
                raise TimeoutError(f"no answer to: {code}")
            time.sleep(0.02)
        reply = json.loads(answer.read_text())
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["answer"]

    def gaps(self, code: str = "") -> list[float]:
        """Milliseconds between events that are due every 50 ms, since the last call, sorted."""
        ticks = self.ask(f"answer = list(ticks); ticks.clear()\n{code}")
        return sorted(1000 * (after - before) for before, after in pairwise(ticks))

    def click_here(self) -> None:
        """Click where the pointer is."""
        self._xdotool("click", 1)

    def point(self, x: int, y: int) -> None:
        """Move the pointer, and wait for what is there to see it."""
        self._xdotool("mousemove", x, y)
        time.sleep(0.3)

    def press(self, key: str) -> None:
        """Press a key where the pointer is."""
        self._xdotool("key", key)

    def orbit(self, x: int, y: int, seconds: float) -> None:
        """Turn the 3D view that is there with the middle button, to and fro."""
        self.point(x, y)
        until, step = time.monotonic() + seconds, 10
        while time.monotonic() < until:
            self._xdotool("mousedown", 2)
            for _ in range(12):
                self._xdotool("mousemove_relative", "--", step, step // 3)
                time.sleep(0.05)
            self._xdotool("mouseup", 2)
            time.sleep(0.3)
            step = -step

    def photograph(self, file: Path) -> None:
        """Write what is on the screen."""
        subprocess.run(
            ["import", "-window", "root", str(file)], env=self._environment(), check=True
        )

    def quit(self) -> int:
        """End it as a user does, and return its exit code."""
        write_file(self.folder / "ask", "bpy.ops.wm.quit_blender()")
        return self.process.wait(30)

    def close(self) -> None:
        """End it and the screen."""
        for process in (self.process, self._screen):
            process.kill()
            process.wait()

    def _xdotool(self, *arguments: object) -> None:
        subprocess.run(["xdotool", *map(str, arguments)], env=self._environment(), check=True)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DISPLAY": self._display}
