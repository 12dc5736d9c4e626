"""What is worth half an hour of one GPU, most valuable first, in pieces of under ten minutes.

    python -m benchmarks.gpu                                    # every piece, on your own GPU
    python -m benchmarks.gpu --piece 2 --minutes 9 --state before --out after
    python -m benchmarks.gpu --unpack after                     # results of another machine, here
    python -m benchmarks.gpu --bundle build/data --piece 2      # the data that a piece needs

A piece that is not finished in its minutes is continued by the same command; one that is goes on to
the next. Trainings are kept in build/gpu, tables in benchmarks/results/paper. For machines that are
lent for minutes, --out packs both into files of at most 15 MiB, 60 MiB in all, and --state takes
them up again; a training that does not fit is named and must be finished where it was begun.

The machine needs no network, but: a checkout, Python 3.11 or later, torch with CUDA (try
`python -c 'import torch; print(torch.cuda.is_available())'`) and what pyproject.toml lists under
dependencies, test and paper. Where packages are missing, fetch them elsewhere and carry the folder:

    pip download --no-deps --only-binary=:all: -d wheels NAME ...
    pip install --no-index --no-deps wheels/*.whl
    pip install --no-index --no-deps --no-build-isolation -e .
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build/gpu"
RESULTS = ROOT / "benchmarks/results/paper"
MIB = 1 << 20
PART_BYTES = 15 * MIB
PACK_BYTES = 60 * MIB
LEAST_MINUTES = 0.5
"""With less left no command is begun."""
NEEDED = ("torch", "safetensors", "numpy", "cv2", "onnx", "onnxruntime", "trimesh", "numba")
NEEDED_TOO = (
    "arro3",
    "pyarrow",
    "scipy",
    "rich",
    "cyclopts",
    "fast_simplification",
    "h5py",
    "sklearn",
    "pytest",
    "hypothesis",
)
LINEMOD_STEPS = 50_000
"""A training that ends within one piece: LineMod's checkpoints, 111 MiB, are too large to pack."""
OBJECTS = {"ape": 1, "benchvise": 2, "cam": 4, "cat": 6, "duck": 9}
_MNIST_M = ("digits/mnist/*", "bsds500/train/*")
_LINEMOD = (
    "linemod/camera.json",
    "linemod/crops/**/*",
    "linemod/frames/dpod/*/gt.yml",
    "linemod/models/models_info*",
    *(f"linemod/models/obj_{number:06}.ply" for number in OBJECTS.values()),
)


@dataclass(frozen=True)
class Folders:
    """Where a piece reads and writes."""

    data: Path
    work: Path = WORK
    results: Path = RESULTS


@dataclass(frozen=True)
class PieceCommand:
    """One command of a piece."""

    name: str
    arguments: Callable[[Folders, float], Sequence[str]]
    """What to give Python, for so many minutes."""
    finished: Callable[[Folders], bool] | None = None
    """Whether it is done, where that takes several calls; None: when it has once succeeded."""


@dataclass(frozen=True)
class Piece:
    """Commands that belong together."""

    title: str
    data: tuple[str, ...]
    """The files that it needs, as patterns below the data folder."""
    commands: tuple[PieceCommand, ...]


def reproduce(
    table: str, only: str = "", seeds: int = 1, jobs: int = 1, steps: int = 0
) -> PieceCommand:
    """`render-adapt reproduce TABLE --preset full`."""

    def arguments(folders: Folders, minutes: float) -> list[str]:
        return [
            *("-m", "render_adapt", "reproduce", table, "--preset", "full", "--device", "cuda"),
            *("--seeds", str(seeds), "--jobs", str(jobs), "--max-minutes", f"{minutes:.2f}"),
            *("--data", str(folders.data), "--work", str(folders.work / "paper")),
            *("--out", str(folders.results)),
            *(("--only", only) if only else ()),
            *(("--steps", str(steps)) if steps else ()),
        ]

    def finished(folders: Folders) -> bool:
        file = folders.results / f"{table}-full.json"
        rows = json.loads(file.read_text())["rows"] if file.is_file() else []
        asked_rows = [row for row in rows if only in f"{row['scenario']}/{row['system']}-"]
        # A training that failed would fail again.
        return bool(asked_rows) and not any(row["open"] for row in asked_rows)

    return PieceCommand(f"{table} {only or 'all systems'}, {seeds} seeds", arguments, finished)


