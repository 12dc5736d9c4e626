# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that have a process work: in the window they watch it, in scripts they wait for it."""

from __future__ import annotations

import shutil
import tempfile
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy

from . import pictures
from .commands import job_command, python_command, work_command
from .control import control
from .interface import dataset_folder, draw_again
from .job_process import Command
from .job_settings import chosen_adapter, dataset_settings, learning_settings, preview_settings
from .messages import Job, write_job
from .outcomes import Kind
from .preferences import external_python
from .refusal import Refusal
from .scene_objects import refuse_objects

_REPORTS = {"finished": "INFO", "cancelled": "WARNING", "failed": "ERROR"}
"""A dialogue for an error would come in the midst of something else when a job was watched: the
panel and the status bar have it."""
_WATCHED_REPORTS = {**_REPORTS, "failed": "WARNING"}

Settings = Callable[[bpy.types.Context, Sequence[bpy.types.Object], Path], dict[str, Any]]


class JobOperator:
    """What these operators have in common: `prepare` says what is to be done."""

    bl_options = {"REGISTER"}  # noqa: RUF012
    kind: Kind
    report: Callable[[set[str], str], None]
    poll_message_set: Callable[[str], None]
    prepare: Callable[[bpy.types.Context, Path], Command]
    """Says how to do the job, with files in a folder that is removed after it; or raises
    `Refusal`, where it cannot be done."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One job at a time."""
        if control.running:
            cls.poll_message_set("Another job of Render + Adapt is running")
        return not control.running

    def after(self, context: bpy.types.Context) -> None:
        """Do what is to be done when it has ended well."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do the job, and return when it is done."""
        if not self._start(context):
            return {"CANCELLED"}
        control.wait()
        return self._outcome(context, _REPORTS)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Start the job and watch it."""
        if bpy.app.background:
            return self.execute(context)
        if not self._start(context):
            return {"CANCELLED"}
        control.watch(context)
        context.window_manager.modal_handler_add(self)
        draw_again(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Watch the job; Esc over a 3D view cancels it."""
        if event.type == "ESC" and event.value == "PRESS" and _over_view(context, event):
            control.cancel()
            draw_again(context)
            return {"RUNNING_MODAL"}
        if event.type == "TIMER" and control.due():
            control.update()
            draw_again(context)
        if not control.running:
            return self._outcome(context, _WATCHED_REPORTS)
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """End the job: its window is closed, or another file opened."""
        control.end()

    def _start(self, context: bpy.types.Context) -> bool:
        folder = Path(tempfile.mkdtemp(prefix="render_adapt_", dir=bpy.app.tempdir))
        try:
            control.start(self.kind, self.prepare(context, folder), folder)
        except (Refusal, OSError) as error:
            control.refuse(self.kind, str(error))
            draw_again(context)
            self.report({"ERROR"}, f"{error}.")
        finally:
            if not control.running:
                shutil.rmtree(folder)
        return control.running

    def _outcome(self, context: bpy.types.Context, reports: dict[str, str]) -> set[str]:
        status = control.status
        if status.state == "finished":
            self.after(context)
        text = ". ".join([status.text, *status.details])
        if status.state == "failed" and status.result is None:
            text += f". The log is {status.log}"
        self.report({reports[status.state]}, text)
        return {"FINISHED"} if status.state == "finished" else {"CANCELLED"}


class RenderAdaptRun(JobOperator, bpy.types.Operator):
    """Render the objects from all sides, adapt the crops to your camera, and write a labelled dataset"""  # noqa: E501

    bl_idname = "render_adapt.run"
    bl_label = "Render + Adapt"
    kind = "generate"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say how to make the dataset."""
        return _scene_job(context, folder, "generate", dataset_settings)


class RenderAdaptPreview(JobOperator, bpy.types.Operator):
    """Show a few crops as they are rendered and as they are adapted, without writing a dataset"""

    bl_idname = "render_adapt.preview"
    bl_label = "Preview"
    kind = "preview"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say how to make the picture."""
        return _scene_job(context, folder, "preview", preview_settings)


