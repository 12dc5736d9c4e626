"""Where the command begins: what it needs takes a second to import, and may be interrupted too."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; see `render_adapt._cli`."""
    try:
        from render_adapt import _cli
    except KeyboardInterrupt:
        sys.stderr.write("render-adapt: interrupted\n")
        sys.exit(130)
    _cli.main()
