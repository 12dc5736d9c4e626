"""Make the target set of the shipped adapter: real LINEMOD crops with simulated sensor depth.

    python -m benchmarks.linemod_target --data ../shared/data --out build/linemod_target

The colour is the camera's. LINEMOD's crops come without depth, so a Kinect-like sensor simulation
stands in for the measurement: the object's CAD model at the crop's pose, on the board that it
stands on, seen by `renderer.simulate_structured_light_depth`. The poses serve to simulate that
measurement alone; the folder that comes out holds images, depth and the distance at which each
crop was cut, and no label.

What the simulation leaves out: clutter on the board has no depth; the viewing direction is taken
along the crop's own axis, since the objects' place in the frame is known for two objects only; and
where a frame's distance is not known it is drawn from the distances of those that are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import (
    Plans,
    RasterRenderer,
    board_depth,
    matrix_from_quaternion,
    plans_from_poses,
    simulate_structured_light_depth,
)

OBJECTS = ("ape", "benchvise", "cam", "cat", "duck")
OVERSAMPLING = 3  # odd, so that a crop's pixel centre is one of the finer image's
SIZE = 64
DEPTH_SCALE = 0.1
FRAMES_WITH_DISTANCE = {"cam": "04", "cat": "06"}
# The crops' poses are of an ape that faces the other way than the BOP mesh does;
# tests/test_renderer_references.py has the evidence.
TURNED_ABOUT_Z = {"ape": np.diag([-1.0, -1.0, 1.0])}


def main() -> None:
    """Write `rgb/`, `depth/` and `crops.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds linemod/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    linemod = arguments.data / "linemod"
    models = load_models(OBJECTS, models=linemod / "models")
    poses = json.loads((linemod / "crops/train/poses.json").read_text())
    centre_depth: dict[str, float] = {}
    for number, model in enumerate(models):
        generator = np.random.default_rng([arguments.seed, number])
        frames = list(poses[model.name])
        z = frame_distances(linemod, model.name, frames, generator)
        quaternions = np.array([poses[model.name][frame] for frame in frames])
        depths = sensor_depth(models, number, quaternions, z, generator)
        for frame, depth, distance in zip(frames, depths, z, strict=True):
            name = f"{model.name}_{frame}"
            centre_depth[name] = round(float(distance), 2)
            file = linemod / "crops/train" / model.name / f"{frame}.png"
            color = cv2.imread(str(file))
            if color is None:
                raise SystemExit(f"cannot read {file}")
            write(arguments.out / "rgb" / f"{name}.png", color.astype(np.uint8))
            steps = np.rint(depth / DEPTH_SCALE).astype(np.uint16)
            write(arguments.out / "depth" / f"{name}.png", steps)
    text = json.dumps({"depth_scale": DEPTH_SCALE, "centre_depth": centre_depth}, indent=0)
    (arguments.out / "crops.json").write_text(text + "\n")


def sensor_depth(
    models: list[CadModel],
    number: int,
    quaternions: NDArray[np.float64],
    distances: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """(N, 64, 64) millimetres: the object on its board as the sensor would have measured it."""
    turn = TURNED_ABOUT_Z.get(models[number].name, np.eye(3))
    plans = plans_from_poses(
        models,
        np.full(len(quaternions), number, dtype=np.int32),
        matrix_from_quaternion(quaternions) @ turn,
        distances,
        size=SIZE * OVERSAMPLING,
    )
    return measured_depth(models, plans, generator)


def measured_depth(
    models: Sequence[CadModel], plans: Plans, generator: np.random.Generator
) -> NDArray[np.float32]:
    """(N, 64, 64) millimetres: what the sensor makes of plans `OVERSAMPLING` times as fine.

    Each object stands on its board, the plane through its mesh's lowest point.
    """
    surface = RasterRenderer(models, threads=2).render(plans).depth
    board = board_depth(plans, np.array([models[i].bounds[0, 2] for i in plans.object_index]))
    scene = np.where(surface > 0, surface, board)
    middle = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
    return np.stack(
        [
            simulate_structured_light_depth(depth, matrix[0, 0], generator)[middle, middle]
            for depth, matrix in zip(scene, plans.camera_matrix, strict=True)
        ]
    )


def frame_distances(
    linemod: Path, name: str, frames: Sequence[str], generator: np.random.Generator
) -> NDArray[np.float64]:
    """(N,) millimetres from the camera to the object: known, or drawn from those that are."""
    distances = {sequence: read_distances(linemod, sequence) for sequence in FRAMES_WITH_DISTANCE}
    known = distances.get(name, {})
    pool = np.array([value for values in distances.values() for value in values.values()])
    drawn = generator.choice(pool, len(frames))
    return np.array([known.get(int(f), d) for f, d in zip(frames, drawn, strict=True)])


def read_distances(linemod: Path, name: str) -> dict[int, float]:
    """Frame number to object distance (millimetres), for the sequences whose poses are at hand."""
    text = (linemod / "frames/dpod" / FRAMES_WITH_DISTANCE[name] / "gt.yml").read_text()
    number = r"(-?[\d.]+)"
    pattern = rf"^(\d+):\n(?:(?!^\d+:).*\n)*?.*cam_t_m2c: \[{number}, {number}, {number}\]"
    return {int(match[1]): float(match[4]) for match in re.finditer(pattern, text, re.MULTILINE)}


def write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise SystemExit(f"cannot write {path}")


if __name__ == "__main__":
    main()
