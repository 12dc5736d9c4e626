"""Tables as files: Markdown for people, JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from render_adapt._paper.results.page import PageOrigin, markdown_line, write_page
from render_adapt._paper.results.tables import ACCURACY, ANGLE, RELABELLED, Row, Selection, Table
from render_adapt._paper.training.presets import NARROWER, PresetName


def write_table(
    table: Table, preset: PresetName, rows: Sequence[Row], out: Path, origin: PageOrigin
) -> tuple[Path, Path]:
    """Write a table's two files.

    Returns:
        The Markdown and the JSON file.
    """
    content = {
        "table": table.name,
        "title": table.title,
        "preset": preset,
        "narrower than the paper": NARROWER[preset],
        **dataclasses.asdict(origin),
        "rows": [as_json(row) for row in rows],
    }
    markdown = as_markdown(table, preset, rows, origin)
    return write_page(out, f"{table.name}-{preset}", markdown, content)


def as_json(row: Row) -> dict[str, object]:
    """A row as the JSON file has it."""
    values = dataclasses.asdict(row)
    return values | {"paper value": values.pop("paper"), "paper std": values.pop("paper_std")}


def as_markdown(table: Table, preset: PresetName, rows: Sequence[Row], origin: PageOrigin) -> str:
    """The table as people read it."""
    number = table.name.removeprefix("table")
    used = ", ".join(dict.fromkeys(row.hardware for row in rows if row.hardware))
    lines = [
        f"# Table {number}: {table.title} ({preset} preset)",
        "",
        f"`{origin.command}`, {origin.date}, commit {origin.commit}.",
        f"Trained on: {used or 'nothing yet'}.",
        f"Less than in the paper: {NARROWER[preset]}.",
        "",
        *([table.note, ""] if table.note else []),
        "Mean and standard deviation over seeds, of the last checkpoint, on all test crops; no "
        "label of the target has a part in it, but for systems that train on some. Minutes are "
        "of one training, measuring not counted.",
        "",
    ]
    for scenario in dict.fromkeys(row.scenario for row in rows):
        of_scenario = [row for row in rows if row.scenario == scenario]
        lines += [f"## {scenario}", "", *_main(of_scenario), ""]
        lines += ["Which checkpoint counts:", "", *_selections(of_scenario), ""]
    return "\n".join(lines)


def _main(rows: Sequence[Row]) -> list[str]:
    """One line for each system."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    titles = [part for metric in metrics for part in (_title(metric), "paper")]
    lines = [markdown_line(["system", "variant", *titles, "seeds", "steps", "minutes", "state"])]
    lines.append(markdown_line(["---"] * (len(titles) + 6)))
    for group in _groups(rows, "last"):
        first = group[0]
        values = [text for row in group for text in (_ours(row), _paper(row))]
        minutes = "" if first.minutes is None else f"{first.minutes:.1f}"
        seeds = f"{first.seeds} of {first.seeds_asked}"
        end = [seeds, f"{first.steps:,}", minutes, first.status]
        lines.append(markdown_line([first.label, first.variant, *values, *end]))
    return lines


def _selections(rows: Sequence[Row]) -> list[str]:
    """One line for each system that has figures: by last, label-free, labelled validation."""
    by_selection: dict[Selection, str] = {
        "last": "last",
        "label-free": "best label-free score",
        "labelled validation": "best on labelled validation crops",
    }
    metrics = list(dict.fromkeys(row.metric for row in rows))
    titles = [f"{_title(metric)}, {title}" for metric in metrics for title in by_selection.values()]
    lines = [markdown_line(["system", "variant", *titles])]
    lines.append(markdown_line(["---"] * (len(titles) + 2)))
    groups = [_groups(rows, selection) for selection in by_selection]
    for of_system in zip(*groups, strict=True):
        first = of_system[0][0]
        cells = [_ours(group[i]) for i in range(len(metrics)) for group in of_system]
        lines.append(markdown_line([first.label, first.variant, *cells]))
    return lines


def _groups(rows: Sequence[Row], selection: Selection) -> list[list[Row]]:
    """The rows of each line, one for each metric."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.selection == selection:
            key = (row.label, row.system, row.variant, row.crops)
            groups.setdefault(key, []).append(row)
    return list(groups.values())


def _title(metric: str) -> str:
    return {ACCURACY: "accuracy", RELABELLED: "with other names", ANGLE: "mean angle"}[metric]


def _unit(row: Row) -> str:
    return "°" if row.metric == ANGLE else " %"


def _ours(row: Row) -> str:
    if row.mean is None:
        return "" if row.so_far is None else f"({row.so_far:.2f}{_unit(row)} so far)"
    spread = "" if row.std is None else f" ± {row.std:.2f}"
    return f"{row.mean:.2f}{spread}{_unit(row)}"


def _paper(row: Row) -> str:
    if row.paper_std is not None:
        return f"± {row.paper_std:g}"
    return "" if row.paper is None else f"{row.paper:g}{_unit(row)}"
