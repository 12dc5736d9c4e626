"""What the paper's tables hold, and our figures for them from finished experiments."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from adapter import choose
from render_adapt._paper.training.experiments import Experiment, ExperimentState
from render_adapt._paper.training.presets import MAIN, PresetName, is_digits, variants
from render_adapt._paper.training.stages import canonical

TableName = Literal["table1", "table2", "table3", "table4", "table5", "table6"]
TABLE_NAMES: tuple[TableName, ...] = get_args(TableName)

ACCURACY, ANGLE = "accuracy_percent", "mean_angle_degrees"
RELABELLED = "relabelled_accuracy_percent"

Selection = Literal["last", "label-free", "labelled validation"]
SELECTIONS: tuple[Selection, ...] = get_args(Selection)
"""Which checkpoint of a training counts: the last (the headline, no labels of the target), the one
with the best label-free score, or the best on about 1,000 labelled target crops (the paper)."""


@dataclass(frozen=True)
class Line:
    """A system in a table, with what the paper has for it."""

    system: str
    scenario: str
    variant: str
    paper: Mapping[str, float] = field(default_factory=dict)
    """The paper's mean by metric."""
    paper_std: Mapping[str, float] = field(default_factory=dict)
    """The paper's standard deviation by metric."""
    label: str = ""
    """As the table calls it; the system's name where empty."""
    crops: str = "test"
    """The crops that it is measured on."""
    more: tuple[str, ...] = ()
    """Further metrics."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured."""
        return ((ACCURACY,) if is_digits(self.scenario) else (ACCURACY, ANGLE)) + self.more

    def experiment(self, preset: PresetName, seed: int) -> Experiment:
        """The experiment that it is measured on."""
        system, variant = canonical(self.system, self.scenario, preset, self.variant)
        return Experiment(system, self.scenario, variant, preset, seed)


@dataclass(frozen=True)
class Table:
    """One of the paper's tables."""

    name: TableName
    title: str
    lines: tuple[Line, ...]
    seeds: int
    """Seeds that it has where nobody asks for another number."""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One figure of a table, over all seeds."""

    label: str
    system: str
    scenario: str
    variant: str
    crops: str
    metric: str
    selection: Selection
    mean: float | None
    std: float | None
    """Over seeds (n - 1); None for fewer than two."""
    seeds: int
    """Finished trainings that the mean is of."""
    seeds_asked: int
    so_far: float | None
    """Where no training is finished, the figure of the first one's latest checkpoint."""
    steps: int
    """Steps of a finished training, or those asked for."""
    minutes: float | None
    """Mean duration of a finished training, measuring not counted."""
    hardware: str
    commit: str
    paper: float | None
    paper_std: float | None
    status: str
    """"done", or what is missing."""
    open: int
    """Trainings, of those asked for, that the same command would begin or continue."""


def rows(
    table: Table, preset: PresetName, seeds: int, states: Mapping[Experiment, ExperimentState]
) -> list[Row]:
    """A table's figures: a pure function of the experiments' states."""
    figures = []
    for line in table.lines:
        of_line = [states[line.experiment(preset, seed)] for seed in range(seeds)]
        for metric in line.metrics:
            figures += [_row(line, metric, selection, of_line) for selection in SELECTIONS]
    return figures


def _row(line: Line, metric: str, selection: Selection, states: Sequence[ExperimentState]) -> Row:
    finished = [state for state in states if state.status == "done"]
    key = f"{line.crops}_{metric}"
    values = [float(select(state, selection, line)[key]) for state in finished]
    begun = [state for state in states if state.history]
    return Row(
        label=line.label or line.system,
        system=line.system,
        scenario=line.scenario,
        variant=line.variant,
        crops=line.crops,
        metric=metric,
        selection=selection,
        mean=statistics.fmean(values) if values else None,
        std=statistics.stdev(values) if len(values) > 1 else None,
        seeds=len(values),
        seeds_asked=len(states),
        so_far=float(select(begun[0], selection, line)[key]) if begun and not finished else None,
        steps=max(state.steps for state in finished or states),
        minutes=statistics.fmean(s.seconds for s in finished) / 60.0 if finished else None,
        hardware="; ".join(dict.fromkeys(s.hardware for s in finished or begun)),
        commit="; ".join(dict.fromkeys(s.commit for s in finished or begun)),
        paper=line.paper.get(metric),
        paper_std=line.paper_std.get(metric),
        status=_status(states),
        open=sum(state.status in ("not run", "unfinished") for state in states),
    )


