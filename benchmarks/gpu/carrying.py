"""What travels to a machine without a network, and what comes back: archives of few megabytes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.gpu.pieces import Piece
from benchmarks.gpu.running import ROOT, Place

MIB = 1 << 20
PART_BYTES = 15 * MIB
PACK_BYTES = 60 * MIB
TRAVELS_BYTES = 60 * MIB
"""Bundle and checkout together, at most."""
PACKAGES, DATA, COMMIT = "packages.tar.xz", "data.tar.xz", "commit.txt"
CARRIED = (
    "arro3-core",
    "arro3-io",
    "cyclopts",
    "docstring-parser",
    "fast-simplification",
    "platformdirs",
    "pycollada",
    "rich-rst",
    "trimesh",
)
"""What machines that are made for torch, with CUDA, lack of our dependencies."""
PYTHON = "3.12"
PLATFORMS = tuple(f"manylinux{name}_x86_64" for name in ("_2_28", "_2_27", "_2_17", "2014", "1"))


def bundle(pieces: Iterable[Piece], data: Path, out: Path, every: int) -> int:
    """Make what travels: packages, the pieces' data and the commit's name.

    Args:
        pieces: whose data.
        data: folder with linemod/.
        out: folder to write.
        every: take each object's first real test crop of so many.

    Returns:
        Bytes, with the checkout's.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = fetch_packages(Path(folder))
        files = ((file, str(file.relative_to(site))) for file in sorted(site.rglob("*")))
        _archive(out / PACKAGES, (pair for pair in files if pair[0].is_file()))
    patterns = sorted({pattern for piece in pieces for pattern in piece.data})
    write_data(data, patterns, out / DATA, every)
    (out / COMMIT).write_text(commit())
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    total = 0
    for name, size in (
        *((file.name, file.stat().st_size) for file in sorted(out.iterdir())),
        ("checkout", sum((ROOT / f).stat().st_size for f in tracked if f and (ROOT / f).exists())),
    ):
        print(f"{size / MIB:8.2f} MiB  {name}")
        total += size
    print(f"{total / MIB:8.2f} MiB  in all; {TRAVELS_BYTES / MIB:.0f} is the most")
    return total


def commit() -> str:
    """Name of the checkout's commit, and whether it was changed since; empty without one."""
    git = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def fetch_packages(folder: Path) -> Path:
    """`CARRIED` in the versions of constraints.txt, unpacked, and the project's own name."""
    constraints = (ROOT / "constraints.txt").read_text()
    found = re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE)
    pinned = {name.replace("_", "-").lower(): version for name, version in found}
    wheels, site = folder / "wheels", folder / "site"
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"),
            *(*platforms, "--dest", str(wheels)),
            *(f"{name}=={pinned[name]}" for name in CARRIED),
        ],
        check=True,
    )
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(site)
    # The checkout is not installed where it goes, and says its version all the same.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    about = site / f"render_adapt-{project['version']}.dist-info/METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    return site


def write_data(data: Path, patterns: Sequence[str], archive: Path, every: int) -> None:
    """Pack data; pictures of crops as lossless WebP, which takes a sixth less than PNG."""
    files = sorted({file for pattern in patterns for file in data.glob(pattern)})
    kept = _thinned(data, files, every)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as threads:

        def prepared(file: Path) -> tuple[Path, str]:
            name = file.relative_to(data)
            if name.parts[:2] != ("linemod", "crops"):
                return file, str(name)
            copy = Path(folder) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".json":
                frames = {f.stem for f in kept if f.parent.parent == file.parent}
                labels = json.loads(file.read_text())
                copy.write_text(json.dumps(
                    {o: {k: v for k, v in ls.items() if k in frames} for o, ls in labels.items()}
                ))  # fmt: skip
            else:
                copy = copy.with_suffix(".webp")
                _as_webp(file, copy)
            return copy, str(copy.relative_to(folder))

        _archive(archive, threads.map(prepared, kept))
    print(f"{len(kept)} of {len(files)} files of {data}")


def _thinned(data: Path, files: Sequence[Path], every: int) -> list[Path]:
    """All but the test crops that are left out."""
    test = data / "linemod/crops/test"
    seen: dict[Path, int] = {}
    kept = []
    for file in files:
        if file.suffix == ".png" and file.is_relative_to(test):
            seen[file.parent] = seen.get(file.parent, -1) + 1
            if seen[file.parent] % every:
                continue
        kept.append(file)
    return kept


def _as_webp(file: Path, copy: Path) -> None:
    from PIL import Image

    Image.open(file).save(copy, lossless=True, quality=75, method=4, exact=True)


def _archive(archive: Path, files: Iterable[tuple[Path, str]]) -> None:
    with tarfile.open(archive, "w:xz", dereference=True) as tar:
        for file, name in files:
            tar.add(file, name, recursive=False)


def open_packages(bundle: Path, place: Path) -> None:
    """Unpack what `fetch_packages` fetched, where that is not done."""
    _extract(bundle / PACKAGES, place)


def open_data(bundle: Path, place: Path) -> None:
    """Unpack what `write_data` wrote, where that is not done."""
    if not _extract(bundle / DATA, place):
        return
    import cv2

    def back(file: Path) -> None:
        cv2.imwrite(str(file.with_suffix(".png")), cv2.imread(str(file), cv2.IMREAD_COLOR))
        file.unlink()

    with ThreadPoolExecutor() as threads:
        list(threads.map(back, sorted((place / "linemod/crops").rglob("*.webp"))))


def _extract(archive: Path, place: Path) -> bool:
    """Whether it had not been done before."""
    size, marker = str(archive.stat().st_size), place / ".unpacked"
    if marker.is_file() and marker.read_text() == size:
        return False
    place.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    marker.write_text(size)
    return True


def pack(
    pieces: Iterable[Piece],
    place: Place,
    out: Path,
    limit: int = PACK_BYTES,
    part: int = PART_BYTES,
) -> list[str]:
    """Pack figures, logs and what pieces keep into files of at most `part` bytes, `limit` in all.

    Returns:
        What did not fit.
    """
    packed, left_out = io.BytesIO(), []
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for kept in _kept(pieces, place):
            files = [f for f in sorted(kept.rglob("*")) if f.is_file()] if kept.is_dir() else [kept]
            size = sum(file.stat().st_size + 2048 for file in files)  # with tar's headers
            if packed.tell() + size + 20_480 > limit:  # tar ends with up to 20 blocks of zeros
                left_out.append(str(kept))
                continue
            for file in files:
                tar.add(file, str(file.relative_to(place.work)))
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


def _kept(pieces: Iterable[Piece], place: Place) -> Iterator[Path]:
    seen: list[Path] = []
    patterns = ("done.json", "figures", "logs", *(p for piece in pieces for p in piece.keep))
    for pattern in patterns:
        for found in sorted(place.work.glob(pattern)):
            if not any(found.is_relative_to(other) for other in seen):
                seen.append(found)
                yield found


def unpack(parts: Path, place: Place) -> None:
    """Put what `pack` wrote where it came from."""
    content = b"".join(part.read_bytes() for part in sorted(parts.glob("state.tar.*")))
    if not content:
        print(f"{parts} holds nothing to go on from: beginning anew")
        return
    place.work.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(place.work, filter="data")
    print(f"unpacked {len(content) / MIB:.1f} MiB from {parts}")
