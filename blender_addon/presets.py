# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab's settings under a name, in Blender's own way: a list in the tab's header."""

from __future__ import annotations

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

from .properties import RenderAdaptSettings

_FOLDER = "render_adapt"
"""Among the user's presets."""
_OF_ONE_SCENE = (
    "rna_type", "name", "source", "collection", "distractors", "out", "target", "learned",
)  # fmt: skip
"""Which objects, and where files are."""


class RenderAdaptAddPreset(AddPresetBase, bpy.types.Operator):
    """Keep the tab's settings under a name, or forget the one that is chosen; objects and the folders that are written to are not among them"""  # noqa: E501

    bl_idname = "render_adapt.preset_add"
    bl_label = "Add Render + Adapt Preset"
    preset_menu = "VIEW3D_PT_render_adapt_presets"
    preset_subdir = _FOLDER

    @property
    def preset_values(self) -> list[str]:
        """What is kept, as Python that leads to it; without names for its parts, which Blender's
        way with presets cannot give from Python 3.13 on."""
        names = RenderAdaptSettings.bl_rna.properties.keys()
        return [
            f"bpy.context.scene.render_adapt.{name}" for name in names if name not in _OF_ONE_SCENE
        ]


class VIEW3D_PT_render_adapt_presets(PresetPanel, bpy.types.Panel):
    """The presets."""

    bl_label = "Render + Adapt Presets"
    preset_subdir = _FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "render_adapt.preset_add"


CLASSES = (RenderAdaptAddPreset, VIEW3D_PT_render_adapt_presets)
