"""Where the command line prints, and how it shows that work goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

output = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

_SECONDS_A_LINE = 10.0
"""Between two lines of progress in a log file."""


def steps_bar() -> Progress:
    """A bar of training steps, or several."""
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
        TaskProgressColumn(), TimeRemainingColumn(), console=errors, transient=True,
    )  # fmt: skip


class CropsBar:
    """A progress bar of crops, with their rate; in a log file a line every ten seconds.

    Args:
        quiet: show nothing.
        clock: seconds, from any moment on.
    """

    def __init__(self, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = None if quiet or not errors.is_terminal else _crops_bar()
        self._task = self._bar.add_task("starting", total=None, rate="") if self._bar else None
        self._quiet, self._clock = quiet, clock
        self._started = self._said = clock()
        self._at_start: int | None = None

    def __enter__(self) -> CropsBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, crops_done: int, total: int) -> None:
        """Show that so many crops of all are done."""
        if self._at_start is None:
            self._at_start, self._said = crops_done, self._clock()
        time_spent = self._clock() - self._started
        crops_made = crops_done - self._at_start
        rate = crops_made / time_spent if crops_made and time_spent else 0.0
        rate_text = f"{rate:.0f} crops/s" if rate else ""
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, description="crops", completed=crops_done, total=total, rate=rate_text
            )
        elif not self._quiet and crops_done < total and self._is_due():
            self._said = self._clock()
            left = f", {rate_text}, {(total - crops_done) / rate:.0f} s left" if rate else ""
            errors.print(f"{crops_done} of {total} crops{left}", soft_wrap=True)

    def _is_due(self) -> bool:
        return self._clock() - self._said >= _SECONDS_A_LINE


def _crops_bar() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
        MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        console=errors, transient=True,
    )  # fmt: skip


class ExperimentLines:
    """A line of progress for each training that runs; in a log file a line every minute."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[Any, TaskID] = {}
        self.printed = time.monotonic()

    def __call__(self, running: Mapping[Any, Any], ended: int, total: int) -> None:
        for experiment in [experiment for experiment in self.tasks if experiment not in running]:
            self.progress.remove_task(self.tasks.pop(experiment))
        lines = []
        for experiment, state in running.items():
            if experiment not in self.tasks:
                self.tasks[experiment] = self.progress.add_task("")
            losses = ", ".join(f"{name} {value:.2f}" for name, value in state.losses.items())
            line = f"{experiment.name}, step {state.step} of {state.steps}: {losses or 'starting'}"
            self.progress.update(
                self.tasks[experiment], description=line, completed=state.step, total=state.steps
            )
            lines.append(line)
        if not errors.is_terminal and time.monotonic() - self.printed >= 60.0:
            self.printed = time.monotonic()
            for line in (f"{ended} of {total} trainings are done", *lines):
                errors.print(line, soft_wrap=True)
