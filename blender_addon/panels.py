# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab in the 3D view's sidebar, and the menu."""

from __future__ import annotations

from typing import Any

import bpy

from . import pictures
from .control import control
from .preferences import external_python
from .presets import VIEW3D_PT_render_adapt_presets
from .scene_objects import chosen_distractors, chosen_objects, doubtful_units, size_mm
from .status import show_picture, show_status, show_text

_MOST_LISTED = 8


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Render Adapt"


class VIEW3D_PT_render_adapt(_Sidebar, bpy.types.Panel):
    """Datasets of the scene's objects."""

    bl_label = "Render + Adapt"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """Draw the button that opens the presets."""
        VIEW3D_PT_render_adapt_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw objects, settings, buttons and what became of them."""
        layout = self.layout
        settings = context.scene.render_adapt
        _draw_objects(layout, context, settings)
        _fields(layout).prop(settings, "distractors")
        column = _fields(layout)
        column.prop(settings, "count")
        column.prop(settings, "size")
        column.prop(settings, "seed")
        column.prop(settings, "out")
        column = _fields(layout)
        column.prop(settings, "adapter")
        if settings.adapter == "FOLDER":
            column.prop(settings, "adapter_folder")
        column.prop(settings, "samples")
        column.prop(settings, "randomize")
        column.prop(settings, "lit_by")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("render_adapt.preview", icon="HIDE_OFF")
        row.operator("render_adapt.run", icon="RENDER_STILL")
        show_status(layout, context)
        if control.dataset is not None and not control.running:
            row = layout.row(align=True)
            row.operator("render_adapt.open_dataset", text="Open", icon="FILE_FOLDER")
            row.operator("render_adapt.open_report", text="Report", icon="URL")
            row.operator("render_adapt.verify", icon="CHECKMARK")


class VIEW3D_PT_render_adapt_picture(_Sidebar, bpy.types.Panel):
    """The preview, and what learning shows of itself."""

    bl_label = "Picture"
    bl_parent_id = "VIEW3D_PT_render_adapt"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is one."""
        return bool(pictures.icon())

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        show_picture(self.layout, context)


class VIEW3D_PT_render_adapt_symmetry(_Sidebar, bpy.types.Panel):
    """Turns that leave an object as it looks, which a pose cannot tell apart."""

    bl_label = "Symmetry"
    bl_parent_id = "VIEW3D_PT_render_adapt"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There are objects that may have some."""
        return bool(chosen_objects(context))

    def draw(self, context: bpy.types.Context) -> None:
        """Draw a field for each object."""
        column = _fields(self.layout)
        for item in [*chosen_objects(context), *chosen_distractors(context)]:
            column.prop(item, "render_adapt_symmetry", text=item.name)
        show_text(self.layout, context, "z: any turn about z; z2: half turns; z6 x2: both", "INFO")


class VIEW3D_PT_render_adapt_framing(_Sidebar, bpy.types.Panel):
    """How much of the object's surroundings a crop shows, from how far, and how it is cut."""

    bl_label = "Framing"
    bl_parent_id = "VIEW3D_PT_render_adapt"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        """Draw its settings."""
        settings = context.scene.render_adapt
        column = _fields(self.layout)
        column.prop(settings, "auto_framing")
        column = _fields(self.layout)
        column.active = not settings.auto_framing
        column.prop(settings, "window")
        column.prop(settings, "near")
        column.prop(settings, "far")
        column = _fields(self.layout)
        column.prop(settings, "centre")
        row = column.row(heading="Off Axis (°)")
        row.prop(settings, "auto_off_axis")
        if not settings.auto_off_axis:
            column.prop(settings, "off_axis", text=" ")


class VIEW3D_PT_render_adapt_more(_Sidebar, bpy.types.Panel):
    """What is seldom changed."""

    bl_label = "Checks and Preview"
    bl_parent_id = "VIEW3D_PT_render_adapt"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        """Draw its settings."""
        settings = context.scene.render_adapt
        column = _fields(self.layout)
        row = column.row()
        row.active = settings.adapter != "NONE"
        row.prop(settings, "min_fidelity")
        column.prop(settings, "preview_crops")


