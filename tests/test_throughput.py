"""What `benchmarks.throughput` measures is what a run does, and what it says follows from that."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.throughput import __main__ as throughput
from benchmarks.throughput.machine import written
from benchmarks.throughput.peers import Peer, PlainLoop, measure_peer
from benchmarks.throughput.runs import SLOPES, measure_run, projected, slopes_of
from benchmarks.throughput.stages import STAGES, measure_stages
from cad_models import load_models
from render_adapt import RunConfig, generate
from renderer import PlanConfig, Plans, make_plans

OBJECTS = ("ape", "cat")


def run_of(crops: int, start: dict[str, float], each: dict[str, float]) -> dict[str, float]:
    return {"crops": crops, **{name: start[name] + each[name] * crops for name in SLOPES}}


def test_slopes_and_projections_are_of_a_line() -> None:
    random = np.random.default_rng(0)
    start, each = (dict(zip(SLOPES, random.uniform(1, 2, 5), strict=True)) for _ in range(2))
    slopes = slopes_of([run_of(crops, start, each) for crops in (100, 1000, 10_000)])
    for name in SLOPES:
        found = [slopes[name]["at the start"], slopes[name]["a crop"]]
        np.testing.assert_allclose(found, [start[name], each[name]], rtol=1e-6)
    expected = run_of(10**6, start, each)
    found = projected(slopes, 10**6)
    assert found["hours"] == pytest.approx(expected["seconds"] / 3600)
    assert found["TB"] == pytest.approx(expected["bytes"] / 1e12)
    assert found["files"] == pytest.approx(expected["files"])


def test_nothing_is_projected_to_take_less_than_nothing() -> None:
    falling = {name: {"at the start": 1.0, "a crop": -0.5} for name in SLOPES}
    assert projected(falling, 10**9)["hours, verify"] == 1 / 3600


def test_a_runs_files_are_counted(tmp_path: Path) -> None:
    config = RunConfig(OBJECTS, n=3, workers=1, adapter="none", out=tmp_path / "run")
    found = measure_run(config)
    generate(config)
    files = [file for file in config.out.rglob("*") if file.is_file()]  # type: ignore[union-attr]
    assert found["files"] == len(files)
    assert found["crops/s"] * found["seconds"] == pytest.approx(3)
    assert min(found[name] for name in ("again seconds", "verify seconds")) > 0
    assert 50 < found["MiB, own process"] < 4096


@pytest.mark.parametrize("adapter", ["none", "shipped"])
def test_every_stage_of_a_run_is_timed(adapter: str, tmp_path: Path) -> None:
    config = RunConfig(OBJECTS, n=3, adapter=adapter, out=tmp_path / "nothing")
    stages = measure_stages(config)
    expected = [s for s in STAGES if adapter == "shipped" or s not in ("adapt", "judge")]
    assert list(stages) == expected
    assert all(seconds > 0 for seconds in stages.values())
    assert not config.out.exists()  # type: ignore[union-attr]


def test_peers_do_the_same_job(tmp_path: Path) -> None:
    """With our renderer in its place, a peer's pictures are our run's."""
    config = RunConfig(OBJECTS, n=20, workers=1, out=tmp_path / "run")
    generate(config)
    studio = throughput.Studio(config)
    config, models = studio.config, studio.models
    plans = studio.planner.plans(models, 0, 0, 20, config.randomization, 0)

    def draw(part: Plans) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        taken = studio.render(int(part.index[0]), int(part.index[-1]) + 1)
        return taken.rgb, studio.renderer.render(part).depth

    (tmp_path / "peer").mkdir()
    PlainLoop("shipped", "cpu").make(tmp_path / "peer", draw, plans, models)
    ours = tmp_path / "run/train/000000"
    for row in range(20):
        pictures = [
            cv2.imread(str(folder / f"rgb/{row:06d}.png")).astype(int)
            for folder in (ours, tmp_path / "peer")
        ]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1
    gt = [json.loads((f / "scene_gt.json").read_text()) for f in (ours, tmp_path / "peer")]
    assert gt[0].keys() == gt[1].keys()
    for image, (pose,) in gt[0].items():
        np.testing.assert_allclose(pose["cam_R_m2c"], gt[1][image][0]["cam_R_m2c"], atol=1e-9)
        assert pose["obj_id"] == gt[1][image][0]["obj_id"]


def test_a_peer_that_cannot_run_is_left_out_with_the_reason() -> None:
    def absent(models: Any, size: int) -> Any:
        raise ImportError("No module named 'nobody'")

    models = load_models(OBJECTS)
    plans = make_plans(PlanConfig(), models, 0, 0, 2)
    found = measure_peer(Peer("nobody's", absent, 5), models, plans, "shipped", "cpu", 1)
    assert found == {"left out": "ImportError: No module named 'nobody'"}


def test_the_disks_rate_is_of_files_that_are_gone_after() -> None:
    rates = written(20)
    assert rates["file_mb_per_s"] == pytest.approx(rates["files_per_s"] * 8192 / 1e6)


@pytest.mark.several_seconds
def test_all_is_written_and_a_device_that_is_absent_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures/throughput.json"
    small = ["--n", "3", "--growth", "2", "3", "--side", "64", "--copy-gib", "0.001"]
    arguments = ["", *small, "--no-peers", "--workers", "1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert throughput.main() == 0
    report = json.loads(file.read_text())
    assert set(report["stages"]) == set(STAGES)
    assert report["stages"]["adapt"]["share of the matrix product"] > 0
    assert [run["crops"] for run in report["growth"]] == [2, 3]
    assert [one["crops"] for one in report["projections, no measurements"]] == [10**6, 10**9]
    assert report["one worker"]["whole / slowest stage"] > 0
    monkeypatch.setattr(sys, "argv", [*arguments, "--device", "cuda:99"])
    assert throughput.main() == 1
    assert "benchmarks.throughput: `device` is cuda:99" in capsys.readouterr().err
