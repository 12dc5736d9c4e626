"""Levels of detail on disk, so that the next process need not make them again."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import Mesh

_CODE = ("_closest.py", "_levels.py")
"""What decides what a level is: other code, other levels."""
_HASH_BYTES = 32


def level_file(mesh: Mesh, closed: bool, error: float) -> Path:
    """Where a level is kept: under `XDG_CACHE_HOME`, or `~/.cache` where that is not set."""
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update(Path(__file__).with_name(name).read_bytes())
    version = importlib.metadata.version("fast-simplification")
    digest.update(f"{version} {closed} {error}".encode())
    for values in vars(mesh).values():
        if values is not None:
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "render-adapt" / "levels" / f"{digest.hexdigest()}.levels"


def read_arrays(file: Path) -> dict[str, NDArray[np.generic]] | None:
    """What was kept there, or none if there is nothing, or not what was written."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, arrays = content[:_HASH_BYTES], content[_HASH_BYTES:]
    if hashlib.sha256(arrays).digest() != digest:
        return None
    with np.load(io.BytesIO(arrays), allow_pickle=False) as kept:
        return dict(kept)


def write_arrays(file: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Keep arrays there behind their hash, all or nothing; a folder that cannot be written is no
    error."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            handle.write(hashlib.sha256(content.getbuffer()).digest())
            handle.write(content.getbuffer())
        os.replace(temporary, file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
