# SPDX-License-Identifier: GPL-3.0-or-later
"""Works on a job in a Blender without a window, or in a Python that has bpy.

blender --background --python worker.py -- PACKAGES JOB.json, or -- PACKAGES --report DATASET
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path


def main() -> None:
    """Work on what the command line says."""
    packages, *work = sys.argv[sys.argv.index("--") + 1 :]
    if packages not in sys.path:
        sys.path.insert(0, packages)
    if work[0] == "--report":
        _report(Path(work[1]))
    else:
        from render_adapt.jobs import main as do_job

        do_job(work[0])


def _report(dataset: Path) -> None:
    """Write a dataset's report; that it ends well says that the report is there."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    from render_adapt import RenderAdaptError, write_report
    from render_adapt.jobs import Failed, Working, encode_message

    sys.stdout.write(encode_message(Working("Writing the report")) + "\n")
    sys.stdout.flush()
    code = 0
    try:
        write_report(dataset)
    except RenderAdaptError as error:
        sys.stdout.write(encode_message(Failed(str(error))) + "\n")
        code = 1
    sys.stdout.flush()
    # An interpreter that has loaded bpy may hang or crash on its regular way out.
    os._exit(code)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


main()
