# SPDX-License-Identifier: GPL-3.0-or-later
"""The one job that runs: it is started, watched and ended here, and its status is kept here."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import bpy

from . import launch, messages, pictures
from .job_process import Command, JobProcess
from .properties import shown_name

EVERY = 0.25
"""Seconds between looks at the job: the interface is drawn no oftener, or it would take the job's
processor."""

_LOGS_KEPT = 10

_LACKS = {
    launch.TOO_OLD: "That Python is older than 3.11: choose another",
    launch.ABSENT: "That Python has no render-adapt: install it there, with torch",
    launch.OTHER_VERSION: "That Python's render-adapt is of another version: renew it",
}
"""By a job's exit code."""

Kind = Literal["generate", "preview", "learn", "check", "report"]


@dataclass
class Status:
    """What the interface shows of the job that runs, or ran last."""

    kind: Kind | None = None
    state: Literal["idle", "running", "ending", "finished", "cancelled", "failed"] = "idle"
    text: str = ""
    """A sentence."""
    factor: float = 0.0
    """How far it is, 0 to 1."""
    details: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    """What there is to learn from, a sentence each."""
    log: Path | None = None
    result: Any = None
    """The message that it ended with; None where it died."""
    begun: float = field(default_factory=time.monotonic)


class Control:
    """Starts, watches and ends jobs, one at a time. Used from the main thread alone."""

    def __init__(self) -> None:
        self.status = Status()
        self.dataset: Path | None = None
        """What was made last."""
        self.checked: Status | None = None
        """What came of the last check of a Python."""
        self._process: JobProcess | None = None
        self._folder: Path | None = None
        self._timer: bpy.types.Timer | None = None
        self._looked = 0.0

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self._process is not None

    def start(self, kind: Kind, command: Command, folder: Path) -> None:
        """Start a job.

        Args:
            kind: what it does.
            command: that does it.
            folder: of its temporary files, to be removed when it ends.

        Raises:
            OSError: the command cannot be started.
        """
        assert not self.running
        log = _new_log(kind)
        self._process = JobProcess(command, log)
        self._folder = folder
        self.status = Status(kind, "running", "Starting", log=log)

    def refuse(self, kind: Kind, reason: str) -> None:
        """Show why a job was not begun."""
        self.status = Status(kind, "failed", reason)
        if kind == "check":
            self.checked = self.status

    def watch(self, context: bpy.types.Context) -> None:
        """Have the window send timer events until the job ends."""
        manager = context.window_manager
        self._timer = manager.event_timer_add(EVERY, window=context.window)

    def due(self) -> bool:
        """Whether to look at the job: timer events of others come too."""
        now = time.monotonic()
        if now - self._looked < EVERY * 0.8:
            return False
        self._looked = now
        return True

    def update(self) -> None:
        """Take in what the job has said, and whether it has ended."""
        if self._process is None:
            return
        self._process.enforce()
        code = self._process.exit_code
        try:
            for message in self._process.messages():
                self._take(message)
        except Exception:
            # Nobody would watch it any more.
            self._process.end()
            self._clean_up()
            self.status.state = "failed"
            raise
        if code is not None:
            self._finish(code)

    def wait(self) -> None:
        """Return when the job has ended, by itself or by an interruption from the keyboard."""
        try:
            while self.running:
                self.update()
                time.sleep(0.05)
        except KeyboardInterrupt:
            self.end()

    def cancel(self) -> None:
        """Ask the job to end; whoever watches it sees to that."""
        if self._process is not None:
            self._process.ask_to_end()
            self.status.state, self.status.text = "ending", "Cancelling"

    def end(self) -> None:
        """End the job, and leave nothing of it."""
        if self._process is not None:
            self.cancel()
            self._process.end()
            self.update()

    def _take(self, message: messages.Message) -> None:
        status = self.status
        if isinstance(message, messages.Failed):
            status.result = message
        elif isinstance(
            message, messages.Preview | messages.Generated | messages.Learned | messages.Checked
        ):
            status.result = message
            status.factor = 1.0
            if isinstance(message, messages.Preview):
                pictures.show(Path(message.picture))
        elif status.state == "running":
            _progress(status, message)

    def _finish(self, code: int) -> None:
        assert self._process is not None
        status, process = self.status, self._process
        self._clean_up()
        result = status.result
        status.details = []
        if result is not None and not isinstance(result, messages.Failed):
            status.state = "finished"
            status.text, status.details = _outcome(result, time.monotonic() - status.begun)
            if isinstance(result, messages.Generated):
                self.dataset = Path(result.folder)
        elif process.ending:
            status.state, status.text = "cancelled", "Cancelled"
            if status.kind in ("generate", "learn"):
                status.details = ["The same settings continue it"]
        elif result is not None:
            status.state, status.text = "failed", _in_this_interface(result.message, status.kind)
        elif status.kind == "report" and code == 0:
            status.state, status.text = "finished", "The report is written"
        else:
            status.state = "failed"
            status.text = _crash(status.text, code, process.last_words())
        if status.kind == "check":
            self.checked = status

    def _clean_up(self) -> None:
        self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._timer is not None:
            bpy.context.window_manager.event_timer_remove(self._timer)
            self._timer = None


