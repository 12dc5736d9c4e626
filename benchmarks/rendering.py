"""Crops per second of our rasteriser and of other renderers, in one run.

    pip install -e '.[pyrender]' moderngl embreex
    python -m benchmarks.rendering --json benchmarks/results/rendering.json

All render the same poses of the same mesh at 64x64: colour and depth, ours with all labels too.
Systems take turns, several times; figures are medians over turns and ratios are of these. "2" is
two processes side by side, as `render-adapt --workers 2` has them. Whoever cannot run here is left
out, with the reason: Blender is found as `make blender` and RENDER_ADAPT_BLENDER_PYTHON have it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import render_peers as peers
from cad_models import CadModel, load_models
from renderer import PlanConfig, Plans, make_plans

FACES = (1_000, 10_000, 50_000, 200_000)
POSES = 256
"""Different ones; a turn goes through them as often as its length asks."""
_PYRENDER = "pyrender, as called"
_PYRENDER_BEST = "pyrender, no multisampling"
_OURS = "raster"


@dataclass(frozen=True)
class Contender:
    """A renderer, and how many of it run at once."""

    name: str
    make: Callable[[CadModel, int], peers.Peer]
    processes: int = 1
    most_faces: int = 200_000
    """Above these it would take the whole run's time."""


CONTENDERS = (
    Contender(_OURS, peers.Raster),
    Contender("raster, every face", partial(peers.Raster, levels=False)),
    Contender(_PYRENDER, peers.Pyrender),
    Contender(_PYRENDER_BEST, partial(peers.Pyrender, multisampling=False)),
    Contender("moderngl atlas", peers.ModernglAtlas),
    Contender("embree, no shading", peers.Embree),
    Contender("blender (Cycles)", peers.Blender, most_faces=10_000),
    Contender(f"{_OURS}, 2", peers.Raster, processes=2),
    Contender(f"{_OURS}, 2 threads", partial(peers.Raster, threads=2)),
    Contender(f"{_PYRENDER}, 2", peers.Pyrender, processes=2),
    Contender(f"{_PYRENDER_BEST}, 2", partial(peers.Pyrender, multisampling=False), processes=2),
    Contender("moderngl atlas, 2", peers.ModernglAtlas, processes=2),
    Contender("embree, no shading, 2", peers.Embree, processes=2),
)
TARGETS = {f"{_PYRENDER}, 2": 50.0, f"{_PYRENDER_BEST}, 2": 10.0, "moderngl atlas, 2": 5.0}
"""How many times as fast ours is to be on two cores at 10,000 faces."""


def main() -> None:
    """Measure and print everything that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--faces", type=int, nargs="+", default=FACES)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contender's turn")
    parser.add_argument("--only", default="", help="contenders whose name has this in it")
    parser.add_argument("--growth", action="store_true", help="with the number of crops and pixels")
    arguments = parser.parse_args()
    contenders = [contender for contender in CONTENDERS if arguments.only in contender.name]
    report: dict[str, Any] = {
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "crops/s": {},
        "left out": {},
    }
    for faces in arguments.faces:
        rates, left_out = compare(contenders, faces, arguments.turns, arguments.seconds)
        report["crops/s"][faces] = rates
        report["left out"] |= left_out
        _print(faces, rates)
    for name, reason in report["left out"].items():
        print(f"left out: {name}: {reason}")
    if arguments.growth:
        report["growth with crops"] = growth_with_crops((100, 1_000, 10_000, 100_000))
        report["growth with pixels"] = growth_with_pixels((32, 64, 128, 256))
        print(json.dumps({key: report[key] for key in ("growth with crops", "growth with pixels")}))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def compare(
    contenders: Sequence[Contender], faces: int, turns: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Crops/s of each contender in each turn, and why some have none."""
    rates: dict[str, list[float]] = {}
    left_out = {}
    with _crews(
        [contender for contender in contenders if faces <= contender.most_faces], faces
    ) as crews:
        for name, crew in list(crews.items()):
            if crew.problem:
                left_out[name] = crew.problem
                del crews[name]
        counts = {name: crew.crops_in(seconds) for name, crew in crews.items()}
        for _ in range(turns):
            for name, crew in crews.items():
                rates.setdefault(name, []).append(crew.rate(counts[name]))
    return rates, left_out


