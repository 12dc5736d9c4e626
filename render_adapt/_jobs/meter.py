"""How far a job is that makes or looks at crops."""

from __future__ import annotations

import time
from collections.abc import Callable

from render_adapt._jobs.messages import Generating, Message

EVERY = 0.25
"""Seconds between messages about how far it is."""


class CropsMeter:
    """Tells how many crops are done, and how fast."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._start: tuple[float, int] | None = None
        self._told = 0.0

    def __call__(self, crops_done: int, total: int) -> None:
        now = time.perf_counter()
        if self._start is None:
            self._start = now, crops_done
        since, crops_before = self._start
        if crops_done < total and crops_done > crops_before and now - self._told < EVERY:
            return
        self._told = now
        rate = (crops_done - crops_before) / (now - since) if crops_done > crops_before else 0.0
        left = (total - crops_done) / rate if rate else None
        self._tell(Generating(crops_done, total, rate, left))