control = Control()
"""Blender's. A job belongs to the program, not to a scene or a window."""


def _progress(status: Status, message: messages.Message) -> None:
    if isinstance(message, messages.Working):
        status.text = message.message
    elif isinstance(message, messages.Target):
        status.found = [_in_this_interface(line, status.kind) for line in message.lines]
        pictures.show(Path(message.contact_sheet))
    elif isinstance(message, messages.Generating):
        status.factor = message.done / max(message.total, 1)
        status.text = f"{message.done:,} of {message.total:,} crops"
        status.details = _speed(message.crops_per_second, "crops", message.seconds_left)
    elif isinstance(message, messages.Learning):
        status.factor = message.step / max(message.steps, 1)
        status.text = f"Step {message.step:,} of {message.steps:,}"
        losses = [
            f"{name.replace('_', ' ')}: {value:.4g}" for name, value in message.losses.items()
        ]
        status.details = [
            *_speed(message.steps_per_second, "steps", message.seconds_left),
            *losses,
        ]
        if message.picture:
            pictures.show(Path(message.picture))


def _speed(rate: float, unit: str, left: float | None) -> list[str]:
    if left is None or not math.isfinite(left):
        return []
    return [f"{rate:.3g} {unit}/s, {_duration(left)} left"]


def _outcome(result: Any, seconds: float) -> tuple[str, list[str]]:
    """What a job came to in so long: a sentence, and more."""
    if isinstance(result, messages.Generated):
        details = _notes(result)
        if result.redrawn or result.dropped:
            details.insert(0, f"{result.redrawn:,} adapted anew, {result.dropped:,} left out")
        return f"{result.crops:,} crops in {_duration(seconds)}", details
    if isinstance(result, messages.Preview):
        return f"Preview of {result.crops} crops in {_duration(seconds)}", _notes(result)
    if isinstance(result, messages.Learned):
        verdict = [_in_this_interface(result.verdict, "learn")] if result.verdict else []
        return f"The adapter learned for {result.steps:,} steps", verdict
    torch = f"torch {result.torch}" if result.torch else "no torch: it cannot learn"
    return f"render-adapt {result.version}, Python {result.python}", [
        torch,
        f"GPU: {result.gpu}" if result.gpu else "no GPU: learning takes hours",
    ]


def _notes(result: messages.Generated | messages.Preview) -> list[str]:
    return [_in_this_interface(note, "generate") for note in result.notes]


def _crash(doing: str, code: int, words: str) -> str:
    if code in _LACKS:
        return _LACKS[code]
    last_words = f' Its last words: "{words}"' if words else ""
    return f"The job died (exit code {code}) at: {doing}.{last_words}"


def _in_this_interface(message: str, kind: Kind | None) -> str:
    """A job's message, which names settings as the job knows them."""
    return messages.worded(message, lambda name: shown_name(name, kind)).rstrip(".")


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole // 60 % 60:02} h"


def _new_log(kind: str) -> Path:
    """A file for what a job prints; the oldest ones go."""
    folder = Path(bpy.utils.extension_path_user(__package__, path="logs", create=True))
    for old in sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)[:-_LOGS_KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}.log"
