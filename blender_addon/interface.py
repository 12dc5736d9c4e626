# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators need of Blender's windows and of what was made."""

from __future__ import annotations

from pathlib import Path

import bpy

from .control import control
from .job_settings import absolute
from .refusal import Refusal


def draw_again(context: bpy.types.Context) -> None:
    """Draw the sidebars and the preferences anew: whole 3D views would take the job's processor."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
            elif area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def dataset_folder(context: bpy.types.Context) -> Path:
    """The dataset that was made last, or that the settings' folder holds.

    Raises:
        Refusal: there is none.
    """
    folder = control.dataset or absolute(context.scene.render_adapt.out, "Output")
    if not (folder / "manifest.json").is_file():
        raise Refusal(f"There is no dataset in {folder}: make one with Render + Adapt")
    return folder
