# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process that works on a job is started."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import bpy

from .job_process import Command
from .messages import bundled_packages
from .preferences import external_python
from .refusal import Refusal

WORKER = Path(__file__).with_name("worker.py")
LAUNCHER = Path(__file__).with_name("launch.py")

_NO_OTHER_BLENDER = {"RENDER_ADAPT_BLENDER": "", "RENDER_ADAPT_BLENDER_PYTHON": ""}
"""This one draws, whichever the user's environment names for render-adapt's own command."""


def job_command(context: bpy.types.Context, job: Path, blend_file: Path | None = None) -> Command:
    """Work on a job, in the preferences' Python or else in this Blender without a window.

    Raises:
        Refusal: the preferences name a Python that is not there.
    """
    if external_python(context):
        return python_command(context, job)
    return work_command(context, str(job), blend_file=blend_file)


def python_command(context: bpy.types.Context, job: Path) -> Command:
    """Work on a job in the preferences' Python, which starts this Blender to draw.

    Raises:
        Refusal: they name none, or one that is not there.
    """
    python = external_python(context)
    if not python:
        raise Refusal(
            "This needs torch: set Python with render-adapt in the extension's preferences"
        )
    if shutil.which(python) is None:
        raise Refusal(
            f"{python} is no program: correct Python with render-adapt in the extension's "
            "preferences"
        )
    if bpy.app.binary_path:
        environment = {**_NO_OTHER_BLENDER, "RENDER_ADAPT_BLENDER": bpy.app.binary_path}
    else:
        environment = {**_NO_OTHER_BLENDER, "RENDER_ADAPT_BLENDER_PYTHON": sys.executable}
    return Command([python, str(LAUNCHER), str(job)], environment)


def work_command(context: bpy.types.Context, *work: str, blend_file: Path | None = None) -> Command:
    """Do work in this Blender without a window, or in this Python where it has no Blender."""
    after = ["--", str(bundled_packages()), *work]
    if not bpy.app.binary_path:
        return Command([sys.executable, "-P", str(WORKER), *after], _NO_OTHER_BLENDER)
    # Drivers and scripts of the scene run where they run in the window.
    scripts = context.preferences.filepaths.use_scripts_auto_execute
    words = [
        bpy.app.binary_path, "--background", "--factory-startup",
        "--enable-autoexec" if scripts else "--disable-autoexec",
        *([] if blend_file is None else [str(blend_file)]),
        "--python-exit-code", "3", "--python", str(WORKER), *after,
    ]  # fmt: skip
    return Command(words, _NO_OTHER_BLENDER)
