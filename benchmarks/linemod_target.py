"""Make the target set of the shipped adapter: real LINEMOD crops with simulated sensor depth.

    python -m benchmarks.linemod_target --data ../shared/data --out build/linemod_target

The colour is the camera's. LINEMOD's crops come without depth, so a Kinect-like sensor simulation
stands in for the measurement (`render_adapt/_paper/scenarios/linemod_depth.py`). The poses serve to
simulate that measurement alone; the folder that comes out holds images, depth and the distance at
which each crop was cut, and no label.

Each crop's window, distance and ray are those by which it was cut, as far as they are known, and
estimated where they are not (`render_adapt/_paper/scenarios/linemod_crops.py`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import load_models
from checked_settings import SettingError
from render_adapt._paper.scenarios.linemod_crops import (
    CAMERA,
    OBJECTS,
    OFF_AXIS,
    WINDOW,
    read_real_crops,
)
from render_adapt._paper.scenarios.linemod_depth import sensor_depth
from renderer import window_pixels

DEPTH_SCALE = 0.1


def main() -> None:
    """Write `rgb/`, `depth/` and `crops.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds linemod/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    linemod = arguments.data / "linemod"
    models = load_models(OBJECTS, models=linemod / "models")
    centre_depth: dict[str, float] = {}
    for number, model in enumerate(models):
        generator = np.random.default_rng([arguments.seed, number])
        try:
            crops = read_real_crops(linemod, "train", model, generator)
        except SettingError as error:
            raise SystemExit(str(error)) from None
        for frame, rgb, depth, z in zip(
            crops.frames,
            crops.rgb,
            sensor_depth(model, crops, generator),
            crops.plans.centre_depth,
            strict=True,
        ):
            name = f"{model.name}_{frame}"
            centre_depth[name] = round(float(z), 2)
            write(arguments.out / "rgb" / f"{name}.png", np.ascontiguousarray(rgb[..., ::-1]))
            steps = np.rint(depth / DEPTH_SCALE).astype(np.uint16)
            write(arguments.out / "depth" / f"{name}.png", steps)
    cut = {
        "centre": "mean",
        "window_mm": WINDOW,
        "off_axis_degrees": OFF_AXIS,
        "pixels": int(np.median(window_pixels(CAMERA[0], WINDOW, list(centre_depth.values())))),
    }
    settings = {"cut": cut, "depth_scale": DEPTH_SCALE, "centre_depth": centre_depth}
    (arguments.out / "crops.json").write_text(json.dumps(settings, indent=0) + "\n")


def write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise SystemExit(f"cannot write {path}")


if __name__ == "__main__":
    main()
