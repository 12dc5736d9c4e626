"""The command line, in this process."""

from __future__ import annotations

import sys
from unittest.mock import patch

from render_adapt.__main__ import main


def run_command(*arguments: object) -> None:
    """Run `render-adapt ARGUMENTS`; it may end with `SystemExit`."""
    with patch.object(sys, "argv", ["render-adapt", *map(str, arguments)]):
        main()
