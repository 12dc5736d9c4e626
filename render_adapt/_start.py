"""Where the command begins: what it needs takes a second to import, and may be interrupted too."""

from __future__ import annotations

import sys

from render_adapt._own_packages import HiddenPackageError, refuse_hidden


def main() -> None:
    """Run the command line; see `render_adapt._cli.app`."""
    try:
        refuse_hidden()
        from render_adapt._cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("render-adapt: interrupted\n")
        sys.exit(130)
    except HiddenPackageError as error:
        sys.exit(f"render-adapt: {error}")
    run()