def timing(folders: Folders, minutes: float) -> list[str]:
    """`render-adapt reproduce timing`."""
    return [
        *("-m", "render_adapt", "reproduce", "timing", "--preset", "full", "--device", "cuda"),
        *("--max-minutes", f"{minutes:.2f}", "--data", str(folders.data)),
        *("--work", str(folders.work / "paper"), "--out", str(folders.results)),
    ]


def rendering(folders: Folders, minutes: float) -> list[str]:
    """Crops/s of the GPU's rasteriser."""
    out = str(folders.results / "cuda-rendering-full.json")
    return ["-m", "benchmarks.cuda_rendering", "--json", out]


def linemod_target(folders: Folders, minutes: float) -> list[str]:
    """The crops that the LineMod adapters learn to look like."""
    out = str(folders.work / "linemod_target")
    return ["-m", "benchmarks.linemod_target", "--data", str(folders.data), "--out", out]


def adapter(preset: str, steps: int = LINEMOD_STEPS) -> PieceCommand:
    """An adapter for LineMod's objects with one of the paper's presets."""

    def folder(folders: Folders) -> Path:
        return folders.work / "adapters" / preset

    def arguments(folders: Folders, minutes: float) -> list[str]:
        return [
            *("-m", "render_adapt", "train", "--preset", preset, "--objects", ",".join(OBJECTS)),
            *("--models", str(folders.data / "linemod/models")),
            *("--target", str(folders.work / "linemod_target"), "--out", str(folder(folders))),
            *("--device", "cuda", "--precision", "bf16", "--checkpoint-every", "5000"),
            *("--steps", str(steps), "--max-minutes", f"{minutes:.2f}"),
        ]

    def finished(folders: Folders) -> bool:
        file = folder(folders) / "adapter.json"
        return file.is_file() and json.loads(file.read_text())["steps"] >= steps

    return PieceCommand(f"adapter {preset}", arguments, finished)


PIECES = (
    Piece(
        "CUDA tests and throughput",
        _MNIST_M,
        (
            PieceCommand(
                "CUDA tests", lambda *_: ["-m", "pytest", "tests/test_cuda.py", "--color=no", "-v"]
            ),
            PieceCommand("throughput", timing),
            PieceCommand(
                "GPU rasteriser's tests",
                lambda *_: ["-m", "pytest", "tests/test_renderer_cuda.py", "--color=no", "-v"],
            ),
            PieceCommand("rendering throughput", rendering),
        ),
    ),
    Piece(
        "Table 1: PixelDA, MNIST to USPS",
        ("digits/**/*",),
        (reproduce("table1", "mnist-usps/pixelda"),),
    ),
    Piece(
        "Table 1: PixelDA, MNIST to MNIST-M",
        _MNIST_M,
        (reproduce("table1", "mnist-mnistm/pixelda"),),
    ),
    Piece(
        "Table 2: PixelDA",
        _LINEMOD,
        (reproduce("table2", "linemod-rgb/pixelda", steps=LINEMOD_STEPS),),
    ),
    Piece(
        "LineMod adapters",
        _LINEMOD,
        (
            PieceCommand("adapters' target", linemod_target),
            adapter("linemod"),
            adapter("linemod-masked"),
        ),
    ),
    Piece(
        "Tables 1 and 2: all systems",
        ("digits/**/*", "bsds500/train/*", *_LINEMOD),
        (reproduce("table1", jobs=4), reproduce("table2", jobs=4)),
    ),
    Piece(
        "Tables 1 and 2: three seeds",
        ("digits/**/*", "bsds500/train/*", *_LINEMOD),
        (reproduce("table1", seeds=3, jobs=4), reproduce("table2", seeds=3, jobs=4)),
    ),
)


