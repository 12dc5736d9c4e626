# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a job in the preferences' Python, which may lack what it needs.

    python launch.py JOB.json

What it lacks it says by its exit code. Any Python 3 can read this file, which needs nothing.
"""

import os
import sys

TOO_OLD, ABSENT, OTHER_VERSION = 71, 72, 73
"""Exit codes: Python is older than render-adapt takes, has no render-adapt, or one without jobs."""


def main() -> None:
    """Do the job; `render_adapt.jobs` has the other exit codes."""
    # The extension's own modules, which lie beside this file, are not to be imported.
    extension_folder = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.realpath(place) != extension_folder]
    if sys.version_info < (3, 11):  # noqa: UP036 (older ones come as far as this)
        sys.exit(TOO_OLD)
    import runpy
    from importlib.util import find_spec

    if find_spec("render_adapt") is None:
        sys.exit(ABSENT)
    if find_spec("render_adapt.jobs") is None:
        sys.exit(OTHER_VERSION)
    try:
        runpy.run_module("render_adapt.jobs", run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "render_adapt":
            raise
        sys.exit(OTHER_VERSION)


if __name__ == "__main__":
    main()
