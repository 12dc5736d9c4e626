"""What is installed: all of the packages, which need nothing else of the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [
    pattern.removesuffix("*")
    for pattern in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
]
BESIDE = ("benchmarks", "blender_addon", "tests", "examples")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the source distribution of a copy of the tree, which builds leave files in."""
    folder = tmp_path_factory.mktemp("built")
    for name in (*PACKAGES, *BESIDE):
        compiled = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "tree" / name, ignore=compiled)
    for name in ("pyproject.toml", PYPROJECT["project"]["readme"], "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    source = build("sdist", folder / "tree", folder)
    with tarfile.open(source) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (tree,) = (folder / "unpacked").iterdir()
    return build("wheel", tree, folder)


def build(kind: str, tree: Path, out: Path) -> Path:
    """A distribution of a tree, by its own build system, without the network."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob({"sdist": "*.tar.gz", "wheel": "*.whl"}[kind])
    return built


def test_a_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    there = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == there


INSTALLED = """
import importlib, pkgutil, sys
for beside in ("benchmarks", "tests"):
    sys.modules[beside] = None  # importing it fails
path = list(sys.path)
import render_adapt._paper
for module in pkgutil.walk_packages(render_adapt._paper.__path__, "render_adapt._paper."):
    importlib.import_module(module.name)
from render_adapt._start import main
try:
    main()
finally:
    assert sys.path == path
    print(render_adapt._paper.__file__)
"""


@pytest.mark.several_seconds
def test_an_installed_wheel_reproduces_tables(wheel: Path, tmp_path: Path) -> None:
    """In a folder that knows nothing of the repository; of no time, so that nothing is trained."""
    installed, folder = tmp_path / "installed", tmp_path / "elsewhere"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    arguments = ("reproduce", "table1", "--preset", "smoke", "--max-minutes", "1e-9")
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED, *arguments],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(installed / "render_adapt/_paper/__init__.py")
    results = folder / "benchmarks/results/paper"
    assert (results / "table1-smoke.md").is_file()
    table = json.loads((results / "table1-smoke.json").read_text())
    assert {row["status"] for row in table["rows"]} == {"not run yet"}
    assert table["commit"] == f"v{PYPROJECT['project']['version']}"
