"""Labelled crops on disk: made once, checked, and shared between processes as memory maps."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import AdapterError, LabelledCrops

_ARRAYS = ("images", "masks", "class_index", "quaternion")
_CONTENTS = "contents.json"


def cached_crops(
    cache: Path,
    name: str,
    recipe: Mapping[str, Any],
    count: int,
    parts: Callable[[], Iterable[LabelledCrops]],
) -> LabelledCrops:
    """The crops of a recipe: read from `cache` where they are whole there, else made.

    The images are a memory map, so that processes which train on the same crops hold them once.
    Crops are kept in a folder that gets its name only when it is complete, with the hash of each of
    its files, which every reading compares: what is partial or damaged is made again. Of several
    processes that want the same crops, one makes them and the others wait.

    Args:
        cache: folder of all cached crops; made if absent.
        name: what the crops are, for people who look into the folder.
        recipe: everything that the crops depend on, as JSON values.
        count: how many there are.
        parts: makes the crops, in parts that follow each other; class names and symmetries are
            the first part's, pose weights are not kept.

    Raises:
        AdapterError: the cache cannot be written.
    """
    text = json.dumps([count, recipe], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache / f"{name}-{key}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not _is_whole(folder):
                _make(folder, recipe, count, parts())
    except OSError as error:
        raise AdapterError(
            f"crops cannot be kept in {cache} ({error.strerror}); choose another folder for the "
            "cache or make room there"
        ) from error
    return _read(folder)


def sha256_of_files(files: Iterable[Path]) -> str:
    """One hash of the files' names and contents, for a recipe."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(
    folder: Path, recipe: Mapping[str, Any], count: int, parts: Iterable[LabelledCrops]
) -> None:
    """Write the crops beside `folder`, then give them its name."""
    partial = folder.with_name(f"{folder.name}.partial")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir()
    first = _write_arrays(partial, count, parts)
    if first.symmetries is not None:
        np.save(partial / "symmetries.npy", first.symmetries)
    files = sorted(partial.glob("*.npy"))
    contents = {
        "recipe": recipe,
        "class_names": first.class_names,
        "sha256": {file.name: _sha256(file) for file in files},
    }
    (partial / _CONTENTS).write_text(json.dumps(contents, indent=1) + "\n")
    for file in partial.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened)
    partial.rename(folder)


def _write_arrays(folder: Path, count: int, parts: Iterable[LabelledCrops]) -> LabelledCrops:
    """Write the parts after each other as .npy files; the first part."""
    first: LabelledCrops | None = None
    written = 0
    with contextlib.ExitStack() as stack:
        files = {n: stack.enter_context((folder / f"{n}.npy").open("wb")) for n in _ARRAYS}
        for part in parts:
            for name, file in files.items():
                array: NDArray[Any] = np.ascontiguousarray(getattr(part, name))
                if first is None:
                    header = {
                        "descr": np.lib.format.dtype_to_descr(array.dtype),
                        "fortran_order": False,
                        "shape": (count, *array.shape[1:]),
                    }
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(array.tobytes())
            first = first or part
            written += len(part)
    if first is None or written != count:
        raise ValueError(f"{written} crops were made and {count} announced")
    return first


def _is_whole(folder: Path) -> bool:
    try:
        hashes = json.loads((folder / _CONTENTS).read_text())["sha256"]
        return all(_sha256(folder / name) == value for name, value in hashes.items())
    except (FileNotFoundError, NotADirectoryError, KeyError, json.JSONDecodeError):
        return False


def _read(folder: Path) -> LabelledCrops:
    contents = json.loads((folder / _CONTENTS).read_text())
    symmetries = folder / "symmetries.npy"
    return LabelledCrops(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        masks=np.load(folder / "masks.npy", mmap_mode="r"),
        class_index=np.load(folder / "class_index.npy"),
        quaternion=np.load(folder / "quaternion.npy"),
        class_names=tuple(contents["class_names"]),
        symmetries=np.load(symmetries) if symmetries.exists() else None,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
