"""Steps run, beside each other where they may, each for so long and no longer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.gpu.pieces import Piece, Step

ROOT = Path(__file__).resolve().parents[2]
SUCCEEDED = "succeeded"
LEAST_SECONDS = 10.0
"""With less left no step is begun."""
GRACE_SECONDS = 5.0
"""Between asking a step to end and ending it."""
REHEARSAL_SLOWER = 5
"""How much longer than a GPU's a rehearsal on a few cores may take."""
_LOOK_EVERY = 0.05
_SHOWN_LINES = 25


@dataclass(frozen=True)
class Place:
    """Where steps read and write, and on what they run."""

    data: Path
    work: Path
    rehearsal: bool = False
    path: tuple[Path, ...] = ()
    """Folders of packages beside this Python's own."""

    @property
    def figures(self) -> Path:
        """Where steps write what they have measured."""
        return self.work / "figures"

    @property
    def logs(self) -> Path:
        """What steps have said."""
        return self.work / "logs"


@dataclass
class Report:
    """What is known so far, written anew whenever a step has ended."""

    about: Mapping[str, Any]
    """Hardware, date, commit and the like."""
    files: Sequence[Path]
    place: Place
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self) -> None:
        """Write all figures that there are into one JSON."""
        figures = {
            file.stem: json.loads(file.read_text())
            for file in sorted(self.place.figures.glob("*.json"))
        }
        text = json.dumps({**self.about, "steps": self.steps, "figures": figures}, indent=1)
        for file in self.files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")


@dataclass
class _Running:
    step: Step
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started: float
    end: float
    """When it is stopped."""
    stopped: bool = False


def run_piece(piece: Piece, place: Place, seconds: float, report: Report) -> list[str]:
    """Run a piece's open steps until they or the time are over.

    Args:
        piece: whose steps.
        place: where.
        seconds: how long.
        report: is told how steps ended.

    Returns:
        The steps that are not done: failed, stopped, or not begun.
    """
    deadline = time.monotonic() + seconds
    done = _read_done(place) | {
        s.name for s in piece.steps if s.finished and s.finished(place.work)
    }
    waiting = [
        s for s in piece.steps if s.name not in done and not (place.rehearsal and s.needs_gpu)
    ]
    unfinished: list[str] = []
    running: list[_Running] = []
    try:
        while waiting or running:
            for step in _next(waiting, running, done, piece.at_once):
                waiting.remove(step)
                left = deadline - time.monotonic()
                if left < LEAST_SECONDS:
                    _tell(report, step, "not begun: the time was up", 0.0)
                    unfinished.append(step.name)
                    continue
                running.append(_start(step, place, left))
            lost = [step for step in waiting if set(step.after) & set(unfinished)]
            for step in lost:
                waiting.remove(step)
                _tell(report, step, f"not begun: it needs {', '.join(step.after)}", 0.0)
                unfinished.append(step.name)
            for one in _ended(running):
                running.remove(one)
                if _close(one, place, report):
                    done.add(one.step.name)
                    _write_done(place, done)
                else:
                    unfinished.append(one.step.name)
            time.sleep(_LOOK_EVERY)
    finally:
        for one in running:
            _signal(one, signal.SIGKILL)
    return unfinished


def _next(
    waiting: Sequence[Step], running: Sequence[_Running], done: set[str], at_once: int
) -> list[Step]:
    """The steps to begin: at most one, since each changes what may run beside it."""
    if len(running) >= at_once or any(one.step.alone for one in running):
        return []
    for step in waiting:
        if set(step.after) <= done:
            return [] if step.alone and running else [step]
    return []


def _start(step: Step, place: Place, left: float) -> _Running:
    seconds = min(60 * step.minutes * (REHEARSAL_SLOWER if place.rehearsal else 1), left)
    for folder in (place.figures, place.logs):
        folder.mkdir(parents=True, exist_ok=True)
    log = (place.logs / f"{step.name.replace(' ', '_')}.log").open("wb")
    # Where packages were brought along they come after the checkout, and before this Python's own.
    path = os.pathsep.join(map(str, (ROOT, *place.path)))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    arguments = arguments_of(step, place, seconds)
    print(f"  {step.name}: python {' '.join(arguments)}", flush=True)
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, process_group=0,
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    now = time.monotonic()
    return _Running(step, process, log, now, now + seconds)


def arguments_of(step: Step, place: Place, seconds: float) -> list[str]:
    """What Python is given; a step that watches its own time has a tenth of it left for saving."""
    values = {
        "data": place.data, "work": place.work, "figures": place.figures,
        "device": "cpu" if place.rehearsal else "cuda",
        "minutes": f"{0.9 * seconds / 60:.2f}",
        **{name: size[place.rehearsal] for name, size in step.sizes.items()},
    }  # fmt: skip
    return [argument.format(**values) for argument in step.arguments]


def _ended(running: Sequence[_Running]) -> list[_Running]:
    """Those that are over; those whose time is up are told to end."""
    now = time.monotonic()
    for one in running:
        if now > one.end + GRACE_SECONDS:
            _signal(one, signal.SIGKILL)
        elif now > one.end and not one.stopped:
            one.stopped = True
            _signal(one, signal.SIGTERM)
    return [one for one in running if one.process.poll() is not None]


def _signal(one: _Running, number: signal.Signals) -> None:
    """To a step and all that it has started."""
    try:
        os.killpg(one.process.pid, number)
    except ProcessLookupError:
        one.process.wait()


def _close(one: _Running, place: Place, report: Report) -> bool:
    """Whether a step that is over is done."""
    one.log.close()
    _signal(one, signal.SIGKILL)  # what it has left running
    step, code = one.step, one.process.returncode
    status = f"failed with exit code {code}" if code else SUCCEEDED
    if one.stopped:
        status = "stopped at the end of its time"
    elif not code and step.finished and not step.finished(place.work):
        status = "not finished; the same command goes on"
    _tell(report, step, status, time.monotonic() - one.started, Path(one.log.name))
    return status == SUCCEEDED


def _tell(report: Report, step: Step, status: str, seconds: float, log: Path | None = None) -> None:
    lines = log.read_text(errors="replace").splitlines() if log else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    report.steps[step.name] = {"status": status, "seconds": round(seconds, 1), "last line": last}
    report.write()
    print(f"  {step.name}: {status}, {seconds:.0f} s", flush=True)
    for line in lines[-_SHOWN_LINES:]:
        print(f"    {line}", flush=True)


def _done_file(place: Place) -> Path:
    return place.work / "done.json"


def _read_done(place: Place) -> set[str]:
    file = _done_file(place)
    return set(json.loads(file.read_text())) if file.is_file() else set()


def _write_done(place: Place, done: set[str]) -> None:
    place.work.mkdir(parents=True, exist_ok=True)
    _done_file(place).write_text(json.dumps(sorted(done)))
