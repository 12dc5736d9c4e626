"""`render-adapt doctor`: each part is found, and what is broken is told of in a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import onnxruntime
import pytest
import torch
from rich.console import Console

from render_adapt._cli import doctor as _doctor
from render_adapt._cli.doctor import Finding, can_make_datasets, examine, show
from renderer import ENGINES, EngineCheck


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, EngineCheck]:
    """What the engines' own checks say; those are tested with the engines."""
    checks = {name: EngineCheck(name, True, f"{name} on something") for name in ENGINES}
    monkeypatch.setattr(_doctor, "check_engine", checks.__getitem__)
    return checks


def test_this_machine_is_found_as_it_is(engines: dict[str, EngineCheck]) -> None:
    findings = {finding.part: finding for finding in examine()}
    assert list(findings) == [*ENGINES, "onnxruntime", "torch", "CUDA"]
    assert findings["raster"].message == "raster on something"
    assert findings["onnxruntime"].message.startswith(f"{onnxruntime.__version__}, on ")
    assert "CPU" in findings["onnxruntime"].message
    assert findings["torch"] == Finding("torch", "training", True, torch.__version__)
    assert findings["CUDA"].works == torch.cuda.is_available()
    assert can_make_datasets(list(findings.values()))


def test_what_is_broken_is_told_of(
    engines: dict[str, EngineCheck], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.99 is not there')\n")
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('wrong machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engines["blender"] = EngineCheck("blender", False, "There is no Blender: get [one].")
    findings = list(examine())
    told = {finding.part: finding.message for finding in findings if not finding.works}
    assert list(told) == ["blender", "onnxruntime", "torch", "CUDA"]
    assert "wrong machine" in told["onnxruntime"]
    assert "pip install onnxruntime" in told["onnxruntime"]
    assert "libcudart.so.99 is not there" in told["torch"]
    assert not can_make_datasets(findings)
    output = io.StringIO()
    Console(file=output, width=78).print(show(findings))
    # Words may be on several lines, and none is lost; brackets are no markup.
    words = output.getvalue().split()
    assert words.count("missing") == 4
    assert {"There", "[one].", "on", "something"} <= set(words)


def test_missing_torch_says_what_to_install(
    engines: dict[str, EngineCheck], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_doctor, "_version", lambda package: None)
    told = {finding.part: finding for finding in examine()}
    assert not told["torch"].works
    assert "render-adapt[train]" in told["torch"].message
    assert can_make_datasets(list(told.values()))


@pytest.mark.parametrize("part", ["raster", "onnxruntime"])
def test_datasets_need_the_rasteriser_and_the_adapters_runtime(part: str) -> None:
    findings = [
        Finding(name, "", name != part, "") for name in ("raster", "blender", "onnxruntime")
    ]
    assert not can_make_datasets(findings)
