"""How the command line shows that work goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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

from render_adapt._cli.consoles import errors
from render_adapt._cli.settings import in_flags

if TYPE_CHECKING:
    from adapter import Progress as TrainProgress

_SECONDS_A_LINE = 10.0
"""Between two lines of progress in a log file."""


def steps_bar() -> Progress:
    """A bar of training steps, or several; in a log file none, nor the empty line after it."""
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
        TaskProgressColumn(), TimeRemainingColumn(), console=errors, transient=True,
        disable=not errors.is_terminal,
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
        rate_words = rate_text(rate) if rate else ""
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, description="crops", completed=crops_done, total=total, rate=rate_words
            )
        elif not self._quiet and crops_done < total and self._is_due():
            self._said = self._clock()
            left = f", {rate_words}, {(total - crops_done) / rate:.0f} s left" if rate else ""
            errors.print(f"{crops_done} of {total} crops{left}", soft_wrap=True)

    def _is_due(self) -> bool:
        return self._clock() - self._said >= _SECONDS_A_LINE


def _crops_bar() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
        MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        console=errors, transient=True,
    )  # fmt: skip


class TrainingBar:
    """A bar of training steps; in a log file a line every ten seconds. What is new is said once.

    Args:
        clock: seconds, from any moment on.
    """

    _MEASURED = 5
    """Calls after which it is said how long a training takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = steps_bar() if errors.is_terminal else None
        self._task = self._bar.add_task("starting", total=None) if self._bar else None
        self._clock, self._said = clock, clock()
        self._calls, self._has_picture, self._notes = 0, False, {""}

    def __enter__(self) -> TrainingBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        errors.print(in_flags(line), soft_wrap=True)
        self._said = self._clock()

    def __call__(self, state: TrainProgress) -> None:
        """Show where a training stands."""
        self._calls += 1
        self._say_what_is_new(state)
        losses = ", ".join(f"{name} {value:.3f}" for name, value in state.losses.items())
        line = f"{losses}; {state.steps_per_second:.2f} steps/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, description=f"step {state.step}: {line}", completed=state.step,
                total=state.steps,
            )  # fmt: skip
        elif state.step < state.steps and self._clock() - self._said >= _SECONDS_A_LINE:
            left = time_text(state.seconds_left)
            self.say(f"step {state.step} of {state.steps}: {line}, {left} left")

    def _say_what_is_new(self, state: TrainProgress) -> None:
        if state.note not in self._notes:
            self._notes.add(state.note)
            self.say(f"note: {state.note}")
        if self._calls == self._MEASURED and state.step < state.steps:
            left = state.steps - state.step
            self.say(
                f"training: about {time_text(state.seconds_left)} for {left:,} steps at "
                f"{state.steps_per_second:.2f} steps/s, or to the time limit"
            )
        if state.picture is not None and not self._has_picture:
            self._has_picture = True
            self.say(f"sample picture: {state.picture}; later ones go beside it")


def rate_text(rate: float) -> str:
    """So many crops a second, of less than ten with two figures."""
    return f"{rate:.0f} crops/s" if rate >= 10 else f"{rate:.2g} crops/s"


def time_text(seconds: float) -> str:
    """About so long, as in "3 hours"."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


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
