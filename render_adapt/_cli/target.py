"""What is said of a target before anything is learnt from it."""

from __future__ import annotations

from render_adapt._cli.consoles import output
from render_adapt._cli.settings import in_flags
from render_adapt._printable import printable
from render_adapt._train import FoundTarget


def print_target(target: FoundTarget) -> None:
    """Print what its folder was taken for, and where its picture is."""
    for line in target.report.lines():
        output.print(in_flags(f"target: {line}"), soft_wrap=True)
    sheet = printable(str(target.contact_sheet))
    output.print(f"target: picture {sheet}", soft_wrap=True)