class RenderAdaptLearn(JobOperator, bpy.types.Operator):
    """Train an adapter on a folder of your camera's crops of these objects; what was stopped continues"""  # noqa: E501

    bl_idname = "render_adapt.learn"
    bl_label = "Learn from Folder"
    kind = "learn"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say how to train it; Blender's own Python has no torch."""
        if not external_python(context):
            raise Refusal(
                "Learning needs torch: set Python with render-adapt in the extension's preferences"
            )
        return _scene_job(context, folder, "learn", learning_settings)

    def after(self, context: bpy.types.Context) -> None:
        """Take the new adapter."""
        settings = context.scene.render_adapt
        settings.adapter, settings.adapter_folder = "FOLDER", settings.learned


class RenderAdaptVerify(JobOperator, bpy.types.Operator):
    """Look whether the dataset's files are as they were written and its labels true"""

    bl_idname = "render_adapt.verify"
    bl_label = "Check"
    kind = "verify"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say which dataset."""
        job = folder / "job.json"
        write_job(job, Job("verify", {"dataset": str(dataset_folder(context))}))
        return job_command(context, job)


class RenderAdaptRepair(JobOperator, bpy.types.Operator):
    """Make anew what is bad in the dataset, from the scene as it is; what is sound stays"""

    bl_idname = "render_adapt.repair"
    bl_label = "Repair"
    kind = "repair"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say which dataset, and where its scene and its adapter are."""
        copy, job = folder / "scene.blend", folder / "job.json"
        content = {"dataset": str(dataset_folder(context)), "repair": True, "models": str(copy)}
        if context.scene.render_adapt.adapter == "FOLDER":
            content["adapter"] = chosen_adapter(context.scene.render_adapt)
        write_job(job, Job("verify", content))
        command = job_command(context, job, copy)
        _copy_scene(copy)
        return command


class RenderAdaptCheckPython(JobOperator, bpy.types.Operator):
    """Ask the Python that is set here for its versions of render-adapt and torch, and its GPU"""

    bl_idname = "render_adapt.check_python"
    bl_label = "Check Python"
    kind = "check"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say how to ask it."""
        job = folder / "job.json"
        write_job(job, Job("check"))
        return python_command(context, job)


class RenderAdaptOpenReport(JobOperator, bpy.types.Operator):
    """Write a page about the dataset, its crops, views and fidelity, and open it in the browser"""

    bl_idname = "render_adapt.open_report"
    bl_label = "Open Report"
    kind = "report"

    def prepare(self, context: bpy.types.Context, folder: Path) -> Command:
        """Say how to write it."""
        return work_command(context, "--report", str(dataset_folder(context)))

    def after(self, context: bpy.types.Context) -> None:
        """Open it."""
        page = dataset_folder(context) / "report.html"
        if not bpy.app.background:
            webbrowser.open(page.as_uri())


def _scene_job(context: bpy.types.Context, folder: Path, kind: Any, settings: Settings) -> Command:
    """A job on a copy of the scene, as it is now."""
    copy, job = folder / "scene.blend", folder / "job.json"
    objects = refuse_objects(context)
    content = settings(context, objects, copy)
    crops = context.scene.render_adapt.preview_crops
    picture = str(pictures.place()) if kind in ("preview", "learn") else ""
    write_job(job, Job(kind, content, picture=picture, crops=crops))
    command = job_command(context, job, copy)
    _copy_scene(copy)
    return command


def _copy_scene(copy: Path) -> None:
    try:
        bpy.ops.wm.save_as_mainfile(
            filepath=str(copy), copy=True, compress=False, relative_remap=True, check_existing=False
        )
    except RuntimeError as error:
        raise Refusal(f"The scene could not be copied: {error}") from None


def _over_view(context: bpy.types.Context, event: bpy.types.Event) -> bool:
    return any(
        area.type == "VIEW_3D"
        and 0 <= event.mouse_x - area.x < area.width
        and 0 <= event.mouse_y - area.y < area.height
        for area in context.screen.areas
    )


CLASSES = (
    RenderAdaptRun,
    RenderAdaptPreview,
    RenderAdaptLearn,
    RenderAdaptVerify,
    RenderAdaptRepair,
    RenderAdaptCheckPython,
    RenderAdaptOpenReport,
)
