"""Kill a run at random moments, again and again: does it end with the bytes of an undisturbed one?

    python -m benchmarks.kills --kills 200 --n 2000 --json benchmarks/results/kills.json

Each kill is a SIGKILL, in turn to the main process alone, to one worker (the run goes on with
another in its place), and to all processes while one of them is in the midst of a commit. A run
whose main process was killed is continued by the same command; one that ends is compared with the
undisturbed run, deleted and begun anew, until all kills are done. Last, pictures of the whole
dataset are damaged, and its repair is killed as it moves a shard into the place of another. Linux.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.main_job import descendants, read

KINDS = ("run", "worker", "commit")


@dataclass
class KillCounts:
    """What came of the kills."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    """By kind."""
    half_committed: int = 0
    """Kills that left a shard's files in their place, without the entry that makes them count."""
    not_whole: int = 0
    """Kills after which a shard that counts as finished was not the undisturbed run's."""
    endings: int = 0
    """Runs that came to their end, after any number of kills."""
    different: int = 0
    """Those of them whose bytes were not the undisturbed run's."""


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--repairs", type=int, default=20, help="kills of repairs")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = [
        "--objects", "ape,cat,duck", "--n", str(arguments.n), "--adapter", "none",
        "--workers", "2", "--format", "bop,bop-webdataset",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill(settings, Path(folder), arguments.kills, arguments.seed, print)
        kill_repairs(Path(folder) / "undisturbed", arguments.repairs, arguments.seed, outcome)
    report = {"n": arguments.n, "seed": arguments.seed, **vars(outcome)}
    print(json.dumps(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(bool(outcome.different or outcome.not_whole))


def kill(
    settings: list[str],
    folder: Path,
    kills: int,
    seed: int,
    say: Callable[[str], object] = lambda line: None,
) -> KillCounts:
    """Disturb runs of one command until there have been so many kills.

    Args:
        settings: the command's, without `--out`; two workers or more.
        folder: an empty one to work in.
        kills: how many.
        seed: of the moments and of which worker is killed.
        say: takes a line after each run that ended.
    """
    started = time.perf_counter()
    subprocess.run(command(settings, folder / "undisturbed"), check=True, capture_output=True)
    seconds = time.perf_counter() - started
    expected, out = hash_of(folder / "undisturbed"), folder / "killed"
    outcome, drawn = KillCounts(), random.Random(seed)
    while True:
        process = subprocess.Popen(
            command(settings, out), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        while outcome.kills.total() < kills:
            kind = KINDS[outcome.kills.total() % len(KINDS)]
            if not hit(process, kind, out, drawn, seconds):
                break
            outcome.kills[kind] += 1
            if kind != "worker":
                process.wait()
                outcome.half_committed += bool(half_committed(out))
                outcome.not_whole += not all_whole(out, folder / "undisturbed")
        errors = process.communicate()[1].decode()
        if process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"a run that was not killed failed: {errors}")
        if process.returncode == 0:
            outcome.endings += 1
            outcome.different += hash_of(out) != expected
            shutil.rmtree(out)
            say(f"{outcome}")
            if outcome.kills.total() >= kills:
                return outcome


def kill_repairs(dataset: Path, kills: int, seed: int, outcome: KillCounts) -> None:
    """Damage a picture, kill the repair among its moves or at any moment, and repair again.

    Args:
        dataset: a whole one, which is whole again after that.
        kills: how many.
        seed: of the pictures and of the moments.
        outcome: counts them, as `repair`.
    """
    expected, drawn = hash_of(dataset), random.Random(seed)
    repair = [sys.executable, "-m", "render_adapt", "verify", str(dataset), "--repair"]
    while outcome.kills["repair"] < kills:
        picture = drawn.choice(sorted(dataset.glob("train/*/rgb/*.png")))
        content = picture.read_bytes()
        picture.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        began = time.time_ns()
        moment = None if drawn.random() < 0.7 else time.monotonic() + drawn.uniform(3.0, 15.0)
        process = subprocess.Popen(
            repair, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not (
            commits(dataset, began) or (moment and time.monotonic() > moment)
        ):
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            outcome.kills["repair"] += 1
            outcome.not_whole += not all_kept(dataset)
        subprocess.run(repair, check=True, capture_output=True)
        outcome.endings += 1
        outcome.different += hash_of(dataset) != expected


def all_kept(dataset: Path) -> bool:
    """Whether all files of all shards are in their places, or in those that they are moved from."""
    for listing in [*dataset.glob("shards/*.sha256"), *dataset.glob(".whole-*/shards/*.sha256")]:
        whole = dataset / f".whole-{listing.stem}"
        for line in listing.read_text().splitlines():
            name = line.split("  ")[1]
            kind, _, within = name.partition("/")
            places = (dataset / name, whole / name, whole / f"before/{kind}-{within}")
            if not any(place.exists() for place in places):
                return False
    return True


def command(settings: list[str], out: Path) -> list[str]:
    """The run's command line."""
    return [sys.executable, "-m", "render_adapt", *settings, "--out", str(out)]


def hit(
    process: subprocess.Popen[bytes], kind: str, out: Path, drawn: random.Random, seconds: float
) -> bool:
    """Kill once at a random moment; False where the run came to its end before that."""
    # Workers take some seconds to start; most kills are to come after that, some before.
    moment, began = time.monotonic() + drawn.uniform(0.0, 0.4 * seconds), time.time_ns()
    while process.poll() is None:
        late = time.monotonic() >= moment
        if kind == "run" and late:
            process.kill()
            return True
        if kind == "worker" and late and (workers := workers_of(process.pid)):
            os.kill(drawn.choice(workers), signal.SIGKILL)
            return True
        if kind == "commit" and commits(out, began):
            os.killpg(process.pid, signal.SIGKILL)
            return True
        time.sleep(0.001 if kind == "commit" else 0.005)
    return False


def workers_of(pid: int) -> list[int]:
    """The worker processes of a run, without its helpers."""
    return [
        child for child in descendants(pid) if "spawn_main" in read(Path(f"/proc/{child}/cmdline"))
    ]


def commits(out: Path, began: int) -> bool:
    """Whether a shard is being moved to its place now; not one of before, in nanoseconds."""
    try:
        return any(whole.stat().st_ctime_ns > began for whole in out.glob(".whole-*"))
    except FileNotFoundError:
        # It has just been moved on.
        return True


def half_committed(out: Path) -> list[str]:
    """Shards of which something is in its place, but not the entry that makes it count."""
    try:
        names = {path.stem for path in out.glob("index/*.parquet")}
        names |= {path.name for path in out.glob("train/*")}
        return sorted(names - {path.stem for path in out.glob("shards/*.json")})
    except FileNotFoundError:
        return []


def all_whole(out: Path, undisturbed: Path) -> bool:
    """Whether every shard that counts as finished is, to the byte."""
    names = []
    for entry in out.glob("shards/*.json"):
        listed = entry.with_suffix(".sha256").read_text().splitlines()
        names += [f"shards/{entry.name}", *(line.split("  ")[1] for line in listed)]
    return all((out / name).read_bytes() == (undisturbed / name).read_bytes() for name in names)


def hash_of(folder: Path) -> str:
    """Of the names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
