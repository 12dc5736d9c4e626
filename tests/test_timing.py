"""Timing: systems take turns, and rows say what was measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapter import LabelledCrops
from checked_settings import SettingError
from render_adapt._paper.results import timing
from render_adapt._paper.results.peer import SCRIPT, peer_networks
from tests.command import run_command
from tests.pixelda_toy import toy_source, toy_target

ROW = {
    "what", "task", "batch", "size", "precision", "device", "threads", "hardware", "torch",
    "python", "steps_per_second", "slowest_turn", "fastest_turn", "crops_per_second",
    "milliseconds_per_crop", "steps",
}  # fmt: skip

PEER = """
import a_package_that_nobody_has

opt = a_package_that_nobody_has.options()
raise SystemExit("the script trains as soon as it is run")

def weights_init_normal(m):
    if m.__class__.__name__.find("Conv") != -1:
        torch.nn.init.constant_(m.weight.data, 0.5)

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(opt.channels, opt.channels, 1)
        self.fc = nn.Linear(opt.latent_dim, opt.channels * opt.img_size**2)
    def forward(self, img, z):
        return self.conv(img) + self.fc(z).view(*img.shape)

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(opt.channels, 1, 3)
    def forward(self, img):
        return self.conv(img)

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(opt.channels * opt.img_size**2, opt.n_classes)
        self.softmax = nn.Softmax()
    def forward(self, img):
        return self.softmax(self.linear(img.flatten(1)))
"""


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A checkout with a script of the same shape as the real one, but smaller networks."""
    (tmp_path / SCRIPT).parent.mkdir(parents=True)
    (tmp_path / SCRIPT).write_text(PEER)
    return tmp_path


def system(name: str, step: object, batch: int = 4) -> timing.TimedSystem:
    return timing.TimedSystem(name, "training", batch, 16, "fp32", "cpu", 1, step)  # type: ignore[arg-type]


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_systems_take_turns_and_the_first_step_is_not_counted(clock: Clock) -> None:
    called: list[str] = []

    def step(name: str, seconds: float) -> object:
        called.append(name)
        clock.sleep(seconds if len(called) > 2 else 10 * seconds)
        return None

    systems = [
        system("slow", lambda: step("slow", 0.02)),
        system("quick", lambda: step("quick", 0.005), batch=8),
    ]
    slow, quick = timing.take_turns(systems, seconds=0.0, turns=3)
    assert called == ["slow", "quick"] * 4
    assert slow.keys() == ROW
    assert (slow["steps"], quick["steps"]) == (3, 3)
    assert slow["steps_per_second"] == pytest.approx(1 / 0.02)
    rates = [quick[name] for name in ("slowest_turn", "steps_per_second", "fastest_turn")]
    assert rates == pytest.approx([1 / 0.005] * 3)
    assert quick["crops_per_second"] == pytest.approx(8 * quick["steps_per_second"])
    assert quick["milliseconds_per_crop"] == pytest.approx(125 / quick["steps_per_second"])


def test_a_turn_lasts_its_share_of_the_seconds(clock: Clock) -> None:
    (row,) = timing.take_turns([system("a", lambda: clock.sleep(0.001))], seconds=0.3, turns=3)
    assert row["steps"] / row["steps_per_second"] == pytest.approx(0.3, rel=0.02)


def test_every_system_is_timed(peer: Path, tmp_path: Path) -> None:
    toy = toy_source(12)
    ten = LabelledCrops(toy.images, toy.masks, toy.class_index, toy.quaternion, tuple("0123456789"))
    arguments = (ten, toy_target(12), 1, "cpu", (4,))
    systems = [
        *timing.training_systems(*arguments),  # type: ignore[arg-type]
        *timing.peer_systems(*arguments, peer),  # type: ignore[arg-type]
        *timing.inference_systems(1, "cpu", (4,)),
    ]
    rows = timing.take_turns(systems, seconds=0.0, turns=1)
    found = {
        (row["what"], row["task"], row["batch"], row["size"], row["precision"]) for row in rows
    }
    assert found == {
        ("PixelDA, the paper's networks", "training", 4, 16, "fp32"),
        ("PixelDA, the paper's networks", "training", 4, 16, "bf16"),
        ("PixelDA, the fast preset", "training", 4, 16, "bf16"),
        ("PyTorch-GAN's PixelDA networks", "training", 4, 16, "fp32"),
        ("generator of LineMod, torch", "inference", 1, 64, "fp32"),
        ("generator of LineMod, torch", "inference", 4, 64, "fp32"),
        ("generator of LineMod, ONNX Runtime", "inference", 1, 64, "fp32"),
        ("generator of LineMod, ONNX Runtime", "inference", 4, 64, "fp32"),
    }
    assert all(row["steps_per_second"] > 0 for row in rows)


def test_a_peers_networks_are_taken_without_running_its_script(peer: Path) -> None:
    generator, discriminator, classifier = peer_networks(peer, size=16)
    assert (generator.conv.weight == 0.5).all()  # its own initialisation
    x = torch.zeros(5, 3, 16, 16)
    assert generator(x, torch.zeros(5, 10)).shape == x.shape
    assert len(discriminator(x)) == 5
    assert classifier.linear.out_features == 10


def test_a_peers_step_trains_all_three_networks(
    peer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = peer_networks(peer, size=16)
    before = [[p.detach().clone() for p in network.parameters()] for network in made]
    monkeypatch.setattr("render_adapt._paper.results.peer.peer_networks", lambda *_: made)
    toy = toy_source(12)
    steps = timing.peer_steps(peer, toy, toy_target(12), 4, "cpu")
    next(steps)
    for network, parameters in zip(made, before, strict=True):
        for now, then in zip(network.parameters(), parameters, strict=True):
            assert not torch.equal(now, then)


def test_a_folder_without_the_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"pixelda\.py cannot be read .*PyTorch-GAN"):
        peer_networks(tmp_path, 32)
    (tmp_path / SCRIPT).parent.mkdir(parents=True)
    (tmp_path / SCRIPT).write_text("class Generator: pass")
    with pytest.raises(SettingError, match="lacks Generator, Discriminator"):
        peer_networks(tmp_path, 32)


@pytest.mark.several_seconds
def test_the_command_times_real_digits_and_says_what_it_leaves_out(
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time_systems, take_turns = timing.time_systems, timing.take_turns

    def measure_little(*arguments: Any, batches: tuple[int, ...]) -> list[dict[str, Any]]:
        return time_systems(*arguments, batches=(4,))

    monkeypatch.setattr(timing, "time_systems", measure_little)
    monkeypatch.setattr(timing, "take_turns", partial(take_turns, turns=1))
    folders = ("--data", data_dir, "--out", tmp_path)
    arguments = ("timing", "--preset", "smoke", "--max-minutes", 1e-6, *folders)
    with pytest.raises(SystemExit) as stop:
        run_command("reproduce", *arguments)
    assert not stop.value.code
    assert "PyTorch-GAN's networks are left out: --peer names" in capsys.readouterr().out
    rows = json.loads((tmp_path / "timing-smoke.json").read_text())["rows"]
    assert {row["size"] for row in rows} == {32, 64}
    assert np.isfinite([row["milliseconds_per_crop"] for row in rows]).all()
    assert not any("PyTorch-GAN" in row["what"] for row in rows)
