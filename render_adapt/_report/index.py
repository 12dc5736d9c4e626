"""What a dataset's own files say about it: its manifest, its shards and its index, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from render_adapt._exceptions import DatasetError
from render_adapt._formats.parquet.columns import are_of_shard, read_columns
from render_adapt._formats.written import runs_of
from render_adapt._planner import Planner, planner_of
from render_adapt._runs.layout import DatasetLayout
from render_adapt._runs.manifest import MANIFEST, layout_in, read_manifest
from render_adapt._runs.run_folder import INCOMPLETE
from render_adapt._runs.shard_entry import entry_of, present_shards, read_entry
from renderer import matrix_from_quaternion

MOST_CROPS = 5_000_000
"""A report of more would take gigabytes of memory to make."""
RINGS = 9
"""Of each half of the view sphere, which has 4 RINGS^2 cells of the same solid angle."""

_NUMBERS = ("index", "scene_id", "im_id", "obj_id", "centre_depth", "visib_fract", "others")
_VECTORS = {"quaternion": 4, "translation": 3}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Index:
    """N crops of a dataset, in order of their numbers.

    Convention:
        Poses are model-to-camera, OpenCV's axes, millimetres.
    """

    number: NDArray[np.int64]
    """(N,), each crop's number in the run."""
    scene_id: NDArray[np.int64]
    """(N,), `scene_id`."""
    im_id: NDArray[np.int64]
    """(N,), `im_id`."""
    object_index: NDArray[np.int64]
    """(N,), position in `ReportedDataset.models`."""
    rotation: NDArray[np.float64]
    """(N, 3, 3)."""
    quaternion: NDArray[np.float64]
    """(N, 4), w, x, y, z."""
    translation: NDArray[np.float64]
    """(N, 3)."""
    centre_depth: NDArray[np.float64]
    """(N,), millimetres."""
    visible: NDArray[np.float64]
    """(N,), `visib_fract`, 0 to 1."""
    others: NDArray[np.int64]
    """(N,), how many other objects are in the crop."""
    fidelity: NDArray[np.float64] | None
    """(N,), 0 to 1, NaN where a crop has none; None where no crop has one."""
    parts: dict[str, NDArray[np.float64]]
    """Further columns of numbers called `fidelity_*`, by what follows that."""

    def __len__(self) -> int:
        return len(self.number)

    @property
    def turn(self) -> NDArray[np.float64]:
        """(N,), degrees from -180 to 180: the object's z axis in the image, clockwise from up."""
        return np.degrees(np.arctan2(self.rotation[:, 0, 2], -self.rotation[:, 1, 2]))


@dataclass(frozen=True)
class ReportedDataset:
    """A dataset on disk, as far as a report needs it."""

    folder: Path
    manifest: dict[str, Any]
    layout: DatasetLayout
    """How its crops lie in shards."""
    models: list[CadModel]
    """The objects, in the order in which the run's crops take turns."""
    index: Index
    bytes: int
    """Of all finished shards."""
    complete: bool

    @property
    def direction(self) -> NDArray[np.float64]:
        """(N, 3), unit, from each object's centre to the camera, in the object's own axes."""
        index = self.index
        centre = np.stack([model.centre for model in self.models])[index.object_index]
        towards = -np.einsum("nij,ni->nj", index.rotation, index.translation) - centre
        return np.asarray(towards / np.linalg.norm(towards, axis=1, keepdims=True).clip(1e-9))

    @property
    def runs(self) -> list[Mapping[str, Any]]:
        """The manifests of the runs that it is of, several where it was merged."""
        return runs_of(self.manifest)

    @property
    def planner(self) -> type[Planner]:
        """What planned its crops, or whole frames."""
        return planner_of(self.runs[0]["plan"])

    @property
    def is_adapted(self) -> bool:
        """Whether an adapter made its pictures, or some of them."""
        return any(run["adapter"] is not None for run in self.runs)


