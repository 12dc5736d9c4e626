"""render-adapt: labelled synthetic crops that look like your camera's.

    from pathlib import Path

    import render_adapt

    config = render_adapt.RunConfig(objects=("ape", "cat"), n=1000, out=Path("dataset"))
    print(render_adapt.generate(config).contact_sheet)

The packages beside this one are the parts: `cad_models` (which objects there are), `renderer`
(object, pose and light to crop) and `adapter` (PixelDA); this one couples them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render_adapt._calibrate import calibrate_adapter
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
    from render_adapt._faithful import FaithfulCrops, adapt_faithfully
    from render_adapt._fidelity import FidelityScores, Judge, make_judge
    from render_adapt._labelled_crop import LabelledCrop
    from render_adapt._load import Dataset, load
    from render_adapt._pipeline import RunSummary, generate
    from render_adapt._readers import torch_dataset, webdataset_pipeline
    from render_adapt._report import write_report
    from render_adapt._shard_checks import BadFile
    from render_adapt._shard_writer import FakeShardWriter, ShardWriter
    from render_adapt._train import FoundTarget, TrainRun, find_target, train_adapter
    from render_adapt._verify import Verification, repair, verify

__all__ = [
    "PRESETS",
    "USER_ERRORS",
    "BadFile",
    "ConfigError",
    "Dataset",
    "DatasetError",
    "Executor",
    "FaithfulCrops",
    "FakeShardWriter",
    "FidelityScores",
    "FoundTarget",
    "Judge",
    "LabelledCrop",
    "ProcessExecutor",
    "RenderAdaptError",
    "RunConfig",
    "RunSummary",
    "SerialExecutor",
    "ShardWriter",
    "TrainRun",
    "Verification",
    "WorkerError",
    "adapt_crops",
    "adapt_faithfully",
    "calibrate_adapter",
    "find_target",
    "generate",
    "load",
    "make_judge",
    "repair",
    "torch_dataset",
    "train_adapter",
    "verify",
    "webdataset_pipeline",
    "write_report",
]

_WHERE = {
    "PRESETS": "_config",
    "USER_ERRORS": "_exceptions",
    "BadFile": "_shard_checks",
    "ConfigError": "_exceptions",
    "Dataset": "_load",
    "DatasetError": "_exceptions",
    "Executor": "_executor",
    "FaithfulCrops": "_faithful",
    "FakeShardWriter": "_shard_writer",
    "FidelityScores": "_fidelity",
    "Judge": "_fidelity",
    "LabelledCrop": "_labelled_crop",
    "ProcessExecutor": "_executor",
    "RenderAdaptError": "_exceptions",
    "RunConfig": "_config",
    "RunSummary": "_pipeline",
    "SerialExecutor": "_executor",
    "ShardWriter": "_shard_writer",
    "FoundTarget": "_train",
    "TrainRun": "_train",
    "Verification": "_verify",
    "WorkerError": "_exceptions",
    "adapt_crops": "_coupling",
    "adapt_faithfully": "_faithful",
    "calibrate_adapter": "_calibrate",
    "generate": "_pipeline",
    "load": "_load",
    "make_judge": "_fidelity",
    "repair": "_verify",
    "torch_dataset": "_readers",
    "find_target": "_train",
    "train_adapter": "_train",
    "verify": "_verify",
    "webdataset_pipeline": "_readers",
    "write_report": "_report",
}
"""Imported when they are first asked for, so that a command that is interrupted as it starts ends
calmly."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'render_adapt' has no attribute {name!r}")
    return getattr(importlib.import_module(f"render_adapt.{_WHERE[name]}"), name)
