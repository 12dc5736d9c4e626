"""Settings of the systems that PixelDA is compared with, and presets of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from adapter._settings.numbers import Average, Batch, Count, Factor, Positive, Weight, Whole
from checked_settings import WrongValue, check


@dataclass(frozen=True)
class BaselineConfig:
    """Everything that decides what a baseline learns.

    Raises:
        SettingError: a setting out of range, or two that do not go together.
    """

    system: Literal["supervised", "coral", "deep-coral", "mmd", "dann", "dsn"] = "supervised"
    """How domains are aligned: not at all; CORAL's closed form and an SVM after training on the
    source; or by a loss on features (Deep CORAL, MMD, DANN, DSN).

    "supervised" is source-only, target-only or 1000-only by the crops that it is given, and
    Synth+1000 with labelled target crops beside them."""
    task: Literal["pose", "digits"] = "pose"
    """The task tower: class and pose, or class only."""
    steps: Count = 100_000
    """Training steps."""
    max_minutes: Weight = 0.0
    """Stop after this long, with a checkpoint to continue from; 0 means no limit."""
    batch: Batch = 32
    """Source crops, and target crops, in each step."""
    seed: Whole = 0
    """Decides weights, order of the data and dropout."""

    batch_norm: bool = False
    """Batch normalisation in the task tower. At test time it uses the target's statistics, where
    a run sees target crops."""
    dropout: Average | None = None
    """Probability that a value of the tower's last hidden layer is dropped; none given means the
    paper's towers: 0.5 for pose, 0 for digits."""
    class_weight: Weight = 1.0
    """Weight of the classification loss in the task loss."""
    pose_weight: Weight = 0.125
    """Weight of the pose loss in the task loss (DSN: 0.125)."""

    alignment_weight: Weight = 0.2
    """Weight of the loss that aligns features (DSN's gamma)."""
    alignment_from_step: Whole = 0
    """Leave out all but the task loss until this step (DSN's paper: 10,000)."""
    ramp: Literal["constant", "ganin"] = "constant"
    """Alignment at once, or rising over the run as 2 / (1 + exp(-10 p)) - 1. What rises is the
    weight or, with a domain classifier, what of its gradient is reversed."""
    bandwidths: Literal["paper", "median"] = "paper"
    """MMD's kernels: DSN's 19 (with its floor of 1e-4), or five around the median distance."""
    similarity: Literal["dann", "mmd"] = "dann"
    """DSN: how the shared features are aligned."""
    reconstruction_weight: Weight = 0.05
    """DSN: weight of the reconstruction loss (alpha), which is summed over the batch."""
    difference_weight: Weight = 0.05
    """DSN: weight of the loss that keeps private from shared features (beta)."""
    svm_c: Positive = 1e-4
    """CORAL: the linear SVM's C."""
    coral_crops: Count = 10_000
    """CORAL: crops of each domain, at most, that the covariances and the SVM are fitted to."""

    optimizer: Literal["adam", "momentum"] = "momentum"
    """Adam (with decoupled weight decay) or stochastic gradient descent with momentum."""
    momentum: Average = 0.9
    """The momentum, or Adam's first beta."""
    learning_rate: Positive = 0.01
    """The learning rate."""
    schedule: Literal["constant", "staircase", "linear"] = "staircase"
    """Learning rate over time: constant, in stairs, or linear to 0 over the second half."""
    decay: Factor = 0.95
    """Factor of each stair."""
    decay_steps: Count = 20_000
    """Length of a stair in steps."""
    weight_decay: Weight = 0.0
    """Weight decay (DSN: 1e-6)."""
    ema: Average = 0.0
    """The tower is evaluated as a moving average of its weights with this factor; 0 is off."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is up to twice as fast on processors that have it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train: cpu or cuda."""
    threads: Whole = 0
    """Processor threads; 0 has the fastest number found by a few steps, on a GPU torch's."""
    checkpoint_every: Count = 1000
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check(self)
        if self.aligns and self.alignment_from_step >= self.steps:
            rule = f"below `steps` ({self.steps}), or nothing would be aligned"
            raise WrongValue("alignment_from_step", self.alignment_from_step, rule)

    @property
    def aligns(self) -> bool:
        """Whether target crops take part in training."""
        return self.system not in ("supervised", "coral")


_DSN_ERA = BaselineConfig(
    optimizer="momentum",
    learning_rate=0.01,
    weight_decay=1e-6,
    alignment_from_step=10_000,
)
_MODERN = BaselineConfig(
    steps=20_000,
    batch=64,
    batch_norm=True,
    dropout=0.5,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="linear",
    weight_decay=1e-4,
    ema=0.999,
    ramp="ganin",
)

BASELINES: dict[str, BaselineConfig] = {
    # The official code's trainer of the source-only and target-only rows.
    "supervised": BaselineConfig(
        system="supervised", optimizer="adam", momentum=0.5, learning_rate=1e-4
    ),
    "coral": dataclasses.replace(_DSN_ERA, system="coral"),
    "mmd": dataclasses.replace(_DSN_ERA, system="mmd", alignment_weight=0.2),
    # DSN's README prints these three to all their digits, for MNIST to MNIST-M.
    "dann": dataclasses.replace(
        _DSN_ERA, system="dann", learning_rate=0.0117249, alignment_weight=0.251175
    ),
    "dsn": dataclasses.replace(_DSN_ERA, system="dsn", alignment_weight=0.25),
    # Batch normalisation makes a tower trained on the source alone worse on the target: 36 %
    # instead of 59 % on MNIST-M after 500 steps (one seed).
    "supervised-modern": dataclasses.replace(_MODERN, system="supervised", batch_norm=False),
    # Aligning while learning moves the convolutions too, which the closed form cannot.
    "coral-modern": dataclasses.replace(_MODERN, system="deep-coral", alignment_weight=10.0),
    # Most of the paper's 19 kernels are flat at any one scale of the features.
    "mmd-modern": dataclasses.replace(
        _MODERN, system="mmd", alignment_weight=1.0, bandwidths="median"
    ),
    # Others report 89-91 % on MNIST-M with batch normalisation and Adam, where the paper has 77. A
    # weight of 1 mixes classes up: about 24 % there after 500 steps (one seed), 36 % with 0.3.
    "dann-modern": dataclasses.replace(_MODERN, system="dann", alignment_weight=0.25, momentum=0.5),
    # DSN with the same remedies, its adversary being DANN's.
    "dsn-modern": dataclasses.replace(_MODERN, system="dsn", alignment_weight=0.25, momentum=0.5),
}
"""The paper-era settings, and "modern" ones where practice has since become far better.

The paper-era ones are of DSN's paper and code, from which the paper has the figures; where they
name a range over scenarios, the preset is inside it. Neither gives a training length: it is ours.
Target-only was trained at a learning rate of 1e-3, and CORAL's C was 1e-4 for MNIST-M.
"""
