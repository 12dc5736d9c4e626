"""Settings of CoGAN."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from adapter._settings.pixelda import require


@dataclass(frozen=True)
class CoGanConfig:
    """Everything that decides what a CoGAN learns; the defaults are the released code's.

    Raises:
        AdapterError: a setting out of range.
    """

    steps: int = 10_000
    """Training steps; one is a discriminator step followed by a generator step."""
    max_minutes: float = 0.0
    """Stop after this long, with a checkpoint to continue from; 0 means no limit."""
    batch: int = 64
    """Source crops, target crops, and generated pairs, in each step."""
    seed: int = 0
    """Decides weights, order of the data and noise."""

    task: Literal["digits", "pose"] = "digits"
    """What is learnt beside: the class, or class and pose."""
    noise_dimension: int = 100
    """Length of the noise vector z, drawn from N(0, 1)."""
    generator_width: float = 1.0
    """Factor of the generator's feature maps, 1024 in its first layer; it decides the speed."""
    discriminator_width: float = 1.0
    """Factor of the discriminator's feature maps, 20, 50 and 500; these also classify."""

    class_weight: float = 10.0
    """Weight of the classification loss in the discriminator step."""
    pose_weight: float = 2.0
    """Weight of the pose loss in the discriminator step, PixelDA's 0.2 of the class weight."""
    feature_weight: float = 0.01
    """Weight of the distance between the features of a generated pair, discriminator step."""

    learning_rate: float = 2e-4
    """Adam's learning rate."""
    weight_decay: float = 5e-4
    """L2 penalty, added to the gradient before Adam as in the released code."""
    ema: float = 0.0
    """Predict with a moving average of the discriminator with this factor; 0 is off."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is faster on a GPU, and on processors that have it in hardware."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train: cpu or cuda."""
    threads: int = 0
    """Processor threads; 0 leaves it to torch."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        kinds = get_type_hints(CoGanConfig)
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), get_args(kinds[field.name])
            if choices:
                names = ", ".join(choices)
                require(self, value in choices, field.name, f"must be one of {names}")
            elif field.name in {"steps", "noise_dimension", "checkpoint_every"}:
                require(self, value >= 1, field.name, "must be at least 1")
            elif field.name in {"generator_width", "discriminator_width", "learning_rate"}:
                require(self, 0 < value < math.inf, field.name, "must be finite and above 0")
            else:
                require(self, 0 <= value < math.inf, field.name, "must be finite, not negative")
        require(self, self.batch >= 2, "batch", "must be at least 2, for batch normalisation")
        require(self, self.ema < 1, "ema", "must be below 1")
