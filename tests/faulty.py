"""`render-adapt` with a crop that ends every process that draws it: `python -m tests.faulty`.

The crop's number is in the environment variable FATAL_CROP. Workers import the main module too.
"""

from __future__ import annotations

import os
import signal

from render_adapt._cli.app import main
from render_adapt._runs.studio import Studio
from renderer import CropBatch

_render = Studio.render


def render(self: Studio, start: int, stop: int) -> CropBatch:
    if start <= int(os.environ["FATAL_CROP"]) < stop:
        os.kill(os.getpid(), signal.SIGKILL)
    return _render(self, start, stop)


Studio.render = render

if __name__ == "__main__":
    main()
