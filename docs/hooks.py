"""What makes a site of these pages: files beside docs/ that they link to are taken into it."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_TABLES = ROOT / "benchmarks/results"
_SHIPPED = ROOT / "adapter/shipped"
_INDEX = "README.md"


def _published() -> dict[Path, str]:
    """Pages and files from beside docs/, by where they are in the checkout: their place here."""
    pages = {path: f"results/{path.relative_to(_TABLES)}" for path in _TABLES.rglob("*.md")}
    pages[_TABLES / _INDEX] = "results/index.md"
    pages |= {card: f"cards/{card.parent.name}.md" for card in _SHIPPED.glob("*/MODEL_CARD.md")}
    pages[ROOT / "CHANGELOG.md"] = "changelog.md"
    examples = [*(ROOT / "examples").rglob("*.py"), *(ROOT / "examples").rglob("*.diff")]
    files = [*examples, *_TABLES.rglob("*.json"), ROOT / "tests/golden/wrong_inputs.txt"]
    # Text, since a browser would offer a .py to be saved.
    return pages | {path: f"source/{path.relative_to(ROOT)}.txt" for path in files}


PUBLISHED = _published()
_ORIGINAL = {place: path for path, place in PUBLISHED.items()}


def on_files(files: Any, config: Any) -> Any:
    """Add them to the site."""
    for path, place in PUBLISHED.items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Have links lead to where a file is in the site; what is not there is left as its name."""
    place = page.file.src_uri
    original = _ORIGINAL.get(place, DOCS / place)

    def led(match: re.Match[str]) -> str:
        text, link = match.groups()
        target, _, anchor = link.partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = (original.parent / target).resolve()
        path = path / _INDEX if (path / _INDEX) in PUBLISHED else path
        if path.is_relative_to(DOCS) and path not in PUBLISHED:
            there = path.relative_to(DOCS).as_posix()
        elif path in PUBLISHED:
            there = PUBLISHED[path]
        else:
            return text
        relative = os.path.relpath(there, PurePosixPath(place).parent.as_posix() or ".")
        return f"[{text}]({relative}{'#' + anchor if anchor else ''})"

    def shown(match: re.Match[str]) -> str:
        # Those of tables show real crops and digits, which are not ours to publish.
        return match[0] if original.is_relative_to(DOCS) else f"*{match[1]}*"

    return _LINK.sub(led, _PICTURE.sub(shown, markdown))
