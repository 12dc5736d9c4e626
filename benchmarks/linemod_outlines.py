"""Real LINEMOD crops with the outlines of their labels, and their simulated depth: to be looked at.

    python -m benchmarks.linemod_outlines --data ../shared/data --out build/outlines.png

Six crops of each object. Depth is in colour, 100 mm before the crop's point to 100 mm behind it,
laid over the picture. The picture holds real crops: it is not for the repository.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from render_adapt._paper.scenarios.linemod_crops import OBJECTS, RealCrops, at_size, read_real_crops
from render_adapt._paper.scenarios.linemod_depth import sensor_depth
from renderer import RasterRenderer

SIDE, COLUMNS, REACH = 192, 6, 100.0


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds linemod/")
    parser.add_argument("--out", type=Path, default=Path("build/outlines.png"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    linemod = arguments.data / "linemod"
    poses = json.loads((linemod / "crops/train/poses.json").read_text())
    rows = []
    for model in load_models(OBJECTS, models=linemod / "models"):
        random = np.random.default_rng(arguments.seed)
        frames = random.choice(list(poses[model.name]), COLUMNS, replace=False).tolist()
        crops = read_real_crops(linemod, "train", model, random, frames)
        rows += [outlines(model, crops), depth_over(crops, sensor_depth(model, crops, random))]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), np.vstack(rows)[..., ::-1])
    print(arguments.out)


def outlines(model: CadModel, crops: RealCrops) -> NDArray[np.uint8]:
    """A row of crops, enlarged, the silhouettes at their poses outlined."""
    masks = RasterRenderer([model], levels=False).render(at_size(crops.plans, SIDE)).mask
    tiles = []
    for rgb, mask in zip(crops.rgb, masks, strict=True):
        tile = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        lines, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )  # fmt: skip
        tiles.append(cv2.drawContours(tile, lines, -1, (0, 255, 0), 1))
    return np.hstack(tiles).astype(np.uint8)


def depth_over(crops: RealCrops, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A row of crops with depth laid over them in colour, black where nothing is measured."""
    tiles = []
    for rgb, image, middle in zip(crops.rgb, depth, crops.plans.centre_depth, strict=True):
        share = np.clip((image - middle) / (2 * REACH) + 0.5, 0, 1)
        colors = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)
        colors[image == 0] = 0
        blended = cv2.addWeighted(rgb, 0.5, np.ascontiguousarray(colors[..., ::-1]), 0.5, 0)
        tiles.append(cv2.resize(blended, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST))
    return np.hstack(tiles).astype(np.uint8)


if __name__ == "__main__":
    main()
