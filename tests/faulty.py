"""`render-adapt` with a crop at which something befalls who draws it: `python -m tests.faulty`.

The process that draws crop FATAL_CROP ends; who draws crop ENDLESS_CROP makes the file REACHED and
waits for ever. They are variables of the environment. Workers import the main module too.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from render_adapt.__main__ import main
from renderer import CropBatch, Plans, RasterRenderer

_render = RasterRenderer.render


def render(self: RasterRenderer, plans: Plans, **options: bool) -> CropBatch:
    if int(os.environ.get("FATAL_CROP", -1)) in plans.index:
        os.kill(os.getpid(), signal.SIGKILL)
    if int(os.environ.get("ENDLESS_CROP", -1)) in plans.index:
        Path(os.environ["REACHED"]).touch()
        while True:
            time.sleep(60)
    return _render(self, plans, **options)


RasterRenderer.render = render

if __name__ == "__main__":
    # A shell that starts a command in the background has it ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
