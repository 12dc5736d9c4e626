"""What is installed: all of the packages, which need nothing else of the repository."""

from __future__ import annotations

import email
import json
import os
import re
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


def files_of_the_repository() -> list[str]:
    """As git has them, those that are not committed yet too; without git all that is there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    made = {"PKG-INFO", "setup.cfg"}
    files = (file.relative_to(ROOT) for file in ROOT.rglob("*") if file.is_file())
    return [
        file.as_posix()
        for file in files
        if file.as_posix() not in made
        and not any(part.endswith(("cache", "cache__", ".egg-info")) for part in file.parts)
    ]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of a copy of the tree, which builds leave files in."""
    folder = tmp_path_factory.mktemp("built")
    for name in files_of_the_repository():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "tree" / name)
    with tarfile.open(build("sdist", folder / "tree", folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (tree,) = (folder / "unpacked").iterdir()
    return tree


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the source distribution."""
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


def build(kind: str, tree: Path, out: Path) -> Path:
    """A distribution of a tree, by its own build system, without the network."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob({"sdist": "*.tar.gz", "wheel": "*.whl"}[kind])
    return built


def test_the_source_distribution_is_the_whole_repository(unpacked: Path) -> None:
    there = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*")}
    missing = set(files_of_the_repository()) - there
    assert missing == set()


def test_the_long_description_leads_to_what_there_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    home = PYPROJECT["project"]["urls"]["Repository"]
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", str(metadata.get_payload()))
    assert len(links) > 20
    for picture, link in links:
        if link.startswith(home):
            kind, head, path = link.removeprefix(f"{home}/").split("/", 2)
            assert (kind, head) == ("raw" if picture else "blob", "HEAD")
            assert (ROOT / path.partition("#")[0]).exists(), link
        else:
            assert link.startswith(("https://", "#")), link


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
