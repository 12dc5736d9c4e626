"""What label fidelity is worth: planted faults found, crops redrawn and dropped, time spent.

    python -m benchmarks.fidelity --out benchmarks/results/fidelity

Faults are planted before the adapter: it adapts a render in which the object is elsewhere, and the
crop is judged against the label that it should have had. Twice: with the faulty depth that came
out of the adapter, and with colours alone, as for an adapter that leaves depth as rendered.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import Adapter, load_adapter
from cad_models import CadModel, load_models
from render_adapt._config import RunConfig, plan_as_learnt
from render_adapt._coupling import adapt_crops
from render_adapt._fidelity.faithful import adapt_faithfully
from render_adapt._fidelity.judge import FidelityScores, Judge, make_judge
from render_adapt._fidelity.training.faults import erased, shifted, swapped, turned
from renderer import CropBatch, Plans, Renderer, capture, make_plans, make_renderer

SEED = 4321
FALSE_ALARMS = 0.01
THRESHOLDS = (0.001, 0.01, 0.05)
REDRAWS = 3
AT_ONCE = 64
FIRST_FAULTY = 1_000_000

Fault = Callable[[Plans, Sequence[CadModel], np.random.Generator], Plans]
FAULTS: dict[str, Fault] = {
    "shifted by 2 px": lambda plans, models, random: shifted(plans, 2, random),
    "shifted by 4 px": lambda plans, models, random: shifted(plans, 4, random),
    "shifted by 8 px": lambda plans, models, random: shifted(plans, 8, random),
    "turned by 5 degrees": lambda plans, models, random: turned(plans, models, 5, random),
    "turned by 15 degrees": lambda plans, models, random: turned(plans, models, 15, random),
    "turned by 45 degrees": lambda plans, models, random: turned(plans, models, 45, random),
    "erased": lambda plans, models, random: erased(plans),
    "swapped for another": swapped,
}
PARTS = ("fidelity", "edges", "depth", "judge", "colours alone")


class Bench:
    """An adapter, its objects and its judge."""

    def __init__(self, adapter: str) -> None:
        self.adapter: Adapter = load_adapter(adapter)
        self.judge: Judge = make_judge(adapter, self.adapter)
        self.models = load_models(self.adapter.info.class_names)
        self.plan = plan_as_learnt(self.adapter.info)
        run = RunConfig(("any",), n=1, adapter=adapter).fitted_to(self.adapter.info)
        self.randomization = run.randomization
        self.renderer: Renderer = make_renderer("raster", self.models, levels=False)

    def plans(self, start: int, stop: int) -> Plans:
        return make_plans(self.plan, self.models, SEED, start, stop)

    def render(self, plans: Plans) -> CropBatch:
        return capture(self.renderer.render(plans), self.randomization, SEED, self.models)

    def adapt(self, renders: CropBatch) -> CropBatch:
        return adapt_crops(renders, self.adapter, SEED, self.plan.window)


def main() -> None:
    """Run the parts and write FILE.json and FILE.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", default="shipped")
    parser.add_argument("--crops", type=int, default=10_000)
    parser.add_argument("--faulty", type=int, default=1000, help="crops with each fault")
    parser.add_argument("--out", type=Path, required=True, help="without suffix")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    bench = Bench(options.adapter)
    faithful, dropped, seconds = judge_faithful(bench, options.crops)
    shares = {
        name: find(columns(judge_faulty(bench, fault, options.faulty)), columns(faithful))
        for name, fault in FAULTS.items()
    }
    result = {
        "adapter": bench.adapter.info.sha256["generator.onnx"],
        "judge": bench.judge.calibration.judge_sha256,
        "objects": list(bench.adapter.info.class_names),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
        "crops": options.crops,
        "faulty_crops_each": options.faulty,
        "found_at_1_percent_false_alarms": shares,
        "below": {
            str(limit): round(float((faithful.fidelity < limit).mean()), 5) for limit in THRESHOLDS
        },
        "redraws_at_most": REDRAWS,
        "redrawn_and_dropped": dropped,
        "milliseconds_per_crop": {
            stage: round(1e3 * spent / options.crops, 3) for stage, spent in seconds.items()
        },
    }
    options.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    options.out.with_suffix(".md").write_text(as_text(result))
    print(as_text(result))


