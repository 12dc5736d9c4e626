"""What a training on aligned crops learns from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError
from adapter._settings.pixelda import TrainConfig
from checked_settings import SettingError

_UNREAD = (
    "discriminator_keep", "discriminator_noise", "discriminator_norm",
    "discriminator_batch_deviation", "discriminator_weight", "gradient_penalty",
    "gradient_penalty_every", "diversity_weight", "task_on_source", "class_weight", "pose_weight",
    "task_weight_in_generator", "similarity_weight", "similarity_normaliser",
    "similarity_per_channel", "similarity_reduction", "depth_weight", "compile",
)  # fmt: skip
"""Settings that a training on pairs has no use for."""
_UNREAD_BY_LAYERED = (
    "half_resolution", "dilated", "noise_path", "last_kernel", "residual_output",
)  # fmt: skip
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainConfig)}


@dataclass(frozen=True)
class AlignedPairs:
    """P crops of the camera beside renders in their poses.

    Raises:
        AdapterError: arrays whose shapes do not go together.
    """

    renders: NDArray[np.float32] | NDArray[np.float16]
    """(P, V, 4, H, W) in [-1, 1], on black, in V lights each; depth is far off the object."""
    real: NDArray[np.float32] | NDArray[np.float16]
    """(P, 3, H, W) in [-1, 1], what the camera saw."""
    backgrounds: NDArray[np.float32] | NDArray[np.float16]
    """(P, 3, H, W) in [-1, 1], the same without the object, and something in its place."""

    def __post_init__(self) -> None:
        shape = self.real.shape
        renders = self.renders.shape
        if len(renders) != 5 or (renders[0], 3, *renders[3:]) != shape or renders[2] != 4:
            raise AdapterError(f"renders {renders} and real crops {shape} do not go together")
        if self.backgrounds.shape != shape:
            raise AdapterError(f"backgrounds {self.backgrounds.shape} are not like {shape}")

    def __len__(self) -> int:
        return len(self.real)


def refuse_unread_settings(config: TrainConfig) -> None:
    """Refuse settings that would change nothing, where somebody thinks that they do.

    Raises:
        SettingError: one of them is not its default.
    """
    layered = config.architecture == "layered"
    names = (*_UNREAD, *(_UNREAD_BY_LAYERED if layered else ()))
    unread = [name for name in names if getattr(config, name) != _DEFAULTS[name]]
    if config.task != "none":
        unread.append("task")
    if unread:
        raise SettingError(
            f"`{unread[0]}` is {getattr(config, unread[0])}, and a training on aligned crops does "
            "not read it: leave it out, and begin with `preset` best"
        )
