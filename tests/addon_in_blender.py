"""Tries the Blender extension where bpy is: `addon_in_blender.py TRIAL FOLDER`.

Each trial starts with the extension enabled and a new scene, saved in FOLDER, that has a cube of
100 mm, and prints what it saw as the last line, JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from mathutils import Matrix

import addon_utils  # isort: skip - bpy makes it known

MODULE = "bl_ext.user_default.render_adapt"
FAKE = Path(__file__).with_name("fake_job.py")


def part(name: str) -> Any:
    return importlib.import_module(f"{MODULE}.{name}")


def begin(folder: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.mesh.primitive_cube_add(size=0.1)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))


def report_of(operator: Callable[..., set[str]]) -> str:
    """The error that an operator ends with, or what it returns."""
    try:
        return ", ".join(operator())
    except RuntimeError as error:
        return str(error).strip().removeprefix("Error: ")


def leftovers() -> list[str]:
    return [name for name in os.listdir(bpy.app.tempdir) if name.startswith("render_adapt_")]


def pretend(conduct: str) -> None:
    """Have a fake process do the jobs."""
    command = part("job_process").Command([sys.executable, str(FAKE), conduct])
    part("job_operators").job_command = lambda *_: command


def trial_describe(folder: Path) -> dict[str, Any]:
    """What of the interface has no tooltip, and what is left of it when it is disabled."""
    operators = [getattr(bpy.ops.render_adapt, name) for name in dir(bpy.ops.render_adapt)]
    described = [operator.get_rna_type() for operator in operators]
    settings = bpy.types.Scene.bl_rna.properties["render_adapt"].fixed_type
    preferences = bpy.context.preferences.addons[MODULE].preferences.bl_rna
    own = [
        entry
        for kind in (settings, preferences)
        for entry in kind.properties
        if entry.identifier not in ("rna_type", "name", "bl_idname")
    ]
    own += [item for entry in own if entry.type == "ENUM" for item in entry.enum_items]
    menu = len(bpy.types.TOPBAR_MT_render._dyn_ui_initialize())
    seen = {
        "operators": sorted(dir(bpy.ops.render_adapt)),
        "properties": len(own),
        "without tooltip": [
            entry.identifier for entry in [*described, *own] if not entry.description
        ],
        "ending in a full stop": [
            entry.identifier for entry in [*described, *own] if entry.description.endswith(".")
        ],
    }
    addon_utils.disable(MODULE)
    seen["left"] = (
        [name for name in dir(bpy.types) if "render_adapt" in name.lower()]
        + dir(bpy.ops.render_adapt)
        + [name for name in ("render_adapt",) if hasattr(bpy.types.Scene, name)]
        + [name for name in ("render_adapt_symmetry",) if hasattr(bpy.types.Object, name)]
    )
    seen["menu entries taken away"] = menu - len(bpy.types.TOPBAR_MT_render._dyn_ui_initialize())
    return seen


def trial_run(folder: Path) -> dict[str, Any]:
    """A preview and a dataset by the real job, from a scene with two objects."""
    bpy.context.object.name = "Box round"
    bpy.ops.mesh.primitive_cone_add(radius1=0.06, depth=0.08, location=(0.3, 0, 0))
    bpy.context.object.scale = (1.0, 0.5, 1.0)
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.wm.save_mainfile()
    settings = bpy.context.scene.render_adapt
    settings.count, settings.out, settings.seed = 6, "//dataset/", 5
    before = _state()
    seen: dict[str, Any] = {"preview": sorted(bpy.ops.render_adapt.preview())}
    seen["picture"] = part("pictures").place().stat().st_size
    seen["run"] = sorted(bpy.ops.render_adapt.run())
    settings.seed = 6
    seen["other seed"] = report_of(bpy.ops.render_adapt.run)
    settings.seed = 5
    seen["report"] = report_of(bpy.ops.render_adapt.open_report)
    seen["scene changed"] = [key for key, value in _state().items() if before[key] != value]
    seen["left"] = leftovers()
    return seen


def trial_choices(folder: Path) -> dict[str, Any]:
    """A dataset in the scene's light, of an object with a symmetry among others that stand around
    it; spoilt, looked at, mended."""
    bpy.context.object.name = "Box round.001"
    around = bpy.data.collections.new("Around")
    bpy.context.scene.collection.children.link(around)
    for name, place in (("Ball", 0.5), ("Pipe", 0.9), ("Hidden", 1.3)):
        bpy.ops.mesh.primitive_cylinder_add(radius=0.02, depth=0.06, location=(place, 0, 0))
        bpy.context.object.name = name
        bpy.context.object.hide_render = name == "Hidden"
        around.objects.link(bpy.context.object)
    around.objects.link(bpy.data.objects["Box round.001"])
    bpy.data.objects["Ball"].render_adapt_symmetry = "z"
    bpy.data.objects["Box round.001"].render_adapt_symmetry = "z4 x2"
    bpy.ops.object.light_add(type="SUN")
    bpy.context.object.data.energy = 3
    bpy.ops.object.select_all(action="DESELECT")
    bpy.data.objects["Box round.001"].select_set(True)
    settings = bpy.context.scene.render_adapt
    settings.count, settings.out, settings.lit_by = 3, "//dataset/", "scene"
    settings.adapter, settings.distractors = "NONE", around
    control = part("control").control
    seen: dict[str, Any] = {"run": report_of(bpy.ops.render_adapt.run)}
    seen["check"] = [report_of(bpy.ops.render_adapt.verify), control.status.text]
    (folder / "dataset/train/000000/depth/000001.png").unlink()
    seen["spoilt"] = [report_of(bpy.ops.render_adapt.verify), control.status.state]
    seen["repair"] = [report_of(bpy.ops.render_adapt.repair), control.status.text]
    bpy.data.lights[0].energy = 1
    (folder / "dataset/train/000000/depth/000001.png").unlink()
    seen["repair by another scene"] = report_of(bpy.ops.render_adapt.repair)
    seen["left"] = leftovers()
    return seen


def trial_refused(folder: Path) -> dict[str, Any]:
    """What is shown of a job that ended, one that was refused after it, and the next."""
    control = part("control").control
    settings = bpy.context.scene.render_adapt
    settings.out = "//dataset/"
    pretend("finish")
    bpy.ops.render_adapt.run()
    seen = {"finished": [control.refusal, control.status.text, control.status.state]}
    settings.out = ""
    report_of(bpy.ops.render_adapt.run)
    seen["refused"] = [control.refusal, control.status.text, control.status.state]
    settings.out = "//dataset/"
    bpy.ops.render_adapt.run()
    seen["again"] = [control.refusal, control.status.state]
    report_of(bpy.ops.render_adapt.open_dataset)
    seen["not there"] = [control.refusal, control.status.state]
    return {**seen, "left": leftovers()}


def trial_presets(folder: Path) -> dict[str, Any]:
    """Settings kept under a name, taken again in another scene, and forgotten."""
    settings = bpy.context.scene.render_adapt
    settings.count, settings.off_axis, settings.lit_by, settings.out = 77, 12.5, "scene", "//mine/"
    bpy.ops.render_adapt.preset_add(name="Bench lamp")
    places = bpy.utils.preset_paths("render_adapt")
    (file,) = [str(path) for place in places for path in Path(place).glob("*.py")]
    begin(folder)
    settings = bpy.context.scene.render_adapt
    before = settings.count
    panel = "VIEW3D_PT_render_adapt_presets"
    bpy.ops.script.execute_preset(filepath=file, menu_idname=panel)
    seen = {
        "before": before,
        "taken": [settings.count, settings.off_axis, settings.lit_by, settings.out],
    }
    bpy.ops.render_adapt.preset_add(name="Bench lamp", remove_active=True)
    return {**seen, "left": Path(file).exists()}


def trial_cut(folder: Path) -> dict[str, Any]:
    """Crops of a cone, cut as the settings say and as the adapter's; what is said of its origin."""
    bpy.ops.mesh.primitive_cone_add(radius1=0.06, depth=0.08)
    bpy.ops.wm.save_mainfile()
    settings = bpy.context.scene.render_adapt
    settings.count, settings.out = 2, "//left_to_adapter/"
    seen: dict[str, Any] = {"left to adapter": sorted(bpy.ops.render_adapt.run())}
    settings.centre, settings.auto_off_axis, settings.off_axis = "MEAN", False, 12.3
    settings.count, settings.out = 12, "//cut/"
    seen["cut"] = sorted(bpy.ops.render_adapt.run())
    bpy.context.object.data.transform(Matrix.Translation((0, 0, 0.3)))
    settings.centre, settings.preview_crops = "ORIGIN", 1
    bpy.ops.render_adapt.preview()
    seen["notes"] = part("control").control.status.details
    return seen


