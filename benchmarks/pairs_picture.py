"""The picture at the top of the README: renders above, the same crops as a run writes them below.

    python -m benchmarks.pairs_picture --seed 3 --out docs/images/pairs.png
    python -m benchmarks.pairs_picture --models DIR --real DIR --out sheet.png

With `--real` (a folder of object/frame.png), a third row shows real crops of the same objects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import load_adapter
from cad_models import load_models
from render_adapt import adapt_crops
from render_adapt._config import RunConfig, plan_as_learnt
from renderer import RasterRenderer, capture, make_plans

SCALE, GAP = 2, 4


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", default="duck,cat,can,ape,driller,cam,glue,iron")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--adapter", default="shipped")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    names = arguments.objects.split(",")
    models = load_models(names, models=arguments.models)
    adapter = load_adapter(arguments.adapter)
    plan = plan_as_learnt(adapter.info)
    run = RunConfig(("any",), n=1, adapter=arguments.adapter).fitted_to(adapter.info)
    plans = make_plans(plan, models, arguments.seed, 0, arguments.columns)
    renders = RasterRenderer(models).render(plans)
    taken = capture(renders, run.randomization, arguments.seed, models)
    adapted = adapt_crops(taken, adapter, arguments.seed, plan.window)
    rows = [row_of(renders.rgb), row_of(adapted.rgb)]
    if arguments.real:
        order = np.random.default_rng(arguments.seed)
        files = [
            order.choice(sorted((arguments.real / names[column % len(names)]).glob("*.png")))
            for column in range(arguments.columns)
        ]
        rows.append(row_of(np.stack([cv2.imread(str(file))[..., ::-1] for file in files])))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def row_of(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crops side by side, enlarged, with white gaps."""
    tiles = [
        cv2.copyMakeBorder(
            cv2.resize(crop, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST),
            0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255),
        )
        for crop in crops
    ]  # fmt: skip
    return np.hstack(tiles)


if __name__ == "__main__":
    main()
