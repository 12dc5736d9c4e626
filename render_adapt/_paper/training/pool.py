"""Several experiments side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event

from render_adapt._exceptions import WorkerError
from render_adapt._paper.training.experiments import (
    AnyProgress,
    Experiment,
    Workplace,
    run_experiment,
)

_LOOK_SECONDS = 1.0  # between two looks at how far the experiments are


def run_all(
    experiments: Sequence[Experiment],
    place: Workplace,
    processes: int,
    *,
    deadline: float,
    on_look: Callable[[Sequence[Experiment], int], None] | None = None,
) -> None:
    """Run experiments until all are done or the time is up.

    Args:
        experiments: in the order in which they are begun.
        place: where they train.
        processes: how many run side by side.
        deadline: when to stop with checkpoints, as `time.time()` has it.
        on_look: called about once a second with the experiments that run, and how many have ended.

    Raises:
        SettingError: a scenario's data is not there.
        DatasetError: a folder cannot be written.
        WorkerError: a process was killed.
    """
    # Threads that spin while they wait take the time of the other experiments' threads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    waiting = list(experiments)
    running: dict[Future[None], Experiment] = {}
    pool = ProcessPoolExecutor(processes, context, _start_worker, (stop,))
    try:
        while running or (waiting and time.time() < deadline):
            while waiting and len(running) < processes and time.time() < deadline:
                experiment = waiting.pop(0)
                running[pool.submit(_work, experiment, place, deadline)] = experiment
            if on_look is not None:
                on_look(tuple(running.values()), len(experiments) - len(waiting) - len(running))
            for future in wait(running, _LOOK_SECONDS, FIRST_COMPLETED).done:
                experiment = running.pop(future)
                future.result()
    except BrokenProcessPool:
        raise WorkerError(
            "a training process died (killed, or out of memory), perhaps that of "
            f"{experiment.name}: what was saved is kept, and the same command continues; `jobs` "
            "sets how many run side by side"
        ) from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _StoppedError(Exception):
    """The command was interrupted, or another experiment failed in a way that nobody foresaw."""


_stop: Event | None = None


def _start_worker(stop: Event) -> None:
    global _stop
    # An interrupt goes to the whole group: the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _stop = stop


def _end_with_parent() -> None:
    """An experiment whose command was killed must not write on beside the one that continues it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(experiment: Experiment, place: Workplace, deadline: float) -> None:
    try:
        run_experiment(experiment, place, deadline=deadline, on_progress=_stop_if_told)
    except _StoppedError:
        return


def _stop_if_told(progress: AnyProgress) -> None:
    assert _stop is not None
    if _stop.is_set():
        raise _StoppedError
