"""Wheel and source distribution, installed into clean environments, and what an install weighs.

    python -m benchmarks.distributions --pythons 3.11,3.12,3.13 --numpy 1.26,2 --json out.json

For each Python and numpy a new virtual environment gets the wheel (one more the source
distribution) with what it asks for, in the newest versions that pip finds, and makes a dataset in
an empty folder. Then each extra is installed into one more, and what it brings is imported once.
What cannot be had on this machine (a Python, a numpy for it) is said and left out; anything else
that fails ends it with exit code 1. `blender` and `cuda` are left out: they want a Python and a
machine of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAMES = {
    "onnx": "onnx", "torch": "torch", "trimesh": "trimesh", "openvino": "openvino",
    "h5py": "h5py", "scipy": "scipy", "scikit-learn": "sklearn", "tensorboard": "tensorboard",
    "pyrender": "pyrender", "cascadio": "cascadio", "rosbags": "rosbags", "s3fs": "s3fs",
    "ray": "ray",
}  # fmt: skip
"""Modules by the packages that bring them."""
BINARY = "numpy,opencv-python-headless,numba,llvmlite,onnxruntime,pillow,arro3-core,arro3-io"
"""Packages that take too long to build where there is no wheel of theirs."""
ELSEWHERE = ("blender", "cuda", "test", "check")
"""Extras that are not for this."""
MEASURED = """
import json, time, sys
wall, cpu = time.perf_counter(), time.process_time()
import render_adapt
seconds = {"import": time.process_time() - cpu}
import pathlib, subprocess, resource
for name, arguments in {
    "help": ["--help"],
    "cold crop": ["--objects", "ape", "--n", "1", "--adapter", "none", "--out", "first"],
    "warm crop": ["--objects", "ape", "--n", "1", "--out", "second"],
    "verify": ["verify", "second"],
}.items():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    command = pathlib.Path(sys.executable).with_name("render-adapt")
    done = subprocess.run([str(command), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds[name] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps(seconds))
"""
"""Run in an environment: processor seconds of what a first hour has."""


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pythons", default=f"{sys.version_info[0]}.{sys.version_info[1]}")
    parser.add_argument("--numpy", default="2")
    parser.add_argument("--extras", default=None, help="with commas; all if not given")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        wheel, source = distributions(work)
        found = [
            installed(work / f"{python}-{numpy}", python, [str(wheel), f"numpy=={numpy}.*"])
            for python in options.pythons.split(",")
            for numpy in options.numpy.split(",")
        ]
        own = f"{sys.version_info[0]}.{sys.version_info[1]}"
        found.append(installed(work / "source", own, [str(source)]))
        extras = extras_by_name(options.extras)
        brought = {
            extra: brings(work / f"extra-{extra}", wheel, extra, modules)
            for extra, modules in extras.items()
        }
    result = {"environments": found, "extras": brought}
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(any("failed" in one for one in (*found, *brought.values())))


def distributions(work: Path) -> tuple[Path, Path]:
    """The wheel and the source distribution that it is made of."""
    tree, built = work / "tree", work / "built"
    built.mkdir()
    # A build leaves files in the tree.
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", ".*_cache", "build", "*.egg-info", ".gpu", ".hypothesis"
    )
    shutil.copytree(ROOT, tree, ignore=ignored)
    code = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
    run([sys.executable, "-c", code.format("sdist"), str(built)], tree)
    (source,) = built.glob("*.tar.gz")
    shutil.unpack_archive(source, work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    run([sys.executable, "-c", code.format("wheel"), str(built)], unpacked)
    (wheel,) = built.glob("*.whl")
    return wheel, source


def installed(folder: Path, python: str, asked: Sequence[str]) -> dict[str, Any]:
    """What an environment weighs, and how long first commands take there; or why there is none."""
    about: dict[str, Any] = {"python": python, "asked": [Path(one).name for one in asked]}
    try:
        program = environment(folder, python)
        run([program, "-m", "pip", "install", "--quiet", "--only-binary", BINARY, *asked], folder)
        versions = json.loads(
            run([program, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"])
        )
        run([program, "-m", "pip", "check"], folder)
        about |= {
            "megabytes": megabytes_by_package(program),
            "versions": {one["name"]: one["version"] for one in versions},
            "processor_seconds": json.loads(run([program, "-P", "-c", MEASURED], folder)),
        }
        about["megabytes_in_all"] = round(sum(about["megabytes"].values()), 1)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        words = str(getattr(error, "stderr", None) or error).strip()
        # What no machine can have is no failure of ours.
        lacking = isinstance(error, FileNotFoundError) or "No matching distribution" in words
        about["left out" if lacking else "failed"] = words
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({name: about[name] for name in about if name != "versions"}), flush=True)
    return about


def brings(folder: Path, wheel: Path, extra: str, modules: Sequence[str]) -> dict[str, Any]:
    """Whether an extra can be installed, and its modules imported."""
    try:
        program = environment(folder, f"{sys.version_info[0]}.{sys.version_info[1]}")
        run([program, "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]"], folder)
        run([program, "-P", "-c", f"import render_adapt, {', '.join(modules)}"], folder)
        about: dict[str, Any] = {"imports": list(modules)}
    except subprocess.CalledProcessError as error:
        about = {"failed": (error.stderr or str(error)).strip()}
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({extra: about}), flush=True)
    return about


def extras_by_name(names: str | None) -> dict[str, list[str]]:
    """The modules that each extra brings."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = tomllib.loads(text)["project"]["optional-dependencies"]
    wanted = [one for one in asked if one not in ELSEWHERE] if names is None else names.split(",")
    return {
        extra: [NAMES[entry.partition(">")[0]] for entry in asked[extra]]
        for extra in wanted
        if extra
    }


def environment(folder: Path, python: str) -> str:
    """The Python of a new virtual environment, in a folder of its own.

    Raises:
        FileNotFoundError: there is no such Python here.
    """
    program = shutil.which(f"python{python}")
    if program is None:
        raise FileNotFoundError(f"there is no python{python}")
    run([program, "-m", "venv", str(folder / "venv")])
    return str(folder / "venv/bin/python")


def megabytes_by_package(program: str) -> dict[str, float]:
    """Of the folders in an environment's site-packages, the largest first, without pip's own."""
    (site,) = Path(program).parents[1].glob("lib/python*/site-packages")
    sizes: dict[str, float] = {}
    for file in site.rglob("*"):
        if file.is_file() and not file.is_symlink():
            name = file.relative_to(site).parts[0]
            sizes[name] = sizes.get(name, 0.0) + file.stat().st_blocks * 512 / 1e6
    for tool in ("pip", "setuptools", "pkg_resources", "_distutils_hack"):
        sizes.pop(tool, None)
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return {name: round(size, 1) for name, size in ordered}


def run(words: Sequence[str], folder: Path | None = None) -> str:
    """What a command prints, in a folder and with no packages but its own."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(words), cwd=folder, env=clean, capture_output=True, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    main()