def _state() -> dict[str, Any]:
    return {
        "file": bpy.data.filepath,
        "blocks": {
            kind: sorted(block.name for block in getattr(bpy.data, kind))
            for kind in ("objects", "meshes", "materials", "images", "scenes", "cameras")
        },
        "places": {
            item.name: [list(row) for row in item.matrix_world] for item in bpy.data.objects
        },
        "selected": sorted(item.name for item in bpy.context.selected_objects),
        "engine": bpy.context.scene.render.engine,
    }


def trial_learn(folder: Path) -> dict[str, Any]:
    """An adapter learned by the Python whose path is in a file, stopped and continued."""
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.python = (folder / "python").read_text()
    control = part("control").control
    seen: dict[str, Any] = {"check": report_of(bpy.ops.render_adapt.check_python)}
    seen["checked"] = [control.checked.text, *control.checked.details]
    settings = bpy.context.scene.render_adapt
    settings.target, settings.learned = str(folder / "crops"), "//adapter/"
    settings.renders, settings.steps = 64, 10_000
    settings.channels = "3"
    settings.centre, settings.auto_off_axis, settings.off_axis = "MEAN", False, 12.3

    def stop() -> None:
        while control.status.kind != "learn" or control.status.factor < 3 / 10_000:
            time.sleep(0.1)
        seen["shown"] = [control.status.text, *control.status.details]
        seen["found"] = control.status.found
        control.cancel()

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    seen["stopped"] = report_of(bpy.ops.render_adapt.learn)
    stopper.join(5)
    steps = int(seen["shown"][0].split()[1].replace(",", ""))
    settings.steps = steps + 6
    seen["continued"] = report_of(bpy.ops.render_adapt.learn)
    seen["text"] = control.status.text
    seen["adapter"] = [settings.adapter, settings.adapter_folder]
    settings.count, settings.centre, settings.auto_off_axis = 4, "ADAPTER", True
    seen["used"] = report_of(bpy.ops.render_adapt.run)
    preferences.python = ""
    seen["left"] = leftovers()
    return seen


