"""Trainings in two processes that share each batch: `python -m tests.two_processes RANK FOLDER`.

Each process does all jobs, one after another, and writes what came of them into FOLDER.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from adapter import (
    AdapterError,
    BaselineConfig,
    Progress,
    TrainConfig,
    train,
    train_baseline,
    train_on_pairs,
)
from checked_settings import SettingError
from tests import paired_toy, pixelda_toy

BROKEN_OFF = 2
"""Steps after which some trainings are stopped, and continued."""
CONFIGS: dict[str, TrainConfig] = {
    "plain": pixelda_toy.TOY,
    "every option": replace(
        pixelda_toy.TOY, discriminator_shift=1, discriminator_color=0.2, gradient_penalty=1.0,
        gradient_penalty_every=2, diversity_weight=0.1, task_weight_in_generator=0.5,
        depth_weight=1.0, noise_path="coarse-to-fine",
    ),
    "spectral": replace(
        pixelda_toy.TOY, discriminator_norm="spectral", discriminator_batch_deviation=True,
        gan_loss="hinge", task="none", gradient_penalty=1.0, gradient_penalty_every=3,
    ),
    "bf16": replace(pixelda_toy.TOY, precision="bf16"),
    "pairs": paired_toy.TOY,
    "pairs of other colors": replace(
        paired_toy.TOY, pair_hue=90.0, pair_color=0.3, clip_norm=1.0, weight_decay=0.01
    ),
}  # fmt: skip
"""By their names; those that begin with "pairs" are of aligned crops."""


def trained(config: TrainConfig, out: Path) -> None:
    """A toy's training, PixelDA's or of aligned crops; losses that it tells of lie beside it."""
    told: list[dict[str, float]] = []

    def on_progress(progress: Progress) -> None:
        told.append(progress.losses)
        out.with_name(f"{out.name}.losses").write_text(json.dumps(told))

    if config.architecture == "layered":
        source, pairs = paired_toy.toy_source(12), paired_toy.toy_pairs(10)
        train_on_pairs(source, pairs, config, out, on_progress=on_progress)
        return
    channels = 4 if config.depth_weight else 3
    crops, target = pixelda_toy.toy_source(30, channels), pixelda_toy.toy_target(20, channels)
    train(crops, target, config, out, on_progress=on_progress)


def continued(name: str, out: Path) -> None:
    for steps in (BROKEN_OFF, CONFIGS[name].steps):
        trained(replace(CONFIGS[name], steps=steps), out)


def limited(rank: int, out: Path) -> None:
    """For half a minute by the first process' clock, of which the other's knows nothing."""
    clock = mock.patch("time.monotonic", side_effect=itertools.count(0.0, 5.0))
    with clock if rank == 0 else contextlib.nullcontext():
        trained(replace(CONFIGS["plain"], max_minutes=0.5), out)


def left_alone(rank: int, out: Path) -> None:
    """The second process goes before a training that it is needed for."""
    if rank == 1:
        os._exit(0)
    trained(CONFIGS["plain"], out)


def jobs(rank: int, folder: Path) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """All that is done, by name; it is called with its folder."""
    for name, config in CONFIGS.items():
        yield name, partial(trained, config)
    yield "plain, continued", partial(continued, "plain")
    yield "pairs, continued", partial(continued, "pairs")
    yield "limited", partial(limited, rank)
    plain = CONFIGS["plain"]
    yield "odd batch", partial(trained, replace(plain, batch=7))
    yield "compiled", partial(trained, replace(plain, device="cuda", compile=True))
    yield "different", partial(trained, replace(plain, seed=rank))
    source, target = pixelda_toy.toy_source(30), pixelda_toy.toy_target(20)
    baseline = BaselineConfig(steps=2, threads=1)
    yield "baseline", partial(train_baseline, source, target, baseline)
    yield "left alone", partial(left_alone, rank)


def main(rank: int, folder: Path) -> None:
    meeting = f"file://{folder / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    said: dict[str, Any] = {}
    for name, job in jobs(rank, folder):
        said[name] = None
        try:
            job(folder / name)
        except (AdapterError, SettingError) as error:
            said[name] = str(error)
        (folder / f"said-{rank}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