def read_dataset(folder: Path) -> ReportedDataset:
    """Read what a report needs of a dataset; no picture is opened.

    Raises:
        DatasetError: the folder holds no dataset, or one that is damaged.
        ModelError: its models cannot be read.
    """
    manifest = _checked(read_manifest(folder), folder / MANIFEST)
    layout = layout_in(folder, manifest)
    present = present_shards(folder / "shards", ".json", layout.numbers)
    entries = [read_entry(entry_of(folder, shard)) for shard in present]
    if not entries:
        raise DatasetError(f"{folder} has no finished crops yet: make some, then report on them")
    tables = [_read_table(folder, entry.shard) for entry in entries]
    columns: dict[str, Any] = {
        name: np.concatenate([table[name] for table in tables]) for name in tables[0]
    }
    if len(columns["index"]) > MOST_CROPS:
        raise DatasetError(
            f"{folder} has {len(columns['index'])} crops and a report takes {MOST_CROPS}: "
            "report on a smaller run"
        )
    order = np.argsort(columns["index"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    names = manifest["order"]
    unknown = set(columns["object"]) - set(names)
    if unknown:
        raise DatasetError(
            f"{folder / 'index'} has crops of {min(unknown)}, which {MANIFEST} does not know: "
            "take the dataset from a copy"
        )
    models = load_models(names, models=folder / "models", units="mm")
    return ReportedDataset(
        folder=folder,
        manifest=manifest,
        layout=layout,
        models=models,
        index=_index(columns, names),
        bytes=sum(entry.bytes for entry in entries),
        complete=not (folder / INCOMPLETE).exists(),
    )


def view_cells(direction: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,), which cell of the view sphere each direction (N, 3) lies in.

    Convention:
        Lambert's azimuthal equal-area projection of each half, z up: a direction at angle a from
        the pole is at radius sqrt(1 - cos a) of the disc, its azimuth counted from x towards y.
        Ring k of the disc, k / RINGS to (k + 1) / RINGS of its radius, has 4 (2 k + 1) cells;
        cells are counted ring by ring, those of the lower half (z < 0) after the upper half's.
    """
    above = direction[:, 2] >= 0
    radius = np.sqrt(np.clip(1 - np.abs(direction[:, 2]), 0, 1))
    ring = np.minimum((radius * RINGS).astype(np.int64), RINGS - 1)
    around = (np.arctan2(direction[:, 1], direction[:, 0]) / (2 * np.pi)) % 1.0
    in_ring = 4 * (2 * ring + 1)
    sector = np.minimum((around * in_ring).astype(np.int64), in_ring - 1)
    return np.asarray(4 * ring**2 + sector + np.where(above, 0, 4 * RINGS**2))


def _checked(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """The manifest, if all that a report takes from it is of the right kind."""
    kinds = {"n": int, "shards": int, "objects": dict, "order": list}
    if (
        any(type(manifest.get(name)) is not kind for name, kind in kinds.items())
        or not all(map(_is_run, runs_of(manifest)))
        or not all(isinstance(name, str) for name in manifest["order"])
        or sorted(manifest["order"]) != sorted(manifest["objects"])
    ):
        raise DatasetError(f"{path} is damaged or not one of ours: take it from a copy")
    return manifest


def _is_run(run: Mapping[str, Any]) -> bool:
    adapter = run.get("adapter", "")
    return (
        type(run.get("seed")) is int
        and type(run.get("plan")) is dict
        and (adapter is None or _is_hashes(adapter))
    )


def _is_hashes(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


def _read_table(folder: Path, shard: int) -> dict[str, NDArray[Any]]:
    """The columns of one shard's index."""
    path = folder / f"index/{shard:06d}.parquet"
    try:
        read = read_columns(path, inside=folder)
        parts = [
            name
            for name in read
            if name.startswith("fidelity_") and np.issubdtype(read[name].dtype, np.floating)
        ]
        columns: dict[str, NDArray[Any]] = {"object": read["object"]}
        for name in (*_NUMBERS, *(["fidelity"] if "fidelity" in read else []), *parts):
            columns[name] = read[name].astype(np.float64)
        for name, length in _VECTORS.items():
            columns[name] = read[name].astype(np.float64).reshape(len(read[name]), length)
    except (OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DatasetError(
            f"{path} is damaged ({reason}): render-adapt verify says what else is"
        ) from None
    names = [*_NUMBERS, *_VECTORS]
    if (
        not all(np.isfinite(columns[name]).all() for name in names)
        or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in columns["object"])
        or not _has_length(columns["quaternion"]).all()
        or not are_of_shard(columns, shard)
    ):
        raise DatasetError(f"{path} is damaged: it has crops without number, pose or object")
    return columns


def _has_length(vectors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,), whether a vector can be made a unit vector: the least of numbers are 0 when squared."""
    with np.errstate(over="ignore"):
        length = np.linalg.norm(vectors, axis=1)
    return np.asarray(np.isfinite(length) & (length > 0))


def _index(columns: dict[str, NDArray[Any]], names: list[str]) -> Index:
    position = {name: place for place, name in enumerate(names)}
    fidelity = columns.get("fidelity")
    if fidelity is not None and np.isnan(fidelity).all():
        fidelity = None
    return Index(
        number=columns["index"].astype(np.int64),
        scene_id=columns["scene_id"].astype(np.int64),
        im_id=columns["im_id"].astype(np.int64),
        object_index=np.array([position[name] for name in columns["object"]], dtype=np.int64),
        rotation=matrix_from_quaternion(columns["quaternion"]),
        quaternion=columns["quaternion"],
        translation=columns["translation"],
        centre_depth=columns["centre_depth"],
        visible=columns["visib_fract"],
        others=columns["others"].astype(np.int64),
        fidelity=fidelity,
        parts={
            name.removeprefix("fidelity_"): column
            for name, column in columns.items()
            if name.startswith("fidelity_")
        },
    )
