"""PixelDA: make rendered crops look like a camera's.

Importing this package imports neither torch nor onnxruntime; what needs them imports them when
it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapter._config import PRESETS, LabelledCrops, Progress, TrainConfig
from adapter._crop_tensor import FAR, decode, encode
from adapter._errors import AdapterError

if TYPE_CHECKING:
    from adapter._train import train as train

__all__ = [
    "FAR",
    "PRESETS",
    "AdapterError",
    "LabelledCrops",
    "Progress",
    "TrainConfig",
    "decode",
    "encode",
    "train",
]

_NEEDS_TORCH = {"train": "adapter._train"}


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        import importlib

        return getattr(importlib.import_module(_NEEDS_TORCH[name]), name)
    raise AttributeError(f"module 'adapter' has no attribute {name!r}")
