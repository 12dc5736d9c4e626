"""Settings of a training run, the paper's and our presets, and what goes in and comes out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError
from adapter._settings.numbers import (
    Angle,
    Average,
    Batch,
    Count,
    Factor,
    Positive,
    Share,
    Weight,
    Whole,
)
from checked_settings import SettingError, check


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run learns.

    Raises:
        SettingError: a setting out of range, or two that do not go together.
    """

    steps: Count = 20_000
    """Training steps; one is a discriminator step followed by a generator step."""
    max_minutes: Weight = 0.0
    """Stop after this long, with a checkpoint to continue from; 0 means no limit."""
    batch: Batch = 32
    """Source crops, and target crops, in each step."""
    seed: Whole = 0
    """Decides weights, order of the data, noise and dropout."""

    architecture: str = "pixelda"
    """The generator's kind: pixelda, layered (for aligned crops, as `preset` best has it), or what
    another package brings (docs/extending.md)."""
    noise_dimension: Whole = 10
    """Length of the noise vector z, drawn from U(-1, 1); 0 for a generator that takes none."""
    width: Count = 64
    """Feature maps in the generator's layers."""
    blocks: Count = 4
    """Residual blocks in the generator."""
    half_resolution: bool = False
    """Run the generator's residual blocks at half the resolution: about four times faster."""
    dilated: bool = False
    """Dilate the residual blocks, so that a background is drawn in view of the whole crop."""
    noise_path: Literal["official", "paper", "coarse-to-fine"] = "official"
    """How z joins the image: one channel with BN and ReLU (official code) or without (paper), or
    feature maps drawn from coarse to fine, which make scenes of it sooner."""
    last_kernel: Literal[1, 3] = 1
    """Kernel of the generator's last convolution: 1 (official code) or 3 (paper)."""
    residual_output: bool = False
    """Let the generator predict a change to the crop instead of a new crop."""

    discriminator_width: Count = 64
    """Feature maps in the discriminator's first layer; each further layer doubles them."""
    discriminator_keep: Factor = 0.9
    """Probability that the discriminator's dropout keeps a value."""
    discriminator_noise: Weight = 0.2
    """Standard deviation of the noise added after each discriminator layer."""
    discriminator_norm: Literal["batch", "spectral", "none"] = "batch"
    """Normalisation in the discriminator."""
    discriminator_batch_deviation: bool = False
    """Show the discriminator how much the crops of a batch differ from each other."""
    discriminator_shift: Whole = 0
    """Shift what the discriminator sees by up to this many pixels, real and adapted alike."""
    discriminator_color: Weight = 0.0
    """Change brightness and contrast of what the discriminator sees by up to this much."""

    gan_loss: Literal["non-saturating", "minimax", "least-squares", "hinge"] = "non-saturating"
    """The adversarial loss."""
    discriminator_weight: Weight = 1.0
    """Weight of the discriminator's loss."""
    generator_weight: Weight = 1.0
    """Weight of the adversarial loss in the generator step."""
    gradient_penalty: Weight = 0.0
    """Weight of the discriminator's gradient penalty on real crops (R1); 0 is off."""
    gradient_penalty_every: Count = 16
    """Apply the gradient penalty in every so many steps, as many times stronger."""
    diversity_weight: Weight = 0.0
    """Reward for different looks from different noise; 0 is off."""

    task: Literal["none", "pose", "digits"] = "pose"
    """The task network trained beside: class and pose, class only, or none."""
    task_on_source: bool = True
    """Train the task network on source crops too, not on adapted ones alone."""
    class_weight: Weight = 1.0
    """Weight of the classification loss in the task loss."""
    pose_weight: Weight = 0.2
    """Weight of the pose loss in the task loss."""
    task_weight_in_generator: Weight = 0.0
    """Weight of the task loss in the generator step."""

    similarity_weight: Weight = 0.0
    """Weight of the content similarity loss (masked PMSE) in the generator step; 0 is off."""
    similarity_normaliser: Literal["all", "mask"] = "all"
    """Whether content similarity counts all pixels (paper) or the object's alone."""
    similarity_per_channel: bool = False
    """Compare each channel alone, so that a colour cast over the whole object costs nothing."""
    similarity_reduction: Literal["mean", "sum"] = "mean"
    """Content similarity averaged over the batch (paper) or doubled and summed (official code)."""

    depth_weight: Weight = 0.0
    """Weight of the squared error of depth on the object in the generator step; 0 is off.

    Content similarity lets a channel shift as a whole, which for depth would contradict the pose.
    """

    pair_weight: Weight = 0.0
    """Weight of the difference from the camera's own crop, where that is aligned (preset best)."""
    pair_hue: Angle = 0.0
    """Turn the hues of an object, in the render and in the camera's crop alike, by up to this many
    degrees, and of what is behind apart from it, so that an adapter is good for objects of other
    colours, too (preset best)."""
    pair_color: Share = 0.0
    """How much the saturation and brightness of objects change likewise, and how much they, and
    what is behind, are each mixed with any one colour: 0 to 1 (preset best)."""

    learning_rate: Positive = 2e-4
    """Adam's learning rate."""
    discriminator_learning_rate: Weight = 0.0
    """Learning rate of the discriminator and the task network; 0 means the same."""
    schedule: Literal["constant", "staircase", "linear"] = "staircase"
    """Learning rate over time: constant, in stairs, or linear to 0 over the second half."""
    decay: Factor = 0.95
    """Factor of each stair."""
    decay_steps: Count = 20_000
    """Length of a stair, counting discriminator and generator steps as one each."""
    weight_decay: Weight = 0.0
    """Decoupled weight decay (paper: 1e-5; the official code's never took effect)."""
    clip_norm: Weight = 5.0
    """Clip each variable's gradient to this norm; 0 is off."""
    ema: Average = 0.999
    """The exported generator is a moving average of the weights with this factor; 0 is off."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is two to four times faster on processors that have it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train: cpu or cuda."""
    compile: bool = False
    """Compile the networks with torch.compile, which takes minutes at first; for cuda only."""
    threads: Whole = 0
    """Processor threads; 0 has the fastest number found by a few steps, on a GPU torch's."""
    checkpoint_every: Count = 1000
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Write curves and pictures for TensorBoard beside the checkpoint."""

    def __post_init__(self) -> None:
        check(self)
        if self.diversity_weight > 0 and (self.batch % 2 or self.batch < 4):
            raise SettingError(
                f"`batch` is {self.batch}: it must be even and at least 4 with `diversity_weight`, "
                "for each crop goes in twice"
            )
        if self.noise_dimension == 0 and self.diversity_weight > 0:
            raise SettingError(
                "`diversity_weight` rewards what noise does, and there is none: make it 0, or "
                "`noise_dimension` 1 or more"
            )
        if self.task == "none" and self.task_weight_in_generator > 0:
            raise SettingError(
                "`task_weight_in_generator` needs a task network: add `task` pose or `task` digits"
            )
        if self.compile and self.device != "cuda":
            raise SettingError("`compile` is for GPUs: add `device` cuda, or leave it out")


_DIGITS = TrainConfig(
    steps=250_000,
    blocks=6,
    discriminator_keep=0.9,
    task="digits",
    task_on_source=True,
    class_weight=1.0,
    pose_weight=0.0,
    decay=0.95,
    decay_steps=20_000,
    ema=0.0,
)
_LINEMOD = TrainConfig(
    steps=200_000,
    blocks=4,
    discriminator_keep=0.35,
    task="pose",
    task_on_source=False,
    class_weight=1.0,
    task_weight_in_generator=0.0,
    decay=0.75,
    decay_steps=95_000,
    ema=0.0,
)

PRESETS: dict[str, TrainConfig] = {
    "usps": dataclasses.replace(
        _DIGITS,
        learning_rate=2e-4,
        discriminator_weight=1.0,
        generator_weight=1.0,
        task_weight_in_generator=1.0,
    ),
    "mnistm": dataclasses.replace(
        _DIGITS,
        learning_rate=1e-3,
        discriminator_weight=0.135603587834,
        generator_weight=0.0113173311334,
        task_weight_in_generator=0.0100959947002,
    ),
    "linemod": dataclasses.replace(
        _LINEMOD,
        learning_rate=2.2e-4,
        discriminator_weight=0.004,
        generator_weight=0.011,
        pose_weight=0.2,
    ),
    "linemod-masked": dataclasses.replace(
        _LINEMOD,
        learning_rate=2.6e-4,
        discriminator_weight=0.0088,
        generator_weight=0.011,
        pose_weight=0.29,
        similarity_weight=22.9,
        similarity_reduction="sum",
    ),
    "fast": TrainConfig(
        steps=20_000,
        batch=16,
        half_resolution=True,
        dilated=True,
        noise_path="coarse-to-fine",
        blocks=4,
        last_kernel=3,
        discriminator_width=32,
        discriminator_keep=1.0,
        discriminator_noise=0.0,
        discriminator_norm="spectral",
        discriminator_batch_deviation=True,
        gan_loss="hinge",
        diversity_weight=0.1,
        task="none",
        similarity_weight=30.0,
        similarity_normaliser="mask",
        depth_weight=50.0,
        learning_rate=2e-4,
        discriminator_learning_rate=4e-4,
        schedule="constant",
        ema=0.999,
        precision="bf16",
        checkpoint_every=500,
    ),
    "best": TrainConfig(
        steps=2000,
        batch=16,
        architecture="layered",
        noise_dimension=16,
        width=48,
        blocks=4,
        gan_loss="hinge",
        discriminator_width=48,
        discriminator_shift=4,
        discriminator_color=0.2,
        generator_weight=0.1,
        pair_weight=10.0,
        task="none",
        learning_rate=2e-4,
        schedule="linear",
        clip_norm=0.0,
        ema=0.999,
        checkpoint_every=500,
    ),
}
"""The paper's settings (supplement B; "mnistm" in full precision from the official code) and ours.

