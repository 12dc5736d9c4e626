"""TensorBoard's files, and the alarms: each rings when it should and not when all is well."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from adapter import AdapterError, Progress, TrainingCollapsed, train
from adapter._training.checkpoint import read_checkpoint
from adapter._training.monitor import CollapseWatch, DiscriminatorWatch, variation
from checked_settings import MissingDependency
from tests.pixelda_toy import LEARNS, TOY, toy_source, toy_target

SOURCE, TARGET = toy_source(), toy_target()
CURVES = replace(TOY, steps=10, checkpoint_every=5, tensorboard=True, decay_steps=6)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points of curves, and checks, from early on."""
    monkeypatch.setattr("adapter._training.engine.SCALARS_EVERY", 5)
    monkeypatch.setattr(CollapseWatch, "FIRST_STEP", 5)


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


def test_variation_is_the_mean_standard_deviation_over_crops() -> None:
    crops = np.zeros((2, 1, 1, 4), np.float32)
    crops[0, 0, 0] = [0, 1, -1, 0.5]
    crops[1, 0, 0] = [0, 0, 1, 0.5]
    assert variation(crops) == pytest.approx((0 + 0.5 + 1 + 0) / 4)


def adapted(part: float) -> np.ndarray:
    """Crops that vary by a part of what the source crops do, about a plain grey."""
    return (0.3 + part * SOURCE.images[:64]).astype(np.float32)


def test_three_low_checks_in_a_row_stop_the_run() -> None:
    # The target's crops vary less than the source's, so that they are the measure.
    calm = 0.5 * SOURCE.images
    watch = CollapseWatch(SOURCE.images[:64], calm[:64])
    watch.check(adapted(0.04), 2000)
    watch.check(adapted(0.04), 3000)
    watch.check(adapted(0.06), 4000)  # 12 % of the target's
    watch.check(adapted(0.04), 5000)
    watch.check(adapted(0.04), 6000)
    with pytest.raises(
        TrainingCollapsed, match=r"collapsed at step 7000: .* 8\.0 % .*`learning_rate`"
    ):
        watch.check(adapted(0.04), 7000)


def test_an_untrained_generator_and_data_all_alike_are_no_collapse() -> None:
    early = CollapseWatch(SOURCE.images, TARGET)
    for step in (1, 2, 3, 4):
        early.check(adapted(0.0), step)
    assert early.low_checks == 0
    alike = CollapseWatch(np.repeat(SOURCE.images[:1], 80, axis=0), TARGET)
    for step in (2000, 3000, 4000, 5000):
        alike.check(adapted(0.0), step)
    assert alike.low_checks == 0


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


def test_a_discriminator_that_wins_for_long_is_noted() -> None:
    watch = DiscriminatorWatch()
    notes = [watch.note(step, 1.0, 0.99) for step in range(301, 1301)]
    assert set(notes[:-1]) == {""}
    assert "`discriminator_keep`" in notes[-1]
    # It stays while the next 1,000 steps are gathered, and goes if they are better on one side.
    later = [watch.note(step, 1.0, 0.97) for step in range(1301, 2301)]
    assert set(later[:-1]) == {notes[-1]}
    assert later[-1] == ""


def test_the_note_comes_with_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiscriminatorWatch, "STEPS", 3)
    monkeypatch.setattr(DiscriminatorWatch, "LIMIT", -1.0)
    seen: list[Progress] = []
    train(SOURCE, TARGET, TOY, tmp_path, on_progress=seen.append)
    assert [bool(progress.note) for progress in seen] == [False, False, True, True, True, True]
