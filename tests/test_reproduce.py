"""`render-adapt reproduce`: tables that say what they are made of, and the command's errors."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import statistics
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from adapter import FREE_SETTINGS, PRESETS
from checked_settings import SettingError
from render_adapt._paper.reproduce import ReproduceRun, reproduce
from render_adapt._paper.results.page import PageOrigin
from render_adapt._paper.results.table_page import as_markdown, write_table
from render_adapt._paper.results.tables import (
    ACCURACY,
    ANGLE,
    TABLE_NAMES,
    Line,
    Table,
    experiments_of,
    rows,
    table,
)
from render_adapt._paper.training.experiments import ExperimentState
from render_adapt._paper.training.presets import PRESET_NAMES, pixelda
from render_adapt._paper.training.stages import stages
from tests.command import run_command

PROVENANCE = PageOrigin("render-adapt reproduce table1", "2026-01-01", "abc")


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_experiment_of_every_table_has_settings(name: Any, preset: Any) -> None:
    for experiment in experiments_of(table(name, preset), preset, 2):
        for stage in stages(
            experiment.system, experiment.scenario, experiment.preset, experiment.variant
        ):
            expected = "cuda" if preset == "full" else "cpu"
            assert stage.changed(seed=experiment.seed).config.device == expected
            assert stage.config.task in (
                "none",
                "digits" if "mnist" in experiment.scenario else "pose",
            )


def test_full_preset_is_the_papers() -> None:
    for scenario, name in (
        ("mnist-usps", "usps"), ("mnist-mnistm", "mnistm"), ("linemod-rgb", "linemod"),
    ):  # fmt: skip
        ours = dataclasses.asdict(pixelda(scenario, "full", "paper-era"))
        paper = dataclasses.asdict(PRESETS[name])
        assert {k for k in ours if ours[k] != paper[k]} <= FREE_SETTINGS


def test_table5_of_the_papers_settings() -> None:
    """(source, adapted, content) of each row, as the paper's Table 5 ticks them."""
    ticks = []
    for line in table("table5", "full").lines[:4]:
        experiment = line.experiment("full", 0)
        config = stages(
            experiment.system, experiment.scenario, experiment.preset, experiment.variant
        )[0].config
        trained_beside = config.task == "pose"
        ticks.append(
            (
                trained_beside and config.task_on_source,
                trained_beside,
                config.similarity_weight > 0,
            )
        )
    assert ticks == [
        (False, False, False), (False, True, False), (True, True, False), (True, True, True),
    ]  # fmt: skip


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_tables_share_their_pixelda(preset: Any) -> None:
    """What serves several tables is trained once: whole experiments, or their generators."""
    of = {name: experiments_of(table(name, preset), preset, 1) for name in TABLE_NAMES}
    pixelda_experiments = {
        experiment
        for experiment in of["table2"]
        if experiment.system == "pixelda" and experiment.scenario == "linemod-rgb"
    }
    assert pixelda_experiments & set(of["table3"])

    def first_stages(experiments: Any) -> list[Any]:
        made = [stages(e.system, e.scenario, e.preset, e.variant) for e in experiments]
        return [first for first, *_ in made]

    generators = first_stages(pixelda_experiments)
    # In cpu, Table 5 is of shorter trainings; in full, Table 6's task network learns beside.
    sharing = "table6" if preset == "cpu" else "table5"
    assert any(stage in generators for stage in first_stages(of[sharing]))


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_first_row_of_table5_is_without_content_loss(preset: Any) -> None:
    experiment = table("table5", preset).lines[0].experiment(preset, 0)
    generator, task = stages(
        experiment.system, experiment.scenario, experiment.preset, experiment.variant
    )
    assert (generator.config.task, generator.config.similarity_weight) == ("none", 0.0)
    assert task.adapted_source


def state(
    status: Any = "done", accuracies: tuple[float, ...] = (), minutes: float = 2.0, **more: Any
) -> ExperimentState:
    """The state with a checkpoint every 100 steps; scores fall, validation is accuracy."""
    history = tuple(
        {
            "step": 100 * (number + 1),
            "score": 1.0 / (number + 1),
            "validation_accuracy_percent": accuracy,
            "validation_mean_angle_degrees": 100 - accuracy,
            "test_accuracy_percent": accuracy,
            "test_mean_angle_degrees": 100 - accuracy,
        }
        for number, accuracy in enumerate(accuracies)
    )
    given = {"step": 100 * len(history), "steps": 300, "hardware": "a processor", "commit": "c0"}
    return ExperimentState(status=status, seconds=60 * minutes, history=history, **(given | more))


