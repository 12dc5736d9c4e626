# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that are done at once."""

from __future__ import annotations

import bpy

from . import pictures
from .control import control
from .interface import dataset_folder, draw_again
from .refusal import Refusal


class RenderAdaptCancel(bpy.types.Operator):
    """Stop the job; what is finished of a dataset stays, and the same settings continue it"""

    bl_idname = "render_adapt.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is a job to stop."""
        return control.running

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the job to end."""
        control.cancel()
        draw_again(context)
        return {"FINISHED"}


class RenderAdaptOpenDataset(bpy.types.Operator):
    """Open the dataset's folder in the file manager"""

    bl_idname = "render_adapt.open_dataset"
    bl_label = "Open Dataset"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open it."""
        try:
            folder = dataset_folder(context)
        except Refusal as refusal:
            control.refuse(None, str(refusal))
            draw_again(context)
            self.report({"ERROR"}, f"{refusal}.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(folder))
        return {"FINISHED"}


class RenderAdaptOpenLog(bpy.types.Operator):
    """Show everything that the last job printed, in a text editor"""

    bl_idname = "render_adapt.open_log"
    bl_label = "Open Log"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There has been a job."""
        log = control.status.log
        return log is not None and log.is_file()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open it."""
        bpy.ops.wm.path_open(filepath=str(control.status.log))
        return {"FINISHED"}


class RenderAdaptShowPicture(bpy.types.Operator):
    """Show the preview in an Image Editor, in a window of its own"""

    bl_idname = "render_adapt.show_picture"
    bl_label = "Show Larger"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is a preview."""
        file = pictures.file()
        return file is not None and file.is_file()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load it, and open the window."""
        image = bpy.data.images.load(str(pictures.file()), check_existing=True)
        image.reload()
        image.name = "Render + Adapt Preview"
        bpy.ops.wm.window_new()
        area = context.window_manager.windows[-1].screen.areas[0]
        area.type = "IMAGE_EDITOR"
        area.spaces.active.image = image
        return {"FINISHED"}


CLASSES = (
    RenderAdaptCancel,
    RenderAdaptOpenDataset,
    RenderAdaptOpenLog,
    RenderAdaptShowPicture,
)
