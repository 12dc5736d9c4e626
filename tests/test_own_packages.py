"""Files and folders that are named as our packages, in the directory where Python is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from render_adapt import RunConfig, WrongValue, load
from render_adapt.jobs import Checked, Job, decode_message, write_job
from tests.command import run_command

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = [pattern.removesuffix("*") for pattern in SETUPTOOLS["packages"]["find"]["include"]]
IMPORTED = ["adapter", "cad_models", "checked_settings", "plug_ins", "renderer", "safe_files"]
"""By `render_adapt`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where somebody works who has modules and folders of all these names."""
    folder = tmp_path / "working directory"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        if name != "render_adapt":
            (folder / f"{name}.py").write_text(f"raise RuntimeError('{name}.py was imported')\n")
    return folder


def python(folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python, for which our packages are on the path as a site's packages are."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_every_package_is_among_them() -> None:
    assert sorted(PACKAGES) == sorted([*IMPORTED, "render_adapt"])


def test_folders_of_their_names_hide_nothing(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
    code = "import render_adapt.jobs, sys; print(*(sys.modules[n].__file__ for n in sys.argv[1:]))"
    done = python(tmp_path, "-c", code, *IMPORTED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(ROOT / name / "__init__.py") for name in IMPORTED]


def test_nor_for_an_editable_install(tmp_path: Path) -> None:
    tree, built, site, work = (tmp_path / name for name in ("tree", "built", "site", "work"))
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.onnx", "*.safetensors")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        (work / name).mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    built.mkdir()
    build = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    made = python(tree, "-c", build, built)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    # Started without site, Python reads no .pth of an editable install of this checkout, which
    # would come first.
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    code = (
        f"import site, sys; site.addsitedir({str(site)!r}); sys.path += {libraries!r}; "
        "import render_adapt.jobs, adapter; print(render_adapt.__file__, adapter.__file__)"
    )
    done = python(work, "-S", "-c", code, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        str(tree / "render_adapt/__init__.py"), str(tree / "adapter/__init__.py"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", IMPORTED)
def test_a_module_of_such_a_name_is_named_in_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").touch()
    sentence = (
        f"{tmp_path.resolve() / name}.py is found in place of render-adapt's own package {name}: "
        "rename it, or start Python elsewhere, or with -P"
    )
    done = python(tmp_path, "-c", "import render_adapt")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f": {sentence}")
    assert python(tmp_path, "-P", "-c", "import render_adapt").returncode == 0
    done = python(tmp_path, "-m", "render_adapt", "--version", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (done.returncode, done.stderr) == (1, f"render-adapt: {sentence}\n")


@pytest.mark.several_seconds
def test_the_command_line_does_its_work_beside_them(folder: Path) -> None:
    run = ("--objects", "ape", "--n", 260, "--adapter", "none", "--workers", 2)
    done = python(folder, "-m", "render_adapt", *run, "--out", "dataset")
    assert done.returncode == 0, done.stderr
    assert len(load(folder / "dataset")) == 260


def test_jobs_do_theirs(folder: Path, tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", Job("check"))
    started = subprocess.Popen(
        [sys.executable, "-m", "render_adapt.jobs", str(tmp_path / "job.json")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None
    with started:
        assert isinstance(decode_message(started.stdout.readline()), Checked)


@pytest.mark.several_seconds
def test_engines_are_tried_without_them(folder: Path) -> None:
    code = "from renderer import check_engine; print(check_engine('raster'))"
    done = python(folder, "-P", "-c", code)
    assert "works=True" in done.stdout, done.stdout + done.stderr


def test_workers_of_ray_look_there_last(folder: Path) -> None:
    """Ray puts the directory that a run was started in before all others."""
    code = (
        "import sys; sys.argv[0] = '/ray/default_worker.py'; import render_adapt.jobs, renderer; "
        "import module_of_the_user; print(renderer.__file__)"
    )
    (folder / "module_of_the_user.py").touch()
    done = python(folder, "-c", code)
    assert done.stdout.strip() == str(ROOT / "renderer/__init__.py"), done.stderr


def test_a_checkout_runs_where_it_is(tmp_path: Path) -> None:
    """With nothing installed: then the packages are in the working directory."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / name / "__init__.py", tmp_path / name)
    for name in ("__main__.py", "_own_packages.py"):
        shutil.copy(ROOT / "render_adapt" / name, tmp_path / "render_adapt")
    main = "def main():\n    import plug_ins\n\n    print(plug_ins.__file__)\n"
    (tmp_path / "render_adapt/_start.py").write_text(main)
    (tmp_path / "plug_ins/__init__.py").write_text("")
    done = python(tmp_path, "-m", "render_adapt", PYTHONPATH="")
    assert done.stdout.strip() == str(tmp_path / "plug_ins/__init__.py"), done.stderr


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize(
    "command",
    [
        "--objects ape --n 1 --out",
        "train --objects ape --target crops --out",
        "align --objects ape --target crops --out",
        "crop-target --frames frames --out",
        "adapt dataset --out",
        "crop dataset --out",
        "merge one other --out",
    ],
    ids=lambda command: command.partition(" ")[0],
)
def test_no_command_makes_a_folder_of_such_a_name(
    command: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(*command.split(), name)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"render-adapt: --out is {name}: it must be another name, for Python may take a folder "
        f"{name} here for render-adapt's own package\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_elsewhere_they_may_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RunConfig(objects=("ape",), n=1, out=tmp_path / "renderer").out.name == "renderer"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongValue, match="renderer here for render-adapt's own package"):
        RunConfig(objects=("ape",), n=1, out=tmp_path / "renderer")
