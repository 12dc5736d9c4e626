"""What adapter and judge compute in, and what a run says of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import adapter
from adapter import load_adapter, precision_here
from checked_settings import MissingDependency, SettingError
from render_adapt import DatasetError, RunConfig, generate, verify


def computer(*capabilities: str) -> SimpleNamespace:
    """An OpenVINO on a processor that can do this."""
    core = SimpleNamespace(get_property=lambda device, name: [*capabilities, device, name])
    return SimpleNamespace(Core=lambda: core, __spec__=SimpleNamespace())


def test_auto_is_what_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", computer("FP32", "BF16"))
    assert precision_here("auto", {"avx512_bf16", "amx_bf16"}) == "bf16"
    assert precision_here("auto", {"avx512_bf16"}) == "fp32"
    assert [precision_here(asked, ()) for asked in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_a_processor_without_bf16_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", computer("FP32", "INT8"))
    with pytest.raises(SettingError, match="which this processor does not compute in"):
        precision_here("bf16")


def test_without_openvino_there_is_fp32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert [precision_here(asked, {"amx_bf16"}) for asked in ("auto", "fp32")] == ["fp32"] * 2
    with pytest.raises(MissingDependency, match=r"`precision` bf16 needs OpenVINO; .*adapt\[fast"):
        generate(RunConfig(("ape",), n=1, precision="bf16", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_precision_is_an_adapters() -> None:
    with pytest.raises(SettingError, match="`precision` is what an adapter computes in"):
        RunConfig(("ape",), n=1, precision="bf16", adapter="none")


def has_bf16() -> bool:
    try:
        return precision_here("bf16") == "bf16"
    except (MissingDependency, SettingError):
        return False


needs_bf16 = pytest.mark.skipif(
    not has_bf16(), reason="needs OpenVINO, and a processor that computes in bf16"
)


@needs_bf16
def test_adapted_crops_differ_by_rounding_alone() -> None:
    random = np.random.default_rng(0)
    crops = random.uniform(-1, 1, (21, 4, 64, 64)).astype(np.float32)
    noise = adapter.draw_noise(0, np.arange(21))
    exact, rounded = (
        load_adapter("shipped", precision=precision).adapt(crops, noise)
        for precision in ("fp32", "bf16")
    )
    greys = 127.5 * np.abs(exact - rounded)
    assert 0 < greys.mean() < 1
    again = load_adapter("shipped", precision="bf16")
    np.testing.assert_array_equal(again.adapt(crops, noise), rounded)
    np.testing.assert_array_equal(again.adapt(crops[3:4], noise[3:4])[0], rounded[3])


@needs_bf16
def test_a_run_in_bf16_says_so_and_is_no_run_in_fp32(tmp_path: Path) -> None:
    def config(precision: Any) -> RunConfig:
        return RunConfig(
            ("ape",), n=3, precision=precision, workers=1, min_fidelity=0.01, out=tmp_path / "run"
        )

    first = generate(config("bf16"))
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["precision"] == manifest["settings"]["precision"] == "bf16"
    assert manifest["versions"]["openvino"]
    assert generate(config("bf16")).sha256 == first.sha256
    assert verify(tmp_path / "run").bad == ()
    with pytest.raises(DatasetError, match="precision only there"):
        generate(config("fp32"))
