"""One training in two processes, which share each batch: it is what one process makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file

torch = pytest.importorskip("torch")

from adapter import (  # noqa: E402
    CHECKPOINT,
    AdapterError,
    TrainConfig,
    read_checkpoint,
    read_info,
)
from render_adapt import TrainRun, train_adapter  # noqa: E402
from tests.two_processes import BROKEN_OFF, CONFIGS, trained  # noqa: E402

pytestmark = [
    pytest.mark.several_seconds,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has one process"),
]
ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """Processes meet on this machine alone, whatever its name leads to."""
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    meeting = {} if loopback is None else {"GLOO_SOCKET_IFNAME": loopback}
    return {**os.environ, **meeting, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str | None]]]:
    """A folder with what two processes trained, and what each said was wrong, by training."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.two_processes"]
    running = [
        subprocess.Popen([*command, str(rank), str(folder)], cwd=ROOT, env=environment())
        for rank in range(2)
    ]
    assert [process.wait() for process in running] == [0, 0]
    said = [json.loads((folder / f"said-{rank}.json").read_text()) for rank in range(2)]
    return folder, said


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what this process alone trained."""
    folder = tmp_path_factory.mktemp("one")
    for name, config in CONFIGS.items():
        trained(config, folder / name)
    return folder


def state(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    return read_checkpoint(folder / CHECKPOINT)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "bf16"])
def test_two_processes_come_to_the_weights_of_one(
    name: str, one: Path, two: tuple[Path, list[Any]]
) -> None:
    """But for rounding: sums over a batch are taken in another order.

    Adam makes a step of up to the learning rate of a gradient however small it is, so that where
    one is nearly 0 rounding decides more of it. After six steps 2.5e-5 was the most by which a
    weight was off, an eighth of one step, and 1e-6 the quadratic mean; moments, which are as large
    as gradients, agree to a part in ten thousand.
    """
    compare(two[0] / name, one / name, CONFIGS[name])


def compare(found_in: Path, expected_in: Path, config: TrainConfig) -> None:
    (expected, about), (found, about_found) = state(expected_in), state(found_in)
    assert about == about_found
    assert found.keys() == expected.keys()
    moments = [key for key in expected if key.startswith("optimizer")]
    weights = sorted(expected.keys() - moments)
    off = _all_of(found, weights) - _all_of(expected, weights)
    assert off.abs().max() < config.learning_rate / 4
    assert off.square().mean().sqrt() < config.learning_rate / 50
    off = _all_of(found, moments) - _all_of(expected, moments)
    assert off.norm() < 1e-4 * _all_of(expected, moments).norm()


def _all_of(tensors: dict[str, Any], names: Iterable[str]) -> Any:
    return torch.cat([tensors[name].flatten() for name in names])


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_tell_of_the_losses_of_one(
    name: str, one: Path, two: tuple[Path, list[Any]]
) -> None:
    """The first alone, once for each step. In bf16 numbers have three digits at most."""
    expected, told = (
        json.loads((folder / f"{name}.losses").read_text()) for folder in (one, two[0])
    )
    assert len(told) == len(expected) == CONFIGS[name].steps
    for losses, ones in zip(told, expected, strict=True):
        near = 2e-2 if name == "bf16" else 1e-4
        assert losses == pytest.approx(ones, rel=near, abs=near / 100)


@pytest.mark.parametrize("name", ["plain", "pairs"])
def test_they_go_on_to_the_bits_of_an_unbroken_training(
    name: str, two: tuple[Path, list[Any]]
) -> None:
    assert CONFIGS[name].steps > BROKEN_OFF
    expected, found = (state(two[0] / folder)[0] for folder in (name, f"{name}, continued"))
    assert found.keys() == expected.keys()
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []


def test_one_process_goes_on_with_what_two_began(
    one: Path, two: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    longer = replace(CONFIGS["pairs"], steps=CONFIGS["pairs"].steps + 2)
    for folder in (one, two[0]):
        shutil.copytree(folder / "pairs", tmp_path / folder.name)
        trained(longer, tmp_path / folder.name)
    compare(tmp_path / two[0].name, tmp_path / one.name, longer)


def test_the_first_ones_clock_ends_the_training(two: tuple[Path, list[Any]]) -> None:
    """It is looked at before each step and after it, and ticks every five seconds."""
    folder, said = two
    assert state(folder / "limited")[1]["step"] == "3"
    assert [answers["limited"] for answers in said] == [None, None]


REFUSALS = {
    "odd batch": "`batch` is 7, which 2 processes cannot share equally: give a multiple of 2",
    "compiled": "`compile` is for one process: leave it out, or do without torchrun",
    "different": (
        "the processes of this training do not learn from the same: give all of them the same "
        "command, files and versions, and an `out` that all machines share"
    ),
    "baseline": "this training is of one process: begin it without torchrun",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_processes_cannot_share_is_refused_by_both(
    name: str, two: tuple[Path, list[Any]]
) -> None:
    folder, said = two
    assert [answers[name] for answers in said] == [REFUSALS[name]] * 2
    assert not (folder / name / CHECKPOINT).exists()


def test_who_is_left_alone_says_so(two: tuple[Path, list[Any]]) -> None:
    first, _ = two[1]
    assert first["left alone"].startswith("another process of this training has ended (")
    assert first["left alone"].endswith("the same command goes on from the last checkpoint")
    assert "\n" not in first["left alone"]


def test_more_processes_than_gpus_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read."""
    for name, value in (("TORCHELASTIC_RUN_ID", "none"), ("LOCAL_RANK", "2")):
        monkeypatch.setenv(name, value)
    run = TrainRun(("ape",), target=tmp_path / "none", out=tmp_path / "out")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(AdapterError) as caught:
        train_adapter(run, TrainConfig(device="cuda"), "fast")
    assert str(caught.value) == (
        "torch finds 2 GPUs here, and there are more processes than that: let torchrun "
        "start 2, or train with `device` cpu"
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(AdapterError, match="torch finds no CUDA device; train with `device` cpu"):
        train_adapter(run, TrainConfig(device="cuda"), "fast")


@pytest.mark.slow
def test_the_command_under_torchrun_makes_the_adapter_of_one_process(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "crops").mkdir()
    for number in range(20):
        picture = random.integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"crops/{number}.png"), picture)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    said = {}
    for name, launcher in (("alone", []), ("both", torchrun)):
        command = [sys.executable, "-m", *launcher, "render_adapt", *SETTINGS, "--out", name]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout.replace(name, "NAME").splitlines()
    # Each line once; the verdict's figures are of adapters that differ in their last bits.
    assert [line.partition(":")[0] for line in said["both"]] == [
        line.partition(":")[0] for line in said["alone"]
    ]
    alone, both = (load_file(tmp_path / f"{name}/generator.safetensors") for name in said)
    assert alone.keys() == both.keys()
    for name, value in alone.items():
        torch.testing.assert_close(both[name], value, rtol=1e-4, atol=5e-5)
    assert read_info(tmp_path / "both").verdict is not None


SETTINGS = (
    "train", "--objects", "ape", "--target", "crops", "--source-crops", "40", "--steps", "3",
    "--batch", "4", "--width", "8", "--blocks", "1", "--discriminator-width", "4",
    "--precision", "fp32", "--threads", "1",
)  # fmt: skip
