"""`render-adapt` with a crop at which something befalls who draws it: `python -m tests.faulty`.

The process that draws crop FATAL_CROP ends; who draws crop ENDLESS_CROP makes the file REACHED and
waits for ever. They are variables of the environment. Workers import the main module too.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from render_adapt._cli.app import main
from render_adapt._runs.studio import Studio
from renderer import CropBatch

_render = Studio.render


def render(self: Studio, start: int, stop: int) -> CropBatch:
    if start <= int(os.environ.get("FATAL_CROP", -1)) < stop:
        os.kill(os.getpid(), signal.SIGKILL)
    if start <= int(os.environ.get("ENDLESS_CROP", -1)) < stop:
        Path(os.environ["REACHED"]).touch()
        while True:
            time.sleep(60)
    return _render(self, start, stop)


Studio.render = render

if __name__ == "__main__":
    main()
