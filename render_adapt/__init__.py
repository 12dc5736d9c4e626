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
import sys
from typing import TYPE_CHECKING, Any

from render_adapt import _own_packages

if TYPE_CHECKING:
    from checked_settings import MissingDependency, RenderAdaptError, SettingError, WrongValue
    from render_adapt._align.run import align
    from render_adapt._align.settings import AlignConfig, AlignSummary
    from render_adapt._config import PRESETS, RunConfig
    from render_adapt._coupling import adapt_crops
    from render_adapt._exceptions import DatasetError, WorkerError
    from render_adapt._existing.adapt import adapt_dataset
    from render_adapt._existing.crop import crop_dataset
    from render_adapt._existing.settings import (
        AdaptConfig,
        AdaptSummary,
        CropConfig,
        CropSummary,
    )
    from render_adapt._fidelity.calibrate import calibrate_adapter
    from render_adapt._fidelity.calibration import Calibration, read_calibration
    from render_adapt._fidelity.faithful import Decisions, FaithfulCrops, adapt_faithfully
    from render_adapt._fidelity.judge import FidelityScores, Judge, make_judge
    from render_adapt._fit.run import fit
    from render_adapt._fit.settings import FitConfig, FitSummary, Likeness
    from render_adapt._formats.coco import coco_annotation, decode_mask, encode_mask
    from render_adapt._formats.crop_reader import CropReader
    from render_adapt._formats.format import Format, MergeableFormat
    from render_adapt._formats.image import BopImage, RgbKind, bop_image
    from render_adapt._formats.labelled_crop import LabelledCrop, assemble_crop
    from render_adapt._formats.labels import InstanceLabel, box_corners, label_crops
    from render_adapt._formats.prepared_shard import PreparedShard
    from render_adapt._formats.registry import formats
    from render_adapt._formats.shard import Shard
    from render_adapt._formats.shard_writer import FakeShardWriter, ShardWriter
    from render_adapt._frames.adapting import adapt_frames
    from render_adapt._merge.merge import MergeSummary, merge
    from render_adapt._readers.load import Dataset, load
    from render_adapt._readers.optional import torch_dataset, webdataset_pipeline
    from render_adapt._report.page import write_report
    from render_adapt._runs.estimate import Estimate, estimate
    from render_adapt._runs.executor import Executor, ProcessExecutor, SerialExecutor
    from render_adapt._runs.pipeline import RunSummary, generate, make_only
    from render_adapt._runs.ray_executor import RayExecutor
    from render_adapt._stores.address import StoreAddress
    from render_adapt._target_crops.run import crop_target
    from render_adapt._target_crops.settings import CropTargetConfig, CropTargetSummary
    from render_adapt._train import FoundTarget, TrainRun, find_target, train_adapter
    from render_adapt._verdict.measuring import judge_adapter
    from render_adapt._verify.shards import BadFile
    from render_adapt._verify.verify import Verification, repair, verify

__all__ = [
    "PRESETS",
    "AdaptConfig",
    "AdaptSummary",
    "AlignConfig",
    "AlignSummary",
    "BadFile",
    "BopImage",
    "Calibration",
    "CropConfig",
    "CropReader",
    "CropSummary",
    "CropTargetConfig",
    "CropTargetSummary",
    "Dataset",
    "DatasetError",
    "Decisions",
    "Estimate",
    "Executor",
    "FaithfulCrops",
    "FakeShardWriter",
    "FidelityScores",
    "FitConfig",
    "FitSummary",
    "Format",
    "FoundTarget",
    "InstanceLabel",
    "Judge",
    "LabelledCrop",
    "Likeness",
    "MergeSummary",
    "MergeableFormat",
    "MissingDependency",
    "PreparedShard",
    "ProcessExecutor",
    "RayExecutor",
    "RenderAdaptError",
    "RgbKind",
    "RunConfig",
    "RunSummary",
    "SerialExecutor",
    "SettingError",
    "Shard",
    "ShardWriter",
    "StoreAddress",
    "TrainRun",
    "Verification",
    "WorkerError",
    "WrongValue",
    "adapt_crops",
    "adapt_dataset",
    "adapt_faithfully",
    "adapt_frames",
    "align",
    "assemble_crop",
    "bop_image",
    "box_corners",
    "calibrate_adapter",
    "coco_annotation",
    "crop_dataset",
    "crop_target",
    "decode_mask",
    "encode_mask",
    "estimate",
    "find_target",
    "fit",
    "formats",
    "generate",
    "judge_adapter",
    "label_crops",
    "load",
    "make_judge",
    "make_only",
    "merge",
    "read_calibration",
    "repair",
    "torch_dataset",
    "train_adapter",
    "verify",
    "webdataset_pipeline",
    "write_report",
]