def trial_refusals(folder: Path) -> dict[str, Any]:
    """What is said of scenes and settings that cannot be used, by the name of the case."""
    import addon_faults

    seen, logs = {}, set(_logs())
    for name, spoil in addon_faults.FAULTS.items():
        begin(folder)
        operator = spoil(folder) or bpy.ops.render_adapt.run
        seen[name] = report_of(operator)
    return {"said": seen, "left": leftovers(), "logs": len(set(_logs()) - logs)}


def _logs() -> list[Path]:
    folder = Path(bpy.utils.extension_path_user(MODULE, path="logs", create=True))
    return list(folder.iterdir())


def trial_conducts(folder: Path) -> dict[str, Any]:
    """What comes of jobs that end in one way or another."""
    seen = {}
    control = part("control").control
    bpy.context.scene.render_adapt.out = "//dataset/"
    for conduct in ("finish", "fail", "crash", "silent", "unknown message"):
        pretend(conduct)
        said = report_of(bpy.ops.render_adapt.run)
        log = control.status.log
        seen[conduct] = {
            "said": said.replace(str(log), "LOG"),
            "state": control.status.state,
            "text": control.status.text,
            "details": control.status.details,
            "log": log.read_text(),
        }
    return {"seen": seen, "left": leftovers()}


def trial_cancel(folder: Path) -> dict[str, Any]:
    """Jobs that are watched as in a window, and cancelled or unregistered."""
    seen: dict[str, Any] = {}
    for conduct in ("obey", "stubborn"):
        for way in ("cancel", "disable"):
            addon_utils.enable(MODULE)
            pretend(conduct)
            # Were the obedient one not to obey, this would never end.
            part("job_process").PATIENCE = float("inf") if conduct == "obey" else 1.0
            seen[f"{conduct}, {way}"] = _ended_by(way)
    addon_utils.enable(MODULE)
    return {"seen": seen, "left": leftovers()}


