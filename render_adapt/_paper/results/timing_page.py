"""How fast training and adapting are, as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from render_adapt._paper.results.page import PageOrigin, markdown_line, write_page
from render_adapt._paper.training.presets import PresetName

_COLUMNS = {
    "what": "system",
    "batch": "batch",
    "size": "pixels",
    "precision": "arithmetic",
    "device": "device",
    "threads": "threads",
    "steps_per_second": "steps/s",
    "slowest_turn": "slowest turn",
    "fastest_turn": "fastest turn",
    "crops_per_second": "crops/s",
    "milliseconds_per_crop": "ms/crop",
}


def write_timing(
    preset: PresetName, rows: Sequence[Mapping[str, Any]], out: Path, origin: PageOrigin
) -> tuple[Path, Path]:
    """Write the page and the numbers.

    Args:
        preset: in the files' names.
        rows: as `measure` returns them.
        out: folder; made if absent.
        origin: for the header.
    """
    content = {"preset": preset, **vars(origin), "rows": list(rows)}
    hardware = ", ".join(dict.fromkeys(str(row["hardware"]) for row in rows))
    lines = [
        "# Timing",
        "",
        f"`{origin.command}`, {origin.date}, commit {origin.commit}, {hardware}. All "
        "systems take turns in one run; figures are medians over turns. The paper has one, for "
        "inference: 30 ms for a 64x64 crop on a K80.",
        "",
    ]
    for task in dict.fromkeys(row["task"] for row in rows):
        of_task = [row for row in rows if row["task"] == task]
        lines += [f"## {task.capitalize()}", "", markdown_line(list(_COLUMNS.values()))]
        lines.append(markdown_line(["---"] * len(_COLUMNS)))
        lines += [markdown_line([_text(row[key]) for key in _COLUMNS]) for row in of_task]
        lines.append("")
    return write_page(out, f"timing-{preset}", "\n".join(lines), content)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