class Crew:
    """The processes of one contender, waiting for their turn."""

    def __init__(self, contender: Contender, faces: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(contender.processes):
            our_end, worker_end = context.Pipe()
            process = context.Process(
                target=_work, args=(contender.make, faces, worker_end), daemon=True
            )
            process.start()
            worker_end.close()
            self._pipes.append(our_end)
            self._processes.append(process)
        self.problem = next(filter(None, [self._answer(pipe) for pipe in self._pipes]), None)

    @staticmethod
    def _answer(pipe: Connection) -> Any:
        try:
            return pipe.recv()
        except EOFError:
            return "its process died"

    def rate(self, count: int) -> float:
        """Crops/s of all processes together, `count` crops each."""
        started = time.perf_counter()
        for pipe in self._pipes:
            pipe.send(count)
        for pipe in self._pipes:
            pipe.recv()
        return count * len(self._pipes) / (time.perf_counter() - started)

    def crops_in(self, seconds: float) -> int:
        """How many crops a process makes in a turn; warms up as well."""
        self.rate(16)
        per_process = self.rate(64) / len(self._pipes)
        return max(16, round(seconds * per_process))

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(10)
            process.kill()


@contextmanager
def _crews(contenders: Sequence[Contender], faces: int) -> Iterator[dict[str, Crew]]:
    crews = {contender.name: Crew(contender, faces) for contender in contenders}
    everybody = list(crews.values())
    try:
        yield crews
    finally:
        for crew in everybody:
            crew.close()


def _work(make: Callable[[CadModel, int], peers.Peer], faces: int, pipe: Connection) -> None:
    model = bumpy_ball(faces)
    plans = poses(model)
    try:
        peer = make(model, plans.size)
        covered = (peer.render(plans[:16]) > 0).mean()
    except Exception as error:  # a machine that lacks something is told, the others go on
        pipe.send(f"{type(error).__name__}: {error}")
        return
    # A renderer that draws nothing is a fast one.
    pipe.send(None if 0.2 < covered < 0.6 else f"it shows an object in {covered:.0%} of the pixels")
    while True:
        try:
            count = pipe.recv()
        except EOFError:
            return
        for first in range(0, count, POSES):
            peer.render(plans[: min(POSES, count - first)])
        pipe.send(None)


def poses(model: CadModel, count: int = POSES, size: int = 64) -> Plans:
    """Views of one object as the main job draws them."""
    return make_plans(PlanConfig(size=size), [model], 0, 0, count)


def bumpy_ball(faces: int) -> CadModel:
    """A closed, coloured mesh of about so many faces, 130 mm across; its bumps hide one another."""
    rings = max(4, round(np.sqrt(faces / 4)))
    around = 2 * rings
    latitude, longitude = np.meshgrid(
        np.pi * np.arange(1, rings) / rings, 2 * np.pi * np.arange(around) / around, indexing="ij"
    )
    towards = np.stack(
        [np.sin(latitude) * np.cos(longitude), np.sin(latitude) * np.sin(longitude),
         np.cos(latitude)], axis=-1,
    ).reshape(-1, 3)  # fmt: skip
    towards = np.concatenate([towards, [[0, 0, 1], [0, 0, -1]]])
    waves = np.sin(5 * towards[:, 0]) * np.sin(4 * towards[:, 1]) * np.sin(6 * towards[:, 2] + 1)
    vertices = (55 + 20 * waves)[:, None] * towards
    ring, place = np.divmod(np.arange((rings - 2) * around), around)
    vertex, right_vertex = ring * around + place, ring * around + (place + 1) % around
    sides = np.concatenate(
        [
            np.stack([vertex, vertex + around, right_vertex], 1),
            np.stack([right_vertex, vertex + around, right_vertex + around], 1),
        ]
    )
    edge = np.arange(around)
    north, south = len(vertices) - 2, len(vertices) - 1
    last = (rings - 2) * around
    caps = np.concatenate(
        [np.stack([np.full(around, north), edge, (edge + 1) % around], 1),
         np.stack([np.full(around, south), last + (edge + 1) % around, last + edge], 1)]
    )  # fmt: skip
    triangles = np.concatenate([sides, caps]).astype(np.int32)
    return _as_model(vertices, triangles, (127.5 * (1 + towards)).astype(np.uint8))


def _as_model(vertices: Any, faces: Any, colors: Any) -> CadModel:
    """Through a file and the loader, as a user's mesh comes."""
    import tempfile

    import trimesh

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ball.ply"
        trimesh.Trimesh(vertices, faces, vertex_colors=colors, process=False).export(path)
        return load_models([f"ball={path}"])[0]


def growth_with_crops(counts: Sequence[int]) -> dict[str, float]:
    """Crops/s of ours, two threads, 10,000 faces, by the number of crops."""
    model = bumpy_ball(10_000)
    peer = peers.Raster(model, 64, threads=2)
    plans = poses(model)
    peer.render(plans)
    rates = {}
    for count in counts:
        started = time.perf_counter()
        for first in range(0, count, POSES):
            peer.render(plans[: min(POSES, count - first)])
        rates[str(count)] = count / (time.perf_counter() - started)
    return rates


def growth_with_pixels(sizes: Sequence[int], count: int = POSES) -> dict[str, float]:
    """Crops/s of ours, two threads, 10,000 faces, by the side of a crop."""
    model = bumpy_ball(10_000)
    rates = {}
    for size in sizes:
        peer = peers.Raster(model, size, threads=2)
        plans = poses(model, count, size)
        peer.render(plans)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            peer.render(plans)
            times.append(time.perf_counter() - started)
        rates[str(size)] = count / statistics.median(times)
    return rates


def _print(faces: int, rates: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"\n{faces:,} faces")
    for name, rate in medians.items():
        our_rate = medians.get(f"{_OURS}, 2" if name.endswith(", 2") else _OURS)
        ratio = (
            f"ours is {our_rate / rate:6.1f} times as fast"
            if our_rate and "raster" not in name
            else ""
        )
        target = f" (target {TARGETS[name]:g})" if faces == 10_000 and name in TARGETS else ""
        print(f"  {name:34s} {rate:9.0f} crops/s  {ratio}{target}", flush=True)


if __name__ == "__main__":
    main()
