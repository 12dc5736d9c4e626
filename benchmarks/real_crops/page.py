"""The figures of all pieces that are there, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_crops.estimators import RECIPES
from benchmarks.real_crops.figures import WITHIN
from benchmarks.real_crops.pieces import Work
from benchmarks.real_crops.training import SETTLED
from render_adapt._paper.scenarios.linemod_crops import OBJECTS

_INTRODUCTION = """\
Each estimator is trained the same way on each set (AdamW, warm-up, cosine; gain, offset and noise
drawn anew for each crop) and tested on LINEMOD's real crops. Degrees, over all crops, rightly
classified or not; 180 where no pose was found. Shares are of crops whose object is right and whose
pose is so near. *As labelled*: against the labels, which are egocentric, so that one who sees the
crop alone is charged the 6 to 7 degrees at which it lay off the axis. *Allocentric*: as seen by a
camera that looks straight at the crop, for cam and cat alone, whose places are known; labels of set
e are not. Where several seeds are there, figures are their mean, with least and greatest behind it.
*Own*: mean error on crops of the set itself that were held out; an estimator has *settled* that
took less than {settled:.0%} off it in the last quarter of its training."""


_SETTLED = {True: "yes", False: "no", None: "?"}


def write_page(work: Work, out: Path) -> None:
    """Write OUT.json and OUT.md.

    Args:
        work: what is done.
        out: without suffix.
    """
    done = {name: work.result(name) for name in work.plan.names if work.is_done(name)}
    sets = work.plan.sets
    result = {
        "date": date.today().isoformat(),
        "recipes": {name: asdict(recipe) for name, recipe in RECIPES.items()},
        "sets": {name: sets.says(name) for name in sets.names},
        "missing": [name for name in work.plan.names if name not in done],
        "pieces": done,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    out.with_suffix(".md").write_text(as_text(result, tuple(work.plan.real)))


def as_text(result: Mapping[str, Any], real: Sequence[str]) -> str:
    """The page.

    Args:
        result: as `write_page` writes it.
        real: names of the real crops that were tested on.
    """
    lines = [f"# What training sets are worth on real crops, {result['date']}", ""]
    lines += [_INTRODUCTION.format(settled=SETTLED), ""]
    lines += [f"- **{name}**: {says}" for name, says in result["sets"].items()]
    lines += [f"- *{name}*: {recipe['says']}" for name, recipe in result["recipes"].items()]
    trained = _by_set(result["pieces"])
    for name in real:
        counts = {one["real"][name]["all"]["crops"] for seeds in trained.values() for one in seeds}
        crops = " or ".join(map(str, sorted(counts))) or "no"
        lines += ["", f"## Real crops: {name}, {crops} of them", "", *_table(trained, name)]
        lines += ["", f"### By object: {name}, mean as labelled", "", *_objects(trained, name)]
    lines += ["", "## Sets beside real crops", "", *_against(result["pieces"])]
    missing = ", ".join(result["missing"]) or "nothing"
    lines += ["", f"Not measured: {missing}."]
    return "\n".join(lines) + "\n"


Trained = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""Estimator and set to the figures of its seeds."""


def _by_set(pieces: Mapping[str, Any]) -> Trained:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for name, figures in pieces.items():
        kind, which, *_ = name.split(":")
        if kind != "against":
            found.setdefault((kind, which), []).append(figures)
    return dict(sorted(found.items(), key=lambda entry: list(RECIPES).index(entry[0][0])))


def _table(trained: Trained, real: str) -> list[str]:
    columns = [
        "estimator", "set", "seeds", "class", "no pose", "mean", "median",
        *(f"within {most}" for most in WITHIN), "cam, cat as labelled", "allocentric", "median",
        "own", "settled",
    ]  # fmt: skip
    lines = _head(columns)
    for (kind, which), seeds in trained.items():
        tested = [one["real"][real]["all"] for one in seeds]
        last = [list(one["held_out"]["curve"].values())[-1]["mean"] for one in seeds]
        cells = [
            kind, which, str(len(tested)), _spread([one["class_percent"] for one in tested], " %"),
            _spread([one["without_pose_percent"] for one in tested], " %"),
            *(_of(tested, "as_labelled", name) for name in ("mean", "median")),
            *(_of(tested, "as_labelled", f"within_{most}", " %") for most in WITHIN),
            _of(tested, "known_as_labelled", "mean"),
            *(_of(tested, "allocentric", name) for name in ("mean", "median")),
            _spread(last), "/".join(_SETTLED[one["settled"]] for one in seeds),
        ]  # fmt: skip
        lines.append(_row(cells))
    return lines


def _objects(trained: Trained, real: str) -> list[str]:
    lines = _head(["estimator", "set", *OBJECTS])
    for (kind, which), seeds in trained.items():
        tested = [one["real"][real] for one in seeds]
        cells = [
            _of([one[name] for one in tested if name in one], "as_labelled", "mean")
            for name in OBJECTS
        ]
        lines.append(_row([kind, which, *cells]))
    return lines


def _against(pieces: Mapping[str, Any]) -> list[str]:
    rows = {name: one for name, one in pieces.items() if name.startswith("against:")}
    features = list(dict.fromkeys(name for one in rows.values() for name in one["kid"]))
    lines = [
        "KID times 1000 on features whose scale is that of real crops, against the real test "
        "crops; a small network's share of right answers to whether a crop is real (50 is "
        "guessing); copies as `adapter.memorisation` has it, beside real test crops; mean change "
        "of a pixel, of 255, when noise alone changes.",
        "",
        *_head(
            [
                "set", *(f"KID, {name}" for name in features), "told apart",
                "median distance ratio", "of real test crops", "below half",
                "change on the object", "off it",
            ]
        ),
    ]  # fmt: skip
    for name, one in rows.items():
        kid = [one["kid"].get(feature) for feature in features]
        copies, noise = one["copies"], one.get("diversity", {})
        unknown = "adapter not given" if one["adapted"] else ""
        lines.append(
            _row(
                [
                    name.partition(":")[2],
                    *(f"{k['kid']:.2f} +- {k['std']:.2f}" if k else "" for k in kid),
                    f"{one['told_apart_percent']:.1f} %", f"{copies['median_ratio']:.2f}",
                    f"{copies['held_out_median_ratio']:.2f}",
                    f"{100 * copies['share_below_half']:.1f} %",
                    *(str(noise.get(part, unknown)) for part in ("object", "background")),
                ]
            )
        )  # fmt: skip
    return lines


def _of(tested: Sequence[Mapping[str, Any]], counted: str, name: str, unit: str = "") -> str:
    return _spread([one[counted][name] for one in tested if one[counted]], unit)


def _spread(values: Sequence[float], unit: str = "") -> str:
    """Their mean, with least and greatest where there are several; nothing of none."""
    if not values:
        return ""
    mean = f"{np.mean(values):.1f}"
    return f"{mean}{unit}" + (f" ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else "")


def _head(columns: Sequence[str]) -> list[str]:
    return [_row(columns), "|---" * len(columns) + "|"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
