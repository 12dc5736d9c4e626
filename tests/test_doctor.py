"""`render-adapt doctor`: each part is found, and what is broken is told of in a sentence."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import NamedTuple

import onnxruntime
import pytest
import torch

from renderer import ENGINES, EngineCheck
from tests.command import run_command

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, EngineCheck]:
    """What the engines' own checks say; those are tested with the engines."""
    checks = {name: EngineCheck(name, True, f"{name} on something") for name in ENGINES}
    monkeypatch.setattr("render_adapt._cli.doctor.check_engine", checks.__getitem__)
    return checks


class Finding(NamedTuple):
    use: str
    mark: str
    found: str


def printed(capsys: pytest.CaptureFixture[str], columns: int) -> tuple[str, int]:
    """What `doctor` prints on a terminal, and its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._cli.consoles.output.width", columns)
        with pytest.raises(SystemExit) as end:
            run_command("doctor")
    return capsys.readouterr().out, int(end.value.code or 0)


def examine(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Finding], int]:
    """What `doctor` prints, by part, and its exit code."""
    text, code = printed(capsys, 400)
    head, *rows = text.splitlines()
    assert head.split() == ["part", "is", "for", "found"]
    findings = {}
    for row in rows:
        part, use, mark, found = re.split(r"\s{2,}", row.strip(), maxsplit=3)
        findings[part] = Finding(use, mark, found)
    return findings, code


def test_this_machine_is_found_as_it_is(
    engines: dict[str, EngineCheck], capsys: pytest.CaptureFixture[str]
) -> None:
    findings, code = examine(capsys)
    assert list(findings) == [*ENGINES, "onnxruntime", "torch", "CUDA"]
    assert findings["raster"].found == "raster on something"
    assert findings["onnxruntime"].found.startswith(f"{onnxruntime.__version__}, on ")
    assert "CPU" in findings["onnxruntime"].found
    assert findings["torch"] == Finding("training", "works", torch.__version__)
    assert (findings["CUDA"].mark == "works") == torch.cuda.is_available()
    assert code == 0


def test_parts_are_looked_at_side_by_side(
    engines: dict[str, EngineCheck],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each check of an engine waits until all are under way."""
    all_under_way = threading.Barrier(len(ENGINES))

    def check(name: str) -> EngineCheck:
        all_under_way.wait(timeout=600)
        return engines[name]

    monkeypatch.setattr("render_adapt._cli.doctor.check_engine", check)
    findings, _ = examine(capsys)
    assert [findings[name].found for name in ENGINES] == [
        f"{name} on something" for name in ENGINES
    ]


def test_what_is_broken_is_told_of(
    engines: dict[str, EngineCheck],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.99 is not there')\n")
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('wrong machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engines["blender"] = EngineCheck("blender", False, "There is no Blender: get [one].")
    findings, code = examine(capsys)
    told = {part: finding.found for part, finding in findings.items() if finding.mark == "missing"}
    assert list(told) == ["blender", "onnxruntime", "torch", "CUDA"]
    assert told["blender"] == "There is no Blender: get [one].", "brackets are no markup"
    assert "wrong machine" in told["onnxruntime"]
    assert "pip install onnxruntime" in told["onnxruntime"]
    assert "libcudart.so.99 is not there" in told["torch"]
    assert {finding.mark for finding in findings.values()} == {"works", "missing"}
    assert code == 1


def test_a_gpu_that_fails_is_told_of_and_torch_is_not_blamed(
    engines: dict[str, EngineCheck],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "torch.py").write_text(
        "from types import SimpleNamespace\n"
        "def init(): raise RuntimeError('the driver is too old')\n"
        "cuda = SimpleNamespace(is_available=lambda: True, init=init)\n"
        "backends = SimpleNamespace(cuda=SimpleNamespace(is_built=lambda: True))\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    findings, code = examine(capsys)
    assert findings["torch"].mark == "works"
    assert findings["CUDA"].mark == "missing"
    assert findings["CUDA"].found.startswith("--device is cuda, and torch can use no GPU here (the")
    assert code == 0


def test_no_word_is_lost_on_a_narrow_terminal(
    engines: dict[str, EngineCheck], capsys: pytest.CaptureFixture[str]
) -> None:
    engines["blender"] = EngineCheck("blender", False, "There is no Blender: get [one].")
    words = printed(capsys, 78)[0].split()
    assert words.count("missing") == 1 + (not torch.cuda.is_available())
    assert {"There", "[one].", "on", "something"} <= set(words)


def test_missing_torch_says_what_to_install(
    engines: dict[str, EngineCheck],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("render_adapt._cli.doctor._version", lambda package: None)
    findings, code = examine(capsys)
    assert findings["torch"].mark == "missing"
    assert "render-adapt[train]" in findings["torch"].found
    assert code == 0


@pytest.mark.parametrize("part", ["raster", "onnxruntime", "blender"])
def test_datasets_need_the_rasteriser_and_the_adapters_runtime(
    part: str,
    engines: dict[str, EngineCheck],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if part in engines:
        engines[part] = EngineCheck(part, False, "it is broken")
    else:
        (tmp_path / f"{part}.py").write_text("raise ImportError('it is broken')\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings, code = examine(capsys)
    assert findings[part].mark == "missing"
    assert code == (part != "blender")
