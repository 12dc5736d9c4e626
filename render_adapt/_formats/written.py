"""What shards and files of a dataset say, for formats that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render_adapt._files import MOST_TEXT
from render_adapt._formats.shard import Shard
from safe_files import parse_json, read_file

MERGED = "merged"
"""Of a manifest: the datasets that were merged, each with its `run`, a manifest."""
MOST_RUNS = 1000


def runs_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The manifests of the runs that a dataset is of: its own, or those that were merged.

    Raises:
        ValueError: what was merged makes no sense.
    """
    if MERGED not in manifest:
        return [manifest]
    merged = manifest[MERGED]
    if not isinstance(merged, list) or not 1 <= len(merged) <= MOST_RUNS:
        raise ValueError("what was merged is no list of datasets")
    runs = [part["run"] for part in merged if isinstance(part, dict) and "run" in part]
    of_runs = all(isinstance(run, dict) and MERGED not in run for run in runs)
    if not of_runs or len(runs) < len(merged):
        raise ValueError("what was merged has no runs")
    return runs


@dataclass(frozen=True)
class WrittenObject:
    """An object of a dataset's `models/`."""

    object_id: int
    name: str
    diameter: float
    """Millimetres."""
    bounds: NDArray[np.float64]
    """(2, 3), the least and greatest x, y and z."""


def written_objects(out: Path) -> list[WrittenObject]:
    """The objects of a dataset, by their numbers."""
    info = read_written(out, "models/models_info.json")
    return [
        WrittenObject(int(number), str(facts["name"]), float(facts["diameter"]), _bounds(facts))
        for number, facts in sorted(info.items(), key=lambda item: int(item[0]))
    ]


def read_written(out: Path, name: str) -> Any:
    """What a JSON file of a dataset holds."""
    return parse_json(read_file(out / name, most=MOST_TEXT, inside=out))


def read_scene(out: Path, shard: Shard, names: Iterable[str]) -> list[Any]:
    """What files of a scene hold: `camera`, `gt`, `gt_info`, `gt_coco`."""
    return [
        read_written(out, f"{shard.split}/{shard.number:06d}/scene_{name}.json") for name in names
    ]


def _bounds(facts: dict[str, Any]) -> NDArray[np.float64]:
    least = np.array([facts[f"min_{axis}"] for axis in "xyz"], np.float64)
    return np.stack([least, least + [facts[f"size_{axis}"] for axis in "xyz"]])
