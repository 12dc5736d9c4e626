"""Training: rendered crops of the user's objects beside crops of the user's camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapter import AdapterInfo, LabelledCrops, Progress, TrainConfig, encode
from cad_models import CadModel
from render_adapt._calibrate import calibrate_adapter
from render_adapt._config import Units, refuse_too_near, split_names
from render_adapt._exceptions import ConfigError
from render_adapt._run_models import load_run_models, source_renderer
from renderer import (
    PlanConfig,
    Renderer,
    make_plans,
    quaternion_from_matrix,
    symmetry_quaternions,
)

SIZE = 64
"""Adapters are trained on crops of this size, LineMod's."""


@dataclass(frozen=True)
class TrainRun:
    """What to train an adapter on.

    Raises:
        ConfigError: a value is out of range; the message names the flag.
    """

    objects: tuple[str, ...]
    """Objects that the camera's crops show: names, or NAME=FILE for a mesh of your own."""
    target: Path
    """Unlabelled camera crops: a folder of images (with or without depth) or a BOP dataset."""
    out: Path
    """Folder of the trained adapter; a run that was stopped continues from OUT.training."""
    models: Path | None = None
    """A BOP models folder, or a .blend file, in place of the built-in models."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    provenance: str = ""
    """Where the camera's crops are from and under which licence, to be kept with the adapter."""
    source_crops: int = 10_000
    """Renders to train on."""
    window: float = 200.0
    """Side of the square that a crop shows at the object's distance, millimetres."""
    distance: tuple[float, float] = PlanConfig().distance
    """Least and greatest distance from the camera to the object, millimetres."""

    def __post_init__(self) -> None:
        """Split comma-separated names and check the numbers."""
        object.__setattr__(self, "objects", split_names(self.objects))
        if self.source_crops < 2:
            raise ConfigError(f"--source-crops is {self.source_crops}: it must be at least 2")
        _ = self.plan  # which checks what it is made of

    @property
    def plan(self) -> PlanConfig:
        """How the source crops are planned."""
        return PlanConfig(size=SIZE, window=self.window, distance=self.distance)


def train_adapter(
    run: TrainRun,
    config: TrainConfig,
    preset: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> AdapterInfo:
    """Render the source crops, read the target crops, train, and save the adapter, calibrated.

    Args:
        run: what to train on.
        config: how to train.
        preset: name of the settings that `config` started from, for the adapter's description.
        on_progress: called after each step.

    Returns:
        The description of the adapter, which is in `run.out`.

    Raises:
        AdapterError, ConfigError, ModelError, RenderError: one sentence each.
    """
    from adapter import read_target, save_adapter, train

    models = load_run_models(run.objects, run.models, run.units)
    refuse_too_near(models, run.plan)
    target = read_target(run.target, size=SIZE, window_mm=run.window)
    renderer = source_renderer(models, run.objects, run.models)
    source = render_source(models, run, config.seed, renderer, with_depth=target.has_depth)
    working = run.out.with_name(run.out.name + ".training")
    checkpoint = train(source, target.images, config, working, on_progress=on_progress)
    provenance = (
        f"{len(source)} renders of {', '.join(run.objects)}; "
        f"{len(target.images)} unlabelled crops: {run.provenance or run.target.name}"
    )
    info = save_adapter(
        checkpoint, run.out, preset=preset, provenance=provenance, window_mm=run.window
    )
    calibrate_adapter(run.out, models, run.plan, renderer=renderer)
    return info


def render_source(
    models: list[CadModel], run: TrainRun, seed: int, renderer: Renderer, *, with_depth: bool
) -> LabelledCrops:
    """The source domain: renders of the models with their labels."""
    plans = make_plans(run.plan, models, seed, 0, run.source_crops)
    crops = renderer.render(plans)
    depth = crops.depth if with_depth else None
    images = encode(crops.rgb, depth, plans.centre_depth, run.window).astype(np.float16)
    return LabelledCrops(
        images=images,
        masks=crops.mask,
        class_index=plans.object_index.astype(np.int64),
        quaternion=quaternion_from_matrix(plans.rotation).astype(np.float32),
        class_names=tuple(model.name for model in models),
        symmetries=symmetry_quaternions(models).astype(np.float32),
    )