SYSTEM = Line("dann", "mnist-usps", "modern", {ACCURACY: 85.1})
SMALL_TABLE = Table("table1", "Digits", (SYSTEM,), seeds=3)


def figures(*states: ExperimentState, line: Line = SYSTEM) -> dict[tuple[str, str], Any]:
    """Rows by selection and metric."""
    of = {line.experiment("cpu", seed): state for seed, state in enumerate(states)}
    small = dataclasses.replace(SMALL_TABLE, lines=(line,))
    return {(r.selection, r.metric): r for r in rows(small, "cpu", len(states), of)}


def test_rows_of_finished_experiments() -> None:
    found = figures(state(accuracies=(80, 95, 90)), state(accuracies=(70, 60, 80), minutes=4))
    last = found["last", ACCURACY]
    assert (last.mean, last.std) == (85.0, pytest.approx(statistics.stdev([90, 80])))
    assert found["label-free", ACCURACY].mean == 75.0  # the first checkpoints
    assert found["labelled validation", ACCURACY].mean == 87.5  # the best ones
    assert (last.seeds, last.steps, last.minutes, last.paper) == (2, 300, 3.0, 85.1)
    assert (last.hardware, last.commit, last.status) == ("a processor", "c0", "done")
    assert last.open == 0


def test_rows_choose_poses_by_their_angle() -> None:
    line = Line("dann", "linemod-rgb", "modern", {ACCURACY: 99.9, ANGLE: 56.58})
    found = figures(state(accuracies=(80, 95, 90)), line=line)
    assert found["labelled validation", ANGLE].mean == 5.0
    assert found["last", ANGLE].mean == 10.0
    assert found["last", ANGLE].paper == 56.58


def test_rows_hide_nothing_that_is_missing() -> None:
    not_run = ExperimentState("not run", 0, 300)
    unfinished = state("unfinished", (80, 82))
    failed = state("failed", (), step=7, message="training diverged at step 7")
    row = figures(not_run, not_run)["last", ACCURACY]
    assert (row.mean, row.so_far, row.seeds, row.status) == (None, None, 0, "not run yet")
    row = figures(unfinished)["last", ACCURACY]
    assert (row.mean, row.so_far, row.status) == (None, 82.0, "200 of 300 steps")
    row = figures(state(accuracies=(90,)), unfinished, failed)["last", ACCURACY]
    assert (row.mean, row.std, row.seeds, row.seeds_asked) == (90.0, None, 1, 3)
    assert row.status == "seed 1: 200 of 300 steps; seed 2: training diverged at step 7"
    assert row.open == 1  # one that diverged would diverge again


def test_scores_that_are_no_numbers_leave_the_last_checkpoint() -> None:
    history = tuple({**r, "score": None} for r in state(accuracies=(80, 95, 90)).history)
    found = figures(dataclasses.replace(state(), history=history))
    assert found["label-free", ACCURACY].mean == 90.0


def test_table_files(tmp_path: Path) -> None:
    states = {
        SYSTEM.experiment("cpu", seed): state(accuracies=(80, 90 + seed)) for seed in range(2)
    }
    found = rows(SMALL_TABLE, "cpu", 2, states)
    markdown, data = write_table(SMALL_TABLE, "cpu", found, tmp_path / "results", PROVENANCE)
    assert (markdown.name, data.name) == ("table1-cpu.md", "table1-cpu.json")
    required = {
        "system", "scenario", "variant", "metric", "mean", "std", "seeds", "steps", "minutes",
        "hardware", "commit", "paper value", "selection", "status",
    }  # fmt: skip
    content = json.loads(data.read_text())
    assert content["preset"] == "cpu"
    assert len(content["rows"]) == 3
    for row in content["rows"]:
        assert required <= set(row)
    assert content["rows"][0]["mean"] == 90.5
    text = markdown.read_text()
    assert "| dann | modern | 90.50 ± 0.71 % | 85.1 % | 2 of 2 | 300 | 2.0 | done |" in text
    for part in ("a processor", "2026-01-01", "abc", "32 feature maps", PROVENANCE.command):
        assert part in text


def test_page_of_a_table_that_nobody_has_trained() -> None:
    for name in TABLE_NAMES:
        wanted = table(name, "cpu")
        states = {
            experiment: ExperimentState("not run", 0, 10)
            for experiment in experiments_of(wanted, "cpu", 1)
        }
        text = as_markdown(wanted, "cpu", rows(wanted, "cpu", 1, states), PROVENANCE)
        assert text.count("not run yet") == len(wanted.lines)
        assert "nothing yet" in text


