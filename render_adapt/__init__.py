"""render-adapt: labelled synthetic crops that look like your camera's.

    from pathlib import Path

    import render_adapt

    config = render_adapt.RunConfig(objects=("ape", "cat"), n=1000, out=Path("dataset"))
    print(render_adapt.generate(config).contact_sheet)

The packages beside this one are the parts: `cad_models` (which objects there are), `renderer`
(object, pose and light to crop) and `adapter` (PixelDA); this one couples them.
"""

from __future__ import annotations

from render_adapt._config import PRESETS, RunConfig
from render_adapt._coupling import adapt_crops
from render_adapt._exceptions import (
    USER_ERRORS,
    ConfigError,
    DatasetError,
    RenderAdaptError,
    WorkerError,
)
from render_adapt._executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._pipeline import RunSummary, generate
from render_adapt._train import TrainRun, train_adapter

__all__ = [
    "PRESETS",
    "USER_ERRORS",
    "ConfigError",
    "DatasetError",
    "Executor",
    "ProcessExecutor",
    "RenderAdaptError",
    "RunConfig",
    "RunSummary",
    "SerialExecutor",
    "TrainRun",
    "WorkerError",
    "adapt_crops",
    "generate",
    "train_adapter",
]
