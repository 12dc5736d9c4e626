"""Examples at the end of each command's help."""

from __future__ import annotations

_LINES = {
    "render-adapt": (
        "--objects ape,cat --n 1000 --out dataset",
        "--objects widget=part.stl --units m --n 1000 --dry-run",
        "--objects ape,cat --n 1000 --randomize strong --adapter none",
        "--config run.toml --seed 2 --out another",
    ),
    "verify": ("verify dataset", "verify dataset --repair"),
    "merge": ("merge first second --out both",),
    "report": ("report dataset", "report dataset --target camera_crops/"),
    "train": (
        "train --objects widget=part.stl --target camera_crops/ --out my_adapter --dry-run",
        "train --objects widget=part.stl --target camera_crops/ --out my_adapter",
        "train --preset best --objects ape --target aligned --out my_adapter",
    ),
    "calibrate": ("calibrate --adapter my_adapter --objects ape,cat",),
    "align": ("align --objects widget=part.stl --target camera_crops/ --out aligned",),
    "reproduce": ("reproduce table1 --preset smoke", "reproduce table2 --max-minutes 60"),
}

EXAMPLES: dict[str, str] = {
    command: "\n".join(["Examples:", *(f"    render-adapt {line}" for line in lines)])
    for command, lines in _LINES.items()
}
"""By command."""
