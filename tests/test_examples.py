"""The examples and the README's Python run as they stand."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests.own_packages import MAIN, ROOT, attempt, install
from tests.own_packages import run as run_installed

PACKAGES = sorted(path.parent for path in (ROOT / "examples").rglob("pyproject.toml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TRAINS, STARTS_A_CLUSTER = "03_your_camera", "06_cluster"
LONGER = (TRAINS, STARTS_A_CLUSTER, "04_training_loop")
METADATA = """
import sys
from setuptools.build_meta import prepare_metadata_for_build_wheel
prepare_metadata_for_build_wheel(sys.argv[1])
"""


def run(code_or_file: list[str], folder: Path) -> str:
    result = subprocess.run(
        [sys.executable, *code_or_file], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path, marks=[pytest.mark.several_seconds] if path.stem in LONGER else [], id=path.stem
        )
        for path in EXAMPLES
    ],
)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    if path.stem == STARTS_A_CLUSTER:
        pytest.importorskip("ray")
    assert run([str(path)], tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"runs"}, "it writes in runs/ alone"


def test_examples_are_numbered_and_short_enough_to_read() -> None:
    first = [*EXAMPLES, ROOT / "examples/05_plug_in/height_maps.py"]
    numbers = sorted(re.findall(r"/(0\d)_", " ".join(map(str, first))))
    assert numbers == [f"0{number}" for number in range(1, len(first) + 1)]
    for path in first:
        assert len(path.read_text().splitlines()) < 60, path


@pytest.mark.several_seconds
def test_the_plug_in_reads_a_surface(tmp_path: Path) -> None:
    environment = install("05_plug_in", tmp_path / "site")
    (tmp_path / "hill.heights").write_text("0 0 0 0\n0 20 25 0\n0 15 20 0\n0 0 0 0\n")
    (tmp_path / "ragged.heights").write_text("0 0\n0\n")
    made = run_installed(
        MAIN, environment, tmp_path,
        "--objects", "hill=hill.heights", "--n", 2, "--adapter", "none", "--out", "d",
    )  # fmt: skip
    assert "2 crops" in made
    (info,) = json.loads((tmp_path / "d/models/models_info.json").read_text()).values()
    assert (info["size_x"], info["size_y"], info["size_z"]) == (30, 30, 25)
    refused = attempt(MAIN, environment, tmp_path, "--objects", "a=ragged.heights", "--n", 2)
    assert refused.returncode == 1
    assert "ragged.heights is no grid of heights: give rows of as many" in refused.stderr


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_tests_install_a_package_as_pip_would(package: Path, tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    folders = {name: tmp_path / name for name in ("source", "by_pip", "by_tests")}
    shutil.copytree(package, folders["source"], ignore=shutil.ignore_patterns("__pycache__"))
    folders["by_pip"].mkdir()
    run(["-c", METADATA, str(folders["by_pip"])], folders["source"])
    install(package.relative_to(ROOT / "examples"), folders["by_tests"])
    by_pip, by_tests = (
        Distribution.at(next(folders[name].glob("*.dist-info"))) for name in ("by_pip", "by_tests")
    )
    for one in (by_pip, by_tests):
        assert one.version == "1.0"
        assert one.entry_points
    assert by_tests.metadata["Name"] == by_pip.metadata["Name"]
    assert set(by_tests.entry_points) == set(by_pip.entry_points)
    modules = {path.stem for path in folders["by_tests"].glob("*.py")}
    assert modules == set(str(by_pip.read_text("top_level.txt")).split())


def test_python_in_the_readme_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## From Python\n\n((?:    .*\n|\n)+)", text)
    assert block is not None
    code = re.sub(r"^    ", "", block[1], flags=re.MULTILINE).replace("n=1000", "n=5")
    printed = run(["-c", f"if __name__ == '__main__':\n{indented(code)}"], tmp_path)
    sheet, *crops = printed.splitlines()
    assert (tmp_path / sheet).is_file()
    assert "".join(crops).count("(64, 64, 3)") == 5


def indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines())


def test_commands_in_the_readme_name_flags_that_exist() -> None:
    text, help_of = (ROOT / "README.md").read_text(), functools.cache(help_text)
    for command in re.findall(r"^ +render-adapt (.*)$", text, re.MULTILINE):
        first = command.split()[0]
        name = () if first.startswith("-") else (first,)
        for flag in re.findall(r"--[a-z-]+", command):
            assert flag in help_of(*name)


def help_text(*command: str) -> str:
    return run(["-m", "render_adapt", *command, "--help"], ROOT)
