"""What is said in several places is the same in all."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {project['version']}\n" in cited
    assert f"\nlicense: {project['license']}\n" in cited
    assert f"\ntitle: {project['name']}\n" in cited


def test_what_is_pinned_is_within_what_is_asked_for() -> None:
    """Every package that the project asks for has a version in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["train"], *extras["paper"], *extras["test"]]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    known = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    names = {re.split(r"[<>=!~\[ ]", entry)[0] for entry in asked}
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in names} - known == set()


def test_workflows_run_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    workflows = [file.read_text() for file in (ROOT / ".github/workflows").glob("*.yml")]
    run = {target for text in workflows for target in re.findall(r"\bmake ([a-z-]+)", text)}
    assert {"setup", "check", "test-all", "addon"} <= run <= targets


def test_every_change_passes_all_tests_but_the_slow_ones() -> None:
    """`make test` leaves out more; what checks a change must not."""
    pytest_runs = re.search(r"^test-all:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert pytest_runs is not None
    assert pytest_runs[1] == "\t$(PYTEST)\n"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["addopts"].endswith("-m 'not slow'")
    for file in (".ci/run", ".github/workflows/checks.yml"):
        assert re.findall(r"\btest[a-z-]*\b", (ROOT / file).read_text()) == ["test-all"]


def test_each_python_that_is_promised_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/checks.yml").read_text())
    assert matrix is not None
    assert re.findall(r'"(.*?)"', matrix.group(1)) == promised
    assert project["requires-python"] == f">={promised[0]}"


def test_imports_are_absolute() -> None:
    """But for the extension's, whose package Blender gives a name of its own choice."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    folders = {*settings["packages"], "benchmarks", "examples", "tests"} - {"blender_addon"}
    assert {"safe_files", "adapter", "render_adapt"} <= folders
    texts = {file: file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py")}
    relative = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, text in texts.items()
        if re.search(r"\bfrom\s*\.", text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []
