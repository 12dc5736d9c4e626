# SPDX-License-Identifier: GPL-3.0-or-later
"""The one job that runs: it is started, watched and ended here, and its status is kept here."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import bpy

from . import messages, outcomes, pictures
from .job_process import Command, JobProcess
from .outcomes import Kind, Status

EVERY = 0.25
"""Seconds between looks at the job: the interface is drawn no oftener, or it would take the job's
processor."""

_LOGS_KEPT = 10


class Control:
    """Starts, watches and ends jobs, one at a time. Used from the main thread alone."""

    def __init__(self) -> None:
        self.status = Status()
        self.refusal = ""
        """Why the last thing that was asked for was not done; what came of the job before stays."""
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
        self.refusal = ""

    def refuse(self, kind: Kind | None, reason: str) -> None:
        """Show why something was not begun: a job, or what an operator does at once."""
        if kind == "check":
            self.checked = Status(kind, "failed", reason)
        else:
            self.refusal = reason

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
        elif isinstance(message, outcomes.LAST):
            status.result = message
            status.factor = 1.0
            if isinstance(message, messages.Preview):
                pictures.show(Path(message.picture))
        elif status.state == "running":
            outcomes.show_progress(status, message)

    def _finish(self, code: int) -> None:
        assert self._process is not None
        status, process = self.status, self._process
        self._clean_up()
        status.details = []
        outcomes.show_end(status, code, process.last_words, was_asked=process.ending)
        if isinstance(status.result, messages.Generated):
            self.dataset = Path(status.result.folder)
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


def _new_log(kind: str) -> Path:
    """A file for what a job prints; the oldest ones go."""
    folder = Path(bpy.utils.extension_path_user(__package__, path="logs", create=True))
    for old in sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)[:-_LOGS_KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}.log"
