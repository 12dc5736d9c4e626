"""Training the coordinate network, in pieces where one likes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adapter._batches import seed_of
from adapter._training.checkpoint import (
    check_same_run,
    describe,
    fingerprint_of,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from adapter._training.loop import check_finite
from render_adapt._align.batches import Batches
from render_adapt._align.network import CoordinateNetwork, dense_losses
from render_adapt._align.settings import AlignConfig
from render_adapt._align.source import DenseCrops

_WEIGHTS = 42
"""Stream of random numbers."""
_WARM_UP = 200
"""Steps; of short trainings a twentieth."""
_WEIGHT_DECAY = 1e-4
_NAME = "coordinates"


@dataclass(frozen=True)
class _Settings:
    """What a checkpoint must agree in with the run that goes on from it."""

    objects: str
    size: int
    steps: int
    batch: int
    learning_rate: float
    seed: int


def train_network(
    crops: DenseCrops,
    objects: tuple[str, ...],
    config: AlignConfig,
    checkpoint: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[CoordinateNetwork, int]:
    """Train up to `config.steps`, or for `config.max_minutes`, from where the checkpoint is.

    k steps, a stop and m steps give the same weights, bit for bit, as k + m steps (on one machine,
    on processors, with the same number of threads).

    Args:
        crops: to learn from.
        objects: their names.
        config: how.
        checkpoint: the file; what is there is continued.
        on_progress: called with (steps done, in all) after each step.

    Returns:
        The network, in evaluation mode, and the steps that it has.

    Raises:
        AdapterError: the checkpoint is damaged or of another run, or the training diverged.
    """
    settings = _Settings(
        ",".join(objects), config.size, config.steps, config.batch, config.learning_rate,
        config.seed,
    )  # fmt: skip
    fingerprint = fingerprint_of([crops.rgb, crops.object_index, crops.mask, crops.coordinates])
    torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
    network = CoordinateNetwork(len(objects), config.size)
    network.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True
    )
    step = 0
    if checkpoint.exists():
        tensors, metadata = read_checkpoint(checkpoint)
        check_same_run(checkpoint, metadata, settings, fingerprint, free=())
        step = restore(checkpoint, tensors, metadata, {_NAME: network}, {_NAME: optimizer})
    batches = Batches(crops, config.batch, config.seed, config.device)
    started, saved = time.monotonic(), step if step else -1
    while step < config.steps:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _rate(step, config.steps)
        losses = _step(network.train(), optimizer, batches, step, config)
        step += 1
        late = config.max_minutes and time.monotonic() - started >= 60 * config.max_minutes
        if step % config.checkpoint_every == 0 or step == config.steps or late:
            check_finite({name: float(loss) for name, loss in losses.items()}, step, saved)
            write_checkpoint(
                checkpoint, {_NAME: network}, {_NAME: optimizer},
                describe(settings, fingerprint, step),
            )  # fmt: skip
            saved = step
        if on_progress:
            on_progress(step, config.steps)
        if late:
            break
    return network.eval(), step


def autocast(config: AlignConfig) -> torch.autocast:
    """The arithmetic of the network: what is fast on the machine, where it is left to it."""
    precision = config.precision
    if precision == "auto":
        has_matrices = config.device == "cuda" or torch.cpu._is_amx_tile_supported()
        precision = "bf16" if has_matrices else "fp32"
    return torch.autocast(config.device, torch.bfloat16, enabled=precision == "bf16")


def _step(
    network: CoordinateNetwork,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    number: int,
    config: AlignConfig,
) -> dict[str, Tensor]:
    x, labels = batches.draw(number)
    with autocast(config):
        found = network(x)
    loss, parts = dense_losses(found, labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {name: part.detach() for name, part in parts.items()}


def _rate(step: int, steps: int) -> float:
    """Of the learning rate: up in a line, then down to 0 along a cosine."""
    warm_up = max(1, min(_WARM_UP, steps // 20))
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / steps))
