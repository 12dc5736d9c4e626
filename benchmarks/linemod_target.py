"""Make the target set of the shipped adapter: real LINEMOD crops with simulated sensor depth.

    python -m benchmarks.linemod_target --data ../shared/data --out build/linemod_target

The colour is the camera's. LINEMOD's crops come without depth, so a Kinect-like sensor simulation
stands in for the measurement: the object's CAD model at the crop's pose, on the board that it
stands on, seen by `renderer.simulate_structured_light_depth`. The poses serve to simulate that
measurement alone; the folder that comes out holds images, depth and the distance at which each
crop was cut, and no label.

Each crop's window, distance and ray are those by which it was cut, as far as they are known, and
estimated where they are not: `benchmarks.linemod_cut`. What the simulation leaves out: clutter on
the board has no depth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import AdapterError
from benchmarks.linemod_cut import (
    CAMERA,
    OBJECTS,
    OFF_AXIS,
    SIZE,
    WINDOW,
    RealCrops,
    at_size,
    read_real_crops,
)
from cad_models import CadModel, load_models
from renderer import (
    RasterRenderer,
    board_depth,
    simulate_structured_light_depth,
    window_pixels,
)

OVERSAMPLING = 3  # odd, so that a crop's pixel centre is one of the finer image's
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
        except AdapterError as error:
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


def sensor_depth(
    model: CadModel, crops: RealCrops, generator: np.random.Generator
) -> NDArray[np.float32]:
    """(N, 64, 64) millimetres: the object on its board as the sensor would have measured it.

    The board is the plane through the mesh's lowest point.
    """
    plans = at_size(crops.plans, SIZE * OVERSAMPLING)
    surface = RasterRenderer([model], threads=2, levels=False).render(plans).depth
    board = board_depth(plans, np.full(len(plans), model.bounds[0, 2]))
    scene = np.where(surface > 0, surface, board)
    middle = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
    return np.stack(
        [
            simulate_structured_light_depth(depth, matrix[0, 0], generator)[middle, middle]
            for depth, matrix in zip(scene, plans.camera_matrix, strict=True)
        ]
    )


def write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise SystemExit(f"cannot write {path}")


if __name__ == "__main__":
    main()
