"""Runs inside the Blender of `benchmarks.blender_window`: does what is asked of it.

blender --python blender_window_side.py -- FOLDER. Python in FOLDER/ask is run and removed, and what
it leaves in `answer` is written to FOLDER/answer as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(sys.argv[sys.argv.index("--") + 1])
EVERY = 0.05
"""Seconds between the events whose delay is measured, and between looks at what is asked."""

ticks: list[float] = []


def tick() -> float:
    ticks.append(time.perf_counter())
    request = FOLDER / "ask"
    if request.exists():
        code = request.read_text()
        request.unlink()
        names: dict[str, Any] = {"bpy": bpy, "ticks": ticks, "answer": None}
        try:
            exec(code, names)
            reply = {"answer": names["answer"]}
        except Exception:
            reply = {"error": traceback.format_exc()}
        (FOLDER / "answer.part").write_text(json.dumps(reply))
        os.replace(FOLDER / "answer.part", FOLDER / "answer")
    return EVERY


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(tick, first_interval=2.0, persistent=True)
