"""How long it takes to calibrate and measure an adapter, known before there is one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from adapter import TrainConfig
from cad_models import CadModel
from render_adapt._fidelity.calibrate import CROPS, SEED
from render_adapt._fidelity.judge import JUDGE, measure_parts, open_judge
from render_adapt._verdict.measuring import VARIED, OneThread, compared
from renderer import PlanConfig, Renderer, make_plans

_TRIED = 16


def seconds_to_judge(
    config: TrainConfig,
    channels: int,
    models: Sequence[CadModel],
    plan: PlanConfig,
    real_crops: int,
    renderer: Renderer,
) -> float:
    """About how long `judge_adapter` will take, by a little of it with fresh weights.

    Args:
        config: of the training.
        channels: of its crops.
        models, plan, renderer: as for `judge_adapter`.
        real_crops: of the camera.
    """
    import torch

    from adapter import architecture_of, domain_features
    from adapter._training.arithmetic import torch_of

    judge, plans = open_judge(JUDGE), make_plans(plan, models, SEED, 0, _TRIED)
    with torch_of(OneThread()), torch.inference_mode():
        generator = architecture_of(config).build(channels, plan.size, config).eval()
        crops = torch.zeros(_TRIED, channels, plan.size, plan.size)
        noise = torch.zeros(_TRIED, config.noise_dimension)
        adapting, comparing = float("inf"), float("inf")
        # Once to have everything ready, once to time it.
        for _ in range(2):
            started = time.perf_counter()
            renders = renderer.render(plans)
            generator(crops, noise)
            measure_parts(renders, renders, judge)
            adapted = time.perf_counter()
            domain_features(np.zeros((_TRIED, 3, plan.size, plan.size), np.float32))
            adapting = min(adapting, adapted - started)
            comparing = min(comparing, time.perf_counter() - adapted)
    # The middles of crops, too.
    pictures = 2.5 * compared(real_crops) + min(real_crops, compared(real_crops))
    return (adapting * (CROPS + VARIED) + comparing * pictures) / _TRIED