def select(state: ExperimentState, selection: Selection, line: Line) -> Mapping[str, Any]:
    """The checkpoint that counts; the last where no checkpoint has a value to choose by."""
    metric = ACCURACY if is_digits(line.scenario) else ANGLE
    key = {
        "last": "step",
        "label-free": "score",
        "labelled validation": f"validation_{metric}",
    }[selection]
    has_value = any(record[key] is not None for record in state.history)
    return choose(state.history, key if has_value else "step")


def _status(states: Sequence[ExperimentState]) -> str:
    """What is missing, over all seeds."""
    parts = []
    for seed, state in enumerate(states):
        text = {
            "done": "",
            "not run": "not run yet",
            "unfinished": f"{state.step:,} of {state.steps:,} steps",
            "failed": state.message,
        }[state.status]
        if text:
            parts.append(f"seed {seed}: {text}" if len(states) > 1 else text)
    if len(states) > 1 and all(state.status == "not run" for state in states):
        return "not run yet"
    return "; ".join(parts) or "done"


def experiments_of(table: Table, preset: PresetName, seeds: int) -> list[Experiment]:
    """What a table needs, each once: a seed of all systems, PixelDA first, then the next.

    PixelDA takes longest: begun last, it would train alone in the end.
    """
    experiments = [line.experiment(preset, seed) for seed in range(seeds) for line in table.lines]
    first = sorted(
        experiments,
        key=lambda experiment: (experiment.seed, not experiment.system.startswith("pixelda")),
    )
    return list(dict.fromkeys(first))


_TABLE1 = {
    "source-only": (78.9, 63.6),
    "coral": (81.7, 57.7),
    "mmd": (81.1, 76.9),
    "dann": (85.1, 77.4),
    "dsn": (91.3, 83.2),
    "cogan": (91.2, 62.0),
    "pixelda": (95.9, 98.2),
    "target-only": (96.5, 96.4),
}
_TABLE2: dict[str, tuple[float, float] | None] = {
    "source-only": (47.33, 89.2),
    "coral": None,
    "mmd": (72.35, 70.62),
    "dann": (99.90, 56.58),
    "dsn": (100.0, 53.27),
    "cogan": None,
    "pixelda": (99.98, 23.5),
    "target-only": (100.0, 6.47),
}


def table(name: TableName, preset: PresetName) -> Table:
    """A table's definition under a preset."""
    made = {
        "table1": _table1,
        "table2": _table2,
        "table3": _table3,
        "table4": _table4,
        "table5": _table5,
        "table6": _table6,
    }[name](preset)
    return made if preset != "smoke" else dataclasses.replace(made, seeds=1)


def _table1(preset: PresetName) -> Table:
    scenarios = ("mnist-mnistm",) if preset == "smoke" else ("mnist-usps", "mnist-mnistm")
    lines = [
        Line(system, scenario, variant, {ACCURACY: paper[scenario == "mnist-mnistm"]})
        for scenario in scenarios
        for system, paper in _TABLE1.items()
        for variant in variants(system, scenario, preset)
    ]
    return Table("table1", "Accuracy on digits", tuple(lines), seeds=3)


def _pose(values: tuple[float, float] | None) -> dict[str, float]:
    return {} if values is None else {ACCURACY: values[0], ANGLE: values[1]}


