"""What all pages have: where their figures are from, lines of tables, and a file for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from render_adapt._paper.files import make_folder, write


@dataclasses.dataclass(frozen=True)
class PageOrigin:
    """Where and when a page was written."""

    command: str
    date: str
    commit: str


def markdown_line(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def write_page(
    out: Path, name: str, markdown: str, content: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Write a page for people and the same for programs.

    Args:
        out: folder; made if absent.
        name: of both files, without their endings.
        markdown: the page.
        content: what the JSON file holds.

    Returns:
        The Markdown and the JSON file.

    Raises:
        DatasetError: they cannot be written.
    """
    make_folder(out)
    page, data = out / f"{name}.md", out / f"{name}.json"
    write(data, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write(page, markdown)
    return page, data