def main() -> int:
    """Run pieces, or pack, unpack and bundle what they need."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--piece", type=int, help="the first to run [default: the first open one]")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after [default: no limit]")
    parser.add_argument("--state", type=Path, help="folder that an earlier call packed")
    parser.add_argument("--out", type=Path, help="folder to pack into")
    parser.add_argument("--unpack", type=Path, help="unpack such a folder here, and no more")
    parser.add_argument("--bundle", type=Path, help="copy the piece's data there, and no more")
    default_data = os.environ.get("RENDER_ADAPT_DATA", ROOT.parent / "shared/data")
    parser.add_argument("--data", type=Path, default=Path(default_data))
    arguments = parser.parse_args()
    folders = Folders(arguments.data.resolve())
    if arguments.piece is not None and not 1 <= arguments.piece <= len(PIECES):
        return _refuse(f"--piece is {arguments.piece}: it must be 1 to {len(PIECES)}")
    if arguments.bundle:
        bundle(PIECES[(arguments.piece or 1) - 1], folders.data, arguments.bundle)
        return 0
    if arguments.unpack:
        unpack(arguments.unpack, folders)
        return 0
    problem = missing()
    if problem:
        return _refuse(problem)
    # What lies here is newer than what an earlier call packed.
    if arguments.state and not folders.work.exists():
        unpack(arguments.state, folders)
    first = arguments.piece - 1 if arguments.piece else 0
    failures = run_pieces(range(first, len(PIECES)), arguments.minutes, folders)
    if arguments.out:
        pack(folders, arguments.out)
    return 1 if failures else 0


def _refuse(sentence: str) -> int:
    print(f"benchmarks.gpu: {sentence}", file=sys.stderr)
    return 1


def missing() -> str:
    """What this machine lacks, as a sentence; empty if nothing."""
    absent = [name for name in (*NEEDED, *NEEDED_TOO) if importlib.util.find_spec(name) is None]
    if absent:
        return (
            f"{', '.join(absent)} cannot be imported here; the top of benchmarks/gpu.py says how "
            "to bring packages along"
        )
    import torch

    if not torch.cuda.is_available():
        return "no CUDA device was found; run it on a machine with an NVIDIA GPU"
    return ""


def run_pieces(numbers: Iterable[int], minutes: float, folders: Folders) -> list[str]:
    """Run pieces one after the other until the time is up.

    Returns:
        The commands that failed.
    """
    deadline = time.monotonic() + 60.0 * minutes if minutes else float("inf")
    done_names = _read_done(folders)
    failures: list[str] = []
    for number in numbers:
        piece = PIECES[number]
        open_commands = [c for c in piece.commands if not _is_done(c, folders, done_names)]
        print(f"piece {number + 1} of {len(PIECES)}, {piece.title}:", flush=True)
        if not open_commands:
            print("  done before", flush=True)
        for command in open_commands:
            left = (deadline - time.monotonic()) / 60.0
            if left < LEAST_MINUTES:
                print(f"  time is up; next: --piece {number + 1}", flush=True)
                return failures
            # Saving, measuring and packing come after the time limit that a command is given.
            limit = 0.9 * left - 0.2 if minutes else 0.0
            seconds, status = _run(command.arguments(folders, limit), 60.0 * left)
            print(f"  {command.name}: {status}, {seconds:.0f} s", flush=True)
            if status != "succeeded":
                failures.append(command.name)
            elif command.finished is None:
                done_names.append(command.name)
                folders.work.mkdir(parents=True, exist_ok=True)
                _done_file(folders).write_text(json.dumps(done_names))
            elif not command.finished(folders):
                print(f"  not finished; next: --piece {number + 1}", flush=True)
                return failures
    print("nothing is left" if not failures else f"failed: {', '.join(failures)}", flush=True)
    return failures


def _run(arguments: Sequence[str], seconds: float) -> tuple[float, str]:
    """Run Python with the arguments, in the checkout, for so many seconds at most."""
    started = time.monotonic()
    limit = None if seconds == float("inf") else seconds
    try:
        code = subprocess.run([sys.executable, *arguments], cwd=ROOT, timeout=limit).returncode
        status = "succeeded" if code == 0 else f"failed with exit code {code}"
    except subprocess.TimeoutExpired:
        status = "killed at the end of its time"
    return time.monotonic() - started, status


def _is_done(command: PieceCommand, folders: Folders, done_names: Sequence[str]) -> bool:
    return command.name in done_names if command.finished is None else command.finished(folders)


def _done_file(folders: Folders) -> Path:
    return folders.work / "done.json"


def _read_done(folders: Folders) -> list[str]:
    file = _done_file(folders)
    return list(json.loads(file.read_text())) if file.is_file() else []


def bundle(piece: Piece, data: Path, out: Path) -> None:
    """Copy the data that a piece needs."""
    files = sorted({f for pattern in piece.data for f in data.glob(pattern) if f.is_file()})
    for file in files:
        copy = out / file.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    size = sum(file.stat().st_size for file in files)
    print(f"{piece.title}: {len(files)} files, {size / MIB:.1f} MiB, in {out}")


def pack(folders: Folders, out: Path, limit: int = PACK_BYTES, part: int = PART_BYTES) -> list[str]:
    """Pack results and trainings into files of at most `part` bytes, `limit` in all.

    Results come first, then trainings that are open, the latest first; then checkpoints of
    finished trainings, which only pictures need.

    Returns:
        What did not fit.
    """
    packed, left_out = io.BytesIO(), []
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for files in _groups(folders):
            size = sum(file.stat().st_size + 1024 for file in files)  # with tar's headers
            if packed.tell() + size + 20_480 > limit:  # tar ends with up to 20 blocks of zeros
                left_out.append(str(max(files, key=lambda file: file.stat().st_size)))
                continue
            for file in files:
                tar.add(file, _name_in_pack(file, folders))
    content = packed.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("state.tar.*"):
        old.unlink()
    for number, start in enumerate(range(0, len(content), part)):
        (out / f"state.tar.{number:02}").write_bytes(content[start : start + part])
    print(f"packed {len(content) / MIB:.1f} MiB into {out}")
    for name in left_out:
        print(f"  too large to pack, left behind: {name}")
    return left_out


def _groups(folders: Folders) -> list[list[Path]]:
    """Files that are packed together or not at all, the most valuable first."""
    results = [file for file in sorted(folders.results.glob("*-full*")) if file.is_file()]
    caches = (folders.work / "paper/data", folders.work / "linemod_target")
    files = [
        file
        for file in sorted(folders.work.rglob("*"))
        if file.is_file() and not any(file.is_relative_to(cache) for cache in caches)
    ]
    finished: list[list[Path]] = []
    unfinished: dict[Path, list[Path]] = {}
    checkpoints = [file for file in files if file.name == "checkpoint.safetensors"]
    for checkpoint in sorted(checkpoints, key=lambda file: -file.stat().st_mtime):
        # The folder of a job of `reproduce` holds those of its trainings, and its result at last.
        job = checkpoint.parent.parent
        if (job / "result.json").is_file():
            finished.append([checkpoint])
            continue
        folder = job if (job / "progress.json").is_file() else checkpoint.parent
        unfinished[folder] = [file for file in files if file.is_relative_to(folder)]
    grouped = {file for group in (*finished, *unfinished.values()) for file in group}
    small = [[file] for file in (*results, *files) if file not in grouped]
    return [*small, *unfinished.values(), *finished]


def _name_in_pack(file: Path, folders: Folders) -> str:
    for name, folder in (("work", folders.work), ("results", folders.results)):
        if file.is_relative_to(folder):
            return f"{name}/{file.relative_to(folder)}"
    raise ValueError(f"{file} is in neither folder")


def unpack(parts: Path, folders: Folders) -> None:
    """Put what `pack` wrote where it came from."""
    content = b"".join(part.read_bytes() for part in sorted(parts.glob("state.tar.*")))
    if not content:
        print(f"{parts} holds nothing to go on from: beginning anew")
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar.getmembers():
            top, _, member.name = member.name.partition("/")
            tar.extract(
                member, {"work": folders.work, "results": folders.results}[top], filter="data"
            )
    print(f"unpacked {len(content) / MIB:.1f} MiB from {parts}")


if __name__ == "__main__":
    sys.exit(main())