_WHERE = {
    "PRESETS": "_config",
    "AdaptConfig": "_existing.settings",
    "AdaptSummary": "_existing.settings",
    "AlignConfig": "_align.settings",
    "AlignSummary": "_align.settings",
    "BadFile": "_verify.shards",
    "BopImage": "_formats.image",
    "Calibration": "_fidelity.calibration",
    "CropConfig": "_existing.settings",
    "CropReader": "_formats.crop_reader",
    "CropTargetConfig": "_target_crops.settings",
    "CropTargetSummary": "_target_crops.settings",
    "CropSummary": "_existing.settings",
    "Dataset": "_readers.load",
    "DatasetError": "_exceptions",
    "Decisions": "_fidelity.faithful",
    "Estimate": "_runs.estimate",
    "Executor": "_runs.executor",
    "FaithfulCrops": "_fidelity.faithful",
    "FakeShardWriter": "_formats.shard_writer",
    "FidelityScores": "_fidelity.judge",
    "FitConfig": "_fit.settings",
    "FitSummary": "_fit.settings",
    "Format": "_formats.format",
    "FoundTarget": "_train",
    "InstanceLabel": "_formats.labels",
    "Judge": "_fidelity.judge",
    "LabelledCrop": "_formats.labelled_crop",
    "Likeness": "_fit.settings",
    "MergeSummary": "_merge.merge",
    "MergeableFormat": "_formats.format",
    "PreparedShard": "_formats.prepared_shard",
    "ProcessExecutor": "_runs.executor",
    "RayExecutor": "_runs.ray_executor",
    "RgbKind": "_formats.image",
    "RunConfig": "_config",
    "RunSummary": "_runs.pipeline",
    "SerialExecutor": "_runs.executor",
    "Shard": "_formats.shard",
    "ShardWriter": "_formats.shard_writer",
    "StoreAddress": "_stores.address",
    "TrainRun": "_train",
    "Verification": "_verify.verify",
    "WorkerError": "_exceptions",
    "adapt_crops": "_coupling",
    "adapt_dataset": "_existing.adapt",
    "adapt_faithfully": "_fidelity.faithful",
    "adapt_frames": "_frames.adapting",
    "align": "_align.run",
    "assemble_crop": "_formats.labelled_crop",
    "bop_image": "_formats.image",
    "box_corners": "_formats.labels",
    "calibrate_adapter": "_fidelity.calibrate",
    "coco_annotation": "_formats.coco",
    "crop_target": "_target_crops.run",
    "crop_dataset": "_existing.crop",
    "decode_mask": "_formats.coco",
    "encode_mask": "_formats.coco",
    "estimate": "_runs.estimate",
    "find_target": "_train",
    "fit": "_fit.run",
    "formats": "_formats.registry",
    "generate": "_runs.pipeline",
    "label_crops": "_formats.labels",
    "judge_adapter": "_verdict.measuring",
    "load": "_readers.load",
    "make_judge": "_fidelity.judge",
    "make_only": "_runs.pipeline",
    "merge": "_merge.merge",
    "read_calibration": "_fidelity.calibration",
    "repair": "_verify.verify",
    "torch_dataset": "_readers.optional",
    "train_adapter": "_train",
    "verify": "_verify.verify",
    "webdataset_pipeline": "_readers.optional",
    "write_report": "_report.page",
}
"""Imported when they are first asked for, so that a command that is interrupted as it starts ends
calmly."""
_ERRORS = {"MissingDependency", "RenderAdaptError", "SettingError", "WrongValue"}
"""Of `checked_settings`."""

if sys.argv[:1] != ["-m"]:
    # While `python -m` looks for its module, the working directory comes first, which that module
    # may leave: it refuses by itself.
    _own_packages.refuse_hidden()


def __getattr__(name: str) -> Any:
    if name in _ERRORS:
        return getattr(importlib.import_module("checked_settings"), name)
    if name not in _WHERE:
        raise AttributeError(f"module 'render_adapt' has no attribute {name!r}")
    return getattr(importlib.import_module(f"render_adapt.{_WHERE[name]}"), name)
