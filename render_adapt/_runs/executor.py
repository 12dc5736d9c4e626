"""Who makes the shards: this process, or several side by side."""

from __future__ import annotations

import abc
import collections
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from render_adapt._exceptions import WorkerError

Result = TypeVar("Result")

_number = 0

ATTEMPTS = 3
"""How many workers a shard may end before the run gives up."""


class Executor(abc.ABC, Generic[Result]):
    """Maps shards to results. The seam between the pipeline and where it runs."""

    @abc.abstractmethod
    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Generator[Result, None, None]:
        """Results in the order in which they come; `make_worker` is called once per process.

        Closing the generator ends what is under way.
        """


class SerialExecutor(Executor[Result]):
    """Makes one shard after another in this process."""

    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Generator[Result, None, None]:
        """Results in the order of the shards."""
        worker = make_worker()
        for shard in shards:
            yield worker(shard)


class ProcessExecutor(Executor[Result]):
    """Makes shards in fresh processes (spawned: OpenGL contexts and thread pools do not fork).

    A shard whose worker dies is given to another; what the others are at goes on.

    Args:
        workers: how many processes.
        attempts: how many workers may die of one shard, or as they start.
    """

    def __init__(self, workers: int, attempts: int = ATTEMPTS) -> None:
        self._workers = workers
        self._attempts = attempts

    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Generator[Result, None, None]:
        """Results in the order in which they come.

        Raises:
            WorkerError: as many workers died of one shard as there are attempts.
        """
        waiting = collections.deque(shards)
        deaths: collections.Counter[int | None] = collections.Counter()
        crew: dict[Any, _Worker] = {}
        try:
            while waiting or crew:
                starting = sum(worker.shard is None for worker in crew.values())
                for _ in range(min(self._workers - len(crew), len(waiting) - starting)):
                    taken = {worker.number for worker in crew.values()}
                    number = min(set(range(self._workers)) - taken)
                    worker = _Worker.start(make_worker, number)
                    crew[worker.connection] = worker
                for connection in wait(list(crew)):
                    worker = crew[connection]
                    shard = worker.shard
                    try:
                        outcome = worker.connection.recv()
                    except (EOFError, OSError):
                        del crew[connection]
                        worker.end()
                        deaths[shard] += 1
                        if deaths[shard] >= self._attempts:
                            raise _death(shard, worker.process.exitcode, self._attempts) from None
                        if shard is not None:
                            waiting.appendleft(shard)
                        continue
                    if isinstance(outcome, BaseException):
                        raise outcome
                    if waiting:
                        worker.take(waiting.popleft())
                    else:
                        del crew[connection]
                        worker.dismiss()
                    if shard is not None:
                        yield outcome
        finally:
            for worker in crew.values():
                worker.end()


@dataclass
class _Worker:
    """A worker as the run sees it."""

    process: BaseProcess
    connection: Connection
    number: int
    """From 0 on; none of those at work has another's."""
    shard: int | None = None
    """What it is at; None while it starts."""

    @staticmethod
    def start(make_worker: Callable[[], Callable[[int], Any]], number: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        connection, far_end = context.Pipe()
        process = context.Process(target=_work, args=(make_worker, far_end, number), daemon=True)
        process.start()
        # Only the worker holds the far end now: its death is the end of the stream.
        far_end.close()
        return _Worker(process, connection, number)

    def take(self, shard: int) -> None:
        self.shard = shard
        # Where it has just died, the next thing that is received says so.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(shard)

    def dismiss(self) -> None:
        self.connection.close()
        self.process.join()

    def end(self) -> None:
        self.process.kill()
        self.dismiss()


def _death(shard: int | None, exit_code: int | None, attempts: int) -> WorkerError:
    cause = f"signal {-exit_code}" if exit_code and exit_code < 0 else f"exit code {exit_code}"
    when = "as it started" if shard is None else f"at shard {shard}"
    return WorkerError(
        f"a worker process died {when}, {attempts} times, at last of {cause} (9 where the machine "
        "is out of memory): what is finished is kept, and the same command continues the run",
        shard,
    )


def worker_number() -> int:
    """Which of a run's workers this process is, from 0 on; 0 in the run's own."""
    return _number


def _work(
    make_worker: Callable[[], Callable[[int], Any]], connection: Connection, number: int
) -> None:
    """What a worker process does: says that it is ready, then makes what it is given."""
    global _number
    _number = number
    # An interrupt goes to the whole group: the run decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What there is to tell, the run's own process tells, once.
    logging.getLogger("renderer").setLevel(logging.ERROR)
    try:
        worker = make_worker()
        connection.send(None)
        while True:
            try:
                shard = connection.recv()
            except EOFError:
                return
            connection.send(worker(shard))
    except Exception as error:
        # A traceback does not travel; as a note it does.
        error.add_note(traceback.format_exc())
        connection.send(error)


def _end_with_parent() -> None:
    """A worker whose run was killed must not write on beside the run that continues it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
