"""Crops/s of each stage and of whole runs, their growth, and others doing the same job, in one run.

    python -m benchmarks.throughput --json build/throughput.json
    python -m benchmarks.throughput --device cuda --precision bf16
    python -m benchmarks.throughput --growth 100 1000 10000 100000     # an hour on two cores

Stages are timed one after the other in one process with one thread, as a worker has it; whole runs
from command to dataset, start-up included, in processes of their own. "whole / slowest stage" is of
a run with one worker: 1 would be a run whose other stages cost nothing. Peers have one thread, too.
Nothing else may be at work on the machine: its load when this began is in the file.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.throughput.machine import measure_ceilings, work_of_adapter
from benchmarks.throughput.peers import PEERS, measure_peer
from benchmarks.throughput.runs import available, measure_run, projected, slopes_of
from benchmarks.throughput.stages import measure_stages
from checked_settings import RenderAdaptError
from render_adapt import RunConfig
from render_adapt._runs.studio import Studio

GROWTH = (100, 1000, 10_000)
PROJECTED = (10**6, 10**9)


def main() -> int:
    """Measure, print, and write after each part."""
    options = _parser().parse_args()
    try:
        config = Studio(
            RunConfig(
                tuple(options.objects), n=options.n, device=options.device,
                precision=options.precision, adapter=options.adapter, randomize=options.randomize,
                **({"workers": options.workers} if options.workers else {}),
            )
        ).config  # fmt: skip
    except RenderAdaptError as error:
        print(f"benchmarks.throughput: {error}", file=sys.stderr)
        return 1
    # Settings that an adapter brings are found anew by each run.
    config = replace(config, randomize=options.randomize, window=None, centre=None, off_axis=None)
    report: dict[str, Any] = {
        "machine": {"system": platform.platform(), **available(config)},
        "device": config.device,
        "precision": config.precision,
    }

    def add(part: str, figures: Any) -> None:
        shown = figures[len(report.get(part, ())) :] if isinstance(figures, list) else figures
        report[part] = list(figures) if isinstance(figures, list) else figures
        print(f"{part}:\n{_lines(shown)}", flush=True)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report, indent=1) + "\n")

    ceilings = measure_ceilings(config.device, options.side, options.copy_gib)
    add("ceilings", ceilings)
    stages = measure_stages(config)
    add("stages", stage_figures(stages, work_of_adapter(config.adapter), ceilings, config))
    alone = measure_run(replace(config, workers=1))
    add("one worker", {**alone, "whole / slowest stage": over_slowest(alone, stages)})
    if not options.no_peers:
        add("peers", beside_peers(config, alone["crops/s"], options.turns))
    runs = []
    for count in options.growth:
        runs.append(measure_run(replace(config, n=count)))
        add("growth", runs)
    if len(set(options.growth)) > 1:
        slopes = slopes_of(runs)
        add("slopes", slopes)
        add("projections, no measurements", [projected(slopes, crops) for crops in PROJECTED])
    return 0


def stage_figures(
    stages: Mapping[str, float],
    operations: float | None,
    ceilings: Mapping[str, Any],
    config: RunConfig,
) -> dict[str, Any]:
    """Crops/s of each stage, its share of a crop's time, and of what the machine can do."""
    whole = sum(stages.values())
    figures: dict[str, Any] = {
        stage: {"crops/s": 1 / seconds, "share": seconds / whole}
        for stage, seconds in stages.items()
    }
    if operations is not None and "adapt" in stages and "tflops" in ceilings:
        rate = operations / stages["adapt"] / 1e12
        figures["adapt"]["share of the matrix product"] = (
            rate / ceilings["tflops"][config.precision]
        )
    figures["write"]["share of what the disk takes, of files"] = (
        _files_of(config) / stages["write"] / ceilings["files_per_s"]
    )
    return figures


def over_slowest(alone: Mapping[str, float], stages: Mapping[str, float]) -> float:
    """How many times as long as its slowest stage a run takes."""
    return alone["seconds"] / alone["crops"] / max(stages.values())


def _files_of(config: RunConfig) -> float:
    """Files that a crop has."""
    return 4.0 if "bop" in config.format else 4 / config.shard_size


def beside_peers(config: RunConfig, ours: float, turns: int) -> dict[str, Any]:
    """Crops/s of each peer, and how many times as fast a run with one worker is."""
    studio = Studio(config)
    plans = studio.planner.plans(
        studio.models, config.seed, 0, config.n, studio.config.randomization, 0
    )
    figures: dict[str, Any] = {}
    for peer in PEERS:
        found = measure_peer(peer, studio.models, plans, config.adapter, config.device, turns)
        if "crops/s" in found:
            found["ours is so many times as fast"] = ours / found["crops/s"]
        figures[peer.name] = found
    return figures


def _lines(figures: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    rows = figures if isinstance(figures, Sequence) else [{k: v} for k, v in figures.items()]
    return "\n".join("  " + ", ".join(_words(name, v) for name, v in row.items()) for row in rows)


def _words(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name}: " + ", ".join(_words(inner, v) for inner, v in value.items())
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks.throughput", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="cpu", help="as of render-adapt")
    parser.add_argument("--precision", default="fp32", help="as of render-adapt")
    parser.add_argument("--adapter", default="shipped")
    parser.add_argument("--randomize", default="linemod")
    parser.add_argument("--objects", nargs="+", default=["ape", "can", "cat", "duck"])
    parser.add_argument("--n", type=int, default=2000, help="crops that stages are timed with")
    parser.add_argument("--growth", type=int, nargs="+", default=GROWTH, help="lengths of runs")
    parser.add_argument("--workers", type=int, default=0, help="of growing runs [all cores]")
    parser.add_argument("--turns", type=int, default=3, help="of each peer")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--side", type=int, default=2048, help="of the matrices to multiply")
    parser.add_argument("--copy-gib", type=float, default=0.5, help="to copy in memory")
    return parser


if __name__ == "__main__":
    sys.exit(main())
