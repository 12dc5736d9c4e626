"""What `RayExecutor` uses of Ray, in this process: actors on nodes that die when a test says so."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


class ActorGone(Exception):
    """An actor, or its node, died."""


class OutOfSight(Exception):
    """Never raised."""


@dataclass(eq=False)
class Actor:
    """An actor; `actor.make.remote(3)` asks for something, which is done when it is got."""

    body: Any
    node: str
    dead: bool = False

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: Answer(self, name, arguments))


@dataclass(eq=False)
class Answer:
    """What an actor owes."""

    actor: Actor
    name: str
    arguments: tuple[Any, ...]


class FakeRay:
    """A cluster of nodes with one processor each.

    Args:
        nodes: how many.
        before: called with what an actor is about to do; may kill it, or its node.
        seed: of the order in which answers come.
    """

    def __init__(
        self, nodes: int, before: Callable[[Answer], object] = lambda answer: None, seed: int = 0
    ) -> None:
        self.exceptions = SimpleNamespace(
            RayActorError=ActorGone, ObjectLostError=OutOfSight, OutOfMemoryError=OutOfSight,
            WorkerCrashedError=OutOfSight,
        )  # fmt: skip
        self.alive = [f"node-{number}" for number in range(nodes)]
        self.gone: list[str] = []
        self.before = before
        self.began: dict[str, Any] | None = None
        self.most_owed = 0
        self._random = random.Random(seed)
        self._here = ""
        self.actors: list[Actor] = []

    def kill_node(self, node: str) -> None:
        """A node goes, and another comes."""
        self.alive.remove(node)
        self.gone.append(node)
        self.alive.append(f"node-{len(self.alive) + len(self.gone)}")

    def is_initialized(self) -> bool:
        return self.began is not None

    def init(self, **settings: Any) -> None:
        self.began = settings

    def shutdown(self) -> None:
        self.began = None

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        assert options["max_restarts"] == 0
        return lambda kind: SimpleNamespace(remote=lambda *values: self._start(kind(*values)))

    def _start(self, body: Any) -> Actor:
        busy = {actor.node for actor in self.actors if not actor.dead}
        (node, *_) = [node for node in self.alive if node not in busy]
        self.actors.append(Actor(body, node))
        return self.actors[-1]

    def wait(
        self, answers: Sequence[Answer], num_returns: int, timeout: float
    ) -> tuple[list[Answer], list[Answer]]:
        assert num_returns == 1
        self.most_owed = max(self.most_owed, len(answers))
        first = self._random.choice(list(answers))
        return [first], [answer for answer in answers if answer is not first]

    def get(self, answer: Answer) -> Any:
        self.before(answer)
        if answer.actor.dead or answer.actor.node in self.gone:
            raise ActorGone
        self._here = answer.actor.node
        return getattr(answer.actor.body, answer.name)(*answer.arguments)

    def kill(self, actor: Actor) -> None:
        actor.dead = True

    def nodes(self) -> list[dict[str, Any]]:
        return [
            *({"NodeID": node, "Alive": True} for node in self.alive),
            *({"NodeID": node, "Alive": False} for node in self.gone),
        ]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(len(self.alive))}

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: self._here)
