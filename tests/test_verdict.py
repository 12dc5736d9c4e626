"""What an adapter is worth by measures that need no label: figures, words, and where they stand."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from adapter import (
    ADAPTERS,
    AdapterError,
    Verdict,
    domain_features,
    encode,
    kernel_distance,
    read_info,
    save_verdict,
    told_apart,
)
from cad_models import load_models
from render_adapt import (
    RunConfig,
    generate,
    judge_adapter,
    read_calibration,
    write_report,
)
from renderer import PlanConfig, RasterRenderer, make_plans
from tests.command import run_command
from tests.test_report import data_of

GOOD = Verdict(600, 600, 1.0, 83.4, 0.286, 955.354, 0.036, 5.626, 6.06, 45.31)
"""Those of linemod-rgbd-fast (benchmarks/results/verdicts.json)."""
SIX_STEPS = Verdict(600, 600, 75.8, 100.0, 453.964, 955.354, 0.03, 5.626, 14.04, 17.23)


def grey(level: float, count: int, seed: int) -> NDArray[np.float32]:
    """(N, 4, 64, 64): such a grey with noise; depth is noise alone."""
    crops = np.random.default_rng(seed).normal(0, 0.1, (count, 4, 64, 64))
    crops[:, :3] += level
    return crops.clip(-1, 1).astype(np.float32)


def test_sets_that_are_alike_are_near_and_cannot_be_told_apart() -> None:
    real, same, other = (
        domain_features(grey(level, 60, seed)) for level, seed in ((0.0, 0), (0.0, 1), (0.3, 2))
    )
    near, far = kernel_distance(same, real, real), kernel_distance(other, real, real)
    assert abs(near.mean) < 0.01 * far.mean
    assert told_apart(other, real) == 100
    assert 25 <= told_apart(same, real) <= 75
    assert told_apart(real, real) == 50


def test_colours_alone_count_and_figures_are_the_same_each_time() -> None:
    crops = grey(0.0, 20, 0)
    first = domain_features(crops)
    np.testing.assert_array_equal(first, domain_features(crops[:, :3]))
    assert first.shape == (20, 704)
    other = domain_features(grey(0.1, 9, 1))
    assert told_apart(first, other) == told_apart(first, other)
    assert kernel_distance(first, other, first) == kernel_distance(first, other, first)


def test_a_few_crops_can_be_compared_and_one_cannot() -> None:
    features = domain_features(grey(0.0, 3, 0)), domain_features(grey(0.5, 2, 1))
    assert 0 <= told_apart(*features) <= 100
    for measure in (told_apart, lambda a, b: kernel_distance(a, b, a)):
        with pytest.raises(AdapterError, match="there are 1 crops to compare: give 2"):
            measure(features[0], features[1][:1])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """An adapter that comes with the package, to be changed; it has a card of its makers."""
    return Path(shutil.copytree(ADAPTERS["linemod-rgbd-fast"], tmp_path / "mine"))


def test_a_verdict_is_kept_in_the_description(copied: Path) -> None:
    before = read_info(copied)
    assert save_verdict(copied, GOOD) == dataclasses.replace(before, verdict=GOOD)
    assert read_info(copied).verdict == GOOD
    without_noise = dataclasses.replace(GOOD, noise_on_object=None, noise_off_object=None)
    save_verdict(copied, without_noise)
    assert read_info(copied) == dataclasses.replace(before, verdict=without_noise)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([], "a 'verdict' without its figures"),
        ({"crops": None}, "has crops None in its 'verdict'"),
        ({"crops": 1.5}, "has crops 1.5"),
        ({"real_crops": -1}, "has real_crops -1"),
        ({"distance": "far"}, "has distance 'far'"),
        ({"distance": True}, "has distance True"),
        ({"told_apart_percent": 1e300}, "has told_apart_percent 1e\\+300"),
        ({"distance": 10**400}, "has distance 1000"),
        ({"distance_before": float("nan")}, "has distance_before nan"),
        ({"beauty": 1.0}, "a 'verdict' without its figures"),
    ],
)
def test_what_is_no_verdict_is_refused(copied: Path, changes: Any, says: str) -> None:
    file = copied / "adapter.json"
    described = json.loads(file.read_text())
    stated = dataclasses.asdict(GOOD)
    described["verdict"] = stated | changes if isinstance(changes, dict) else changes
    file.write_text(json.dumps(described))
    with pytest.raises(AdapterError, match=says):
        read_info(copied)
    stated.pop("distance")
    file.write_text(json.dumps({**described, "verdict": stated}))
    with pytest.raises(AdapterError, match="without its figures"):
        read_info(copied)


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        run_command(*arguments)
    captured = capsys.readouterr()
    assert not end.value.code, captured.err
    return captured.out


def test_an_adapter_below_the_bar_is_called_that_wherever_it_is_used(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_verdict(copied, SIX_STEPS)
    expected = (
        "below the bar: the label of 76 % of its crops is in doubt, and nearly all of its crops "
        "can be told from the camera's (100 %; guessing tells 50 %)"
    )
    shown = said(capsys, "adapters", "show", copied)
    assert f"verdict: {expected}\n" in shown
    done = generate(RunConfig(("ape",), n=2, out=tmp_path / "d", adapter=str(copied), workers=1))
    assert done.notes[0] == (
        f"the adapter {copied} is {expected}; render-adapt adapters show {copied} says what to do"
    )
    report = write_report(tmp_path / "d", tmp_path / "page.html", adapter=copied)
    assert ["verdict", expected] in data_of(report)["adapter"]["rows"]
    # Whoever has the dataset alone is told, too.
    report = write_report(tmp_path / "d", tmp_path / "alone.html")
    assert data_of(report)["adapter"]["rows"][0] == ["verdict", expected]
    # Other figures of the same adapter make no other run.
    save_verdict(copied, GOOD)
    config = RunConfig(("ape",), n=2, out=tmp_path / "d", adapter=str(copied), workers=1)
    assert generate(config).crops_made == 0


def test_an_adapter_above_the_bar_and_one_that_was_not_measured_are_not_warned_of(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "verdict: " not in said(capsys, "adapters", "show", copied)
    save_verdict(copied, GOOD)
    assert "verdict: good enough to use\n" in said(capsys, "adapters", "show", copied)
    done = generate(RunConfig(("ape",), n=1, out=tmp_path / "d", adapter=str(copied), workers=1))
    assert not any("bar" in note for note in done.notes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"distance": 1.7},
            "below the bar: its crops are far from the camera's (kernel distance 1.7)",
        ),
        ({"told_apart_percent": 98.0}, "below the bar: nearly all of its crops can be told"),
        ({"unfaithful_percent": 33.3}, "below the bar: the label of 33 % of its crops is in doubt"),
        (
            {"middle_distance": 0.29, "middle_distance_before": 0.29},
            "below the bar: its objects are hardly nearer to the camera's than renders are (kernel "
            "distance of the middles 0.29, before 0.29)",
        ),
        ({"middle_distance": 0.04, "middle_distance_before": 0.04}, "good enough to use"),
        ({"distance": -0.01, "unfaithful_percent": 0.0, "noise_on_object": 0.0}, "good enough to"),
    ],
)
def test_each_bar_is_one(
    copied: Path, changes: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_verdict(copied, dataclasses.replace(GOOD, **changes))
    assert f"verdict: {says}" in said(capsys, "adapters", "show", copied)


def painted(folder: Path, count: int) -> None:
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 255, (count, 64, 64, 3), np.uint8)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture)


@pytest.mark.several_seconds
@pytest.mark.parametrize("channels", [3, 4])
def test_a_training_of_two_steps_is_called_what_it_is(
    channels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("render_adapt._cli.bars._SECONDS_A_LINE", 0.0)
    painted(tmp_path / "camera", 20)
    if channels == 4:
        (tmp_path / "camera/depth").mkdir()
        for number in range(20):
            depth = np.full((64, 64), 800, np.uint16)
            cv2.imwrite(str(tmp_path / "camera/depth" / f"{number}.png"), depth)
    out = tmp_path / "a"
    command = (
        "train", "--objects", "ape", "--target", tmp_path / "camera", "--out", out,
        "--steps", 12, "--batch", 4, "--width", 8, "--discriminator-width", 4, "--threads", 1,
        "--source-crops", 20, "--precision", "fp32", "--checkpoint-every", 4,
    )  # fmt: skip
    with pytest.raises(SystemExit) as end:
        run_command(*command)
    captured = capsys.readouterr()
    assert not end.value.code, captured.err
    assert "target: 20 crops are few: " in captured.out
    info = read_info(out)
    assert info.channels == channels
    assert info.verdict is not None
    assert info.verdict.real_crops == 20
    assert info.verdict.told_apart_percent > 95
    [verdict] = [line for line in captured.out.splitlines() if line.startswith("verdict: ")]
    assert verdict.startswith("verdict: Below the bar: ")
    assert "It was trained for 12 steps, where 20,000 of preset fast are usual." in verdict
    assert "What to do: train on, by the same command with more --steps" in verdict
    card = (out / "MODEL_CARD.md").read_text()
    assert "**Below the bar: do not rely on its crops.**" in card
    assert (
        verdict.removeprefix("verdict: ")
        .replace("--steps", "`steps`")
        .replace("--max-minutes", "`max_minutes`")
        in card
    )
    lines = captured.err.splitlines()
    pictures = [line for line in lines if line.startswith("sample picture: ")]
    assert pictures == [
        f"sample picture: {tmp_path / 'a.training/samples/step_0000004.png'}; later ones go beside "
        "it"
    ]
    assert any(line.startswith("training: about ") for line in lines)
    assert sum(line.startswith("step ") and line.endswith(" left") for line in lines) == 11
    assert lines.index("rendering 20 crops to learn from") < lines.index(pictures[0])


@pytest.mark.several_seconds
def test_the_same_adapter_has_the_same_verdict_and_its_makers_card_is_kept(
    copied: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    models, plan = load_models(["ape"]), PlanConfig(centre="mean", off_axis=10.0)
    card = (copied / "MODEL_CARD.md").read_bytes()
    # Its own renders in the camera's place: none is adapted, and all can be told apart.
    renders = RasterRenderer(models).render(make_plans(plan, models, 5, 0, 120))
    info = judge_adapter(copied, models, plan, encode(renders.rgb, None, None), 1000)
    assert info.verdict is not None
    assert info.verdict.crops == info.verdict.real_crops == 120
    assert info.verdict.told_apart_percent > 95
    assert info.verdict.distance > 10 * abs(info.verdict.distance_before)
    assert info.verdict.unfaithful_percent < 10
    assert info.verdict.noise_on_object is not None
    assert info.verdict.noise_off_object is not None
    assert 2 < info.verdict.noise_on_object < info.verdict.noise_off_object
    assert (copied / "MODEL_CARD.md").read_bytes() == card
    calibrated = read_calibration(copied / "fidelity.json")
    (copied / "MODEL_CARD.md").unlink()
    for number, picture in enumerate(renders.rgb):
        (tmp_path / "camera").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "camera" / f"{number:03d}.png"), picture[..., ::-1])
    shown = said(
        capsys, "calibrate", "--adapter", copied, "--objects", "ape", "--crops", 1000,
        "--target", tmp_path / "camera",
    )  # fmt: skip
    again = read_info(copied).verdict
    assert again is not None
    assert dataclasses.astuple(again) == pytest.approx(dataclasses.astuple(info.verdict), rel=0.02)
    assert shown.startswith("verdict: Below the bar: nearly all of its crops can be told")
    assert "## Verdict" in (copied / "MODEL_CARD.md").read_text()
    np.testing.assert_array_equal(
        read_calibration(copied / "fidelity.json").quantiles["judge"],
        calibrated.quantiles["judge"],
    )
