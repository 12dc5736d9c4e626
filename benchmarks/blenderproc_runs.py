"""Runs scripts by BlenderProc's own `blenderproc run`, with Blender's wheel for a Blender.

`make blenderproc` makes the environment: Blender's Python as a wheel, with what BlenderProc would
install into it, and in a folder of its own BlenderProc, which removes the folder that it is in from
where modules are found. A folder that looks like an installed Blender is laid around it; this
project's packages are where `blenderproc pip install` would put them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from importlib.metadata import PathDistribution
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
VARIABLE = "RENDER_ADAPT_BLENDERPROC"
"""Names the environment where it is not in the checkout."""
ENVIRONMENT = CHECKOUT / ".venv-blenderproc"
PACKAGES = (
    "safe_files", "checked_settings", "plug_ins", "cad_models", "renderer", "adapter",
    "render_adapt",
)  # fmt: skip
_EXECUTABLE = """\
#!/bin/sh
here=$(dirname "$0")
exec "$here/4.2/python/bin/python3.11" "$here/start.py" "$@"
"""
_START = '''\
"""Takes Blender's command line: blender --background ... --python SCRIPT -- ARGUMENTS."""

import os
import runpy
import sys
import traceback

# Where `python start.py` finds modules first is no place of Blender's.
sys.path.pop(0)
import bpy



class With:
    """An object of Blender's, with some of its attributes replaced."""

    def __init__(self, real, **replaced):
        vars(self).update(replaced, _real=real)

    def __getattr__(self, name):
        return getattr(self._real, name)


# The wheel has no languages, and BlenderProc sets English.
view = With(bpy.context.preferences.view, language="en_US")
bpy.context = With(bpy.context, preferences=With(bpy.context.preferences, view=view))

script = sys.argv[sys.argv.index("--python") + 1]
code = 0
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as ending:
    code = ending.code or 0
except BaseException:
    traceback.print_exc()
    code = 2
sys.stdout.flush()
sys.stderr.flush()
# What scripts leave registered would keep the wheel from ending.
os._exit(code)
'''


def environment() -> Path | None:
    """What `make blenderproc` made; None where it is not there."""
    path = Path(os.environ.get(VARIABLE, ENVIRONMENT)).absolute()
    return path if (path / "blenderproc/blenderproc").is_dir() else None


def lay_out_blender(folder: Path, environment: Path, toolkit: Path | None = None) -> Path:
    """Make a folder that BlenderProc takes for an installed Blender.

    Args:
        folder: to be made.
        environment: of `make blenderproc`.
        toolkit: a checkout of bop_toolkit, which BlenderProc's BOP writer makes masks with.
    """
    (folder / "4.2").mkdir(parents=True)
    (folder / "4.2/python").symlink_to(environment, target_is_directory=True)
    (folder / "start.py").write_text(_START)
    executable = folder / "blender"
    executable.write_text(_EXECUTABLE)
    executable.chmod(0o755)
    installed = folder / "custom-python-packages"
    place = installed / "lib/python3.11/site-packages"
    place.mkdir(parents=True)
    for package in PACKAGES:
        (place / package).symlink_to(CHECKOUT / package, target_is_directory=True)
    # What BlenderProc knows to be there it does not download.
    site = environment / "lib/python3.11/site-packages"
    names = [PathDistribution(path).metadata for path in site.glob("*.dist-info")]
    there = {meta["Name"].lower(): meta["Version"] for meta in names}
    if toolkit is not None:
        (place / "bop_toolkit_lib").symlink_to(toolkit / "bop_toolkit_lib")
        there["bop-toolkit"] = ""
    (installed / "installed_packages_cache_v2.json").write_text(json.dumps(there))
    return folder


def run_script(
    blender: Path,
    environment: Path,
    script: Path,
    arguments: Sequence[object] = (),
    *,
    seed: int | None = None,
    seconds: float = 300,
) -> subprocess.CompletedProcess[str]:
    """`blenderproc run SCRIPT ARGUMENTS`.

    Args:
        blender: as `lay_out_blender` made it.
        environment: of `make blenderproc`.
        script: begins with BlenderProc's import.
        arguments: the script's own.
        seed: BlenderProc's; what it draws differs from run to run where there is none.
        seconds: after which it is ended, and an error raised.
    """
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    variables["PYTHONPATH"] = str(environment / "blenderproc")
    variables.pop("BLENDER_PROC_RANDOM_SEED", None)
    if seed is not None:
        variables["BLENDER_PROC_RANDOM_SEED"] = str(seed)
    parts = [
        environment / "bin/python", environment / "blenderproc/bin/blenderproc", "run",
        "--custom-blender-path", blender, script, *arguments,
    ]  # fmt: skip
    command = [str(part) for part in parts]
    with subprocess.Popen(
        command, env=variables, cwd=blender, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # Blender is a process of BlenderProc's.
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise RuntimeError(f"{script} takes more than {seconds} s:\n{output}") from None
    return subprocess.CompletedProcess(command, process.returncode, output)
