"""Shards made in a cluster of Ray, with actors and nodes that die.

The cluster is a fake one in most tests, which takes no time to start.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from benchmarks.main_job import descendants, read
from checked_settings import MissingDependency, WrongValue
from render_adapt import (
    DatasetError,
    RayExecutor,
    RunConfig,
    SettingError,
    WorkerError,
    generate,
)
from render_adapt._runs.description import describe_run
from render_adapt._runs.run_folder import RunFolder
from render_adapt._runs.shards import ShardMaker
from render_adapt._runs.studio import Studio
from tests.fake_ray import Answer, FakeRay
from tests.test_dataset import tree_hash

CONFIG = RunConfig(objects=("ape", "duck"), n=260, seed=7, adapter="none", workers=1)
KILLS = 20
Result = TypeVar("Result")
NODES = 2
LOOPBACK = "127.0.0.2"
"""Ray takes 127.0.0.1 for the machine's address in the network, where no node listens."""


def square_or_die(shard: int, log: Path, lives: int) -> int:
    """At shard 5, ends its process so many times; says in `log` who was there."""
    if shard == 5:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(log.read_text().splitlines()) <= lives:
            os.kill(os.getpid(), signal.SIGKILL)
    if shard == 7:
        raise LookupError("shard seven")
    return shard**2


def maker(log: Path, lives: int) -> Callable[[int], int]:
    return functools.partial(square_or_die, log=log, lives=lives)


@contextlib.contextmanager
def environment_of_nodes() -> Iterator[None]:
    """What processes that ray starts need to find this file, and to start on a busy machine."""
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.getenv("PYTHONPATH")])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_enable_worker_prestart", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@contextlib.contextmanager
def ray_started(**settings: Any) -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="needs ray, of the cluster extra")
    with environment_of_nodes():
        ray.init(
            address="local", log_to_driver=False, include_dashboard=False,
            _node_ip_address="127.0.0.1", **settings,
        )  # fmt: skip
        try:
            yield ray
        finally:
            ray.shutdown()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRay]:
    def begin(nodes: int, before: Callable[[Answer], object] = lambda answer: None) -> FakeRay:
        ray = FakeRay(nodes, before)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    return begin


def test_every_shard_is_made_once_however_many_nodes_go(
    fake: Callable[..., FakeRay], tmp_path: Path
) -> None:
    kills = 20

    def lose_nodes(answer: Answer) -> None:
        nonlocal kills
        if answer.name == "make" and kills:
            kills -= 1
            ray.kill_node(answer.actor.node)

    ray = fake(3, lose_nodes)
    made = list(RayExecutor[int]().map(functools.partial(maker, tmp_path / "log", 0), range(5)))
    assert sorted(made) == [shard**2 for shard in range(5)]
    assert len(ray.gone) == 20
    assert ray.most_owed == 3, "one shard an actor"
    assert all(actor.dead for actor in ray.actors), "none is left behind"
    assert ray.began is None, "nor is the cluster"


@pytest.mark.parametrize("task", ["begin", "make"])
def test_a_shard_that_ends_every_actor_is_reported(
    fake: Callable[..., FakeRay], tmp_path: Path, task: str
) -> None:
    def die(answer: Answer) -> None:
        answer.actor.dead |= answer.name == task

    fake(1, die)
    with pytest.raises(WorkerError, match=r"died (as it started|at shard 2), 3 times") as caught:
        list(RayExecutor[int]().map(functools.partial(maker, tmp_path / "log", 0), [2, 3]))
    assert caught.value.shard == (2 if task == "make" else None)


def test_an_actors_error_reaches_the_caller(fake: Callable[..., FakeRay], tmp_path: Path) -> None:
    ray = fake(2)
    with pytest.raises(LookupError, match="shard seven") as caught:
        list(RayExecutor[int]().map(functools.partial(maker, tmp_path / "log", 0), [7]))
    assert "in square_or_die\n    raise LookupError" in caught.value.__notes__[0]
    assert all(actor.dead for actor in ray.actors)


def test_shards_that_are_sent_have_the_bytes_of_one_process(
    fake: Callable[..., FakeRay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render_adapt._config.SHARD_SIZE", 4)
    config = dataclasses.replace(CONFIG, n=10, format=("bop", "bop-webdataset"))
    generate(dataclasses.replace(config, out=tmp_path / "alone"))

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    run = dataclasses.replace(config, out=tmp_path / "ray", executor="ray")
    fake(1)
    with pytest.raises(KeyboardInterrupt):
        generate(run, interrupt)
    assert generate(run).crops_made == 6
    assert tree_hash(tmp_path / "ray") == tree_hash(tmp_path / "alone")


def test_a_cluster_that_cannot_begin(
    fake: Callable[..., FakeRay], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray = fake(1)

    def refuse(**settings: Any) -> None:
        raise Exception("The current node timed out.\nMore.")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(WorkerError) as caught:
        list(RayExecutor[int]().map(functools.partial(maker, tmp_path / "log", 0), [1]))
    assert str(caught.value) == "ray cannot begin a cluster here: The current node timed out."


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_a_cluster_of_one_node(tmp_path: Path) -> None:
    """Every shard is made once; actors that die are replaced, errors arrive, bytes are the same."""
    with ray_started(num_cpus=2, object_store_memory=10**8):
        make = functools.partial(maker, tmp_path / "one", 1)
        results = list(RayExecutor[int](attempts=2).map(make, range(7)))
        assert sorted(results) == [shard**2 for shard in range(7)]
        assert len(set((tmp_path / "one").read_text().split())) == 2
        make = functools.partial(maker, tmp_path / "all", 100)
        with pytest.raises(WorkerError, match=r"died at shard 5, 1 time \(as where") as caught:
            list(RayExecutor[int](attempts=1).map(make, [5]))
        assert caught.value.shard == 5
        with pytest.raises(LookupError, match="shard seven") as error:
            list(RayExecutor[int]().map(functools.partial(maker, tmp_path / "none", 0), [7]))
        assert "in square_or_die\n    raise LookupError" in error.value.__notes__[0]
        generate(dataclasses.replace(CONFIG, out=tmp_path / "alone"))
        summary = generate(dataclasses.replace(CONFIG, out=tmp_path / "ray", executor="ray"))
        assert summary.crops_made == CONFIG.n
        assert tree_hash(tmp_path / "ray") == tree_hash(tmp_path / "alone")


def test_a_machine_with_other_libraries_is_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, out=tmp_path)
    run = describe_run(Studio(config))
    ShardMaker(config, run, RunFolder(tmp_path))
    run["versions"] |= {"numpy": "1.0"}
    with pytest.raises(DatasetError, match=r" has numpy \S+, not 1\.0 as where the run began"):
        ShardMaker(config, run, RunFolder(tmp_path))


class Patient(RayExecutor[Result]):
    """As many actors may die of one shard as are killed here, which chance may have at one."""

    def __init__(self, address: str | None = None) -> None:
        super().__init__(address, attempts=KILLS + 1)


class Killer:
    """Kills an actor and a node of a cluster by turns, at moments that are drawn.

    Args:
        cluster: it keeps one node at least.
        add_node: adds another one, in the main thread, where alone ray starts nodes.
        seed: of what dies, and when.
    """

    LONGEST = 3.0
    """Seconds from one kill to the next, at most; a shard takes about one."""

    def __init__(self, cluster: Any, add_node: Callable[[int], None], seed: int) -> None:
        self.kills = collections.Counter[str]()
        self._cluster, self._add_node = cluster, add_node
        self._random, self._lock = random.Random(seed), threading.Lock()

    @contextlib.contextmanager
    def at_work(self, kills: int) -> Iterator[None]:
        """Within it they die, until so many have died since this was made."""
        end, errors = threading.Event(), list[BaseException]()

        def work() -> None:
            try:
                while self.kills.total() < kills:
                    if end.wait(self._random.uniform(0.0, self.LONGEST)):
                        return
                    self._kill(("actor", "node")[self.kills.total() % 2])
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
        assert errors == []

    def _kill(self, kind: str) -> None:
        """One of a kind, where there is one to spare."""
        with self._lock:
            if kind == "actor":
                actors = actors_of_this_process()
                if actors:
                    os.kill(self._random.choice(actors), signal.SIGKILL)
                    self.kills[kind] += 1
            elif len(self._cluster.worker_nodes) > 1:
                node = self._random.choice(sorted(self._cluster.worker_nodes, key=id))
                self._cluster.remove_node(node, allow_graceful=False)
                self.kills[kind] += 1

    def make_up_for_nodes(self, done: int, total: int) -> None:
        """As many nodes as there were; called as crops are done."""
        with self._lock:
            while len(self._cluster.worker_nodes) < NODES:
                self._add_node(1)


def actors_of_this_process() -> list[int]:
    """Processes of actors in clusters that this one began."""
    found = descendants(os.getpid())
    return [pid for pid in found if read(Path(f"/proc/{pid}/cmdline")).startswith("ray::_Body")]


@pytest.mark.skipif(sys.platform != "linux", reason="finds actors in /proc, and kills them")
@pytest.mark.parametrize(
    ("kills", "shards"),
    [
        pytest.param(2, 3, marks=pytest.mark.several_seconds),
        pytest.param(KILLS, 24, marks=pytest.mark.slow),
    ],
)
def test_nodes_and_actors_that_are_killed_change_nothing(
    kills: int, shards: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment, of the run's and their own; runs are made until all kills are done."""
    monkeypatch.setattr("render_adapt._runs.pipeline.RayExecutor", Patient)
    many = dataclasses.replace(CONFIG, n=250 * shards)
    with cluster_started() as (cluster, add_node, ray):
        ray.init(address=cluster.address, log_to_driver=False, _node_ip_address=LOOPBACK)
        generate(dataclasses.replace(many, out=tmp_path / "alone"))
        killer, runs = Killer(cluster, add_node, seed=0), 0
        while runs == 0 or killer.kills.total() < kills:
            runs += 1
            run = dataclasses.replace(many, out=tmp_path / f"run-{runs}", executor="ray")
            with killer.at_work(kills):
                generate(run, killer.make_up_for_nodes)
            assert tree_hash(tmp_path / f"run-{runs}") == tree_hash(tmp_path / "alone")
        assert killer.kills == {"actor": kills // 2, "node": kills // 2}


class SlowClock:
    """Time for ray, which gives a node half a minute to start: too little on a busy machine.

    Args:
        clock: the function that runs a tenth as fast.
    """

    def __init__(self, clock: str) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        called = getattr(time, name)
        return (lambda: called() / 10) if name == self._clock else called


@contextlib.contextmanager
def cluster_started() -> Iterator[tuple[Any, Callable[..., Any], Any]]:
    """A head, which makes nothing, and `NODES` nodes; what adds another; ray itself."""
    ray = pytest.importorskip("ray", reason="needs ray, of the cluster extra")
    from ray.cluster_utils import Cluster

    with environment_of_nodes(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray._private.node.time", SlowClock("monotonic"))
        patch.setattr("ray.cluster_utils.time", SlowClock("time"))
        cluster = Cluster()

        def add_node(processors: int) -> None:
            cluster.add_node(
                num_cpus=processors, include_dashboard=False, object_store_memory=10**8,
                node_ip_address=LOOPBACK,
            )  # fmt: skip

        try:
            add_node(0)
            for _ in range(NODES):
                add_node(1)
            yield cluster, add_node, ray
        finally:
            ray.shutdown()
            cluster.shutdown()


def test_clusters_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs ray, of the cluster extra")
    run = functools.partial(dataclasses.replace, CONFIG, out=tmp_path / "run", executor="ray")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(WorkerError) as caught:
            generate(run(address=address))
    assert str(caught.value) == (
        f"no cluster of ray answers at {address} (Connection refused): begin one with ray start "
        "--head, and give the `address` that it says"
    )
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for wrong in ("nonsense", "ray://127.0.0.1:10001", "127.0.0.1:x"):
        with pytest.raises(WrongValue, match="must be auto or host:port, as `ray start"):
            generate(run(address=wrong))
    with pytest.raises(SettingError, match="`address` is a cluster's: give `executor` ray too"):
        dataclasses.replace(CONFIG, address="auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency) as missing:
        generate(run())
    assert str(missing.value) == (
        "`executor` ray needs ray; install with: pip install 'render-adapt[cluster]'"
    )
    assert not list((tmp_path / "run").glob("shards/*"))
