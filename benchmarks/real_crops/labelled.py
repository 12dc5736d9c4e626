"""Real crops with their labels as a dataset, written as `render-adapt align` writes its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_crops.crops import read_real, spread
from benchmarks.real_crops.estimators import DISTANCE
from cad_models import CadModel
from render_adapt._align.aligner import TargetView
from render_adapt._align.dataset import write_alignment
from render_adapt._align.result import Result
from render_adapt._align.search import Poses
from render_adapt._files import writing
from render_adapt._paper.scenarios.data_files import read_labels
from render_adapt._paper.scenarios.linemod_crops import SIZE, WINDOW, read_real_crops
from renderer import PlanConfig, Plans, plans_from_poses

_SEED = 0


def write_labelled(
    out: Path,
    linemod: Path,
    models: Sequence[CadModel],
    threads: int,
    *,
    along_rays: bool,
    each: int | None = None,
) -> None:
    """Write the target's crops (`crops/train`) with their labels.

    Args:
        out: the dataset's folder.
        linemod: the folder with `crops/`, `frames/` and `models/`.
        models: `OBJECTS`.
        threads: of the processor.
        along_rays: whether a crop's camera looks past it as LINEMOD's did, as far as that is known,
            and else as estimated from the label; if not, labels count as poses that a camera sees
            which looks straight at the crop, as one has to take them who knows nothing else.
        each: so many crops of each object at most, spread evenly over its frames.

    Raises:
        RenderAdaptError: crops cannot be read, or the dataset cannot be written.
    """
    labels = read_labels(linemod / "crops/train/poses.json")
    frames = {model.name: spread(labels[model.name], each) for model in models}
    names = [f"{name}_{frame}" for name, some in frames.items() for frame in some]
    if along_rays:
        rgb, plans = _along_rays(linemod, models, frames)
    else:
        real = read_real(linemod, linemod / "crops/train", each)
        rows = [real.object_index == number for number in range(len(models))]
        rgb = [real.rgb[here] for here in rows]
        plans = [
            straight_plans(model, real.rotation[here])
            for model, here in zip(models, rows, strict=True)
        ]
    index = np.repeat(np.arange(len(models)), [len(one) for one in rgb])
    result = _as_found(tuple(names), np.concatenate(rgb), index, plans)
    described = {"labels": "of LINEMOD", "along_rays": along_rays, "each": each}
    with writing(out, "choose another folder with `--work`"):
        out.mkdir(parents=True, exist_ok=True)
    write_alignment(
        out, result, models, PlanConfig(size=SIZE, window=WINDOW, centre="mean"), _SEED, described,
        {"crops": len(index)}, threads,
    )  # fmt: skip


def _along_rays(
    linemod: Path, models: Sequence[CadModel], frames: Mapping[str, Sequence[str]]
) -> tuple[list[NDArray[np.uint8]], list[Plans]]:
    """Pictures and plans of each object's frames."""
    rgb, plans = [], []
    for number, model in enumerate(models):
        random = np.random.default_rng([_SEED, number])
        real = read_real_crops(linemod, "train", model, random, frames[model.name])
        rgb.append(real.rgb)
        plans.append(real.plans)
    return rgb, plans


def straight_plans(model: CadModel, rotation: NDArray[np.float64]) -> Plans:
    """Poses on the axis of a camera that looks straight at the mean of the vertices."""
    return plans_from_poses(
        [model], np.zeros(len(rotation), int), rotation, DISTANCE, size=SIZE, window=WINDOW,
        centre="mean", canonical=False,
    )  # fmt: skip


def _as_found(
    names: tuple[str, ...],
    rgb: NDArray[np.uint8],
    object_index: NDArray[np.int64],
    plans: Sequence[Plans],
) -> Result:
    """Labels as an alignment would have found them, sure of each."""

    def of_all(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(one, name) for one in plans])

    camera, everything = of_all("camera_matrix"), np.ones(len(names), np.bool_)
    poses = Poses(object_index, of_all("rotation"), of_all("translation"), camera)
    view = TargetView(rgb, None, camera, of_all("centre_depth"), np.arange(len(names)))
    return Result(names, view, poses, np.ones(len(names)), everything, everything)
