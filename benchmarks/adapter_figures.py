"""What an adapter is worth: the paper's task tower, trained on renders and on adapted renders.

    python -m benchmarks.adapter_figures --data ../shared/data --adapter shipped \
        --steps 600 --json benchmarks/results/shipped_adapter.json

Trains the LineMod task tower (RGB, five objects) twice from one start on the same renders, cut as
the adapter's own crops, once as rendered and once adapted, and tests both on LINEMOD's real test
crops: the protocol of the paper's Table 2 in small. Also measures what adaptation did to the
labels: depth on the object against its pose. Mean angle error is over all test crops.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from adapter import Adapter, TaskTower, encode, load_adapter
from adapter.losses import angle_degrees, task_loss
from cad_models import load_models
from render_adapt import adapt_crops
from render_adapt._config import plan_as_learnt
from render_adapt._paper.scenarios.linemod_crops import OBJECTS, TURNED_ABOUT_Z
from render_adapt._verdict.measuring import changed_by_noise
from renderer import (
    CropBatch,
    RasterRenderer,
    make_plans,
    matrix_from_quaternion,
    quaternion_from_matrix,
)


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds linemod/")
    parser.add_argument("--adapter", default="shipped")
    parser.add_argument("--steps", type=int, default=600, help="training steps of each tower")
    parser.add_argument("--tower", choices=("paper", "modern"), default="paper")
    parser.add_argument("--only", choices=("source_only", "adapted"), help="one of the two towers")
    parser.add_argument("--crops", type=int, default=10_000, help="renders to train on")
    parser.add_argument("--centre", help="in place of what the adapter learnt from")
    parser.add_argument("--off-axis", type=float, help="likewise, degrees")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    models = load_models(OBJECTS, models=arguments.data / "linemod/models")
    threads = len(os.sched_getaffinity(0))
    adapter = load_adapter(arguments.adapter, threads=threads)
    plan = plan_as_learnt(adapter.info, centre=arguments.centre, off_axis=arguments.off_axis)
    # Another seed than training's: the adapter has not seen these renders.
    plans = make_plans(plan, models, arguments.seed + 1000, 0, arguments.crops)
    renders = RasterRenderer(models, threads=threads, levels=False).render(plans)
    started = time.perf_counter()
    adapted = adapt_crops(renders, adapter, arguments.seed, plan.window)
    seconds = time.perf_counter() - started
    test = read_test_crops(arguments.data / "linemod/crops/test")
    figures: dict[str, Any] = {
        "adapter_steps": adapter.info.steps,
        "adapter_sha256": adapter.info.sha256,
        "cut": {"centre": plan.centre, "off_axis_degrees": plan.off_axis},
        "tower": arguments.tower,
        "tower_steps": arguments.steps,
        "train_crops": arguments.crops,
        "test_crops": len(test[0]),
        "hardware": f"{threads} cores, {platform.machine()}",
        "adapted_crops_per_second": round(arguments.crops / seconds, 1),
        "label_fidelity": depth_fidelity(renders, adapted),
        "noise_effect": noise_effect(renders, adapted, adapter, arguments.seed),
    }
    for name, crops in (("source_only", renders), ("adapted", adapted)):
        if arguments.only in (None, name):
            figures[name] = tower_figures(
                crops, test, arguments.steps, arguments.seed, modern=arguments.tower == "modern"
            )
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


Test = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


def read_test_crops(folder: Path) -> Test:
    """Real crops (M, 3, 64, 64), class (M,), quaternion (M, 4)."""
    poses = json.loads((folder / "poses.json").read_text())
    pictures, classes, rotations = [], [], []
    for number, name in enumerate(OBJECTS):
        for frame, quaternion in poses[name].items():
            pictures.append(cv2.imread(str(folder / name / f"{frame}.png"))[..., ::-1])
            classes.append(number)
            turn = TURNED_ABOUT_Z.get(name, np.eye(3))
            rotations.append(matrix_from_quaternion(np.array(quaternion)) @ turn)
    quaternions = quaternion_from_matrix(np.array(rotations)).astype(np.float32)
    return encode(np.stack(pictures), None, None), np.array(classes), quaternions


def tower_figures(
    crops: CropBatch, test: Test, steps: int, seed: int, *, modern: bool
) -> dict[str, float]:
    """Train a tower on labelled crops, test it on real ones.

    The paper's tower hardly learns a pose in so few steps; the modern one, of Table 2's modern
    rows, has batch normalisation, no dropout, and a pose loss of weight 1.
    """
    torch.manual_seed(seed)
    images = torch.from_numpy(encode(crops.rgb, None, None))
    classes = torch.from_numpy(crops.plans.object_index.astype(np.int64))
    quaternions = torch.from_numpy(quaternion_from_matrix(crops.plans.rotation).astype(np.float32))
    dropout = 0.0 if modern else None
    tower = TaskTower(3, 64, len(OBJECTS), "pose", batch_norm=modern, dropout=dropout)
    pose_weight = 1.0 if modern else 0.2
    adam = torch.optim.Adam(tower.parameters(), lr=1e-3, betas=(0.5, 0.999))
    order = np.random.default_rng(seed)
    for _ in range(steps):
        rows = torch.from_numpy(order.integers(0, len(images), 64))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not modern):
            logits, predicted = tower(images[rows], 1)
        loss = task_loss(
            logits, predicted, classes[rows], quaternions[rows], pose_weight=pose_weight
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    tower.eval()
    with torch.no_grad():
        logits, predicted = tower(torch.from_numpy(test[0]), 1)
    accuracy = (logits.argmax(1).numpy() == test[1]).mean()
    angles = angle_degrees(predicted, torch.from_numpy(test[2]))
    return {
        "accuracy_percent": round(100 * float(accuracy), 2),
        "mean_angle_degrees": round(float(angles.mean()), 2),
        "median_angle_degrees": round(float(angles.median()), 2),
    }


def depth_fidelity(renders: CropBatch, adapted: CropBatch) -> dict[str, float]:
    """Depth on the object after adaptation against depth before, millimetres."""
    measured = renders.mask & (adapted.depth > 0)
    signed = (adapted.depth - renders.depth)[measured]
    error = np.abs(signed)
    return {
        "object_pixels_with_depth_percent": round(100 * measured.sum() / renders.mask.sum(), 2),
        "median_depth_error_mm": round(float(np.median(error)), 2),
        "p95_depth_error_mm": round(float(np.percentile(error, 95)), 2),
        "rms_depth_error_mm": round(float(np.sqrt((signed**2).mean())), 2),
        "mean_depth_error_mm": round(float(signed.mean()), 2),
    }


def noise_effect(
    renders: CropBatch, adapted: CropBatch, adapter: Adapter, seed: int
) -> dict[str, float]:
    """Mean change of a pixel (0 to 255) when only the noise vector changes."""
    first = np.arange(min(500, len(renders)))
    on_object, off_object = changed_by_noise(
        renders[first], adapted.rgb[first], adapter, seed, adapter.info.window_mm
    )
    return {"background": round(off_object, 2), "object": round(on_object, 2)}


if __name__ == "__main__":
    main()
