"""Shards made on all nodes of a Ray cluster.

Ray restarts nothing by itself here: a shard is a pure function of its number, so that one whose
actor or node is gone is given to another, as by `ProcessExecutor`. Each actor has one shard at a
time and gets the next as its result is taken, so that no more results wait than there are actors.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import socket
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from checked_settings import MissingDependency, WrongValue
from render_adapt._config import available_cores
from render_adapt._exceptions import WorkerError
from render_adapt._runs.executor import ATTEMPTS, Executor, Result

_PATIENCE = 5.0
"""Seconds in which an address must answer, and after which it is seen whether nodes have come."""


class RayExecutor(Executor[Result]):
    """Makes shards in actors, one for each processor of a cluster, which may gain and lose nodes.

    `make_worker` and the results travel between machines; render-adapt is installed on all of them.

    Args:
        address: of the cluster: `auto`, the one that this machine is a node of, or host:port; None
            begins one on this machine alone, for as long as the shards take.
        attempts: how many actors may die of one shard, or as they start, on nodes that live on.

    Raises:
        MissingDependency: ray is not installed.
    """

    def __init__(self, address: str | None = None, attempts: int = ATTEMPTS) -> None:
        self._ray = _ray()
        self._address = address
        self._attempts = attempts

    def map(
        self, make_worker: Callable[[], Callable[[int], Result]], shards: Sequence[int]
    ) -> Generator[Result, None, None]:
        """Results in the order in which they come.

        Raises:
            WorkerError: there is no such cluster, or as many actors died of one shard as there are
                attempts.
        """
        with self._connected():
            crew = _Crew(self._ray, make_worker, self._attempts)
            try:
                yield from crew.make(shards)
            finally:
                crew.end()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        if self._ray.is_initialized():
            # The caller's own connection, or that of a test.
            yield
            return
        # Nothing is sent to anybody.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if self._address is not None:
            _refuse_silent(self._address)
        try:
            self._begin()
        # Ray raises no class of its own here, and ends the process of a driver that gave up.
        except (Exception, SystemExit) as error:
            self._ray.shutdown()
            raise _no_cluster(self._address, str(error).partition("\n")[0]) from error
        try:
            yield
        finally:
            self._ray.shutdown()

    def _begin(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            self._ray.init(address=self._address, **quiet)
            return
        # On the loopback address: whoever reaches a cluster may run anything there.
        self._ray.init(
            address="local", num_cpus=available_cores(), include_dashboard=False,
            _node_ip_address="127.0.0.1", **quiet,
        )  # fmt: skip


@dataclass(frozen=True)
class _Actor:
    """An actor as the run sees it."""

    handle: Any
    node: str | None = None
    """Where it is; None while it starts."""
    shard: int | None = None
    """What it is at; None while it starts."""


class _Crew:
    """Actors, each of which owes one answer, and the shards that wait for one."""

    def __init__(
        self, ray: Any, make_worker: Callable[[], Callable[[int], Any]], attempts: int
    ) -> None:
        self._ray = ray
        self._attempts = attempts
        self._make_worker = ray.put(make_worker)
        self._actor = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(_Body)
        errors = ray.exceptions
        self._gone = (
            errors.RayActorError, errors.ObjectLostError, errors.OutOfMemoryError,
            errors.WorkerCrashedError,
        )  # fmt: skip
        self._owed: dict[Any, _Actor] = {}
        self._waiting: collections.deque[int] = collections.deque()
        self._deaths: collections.Counter[int | None] = collections.Counter()

    def make(self, shards: Sequence[int]) -> Generator[Any, None, None]:
        """Results of all shards, in the order in which they come."""
        self._waiting.extend(shards)
        while self._waiting or self._owed:
            self._fit_to_cluster()
            if not self._owed:
                continue
            answered, _ = self._ray.wait(list(self._owed), num_returns=1, timeout=_PATIENCE)
            for answer in answered:
                actor = self._owed.pop(answer)
                try:
                    outcome = self._ray.get(answer)
                except self._gone:
                    self._count_death(actor)
                    continue
                if isinstance(outcome, BaseException):
                    self._ray.kill(actor.handle)
                    raise outcome
                self._give_next(actor, outcome)
                if actor.shard is not None:
                    yield outcome

    def end(self) -> None:
        """End what is under way."""
        for actor in self._owed.values():
            self._ray.kill(actor.handle)
        self._owed.clear()

    def _fit_to_cluster(self) -> None:
        """As many actors as there are processors and shards; those without either are ended."""
        starting = [answer for answer, actor in self._owed.items() if actor.node is None]
        processors = max(int(self._ray.cluster_resources().get("CPU", 0)), 1)
        wanted = min(processors - len(self._owed) + len(starting), len(self._waiting))
        for answer in starting[max(wanted, 0) :]:
            self._ray.kill(self._owed.pop(answer).handle)
        for _ in range(wanted - len(starting)):
            handle = self._actor.remote(self._make_worker)
            self._owed[handle.begin.remote()] = _Actor(handle)

    def _give_next(self, actor: _Actor, outcome: Any) -> None:
        node = actor.node
        if node is None:
            node = outcome
            self._deaths.pop(None, None)
        if not self._waiting:
            self._ray.kill(actor.handle)
            return
        shard = self._waiting.popleft()
        self._owed[actor.handle.make.remote(shard)] = _Actor(actor.handle, node, shard)

    def _count_death(self, actor: _Actor) -> None:
        self._ray.kill(actor.handle)
        if actor.shard is not None:
            self._waiting.appendleft(actor.shard)
        nodes = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if actor.node is not None and actor.node not in nodes:
            # A node that was taken away says nothing of the shard.
            return
        self._deaths[actor.shard] += 1
        if self._deaths[actor.shard] >= self._attempts:
            when = "as it started" if actor.shard is None else f"at shard {actor.shard}"
            times = "1 time" if self._attempts == 1 else f"{self._attempts} times"
            raise WorkerError(
                f"an actor of the cluster died {when}, {times} (as where a node is out of memory, "
                "or render-adapt is not installed there): what is finished is kept, and the same "
                "command continues the run",
                actor.shard,
            )


class _Body:
    """What an actor does; its errors travel as answers, with their tracebacks as notes."""

    def __init__(self, make_worker: Callable[[], Callable[[int], Any]]) -> None:
        self._make_worker = make_worker
        self._worker: Callable[[int], Any] | None = None

    def begin(self) -> Any:
        """The node that it is on, once it can work."""
        # What there is to tell, the run's own process tells, once.
        logging.getLogger("renderer").setLevel(logging.ERROR)
        try:
            self._worker = self._make_worker()
        except Exception as error:
            error.add_note(traceback.format_exc())
            return error
        return _ray().get_runtime_context().get_node_id()

    def make(self, shard: int) -> Any:
        """A shard's result."""
        assert self._worker is not None
        try:
            return self._worker(shard)
        except Exception as error:
            error.add_note(traceback.format_exc())
            return error


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingDependency("`executor` ray", "ray", "'render-adapt[cluster]'") from None
    return ray


def _refuse_silent(address: str) -> None:
    """Refuse an address where nobody listens, for which ray itself would wait for minutes.

    Raises:
        WrongValue: it is no address.
        WorkerError: nobody listens there.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise WrongValue("address", address, "auto or host:port, as `ray start --head` says it")
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(getattr(error, "strerror", None) or error)) from None


def _no_cluster(address: str | None, why: str) -> WorkerError:
    if address is None:
        return WorkerError(f"ray cannot begin a cluster here: {why}")
    return WorkerError(
        f"no cluster of ray answers at {address} ({why.rstrip('.')}): begin one with ray start "
        "--head, and give the `address` that it says"
    )
