"""CoGAN: two coupled GANs whose discriminators share a classifier.

Source: Liu and Tuzel, "Coupled Generative Adversarial Networks", NIPS 2016, section 5, with the
networks and settings of the authors' released code for MNIST to USPS.

One noise vector gives a pair of crops, one per domain, from generators that share all layers but
the last; discriminators that share all layers but the first judge them. A classifier on the
discriminators' last features learns from source crops, and reads target crops through the target's
first layer.

The released code takes 28x28 grey images in [0, 1]. For 32x32 and 64x64 crops in [-1, 1]:

- the generator doubles 4x4 maps up to the crop's side, where the released one goes by 7, 13 and 25
  to 28, and its last layer, 6x6 there, is 5x5 and keeps the side; a tanh replaces the sigmoid;
- the discriminator's shared 5x5 convolutions go on, each with twice the maps of the one before,
  until at most 8x8 pixels are left, and the last convolution is as large as these: 5x5 for 32
  pixels and 4x4 for 28 and 64;
- for poses, a quaternion is read from the classifier's features as in PixelDA's task network.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import LabelledBatch, Rows, seed_of
from adapter._errors import AdapterError
from adapter._losses import pixelda as losses
from adapter._settings.numbers import Average, Batch, Count, Positive, Weight, Whole
from adapter._settings.pixelda import LabelledCrops, Progress
from adapter._training.checkpoint import (
    CHECKPOINT,
    FREE_SETTINGS,
    check_same_run,
    describe,
    fingerprint_of,
    part,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from adapter._training.device import Images, labelled_batches
from adapter._training.lock import only_training
from adapter._training.loop import (
    autocast,
    average_share,
    check_alike,
    check_finite,
    crops_metadata,
    pace,
    torch_of,
)
from checked_settings import check

if TYPE_CHECKING:
    from adapter._measures.evaluation import Predict

_SYSTEM = "CoGAN"

# Random streams, beside the seed.
_ORDER_SOURCE, _ORDER_TARGET, _STEP, _WEIGHTS, _PAIRS = range(30, 35)


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
    """Processor threads; 0 leaves it to torch."""
    checkpoint_every: Count = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check(self)


class CoupledGenerator(nn.Module):
    """Pairs of crops, one per domain, from noise; the domains differ in the last layer alone.

    Args:
        channels, size: of the crops; size is a power of two, 8 at least.
        noise_dimension: length of z.
        width: factor of the feature maps: 1024 at 4x4, and half of it after each doubling.
    """

    def __init__(
        self, channels: int, size: int, *, noise_dimension: int = 100, width: float = 1.0
    ) -> None:
        super().__init__()
        doublings = (size // 4).bit_length() - 1
        maps = [_scaled(1024 / 2**k, width) for k in range(doublings + 1)]
        self.first = nn.ConvTranspose2d(noise_dimension, maps[0], 4)
        layers: list[nn.Module] = [nn.BatchNorm2d(maps[0], affine=False), nn.PReLU()]
        for wide, narrow in itertools.pairwise(maps):
            layers.append(nn.ConvTranspose2d(wide, narrow, 3, 2, padding=1, output_padding=1))
            layers += [nn.BatchNorm2d(narrow, affine=False), nn.PReLU()]
        self.shared = nn.Sequential(*layers)
        self.private = nn.ModuleList(
            nn.ConvTranspose2d(maps[-1], channels, 5, padding=2) for _ in range(2)
        )
        _initialise(self)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(N, noise_dimension) to source and target crops, (N, C, H, W) in [-1, 1] each."""
        h = self.shared(_channels_last(self.first(z[:, :, None, None])))
        source, target = (torch.tanh(last(h)) for last in self.private)
        return source, target


