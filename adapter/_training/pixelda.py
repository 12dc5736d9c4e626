"""PixelDA's training: discriminator and generator steps take turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter import losses
from adapter._batches import LabelledBatch, seed_of
from adapter._errors import AdapterError
from adapter._networks.pixelda import Discriminator, TaskTower
from adapter._networks.registry import new_generator
from adapter._processes import shared
from adapter._settings.pixelda import LabelledCrops, TrainConfig
from adapter._settings.progress import Progress
from adapter._training.arithmetic import autocast
from adapter._training.augmentation import augment
from adapter._training.averages import MovingAverage
from adapter._training.checkpoint import CHECKPOINT, part, read_checkpoint
from adapter._training.compilation import compiling
from adapter._training.crops import (
    Batches,
    Crops,
    check_alike,
    check_labelled_target,
    check_two_of_each,
)
from adapter._training.descent import descend
from adapter._training.engine import Snapshot, Training, run_training, take_step
from adapter._training.exported import calibrated, draw_z, looks, picture
from adapter._training.freezing import frozen_statistics, without_gradient
from adapter._training.monitor import CollapseWatch, DiscriminatorWatch, with_accuracies
from adapter._training.processes import refuse_unshared
from adapter._training.schedule import adversarial_rates
from adapter._training.weighted import content_losses, weighted_task_loss

# Random streams, beside the seed.
_ORDER_SOURCE, _ORDER_TARGET, _STEP, _CALIBRATION, _WEIGHTS, _ORDER_LABELLED = range(10, 16)


def train(
    source: LabelledCrops,
    target: NDArray[Any],
    config: TrainConfig,
    out: Path,
    *,
    labelled_target: LabelledCrops | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> Path:
    """Train a generator that makes source crops look like the target's (Eq. 1 and 4).

    Each step trains the discriminator and the task network, then the generator, as in section 3.1.

    A folder that holds a checkpoint is continued from it: k steps, a stop and m steps give the
    same parameters, bit for bit, as k + m steps (on one machine, CPU, same number of threads).

    Called in each process of a group of `torch.distributed`, it is one training: see
    `run_training`.

    Args:
        source: rendered crops with labels.
        target: (M, C, H, W) real crops in [-1, 1], unlabelled.
        config: settings.
        out: folder for the checkpoint and for pictures of how far the run is; made if absent.
        labelled_target: real crops with labels, a further input of the task network (section 4.5,
            semi-supervised); None trains without any label of the target.
        on_progress: called after every step; on a GPU after every tenth.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `save_adapter` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged or collapsed, a folder that cannot be written.
    """
    crops = Crops(source, target, labelled_target)
    refuse_unshared(config)
    _check_crops(crops, config)
    run_training(
        partial(PixelDA, crops),
        config,
        out,
        tensorboard=config.tensorboard,
        on_progress=with_accuracies(on_progress, DiscriminatorWatch()),
        on_checkpoint=on_checkpoint,
    )
    return out / CHECKPOINT


def training_steps(
    source: LabelledCrops, target: NDArray[Any], config: TrainConfig
) -> Iterator[None]:
    """One training step after the other, from fresh weights and without end, to time them.

    Changes the state of torch's random generators.
    """
    training, step = PixelDA(Crops(source, target), config), 0
    while True:
        take_step(training, step)
        step += 1
        yield


def load_task_tower(checkpoint: Path) -> TaskTower:
    """The task network of a training checkpoint, in evaluation mode; real crops take path 1.

    Its weights are the moving average where the run kept one.

    Raises:
        AdapterError: the checkpoint cannot be read, or the run had no task network.
    """
    tensors, metadata = read_checkpoint(checkpoint)
    state = part(tensors, "average_task") or part(tensors, "task")
    config = TrainConfig(**json.loads(metadata["config"]))
    if config.task == "none":
        raise AdapterError(f"{checkpoint} was trained without a task network; add `task` pose")
    names = json.loads(metadata["class_names"])
    tower = TaskTower(int(metadata["channels"]), int(metadata["size"]), len(names), config.task)
    tower.load_state_dict(state)
    return tower.eval()


class PixelDA(Training):
    """Generator, discriminator and task network, and how a step trains them.

    Args:
        crops: what they are trained on.
        config: settings.
    """

    config: TrainConfig
    shares_batches = True

    def __init__(self, crops: Crops, config: TrainConfig) -> None:
        super().__init__(config)
        self.crops = crops
        channels, size = crops.source.images.shape[1:3]
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        self.generator = new_generator(channels, size, config)
        self.discriminator = _discriminator(channels, size, config)
        self.task = None
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        if config.task != "none":
            classes = len(crops.source.class_names)
            self.networks["task"] = self.task = TaskTower(channels, size, classes, config.task)
        for name, network in self.networks.items():
            network.to(config.device)
            if config.device == "cuda" or config.precision == "fp32" or name == "generator":
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = MovingAverage(self.generator, config.ema)
        self.averages = {"average": self.average}
        # As in the official code, one optimiser serves the discriminator and the task network.
        self.judges: list[nn.Module] = [self.discriminator]
        if self.task is not None:
            self.averages["average_task"] = MovingAverage(self.task, config.ema)
            self.judges.append(self.task)
        self.adam_generator = _adam([self.generator], config)
        self.adam_discriminator = _adam(self.judges, config)
        self.optimizers = {
            "generator": self.adam_generator,
            "discriminator": self.adam_discriminator,
        }
        self.depends_on_steps = config.schedule == "linear"
        if config.compile:
            for network in self.networks.values():
                network.compile(dynamic=False)
        self.batches = Batches(
            crops,
            config,
            source=_ORDER_SOURCE,
            target=_ORDER_TARGET,
            labelled_target=_ORDER_LABELLED,
        )
        self.collapse = CollapseWatch(crops.source.images, crops.target)

    def data(self) -> Iterable[NDArray[Any] | None]:
        source, labelled = self.crops.source, self.crops.labelled_target
        yield from (source.images, source.masks, source.class_index, source.quaternion)
        yield self.crops.target
        if self.config.task != "none":
            yield from (source.pose_weight, source.symmetries)
        if labelled is not None:
            yield from (labelled.images, labelled.class_index, labelled.quaternion)

    def seed(self, step: int) -> int:
        return seed_of(self.config.seed, step, _STEP)

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return adversarial_rates(self.config, step)

    def step(self, step: int) -> dict[str, Tensor]:
        with compiling(self.config.compile):
            return self._discriminator_step(step) | self._generator_step(step)

    def _discriminator_step(self, step: int) -> dict[str, Tensor]:
        """Train the discriminator, and the task network, on adapted crops as they are now."""
        config = self.config
        source, real = self.batches.source(2 * step), self.batches.target(2 * step)
        with torch.no_grad(), frozen_statistics(self.generator), autocast(config):
            adapted = shared(self.generator, source.x, draw_z(config.batch, config)).float()
        real_seen, adapted_seen = self._seen(real), self._seen(adapted)
        with autocast(config):
            logits_real = shared(self.discriminator, real_seen).float()
            logits_fake = shared(self.discriminator, adapted_seen).float()
        adversarial = losses.discriminator_loss(logits_real, logits_fake, config.gan_loss)
        loss = config.discriminator_weight * adversarial
        report = {"discriminator": adversarial}
        if config.gradient_penalty > 0 and step % config.gradient_penalty_every == 0:
            with frozen_statistics(self.discriminator):
                # Not through a compiled call, which cannot be differentiated twice.
                judge = partial(shared, self.discriminator.forward)
                penalty = losses.gradient_penalty(judge, real_seen)
            loss = loss + config.gradient_penalty * config.gradient_penalty_every * penalty
            report["gradient penalty"] = penalty
        if self.task is not None:
            parts = [(1, adapted, source)]
            if config.task_on_source:
                parts.append((0, source.x, source))
            labelled = self.batches.labelled_target(2 * step)
            if labelled is not None:
                parts.append((1, labelled.x, labelled))
            report["task"] = self._task_loss(self.task, parts)
            loss = loss + report["task"]
        descend(self.adam_discriminator, loss, clip_norm=config.clip_norm)
        # The neutral point is 1/2 for least squares, whose aims are 0 and 1, and 0 for all others.
        neutral = 0.5 if config.gan_loss == "least-squares" else 0.0
        return {
            **report,
            "accuracy_real": (logits_real > neutral).float().mean(),
            "accuracy_fake": (logits_fake < neutral).float().mean(),
        }

    def _generator_step(self, step: int) -> dict[str, Tensor]:
        """Train the generator against the discriminator as it is now."""
        config, source = self.config, self.batches.source(2 * step + 1)
        if config.diversity_weight > 0:
            # Half of the crops, each with two noise vectors, costs no more than all of them once.
            source = source.first_half_twice()
        z = draw_z(len(source), config)
        with frozen_statistics(self.discriminator), without_gradient(self.judges):
            with autocast(config):
                adapted = shared(self.generator, source.x, z).float()
                logits = shared(self.discriminator, self._seen(adapted)).float()
            adversarial = losses.generator_loss(logits, config.gan_loss)
            loss = config.generator_weight * adversarial
            report = {"generator": adversarial}
            if self.task is not None and config.task_weight_in_generator > 0:
                # Source crops would add nothing that the generator could change.
                task = self._task_loss(self.task, [(1, adapted, source)])
                loss = loss + config.task_weight_in_generator * task
            for name, weight, value in content_losses(source, adapted, z, config):
                report[name] = value
                loss = loss + weight * value
            descend(self.adam_generator, loss, clip_norm=config.clip_norm)
        return report

    def _task_loss(
        self, task: TaskTower, parts: Iterable[tuple[int, Tensor, LabelledBatch]]
    ) -> Tensor:
        """Sum of the task losses of (domain, crops, labels) (Eq. 3)."""
        config = self.config
        total = torch.zeros((), device=config.device)
        for domain, crops, labels in parts:
            with autocast(config):
                outputs = shared(partial(task, domain=domain), crops)
            total = total + weighted_task_loss(outputs, labels, config)
        return total

    def _seen(self, x: Tensor) -> Tensor:
        """Crops as the discriminator sees them."""
        config = self.config
        return augment(x, color=config.discriminator_color, shift=config.discriminator_shift)

    def snapshot(self, step: int) -> Snapshot:
        config, source, collapse = self.config, self.crops.source.images, self.collapse
        exported = calibrated(self.average.network, source, config, (step, _CALIBRATION))
        # Between these checks there are always as many steps, however often the run is continued.
        if step % config.checkpoint_every == 0:
            (adapted,) = looks(exported, collapse.crops, config, _CALIBRATION)
            collapse.check(adapted, step)
        return Snapshot(
            {"exported": exported},
            {**self.crops.describe(), "low_checks": str(collapse.low_checks)},
            picture(exported, source, self.crops.target, config, _CALIBRATION),
        )

    def continue_from(self, checkpoint: Path, metadata: Mapping[str, str]) -> None:
        self.collapse.low_checks = int(metadata.get("low_checks", "0"))


def _discriminator(channels: int, size: int, config: TrainConfig) -> Discriminator:
    return Discriminator(
        channels,
        size,
        width=config.discriminator_width,
        keep=config.discriminator_keep,
        noise=config.discriminator_noise,
        norm=config.discriminator_norm,
        batch_deviation=config.discriminator_batch_deviation,
    )


def _adam(networks: Iterable[nn.Module], config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        [p for network in networks for p in network.parameters()],
        lr=config.learning_rate,
        betas=(0.5, 0.999),
        weight_decay=config.weight_decay,
        fused=True,
    )


def _check_crops(crops: Crops, config: TrainConfig) -> None:
    source, target = crops.source, crops.target
    check_alike(source, target)
    _, channels, height, width = source.images.shape
    if channels not in (3, 4) or height != width or height < 8 or height & (height - 1):
        raise AdapterError(
            f"crops are {source.images.shape[1:]} (channels, height, width); the networks take 3 "
            "or 4 channels and square crops whose side is a power of two, 8 at least"
        )
    if config.discriminator_shift >= height:
        raise AdapterError(
            f"`discriminator_shift` {config.discriminator_shift} moves crops of {height} pixels "
            "out of sight; choose a few pixels"
        )
    check_two_of_each(source, target)
    if crops.labelled_target is not None:
        if config.task == "none":
            raise AdapterError("labelled target crops train the task network: add `task` pose")
        check_labelled_target(source, crops.labelled_target)
