"""Pictures of which it is known what stood in them, and how: writer and reader of `poses.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError
from safe_files import read_file, write_file

POSES = "poses.json"
_MOST_BYTES = 2**24
_FIELDS = {"cam_R_m2c": (3, 3), "cam_t_m2c": (3,), "cam_K": (3, 3)}


@dataclass(frozen=True)
class PicturePoses:
    """Where objects stood that were taken out of P pictures.

    Convention:
        As for `Plans`: model to camera, millimetres; pixel (0, 0) has its centre at (0.5, 0.5).
        Files count from the first pixel's centre, as BOP's and OpenCV's K do.
    """

    object: tuple[str, ...]
    """(P,), names."""
    rotation: NDArray[np.float64]
    """(P, 3, 3)."""
    translation: NDArray[np.float64]
    """(P, 3)."""
    camera_matrix: NDArray[np.float64]
    """(P, 3, 3)."""

    def __len__(self) -> int:
        return len(self.object)

    def __getitem__(self, rows: NDArray[np.int64]) -> PicturePoses:
        names = tuple(self.object[row] for row in rows)
        return PicturePoses(
            names, self.rotation[rows], self.translation[rows], self.camera_matrix[rows]
        )


def write_poses(folder: Path, files: Sequence[str], poses: PicturePoses) -> None:
    """Write `poses.json` beside the pictures that it is about.

    Args:
        folder: of the pictures.
        files: (P,), their names.
        poses: of P pictures.

    Raises:
        OSError: it cannot be written.
    """
    camera = poses.camera_matrix.copy()
    camera[:, :2, 2] -= 0.5
    arrays = (poses.rotation, poses.translation, camera)
    table = {
        file: {
            "object": poses.object[row],
            **{
                name: np.round(array[row], 6).ravel().tolist()
                for name, array in zip(_FIELDS, arrays, strict=True)
            },
        }
        for row, file in enumerate(files)
    }
    write_file(folder / POSES, json.dumps(table, indent=0).encode())


def read_poses(
    folder: Path, files: Sequence[str], scales: Sequence[tuple[float, float]]
) -> PicturePoses | None:
    """What `poses.json` says of some pictures; None where there is no such file.

    Args:
        folder: of the pictures.
        files: (P,), their names.
        scales: (P, 2), what their width and height were multiplied by as they were read.

    Raises:
        RenderError: it cannot be read, or says nothing of one of them.
    """
    path = folder / POSES
    if not path.exists():
        return None
    try:
        table = json.loads(read_file(path, most=_MOST_BYTES, inside=folder))
    except (OSError, ValueError, RecursionError):
        raise RenderError(f"{path} cannot be read: write it anew, or remove it") from None
    rows = [_row(table, file, path) for file in files]
    rotation, translation, camera = (
        np.stack([arrays[name] for _, arrays in rows]) for name in _FIELDS
    )
    camera[:, :2, 2] += 0.5
    camera[:, :2] *= np.asarray(scales)[:, :, None]
    return PicturePoses(tuple(name for name, _ in rows), rotation, translation, camera)


def _row(table: Any, file: str, path: Path) -> tuple[str, Mapping[str, NDArray[np.float64]]]:
    one = table.get(file) if isinstance(table, dict) else None
    if not isinstance(one, dict) or not isinstance(one.get("object"), str):
        raise RenderError(f"{path} does not say what stood in {file}: write it anew, or remove it")
    arrays = {name: _numbers(one.get(name), shape) for name, shape in _FIELDS.items()}
    known = {name: value for name, value in arrays.items() if value is not None}
    if len(known) < len(arrays) or not _is_pose(known):
        raise RenderError(f"{path} has no pose for {file}: write it anew, or remove it")
    return one["object"], known


def _numbers(values: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """A list of so many finite numbers as an array; None of anything else."""
    if not isinstance(values, list) or len(values) != int(np.prod(shape)):
        return None
    if not all(isinstance(value, int | float) for value in values):
        return None
    try:
        numbers = np.array(values, np.float64).reshape(shape)
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _is_pose(arrays: Mapping[str, NDArray[np.float64]]) -> bool:
    rotation, translation, camera = (arrays[name] for name in _FIELDS)
    turns = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    sees = (np.diag(camera)[:2] > 0).all() and np.allclose(camera[2], (0, 0, 1))
    return bool(turns and sees and translation[2] > 0)