class VIEW3D_PT_render_adapt_learn(_Sidebar, bpy.types.Panel):
    """Adapters for the user's own camera."""

    bl_label = "Learn from Folder"
    bl_parent_id = "VIEW3D_PT_render_adapt"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        """Draw its settings and its button."""
        layout = self.layout
        settings = context.scene.render_adapt
        column = _fields(layout)
        column.prop(settings, "target")
        column.prop(settings, "channels")
        column.prop(settings, "depth_step")
        column.prop(settings, "learned")
        column.prop(settings, "learning")
        column.prop(settings, "renders")
        column.prop(settings, "steps")
        if not external_python(context):
            show_text(layout, context, "Needs a Python with torch, set in the preferences", "INFO")
            preferences = layout.operator(
                "preferences.addon_show", text="Open Preferences", icon="PREFERENCES"
            )
            preferences.module = __package__
        layout.operator("render_adapt.learn", icon="PLAY")


class TOPBAR_MT_render_adapt(bpy.types.Menu):
    """Everything in the tab, for the menu and its search."""

    bl_label = "Render + Adapt"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the operators."""
        layout = self.layout
        layout.operator("render_adapt.run", icon="RENDER_STILL")
        layout.operator("render_adapt.preview", icon="HIDE_OFF")
        layout.operator("render_adapt.learn", icon="PLAY")
        layout.operator("render_adapt.cancel", text="Cancel Render + Adapt", icon="CANCEL")
        layout.separator()
        layout.operator("render_adapt.open_dataset", icon="FILE_FOLDER")
        layout.operator("render_adapt.open_report", icon="URL")
        layout.operator("render_adapt.verify", text="Check Dataset", icon="CHECKMARK")
        layout.operator("render_adapt.repair", text="Repair Dataset", icon="TOOL_SETTINGS")
        layout.operator("render_adapt.open_log", icon="TEXT")


CLASSES = (
    VIEW3D_PT_render_adapt,
    VIEW3D_PT_render_adapt_picture,
    VIEW3D_PT_render_adapt_symmetry,
    VIEW3D_PT_render_adapt_framing,
    VIEW3D_PT_render_adapt_more,
    VIEW3D_PT_render_adapt_learn,
    TOPBAR_MT_render_adapt,
)


def add_menu(self: Any, context: bpy.types.Context) -> None:
    """Draw the menu's entry in another menu."""
    self.layout.separator()
    self.layout.menu("TOPBAR_MT_render_adapt")


def _fields(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column of names and values."""
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _draw_objects(layout: bpy.types.UILayout, context: bpy.types.Context, settings: Any) -> None:
    layout.row().prop(settings, "source", expand=True)
    if settings.source == "COLLECTION":
        layout.prop(settings, "collection", text="")
    objects = chosen_objects(context)
    sizes = [size_mm(item, context.scene) for item in objects]
    box = layout.box()
    column = box.column(align=True)
    if not objects:
        column.label(text="Nothing to render", icon="INFO")
    for item, size in list(zip(objects, sizes, strict=True))[:_MOST_LISTED]:
        row = column.row()
        row.label(text=item.name, icon=f"OUTLINER_OB_{item.type}")
        value = row.row()
        value.alignment = "RIGHT"
        value.alert = doubtful_units(size)
        value.label(text=f"{size:,.4g} mm" if size < 10 else f"{size:,.0f} mm")
    if len(objects) > _MOST_LISTED:
        column.label(text=f"and {len(objects) - _MOST_LISTED} more", icon="BLANK1")
    doubtful = [size for size in sizes if doubtful_units(size)]
    if doubtful:
        question = f"{max(doubtful):,.4g} mm: is the scene's unit scale right?"
        show_text(box, context, question, "ERROR")
