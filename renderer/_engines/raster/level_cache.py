"""Levels of detail on disk, so that the next process need not make them again."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import Mesh
from renderer._engines.raster.cache_folder import cache_folder
from safe_files import read_file, write_file

_CODE = ("closest.py", "levels.py")
"""What decides what a level is: other code, other levels."""
_HASH_BYTES = 32
_MOST_BYTES = 2**32


def level_file(mesh: Mesh, closed: bool, error: float) -> Path | None:
    """Where a level is kept; None where the user has no home."""
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update(Path(__file__).with_name(name).read_bytes())
    version = importlib.metadata.version("fast-simplification")
    digest.update(f"{version} {closed} {error}".encode())
    for values in vars(mesh).values():
        if values is not None:
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
    folder = cache_folder()
    return None if folder is None else folder / "levels" / f"{digest.hexdigest()}.levels"


def read_arrays(file: Path | None) -> dict[str, NDArray[np.generic]] | None:
    """What was kept there, or none if there is nothing, or not what was written."""
    if file is None:
        return None
    try:
        content = read_file(file, most=_MOST_BYTES)
    except OSError:
        return None
    digest, arrays = content[:_HASH_BYTES], content[_HASH_BYTES:]
    if hashlib.sha256(arrays).digest() != digest:
        return None
    with np.load(io.BytesIO(arrays), allow_pickle=False) as stored:
        return dict(stored)


def write_arrays(file: Path | None, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Keep arrays there behind their hash, all or nothing; a folder that cannot be written is no
    error."""
    if file is None:
        return
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(content.getbuffer()).digest()
        write_file(file, digest + content.getvalue())