def judge_faithful(
    bench: Bench, crops: int
) -> tuple[FidelityScores, dict[str, dict[str, int]], dict[str, float]]:
    """Scores of crops as the adapter makes them; how many would be redrawn and dropped; time."""
    parts, seconds = [], {"render": 0.0, "adapt": 0.0, "score": 0.0}
    counts = {str(limit): {"redrawn": 0, "dropped": 0} for limit in THRESHOLDS}
    for start in range(0, crops, AT_ONCE):
        times = [time.process_time()]
        renders = bench.render(bench.plans(start, min(start + AT_ONCE, crops)))
        times.append(time.process_time())
        adapted = bench.adapt(renders)
        times.append(time.process_time())
        parts.append(bench.judge.score(adapted, renders))
        times.append(time.process_time())
        for stage, spent in zip(seconds, np.diff(times), strict=True):
            seconds[stage] += spent
        for limit in THRESHOLDS:
            failing = np.flatnonzero(parts[-1].fidelity < limit)
            if len(failing):
                mended = adapt_faithfully(
                    renders[failing], bench.adapter, bench.judge, seed=SEED,
                    window=bench.plan.window,
                    min_fidelity=limit, redraws=REDRAWS,
                )  # fmt: skip
                counts[str(limit)]["redrawn"] += mended.redrawn
                counts[str(limit)]["dropped"] += mended.dropped
    return joined(parts), counts, seconds


def judge_faulty(bench: Bench, fault: Fault, crops: int) -> FidelityScores:
    """Scores of crops that show something else than their labels say."""
    parts = []
    for start in range(FIRST_FAULTY, FIRST_FAULTY + crops, AT_ONCE):
        plans = bench.plans(start, min(start + AT_ONCE, FIRST_FAULTY + crops))
        faulty = fault(plans, bench.models, np.random.default_rng([SEED, start]))
        parts.append(bench.judge.score(bench.adapt(bench.render(faulty)), bench.render(plans)))
    return joined(parts)


def joined(parts: Sequence[FidelityScores]) -> FidelityScores:
    """One after the other."""
    return FidelityScores(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("edges", "depth", "judge"))
    )


def columns(scores: FidelityScores) -> dict[str, NDArray[np.float64]]:
    """Fidelity, its parts, and what it is without depth."""
    alone = replace(scores, depth=np.full(len(scores), np.nan)).fidelity
    values = (scores.fidelity, scores.edges, scores.depth, scores.judge, alone)
    return dict(zip(PARTS, values, strict=True))


def find(
    faulty: dict[str, NDArray[np.float64]], faithful: dict[str, NDArray[np.float64]]
) -> dict[str, float]:
    """Share of the faulty crops below what all but 1 % of the faithful ones exceed."""
    limits = {part: np.quantile(faithful[part], FALSE_ALARMS) for part in PARTS}
    return {part: round(float((faulty[part] < limits[part]).mean()), 4) for part in PARTS}


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Label fidelity of the shipped adapter",
        "",
        f"{result['crops']} crops of {', '.join(result['objects'])} as they come, and "
        f"{result['faulty_crops_each']} with each fault. Share of the faulty crops found, where "
        "1 % of the others raise a false alarm:",
        "",
        "| fault | fidelity | by edges | by depth | by the judge | fidelity without depth |",
        "|---|---|---|---|---|---|",
    ]
    for name, shares in result["found_at_1_percent_false_alarms"].items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * shares[p]:.1f} %" for p in PARTS) + " |")
    lines += [
        "",
        f"Of the {result['crops']} crops, with up to {result['redraws_at_most']} other noise "
        "vectors each:",
        "",
        "| `--min-fidelity` | below it at first | redrawn | dropped |",
        "|---|---|---|---|",
    ]
    for limit, share in result["below"].items():
        count = result["redrawn_and_dropped"][limit]
        lines.append(
            f"| {limit} | {round(share * result['crops'])} | {count['redrawn']} "
            f"| {count['dropped']} |"
        )
    spent = result["milliseconds_per_crop"]
    lines += [
        "",
        f"Processor time a crop on {result['hardware']}, shared with other work: rendering "
        f"{spent['render']:.2f} ms, adapting {spent['adapt']:.2f} ms, scoring "
        f"{spent['score']:.2f} ms.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
