"""Who makes the shards: this process, or several side by side."""

from __future__ import annotations

import abc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from render_adapt._exceptions import WorkerError

Result = TypeVar("Result")


class Executor(abc.ABC, Generic[Result]):
    """Maps shards to results. The seam between the pipeline and where it runs."""

    @abc.abstractmethod
    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Iterator[Result]:
        """Results in the order in which they come; `make_worker` is called once per process."""


class SerialExecutor(Executor[Result]):
    """Makes one shard after another in this process."""

    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Iterator[Result]:
        """Results in the order of the shards."""
        worker = make_worker()
        for shard in shards:
            yield worker(shard)


class ProcessExecutor(Executor[Result]):
    """Makes shards in fresh processes (spawned: OpenGL contexts and thread pools do not fork)."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Iterator[Result]:
        """Results in the order in which they are finished; at most two shards wait per worker.

        Raises:
            WorkerError: a worker process died.
        """
        context = multiprocessing.get_context("spawn")
        remaining = iter(shards)
        pending: dict[Future[Result], int] = {}
        with ProcessPoolExecutor(
            min(self._workers, len(shards)), context, _start_worker, (make_worker,)
        ) as pool:
            try:
                while True:
                    while len(pending) < 2 * self._workers:
                        shard = next(remaining, None)
                        if shard is None:
                            break
                        pending[pool.submit(_work, shard)] = shard
                    if not pending:
                        return
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        shard = pending.pop(future)
                        yield future.result()
            except BrokenProcessPool:
                raise WorkerError(
                    f"a worker process died (killed, or out of memory) around shard {shard}: "
                    "what is finished is kept, and the same command continues the run"
                ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


_worker: Callable[[int], Any] | None = None


def _start_worker(make_worker: Callable[[], Callable[[int], Any]]) -> None:
    global _worker
    # An interrupt goes to the whole group: the parent decides, workers finish their shard.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = make_worker()


def _end_with_parent() -> None:
    """A worker whose run was killed must not write on beside the run that continues it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(shard: int) -> Any:
    assert _worker is not None
    return _worker(shard)
