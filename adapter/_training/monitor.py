"""Watching a training run: TensorBoard, a generator that collapsed, a discriminator that won."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._errors import TrainingCollapsed
from adapter._settings.progress import Progress, TaskProgress
from checked_settings import MissingDependency

SCALARS_EVERY = 50
"""Steps between two points of TensorBoard's curves."""

_ACCURACIES = {
    "accuracy_real": "discriminator accuracy/real",
    "accuracy_fake": "discriminator accuracy/adapted",
}
"""Names of a discriminator's accuracies in a step's report, and of their curves."""


class Board:
    """Curves and pictures of a run for TensorBoard.

    Args:
        folder: where the event files go; those of earlier parts of the run stay.
        step: steps done so far. Points of later steps, which an earlier part wrote after its last
            checkpoint, are hidden, so that every step is there once.

    Raises:
        MissingDependency: the package tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependency("`tensorboard`", "tensorboard", "tensorboard") from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def curves(self, progress: TaskProgress, learning_rates: dict[str, float]) -> None:
        """A point of every curve.

        Args:
            progress: where the run stands; a discriminator's accuracies are among its losses.
            learning_rates: by the optimiser's name.
        """
        named = progress.losses.items()
        points = {_ACCURACIES.get(name, f"loss/{name}"): value for name, value in named}
        points |= {f"learning rate/{name}": rate for name, rate in learning_rates.items()}
        points["steps per second"] = progress.steps_per_second
        for name, value in points.items():
            self._writer.add_scalar(name, value, progress.step)

    def picture(self, picture: NDArray[np.uint8], step: int) -> None:
        """A picture (H, W, 3), BGR."""
        self._writer.add_image("crops", picture[..., ::-1].copy(), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


@contextmanager
def board(is_wanted: bool, folder: Path, step: int) -> Iterator[Board | None]:
    """A `Board` where it is wanted, closed in the end."""
    opened = Board(folder, step) if is_wanted else None
    try:
        yield opened
    finally:
        if opened is not None:
            opened.close()


def variation(crops: NDArray[Any]) -> float:
    """How much crops (N, C, H, W) differ from each other.

    The standard deviation of each value over the crops, averaged over the values: 0 where all
    crops are the same.
    """
    return float(crops.astype(np.float32).std(axis=0).mean())


class CollapseWatch:
    """Stops a run whose generator makes the same crop of every crop.

    The variation of adapted crops is compared with that of source or real crops, whichever is
    smaller: where the data's own crops are nearly alike, adapted ones may be. Healthy generators
    are far from the limit: 1.4 times the smaller variation was measured for LINEMOD's objects, 1.5
    for MNIST to MNIST-M. A generator whose crops still show where the object is cannot fall below
    a tenth; one that has forgotten its input does, even where noise still moves it a little.

    Args:
        source, target: (N, C, H, W) crops of the two domains.
    """

    CROPS = 64
    """Source crops that are looked at, and real ones that they are compared with."""
    LIMIT = 0.1
    """Part of the data's variation below which a check fails."""
    CHECKS = 3
    """Checks in a row that must fail."""
    FIRST_STEP = 1000
    """Checks before it do not count: an untrained generator makes nearly the same of everything."""
    LEAST = 1e-3
    """Variation (values are in [-1, 1]) of data too much alike to say anything."""

    def __init__(self, source: NDArray[Any], target: NDArray[Any]) -> None:
        self.low_checks = 0  # in a row, also in earlier parts of the run
        self.crops = _spread(source, self.CROPS)
        self._expected = min(variation(self.crops), variation(_spread(target, self.CROPS)))

    def check(self, adapted: NDArray[Any], step: int) -> None:
        """Look at `crops` as they are adapted after `step` steps.

        Raises:
            TrainingCollapsed: the generator has.
        """
        if step < self.FIRST_STEP or self._expected < self.LEAST:
            return
        part = variation(adapted) / self._expected
        self.low_checks = self.low_checks + 1 if part < self.LIMIT else 0
        if self.low_checks >= self.CHECKS:
            raise TrainingCollapsed(
                f"training collapsed at step {step}: adapted crops differ from each other by only "
                f"{100 * part:.1f} % of what the data's crops do, in {self.low_checks} checks in a "
                "row; train in another folder with a lower `learning_rate`, or with a "
                "`similarity_weight`, which ties adapted crops to their source (the checkpoint "
                "before this step is kept)"
            )


def _spread(crops: NDArray[Any], n: int) -> NDArray[Any]:
    """At most n of the crops, from all over the data, as float32."""
    rows = np.linspace(0, len(crops) - 1, min(n, len(crops))).astype(int)
    selected: NDArray[Any] = crops[rows].astype(np.float32)
    return selected


class DiscriminatorWatch:
    """Notices a discriminator that has won, from which the generator learns little."""

    STEPS = 1000
    """Steps over which its accuracies are averaged."""
    LIMIT = 0.98
    """Mean accuracy, on real and on adapted crops alike, above which it has won."""

    def __init__(self) -> None:
        self._accuracies: list[tuple[float, float]] = []
        self._first = 0  # step of the first of them
        self._note = ""

    def note(self, step: int, accuracy_real: float, accuracy_fake: float) -> str:
        """What to tell the user after `step` steps; empty while all is well."""
        if not self._accuracies:
            self._first = step
        self._accuracies.append((accuracy_real, accuracy_fake))
        if step - self._first >= self.STEPS - 1:
            won = np.mean(self._accuracies, axis=0).min() > self.LIMIT
            self._note = _DISCRIMINATOR_WON if won else ""
            self._accuracies = []
        return self._note


_DISCRIMINATOR_WON = (
    "the discriminator has told nearly all adapted crops from real ones for "
    f"{DiscriminatorWatch.STEPS} steps, so the generator learns little from it; if adapted crops "
    "look wrong, train with a lower `discriminator_keep`, a higher `discriminator_noise` or a "
    "lower `discriminator_learning_rate`"
)


def with_accuracies(
    on_progress: Callable[[Progress], None] | None, watch: DiscriminatorWatch | None = None
) -> Callable[[TaskProgress], None] | None:
    """What tells of a GAN's training: accuracies apart from losses, and what a watch has to say."""
    if on_progress is None:
        return None

    def tell(state: TaskProgress) -> None:
        losses = {k: v for k, v in state.losses.items() if k not in _ACCURACIES}
        real, fake = (state.losses[name] for name in _ACCURACIES)
        note = "" if watch is None else watch.note(state.step, real, fake)
        on_progress(
            Progress(
                state.step,
                state.steps,
                losses,
                real,
                fake,
                state.steps_per_second,
                state.seconds_left,
                state.note or note,
                state.picture,
            )
        )

    return tell
