# SPDX-License-Identifier: GPL-3.0-or-later
"""Render + Adapt: labelled training crops of the scene's objects, from a button.

This is interface and job control; the work is that of the bundled render_adapt packages, in a
process of its own on a copy of the scene.
"""

from __future__ import annotations

import bpy

from . import job_operators, operators, panels, pictures, preferences, presets, properties
from .control import control

_CLASSES = (*job_operators.CLASSES, *operators.CLASSES, *presets.CLASSES, *panels.CLASSES)


def register() -> None:
    """Add settings, operators, the tab and the menu."""
    properties.register()
    preferences.register()
    for item in _CLASSES:
        bpy.utils.register_class(item)
    bpy.types.TOPBAR_MT_render.append(panels.add_menu)


def unregister() -> None:
    """End the job that runs, and take everything away again."""
    control.end()
    pictures.clear()
    bpy.types.TOPBAR_MT_render.remove(panels.add_menu)
    for item in reversed(_CLASSES):
        bpy.utils.unregister_class(item)
    preferences.unregister()
    properties.unregister()
