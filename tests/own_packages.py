"""Environments in which a package of the examples is installed, without pip."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAIN = "from render_adapt._start import main; main()"


def install(example: str | Path, site: Path) -> dict[str, str]:
    """An environment in which an example is installed in a folder, by its own `pyproject.toml`.

    Args:
        example: its folder in examples/.
        site: where to; the tests' own modules are there too.
    """
    folder = ROOT / "examples" / example
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text())
    register(site, pyproject["project"]["name"], pyproject["project"]["entry-points"])
    for module in pyproject["tool"]["setuptools"]["py-modules"]:
        (site / f"{module}.py").write_bytes((folder / f"{module}.py").read_bytes())
    paths = [str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def register(site: Path, package: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """What pip leaves of a package in a folder, but for its modules.

    Args:
        site: the folder.
        package: its name.
        points: its entry points by group.
    """
    facts = site / f"{package.replace('-', '_')}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, named in points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in named.items())]
    (facts / "entry_points.txt").write_text("\n".join([*lines, ""]))


def attempt(
    code: str, environment: dict[str, str], folder: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    """Python with such an environment."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def run(code: str, environment: dict[str, str], folder: Path, *arguments: object) -> str:
    """What Python prints that must end well."""
    done = attempt(code, environment, folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
