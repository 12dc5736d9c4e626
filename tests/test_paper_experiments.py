"""Jobs of `render-adapt reproduce`: whatever happens to them, they end as if nothing had."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter import CHECKPOINT, LabelledCrops, Progress, read_checkpoint
from render_adapt import DatasetError, SettingError, WorkerError
from render_adapt._paper.results.figures_page import write_pictures
from render_adapt._paper.results.page import PageOrigin
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.scenarios.subsets import take
from render_adapt._paper.training.experiments import (
    Experiment,
    Workplace,
    run_experiment,
    shared_seconds,
    state_of,
)
from render_adapt._paper.training.pool import run_all
from render_adapt._paper.training.stages import SEEN, UNSEEN, stages
from render_adapt._paper.training.systems import training_crops
from safe_files import FolderLock, write_file

SIZE = 16
OBJECTS = (*SEEN, *UNSEEN)
EXPERIMENT = Experiment("pixelda", "mnist-mnistm", "modern", "smoke", 0)


def toy_crops(n: int, seed: int, brightness: float, classes: tuple[str, ...]) -> LabelledCrops:
    """A bright square whose place is its class."""
    random = np.random.default_rng(seed)
    class_index = np.arange(n) % len(classes)
    images = np.full((n, 3, SIZE, SIZE), -1.0, np.float32)
    masks = np.zeros((n, SIZE, SIZE), bool)
    for mask, number in zip(masks, class_index, strict=True):
        row, column = divmod(int(number), 4)
        mask[1 + 5 * row : 6 + 5 * row, 4 * column : 4 * column + 4] = True
    images += (masks * brightness)[:, None] + random.normal(0, 0.05, images.shape)
    quaternion = np.tile(np.float32([1, 0, 0, 0]), (n, 1))
    return LabelledCrops(images.astype(np.float16), masks, class_index, quaternion, classes)


def toy(data: Path, cache: Path, classes: tuple[str, ...] = tuple("0123456789")) -> Scenario:
    source = toy_crops(60, 0, 1.9, classes)
    target = toy_crops(60, 1, 1.2, classes)
    train = take(target, np.arange(40))
    return Scenario(
        name="toy",
        task="digits" if len(classes) == 10 else "pose",
        source=take(source, np.arange(40)),
        source_validation=take(source, np.arange(40, 60)),
        target=train.images,
        target_train=train,
        target_validation=take(target, np.arange(40, 50)),
        target_test=take(target, np.arange(50, 60)),
    )


def toy_objects(data: Path, cache: Path) -> Scenario:
    return toy(data, cache, OBJECTS)


def broken_scenario(data: Path, cache: Path) -> Scenario:
    raise ZeroDivisionError("nobody foresaw this")


def deadly_scenario(data: Path, cache: Path) -> Scenario:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


SMALL = {
    "steps": 6,
    "checkpoint_every": 2,
    "batch": 4,
    "width": 8,
    "blocks": 1,
    "discriminator_width": 8,
    "precision": "fp32",
    "threads": 1,
}


def place(work: Path, **overrides: Any) -> Workplace:
    loaders = {
        "mnist-mnistm": toy,
        "linemod-rgb": toy_objects,
        "broken": broken_scenario,
        "deadly": deadly_scenario,
    }
    return Workplace(work, work, loaders, SMALL | overrides)


def without_seconds(history: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history]


def trained(experiment: Experiment, where: Workplace) -> dict[str, Any]:
    """All that a finished experiment left, but for how long it took."""
    checkpoint = where.folder(experiment) / where.stages(experiment)[-1].name / CHECKPOINT
    tensors, _ = read_checkpoint(checkpoint)
    result = json.loads((where.folder(experiment) / "result.json").read_text())
    return {
        "tensors": {name: tensor.numpy().tobytes() for name, tensor in tensors.items()},
        "history": without_seconds(state_of(experiment, where).history),
        "last": without_seconds([result["last"]]),
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    where = place(tmp_path_factory.mktemp("unbroken"))
    assert run_experiment(EXPERIMENT, where).status == "done"
    return trained(EXPERIMENT, where)


class Killed(BaseException):
    """What no code of ours catches, as little as SIGKILL."""


def test_job_measures_every_checkpoint(unbroken: dict[str, Any]) -> None:
    assert [record["step"] for record in unbroken["history"]] == [2, 4, 6]
    for record in unbroken["history"]:
        assert 0 <= record["test_accuracy_percent"] <= 100
        assert 0 <= record["score"] <= 1
        assert record["test_mean_angle_degrees"] is None


@pytest.mark.several_seconds
def test_death_at_any_write_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: dict[str, Any]
) -> None:
    """The n-th file is never written, for every n; the next call goes on from what is there."""
    written = 0
    dies_at = -1

    def dying_write(path: Path, content: bytes | str) -> None:
        nonlocal written
        written += 1
        if written == dies_at:
            raise Killed
        write_file(path, content)

    for module in ("render_adapt._paper.files", "adapter._files"):
        monkeypatch.setattr(f"{module}.write_file", dying_write)
    run_experiment(EXPERIMENT, place(tmp_path / "count"))
    total, last = written, dies_at
    assert total > 8
    for dies_at in range(1, total + 1):
        last, written = dies_at, 0
        where = place(tmp_path / str(dies_at))
        with pytest.raises(Killed):
            run_experiment(EXPERIMENT, where)
        assert run_experiment(EXPERIMENT, where).status == "done"
        assert trained(EXPERIMENT, where) == unbroken, f"died at write {dies_at}"
    assert last == total


@pytest.mark.several_seconds
def test_kill_at_a_random_moment_changes_nothing(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    where = place(tmp_path)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=run_experiment, args=(EXPERIMENT, where))
    process.start()
    checkpoint = where.folder(EXPERIMENT) / "pixelda" / CHECKPOINT
    while process.is_alive() and not checkpoint.exists():
        time.sleep(0.005)
    time.sleep(np.random.default_rng().uniform(0.0, 0.3))
    process.kill()
    process.join()
    assert run_experiment(EXPERIMENT, where).status == "done"
    assert trained(EXPERIMENT, where) == unbroken


def test_time_limit_saves_and_seconds_add_up(
    tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = place(tmp_path)
    assert run_experiment(EXPERIMENT, where, deadline=time.time() - 1).status == "unfinished"
    clock, passed = time.monotonic, [0.0]

    def let_time_pass(progress: Progress) -> None:
        passed[0] = 1e6 if progress.step == 2 else 0.0

    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: clock() + passed[0])
        limited = run_experiment(
            EXPERIMENT, where, deadline=time.time() + 1e5, on_progress=let_time_pass
        )
    assert limited.status == "unfinished"
    assert limited.step == 2
    done = run_experiment(EXPERIMENT, where)
    assert done.status == "done"
    assert done.seconds > limited.seconds > 0
    assert trained(EXPERIMENT, where) == unbroken


def test_finished_job_is_not_trained_again(tmp_path: Path) -> None:
    where = place(tmp_path)
    first = run_experiment(EXPERIMENT, where)
    before = (where.folder(EXPERIMENT) / "progress.json").read_bytes()
    assert run_experiment(EXPERIMENT, where) == first
    assert (where.folder(EXPERIMENT) / "progress.json").read_bytes() == before


def test_more_steps_continue_a_finished_job(tmp_path: Path) -> None:
    run_experiment(EXPERIMENT, place(tmp_path, steps=4))
    longer = run_experiment(EXPERIMENT, place(tmp_path, steps=6))
    assert [record["step"] for record in longer.history] == [2, 4, 6]
    assert run_experiment(EXPERIMENT, place(tmp_path, steps=4)).status == "done"


def test_job_of_other_settings_is_told_apart_and_left_alone(tmp_path: Path) -> None:
    run_experiment(EXPERIMENT, place(tmp_path))
    other = place(tmp_path, batch=8)
    state = run_experiment(EXPERIMENT, other)
    assert state.status == "failed"
    assert "batch 4 there, 8 now" in state.message
    assert state_of(EXPERIMENT, place(tmp_path)).status == "done"


def test_diverged_training_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    where = place(tmp_path, learning_rate=1e30)
    state = run_experiment(EXPERIMENT, where)
    assert state.status == "failed"
    assert "training diverged at step" in state.message
    assert str(tmp_path) not in state.message
    before = (where.folder(EXPERIMENT) / "progress.json").read_bytes()
    assert run_experiment(EXPERIMENT, where) == state
    assert (where.folder(EXPERIMENT) / "progress.json").read_bytes() == before


def test_failure_that_the_user_can_mend_is_tried_again(tmp_path: Path) -> None:
    where = place(tmp_path)
    stage = where.folder(EXPERIMENT) / "pixelda"
    stage.parent.mkdir(parents=True)
    stage.write_text("a file where a folder should be")
    assert run_experiment(EXPERIMENT, where).status == "failed"
    stage.unlink()
    assert run_experiment(EXPERIMENT, where).status == "done"


def test_two_commands_do_not_train_the_same_job(tmp_path: Path) -> None:
    where = place(tmp_path)
    where.folder(EXPERIMENT).mkdir(parents=True)
    with FolderLock(where.folder(EXPERIMENT) / "lock", AssertionError()):
        assert run_experiment(EXPERIMENT, where).status == "not run"
    assert run_experiment(EXPERIMENT, where).status == "done"


@pytest.mark.several_seconds
@pytest.mark.parametrize("scenario", ["broken", "deadly"])
def test_what_nobody_foresaw_ends_the_command(tmp_path: Path, scenario: str) -> None:
    experiment = dataclasses.replace(EXPERIMENT, scenario=scenario)
    error = {"broken": ZeroDivisionError, "deadly": WorkerError}[scenario]
    with pytest.raises(error, match=r"nobody foresaw|a training process died"):
        run_all([experiment], place(tmp_path), 1, deadline=time.time() + 600)


@pytest.mark.several_seconds
def test_experiments_side_by_side_one_of_which_fails(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    where = place(tmp_path)
    bad = dataclasses.replace(EXPERIMENT, seed=1)
    where.folder(bad).mkdir(parents=True)
    (where.folder(bad) / "pixelda").write_text("a file where a folder should be")
    looks: list[int] = []
    run_all(
        [bad, EXPERIMENT],
        where,
        2,
        deadline=time.time() + 600,
        on_look=lambda running, ended: looks.append(len(running)),
    )
    assert state_of(bad, where).status == "failed"
    assert trained(EXPERIMENT, where) == unbroken
    assert max(looks) == 2


def test_unseen_objects_are_in_no_training_of_the_generator(tmp_path: Path) -> None:
    experiment = Experiment("pixelda-unseen-objects", "linemod-rgb", "modern", "smoke", 0)
    where = place(tmp_path, steps=2)
    state = run_experiment(experiment, where)
    assert state.status == "done"
    assert (state.step, state.history[-1]["step"]) == (4, 4)
    assert "unseen_mean_angle_degrees" in state.history[-1]
    generator, task = where.stages(experiment)
    scenario = where.load_scenario("linemod-rgb")
    seen = training_crops(generator, scenario, None)
    names = [scenario.source.class_names[i] for i in np.unique(seen.source.class_index)]
    assert sorted(names) == sorted(SEEN)
    assert len(seen.target) == np.isin(scenario.target_train.class_index, (0, 1, 2)).sum()
    checkpoint = where.stage_folder(experiment, generator) / CHECKPOINT
    adapted = training_crops(task, scenario, checkpoint).source
    np.testing.assert_array_equal(adapted.class_index, scenario.source.class_index)
    assert np.abs(adapted.images - scenario.source.images).max() > 0.1


def test_generator_that_several_experiments_begin_with_is_trained_once(tmp_path: Path) -> None:
    experiments = [
        Experiment("pixelda", "linemod-rgb", v, "smoke", 0) for v in ("modern", "with-content")
    ]
    where = place(tmp_path, steps=2)
    folders = {
        where.stage_folder(experiment, where.stages(experiment)[0]) for experiment in experiments
    }
    assert len(folders) == 1
    first = run_experiment(experiments[0], where)
    checkpoint = folders.pop() / CHECKPOINT
    before = (checkpoint.stat().st_mtime_ns, checkpoint.read_bytes())
    second = run_experiment(experiments[1], where)
    assert (first.status, second.status) == ("done", "done")
    assert (checkpoint.stat().st_mtime_ns, checkpoint.read_bytes()) == before
    assert min(first.seconds, second.seconds) > shared_seconds(experiments[0], where) > 0


def test_semi_supervised_training_gets_the_labels_it_should(tmp_path: Path) -> None:
    scenario = toy(tmp_path, tmp_path)

    def crops(system: str) -> Any:
        stage = stages(system, "linemod-rgb", "full", "paper-era")[-1]
        few = dataclasses.replace(stage, labelled=stage.labelled and 10)
        return training_crops(few, scenario, None)

    assert (len(crops("1000-only").source), crops("1000-only").labelled_target) == (10, None)
    for system in ("synth+1000", "pixelda+1000"):
        assert crops(system).source is scenario.source
        assert len(crops(system).labelled_target) == 10
    (stage,) = stages("target-only", "mnist-usps", "cpu", "modern")
    assert training_crops(stage, scenario, None).source is scenario.target_train
    (stage,) = stages("dann", "mnist-usps", "cpu", "modern")
    assert training_crops(stage, scenario, None).labelled_target is None


ORIGIN = PageOrigin("render-adapt reproduce figures", "2026-01-01", "abc")


def test_figures_are_of_what_has_been_trained(tmp_path: Path) -> None:
    """Each training is one part of the page: what it shows, after how many steps, its figures."""
    where, out = place(tmp_path / "work"), tmp_path / "out"
    with pytest.raises(SettingError, match="no PixelDA has been trained with the preset smoke yet"):
        write_pictures("smoke", where, out, ORIGIN)
    run_experiment(EXPERIMENT, where)
    page, numbers = write_pictures("smoke", where, out, ORIGIN)
    content = json.loads(numbers.read_text())
    [entry] = content["figures"]
    assert (entry["scenario"], entry["variant"]) == ("mnist-mnistm", "modern")
    assert (entry["step"], entry["steps"]) == (6, 6)
    assert content["command"] == ORIGIN.command
    text = page.read_text()
    assert "## mnist-mnistm, modern" in text
    assert "After 6 of 6 steps." in text
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert [Path(picture).name for picture in pictures] == [
        "neighbours.png", "interpolation.png", "samples.png",
    ]  # fmt: skip
    assert all((out / picture).is_file() for picture in pictures)
    for part in ("memorisation", "style_and_content"):
        shown = re.search(rf"^{part.replace('_', ' ').capitalize()}: (.+)\.$", text, re.MULTILINE)
        assert shown is not None
        figures = {
            key.replace("_", " "): f"{value:.4g}"
            for key, value in entry[part].items()
            if isinstance(value, int | float)
        }
        assert dict(each.rsplit(" ", 1) for each in shown[1].split(", ")) == figures


def test_figures_before_the_task_network_is_trained(tmp_path: Path) -> None:
    """The generator's are shown already; what judges them comes later."""
    experiment = dataclasses.replace(EXPERIMENT, scenario="linemod-rgb")
    where = place(tmp_path / "work", steps=2)
    run_experiment(experiment, where)
    *_, last = where.stages(experiment)
    judged = write_pictures("smoke", where, tmp_path / "out", ORIGIN)[1].read_text()
    (where.stage_folder(experiment, last) / CHECKPOINT).unlink()
    alone = write_pictures("smoke", where, tmp_path / "out", ORIGIN)[1].read_text()
    content = [json.loads(text)["figures"][0]["style_and_content"] for text in (judged, alone)]
    of_task = ("same_class_percent", "right_class_percent", "mean_angle_between_looks_degrees")
    assert None not in (content[0][name] for name in of_task)
    assert content[1] == content[0] | dict.fromkeys(of_task)