"fast" is for processors without a GPU. The paper gives a training length for none of its presets
but MNIST-M (250,000 steps as counted here); the others are ours.
"""


@dataclass(frozen=True)
class LabelledCrops:
    """The source domain: N rendered crops with their labels.

    Raises:
        AdapterError: arrays whose lengths or shapes do not go together.
    """

    images: NDArray[np.float32] | NDArray[np.float16]
    """(N, C, H, W) in [-1, 1]."""
    masks: NDArray[np.bool_]
    """(N, H, W), the object."""
    class_index: NDArray[np.int64]
    """(N,), position in `class_names`."""
    quaternion: NDArray[np.float32]
    """(N, 4), unit, w, x, y, z, model to camera."""
    class_names: tuple[str, ...]
    pose_weight: NDArray[np.float32] | None = None
    """(N,), factor of each crop's pose loss; None means 1."""
    symmetries: NDArray[np.float32] | None = None
    """(classes, S, 4), unit quaternions of the rotations that leave each class's model as it
    looks, the identity among them, padded with it; None means that no class has any."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4:
            raise AdapterError(f"images have shape {self.images.shape}; they must be (N, C, H, W)")
        n, _, height, width = self.images.shape
        expected = {
            "masks": (n, height, width),
            "class_index": (n,),
            "quaternion": (n, 4),
            "pose_weight": (n,),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise AdapterError(f"{name} has shape {value.shape}; {shape} goes with the images")
        classes = len(self.class_names)
        if self.symmetries is not None:
            sizes = self.symmetries.shape
            if len(sizes) != 3 or sizes[0] != classes or sizes[2] != 4:
                raise AdapterError(
                    f"symmetries has shape {sizes}; ({classes}, S, 4) goes with the class names"
                )
        if ((self.class_index < 0) | (self.class_index >= classes)).any():
            raise AdapterError(f"class_index must lie within the {classes} class names")

    def __len__(self) -> int:
        return len(self.images)
