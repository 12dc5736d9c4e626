"""What a run is asked to do, checked once, here."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from cad_models import CadModel
from render_adapt._exceptions import ConfigError
from renderer import PlanConfig

Size = Literal[64, 128, 256]
Units = Literal["m", "cm", "mm", "in"]
RendererName = Literal["raster"]

CLEARANCE = 20.0
"""Millimetres that stay free between the camera and an object at its nearest."""

SHARD_SIZE = 250
"""Crops in a shard: about 2 s of work on one core, and one BOP scene of 1,000 small files."""


@dataclass(frozen=True)
class RunConfig:
    """A run: what to render, how to adapt it, and where to write it.

    Raises:
        ConfigError, RenderError: a value is out of range; the message names the flag.
    """

    objects: tuple[str, ...]
    """Objects to render: names, or NAME=FILE for a mesh of your own."""
    n: int
    """Number of crops."""
    out: Path = Path("dataset")
    """Folder of the dataset; a run that was stopped continues there."""
    seed: int = 0
    """The same seed gives the same bytes, whatever the number of workers."""
    size: Size = 64
    """Side of a crop, pixels."""
    adapter: str = "shipped"
    """`shipped`, a trained adapter's folder, or `none` for plain renders."""
    models: Path | None = None
    """A BOP models folder (obj_000001.ply, models_info.json) in place of the built-in models."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    renderer: RendererName = "raster"
    """Rendering engine."""
    workers: int = field(default_factory=lambda: available_cores())
    """Processes that make shards side by side."""
    window: float = 200.0
    """Side of the square that a crop shows at the object's distance, millimetres."""
    distance: tuple[float, float] = PlanConfig().distance
    """Least and greatest distance from the camera to the object, millimetres."""

    def __post_init__(self) -> None:
        """Split comma-separated names, and check what can be checked without reading a file."""
        object.__setattr__(self, "objects", split_names(self.objects))
        object.__setattr__(self, "out", Path(self.out))
        if not self.objects:
            raise ConfigError("--objects is empty: name at least one, as in --objects ape,cat")
        if self.n < 1:
            raise ConfigError(f"--n is {self.n}: it must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}: it must be 0 or more")
        if self.size not in get_args(Size):
            raise ConfigError(f"--size is {self.size}: it must be 64, 128 or 256")
        if self.workers < 1:
            raise ConfigError(f"--workers is {self.workers}: it must be at least 1")
        if self.renderer not in get_args(RendererName):
            raise ConfigError(f"--renderer is {self.renderer}: it must be raster")
        _ = self.plan  # which checks what it is made of

    @property
    def plan(self) -> PlanConfig:
        """How this run's crops are planned."""
        return PlanConfig(size=self.size, window=self.window, distance=self.distance)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.n // SHARD_SIZE)

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First crop of a shard, and the first one after it."""
        start = shard * SHARD_SIZE
        return start, min(start + SHARD_SIZE, self.n)


def split_names(objects: tuple[str, ...]) -> tuple[str, ...]:
    """`("ape,cat", "duck")` as `("ape", "cat", "duck")`."""
    names = (name.strip() for entry in objects for name in entry.split(","))
    return tuple(name for name in names if name)


def refuse_too_near(models: Sequence[CadModel], plan: PlanConfig) -> None:
    """Refuse a plan by which some view would put an object into the camera.

    Raises:
        ConfigError: an object reaches as far from its centre as the camera may come to it.
    """
    nearest = plan.distance[0]
    for model in models:
        reach = float(np.linalg.norm(model.bounds[1] - model.centre))
        if nearest <= reach + CLEARANCE:
            raise ConfigError(
                f"--distance begins at {nearest:g} mm, but {model.name} reaches {reach:.0f} mm "
                f"from its centre: begin at {math.ceil(reach + CLEARANCE) + 1} or more"
            )


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
