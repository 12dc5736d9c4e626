"""A process that pretends to work on a job of the Blender extension: `fake_job.py CONDUCT`.

Needs the standard library only, and speaks as `render_adapt.jobs` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any


def tell(kind: str, **content: Any) -> None:
    sys.stdout.write(json.dumps({"render-adapt": kind, **content}) + "\n")
    sys.stdout.flush()


def crops(done: int) -> None:
    tell("crops", done=done, total=100, crops_per_second=20.0, seconds_left=(100 - done) / 20)


def finish() -> None:
    crops(100)
    tell(
        "dataset", folder="/nowhere", crops=98, redrawn=3, dropped=2, seconds=65.0,
        stage_seconds={}, contact_sheet="", notes=["A note"], unknown="from a later version",
    )  # fmt: skip


def run(conduct: str) -> None:
    tell("working", message="Reading the objects")
    sys.stdout.write("Blender 4.5.0 says something of its own\n")
    crops(40)
    if conduct == "finish":
        tell("crops", done=50, total=100, crops_per_second=0.0, seconds_left=float("inf"))
        finish()
    elif conduct == "fail":
        tell("failed", message="There is no room on the disk: make some")
        sys.exit(1)
    elif conduct == "crash":
        sys.stderr.write("first line\nSegmentation fault in the driver\n")
        sys.stderr.flush()
        os.kill(os.getpid(), 9)
    elif conduct == "silent":
        sys.exit(0)
    elif conduct == "unknown message":
        tell("telepathy", thought="?")
        sys.exit(0)
    elif conduct == "obey":
        sys.stdin.read()
        sys.exit(130)
    elif conduct == "stubborn":
        # A child that holds the pipes too; neither looks at its input.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    else:
        raise ValueError(conduct)


if __name__ == "__main__":
    run(sys.argv[1])
