# SPDX-License-Identifier: GPL-3.0-or-later
"""What the interface says of a job that runs, or has ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import launch, messages, pictures
from .properties import shown_name

LAST = (
    messages.Preview | messages.Generated | messages.Learned | messages.Verified | messages.Checked
)
"""What a job ends with that has done what it was asked."""

_LACKS = {
    launch.TOO_OLD: "That Python is older than 3.11: choose another",
    launch.ABSENT: "That Python has no render-adapt: install it there, with torch",
    launch.OTHER_VERSION: "That Python's render-adapt is of another version: renew it",
}
"""By a job's exit code."""

Kind = Literal["generate", "preview", "learn", "verify", "repair", "check", "report"]


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


def show_end(status: Status, code: int, last_words: Callable[[], str], *, was_asked: bool) -> None:
    """Say what came of a job.

    Args:
        status: with its result, where it had one.
        code: its exit code.
        last_words: of its log.
        was_asked: whether it was asked to end.
    """
    result = status.result
    if isinstance(result, messages.Verified) and result.bad:
        status.state = "failed"
        status.text, status.details = result.bad, _in_words(result.notes)
    elif isinstance(result, LAST):
        status.state = "finished"
        status.text, status.details = _outcome(result, time.monotonic() - status.begun)
    elif was_asked:
        status.state, status.text = "cancelled", "Cancelled"
        if status.kind in ("generate", "learn"):
            status.details = ["The same settings continue it"]
    elif result is not None:
        status.state, status.text = "failed", _in_this_interface(result.message, status.kind)
    elif status.kind == "report" and code == 0:
        status.state, status.text = "finished", "The report is written"
    else:
        status.state = "failed"
        status.text = _crash(status.text, code, last_words())


def show_progress(status: Status, message: messages.Message) -> None:
    """Take in what a job says while it runs."""
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
        details = _in_words(result.notes)
        if result.redrawn or result.dropped:
            details.insert(0, f"{result.redrawn:,} adapted anew, {result.dropped:,} left out")
        return f"{result.crops:,} crops in {_duration(seconds)}", details
    if isinstance(result, messages.Preview):
        return f"Preview of {result.crops} crops in {_duration(seconds)}", _in_words(result.notes)
    if isinstance(result, messages.Learned):
        verdict = [_in_this_interface(result.verdict, "learn")] if result.verdict else []
        return f"The adapter learned for {result.steps:,} steps", verdict
    if isinstance(result, messages.Verified):
        sound = result.sound[:1].upper() + result.sound[1:]
        return sound, _in_words(result.notes)
    torch = f"torch {result.torch}" if result.torch else "no torch: it cannot learn"
    return f"render-adapt {result.version}, Python {result.python}", [
        torch,
        f"GPU: {result.gpu}" if result.gpu else "no GPU: learning takes hours",
    ]


def _in_words(notes: list[str]) -> list[str]:
    return [_in_this_interface(note, "generate") for note in notes]


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
