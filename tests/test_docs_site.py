"""The site of docs/: what is in it, and that it builds whole and asks no other machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented_commands import ROOT
from tests.wrong_inputs import GOLDEN

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
NAVIGATION = re.findall(r"^ +- .*: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links(page: Path) -> set[Path]:
    return {
        (page.parent / link).resolve()
        for link in LINK.findall(page.read_text())
        if not link.startswith(("http:", "https:"))
    }


@pytest.mark.parametrize("page", [*sorted(PAGES), "../README.md", "../CONTRIBUTING.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    assert {target for target in links(DOCS / page) if not target.exists()} == set()


def test_every_page_is_in_the_navigation_or_linked_from_one_that_is() -> None:
    in_navigation = PAGES & set(NAVIGATION)
    assert len(in_navigation) >= 25
    linked = {target for page in in_navigation for target in links(DOCS / page)}
    assert {page for page in PAGES - in_navigation if DOCS / page not in linked} == set()


def test_messages_with_advice_are_those_that_are_said() -> None:
    headings = re.findall(r"^### `(.*)`$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(headings) >= 15
    said = GOLDEN.read_text()
    assert [heading for heading in headings if heading not in said] == []


@pytest.mark.several_seconds
def test_the_site_builds_and_asks_no_other_machine(tmp_path: Path) -> None:
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(NAVIGATION)
    for page in pages:
        text = page.read_text()
        assert re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?(?:https?:)?//", text) == []
        assert re.findall(r"<link[^>]*\shref=\"?(?:https?:)?//", text) == []
    for style in (tmp_path / "site").rglob("*.css"):
        assert re.findall(r"url\(\"?(?:https?:)?//", style.read_text()) == []
    api = (tmp_path / "site/api/render_adapt.html").read_text()
    assert 'id="render_adapt.generate"' in api
    assert 'id="render_adapt.RunConfig"' in api
