"""Calibrates fidelity for an adapter: what its own crops' numbers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapter import Adapter, adapter_folder, load_adapter
from cad_models import CadModel
from render_adapt._coupling import adapt_crops, before_backgrounds, left_to_adapter
from render_adapt._fidelity.calibration import CALIBRATION, Calibration, measure, write_calibration
from render_adapt._fidelity.judge import JUDGE, hash_of_judge, measure_parts, open_judge
from render_adapt._files import writing
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    PlanConfig,
    Randomization,
    Renderer,
    capture,
    load_photographs,
    make_plans,
    make_renderer,
)
from safe_files import write_file

CROPS = 4000
"""To calibrate by; half a minute."""
SEED = 1_000_003
"""Unlike any run's, so that no run is judged by its own crops."""
_AT_ONCE = 64

OnBatch = Callable[[CropBatch, CropBatch, Mapping[str, NDArray[np.float64]]], None]
"""Called with renders, the same crops as adapted, and their parts' plain numbers."""


def calibrate_adapter(
    path: Path | str,
    models: Sequence[CadModel],
    plan: PlanConfig,
    crops: int = CROPS,
    renderer: Renderer | None = None,
    on_batch: OnBatch | None = None,
) -> Calibration:
    """Measure the fidelity of an adapter's crops, and keep that in the adapter's folder.

    From then on `make_judge` tells by them how faithful a crop of this adapter is. The crops are
    taken as they come: where an adapter moves or loses its objects as a rule, that is its rule.

    Args:
        path: the adapter's, as `load_adapter` takes it.
        models: the objects that it was trained for.
        plan: how they were shown to it.
        crops: how many to make, 1000 or more.
        renderer: of these models, as the adapter's renders were made; raster if not given.
        on_batch: is shown all that is made for it.

    Raises:
        RenderAdaptError: one sentence that says why.
    """
    adapter = load_adapter(path, threads=1)
    window = plan.window

    folder = adapter_folder(path)
    # Before what a run's renders are, too.
    randomization = left_to_adapter(RANDOMIZATIONS["linemod"], folder)
    randomization = before_backgrounds(randomization, adapter.info, folder)
    photographs = load_photographs(randomization.photographs) if randomization.photographs else ()

    def take(renders: CropBatch) -> CropBatch:
        return capture(renders, randomization, SEED, models, photographs)

    def adapt(renders: CropBatch) -> CropBatch:
        return adapt_crops(renders, adapter, SEED, window)

    calibration = calibrate(
        adapt, adapter, models, plan, crops, JUDGE, renderer, take, on_batch, randomization
    )
    with writing(folder, "make room there, or give a folder that can be written to"):
        write_file(folder / CALIBRATION, write_calibration(calibration))
    return calibration


def calibrate(
    adapt: Callable[[CropBatch], CropBatch],
    adapter: Adapter | None,
    models: Sequence[CadModel],
    plan: PlanConfig,
    crops: int,
    network: Path = JUDGE,
    renderer: Renderer | None = None,
    take: Callable[[CropBatch], CropBatch] = lambda renders: renders,
    on_batch: OnBatch | None = None,
    randomization: Randomization = RANDOMIZATIONS["linemod"],
) -> Calibration:
    """Measure crops as `adapt` makes them of plain renders.

    Args:
        adapt: renders to crops.
        adapter: what does so; None where it is none, so that depth is part of what is measured.
        models: the objects.
        plan: how they are shown.
        crops: how many.
        network: the judge, an ONNX file.
        renderer: of these models; raster if not given.
        take: makes of a render what is adapted.
        on_batch: is shown all that is made for it.
        randomization: in whose light renders are.
    """
    judge_sha256 = hash_of_judge(network)
    renderer = renderer or make_renderer("raster", models, levels=False)
    judge = open_judge(network)
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, crops, _AT_ONCE):
        stop = min(start + _AT_ONCE, crops)
        renders = renderer.render(make_plans(plan, models, SEED, start, stop, randomization))
        taken = take(renders)
        adapted = adapt(taken)
        measured = measure_parts(adapted, renders, judge)
        if on_batch is not None:
            on_batch(taken, adapted, measured)
        for part, values in measured.items():
            parts.setdefault(part, []).append(values)
    if adapter is not None and adapter.info.channels == 3:
        del parts["depth"]
    return measure(
        {part: np.concatenate(values) for part, values in parts.items()},
        adapter_sha256=adapter.info.sha256["generator.onnx"] if adapter else None,
        judge_sha256=judge_sha256,
        objects=tuple(model.name for model in models),
    )
