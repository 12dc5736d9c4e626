"""The Blender extension in a real window: clicked, watched, cancelled, photographed, measured.

    python -m benchmarks.addon_gui --archive build/addon/render_adapt-0.2.0-linux-x64.zip \\
        --prefix env --out build/addon_gui --json benchmarks/results/addon.json

Needs Linux, a Blender of 4.2 or later that `--prefix` leads to, Xvfb, xdotool and ImageMagick; no
graphics card. Installs the zip, previews, runs while the view is orbited, undoes, cancels by Esc
and by the button, asks for what cannot be, cancels many times at random moments, finishes what
they left, verifies it, and quits in the midst of a job.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.blender_window import BlenderWindow
from render_adapt import verify

MODULE = "bl_ext.user_default.render_adapt"
VIEW = (300, 600)
"""A place in the 3D view, pixels from the upper left corner."""
PREVIEW, RUN, CANCEL, FRAMING = (74, 372), (192, 372), (132, 421), (50, 407)
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
    running=control.running, state=status.state, text=status.text, details=status.details,
    factor=status.factor,
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


def main() -> None:
    """Do it all, and write figures and pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--prefix", default="env", help="of the command; {share} is its folder")
    parser.add_argument("--out", type=Path, default=Path("build/addon_gui"))
    parser.add_argument("--display", type=int, default=95)
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--crops", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="figures of other Blenders in it are kept")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    share = (arguments.out / "share").resolve()
    shutil.rmtree(share, ignore_errors=True)
    window = BlenderWindow(arguments.prefix.format(share=share), share, arguments.display)
    try:
        trial = Trial(window, arguments.out)
        trial.set_up(arguments.archive)
        figures = {
            "blender": window.version,
            "load_average": round(os.getloadavg()[0], 1),
            **try_buttons(trial),
            **end_otherwise(trial),
            **cancel_often(trial, arguments.cancels),
            **make_many(trial, arguments.crops),
            **quit_in_the_midst(trial),
        }
    finally:
        window.close()
    print(json.dumps(figures, indent=2))
    if arguments.json:
        write(arguments.json, trial.name, figures)


def try_buttons(trial: Trial) -> dict[str, Any]:
    """Preview, run, undo, cancel and fail, with pictures."""
    window = trial.window
    figures: dict[str, Any] = {"gaps_ms": {}}
    trial.press(FRAMING)
    window.point(*VIEW)
    trial.photograph("idle")
    trial.press(FRAMING)
    window.point(*VIEW)
    window.gaps()
    time.sleep(5)
    figures["gaps_ms"]["idle"] = spread(window.gaps())
    window.orbit(*VIEW, 6)
    figures["gaps_ms"]["idle, orbiting"] = spread(window.gaps())

    trial.press(PREVIEW)
    time.sleep(2)
    trial.photograph("previewing")
    status = trial.wait()
    assert status["state"] == "finished", status
    figures["preview"] = status["text"]
    window.point(*VIEW)
    trial.photograph("previewed")

    # One step of undo, which a job in between must not take the place of.
    window.ask("bpy.data.objects['Tin'].location.y = 0.05\nbpy.ops.ed.undo_push(message='Moved')")
    window.ask("bpy.data.objects['Tin'].location.y = 0.10\nbpy.ops.ed.undo_push(message='Moved')")
    trial.press(RUN)
    window.gaps()
    trial.wait(0.05)
    figures["gaps_ms"]["starting"] = spread(window.gaps())
    trial.wait(0.3)
    figures["gaps_ms"]["running"] = spread(window.gaps())
    before = window.ask(ROTATION)
    window.orbit(*VIEW, 4)
    figures["gaps_ms"]["running, orbiting"] = spread(window.gaps())
    status = trial.status()
    assert status["running"], f"the job was over too soon to be watched: {status}"
    assert before != window.ask(ROTATION)
    trial.photograph("running")
    status = trial.wait()
    assert status["state"] == "finished", status
    figures["run"] = status["text"]
    window.ask(VIEWS)
    trial.photograph("finished")
    trial.nothing_left()
    window.point(*VIEW)
    window.press("ctrl+z")
    time.sleep(1)
    assert abs(window.ask("answer = bpy.data.objects['Tin'].location.y") - 0.05) < 1e-6
    window.press("ctrl+shift+z")
    time.sleep(1)

    window.ask("bpy.context.scene.render_adapt.out = '//other/'")
    trial.press(RUN)
    trial.wait(0.02)
    window.point(*VIEW)
    figures["esc_to_worker_gone_seconds"] = gone_after(trial, lambda: window.press("Escape"))
    trial.wait()
    trial.photograph("cancelled")
    trial.nothing_left()

    window.ask(
        "bpy.context.scene.render_adapt.out = '//dataset/'\nbpy.context.scene.render_adapt.seed = 1"
    )
    trial.press(RUN)
    status = trial.wait()
    assert status["state"] == "failed", status
    window.point(*VIEW)
    trial.photograph("error")
    trial.nothing_left()
    window.ask("bpy.context.scene.render_adapt.seed = 0\nbpy.data.objects['Tin'].scale.z = 0")
    trial.press(RUN)
    trial.photograph("refused")
    window.press("Escape")
    trial.nothing_left()
    window.ask("bpy.data.objects['Tin'].scale.z = 1")
    return figures


