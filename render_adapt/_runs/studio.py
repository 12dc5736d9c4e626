"""What makes crops: a run's models, renderer and adapter, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from adapter import (
    Adapter,
    Precision,
    adapter_folder,
    device_here,
    load_adapter,
    precision_here,
    read_info,
)
from cad_models import CadModel
from render_adapt._config import RunConfig, available_cores
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._fidelity.judge import Judge, make_judge
from render_adapt._run_models import blend_file, load_run_models
from render_adapt._runs.executor import worker_number
from render_adapt._runs.sheet import write_contact_sheet
from renderer import (
    ENGINES,
    CropBatch,
    Photographs,
    Renderer,
    capture,
    load_photographs,
    load_textures,
    make_renderer,
)


def device_of(config: RunConfig) -> str:
    """What this process runs a run's adapter on: "cpu", or torch's name of a GPU."""
    if config.executor == "ray":
        return "cpu"  # actors are asked for with processors alone
    info = read_info(adapter_folder(config.adapter)) if config.device == "auto" else None
    return device_here(config.device, info, worker_number())


def _kept(asked: str, device: str) -> str:
    """What a run's settings go on to say: all workers run on that kind of device."""
    return "cpu" if device == "cpu" else asked.replace("auto", "cuda")


class Studio:
    """A run's models, renderer and adapter, loaded; makes crops for any part of the run.

    Args:
        config: the run's.
        models: its objects, where they need not be read.
    """

    def __init__(self, config: RunConfig, models: Sequence[CadModel] | None = None) -> None:
        # One thread a worker: two pools of threads on the same cores cost more than they bring.
        # Only a slow engine may have them all, as Blender in the process of a user interface.
        cv2.setNumThreads(1)
        self.adapter: Adapter | None = None
        precision: Precision = "fp32"
        device = "cpu"
        if config.adapter != "none":
            device = device_of(config)
            precision = precision_here(config.precision, device=device)
            config = replace(config, precision=precision, device=_kept(config.device, device))
            self.adapter = load_adapter(
                config.adapter, threads=1, precision=precision, device=device
            )
        info = None if self.adapter is None else self.adapter.info
        self.randomization_as_given = config.randomization
        """Without the backgrounds that an adapter brings."""
        config = config.fitted_to(info)
        self.config = config
        """With what was left to the adapter."""
        self.models: list[CadModel] = (
            load_run_models(
                config.shown_objects, config.models, config.units, config.symmetry, config.lit_by
            )
            if models is None
            else list(models)
        )
        self.planner = config.planner.shown_to(info)
        self.planner.refuse_too_near(self.models)
        self.judge: Judge | None = (
            None
            if self.adapter is None
            else make_judge(config.adapter, self.adapter, precision, device)
        )
        randomization = config.randomization
        self.textures = load_textures(randomization.textures) if randomization.texture_swap else []
        folder = randomization.photographs if randomization.shows_photographs else None
        self.photographs = load_photographs(folder) if folder else Photographs(())
        # Labels are those of the model itself, to the pixel: no levels of detail.
        self.renderer: Renderer = make_renderer(
            config.renderer, self.models, textures=self.textures,
            environments=randomization.environments, seed=config.seed,
            blend=blend_file(config.shown_objects, config.models, config.lit_by),
            samples=config.samples, levels=False,
            threads=available_cores() if config.alone and ENGINES[config.renderer].slow else 1,
            device="cuda" if device == "cpu" else device,
        )  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of how adapter and judge ran, a sentence each."""
        if self.adapter is None or self.judge is None:
            return ()
        return (*self.adapter.notes, *self.judge.notes)

    def render(self, start: int, stop: int) -> CropBatch:
        """Plan and render crops `start` to `stop`, and take them as the camera would."""
        seed, changes = self.config.seed, self.config.randomization
        plans = self.planner.plans(self.models, seed, start, stop, changes, len(self.textures))
        crops = self.renderer.render(plans)
        return capture(crops, changes, seed, self.models, self.photographs)

    def adapt(self, renders: CropBatch) -> FaithfulCrops:
        """Pass renders through the adapter and the judge; without one they stay as they are."""
        if self.adapter is None or self.judge is None:
            return FaithfulCrops.of_renders(renders)
        config = self.config
        return self.planner.adapt(
            renders, self.models, self.adapter, self.judge, seed=config.seed,
            min_fidelity=config.min_fidelity, redraws=config.redraws,
        )  # fmt: skip

    def write_contact_sheet(self, path: Path, start: int = 0, stop: int = 24) -> None:
        """Write one picture of some of the run's crops, as rendered and as adapted.

        Those that are dropped are not among them, where any is kept.
        """
        renders = self.render(start, min(stop, self.config.n))
        faithful = self.adapt(renders)
        adapted = faithful.crops
        if adapted is not renders and faithful.kept.any():
            rows = np.flatnonzero(faithful.kept)
            renders, adapted = renders[rows], adapted[rows]
        write_contact_sheet(path, renders, adapted, self.models, self.planner.depth_reach)