class CoupledDiscriminator(nn.Module):
    """Judges and classifies crops of both domains, which differ in the first layer alone.

    As in the released code, max pooling is the only non-linearity before the last features.

    Convention:
        domain 0 is the source, domain 1 the target.

    Args:
        channels, size: of the crops; the size is 16 at least.
        classes: number of object classes.
        task: "pose" adds a quaternion to the class.
        width: factor of the feature maps: 20, 50 (doubling with further layers), and 500.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int,
        task: Literal["digits", "pose"] = "digits",
        *,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        maps, wider, side = _scaled(20, width), _scaled(50, width), (size - 4) // 2
        self.private = nn.ModuleList(nn.Conv2d(channels, maps, 5) for _ in range(2))
        layers: list[nn.Module] = []
        while side > 8:
            layers += [nn.Conv2d(maps, wider, 5), nn.MaxPool2d(2)]
            maps, wider, side = wider, 2 * wider, (side - 4) // 2
        self.feature_count = _scaled(500, width)
        layers += [nn.Conv2d(maps, self.feature_count, side), nn.PReLU(), nn.Flatten()]
        self.shared = nn.Sequential(*layers)
        self.fake_or_real = nn.Linear(self.feature_count, 2)
        self.class_logits = nn.Linear(self.feature_count, classes)
        self.quaternion = nn.Linear(self.feature_count, 4) if task == "pose" else None
        _initialise(self)

    def forward(self, x: Tensor, domain: int) -> tuple[Tensor, Tensor | None]:
        """(N, C, H, W) to (N, classes) logits and (N, 4) unit quaternions (None for digits)."""
        features: Tensor = self.shared(self._first(x, domain))
        return self.predict(features)

    def pair_features(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Source crops and as many target crops, (N, C, H, W), to (N, feature_count) each."""
        both = torch.cat([self._first(source, 0), self._first(target, 1)])
        source_features, target_features = self.shared(both).chunk(2)
        return source_features, target_features

    def logits(self, features: Tensor) -> Tensor:
        """(N, feature_count) to (N,) logits, positive for real: a softmax of two, as one number."""
        scores: Tensor = self.fake_or_real(features).float()
        return scores[:, 1] - scores[:, 0]

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, feature_count) to (N, classes) logits and (N, 4) unit quaternions, or None."""
        if self.quaternion is None:
            return self.class_logits(features), None
        quaternion = F.normalize(torch.tanh(self.quaternion(features)).float(), dim=1)
        return self.class_logits(features), quaternion

    def _first(self, x: Tensor, domain: int) -> Tensor:
        h: Tensor = F.max_pool2d(self.private[domain](_channels_last(x)), 2)
        return h


def feature_distance(source: Tensor, target: Tensor) -> Tensor:
    """Squared distance between the features (N, D) of the two crops of a pair, averaged over N."""
    return (source - target).square().sum(dim=1).mean()


def train_cogan(
    source: LabelledCrops,
    target: NDArray[Any],
    config: CoGanConfig,
    out: Path,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> Path:
    """Train both GANs and the classifier.

    A folder that holds a checkpoint is continued from it: k steps, a stop and m steps give the
    same parameters, bit for bit, as k + m steps (on one machine, CPU, same number of threads).

    Args:
        source: crops with labels.
        target: (M, C, H, W) crops in [-1, 1], unlabelled.
        config: settings.
        out: folder for the checkpoint; made if absent.
        on_progress: called after every step.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `load_cogan` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged, a folder that cannot be written.
    """
    _check_crops(source, target)
    checkpoint = out / CHECKPOINT
    with torch_of(config), only_training(out):
        fingerprint = _fingerprint(source, target, config)
        run = _Run(source, config)
        if checkpoint.exists():
            tensors, metadata = _read(checkpoint)
            check_same_run(checkpoint, metadata, config, fingerprint, free=FREE_SETTINGS)
            run.step = restore(checkpoint, tensors, metadata, run.stored(), run.optimizers())

        def save() -> None:
            write_checkpoint(
                checkpoint, run.stored(), run.optimizers(), _metadata(run, fingerprint)
            )
            if on_checkpoint is not None:
                on_checkpoint(checkpoint)

        _fit(run, _Batches(source, target, config), save, on_progress)
    return checkpoint


def load_cogan(checkpoint: Path, *, domain: Literal[0, 1] = 1, device: str = "cpu") -> Predict:
    """The classifier of a training checkpoint, along the target's path.

    Its weights are the moving average where the run kept one.

    Args:
        checkpoint: what `train_cogan` returned.
        domain: 1 for target crops, 0 for source crops.
        device: where it takes its crops.

    Raises:
        AdapterError: the checkpoint cannot be read, or is not a CoGAN's.
    """
    tensors, metadata = _read(checkpoint)
    discriminator = _build_discriminator(metadata, CoGanConfig(**json.loads(metadata["config"])))
    discriminator.load_state_dict(part(tensors, "average") or part(tensors, "discriminator"))
    discriminator.to(device).eval()

    @torch.no_grad()
    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        class_logits, quaternion = discriminator(x, domain)
        return class_logits, quaternion

    return predict


def draw_pairs(
    checkpoint: Path, n: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Generated source crops and the target crops that go with them, (n, C, H, W) in [-1, 1] each.

    Raises:
        AdapterError: the checkpoint cannot be read, or is not a CoGAN's.
    """
    tensors, metadata = _read(checkpoint)
    config = CoGanConfig(**json.loads(metadata["config"]))
    generator = _build_generator(metadata, config)
    generator.load_state_dict(part(tensors, "generator"))
    generator.eval()
    random = torch.Generator().manual_seed(seed_of(seed, 0, _PAIRS))
    with torch.no_grad():
        source, target = generator(torch.randn(n, config.noise_dimension, generator=random))
    return source.numpy(), target.numpy()


