"""Settings of CoGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapter._settings.numbers import Average, Batch, Count, Positive, Weight, Whole
from checked_settings import check


@dataclass(frozen=True)
class CoGanConfig:
    """Everything that decides what a CoGAN learns; the defaults are the released code's.

    Raises:
        SettingError: a setting out of range.
    """

    steps: Count = 10_000
    """Training steps; one is a discriminator step followed by a generator step."""
    max_minutes: Weight = 0.0
    """Stop after this long, with a checkpoint to continue from; 0 means no limit."""
    batch: Batch = 64
    """Source crops, target crops, and generated pairs, in each step."""
    seed: Whole = 0
    """Decides weights, order of the data and noise."""

    task: Literal["digits", "pose"] = "digits"
    """What is learnt beside: the class, or class and pose."""
    noise_dimension: Count = 100
    """Length of the noise vector z, drawn from N(0, 1)."""
    generator_width: Positive = 1.0
    """Factor of the generator's feature maps, 1024 in its first layer; it decides the speed."""
    discriminator_width: Positive = 1.0
    """Factor of the discriminator's feature maps, 20, 50 and 500; these also classify."""

    class_weight: Weight = 10.0
    """Weight of the classification loss in the discriminator step."""
    pose_weight: Weight = 2.0
    """Weight of the pose loss in the discriminator step, PixelDA's 0.2 of the class weight."""
    feature_weight: Weight = 0.01
    """Weight of the distance between the features of a generated pair, discriminator step."""

    learning_rate: Positive = 2e-4
    """Adam's learning rate."""
    weight_decay: Weight = 5e-4
    """L2 penalty, added to the gradient before Adam as in the released code."""
    ema: Average = 0.0
    """Predict with a moving average of the discriminator with this factor; 0 is off."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is faster on a GPU, and on processors that have it in hardware."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train: cpu or cuda."""
    threads: Whole = 0
    """Processor threads; 0 has the fastest number found by a few steps, on a GPU torch's."""
    checkpoint_every: Count = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check(self)
