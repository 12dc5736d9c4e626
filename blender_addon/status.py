# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws what a job is at, and what came of it."""

from __future__ import annotations

import textwrap

import bpy

from . import pictures
from .control import control
from .messages import Verified
from .outcomes import Status

_CHARACTER = 6.6
"""Pixels of width that a character of the interface's font takes on the mean, at scale 1."""


def show_status(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what was refused, and the job that runs or what came of the last one."""
    status = control.status
    if control.refusal:
        column = layout.box().column()
        column.alert = True
        show_text(column, context, control.refusal, icon="ERROR")
    if status.state in ("running", "ending"):
        _show_progress(layout, context, status)
    elif status.state != "idle" and status.kind != "check":
        _show_outcome(layout, context, status)


def show_check(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what came of checking a Python."""
    if control.running and control.status.kind == "check":
        layout.label(text="Asking that Python what it can do", icon="TIME")
    elif control.checked is not None:
        _show_outcome(layout, context, control.checked)


def show_picture(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the picture that there is, as wide as the sidebar."""
    unit = 20 * context.preferences.system.ui_scale
    column = layout.column(align=True)
    column.template_icon(pictures.icon(), scale=max(context.region.width / unit - 2, 4))
    column.operator("render_adapt.show_picture", icon="WINDOW")


def show_text(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE"
) -> None:
    """Draw a sentence on as many lines as it takes."""
    scale = context.preferences.system.ui_scale
    width = max(int((context.region.width / scale - 60) / _CHARACTER), 20)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False)):
        first = "BLANK1" if icon != "NONE" else "NONE"
        column.label(text=line, icon=icon if number == 0 else first)


def _show_progress(layout: bpy.types.UILayout, context: bpy.types.Context, status: Status) -> None:
    column = layout.column(align=True)
    column.progress(factor=status.factor, text=status.text)
    column.operator("render_adapt.cancel", icon="CANCEL")
    for line in [*status.details, *status.found]:
        show_text(layout, context, line)


def _show_outcome(layout: bpy.types.UILayout, context: bpy.types.Context, status: Status) -> None:
    failed = status.state == "failed"
    box = layout.box()
    column = box.column()
    column.alert = failed
    icon = {"finished": "CHECKMARK", "failed": "ERROR"}.get(status.state, "INFO")
    show_text(column, context, status.text, icon=icon)
    for line in [*status.details, *status.found]:
        show_text(column, context, line, icon="BLANK1")
    if isinstance(status.result, Verified):
        if failed:
            box.operator("render_adapt.repair", icon="TOOL_SETTINGS")
    elif failed and status.log is not None:
        box.operator("render_adapt.open_log", icon="TEXT")
