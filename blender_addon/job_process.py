# SPDX-License-Identifier: GPL-3.0-or-later
"""A job in a process of its own: what it says, and how it is ended. Knows nothing of Blender."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .messages import Failed, Message, decode_message

PATIENCE = 1.25
"""Seconds that a job has to end by itself when it is asked to."""

_BEHIND = 5
"""How much nicer a job is than the interface, which is to stay quick."""

_START: dict[str, Any]
"""How a process begins, so that it can be ended with all that it starts."""
if sys.platform == "win32":
    _START = {
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP
        | subprocess.CREATE_NO_WINDOW
        | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    }
else:
    _START = {"start_new_session": True}


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and what it needs in its environment."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class JobProcess:
    """A process that works on a job, with whatever processes it starts.

    Its standard input is a pipe that nothing is written to: it ends when that is closed, so also
    if this process dies. What it prints beside messages goes to the log.
    """

    def __init__(self, command: Command, log: Path) -> None:
        self.log = log
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._asked: float | None = None
        self._printed: set[str] = set()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **command.environment}, **_START,
            )  # fmt: skip
        if sys.platform != "win32":
            nice = os.getpriority(os.PRIO_PROCESS, 0) + _BEHIND
            os.setpriority(os.PRIO_PROCESS, self._process.pid, min(nice, 19))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """None while the process runs."""
        return self._process.poll()

    @property
    def ending(self) -> bool:
        """Whether it was asked to end."""
        return self._asked is not None

    def messages(self) -> Iterator[Message]:
        """What was said since the last call; all there is once the process has ended."""
        if self.exit_code is not None:
            self._bury()
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._messages.get_nowait()

    def ask_to_end(self) -> None:
        """Close its input; `enforce` makes sure that this was understood."""
        if self._asked is None:
            self._asked = time.monotonic()
            with contextlib.suppress(OSError):
                self._input.close()

    def enforce(self) -> None:
        """Kill the process and its children if it was asked to end and has not."""
        if self._asked is not None and time.monotonic() - self._asked > PATIENCE:
            _kill_group(self._process)

    def end(self) -> None:
        """End it, and return when it is gone."""
        self.ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self._bury()

    def last_words(self) -> str:
        """The last line of the log, an error if there is one."""
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        lines = [line.strip() for line in lines if line.strip()]
        errors = [line for line in lines if line not in self._printed]
        return (errors or lines or [""])[-1]

    @property
    def _input(self) -> Any:
        return self._process.stdin

    def _bury(self) -> None:
        """Leave no child of it, and no thread."""
        if not self._reader.is_alive() and self._process.returncode is not None:
            return
        _kill_group(self._process)
        self._process.wait()
        self._reader.join()
        with contextlib.suppress(OSError):
            self._input.close()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream, self.log.open("ab", buffering=0) as log:
            for line in stream:
                text = line.decode("utf-8", errors="replace")
                try:
                    message = decode_message(text)
                except (ValueError, KeyError, TypeError):
                    message = Failed(
                        "The job speaks another version's language: bring the extension and the "
                        "Python with render-adapt to the same version"
                    )
                if message is not None:
                    self._messages.put(message)
                if message is None or isinstance(message, Failed):
                    log.write(line)
                    self._printed.add(text.strip())


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)],
            capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW, check=False,
        )  # fmt: skip
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