ROTATION = """
for area in bpy.context.window_manager.windows[0].screen.areas:
    if area.type == "VIEW_3D":
        answer = list(area.spaces.active.region_3d.view_rotation)
"""


def end_otherwise(trial: Trial) -> dict[str, Any]:
    """Disable the extension, and open another file, while a job runs."""
    window = trial.window
    window.ask("bpy.context.scene.render_adapt.out = '//other/'\nbpy.ops.wm.save_mainfile()")
    trial.press(RUN)
    trial.wait(0.02)
    window.ask(f"bpy.ops.preferences.addon_disable(module={MODULE!r})")
    assert trial.workers() == []
    time.sleep(1)
    window.ask(f"bpy.ops.preferences.addon_enable(module={MODULE!r})")
    # Blender forgets an operator that is no more when the next event comes.
    window.point(*VIEW)
    trial.show_sidebar()
    trial.nothing_left()
    trial.press(RUN)
    trial.wait(0.02)
    window.ask("bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)")
    assert trial.workers() == []
    time.sleep(1)
    trial.show_sidebar()
    trial.nothing_left()
    assert trial.status()["state"] == "cancelled"
    return {"disabled_or_other_file_in_the_midst": "worker gone, nothing left"}


def cancel_often(trial: Trial, times: int) -> dict[str, Any]:
    """Cancel at random moments, by button and by Esc; then finish, and verify."""
    window = trial.window
    window.ask("bpy.context.scene.render_adapt.out = '//often/'")
    moments = random.Random(0)
    seconds = []
    for number in range(times):
        trial.press(RUN)
        time.sleep(moments.uniform(0, 12))
        if not trial.status()["running"]:
            continue
        if number % 2:
            trial.point(CANCEL)
            seconds.append(gone_after(trial, window.click_here))
        else:
            window.point(*VIEW)
            seconds.append(gone_after(trial, lambda: window.press("Escape")))
        status = trial.wait()
        assert status["state"] in ("cancelled", "finished"), status
        window.point(*VIEW)
        trial.nothing_left()
    trial.press(RUN)
    status = trial.wait()
    assert status["state"] == "finished", status
    bad = verify(window.folder / "often").bad
    assert bad == (), bad
    return {
        "cancels": len(seconds),
        "cancel_to_worker_gone_seconds": {
            "median": round(statistics.median(seconds), 2), "most": round(max(seconds), 2)
        },
        "left_after_cancels": "no process, temporary file, timer or operator",
        "what_they_left_finished": "verified",
    }  # fmt: skip


def make_many(trial: Trial, crops: int) -> dict[str, Any]:
    """Time a larger dataset, without a look at the window."""
    window = trial.window
    window.ask(
        f"bpy.context.scene.render_adapt.out = '//many/'\n"
        f"bpy.context.scene.render_adapt.count = {crops}"
    )
    began = time.monotonic()
    trial.press(RUN)
    status = trial.wait(patience=1200)
    seconds = time.monotonic() - began
    assert status["state"] == "finished", status
    bad = verify(window.folder / "many").bad
    assert bad == (), bad
    return {
        "many": {
            "crops": crops,
            "seconds_from_click": round(seconds, 1),
            "crops_per_second": round(crops / seconds, 1),
            "stage_seconds": {name: round(time, 1) for name, time in status["stages"].items()},
        }
    }


def quit_in_the_midst(trial: Trial) -> dict[str, Any]:
    """Quit Blender while a job runs."""
    window = trial.window
    window.ask("bpy.context.scene.render_adapt.out = '//quit/'")
    trial.press(RUN)
    status = trial.wait(0.02)
    assert trial.workers(), status
    code = window.quit()
    time.sleep(1)
    assert code == 0, code
    assert trial.workers() == []
    return {"quit_in_the_midst": "exit code 0, worker gone"}


def gone_after(trial: Trial, cancel: Any) -> float:
    """Seconds from a cancel to the end of the last process that worked."""
    began = time.monotonic()
    cancel()
    while trial.workers():
        assert time.monotonic() - began < 10
        time.sleep(0.02)
    return round(time.monotonic() - began, 2)


def spread(gaps: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest."""
    return {
        "median": round(statistics.median(gaps)),
        "p95": round(gaps[int(0.95 * (len(gaps) - 1))]),
        "most": round(gaps[-1]),
    }


def write(file: Path, name: str, figures: dict[str, Any]) -> None:
    """Add a Blender's figures to a file."""
    report: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    report["command"] = "python -m benchmarks.addon_gui"
    report["hardware"] = f"{os.cpu_count()} cores, {platform.machine()}, software OpenGL"
    report.setdefault("window", {})[name] = figures
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n")


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
