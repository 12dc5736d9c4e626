"""What is measured and trained on a GPU that is lent by the minute; docs/gpu.md says what to type.

    python -m benchmarks.gpu --piece 1                     # on your own GPU
    python -m benchmarks.gpu --bundle .gpu                 # what a machine without a network needs
    python -m benchmarks.gpu --from .gpu --piece 1 --out OUT          # there
    python -m benchmarks.gpu --from .gpu --piece 1 --rehearse         # the same on a processor
    python -m benchmarks.gpu --unpack OUT                  # what came back, here

A piece that is not finished in its minutes is continued by the same command. Trainings, figures and
logs are kept in build/gpu; --out has all figures in gpu.json, written anew after each step, and at
the end packs the rest into files of at most 15 MiB, 60 MiB in all, which --state takes up again.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu import carrying
from benchmarks.gpu.pieces import PIECES, Piece
from benchmarks.gpu.running import REHEARSAL_SLOWER, ROOT, Place, Report, run_piece

WORK = ROOT / "build/gpu"
PACKING_SECONDS = 15.0
"""Of a piece's time."""
NEEDED = {
    "torch": "torch", "numpy": "numpy", "opencv-python-headless": "cv2", "scipy": "scipy",
    "numba": "numba", "onnx": "onnx", "onnxruntime": "onnxruntime", "safetensors": "safetensors",
    "pyarrow": "pyarrow", "pillow": "PIL", "rich": "rich", "markdown-it-py": "markdown_it",
    "cyclopts": "cyclopts", "docstring-parser": "docstring_parser", "arro3-core": "arro3.core",
    "arro3-io": "arro3.io", "platformdirs": "platformdirs", "trimesh": "trimesh",
    "fast-simplification": "fast_simplification", "pycollada": "collada", "pytest": "pytest",
    "hypothesis": "hypothesis", "pytest-xdist": "xdist",
}  # fmt: skip
"""Packages, and the modules that they are."""
NEEDED_ON_A_GPU = {"cuda-bindings": "cuda.bindings", "triton": "triton"}


def main() -> int:
    """Run a piece, or bundle, or unpack."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # steps are ended on the way
    options = _parser().parse_args()
    if not 1 <= options.piece <= len(PIECES):
        return _refuse(f"--piece is {options.piece}: it must be 1 to {len(PIECES)}")
    piece = PIECES[options.piece - 1]
    if options.bundle:
        size = carrying.bundle(PIECES, options.data.resolve(), options.bundle, options.every)
        return int(size > carrying.TRAVELS_BYTES)
    place = _place(options, piece)
    if options.unpack:
        carrying.unpack(options.unpack, place)
        return 0
    problem = missing(options.rehearse)
    if problem:
        return _refuse(problem)
    # What lies here is newer than what an earlier call packed.
    if options.state and not (place.work / "done.json").exists():
        carrying.unpack(options.state, place)
    if options.source and piece.data:
        carrying.open_data(options.source, place.data)
    minutes = options.minutes or piece.minutes * (REHEARSAL_SLOWER if options.rehearse else 1)
    seconds = 60 * minutes - PACKING_SECONDS - (time.monotonic() - started)
    print(f"piece {options.piece}, {piece.title}: {seconds / 60:.1f} minutes", flush=True)
    files = [place.work / f"{piece.title.replace(' ', '_')}.json"]
    files += [options.out / "gpu.json"] if options.out else []
    report = Report(_about(options), files, place)
    report.write()
    try:
        unfinished = run_piece(piece, place, seconds, report)
    finally:
        if options.out:
            carrying.pack(PIECES, place, options.out)
    print(f"not done: {', '.join(unfinished)}" if unfinished else "all is done", flush=True)
    return int(bool(unfinished))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks.gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    titles = "; ".join(f"{number}: {piece.title}" for number, piece in enumerate(PIECES, 1))
    parser.add_argument("--piece", type=int, default=1, help=titles)
    parser.add_argument("--minutes", type=float, default=0.0, help="[default: the piece's]")
    parser.add_argument("--rehearse", action="store_true", help="in small, on a processor")
    parser.add_argument("--from", dest="source", type=Path, help="a bundle: packages and data")
    parser.add_argument("--state", type=Path, help="folder that an earlier call packed")
    parser.add_argument("--out", type=Path, help="folder for figures, and to pack into")
    parser.add_argument("--unpack", type=Path, help="unpack such a folder here, and no more")
    parser.add_argument("--bundle", type=Path, help="make a bundle there, and no more")
    parser.add_argument(
        "--every", type=int, default=2, help="into a bundle, one real test crop of so many"
    )
    data = Path(os.environ.get("RENDER_ADAPT_DATA", ROOT.parent / "shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="folder with linemod/")
    parser.add_argument("--work", type=Path, default=WORK)
    return parser


def _place(options: argparse.Namespace, piece: Piece) -> Place:
    work = options.work.resolve()
    if not options.source:
        return Place(options.data.resolve(), work, options.rehearse)
    packages = work / "packages"
    carrying.open_packages(options.source, packages)
    sys.path.insert(0, str(packages))
    return Place(work / "data", work, options.rehearse, (packages,))


def _refuse(sentence: str) -> int:
    print(f"benchmarks.gpu: {sentence}", file=sys.stderr)
    return 1


def missing(rehearsal: bool) -> str:
    """What this machine lacks, as a sentence; empty if nothing."""
    needed = NEEDED if rehearsal else {**NEEDED, **NEEDED_ON_A_GPU}
    absent = [name for name, module in needed.items() if not _is_there(module)]
    if absent:
        return (
            f"{', '.join(absent)} cannot be imported here; docs/gpu.md says how to bring packages "
            "along"
        )
    if rehearsal:
        return ""
    import torch

    if not torch.cuda.is_available():
        return "no CUDA device was found; run it on a machine with an NVIDIA GPU, or --rehearse"
    return ""


def _is_there(module: str) -> bool:
    package, _, inner = module.partition(".")
    if importlib.util.find_spec(package) is None:
        return False
    return not inner or importlib.util.find_spec(module) is not None


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """Date, commit and machine."""
    written = options.source / carrying.COMMIT if options.source else None
    commit = written.read_text() if written and written.is_file() else carrying.commit()
    versions = {}
    for name in (*NEEDED, *NEEDED_ON_A_GPU):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "commit": commit,
        "rehearsal": options.rehearse,
        "machine": {
            "python": platform.python_version(), "system": platform.platform(),
            "cores": len(os.sched_getaffinity(0)), "packages": versions,
        },
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