def test_papers_figures() -> None:
    """A few, copied from the paper's tables by hand."""

    def paper(name: Any, system: str, scenario: str, metric: str) -> set[float | None]:
        lines = table(name, "cpu").lines
        found = [line for line in lines if (line.system, line.scenario) == (system, scenario)]
        return {line.paper.get(metric) for line in found}

    assert paper("table1", "pixelda", "mnist-mnistm", ACCURACY) == {98.2}
    assert paper("table1", "cogan", "mnist-usps", ACCURACY) == {91.2}
    assert paper("table2", "mmd", "linemod-rgb", ANGLE) == {70.62}
    assert paper("table2", "coral", "linemod-rgb", ANGLE) == {None}
    assert paper("table3", "pixelda", "linemod-rgb-photographs", ANGLE) == {36.79}
    assert paper("table4", "pixelda-unseen-objects", "linemod-rgb", ANGLE) == {31.69, 32.37}
    assert paper("table6", "synth+1000", "linemod-rgb", ANGLE) == {23.5}
    stds = [line.paper_std.get(ANGLE) for line in table("table5", "cpu").lines[:4]]
    assert stds == [16.33, 17.48, 3.24, 6.97]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"what": "table7"}, "`what` is table7: it must be table1"),
        ({"preset": "huge"}, "`preset` is huge: it must be smoke, cpu or full"),
        ({"seeds": 0}, "`seeds` is 0"),
        ({"jobs": -1}, "`jobs` is -1"),
        ({"steps": 0}, "`steps` is 0"),
        ({"max_minutes": -1.0}, "`max_minutes` is -1"),
        ({"only": ("dan/",)}, "`only` dan/ leaves no training"),
        ({"preset": "full"}, "GPU"),
        ({"what": "figures"}, "run render-adapt reproduce table1 --preset smoke first"),
    ],
)
def test_what_is_asked_wrongly(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    import torch

    if change.get("preset") == "full" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    given = {"what": "table1", "preset": "smoke", "work": tmp_path, "out": tmp_path} | change
    with pytest.raises(SettingError, match=message) as error:
        reproduce(ReproduceRun(**given))
    assert str(error.value).count("\n") == 0


def cli_error(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    with pytest.raises(SystemExit) as stop:
        run_command("reproduce", *arguments)
    assert stop.value.code == code
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("render-adapt: ")]) == 1
    return "\n".join(lines)


def test_command_without_its_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec

    def without_two(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("h5py", "sklearn") else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_two)
    error = cli_error(capsys, "table1", code=1)
    assert "reproduce needs h5py, sklearn; install with: pip install 'render-adapt[paper]'" in error


def test_command_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ("--work", tmp_path / "w", "--out", tmp_path / "o", "--data", tmp_path / "none")
    error = cli_error(capsys, "table1", "--preset", "smoke", "--jobs", 1, *folders)
    assert "none" in error
    assert not (tmp_path / "o").exists()


def test_command_whose_time_is_up_says_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It trains nothing, and writes the table of what there is."""
    folders = ("--work", tmp_path / "w", "--out", tmp_path / "o", "--data", tmp_path / "none")
    with pytest.raises(SystemExit) as stop:
        run_command("reproduce", "table1", "--preset", "smoke", "--max-minutes", 1e-9, *folders)
    assert not stop.value.code
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "o/table1-smoke.json").read_text())["rows"]
    assert {row["status"] for row in rows} == {"not run yet"}
    systems = {(row["scenario"], row["system"], row["variant"]) for row in rows}
    assert f"{len(systems)} trainings are unfinished; the same command continues" in printed


def test_command_of_an_unknown_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert "table9" in cli_error(capsys, "table9")


@pytest.mark.several_seconds
def test_smoke_shows_adaptation_on_real_digits(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (data_dir / "digits").is_dir():
        pytest.skip(f"needs MNIST and USPS in {data_dir}/digits")
    folders = ("--work", tmp_path / "w", "--out", tmp_path / "o", "--data", data_dir)
    with pytest.raises(SystemExit) as stop:
        run_command("reproduce", "table1", "--preset", "smoke", *folders)
    assert not stop.value.code, capsys.readouterr().err
    content = json.loads((tmp_path / "o/table1-smoke.json").read_text())
    assert str(tmp_path) not in json.dumps(content)
    last = {row["system"]: row for row in content["rows"] if row["selection"] == "last"}
    assert {row["status"] for row in last.values()} == {"done"}
    assert last["pixelda"]["mean"] > last["source-only"]["mean"] + 2
    assert last["target-only"]["mean"] > last["source-only"]["mean"]
