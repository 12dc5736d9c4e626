"""Every command that README and docs show is one that there is, and most of them are given."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trimesh
from trimesh.proximity import closest_point_naive

from render_adapt import PRESETS, RunConfig
from render_adapt._cli.app import app
from render_adapt._cli.settings import given_settings
from tests.command import run_command
from tests.documented_commands import (
    PAGES,
    ROOT,
    Command,
    documented_commands,
    make_readers_folder,
)

COMMANDS = documented_commands()
OURS = [command for command in COMMANDS if command.words[0] == "render-adapt"]
ELSEWHERE = {
    "npz": "wants an example's package installed: tests/test_own_format.py gives it",
    "rays": "wants an example's package installed: tests/test_own_engine.py gives it",
    "bracket.mesh": "wants an example's package installed: tests/test_own_source.py gives it",
    "grain": "wants an example's package installed: tests/test_own_adapter.py gives it",
}
"""By a part of one of its words: why a command is not even parsed here, and where it is given."""
NOT_GIVEN = {
    "s3://": "wants a bucket: tests/test_stores.py has a server that speaks S3",
    "ray": "wants a cluster: tests/test_ray.py",
    "blender": "wants Blender: tests/test_blender.py",
    "part.3mf": "wants files from a CAD program: tests/test_three_mf.py and beside it",
    "align": "trains for minutes: tests/test_align.py",
    "fit": "wants aligned crops: tests/test_fit.py",
    "best": "wants aligned crops: tests/test_best.py",
    "reproduce": "trains for minutes on the paper's data: tests/test_reproduce.py",
    "calibrate": "judges a thousand crops: tests/test_cli.py",
    "doctor": "looks at the whole machine: tests/test_doctor.py",
    "cuda": "wants a GPU: tests/test_renderer_cuda.py",
    "merge": "wants three datasets: tests/test_merge.py",
    "train:0.9": "wants crops enough for all splits: tests/test_splits.py",
    "0f3c": "wants the hash that a run printed: tests/test_cli.py",
}
"""By a part of one of its words: why a command's settings are checked and it is not given."""


def why_not(command: Command, reasons: dict[str, str]) -> str | None:
    return next(
        (why for part, why in reasons.items() if any(part in word for word in command.words)), None
    )


PARSED = [command for command in OURS if why_not(command, ELSEWHERE) is None]
GIVEN = [command for command in PARSED if why_not(command, NOT_GIVEN) is None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_readers_folder(tmp_path_factory.mktemp("reader") / "folder")


def test_there_is_a_command_on_most_pages_and_most_are_given() -> None:
    assert len({command.page for command in OURS}) >= 12
    assert len(PARSED) >= 0.9 * len(OURS)
    assert len(GIVEN) >= 0.5 * len(OURS)


@pytest.mark.parametrize("command", PARSED, ids=str)
def test_its_options_and_settings_are_allowed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("")
    _, bound, _ = app.parse_args(list(command.words[1:]), exit_on_error=False, print_error=False)
    settings = given_settings(bound.arguments.get("settings"))
    if command.words[1].startswith("--") and "config" not in bound.arguments:
        preset = PRESETS[bound.arguments.get("preset") or "default"]
        assert RunConfig(**{**preset, **settings}).n


@pytest.mark.several_seconds
@pytest.mark.parametrize("command", GIVEN, ids=str)
def test_it_does_what_it_says(
    command: Command,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for entry in folder.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_command(*made_short(command.words[1:]))
    assert not end.value.code, capsys.readouterr().err


def made_short(words: tuple[str, ...]) -> list[str]:
    """The same for two crops, in a folder of its own; a training stops before it trains."""
    if words[0] == "verify":
        return [word for word in words if word != "--repair"]
    if words[0] == "train":
        return [*words, *(() if "--dry-run" in words else ("--dry-run",))]
    short = [*words, "--n", "2", "--workers", "1"] if words[0].startswith("--") else list(words)
    for option in ("--n", "--out"):
        if words.count(option):
            place = short.index(option)
            del short[place : place + 2]
    writes = words[0].startswith("--") or words[0] in ("report", "adapt", "crop", "crop-target")
    return [*short, *(("--out", "made_short") if writes else ())]


def test_targets_of_make_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {command.words[1] for command in COMMANDS if command.words[0] == "make"}
    assert {"demo", "test", "addon"} <= named <= targets


def test_extras_and_packages_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = [
        word for command in COMMANDS if command.words[0] == "pip" for word in command.words
    ]
    extras = re.findall(r"render-adapt\[([a-z0-9,]+)\]", " ".join(installed))
    assert {"paper", "s3"} <= set(extras)
    assert set(",".join(extras).split(",")) <= set(project["optional-dependencies"])
    for word in installed:
        assert not word.startswith("examples/") or (ROOT / word / "pyproject.toml").is_file(), word


def test_modules_and_files_of_python_that_there_are() -> None:
    modules = {
        command.words[2].replace(".", "/")
        for command in COMMANDS
        if command.words[:2] == ("python", "-m")
    }
    ours = {module for module in modules if (ROOT / module.split("/")[0]).is_dir()}
    assert {"benchmarks/bop_toolkit_check", "tests/fuzz"} <= ours
    scripts = {word for command in COMMANDS for word in command.words if word.endswith(".py")}
    files = {f"{module}.py" for module in ours if not (ROOT / module).is_dir()}
    for file in files | {script for script in scripts if script.startswith("examples/")}:
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_names_what_there_is(page: Path) -> None:
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module and is_ours(node.module):
                module = importlib.import_module(node.module)
                assert {alias.name for alias in node.names} <= set(dir(module))
            if isinstance(node, ast.Attribute) and is_ours(getattr(node.value, "id", "")):
                part = f"{node.value.id}.{node.attr}"
                is_module = importlib.util.find_spec(part) is not None
                assert is_module or hasattr(importlib.import_module(node.value.id), node.attr), part


def test_a_pixel_and_its_depth_are_the_point_that_conventions_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of exact depth: within the step that it is written in, on the model's own surface."""
    page = (ROOT / "docs/conventions.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(code, found)
    surface = trimesh.load_mesh("dataset/models/obj_000001.ply")
    _, distances, _ = closest_point_naive(surface, found["in_model"].T[::20])
    assert len(distances) > 10
    assert distances.max() < 0.1


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("render_adapt", "renderer", "cad_models", "adapter")
