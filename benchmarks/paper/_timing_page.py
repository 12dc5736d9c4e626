"""How fast training and adapting are, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter._files import make_folder, write_atomically
from benchmarks.paper._presets import PresetName
from benchmarks.paper._report import Provenance, line

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
    preset: PresetName, rows: Sequence[Mapping[str, Any]], out: Path, provenance: Provenance
) -> tuple[Path, Path]:
    """Write the page and the numbers.

    Args:
        preset: in the files' names.
        rows: as `measure` returns them.
        out: folder; made if absent.
        provenance: for the header.
    """
    make_folder(out)
    page, data = out / f"timing-{preset}.md", out / f"timing-{preset}.json"
    content = {"preset": preset, **vars(provenance), "rows": list(rows)}
    write_atomically(data, (json.dumps(content, indent=1) + "\n").encode())
    hardware = ", ".join(dict.fromkeys(str(row["hardware"]) for row in rows))
    lines = [
        "# Timing",
        "",
        f"`{provenance.command}`, {provenance.date}, commit {provenance.commit}, {hardware}. All "
        "systems take turns in one run; figures are medians over turns. The paper has one, for "
        "inference: 30 ms for a 64x64 crop on a K80.",
        "",
    ]
    for task in dict.fromkeys(row["task"] for row in rows):
        of_task = [row for row in rows if row["task"] == task]
        lines += [f"## {task.capitalize()}", "", line(list(_COLUMNS.values()))]
        lines.append(line(["---"] * len(_COLUMNS)))
        lines += [line([_text(row[key]) for key in _COLUMNS]) for row in of_task]
        lines.append("")
    write_atomically(page, "\n".join(lines).encode())
    return page, data


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
