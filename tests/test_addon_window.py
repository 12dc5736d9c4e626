"""The Blender extension clicked in a real window, on a screen that nobody sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.addon_trial import PREVIEW, RUN, VIEW, Trial, gone_after
from benchmarks.blender_window import BlenderWindow
from render_adapt import verify
from tests.blend_files import PYTHON_VARIABLE

CHECKOUT = Path(__file__).resolve().parents[1]
WINDOW_VARIABLE = "RENDER_ADAPT_BLENDER_WINDOW"
"""Of the environment: how a Blender with a window is started, as for `env`; `{share}` stands for
the folder that both sides see."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux"
        or not os.environ.get(WINDOW_VARIABLE)
        or not os.environ.get(PYTHON_VARIABLE)
        or not all(map(shutil.which, ("Xvfb", "xdotool", "import"))),
        reason=f"needs {WINDOW_VARIABLE}, {PYTHON_VARIABLE}, Xvfb, xdotool and ImageMagick",
    ),
]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The extension, installed in a window with a scene of two objects."""
    share = tmp_path_factory.mktemp("window")
    prefix = os.environ[WINDOW_VARIABLE].format(share=share)
    window = BlenderWindow(prefix, share, display=96)
    try:
        version = window.ask("import sys\nanswer = '%d.%d' % sys.version_info[:2]")
        out = CHECKOUT / "build" / "addon" / f"window-{version}"
        subprocess.run(
            [
                os.environ[PYTHON_VARIABLE], "blender_addon/build.py", f"--pythons={version}",
                f"--out={out}",
            ],
            cwd=CHECKOUT, check=True, capture_output=True,
        )  # fmt: skip
        (archive,) = out.glob("*.zip")
        trial = Trial(window, share)
        trial.set_up(archive)
        window.ask("bpy.context.scene.render_adapt.count = 12")
        yield trial
    finally:
        window.close()


def test_buttons_do_what_they_say(trial: Trial) -> None:
    window = trial.window
    dataset = window.folder / "dataset"
    trial.press(PREVIEW)
    previewed = trial.wait()
    assert previewed["state"] == "finished", previewed["text"]
    trial.press(RUN)
    trial.wait(0.02)
    window.point(*VIEW)
    assert gone_after(trial, lambda: window.press("Escape")) < 10
    assert trial.wait()["state"] == "cancelled"
    trial.nothing_left()
    trial.press(RUN)
    finished = trial.wait()
    assert finished["state"] == "finished"
    assert verify(dataset, workers=1).bad == ()

    window.ask("bpy.context.scene.render_adapt.out = ''")
    trial.press(RUN)
    refused = trial.wait()
    assert refused["refusal"] == "Output is empty: choose a folder"
    assert (refused["state"], refused["text"]) == ("finished", finished["text"])
    window.press("Escape")
    window.ask("bpy.context.scene.render_adapt.out = '//dataset/'")

    lost = dataset / "train/000000/rgb/000003.png"
    content = lost.read_bytes()
    lost.unlink()
    window.ask("bpy.ops.render_adapt.verify('INVOKE_DEFAULT')")
    bad = trial.wait()
    assert (bad["state"], bad["refusal"]) == ("failed", "")
    assert bad["text"] == f"{lost} is not there; its only shard is bad"
    window.ask("bpy.ops.render_adapt.repair('INVOKE_DEFAULT')")
    assert trial.wait()["state"] == "finished"
    assert lost.read_bytes() == content
    trial.nothing_left()


def test_a_job_goes_with_its_window(trial: Trial) -> None:
    window = trial.window
    window.ask("bpy.context.scene.render_adapt.out = '//quit/'")
    trial.press(RUN)
    trial.wait(0.02)
    assert trial.workers()
    assert window.quit() == 0
    assert trial.workers() == []
