"""Where the command begins: what it needs takes a second to import, and may be interrupted too."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable

from render_adapt._own_packages import HiddenPackageError, refuse_hidden


def main() -> None:
    """Run the command line; see `render_adapt._cli.app`."""
    try:
        refuse_hidden()
        run = _command_line()
    except KeyboardInterrupt:
        sys.stderr.write("render-adapt: interrupted\n")
        sys.exit(130)
    except HiddenPackageError as error:
        sys.exit(f"render-adapt: {error}")
    run()


@functools.cache
def _command_line() -> Callable[[], None]:
    """What is imported once, and stays.

    Looking for garbage in it again and again takes a sixth of a short command.
    """
    gc.disable()
    from render_adapt._cli.app import main as run

    gc.freeze()
    gc.enable()
    return run