def _table2(preset: PresetName) -> Table:
    lines = [
        Line(system, "linemod-rgb", variant, _pose(paper))
        for system, paper in _TABLE2.items()
        for variant in variants(system, "linemod-rgb", preset)
    ]
    lines += [
        Line(system, "linemod-rgbd-simulated", MAIN[preset], _pose(_TABLE2[system]))
        for system in ("source-only", "pixelda", "target-only")
    ]
    return Table(
        "table2",
        "Class and pose on Cropped LineMod",
        tuple(lines),
        seeds=3,
        note=(
            "The paper's rows are RGB-D with 11 objects, but for source-only, which its Table 3 "
            "repeats as RGB; those of the baselines are of another, smaller set of renders (they "
            "are the DSN paper's). Ours are RGB with 5 objects, the real crops that are at hand; "
            "in linemod-rgbd-simulated the target's depth is simulated."
        ),
    )


def _table3(preset: PresetName) -> Table:
    variant = MAIN[preset]
    black, photographs = "linemod-rgb", "linemod-rgb-photographs"
    lines = (
        Line("source-only", black, variant, _pose((47.33, 89.2)), label="source-only, black"),
        Line("pixelda", black, variant, _pose((94.16, 55.74)), label="PixelDA, black"),
        Line(
            "source-only", photographs, variant, _pose((91.15, 50.18)),
            label="source-only, photographs",
        ),
        Line("pixelda", photographs, variant, _pose((96.95, 36.79)), label="PixelDA, photographs"),
    )  # fmt: skip
    return Table("table3", "Backgrounds of the source crops, RGB alone", lines, seeds=3)


def _table4(preset: PresetName) -> Table:
    paper = {
        "unseen": ("unseen objects", (98.98, 31.69)),
        "test": ("full test set", (99.28, 32.37)),
    }
    lines = tuple(
        Line(
            "pixelda-unseen-objects", "linemod-rgb", MAIN[preset], _pose(values),
            label=label, crops=crops,
        )
        for crops, (label, values) in paper.items()
    )  # fmt: skip
    return Table(
        "table4",
        "Objects that the generator has not seen",
        lines,
        seeds=3,
        note=(
            "The generator is trained on ape, benchvise and cat, then a task network on all "
            "objects' renders as that generator adapts them. Unseen objects: all real crops of cam "
            "and duck. The paper: 6 of 11 objects."
        ),
    )


def _table5(preset: PresetName) -> Table:
    def line(label: str, system: str, variant: str, accuracy: float, angle: float) -> Line:
        paper = {ACCURACY: accuracy, ANGLE: angle}
        return Line(
            system, "linemod-rgb", variant, paper_std=paper, label=label, more=(RELABELLED,)
        )

    lines = (
        line("- - -", "pixelda-task-after", "adapted-only", 23.26, 16.33),
        line("- adapted -", "pixelda", "adapted-only", 22.32, 17.48),
        line("source adapted -", "pixelda", "source-and-adapted", 2.04, 3.24),
        line("source adapted content", "pixelda", "with-content", 1.60, 6.97),
        Line(
            "pixelda", "mnist-usps", "source-and-adapted", label="digits: source adapted",
            more=(RELABELLED,),
        ),
        Line(
            "pixelda", "mnist-usps", "task-gradient-without-source",
            label="digits: - adapted, task gradient in G", more=(RELABELLED,),
        ),
    )  # fmt: skip
    return Table(
        "table5",
        "How much results differ from seed to seed",
        lines,
        seeds={"smoke": 1, "cpu": 3, "full": 10}[preset],
        note=(
            "What the task network is trained on, and whether the content loss is on; in the first "
            "row it is trained after the generator, on adapted crops. The paper gives standard "
            "deviations of 10 seeds and no means. The last two rows are ours: a task network that "
            "never sees source crops may agree with the generator on the wrong classes. With the "
            "best other names for its classes it would be right as often as the last column says; "
            "where that is far more, classes were exchanged for one another."
        ),
    )


def _table6(preset: PresetName) -> Table:
    paper = {
        "1000-only": (99.51, 25.26),
        "synth+1000": (99.89, 23.50),
        "pixelda+1000": (99.93, 13.31),
    }
    lines = [
        Line(system, "linemod-rgb", MAIN[preset], _pose(values)) for system, values in paper.items()
    ]
    return Table("table6", "With 1,000 labelled target crops", tuple(lines), seeds=3)