class _Run:
    """Everything that training changes: networks, optimisers, average, step."""

    def __init__(self, source: LabelledCrops, config: CoGanConfig) -> None:
        self.config = config
        self.step = 0
        self.crops = crops_metadata(source)
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        self.generator = _build_generator(self.crops, config).to(config.device)
        self.discriminator = _build_discriminator(self.crops, config).to(config.device)
        self.average = copy.deepcopy(self.discriminator) if config.ema > 0 else None
        self.adam_generator, self.adam_discriminator = (
            torch.optim.Adam(
                network.parameters(),
                lr=config.learning_rate,
                betas=(0.5, 0.999),
                weight_decay=config.weight_decay,
                fused=True,
            )
            for network in (self.generator, self.discriminator)
        )

    def stored(self) -> dict[str, nn.Module]:
        """All networks, by their names in a checkpoint."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return networks if self.average is None else {**networks, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.adam_generator, "discriminator": self.adam_discriminator}


class _Batches:
    """Labelled source crops with as many target crops; a pure function of (seed, draw)."""

    def __init__(self, source: LabelledCrops, target: NDArray[Any], config: CoGanConfig) -> None:
        n, seed = config.batch, config.seed
        self.source = labelled_batches(source, n, seed, _ORDER_SOURCE, config.device)
        self.target = Images(target, config.device)
        self.rows = Rows(len(target), n, seed, _ORDER_TARGET)

    def draw(self, draw: int) -> tuple[LabelledBatch, Tensor]:
        return self.source.draw(draw), self.target.at(self.rows.draw(draw))


def _fit(
    run: _Run,
    batches: _Batches,
    save: Callable[[], None],
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """The loop: discriminator step, generator step, average, checkpoint."""
    config = run.config
    started, first = time.monotonic(), run.step
    saved = run.step if run.step > 0 else -1
    while run.step < config.steps:
        seconds = time.monotonic() - started
        if config.max_minutes and seconds >= 60.0 * config.max_minutes:
            break
        # All randomness of a step comes from (seed, step), so that a checkpoint holds no state
        # of random generators and a continued run draws what an unbroken one would have drawn.
        torch.manual_seed(seed_of(config.seed, run.step, _STEP))
        report = _discriminator_step(run, *batches.draw(run.step)) | _generator_step(run)
        _move_average(run)
        run.step += 1
        check_finite(report, run.step, saved)
        if run.step % config.checkpoint_every == 0:
            save()
            saved = run.step
        if on_progress is not None:
            on_progress(_progress(run, report, first, time.monotonic() - started))
    if saved != run.step:
        save()


def _discriminator_step(run: _Run, source: LabelledBatch, target: Tensor) -> dict[str, float]:
    """Train the discriminators, and the classifier, on pairs as they are generated now."""
    config, discriminator = run.config, run.discriminator
    with torch.no_grad(), autocast(config):
        fake_source, fake_target = (x.float() for x in run.generator(_noise(config)))
    with autocast(config):
        of_source, of_target = discriminator.pair_features(
            torch.cat([source.x, fake_source]), torch.cat([target, fake_target])
        )
        (real_source, fake_source), (real_target, fake_target) = (
            features.chunk(2) for features in (of_source, of_target)
        )
        real = discriminator.logits(torch.cat([real_source, real_target]))
        fake = discriminator.logits(torch.cat([fake_source, fake_target]))
        class_logits, quaternion = discriminator.predict(real_source)
    adversarial = losses.discriminator_loss(real, fake)
    distance = feature_distance(fake_source.float(), fake_target.float())
    task = losses.task_loss(
        class_logits,
        quaternion,
        source.class_index,
        source.quaternion,
        class_weight=config.class_weight,
        pose_weight=config.pose_weight,
        sample_weight=source.pose_weight,
        symmetries=source.symmetries,
    )
    loss = adversarial + task + config.feature_weight * distance
    run.adam_discriminator.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    run.adam_discriminator.step()
    return {
        "discriminator": adversarial.item(),
        "task": task.item(),
        "feature distance": distance.item(),
        "accuracy_real": (real > 0).float().mean().item(),
        "accuracy_fake": (fake < 0).float().mean().item(),
    }


def _generator_step(run: _Run) -> dict[str, float]:
    """Train the generators against the discriminators as they are now."""
    config, discriminator = run.config, run.discriminator
    with autocast(config):
        source, target = run.generator(_noise(config))
        logits = discriminator.logits(torch.cat(discriminator.pair_features(source, target)))
    loss = losses.generator_loss(logits)
    run.adam_generator.zero_grad(set_to_none=True)
    # Naming the generator's own parameters spares the discriminators' gradients.
    loss.backward(inputs=list(run.generator.parameters()))  # type: ignore[no-untyped-call]
    run.adam_generator.step()
    return {"generator": loss.item()}


def _move_average(run: _Run) -> None:
    if run.average is None:
        return
    keep = average_share(run.config.ema, run.step)
    average, follows = run.average.parameters(), run.discriminator.parameters()
    with torch.no_grad():
        torch._foreach_lerp_(list(average), list(follows), 1.0 - keep)


def _noise(config: CoGanConfig) -> Tensor:
    return torch.randn(config.batch, config.noise_dimension).to(config.device)


def _channels_last(x: Tensor) -> Tensor:
    # A third faster on processors. Weights stay in plain layout, as optimiser states read from a
    # checkpoint are; fused Adam goes through both in the order of memory.
    return x.contiguous(memory_format=torch.channels_last)


def _scaled(maps: float, width: float) -> int:
    return max(1, round(maps * width))


def _initialise(network: nn.Module) -> None:
    """Xavier's uniform weights with gain sqrt(2), biases 0.1, as in the released code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, math.sqrt(2.0))
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1)


