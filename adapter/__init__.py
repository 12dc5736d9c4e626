"""PixelDA: make rendered crops look like a camera's.

Importing this package imports neither torch nor onnxruntime; what needs them imports them when
it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from adapter._crop_tensor import FAR, decode, encode
from adapter._cut import TargetCut
from adapter._errors import (
    AdapterError,
    OtherTraining,
    TrainingCollapsed,
    TrainingDiverged,
)
from adapter._networks.architecture import AdapterArchitecture
from adapter._runtime.adapters import (
    Adapter,
    IdentityAdapter,
    draw_noise,
    load_adapter,
)
from adapter._runtime.bf16 import Precision, precision_here
from adapter._runtime.description import BACKGROUNDS, AdapterInfo, read_info, save_verdict
from adapter._runtime.device_check import check_device
from adapter._runtime.devices import device_here
from adapter._runtime.known import ADAPTERS, SHIPPED_ADAPTER, adapter_folder
from adapter._runtime.onnx import open_network
from adapter._runtime.verdict import Verdict
from checked_settings import MissingDependency as _MissingDependency

if TYPE_CHECKING:
    from adapter._measures.domains import (
        KernelDistance,
        domain_features,
        kernel_distance,
        told_apart,
    )
    from adapter._measures.evaluation import (
        Evaluation,
        LabelFreeScore,
        Predict,
        choose,
        evaluate,
        label_free_score,
    )
    from adapter._measures.nearest import Memorisation, Nearest, memorisation, nearest_neighbours
    from adapter._networks.cogan import CoupledDiscriminator, CoupledGenerator
    from adapter._networks.dsn import DomainSeparation
    from adapter._networks.export import export_onnx
    from adapter._networks.normalisation import BatchNorm
    from adapter._networks.pixelda import Discriminator, Generator, TaskTower
    from adapter._networks.registry import architecture_of, architectures
    from adapter._runtime.onnx_adapter import save_onnx_adapter
    from adapter._runtime.torch_network import TorchNetwork
    from adapter._settings.baselines import BASELINES, BaselineConfig
    from adapter._settings.cogan import CoGanConfig
    from adapter._settings.pairs import AlignedPairs
    from adapter._settings.pixelda import PRESETS, LabelledCrops, TrainConfig
    from adapter._settings.progress import Progress, TaskProgress
    from adapter._target.read import TargetCrops, read_target
    from adapter._target.report import LeftOut, TargetReport
    from adapter._training.artifact import save_adapter
    from adapter._training.averages import MovingAverage
    from adapter._training.baselines import load_baseline, train_baseline
    from adapter._training.checkpoint import CHECKPOINT, FREE_SETTINGS, read_checkpoint
    from adapter._training.cogan import draw_pairs, load_cogan, train_cogan
    from adapter._training.engine import Snapshot, Training, TrainingSettings, run_training
    from adapter._training.paired import train_on_pairs
    from adapter._training.pixelda import load_task_tower, train, training_steps
    from adapter._training.trained import TrainedGenerator, checkpoint_step, load_generator
    from adapter.losses import angle_degrees

__all__ = [
    "ADAPTERS",
    "BACKGROUNDS",
    "BASELINES",
    "CHECKPOINT",
    "FAR",
    "FREE_SETTINGS",
    "PRESETS",
    "SHIPPED_ADAPTER",
    "Adapter",
    "AdapterArchitecture",
    "AdapterError",
    "AdapterInfo",
    "AlignedPairs",
    "BaselineConfig",
    "BatchNorm",
    "CoGanConfig",
    "CoupledDiscriminator",
    "CoupledGenerator",
    "Discriminator",
    "DomainSeparation",
    "Evaluation",
    "Generator",
    "IdentityAdapter",
    "KernelDistance",
    "LabelFreeScore",
    "LabelledCrops",
    "LeftOut",
    "Memorisation",
    "MovingAverage",
    "Nearest",
    "OtherTraining",
    "Precision",
    "Predict",
    "Progress",
    "Snapshot",
    "TargetCrops",
    "TargetCut",
    "TargetReport",
    "TaskProgress",
    "TaskTower",
    "TorchNetwork",
    "TrainConfig",
    "TrainedGenerator",
    "Training",
    "TrainingCollapsed",
    "TrainingDiverged",
    "TrainingSettings",
    "Verdict",
    "adapter_folder",
    "angle_degrees",
    "architecture_of",
    "architectures",
    "check_device",
    "checkpoint_step",
    "choose",
    "decode",
    "device_here",
    "domain_features",
    "draw_noise",
    "draw_pairs",
    "encode",
    "evaluate",
    "export_onnx",
    "kernel_distance",
    "label_free_score",
    "load_adapter",
    "load_baseline",
    "load_cogan",
    "load_generator",
    "load_task_tower",
    "memorisation",
    "nearest_neighbours",
    "open_network",
    "precision_here",
    "read_checkpoint",
    "read_info",
    "read_target",
    "run_training",
    "save_adapter",
    "save_onnx_adapter",
    "save_verdict",
    "told_apart",
    "train",
    "train_baseline",
    "train_cogan",
    "train_on_pairs",
    "training_steps",
]

_LATER = {
    "AlignedPairs": "adapter._settings.pairs",
    "BASELINES": "adapter._settings.baselines",
    "BaselineConfig": "adapter._settings.baselines",
    "CoGanConfig": "adapter._settings.cogan",
    "LabelledCrops": "adapter._settings.pixelda",
    "LeftOut": "adapter._target.report",
    "Memorisation": "adapter._measures.nearest",
    "Nearest": "adapter._measures.nearest",
    "PRESETS": "adapter._settings.pixelda",
    "Progress": "adapter._settings.progress",
    "TargetCrops": "adapter._target.read",
    "TargetReport": "adapter._target.report",
    "TaskProgress": "adapter._settings.progress",
    "TrainConfig": "adapter._settings.pixelda",
    "memorisation": "adapter._measures.nearest",
    "nearest_neighbours": "adapter._measures.nearest",
    "read_target": "adapter._target.read",
    "save_onnx_adapter": "adapter._runtime.onnx_adapter",
}
"""What only trainings and their like need: it is imported when it is asked for."""
_NEEDS_TORCH = {
    "BatchNorm": "adapter._networks.normalisation",
    "CHECKPOINT": "adapter._training.checkpoint",
    "CoupledDiscriminator": "adapter._networks.cogan",
    "CoupledGenerator": "adapter._networks.cogan",
    "FREE_SETTINGS": "adapter._training.checkpoint",
    "Discriminator": "adapter._networks.pixelda",
    "DomainSeparation": "adapter._networks.dsn",
    "Evaluation": "adapter._measures.evaluation",
    "Generator": "adapter._networks.pixelda",
    "KernelDistance": "adapter._measures.domains",
    "LabelFreeScore": "adapter._measures.evaluation",
    "MovingAverage": "adapter._training.averages",
    "Predict": "adapter._measures.evaluation",
    "Snapshot": "adapter._training.engine",
    "TaskTower": "adapter._networks.pixelda",
    "TorchNetwork": "adapter._runtime.torch_network",
    "TrainedGenerator": "adapter._training.trained",
    "Training": "adapter._training.engine",
    "TrainingSettings": "adapter._training.engine",
    "angle_degrees": "adapter.losses",
    "architecture_of": "adapter._networks.registry",
    "architectures": "adapter._networks.registry",
    "checkpoint_step": "adapter._training.trained",
    "choose": "adapter._measures.evaluation",
    "domain_features": "adapter._measures.domains",
    "draw_pairs": "adapter._training.cogan",
    "evaluate": "adapter._measures.evaluation",
    "export_onnx": "adapter._networks.export",
    "kernel_distance": "adapter._measures.domains",
    "label_free_score": "adapter._measures.evaluation",
    "load_baseline": "adapter._training.baselines",
    "load_cogan": "adapter._training.cogan",
    "load_generator": "adapter._training.trained",
    "load_task_tower": "adapter._training.pixelda",
    "read_checkpoint": "adapter._training.checkpoint",
    "run_training": "adapter._training.engine",
    "save_adapter": "adapter._training.artifact",
    "told_apart": "adapter._measures.domains",
    "train": "adapter._training.pixelda",
    "train_baseline": "adapter._training.baselines",
    "train_cogan": "adapter._training.cogan",
    "train_on_pairs": "adapter._training.paired",
    "training_steps": "adapter._training.pixelda",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module 'adapter' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_NEEDS_TORCH[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise _MissingDependency(
            f"what trains adapters (adapter.{name})", "torch", "'render-adapt[train]'"
        ) from error
