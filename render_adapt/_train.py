"""Training: rendered crops of the user's objects beside crops of the user's camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from adapter import AdapterInfo, LabelledCrops, Progress, TargetCut, TrainConfig, encode
from adapter._lock import only_training
from cad_models import CadModel
from render_adapt._calibrate import calibrate_adapter
from render_adapt._config import WINDOW, Units, refuse_too_near, split_names
from render_adapt._exceptions import ConfigError
from render_adapt._run_models import load_run_models, source_renderer
from renderer import (
    Centre,
    PlanConfig,
    Plans,
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
    window: float | None = None
    """Side of the square that a crop shows at the object's distance, millimetres; what the target
    says of itself, else 200."""
    centre: Centre | None = None
    """What of the object is in the middle of the camera's crops: `box`, `mean`, `origin` or
    `visible`, as for a run; what the target says of itself (docs/cutting.md), else box."""
    off_axis: float | None = None
    """How many degrees the camera's crops lie off its optical axis at most; what the target says of
    itself, else 0."""
    distance: tuple[float, float] = PlanConfig().distance
    """Least and greatest distance from the camera to the object, millimetres."""

    def __post_init__(self) -> None:
        """Split comma-separated names and check the numbers."""
        object.__setattr__(self, "objects", split_names(self.objects))
        if self.source_crops < 2:
            raise ConfigError(f"--source-crops is {self.source_crops}: it must be at least 2")
        self.plan(None)  # which checks what it is made of

    def cut(self, stated: TargetCut | None) -> TargetCut:
        """How the target's crops are taken to be cut, where they say `stated` of themselves."""
        stated = stated or TargetCut("box", WINDOW, 0.0)
        return TargetCut(
            stated.centre if self.centre is None else self.centre,
            stated.window_mm if self.window is None else float(self.window),
            stated.off_axis_degrees if self.off_axis is None else float(self.off_axis),
            stated.pixels,
        )

    def plan(self, stated: TargetCut | None) -> PlanConfig:
        """How the source crops are planned: as the target's are cut."""
        cut = self.cut(stated)
        return PlanConfig(
            size=SIZE, window=cut.window_mm, distance=self.distance,
            centre=cast(Centre, cut.centre), off_axis=cut.off_axis_degrees,
        )  # fmt: skip


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
    refuse_too_near(models, run.plan(None))
    target = read_target(run.target, size=SIZE, window_mm=run.window)
    cut, plan = run.cut(target.cut), run.plan(target.cut)
    refuse_too_near(models, plan)
    working = run.out.with_name(run.out.name + ".training")
    # The training's own lock would let go before the adapter is saved and calibrated.
    with only_training(working, "adapter.lock"):
        renderer = source_renderer(models, run.objects, run.models)
        plans = make_plans(plan, models, config.seed, 0, run.source_crops)
        source = render_source(models, plans, plan.window, renderer, with_depth=target.has_depth)
        checkpoint = train(source, target.images, config, working, on_progress=on_progress)
        provenance = (
            f"{len(source)} renders of {', '.join(model.name for model in models)}; "
            f"{len(target.images)} unlabelled crops: {run.provenance or run.target.name}"
        )
        info = save_adapter(
            checkpoint,
            run.out,
            preset=preset,
            provenance=provenance,
            window_mm=plan.window,
            cut=cut,
        )
        calibrate_adapter(run.out, models, plan, renderer=renderer)
    return info


def render_source(
    models: list[CadModel], plans: Plans, window: float, renderer: Renderer, *, with_depth: bool
) -> LabelledCrops:
    """The source domain: renders of the models with their labels."""
    crops = renderer.render(plans)
    depth = crops.depth if with_depth else None
    images = encode(crops.rgb, depth, plans.centre_depth, window).astype(np.float16)
    return LabelledCrops(
        images=images,
        masks=crops.mask,
        class_index=plans.object_index.astype(np.int64),
        quaternion=quaternion_from_matrix(plans.rotation).astype(np.float32),
        class_names=tuple(model.name for model in models),
        symmetries=symmetry_quaternions(models).astype(np.float32),
    )
