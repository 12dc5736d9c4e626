"""Adapters that another package brings: an ONNX file alone, and an architecture."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import adapter
from adapter import AdapterError, load_adapter, save_adapter, train
from checked_settings import SettingError
from tests.own_packages import ROOT, install, register
from tests.pixelda_toy import TOY, toy_source, toy_target
from tests.test_report import data_of

EXAMPLE = ROOT / "examples/plug_ins/an_adapter/grain_adapter.py"
TRAIN = """
import dataclasses
from pathlib import Path
import numpy as np
from adapter import draw_noise, load_adapter, read_info, save_adapter, train
from tests.pixelda_toy import TOY, toy_source, toy_target
config = dataclasses.replace(TOY, architecture="grain", steps=6, learning_rate=0.01)
source = toy_source(channels=4)
checkpoint = train(source, toy_target(channels=4), config, Path("training"))
save_adapter(checkpoint, Path("trained"), preset="toy", provenance="toy squares")
noise = draw_noise(0, np.arange(len(source)))
adapted = load_adapter("trained").adapt(source.images, noise)
by_torch = load_adapter("trained", "torch").adapt(source.images, noise)
print(np.abs(adapted - by_torch).max() < 1e-4, (adapted[:, 3:] == source.images[:, 3:]).all())
untrained = train(source, toy_target(channels=4), dataclasses.replace(config, steps=1), Path("b"))
save_adapter(untrained, Path("once"), preset="toy", provenance="")
print(np.abs(adapted - load_adapter("once").adapt(source.images, noise)).max() > 1e-3)
print(read_info(Path("trained")).config["architecture"])
"""


BARE = os.environ | {"PYTHONPATH": str(ROOT)}
"""An environment in which nothing is installed beside the package."""
OTHERS = """
import torch
from torch import nn
from adapter import AdapterArchitecture, BatchNorm, export_onnx

class Network(nn.Module):
    def __init__(self, *modules, noise=True):
        super().__init__()
        self.body, self.noise = nn.Sequential(*modules), noise
        self.weight = nn.Parameter(torch.ones(1))
    def forward(self, crops, noise):
        shift = noise.mean(dim=1)[:, None, None, None] if self.noise else 0.0
        return torch.tanh(self.body(crops * self.weight) + shift)

def norm(channels, size, config): return Network(nn.BatchNorm2d(channels))
def own_norm(channels, size, config): return Network(BatchNorm(channels))
def smaller(channels, size, config): return Network(nn.AvgPool2d(2))
def noiseless(channels, size, config): return Network(noise=False)

def untrue(*given):
    return export_onnx(Network(nn.Hardtanh(-0.1, 0.1)).eval(), *given[1:])

NORM, OWN_NORM, SMALLER, NOISELESS = (
    AdapterArchitecture(build.__name__.replace("_", "-"), build, export_onnx)
    for build in (norm, own_norm, smaller, noiseless)
)
UNTRUE = AdapterArchitecture("untrue", own_norm, untrue)
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    return install("plug_ins/an_adapter", tmp_path / "site")


