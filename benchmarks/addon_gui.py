"""The Blender extension in a real window: clicked, watched, cancelled, photographed, measured.

    python -m benchmarks.addon_gui --archive build/addon/render_adapt-0.2.0-linux-x64.zip \\
        --prefix env --out build/addon_gui --json benchmarks/results/addon.json

Needs Linux, a Blender of 4.2 or later that `--prefix` leads to, Xvfb, xdotool and ImageMagick; no
graphics card. Installs the zip, previews, runs while the view is orbited, undoes, cancels by Esc
and by the button, asks for what cannot be, mends a dataset, cancels many times at random moments,
finishes what they left, verifies it, and quits in the midst of a job.
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

from benchmarks.addon_trial import (
    CANCEL,
    MODULE,
    PRESETS,
    PREVIEW,
    RUN,
    SYMMETRY,
    VIEW,
    VIEWS,
    Trial,
    gone_after,
)
from benchmarks.blender_window import BlenderWindow
from render_adapt import verify


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
    # It stays open, below the buttons.
    trial.press(SYMMETRY)
    window.point(*VIEW)
    trial.photograph("idle")
    window.ask("bpy.ops.render_adapt.preset_add(name='Bench')")
    trial.press(PRESETS)
    trial.photograph("presets")
    window.press("Escape")
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
    mend(trial)
    return figures


def mend(trial: Trial) -> None:
    """Lose a picture of the dataset, find that out, and make it anew, with pictures."""
    window = trial.window
    (window.folder / "dataset/train/000000/rgb/000001.png").unlink()
    window.ask("bpy.ops.render_adapt.verify('INVOKE_DEFAULT')")
    status = trial.wait()
    assert status["state"] == "failed", status
    window.point(*VIEW)
    trial.photograph("bad")
    window.ask("bpy.ops.render_adapt.repair('INVOKE_DEFAULT')")
    status = trial.wait()
    assert status["state"] == "finished", status
    window.point(*VIEW)
    trial.photograph("repaired")
    trial.nothing_left()


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


if __name__ == "__main__":
    main()
