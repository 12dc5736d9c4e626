"""What verdicts are of adapters that are known to be good or bad, and of renders: where bars lie.

    python -m benchmarks.verdicts --data ../shared/data --target build/linemod_target \
        --adapter fast=linemod-rgbd-fast six=build/six_steps best=build/best \
        --json benchmarks/results/verdicts.json

Adapters are judged as `render-adapt train` judges its own, on LINEMOD's models, beside LINEMOD's
real crops; copies of them, so that nothing of theirs is changed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import (
    adapter_folder,
    domain_features,
    encode,
    kernel_distance,
    read_info,
    read_target,
    told_apart,
)
from cad_models import CadModel, load_models
from render_adapt import judge_adapter
from render_adapt._config import plan_as_learnt
from render_adapt._paper.scenarios.linemod_crops import OBJECTS
from render_adapt._verdict.words import headline
from renderer import RasterRenderer, make_plans

_CROPS, _COMPARED = 1000, 600


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds linemod/")
    parser.add_argument(
        "--target", type=Path, required=True, help="what `make linemod-target` made"
    )
    parser.add_argument(
        "--adapter", nargs="+", default=["fast=linemod-rgbd-fast"], metavar="NAME=DIR"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    models = load_models(OBJECTS, models=arguments.data / "linemod/models")
    real = read_target(arguments.target, channels=3).images
    figures: dict[str, Any] = {
        "real crops by halves": halves(real),
        "renders": renders(models, real),
    }
    for entry in arguments.adapter:
        name, _, path = entry.partition("=")
        figures[name] = judged(adapter_folder(path), models, real)
        print(name, json.dumps(figures[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def halves(real: NDArray[Any]) -> dict[str, float]:
    """The camera's crops beside others of them."""
    order = np.random.default_rng(0).permutation(len(real))[: 2 * _COMPARED]
    first, second = (domain_features(real[rows]) for rows in np.array_split(order, 2))
    return compared(first, second)


def renders(models: list[CadModel], real: NDArray[Any]) -> dict[str, float]:
    """Renders on black, cut as those that come with the package were."""
    plan = plan_as_learnt(read_info(adapter_folder("linemod-rgbd-fast")))
    crops = RasterRenderer(models, levels=False).render(make_plans(plan, models, 1, 0, _COMPARED))
    rows = np.random.default_rng(0).permutation(len(real))[:_COMPARED]
    return compared(domain_features(encode(crops.rgb, None, None)), domain_features(real[rows]))


def compared(crops: NDArray[np.float64], real: NDArray[np.float64]) -> dict[str, float]:
    """Of features."""
    return {
        "told_apart_percent": round(told_apart(crops, real), 1),
        "distance": round(kernel_distance(crops, real, real).mean, 3),
    }


def judged(folder: Path, models: list[CadModel], real: NDArray[Any]) -> dict[str, Any]:
    """An adapter's verdict."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(shutil.copytree(folder, Path(temporary) / "adapter"))
        plan = plan_as_learnt(read_info(copy))
        info = judge_adapter(copy, models, plan, real, _CROPS)
    assert info.verdict is not None
    return {"steps": info.steps, **asdict(info.verdict), "says": headline(info)}


if __name__ == "__main__":
    main()
