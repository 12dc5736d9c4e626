"""Environments in which a package of the examples is installed, without pip."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAIN = "from render_adapt._start import main; main()"


def install(example: str, site: Path) -> dict[str, str]:
    """An environment in which an example is installed in a folder, by its own `pyproject.toml`."""
    folder = ROOT / "examples" / example
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text())
    project = pyproject["project"]
    facts = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (facts / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    for module in pyproject["tool"]["setuptools"]["py-modules"]:
        (site / f"{module}.py").write_bytes((folder / f"{module}.py").read_bytes())
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


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
