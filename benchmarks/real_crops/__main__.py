"""What training sets are worth on LINEMOD's real crops.

    python -m benchmarks.real_crops --data DATA                       # all of it, many hours
    python -m benchmarks.real_crops --data DATA --only dense:b:0 --max-minutes 10
    python -m benchmarks.real_crops --data DATA --set aligned=build/aligned --only '*:aligned:0'
    python -m benchmarks.real_crops --data DATA --list

Strong estimators, and the paper's tower beside them, are trained the same way on each set and
tested on real crops. Pieces are ESTIMATOR:SET:SEED, and against:SET, how like real crops a set is;
each that is finished leaves its figures in WORK/pieces, and one that was stopped goes on when it is
called again. Sets are datasets of `render-adapt`, made here where they are missing:

    a       plain renders                      e       real crops with labels
    b       the best randomisation             e_rays  the same, along known or estimated rays
    c       crops of the shipped adapter       e_1000  1,000 of e
    d       as many of c as of b

A set of your own is a dataset, or several, as many crops of each: `--set NAME=DIR[,DIR or SET]`.
After each call, what is there is written to OUT.json and OUT.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import cv2

from benchmarks.real_crops.page import write_page
from benchmarks.real_crops.pieces import Plan, Work
from benchmarks.real_crops.sets import Sets
from checked_settings import RenderAdaptError
from render_adapt._config import available_cores

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> None:
    """Do pieces, and write what is there."""
    options = _parser().parse_args(arguments)
    threads = options.threads or available_cores()
    cv2.setNumThreads(threads)
    given = dict(_pair(one) for one in options.set)
    sets = Sets(
        options.data, options.work, options.crops,
        {name: parts.split(",") for name, parts in given.items()}, threads, options.real_crops,
    )  # fmt: skip
    real = {"test": options.data / "linemod/crops/test"}
    real |= {name: Path(folder) for name, folder in map(_pair, options.real)}
    plan = Plan(
        sets, real, options.seeds, options.steps, options.device, options.precision,
        ("shipped", *options.adapter),
    )  # fmt: skip
    try:
        work = Work(plan, lambda line: print(line, flush=True), options.max_minutes)
        if options.list:
            print("\n".join(f"{work.standing(name):5} {name}" for name in plan.names))
            return
        work.do(options.only)
        write_page(work, options.out)
    except RenderAdaptError as error:
        sys.exit(f"{error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks.real_crops", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    data = Path(os.environ.get("RENDER_ADAPT_DATA", ROOT.parent / "shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="has linemod/, imagenet_samples/")
    parser.add_argument("--work", type=Path, default=Path("build/real_crops"))
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks/results/real_crops", help="without suffix"
    )
    parser.add_argument("--only", nargs="+", default=["*"], help="names of pieces; * is any text")
    parser.add_argument("--max-minutes", type=float, default=0.0, help="0 is no limit")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=DIR[,DIR or SET]")
    parser.add_argument(
        "--real", action="append", default=[], metavar="NAME=DIR",
        help="further real crops to test on: poses.json and a folder for each object",
    )  # fmt: skip
    parser.add_argument(
        "--adapter", action="append", default=[], help="folder of one that a --set was adapted by"
    )
    parser.add_argument("--crops", type=int, default=24_000, help="in each set at most")
    parser.add_argument("--real-crops", type=int, help="of each object at most, for trying out")
    parser.add_argument("--steps", type=int, help="in place of the recipes', for trying out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0 takes all cores")
    parser.add_argument("--list", action="store_true", help="show the pieces and how far they are")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value) or ":" in name:
        sys.exit(f"{text!r} is not NAME=VALUE, as in aligned=build/aligned")
    return name, value


if __name__ == "__main__":
    main()
