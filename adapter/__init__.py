"""PixelDA: make rendered crops look like a camera's.

Importing this package imports neither torch nor onnxruntime; what needs them imports them when
it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from adapter._config import PRESETS, LabelledCrops, Progress, TrainConfig
from adapter._crop_tensor import FAR, decode, encode
from adapter._errors import AdapterError
from adapter._runtime import (
    SHIPPED_ADAPTER,
    Adapter,
    AdapterInfo,
    IdentityAdapter,
    draw_noise,
    load_adapter,
    read_info,
)
from adapter._target import TargetCrops, read_target

if TYPE_CHECKING:
    from adapter._artifact import save_adapter
    from adapter._networks import Discriminator, Generator, TaskTower
    from adapter._train import train

__all__ = [
    "FAR",
    "PRESETS",
    "SHIPPED_ADAPTER",
    "Adapter",
    "AdapterError",
    "AdapterInfo",
    "Discriminator",
    "Generator",
    "IdentityAdapter",
    "LabelledCrops",
    "Progress",
    "TargetCrops",
    "TaskTower",
    "TrainConfig",
    "decode",
    "draw_noise",
    "encode",
    "load_adapter",
    "read_info",
    "read_target",
    "save_adapter",
    "train",
]

_NEEDS_TORCH = {
    "Discriminator": "adapter._networks",
    "Generator": "adapter._networks",
    "TaskTower": "adapter._networks",
    "save_adapter": "adapter._artifact",
    "train": "adapter._train",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module 'adapter' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_NEEDS_TORCH[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise AdapterError(
            f"adapter.{name} needs torch; install it with: pip install 'render-adapt[train]'"
        ) from error
