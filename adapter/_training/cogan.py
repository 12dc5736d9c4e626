"""CoGAN's training: two coupled GANs and the classifier that their discriminators share.

Source: Liu and Tuzel, "Coupled Generative Adversarial Networks", NIPS 2016, section 5, with the
settings of the authors' released code for MNIST to USPS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter import losses
from adapter._batches import seed_of
from adapter._errors import AdapterError
from adapter._networks.cogan import CoupledDiscriminator, CoupledGenerator
from adapter._settings.cogan import CoGanConfig
from adapter._settings.pixelda import LabelledCrops
from adapter._settings.progress import Progress
from adapter._training.arithmetic import autocast
from adapter._training.averages import MovingAverage
from adapter._training.checkpoint import CHECKPOINT, part, read_checkpoint
from adapter._training.crops import Batches, Crops, check_alike, check_two_of_each
from adapter._training.descent import descend
from adapter._training.device import to_device
from adapter._training.engine import Snapshot, Training, run_training
from adapter._training.monitor import with_accuracies
from adapter._training.weighted import weighted_task_loss

if TYPE_CHECKING:
    from adapter._measures.evaluation import Predict

_SYSTEM = "CoGAN"

# Random streams, beside the seed.
_ORDER_SOURCE, _ORDER_TARGET, _STEP, _WEIGHTS, _PAIRS = range(30, 35)


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
        on_progress: called after every step; on a GPU after every tenth.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `load_cogan` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged, a folder that cannot be written.
    """
    _check_crops(source, target)
    run_training(
        partial(CoGan, Crops(source, target)),
        config,
        out,
        on_progress=with_accuracies(on_progress),
        on_checkpoint=on_checkpoint,
    )
    return out / CHECKPOINT


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


class CoGan(Training):
    """The coupled networks, and how a step trains them.

    Args:
        crops: what they are trained on.
        config: settings.
    """

    config: CoGanConfig

    def __init__(self, crops: Crops, config: CoGanConfig) -> None:
        super().__init__(config)
        self.crops, description = crops, crops.describe()
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        self.generator = _build_generator(description, config).to(config.device)
        self.discriminator = _build_discriminator(description, config).to(config.device)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        if config.ema > 0:
            self.averages["average"] = MovingAverage(self.discriminator, config.ema)
        self.optimizers = {name: _adam(network, config) for name, network in self.networks.items()}
        self.batches = Batches(crops, config, source=_ORDER_SOURCE, target=_ORDER_TARGET)

    def data(self) -> Iterable[NDArray[Any] | None]:
        source = self.crops.source
        yield from (source.images, source.class_index, self.crops.target)
        if self.config.task == "pose":
            yield from (source.quaternion, source.pose_weight, source.symmetries)

    def seed(self, step: int) -> int:
        return seed_of(self.config.seed, step, _STEP)

    def step(self, step: int) -> dict[str, Tensor]:
        return self._discriminator_step(step) | self._generator_step()

    def _discriminator_step(self, step: int) -> dict[str, Tensor]:
        """Train the discriminators, and the classifier, on pairs as they are generated now."""
        config, discriminator = self.config, self.discriminator
        source, target = self.batches.source(step), self.batches.target(step)
        with torch.no_grad(), autocast(config):
            fake_source, fake_target = (x.float() for x in self.generator(_noise(config)))
        with autocast(config):
            of_source, of_target = discriminator.pair_features(
                torch.cat([source.x, fake_source]), torch.cat([target, fake_target])
            )
            (real_source, fake_source), (real_target, fake_target) = (
                features.chunk(2) for features in (of_source, of_target)
            )
            real = discriminator.logits(torch.cat([real_source, real_target]))
            fake = discriminator.logits(torch.cat([fake_source, fake_target]))
            outputs = discriminator.predict(real_source)
        adversarial = losses.discriminator_loss(real, fake)
        distance = losses.feature_distance(fake_source.float(), fake_target.float())
        task = weighted_task_loss(outputs, source, config)
        loss = adversarial + task + config.feature_weight * distance
        descend(self.optimizers["discriminator"], loss)
        return {
            "discriminator": adversarial,
            "task": task,
            "feature distance": distance,
            "accuracy_real": (real > 0).float().mean(),
            "accuracy_fake": (fake < 0).float().mean(),
        }

    def _generator_step(self) -> dict[str, Tensor]:
        """Train the generators against the discriminators as they are now."""
        config, discriminator = self.config, self.discriminator
        with autocast(config):
            source, target = self.generator(_noise(config))
            logits = discriminator.logits(torch.cat(discriminator.pair_features(source, target)))
        loss = losses.generator_loss(logits)
        # Naming the generator's own parameters spares the discriminators' gradients.
        descend(self.optimizers["generator"], loss, parameters=self.generator.parameters())
        return {"generator": loss}

    def snapshot(self, step: int) -> Snapshot:
        return Snapshot(metadata={"system": _SYSTEM, **self.crops.describe()})

    def continue_from(self, checkpoint: Path, metadata: Mapping[str, str]) -> None:
        _check_system(checkpoint, metadata)


def _adam(network: nn.Module, config: CoGanConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        network.parameters(),
        lr=config.learning_rate,
        betas=(0.5, 0.999),
        weight_decay=config.weight_decay,
        fused=True,
    )


def _noise(config: CoGanConfig) -> Tensor:
    return to_device(torch.randn(config.batch, config.noise_dimension), config.device)


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


def _read(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = read_checkpoint(checkpoint)
    _check_system(checkpoint, metadata)
    return tensors, metadata


def _check_system(checkpoint: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("system") != _SYSTEM:
        raise AdapterError(f"{checkpoint} is of another system than CoGAN; use another folder")


def _check_crops(source: LabelledCrops, target: NDArray[Any]) -> None:
    check_alike(source, target)
    shape = source.images.shape[1:]
    _, height, width = shape
    if height != width or height < 16 or height & (height - 1):
        raise AdapterError(
            f"crops are {shape} (channels, height, width); CoGAN takes square crops whose side is "
            "a power of two, 16 at least"
        )
    check_two_of_each(source, target)
