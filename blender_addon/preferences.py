# SPDX-License-Identifier: GPL-3.0-or-later
"""Which other Python may work, one that has torch and a GPU."""

import bpy
from bpy.props import StringProperty

from .status import show_check


class RenderAdaptPreferences(bpy.types.AddonPreferences):
    """Of the extension."""

    bl_idname = __package__

    python: StringProperty(
        name="Python with render-adapt",
        description="A Python with render-adapt and torch, to learn adapters and to adapt on its "
        "GPU. Leave it empty to render and adapt with what comes with the extension",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the field, its check, and what came of that."""
        layout = self.layout
        layout.use_property_split = True
        row = layout.row(align=True)
        row.prop(self, "python")
        row.operator("render_adapt.check_python", text="Check", icon="CHECKMARK")
        show_check(layout, context)


def external_python(context: bpy.types.Context) -> str:
    """The Python that the preferences name, or nothing."""
    return str(context.preferences.addons[__package__].preferences.python)


def register() -> None:
    """Show the preferences."""
    bpy.utils.register_class(RenderAdaptPreferences)


def unregister() -> None:
    """Take them away again."""
    bpy.utils.unregister_class(RenderAdaptPreferences)
