"""The extension's start of a job in another Python: it says by its exit code what that lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parents[1] / "blender_addon" / "launch.py"
TOO_OLD, ABSENT, OTHER_VERSION = 71, 72, 73


def launched(packages: Path, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """The launcher in a Python that has no packages but those in a folder."""
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(packages)!r}); {before};"
        f"sys.argv = [{str(LAUNCHER)!r}, 'job.json'];"
        f"sys.path.insert(0, {str(LAUNCHER.parent)!r});"
        f"runpy.run_path({str(LAUNCHER)!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, cwd=packages
    )


def package_of(folder: Path, jobs: str | None) -> Path:
    (folder / "render_adapt").mkdir()
    (folder / "render_adapt/__init__.py").write_text("")
    if jobs is not None:
        (folder / "render_adapt/jobs.py").write_text(jobs)
    return folder


def test_a_python_without_the_package(tmp_path: Path) -> None:
    assert launched(tmp_path).returncode == ABSENT


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    package_of(tmp_path, "")
    assert launched(tmp_path, "sys.version_info = (3, 10, 1)").returncode == TOO_OLD


@pytest.mark.parametrize(
    "jobs", [None, "import render_adapt._gone", "from render_adapt._gone.deep import thing"]
)
def test_a_package_of_another_version(tmp_path: Path, jobs: str | None) -> None:
    assert launched(package_of(tmp_path, jobs)).returncode == OTHER_VERSION


def test_a_job_is_done_as_the_module_itself_does_it(tmp_path: Path) -> None:
    """With its arguments and exit code; nothing beside the launcher can be imported."""
    jobs = (
        "import importlib.util, sys\n"
        "print(__name__, sys.argv[1:], importlib.util.find_spec('messages'))\n"
        "sys.exit(3)\n"
    )
    result = launched(package_of(tmp_path, jobs))
    assert (result.stdout.strip(), result.returncode) == ("__main__ ['job.json'] None", 3)


def test_another_package_that_is_missing_is_no_other_version(tmp_path: Path) -> None:
    result = launched(package_of(tmp_path, "import numpie"))
    assert result.returncode == 1
    assert "No module named 'numpie'" in result.stderr
