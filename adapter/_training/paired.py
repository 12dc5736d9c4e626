"""Training on aligned crops: a render and what the camera saw of the same pose teach each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter import losses
from adapter._batches import Rows, seed_of
from adapter._crop_tensor import FAR
from adapter._errors import AdapterError
from adapter._networks.patches import PatchDiscriminator, inner, seen_object
from adapter._networks.registry import new_generator
from adapter._processes import shared
from adapter._settings.pairs import AlignedPairs, refuse_unread_settings
from adapter._settings.pixelda import LabelledCrops, TrainConfig
from adapter._settings.progress import Progress
from adapter._training.arithmetic import autocast
from adapter._training.augmentation import (
    augment,
    recoloured_alike,
    towards_one_color,
    turned_hues,
)
from adapter._training.averages import MovingAverage
from adapter._training.checkpoint import CHECKPOINT
from adapter._training.descent import descend
from adapter._training.device import Images, to_device
from adapter._training.engine import Snapshot, Training, run_training
from adapter._training.exported import calibrated, draw_z, picture
from adapter._training.freezing import frozen_statistics, without_gradient
from adapter._training.monitor import with_accuracies
from adapter._training.processes import refuse_unshared
from adapter._training.schedule import adversarial_rates

_SOURCE, _PAIRS, _LIGHT, _BEHIND, _STEP, _WEIGHTS, _CALIBRATION = range(70, 77)
"""Random streams, beside the seed."""
_SHOWN = 512
"""Crops by which the exported generator's statistics are taken."""
_SMALLEST = 16
"""Pixels a side, of which a discriminator at half the resolution makes one patch."""
_COARSE = 4
"""Pixels a side of the squares over which pairs are compared beside single pixels."""