def _ended_by(way: str) -> dict[str, Any]:
    control, operators = part("control").control, part("job_operators")
    watcher = operators.JobOperator()
    watcher.kind, watcher.report = "generate", lambda *_: None
    folder = Path(bpy.app.tempdir) / "render_adapt_trial"
    folder.mkdir()
    control.start("generate", operators.job_command(), folder)
    while control.status.factor < 0.4:
        control.update()
        time.sleep(0.05)
    running = control.status
    shown = [running.text, *running.details]
    busy = not bpy.ops.render_adapt.run.poll()
    process = control._process._process
    if way == "cancel":
        bpy.ops.render_adapt.cancel()
        while control.running:
            control.update()
            time.sleep(0.05)
    else:
        addon_utils.disable(MODULE)
    return {
        "shown": shown,
        "run is refused meanwhile": busy,
        "state": control.status.state,
        "exit code": process.returncode,
        "processes left": _alive(process.pid),
        "reader left": control._process is not None,
    }


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    # What is dead and not waited for yet by the system's first process is gone.
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True, check=False
    ).stdout.split()
    return any(not state.startswith("Z") for state in listed)


def trial_modal(folder: Path) -> dict[str, Any]:
    """What the running operator does with events."""
    from types import SimpleNamespace

    pretend("obey")
    control, operators = part("control").control, part("job_operators")
    reports: list[Any] = []
    watcher = operators.JobOperator()
    watcher.report = lambda kind, text: reports.append([sorted(kind), text])
    place = Path(bpy.app.tempdir) / "render_adapt_trial"
    place.mkdir()
    control.start("generate", operators.job_command(), place)
    area = SimpleNamespace(type="VIEW_3D", x=0, y=0, width=100, height=100, regions=[])
    other = SimpleNamespace(type="TEXT_EDITOR", x=100, y=0, width=100, height=100, regions=[])
    screen = SimpleNamespace(areas=[area, other])
    manager = SimpleNamespace(windows=[SimpleNamespace(screen=screen)])
    context: Any = SimpleNamespace(screen=screen, window_manager=manager)

    def event(kind: str, x: int = 50) -> set[str]:
        answer: set[str] = watcher.modal(
            context, SimpleNamespace(type=kind, value="PRESS", mouse_x=x, mouse_y=50)
        )
        return answer

    seen = {
        "mouse": sorted(event("MOUSEMOVE")),
        "Esc elsewhere": sorted(event("ESC", 150)),
        "running": control.running,
        "Esc": sorted(event("ESC")),
    }
    while control.running:
        last = event("TIMER")
        time.sleep(0.05)
    return {**seen, "last": sorted(last), "reports": reports, "left": leftovers()}


def main() -> None:
    trial, folder = sys.argv[1], Path(sys.argv[2])
    if trial == "install":
        archive = sys.argv[3]
        bpy.ops.extensions.package_install_files(
            filepath=archive, repo="user_default", enable_on_install=True
        )
        seen: dict[str, Any] = {"enabled": MODULE in bpy.context.preferences.addons}
        addon_utils.disable(MODULE)
    else:
        begin(folder)
        seen = globals()[f"trial_{trial}"](folder)
        addon_utils.disable(MODULE)
    sys.stdout.write("\n" + json.dumps(seen) + "\n")


if __name__ == "__main__":
    # Whoever runs this waits for so long at most.
    signal.alarm(500)
    main()
