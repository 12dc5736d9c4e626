"""Where the command line prints."""

from __future__ import annotations

from rich.console import Console

output = Console(highlight=False, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)
