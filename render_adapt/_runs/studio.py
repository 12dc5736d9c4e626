"""What makes crops: a run's models, renderer and adapter, loaded."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adapter import Adapter, load_adapter
from cad_models import CadModel
from render_adapt._config import RunConfig, available_cores, refuse_too_near
from render_adapt._fidelity.faithful import FaithfulCrops, adapt_faithfully
from render_adapt._fidelity.judge import Judge, make_judge
from render_adapt._run_models import blend_file, load_run_models
from renderer import (
    ENGINES,
    CropBatch,
    Renderer,
    capture,
    load_photographs,
    load_textures,
    make_frame_plans,
    make_plans,
    make_renderer,
)


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
        self.adapter: Adapter | None = (
            None if config.adapter == "none" else load_adapter(config.adapter, threads=1)
        )
        config = config.fitted_to(None if self.adapter is None else self.adapter.info)
        self.config = config
        """With what was left to the adapter."""
        self.models: list[CadModel] = (
            load_run_models(config.objects, config.models, config.units)
            if models is None
            else list(models)
        )
        refuse_too_near(self.models, config.plan)
        self.judge: Judge | None = (
            None if self.adapter is None else make_judge(config.adapter, self.adapter)
        )
        randomization = config.randomization
        self.textures = load_textures(randomization.textures) if randomization.texture_swap else []
        folder = randomization.photographs if "photographs" in randomization.background else None
        self.photographs = load_photographs(folder) if folder else []
        alone = config.workers == 1
        # Labels are those of the model itself, to the pixel: no levels of detail.
        self.renderer: Renderer = make_renderer(
            config.renderer, self.models, textures=self.textures,
            environments=randomization.environments, seed=config.seed,
            blend=blend_file(config.objects, config.models), samples=config.samples, levels=False,
            threads=available_cores() if alone and ENGINES[config.renderer].slow else 1,
        )  # fmt: skip

    def render(self, start: int, stop: int) -> CropBatch:
        """Plan and render crops `start` to `stop`, and take them as the camera would."""
        config, frame = self.config, self.config.frame_plan
        changes = config.randomization
        among = (self.models, config.seed, start, stop, changes)
        if frame is None:
            plans = make_plans(config.plan, *among, textures=len(self.textures))
        else:
            plans = make_frame_plans(frame, *among, textures=len(self.textures))
        crops = self.renderer.render(plans)
        return capture(crops, changes, config.seed, self.models, self.photographs)

    def adapt(self, renders: CropBatch) -> FaithfulCrops:
        """Pass renders through the adapter and the judge; without one they stay as they are."""
        if self.adapter is None or self.judge is None:
            return FaithfulCrops.of_renders(renders)
        return adapt_faithfully(
            renders,
            self.adapter,
            self.judge,
            seed=self.config.seed,
            window=self.config.plan.window,
            min_fidelity=self.config.min_fidelity,
            redraws=self.config.redraws,
        )

    def examples(
        self, start: int = 0, stop: int = 24
    ) -> tuple[CropBatch, CropBatch, Sequence[CadModel]]:
        """Some of the run's crops as rendered and as adapted, for the contact sheet.

        Those that are dropped are not among them, where any is kept.
        """
        renders = self.render(start, min(stop, self.config.n))
        faithful = self.adapt(renders)
        if faithful.crops is renders or not faithful.kept.any():
            return renders, faithful.crops, self.models
        rows = np.flatnonzero(faithful.kept)
        return renders[rows], faithful.crops[rows], self.models
