"""What is said in several places is the same in all."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App

ROOT = Path(__file__).resolve().parents[1]


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {project['version']}\n" in cited
    assert f"\nlicense: {project['license']}\n" in cited
    assert f"\ntitle: {project['name']}\n" in cited
    released = re.findall(r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0][0] == project["version"]
    assert f"\ndate-released: {released[0][1]}\n" in cited


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


def test_commands_that_are_imported_later_say_what_their_docstrings_say() -> None:
    commands = importlib.import_module("render_adapt._cli.later").COMMANDS
    for name, (place, words) in commands.items():
        module, _, function = place.partition(":")
        command = getattr(importlib.import_module(f"render_adapt._cli.{module}"), function)
        said = command.help if isinstance(command, App) else inspect.getdoc(command)
        description = re.sub(r"(?<!\n)\n(?!\n)", " ", said.partition("\n\nParameters\n")[0])
        assert words == description, name


INSIDE = {
    "emulated_gpu.py": "what tests of the CUDA engine need of its inside",
    "windows_locks.py": "what tests of locks need of Windows'",
    "painted.py": "what a network of align gives",
    "test_align_parts.py": "what align finds poses with, by hand",
    "test_align_training.py": "what align's network learns from",
    "test_backgrounds_filled.py": "what is put in objects' place, which a run shows in parts alone",
    "test_best.py": "pairs of renders and crops, which a training takes in",
    "test_blender.py": "the wire to Blender, and what it writes",
    "test_camera_effects.py": "the camera's kernels, against formulas",
    "test_cuda.py": "trainings' steps on a GPU, without a synchronisation",
    "test_documented_commands.py": "what parses a command line, without giving the command",
    "test_fidelity.py": "the judge's faults, one by one",
    "test_fidelity_parts.py": "what the judge compares, by hand",
    "test_fit.py": "what makes a run's dataset one that might be aligned",
    "test_fuzz_gltf.py": "any accessor of glTF, alone",
    "test_fuzz_settings.py": "files that other checks would refuse before their reader sees them",
    "test_judge_training.py": "how the judge was trained: it comes with the package",
    "test_layered.py": "what a generator sees and how it joins layers, against another library",
    "test_levels.py": "levels of detail, against the meshes that they stand for",
    "test_linemod_cut.py": "the paper's data",
    "test_paper_cache.py": "the paper's crops on disk",
    "test_paper_digits.py": "the paper's data",
    "test_paper_experiments.py": "the paper's trainings, in pieces",
    "test_paper_figures.py": "the paper's figures, pixel by pixel",
    "test_paper_linemod.py": "the paper's data",
    "test_paper_subsets.py": "the paper's data",
    "test_parquet.py": "any Parquet file, which an index need not be",
    "test_permutation.py": "what the paper's tables count, against brute force",
    "test_raster_kernels.py": "a kernel, against another library, and how often one is compiled",
    "test_ray.py": "what a machine of a cluster refuses, without one",
    "test_repair.py": "moves of a commit, broken off one by one",
    "test_report.py": "the report's outlines and cells, by hand",
    "test_reproduce.py": "the paper's tables, from trainings that are made up",
    "test_together.py": "poses that are made to agree, from planted ones",
    "test_textures.py": "drawn patterns that only a board shows",
    "test_timing.py": "the paper's timings, on a clock that is made up",
    "test_training_parts.py": "parts of a training that take it hours to show",
}
"""Files of tests that import what no package publishes, and what of it they look at."""


def test_tests_use_what_is_published() -> None:
    """A file that is not on the list says a name's value, or calls the command or a function.

    `tests/test_public_surface.py` has what is published.
    """
    inside = {
        file.name
        for file in (ROOT / "tests").rglob("*.py")
        if any(map(_is_private, _imported(ast.parse(file.read_text(encoding="utf-8")))))
    }
    assert inside == INSIDE.keys()


OURS = {
    "adapter", "benchmarks", "blender_addon", "cad_models", "checked_settings", "plug_ins",
    "render_adapt", "renderer", "safe_files",
}  # fmt: skip


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_private(name: str) -> bool:
    package, *parts = name.split(".")
    return package in OURS and any(re.match(r"_(?!_)", part) for part in parts)


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