def train_on_pairs(
    source: LabelledCrops,
    pairs: AlignedPairs,
    config: TrainConfig,
    out: Path,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> Path:
    """Train a generator that paints renders as the camera saw the same objects in other poses.

    It sees renders before what the camera saw behind others. On pairs it learns from the difference
    itself, on all other renders from a discriminator of patches, which sees the inside of objects
    alone: what is behind is real anyway, and the outline is the mask's.

    A folder that holds a checkpoint is continued from it, and processes of a group of
    `torch.distributed` share it, as by `train`.

    Args:
        source: (N, 4, H, W) rendered crops on black with labels.
        pairs: aligned crops.
        config: settings; of those that PixelDA has, it reads those of the generator, of learning
            rates and of arithmetic, the adversarial loss with its weight, the discriminator's
            width, shift and colour, and `pair_weight`.
        out: folder for the checkpoint and for pictures of how far the run is; made if absent.
        on_progress: called after every step; on a GPU after every tenth.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `save_adapter` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged, a folder that cannot be written.
        SettingError: a setting that is none of those.
    """
    refuse_unshared(config)
    _check(source, pairs, config)
    run_training(
        partial(PairedTraining, source, pairs), config, out, tensorboard=config.tensorboard,
        on_progress=with_accuracies(on_progress), on_checkpoint=on_checkpoint,
    )  # fmt: skip
    return out / CHECKPOINT


def _check(source: LabelledCrops, pairs: AlignedPairs, config: TrainConfig) -> None:
    refuse_unread_settings(config)
    if source.images.shape[1:] != pairs.renders.shape[2:]:
        raise AdapterError(
            f"source crops are {source.images.shape[1:]} (channels, height, width) and renders of "
            f"pairs {pairs.renders.shape[2:]}; they must be alike"
        )
    if len(source) < 2 or len(pairs) < 2:
        raise AdapterError(
            f"there are {len(source)} source crops and {len(pairs)} pairs; at least 2 of each are "
            "needed"
        )
    height, width = source.images.shape[2:]
    if height != width or height < _SMALLEST:
        raise AdapterError(
            f"crops are {height} x {width} pixels: they must be square, {_SMALLEST} at least"
        )
    if config.discriminator_shift >= height:
        raise AdapterError(
            f"`discriminator_shift` {config.discriminator_shift} moves crops of {height} pixels "
            "out of sight; choose a few pixels"
        )


class PairedTraining(Training):
    """Generator and discriminator, and how a step trains them.

    Args:
        source: renders.
        pairs: aligned crops.
        config: settings.
    """

    config: TrainConfig
    shares_batches = True

    def __init__(self, source: LabelledCrops, pairs: AlignedPairs, config: TrainConfig) -> None:
        super().__init__(config)
        self.source, self.pairs = source, pairs
        channels, size = source.images.shape[1:3]
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        self.generator = new_generator(channels, size, config)
        self.discriminator = PatchDiscriminator(4, config.discriminator_width)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        for network in self.networks.values():
            network.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = MovingAverage(self.generator, config.ema)
        self.averages = {"average": self.average}
        self.adam_generator = _adam(self.generator, config)
        self.adam_discriminator = _adam(self.discriminator, config)
        self.optimizers = {
            "generator": self.adam_generator,
            "discriminator": self.adam_discriminator,
        }
        self.depends_on_steps = config.schedule == "linear"
        self.batches = _Batches(source, pairs, config)

    def data(self) -> Iterable[NDArray[Any]]:
        return [self.source.images, self.source.class_index, *vars(self.pairs).values()]

    def seed(self, step: int) -> int:
        return seed_of(self.config.seed, step, _STEP)

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return adversarial_rates(self.config, step)

    def step(self, step: int) -> dict[str, Tensor]:
        return self._discriminator_step(step) | self._generator_step(step)

    def _discriminator_step(self, step: int) -> dict[str, Tensor]:
        config = self.config
        x, (_, real, mask) = self.batches.source(2 * step), self.batches.pairs(2 * step)
        with torch.no_grad(), frozen_statistics(self.generator), autocast(config):
            adapted = shared(self.generator, x, draw_z(len(x), config)).float()
        with autocast(config):
            logits_real = self._judged(real, mask)
            logits_fake = self._judged(adapted[:, :3], _mask(x))
        loss = _mean(
            losses.discriminator_loss(one.float(), other.float(), config.gan_loss)
            for one, other in zip(logits_real, logits_fake, strict=True)
        )
        descend(self.adam_discriminator, loss)
        return {
            "discriminator": loss,
            "accuracy_real": _mean((one > 0).float().mean() for one in logits_real),
            "accuracy_fake": _mean((one < 0).float().mean() for one in logits_fake),
        }

    def _generator_step(self, step: int) -> dict[str, Tensor]:
        config = self.config
        x = self.batches.source(2 * step + 1)
        posed, real, mask = self.batches.pairs(2 * step + 1)
        both = torch.cat([x, posed])
        judges = [self.discriminator]
        with frozen_statistics(self.discriminator), without_gradient(judges):
            with autocast(config):
                adapted = shared(self.generator, both, draw_z(len(both), config)).float()[:, :3]
                logits = self._judged(adapted, _mask(both))
            adversarial = _mean(
                losses.generator_loss(one.float(), config.gan_loss) for one in logits
            )
            difference = pair_difference(adapted[len(x) :], real, mask)
            loss = config.generator_weight * adversarial + config.pair_weight * difference
            descend(self.adam_generator, loss, clip_norm=config.clip_norm)
        return {"generator": adversarial, "pairs": difference}

    def _judged(self, colors: Tensor, mask: Tensor) -> list[Tensor]:
        """The discriminator's logits, of the inside of objects alone."""
        config = self.config
        seen = augment(
            torch.cat([colors, inner(mask)], dim=1), color=config.discriminator_color,
            shift=config.discriminator_shift,
        )  # fmt: skip
        logits: list[Tensor] = shared(self.discriminator, seen_object(seen[:, :3], seen[:, 3:]))
        return logits

    def snapshot(self, step: int) -> Snapshot:
        shown = self.batches.shown
        exported = calibrated(self.average.network, shown, self.config, (step, _CALIBRATION))
        return Snapshot(
            {"exported": exported},
            {
                "channels": str(shown.shape[1]),
                "size": str(shown.shape[2]),
                "class_names": json.dumps(self.source.class_names),
            },
            picture(exported, shown, self.batches.real_with_depth, self.config, _CALIBRATION),
        )


class _Batches:
    """Batches of renders before what the camera saw, each a pure function of (seed, draw)."""

    def __init__(self, source: LabelledCrops, pairs: AlignedPairs, config: TrainConfig) -> None:
        device, seed, n = config.device, config.seed, config.batch
        self._device, self._variants = device, pairs.renders.shape[1]
        self._hue, self._color = config.pair_hue, config.pair_color
        self._sources = Images(source.images, device)
        flat = pairs.renders.reshape(-1, *pairs.renders.shape[2:])
        self._renders = Images(flat, device)
        self._real, self._behind = Images(pairs.real, device), Images(pairs.backgrounds, device)
        self._source_rows = Rows(len(source), n, seed, _SOURCE)
        self._pair_rows = Rows(len(pairs), n, seed, _PAIRS)
        self._behind_rows = Rows(len(pairs), n, seed, _BEHIND)
        self._light_rows = Rows(self._variants, n, seed, _LIGHT)
        random = np.random.default_rng([seed, _CALIBRATION])
        rows = random.integers(0, len(source), _SHOWN)
        behind = self._behind.at(random.integers(0, len(pairs), _SHOWN))
        self.shown = before(self._sources.at(rows), behind).cpu().numpy()
        """(`_SHOWN`, 4, H, W): renders before backgrounds, always the same."""
        self.real_with_depth = np.concatenate([pairs.real, pairs.renders[:, 0, 3:]], axis=1)

    def source(self, draw: int) -> Tensor:
        """(B, 4, H, W) renders of any pose before what was behind others, mirrored or not."""
        behind = self._behind.at(self._behind_rows.draw(draw))
        mirrored = torch.rand(len(behind), 1, 1, 1) < 0.5
        behind = torch.where(to_device(mirrored, self._device), behind.flip(3), behind)
        (renders,) = self._recoloured(self._sources.at(self._source_rows.draw(draw)))
        return before(renders, self._apart(behind))

    def pairs(self, draw: int) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 4, H, W) renders before their own backgrounds, (B, 3, H, W) what the camera saw, and
        (B, 1, H, W) masks."""
        rows = self._pair_rows.draw(draw)
        renders = self._renders.at(rows * self._variants + self._light_rows.draw(draw))
        renders, real = self._recoloured(renders, self._real.at(rows))
        x = before(renders, self._apart(self._behind.at(rows)))
        return x, real, _mask(x)

    def _recoloured(self, *crops: Tensor) -> tuple[Tensor, ...]:
        """Crops (N, 3 or 4, H, W), those in the same place with their colours changed alike."""
        colors = [x[:, :3] for x in crops]
        if self._hue:
            degrees = self._hue * self._draws(len(crops[0]))
            colors = [turned_hues(x, degrees) for x in colors]
        if self._color:
            saturation, brightness = 1.0 + self._color * self._draws(2, len(crops[0]))
            color, share = self._one_color(len(crops[0]))
            colors = [recoloured_alike(x, saturation, brightness) for x in colors]
            colors = [towards_one_color(x, color, share) for x in colors]
        return tuple(
            torch.cat([color, x[:, 3:]], dim=1) for color, x in zip(colors, crops, strict=True)
        )

    def _apart(self, behind: Tensor) -> Tensor:
        """What is behind, in colours that have nothing to do with the object's."""
        if self._hue:
            behind = turned_hues(behind, self._hue * self._draws(len(behind)))
        if self._color:
            behind = towards_one_color(behind, *self._one_color(len(behind)))
        return behind

    def _one_color(self, count: int) -> tuple[Tensor, Tensor]:
        """(N, 3) colours, and (N,) shares of them."""
        return self._draws(count, 3), self._color * (self._draws(count) + 1.0) / 2.0

    def _draws(self, *shape: int) -> Tensor:
        return to_device(2.0 * torch.rand(*shape) - 1.0, self._device)


def before(renders: Tensor, behind: Tensor) -> Tensor:
    """(N, 4, H, W) renders on black with (N, 3, H, W) something behind them."""
    return torch.cat([torch.where(renders[:, 3:] < FAR, renders[:, :3], behind), renders[:, 3:]], 1)


def pair_difference(adapted: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference on objects, of pixels and of squares of pixels.

    Poses of pairs are off by a pixel or so: squares see past that.

    Args:
        adapted, real: (N, 3, H, W).
        mask: (N, 1, H, W).
    """
    off = (adapted - real) * mask
    total = mask.sum().clamp(min=1.0)
    squares = F.avg_pool2d(off, _COARSE).abs().sum() * _COARSE**2
    return (off.abs().sum() + squares) / (6.0 * total)


def _mask(x: Tensor) -> Tensor:
    return (x[:, 3:4] < FAR).float()


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def _adam(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, betas=(0.5, 0.99),
        weight_decay=config.weight_decay, fused=True,
    )  # fmt: skip