def test_an_experiment_of_other_trainings_is_told_apart(tmp_path: Path) -> None:
    where = place(tmp_path)
    run_experiment(EXPERIMENT, where)
    progress = where.folder(EXPERIMENT) / "progress.json"
    content = json.loads(progress.read_text())
    content["settings"] *= 2
    progress.write_text(json.dumps(content))
    state = state_of(EXPERIMENT, where)
    assert state.status == "failed"
    assert "2 trainings there, 1 now" in state.message


@pytest.mark.parametrize(
    ("content", "reason"), [("{", "it is no JSON"), (None, "it is not a regular file")]
)
def test_a_damaged_file_of_an_experiment_is_one_sentence(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    where = place(tmp_path)
    progress = where.folder(EXPERIMENT) / "progress.json"
    progress.parent.mkdir(parents=True)
    if content is None:
        progress.mkdir()
    else:
        progress.write_text(content)
    with pytest.raises(
        DatasetError, match=rf"progress\.json cannot be read \(.*({reason}).*delete"
    ):
        state_of(EXPERIMENT, where)


def test_a_folder_of_work_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "smoke").symlink_to(tmp_path / "a disk that is not there")
    with pytest.raises(DatasetError, match=r"smoke.* cannot be made .*choose another with `work`"):
        run_experiment(EXPERIMENT, place(tmp_path))