def start(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def run(command: list[str], folder: Path, environment: dict[str, str] = BARE) -> str:
    done = start(command, folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(code: str, folder: Path, environment: dict[str, str] = BARE) -> str:
    done = start(["-c", code], folder, environment)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


@pytest.mark.several_seconds
def test_an_onnx_file_alone_is_run_judged_verified_and_reported_on(tmp_path: Path) -> None:
    run([str(EXAMPLE), "grain"], tmp_path)
    assert sorted(os.listdir(tmp_path / "grain")) == ["adapter.json", "generator.onnx"]
    main = ["-m", "render_adapt"]
    making = "--objects ape,cat --n 6 --adapter grain --workers 1 --out d"
    run([*main, *making.split()], tmp_path)
    index = parquet.read_table(tmp_path / "d/index/000000.parquet")
    for part in ("fidelity", "fidelity_edges", "fidelity_depth", "fidelity_judge"):
        assert min(index[part].to_pylist()) > 0.01, "labels stay true under grain"
    assert "as they were written" in run([*main, "verify", "d"], tmp_path)
    run([*main, "report", "d", "--adapter", "grain"], tmp_path)
    card = data_of(tmp_path / "d/report.html")["adapter"]
    assert card["name"] == "grain"
    assert ["data", "no data: contrast, brightness and grain by hand"] in card["rows"]
    assert ["training", "not said"] in card["rows"]
    assert ["objects", "not said"] in card["rows"]


@pytest.mark.several_seconds
def test_an_architecture_is_trained_saved_and_loaded_by_both_runtimes(
    installed: dict[str, str], tmp_path: Path
) -> None:
    assert run(["-c", TRAIN], tmp_path, installed).split() == ["True", "True", "True", "grain"]
    # Where the package is not installed, ONNX runs all the same, and torch says what is missing.
    run(["-c", "import adapter; adapter.load_adapter('trained')"], tmp_path)
    told = refused("import adapter; adapter.load_adapter('trained', 'torch')", tmp_path)
    assert "is of the architecture 'grain', which no package here brings" in told


def test_a_package_that_brings_something_else_is_named(
    installed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "site/grain_adapter.py").write_text("ARCHITECTURE = 3\n")
    told = refused("import adapter; adapter.architectures()['grain']", tmp_path, installed)
    assert "the architecture grain of grain_adapter:ARCHITECTURE is no adapter.Adapter" in told
    code = (
        "import adapter; print(*adapter.architectures(), adapter.architectures()['pixelda'].name)"
    )
    assert run(["-c", code], tmp_path, installed).split() == [
            "pixelda", "layered", "grain", "pixelda",
        ]  # fmt: skip


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Architectures of several kinds, in this process."""
    site = tmp_path / "site"
    names = ("norm", "own-norm", "smaller", "noiseless", "untrue")
    points = {name: f"other_architectures:{name.replace('-', '_').upper()}" for name in names}
    register(site, "other-architectures", {"adapter.architectures": points})
    (site / "other_architectures.py").write_text(OTHERS)
    monkeypatch.syspath_prepend(site)
    adapter.architectures.cache_clear()
    yield
    adapter.architectures.cache_clear()
    sys.modules.pop("other_architectures", None)


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "norm"}, "has torch's batch normalisation, .* take adapter.BatchNorm"),
        ({"architecture": "smaller"}, r"makes \(2, 3, 8, 8\) of crops \(2, 3, 16, 16\)"),
        ({"architecture": "noiseless"}, "makes nothing of its noise: give `noise_dimension` 0"),
        ({"architecture": "none"}, "no architecture 'none' here, only pixelda, .*install"),
        ({"noise_dimension": 0}, "`noise_dimension` must be at least 1 for .* pixelda"),
    ],
    ids=["norm", "smaller", "noiseless", "absent", "pixelda without noise"],
)
def test_what_could_not_be_an_adapter_is_refused_before_training(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        train(toy_source(), toy_target(), replace(TOY, **changes), tmp_path / "training")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.usefixtures("others")
def test_a_generator_without_noise(tmp_path: Path) -> None:
    config = replace(TOY, architecture="noiseless", noise_dimension=0, steps=2)
    checkpoint = train(toy_source(), toy_target(), config, tmp_path / "training")
    save_adapter(checkpoint, tmp_path / "a", preset="toy", provenance="")
    images, nothing = toy_source().images, np.zeros((96, 0), np.float32)
    adapted = [load_adapter(tmp_path / "a", r).adapt(images, nothing) for r in ("onnx", "torch")]
    np.testing.assert_allclose(adapted[0], adapted[1], atol=1e-5)
    with pytest.raises(SettingError, match="`diversity_weight` rewards what noise does"):
        replace(config, diversity_weight=0.1)


@pytest.mark.usefixtures("others")
def test_statistics_of_batch_normalisation_are_the_trained_generators(tmp_path: Path) -> None:
    """The source's channels, as the saved adapter normalises them, are centred."""
    config = replace(TOY, architecture="own-norm", noise_dimension=1, steps=1, ema=0.0, batch=96)
    checkpoint = train(toy_source(), toy_target(), config, tmp_path / "training")
    save_adapter(checkpoint, tmp_path / "a", preset="toy", provenance="")
    images = toy_source().images
    adapted = load_adapter(tmp_path / "a").adapt(images, np.zeros((96, 1), np.float32))
    normalised = np.arctanh(adapted.clip(-0.9999, 0.9999))
    assert np.abs(normalised.mean(axis=(0, 2, 3))).max() < 0.1


@pytest.mark.usefixtures("others")
def test_an_export_that_is_of_another_network_is_not_saved(tmp_path: Path) -> None:
    config = replace(TOY, architecture="untrue", steps=1)
    checkpoint = train(toy_source(), toy_target(), config, tmp_path / "training")
    with pytest.raises(AdapterError, match="ONNX Runtime and torch disagree by"):
        save_adapter(checkpoint, tmp_path / "a", preset="toy", provenance="")
    assert not (tmp_path / "a").exists()
