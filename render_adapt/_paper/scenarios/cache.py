"""Labelled crops on disk: made once, checked, and shared between processes as memory maps."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import LabelledCrops
from render_adapt._exceptions import DatasetError
from render_adapt._paper.scenarios.data_files import MOST_BYTES, MOST_DATA
from safe_files import (
    FolderLock,
    UnusableFileError,
    append_to,
    flush_folder,
    hash_open_file,
    open_file,
    parse_json,
    read_file,
    write_file,
)

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
        DatasetError: the cache cannot be written.
    """
    text = json.dumps([count, recipe], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache / f"{name}-{key}"
    refusal = DatasetError(f"another process makes {folder}: try again when it is done")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FolderLock(cache / f"{folder.name}.lock", refusal, patience=math.inf):
            if not _is_whole(folder):
                _make(folder, recipe, count, parts())
        return _read(folder)
    except OSError as error:
        raise DatasetError(
            f"crops cannot be kept in {cache} ({error.strerror}); choose another folder for the "
            "cache or make room there"
        ) from error


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
        content = io.BytesIO()
        np.lib.format.write_array(content, np.asarray(first.symmetries), allow_pickle=False)
        write_file(partial / "symmetries.npy", content.getvalue())
    contents = {
        "recipe": recipe,
        "class_names": first.class_names,
        "sha256": {file.name: _sha256(file) for file in sorted(partial.glob("*.npy"))},
    }
    write_file(partial / _CONTENTS, json.dumps(contents, indent=1) + "\n")
    partial.rename(folder)
    flush_folder(folder.parent)


def _write_arrays(folder: Path, count: int, parts: Iterable[LabelledCrops]) -> LabelledCrops:
    """Write the parts after each other as .npy files; the first part."""
    first: LabelledCrops | None = None
    written = 0
    with contextlib.ExitStack() as stack:
        files = {n: stack.enter_context(append_to(folder / f"{n}.npy")) for n in _ARRAYS}
        for part in parts:
            for name, file in files.items():
                array: NDArray[Any] = np.ascontiguousarray(getattr(part, name))
                if first is None:
                    _write_header(file, array, count)
                file.write(array.tobytes())
            first = first or part
            written += len(part)
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    if first is None or written != count:
        raise ValueError(f"{written} crops were made and {count} announced")
    return first


def _write_header(file: io.BufferedWriter, array: NDArray[Any], count: int) -> None:
    """What an .npy file of `count` rows, of which the array holds some, begins with."""
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": (count, *array.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)


def _is_whole(folder: Path) -> bool:
    """Whether all that was written is there, to the bit."""
    try:
        hashes: dict[str, str] = _read_contents(folder)["sha256"]
        return all(_sha256(folder / name) == value for name, value in hashes.items())
    except (FileNotFoundError, NotADirectoryError, UnusableFileError, KeyError, ValueError):
        return False


def _read(folder: Path) -> LabelledCrops:
    symmetries = folder / "symmetries.npy"
    return LabelledCrops(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        masks=np.load(folder / "masks.npy", mmap_mode="r"),
        class_index=np.load(folder / "class_index.npy"),
        quaternion=np.load(folder / "quaternion.npy"),
        class_names=tuple(_read_contents(folder)["class_names"]),
        symmetries=np.load(symmetries) if symmetries.exists() else None,
    )


def _read_contents(folder: Path) -> dict[str, Any]:
    contents: dict[str, Any] = parse_json(read_file(folder / _CONTENTS, most=MOST_DATA))
    return contents


def _sha256(path: Path) -> str:
    with open_file(path, most=MOST_BYTES, inside=path.parent) as file:
        return hash_open_file(file)
