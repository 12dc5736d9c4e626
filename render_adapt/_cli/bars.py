"""Where the command line prints, and how it shows that work goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
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


def steps_bar() -> Progress:
    """A bar of training steps, or several."""
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
        TaskProgressColumn(), TimeRemainingColumn(), console=errors, transient=True,
    )  # fmt: skip


class CropsBar:
    """A progress bar of crops, with their rate."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
            MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
            console=errors, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._at_start: int | None = None

    def __enter__(self) -> CropsBar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, crops_done: int, total: int) -> None:
        """Show that so many crops of all are done."""
        if self._at_start is None:
            self._at_start = crops_done
        elapsed = self._progress.tasks[0].elapsed or 0.0
        crops_made = crops_done - self._at_start
        rate = f"{crops_made / elapsed:.0f} crops/s" if crops_made and elapsed else ""
        self._progress.update(
            self._task, description="crops", completed=crops_done, total=total, rate=rate
        )


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
