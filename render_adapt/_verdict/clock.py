"""A training's time limit, which is of all that it takes: rendering before it and judging after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from adapter import AdapterInfo, TrainConfig
from cad_models import CadModel
from render_adapt._verdict.duration import seconds_to_judge
from render_adapt._verdict.measuring import judge_adapter
from renderer import PlanConfig, Renderer

_LEAST_SHARE = 0.1
"""Of the time limit, for training: else the same command could come to no step, however often."""


@dataclass(frozen=True)
class Shown:
    """What an adapter learns from, and is judged by."""

    models: list[CadModel]
    plan: PlanConfig
    target: NDArray[Any]
    """(M, C, H, W) in [-1, 1]."""
    renderer: Renderer


class TrainingClock:
    """How long a training has taken since this was made, and what of its limit is left for what.

    Args:
        on_stage: called with what is done next and about how long it takes, for people.
    """

    def __init__(self, on_stage: Callable[[str], None] | None) -> None:
        self.says = on_stage or (lambda line: None)
        self._began, self._judging = time.monotonic(), 0.0

    def left_for_training(self, config: TrainConfig, channels: int, shown: Shown) -> TrainConfig:
        """The settings with what of the limit neither rendering took nor judging is to take.

        Args:
            config: as given.
            channels: of the crops.
            shown: what is learnt from.
        """
        spent = time.monotonic() - self._began
        self._judging = seconds_to_judge(
            config, channels, shown.models, shown.plan, len(shown.target), shown.renderer
        )
        self.says(f"rendered in {spent:.0f} s; after training, {self._judging_words}")
        if not config.max_minutes:
            return config
        left = config.max_minutes - (spent + self._judging) / 60
        return replace(config, max_minutes=max(left, _LEAST_SHARE * config.max_minutes))

    def judged(self, out: Path, info: AdapterInfo, shown: Shown) -> AdapterInfo:
        """An adapter's description after it was calibrated and measured.

        Args:
            out: the adapter's folder.
            info: its description.
            shown: what it learnt from.
        """
        self.says(f"trained for {info.steps:,} steps; {self._judging_words}")
        return judge_adapter(out, shown.models, shown.plan, shown.target, renderer=shown.renderer)

    @property
    def _judging_words(self) -> str:
        return f"calibrating and measuring the adapter takes about {self._judging:.0f} s"
