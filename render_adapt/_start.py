"""Where the command begins: what it needs takes a second to import, and may be interrupted too."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; see `render_adapt._cli.app`."""
    try:
        from render_adapt._cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("render-adapt: interrupted\n")
        sys.exit(130)
    run()
