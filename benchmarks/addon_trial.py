"""The Blender extension in a real window, and a scene for it: buttons pressed, jobs watched."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.blender_window import BlenderWindow

MODULE = "bl_ext.user_default.render_adapt"
VIEW = (300, 600)
"""A place in the 3D view, pixels from the upper left corner."""
PRESETS, PREVIEW, RUN, CANCEL = (224, 97), (74, 419), (192, 419), (132, 469)
SYMMETRY = (50, 455)
"""Buttons with two objects selected: x from the sidebar's left edge, y from above."""

SCENE = """
for item in [item for item in bpy.data.objects if item.type == "MESH"]:
    bpy.data.objects.remove(item)
def material(name, color, kind=None):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.diffuse_color = (*color, 1)
    shader = made.node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    shader.default_value = (*color, 1)
    if kind:
        node = made.node_tree.nodes.new(kind)
        node.inputs["Scale"].default_value = 6
        node.inputs["Color1"].default_value = (*color, 1)
        node.inputs["Color2"].default_value = (0.9, 0.85, 0.7, 1)
        made.node_tree.links.new(node.outputs["Color"], shader)
    return made
bpy.ops.mesh.primitive_monkey_add(size=0.12, location=(-0.09, 0, 0.06), rotation=(0, 0, 0.8))
monkey = bpy.context.object
monkey.name = "Monkey"
monkey.modifiers.new("Subdivision", "SUBSURF").levels = 1
monkey.data.materials.append(material("Clay", (0.8, 0.25, 0.08)))
bpy.ops.mesh.primitive_cylinder_add(radius=0.05, depth=0.12, location=(0.1, 0, 0.06))
tin = bpy.context.object
tin.name = "Tin"
tin.data.materials.append(material("Printed", (0.02, 0.15, 0.5), "ShaderNodeTexChecker"))
for item in bpy.data.objects:
    item.select_set(item in (monkey, tin))
bpy.ops.wm.save_as_mainfile(filepath=FOLDER + "/parts.blend")
bpy.context.scene.render_adapt.count = 300
"""

VIEWS = """
for area in bpy.context.window_manager.windows[0].screen.areas:
    if area.type == "VIEW_3D":
        space = area.spaces.active
        space.show_region_ui = True
        space.region_3d.view_distance = 0.6
        space.region_3d.view_location = (0.1, -0.02, 0.02)
        space.clip_start = 0.001
        space.shading.color_type = "MATERIAL"
"""

SIDEBAR = """
for area in bpy.context.window_manager.windows[0].screen.areas:
    if area.type == "VIEW_3D":
        for region in area.regions:
            if region.type == "UI":
                region.active_panel_category = "Render Adapt"
                region.tag_redraw()
                answer = region.x
"""

STATUS = f"""
import os, sys
control = sys.modules["{MODULE}.control"].control
status = control.status
answer = dict(
    running=control.running, refusal=control.refusal, state=status.state, text=status.text,
    details=status.details, factor=status.factor,
    seconds=getattr(status.result, "seconds", None),
    stages=getattr(status.result, "stage_seconds", None),
    left=[name for name in os.listdir(bpy.app.tempdir) if name.startswith("render_adapt_")],
    timer=control._timer is not None,
    modal=[item.bl_idname for item in bpy.context.window_manager.windows[0].modal_operators],
)
"""


class Trial:
    """One Blender, and what is found out with it."""

    def __init__(self, window: BlenderWindow, pictures: Path) -> None:
        self.window = window
        self._pictures = pictures
        self.name = ".".join(window.version.split(".")[:2])
        self._left = 0

    def set_up(self, archive: Path) -> None:
        """Install the extension; make a scene of two objects of 164 and 120 mm."""
        window = self.window
        copy = shutil.copy2(archive, window.folder / "extension.zip")
        window.ask(
            f"bpy.ops.extensions.package_install_files(filepath={str(copy)!r}, "
            "repo='user_default', enable_on_install=True)",
            patience=180,
        )
        window.ask(f"FOLDER = {str(window.folder)!r}\n{SCENE}")
        self.show_sidebar()

    def show_sidebar(self) -> None:
        """Show the tab, and the objects beside it."""
        self.window.ask(VIEWS)
        time.sleep(1)
        self._left = self.window.ask(SIDEBAR)
        time.sleep(1)

    def press(self, button: tuple[int, int]) -> None:
        """Click a button of the sidebar, which looks anew only at a pointer that comes."""
        self.window.point(*VIEW)
        self.point(button)
        self.window.click_here()
        time.sleep(0.3)

    def point(self, button: tuple[int, int]) -> None:
        """Move the pointer to a button of the sidebar."""
        self.window.point(self._left + button[0], button[1])

    def status(self) -> dict[str, Any]:
        """What the extension says of its job, and what Blender has of it."""
        answer: dict[str, Any] = self.window.ask(STATUS)
        return answer

    def wait(self, until: float = 1.1, patience: float = 240) -> dict[str, Any]:
        """Wait for a job to have ended, or to have come so far."""
        end = time.monotonic() + patience
        while True:
            status = self.status()
            if not status["running"] or status["factor"] >= until:
                return status
            if time.monotonic() > end:
                raise TimeoutError(str(status))
            time.sleep(0.3)

    def photograph(self, moment: str) -> None:
        """Write a picture of the window."""
        time.sleep(1.5)
        self.window.photograph(self._pictures / f"{self.name}-{moment}.png")

    def workers(self) -> list[int]:
        """Processes that work on this Blender's jobs."""
        mark = f"{self.window.folder}/home".encode()
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and b"worker.py" in (line := _command(folder)) and mark in line
        ]

    def nothing_left(self) -> None:
        """Hold it to that: no process, file, timer or running operator."""
        status = self.status()
        left = [status["left"], self.workers(), status["timer"], status["modal"]]
        assert left == [[], [], False, []], left


def gone_after(trial: Trial, cancel: Any) -> float:
    """Seconds from a cancel to the end of the last process that worked."""
    began = time.monotonic()
    cancel()
    while trial.workers():
        assert time.monotonic() - began < 10
        time.sleep(0.02)
    return round(time.monotonic() - began, 2)


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
