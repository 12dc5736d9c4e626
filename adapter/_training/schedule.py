"""What changes over a run: learning rates, and the weight of alignment."""

from __future__ import annotations

import math
from typing import Protocol

from adapter._settings.pixelda import TrainConfig


class Schedule(Protocol):
    """Settings that say how the learning rate goes."""

    @property
    def schedule(self) -> str: ...
    @property
    def decay(self) -> float: ...
    @property
    def decay_steps(self) -> int: ...


def rate_factor(config: Schedule, step: int, steps: int) -> float:
    """The factor of the learning rate: constant, in stairs, or linear to 0 over the second half.

    Args:
        config: its schedule; stairs are `decay_steps` updates long and each is `decay` of the last.
        step: updates of the weights so far.
        steps: updates in the whole run.
    """
    if config.schedule == "staircase":
        return config.decay ** (step // config.decay_steps)
    if config.schedule == "linear":
        return min(1.0, 2.0 * (1.0 - step / steps))
    return 1.0


def adversarial_rates(config: TrainConfig, step: int) -> dict[str, float]:
    """Learning rates of generator and discriminator, which each update once in a step."""
    factor = rate_factor(config, 2 * step, 2 * config.steps)
    rate, judges = config.learning_rate, config.discriminator_learning_rate
    return {"generator": factor * rate, "discriminator": factor * (judges or rate)}


def ganin_ramp(progress: float) -> float:
    """The factor of alignment, from 0 to 1 (Ganin et al. 2016, section 5.2.2).

    Args:
        progress: part of the run that is done, 0 to 1.
    """
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0
