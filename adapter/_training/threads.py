"""With how many threads a training is fastest: found by trying, for nothing else tells."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_TIMED = 2
"""Steps that are timed, after one in which torch prepares what it computes with."""
_HOPELESS = 3.0
"""Times the best: a number of threads whose first step takes longer is not tried further."""
_WORTH = 0.95
"""Of the best time with fewer threads, which more of them must come down to."""


def step_seconds(take_step: Callable[[], object], most: int) -> dict[int, float]:
    """Seconds of a step with 1, 2, 4 ... threads, up to the first number that is no faster.

    On a machine whose cores have other work, threads wait for each other: two may take twenty times
    as long as one.

    Args:
        take_step: takes a step; torch's threads are what it was last tried with in the end.
        most: threads.
    """
    found: dict[int, float] = {}
    threads = 1
    while True:
        torch.set_num_threads(threads)
        best = min(found.values(), default=float("inf"))
        seconds = _seconds_of(take_step)
        if seconds <= _HOPELESS * best:
            seconds = min(_seconds_of(take_step) for _ in range(_TIMED))
        found[threads] = seconds
        if threads == most or seconds > _WORTH * best:
            return found
        threads = min(2 * threads, most)


def fastest(seconds: dict[int, float]) -> int:
    """The number of threads to take, of those in `step_seconds`: more only where they are worth it.

    So that two numbers which are as good as each other do not take turns from run to run.
    """
    chosen = min(seconds)
    for threads in sorted(seconds):
        if seconds[threads] <= _WORTH * seconds[chosen]:
            chosen = threads
    return chosen


def chosen_text(seconds: dict[int, float]) -> str:
    """What was found and chosen, for people."""
    chosen = fastest(seconds)
    others = ", ".join(f"{n}: {s:.2g} s" for n, s in seconds.items() if n != chosen)
    return (
        f"`threads` {chosen}, {seconds[chosen]:.2g} s a step as measured (with {others}): give "
        "`threads` to have another number"
    )


def _seconds_of(take_step: Callable[[], object]) -> float:
    started = time.perf_counter()
    take_step()
    return time.perf_counter() - started
