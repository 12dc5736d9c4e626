"""TensorBoard's files, and the alarms: each rings when it should and not when all is well."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from adapter import AdapterError, Progress, TrainingCollapsed, read_checkpoint, train
from checked_settings import MissingDependency
from tests.pixelda_toy import LEARNS, TOY, toy_source, toy_target

SOURCE, TARGET = toy_source(), toy_target()
CURVES = replace(TOY, steps=10, checkpoint_every=5, tensorboard=True, decay_steps=6)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points of curves, and checks, from early on."""
    monkeypatch.setattr("adapter._training.engine.SCALARS_EVERY", 5)
    monkeypatch.setattr("adapter._training.monitor.CollapseWatch.FIRST_STEP", 5)


def read_board(folder: Path) -> Any:
    """What TensorBoard shows of a folder."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    return events.Reload()


def test_curves_are_what_progress_said(tmp_path: Path) -> None:
    seen: dict[int, Progress] = {}
    train(SOURCE, TARGET, CURVES, tmp_path, on_progress=lambda p: seen.update({p.step: p}))
    board = read_board(tmp_path / "tensorboard")
    expected = {f"loss/{name}" for name in seen[10].losses} | {
        "discriminator accuracy/real",
        "discriminator accuracy/adapted",
        "learning rate/generator",
        "learning rate/discriminator",
        "steps per second",
    }
    assert set(board.Tags()["scalars"]) == expected
    for step in (5, 10):
        progress = seen[step]
        values = {f"loss/{name}": value for name, value in progress.losses.items()}
        values["discriminator accuracy/real"] = progress.accuracy_real
        values["discriminator accuracy/adapted"] = progress.accuracy_fake
        values["steps per second"] = progress.steps_per_second
        # Steps 5 and 10 come after 4 and 9 others, of two updates each: one and three stairs down.
        values["learning rate/generator"] = 2e-4 * 0.95 ** (1 if step == 5 else 3)
        for name, value in values.items():
            (point,) = (p for p in board.Scalars(name) if p.step == step)
            assert point.value == pytest.approx(value, rel=1e-6), name
    assert {p.step for p in board.Scalars("loss/generator")} == {5, 10}


def test_pictures_on_the_board_are_those_in_the_folder(tmp_path: Path) -> None:
    train(SOURCE, TARGET, CURVES, tmp_path)
    images = read_board(tmp_path / "tensorboard").Images("crops")
    assert [image.step for image in images] == [5, 10]
    encoded = np.frombuffer(images[1].encoded_image_string, np.uint8)
    expected = cv2.imread(str(tmp_path / "samples/step_0000010.png"))
    np.testing.assert_array_equal(cv2.imdecode(encoded, cv2.IMREAD_COLOR), expected)


def test_a_continued_run_shows_every_step_once(tmp_path: Path) -> None:
    """A run killed at step 11 goes on from its checkpoint of step 9 and does 10 again."""

    class Killed(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 11:
            raise Killed

    config = replace(CURVES, steps=16, checkpoint_every=9)
    with pytest.raises(Killed):
        train(SOURCE, TARGET, config, tmp_path, on_progress=kill)
    seen: dict[int, Progress] = {}
    train(SOURCE, TARGET, config, tmp_path, on_progress=lambda p: seen.update({p.step: p}))
    assert min(seen) == 10
    points = read_board(tmp_path / "tensorboard").Scalars("steps per second")
    assert [point.step for point in points] == [5, 10, 15]
    for point in points[1:]:
        assert point.value == pytest.approx(seen[point.step].steps_per_second, rel=1e-6)


def test_no_board_is_written_unless_asked_for(tmp_path: Path) -> None:
    train(SOURCE, TARGET, TOY, tmp_path)
    assert not (tmp_path / "tensorboard").exists()


def test_the_board_changes_nothing_that_is_learnt_and_may_be_switched_on_later(
    tmp_path: Path,
) -> None:
    plain, _ = read_checkpoint(train(SOURCE, TARGET, TOY, tmp_path / "a"))
    train(SOURCE, TARGET, replace(TOY, steps=3), tmp_path / "b")
    shown, _ = read_checkpoint(
        train(SOURCE, TARGET, replace(TOY, tensorboard=True), tmp_path / "b")
    )
    assert all(np.array_equal(plain[name], shown[name]) for name in plain)


def test_without_tensorboard_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependency, match="pip install tensorboard"):
        train(SOURCE, TARGET, replace(TOY, tensorboard=True), tmp_path)


FREE = replace(
    LEARNS,
    steps=40,
    checkpoint_every=4,
    batch=8,
    schedule="constant",
    similarity_weight=0.0,
    diversity_weight=0.0,
    ema=0.5,
)
"""Nothing ties adapted crops to their source."""


def test_a_run_that_collapses_is_stopped_also_when_it_goes_in_pieces(
    tmp_path: Path,
) -> None:
    # Nothing but weight decay acts on the generator, which shrinks to a constant.
    config = replace(FREE, generator_weight=0.0, learning_rate=0.02, weight_decay=20.0)
    with pytest.raises(TrainingCollapsed, match=r"collapsed at step (\d+)") as whole:
        train(SOURCE, TARGET, config, tmp_path / "whole")
    saved = int(read_checkpoint(tmp_path / "whole/checkpoint.safetensors")[1]["step"])
    assert f"collapsed at step {saved + 4}:" in str(whole.value)
    for steps in range(2, saved + 4, 2):
        train(SOURCE, TARGET, replace(config, steps=steps), tmp_path / "pieces")
    with pytest.raises(AdapterError) as in_pieces:
        train(SOURCE, TARGET, config, tmp_path / "pieces")
    assert str(in_pieces.value) == str(whole.value)


def test_a_healthy_run_is_not_stopped(tmp_path: Path) -> None:
    about = read_checkpoint(train(SOURCE, TARGET, FREE, tmp_path))[1]
    assert (about["step"], about["low_checks"]) == ("40", "0")


def test_the_note_comes_with_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter._training.monitor.DiscriminatorWatch.STEPS", 3)
    monkeypatch.setattr("adapter._training.monitor.DiscriminatorWatch.LIMIT", -1.0)
    seen: list[Progress] = []
    train(SOURCE, TARGET, TOY, tmp_path, on_progress=seen.append)
    assert [bool(progress.note) for progress in seen] == [False, False, True, True, True, True]