def _build_generator(crops: Mapping[str, str], config: CoGanConfig) -> CoupledGenerator:
    return CoupledGenerator(
        int(crops["channels"]),
        int(crops["size"]),
        noise_dimension=config.noise_dimension,
        width=config.generator_width,
    )


def _build_discriminator(crops: Mapping[str, str], config: CoGanConfig) -> CoupledDiscriminator:
    return CoupledDiscriminator(
        int(crops["channels"]),
        int(crops["size"]),
        len(json.loads(crops["class_names"])),
        config.task,
        width=config.discriminator_width,
    )


def _metadata(run: _Run, fingerprint: str) -> dict[str, str]:
    return {"system": _SYSTEM} | run.crops | describe(run.config, fingerprint, run.step)


def _read(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = read_checkpoint(checkpoint)
    if metadata.get("system") != _SYSTEM:
        raise AdapterError(f"{checkpoint} is of another system than CoGAN; use another folder")
    return tensors, metadata


def _fingerprint(source: LabelledCrops, target: NDArray[Any], config: CoGanConfig) -> str:
    arrays: list[NDArray[Any] | None] = [source.images, source.class_index, target]
    if config.task == "pose":
        arrays += [source.quaternion, source.pose_weight, source.symmetries]
    return fingerprint_of(arrays)


def _check_crops(source: LabelledCrops, target: NDArray[Any]) -> None:
    shape = source.images.shape[1:]
    check_alike(source, target)
    _, height, width = shape
    if height != width or height < 16 or height & (height - 1):
        raise AdapterError(
            f"crops are {shape} (channels, height, width); CoGAN takes square crops whose side is "
            "a power of two, 16 at least"
        )
    if len(source) < 2 or len(target) < 2:
        raise AdapterError(
            f"there are {len(source)} source and {len(target)} target crops; at least 2 of each "
            "are needed"
        )


def _progress(run: _Run, report: dict[str, float], first: int, seconds: float) -> Progress:
    rate, left = pace(run.config, run.step, first, seconds)
    return Progress(
        step=run.step,
        steps=run.config.steps,
        losses={k: v for k, v in report.items() if not k.startswith("accuracy")},
        accuracy_real=report["accuracy_real"],
        accuracy_fake=report["accuracy_fake"],
        steps_per_second=rate,
        seconds_left=left,
    )
