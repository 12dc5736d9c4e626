"""Which crops a report shows, with their pictures and what to say of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import encode, nearest_neighbours, read_target
from checked_settings import RenderAdaptError
from render_adapt._exceptions import DatasetError
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._report.index import Index, ReportedDataset
from render_adapt._report.pictures import (
    as_data_uri,
    brought_pictures,
    open_crops,
    outline,
    redraw_sources,
)
from render_adapt._runs.sheet import color_depth

MOST_SHOWN = 96
"""Crops whose pictures are in the page."""
PICTURE_BYTES = 3_000_000
"""Of all pictures together; the page stays below 5 MB."""
PICTURE_SIDE = {"crop": 128, "frame": 240}
"""Pixels of a picture's shorter side, at most."""
_ON_BLACK = "Renders are shown on black: what was behind them came with the adapter."


def choose_examples(dataset: ReportedDataset, target: Path | None) -> dict[str, Any]:
    """The crops that are shown with their pictures, and notes on what could not be.

    Raises:
        DatasetError: a picture is missing or damaged, or `target` cannot be compared with.
        AdapterError: `target` holds no usable crops.
    """
    rows = _chosen(dataset.index)
    reader, index = open_crops(dataset), dataset.index
    crops = [
        reader.read(dataset.layout.shard(int(index.scene_id[row])), int(index.im_id[row]))
        for row in rows
    ]
    sources, notes = None, []
    if dataset.is_adapted:
        try:
            sources = redraw_sources(dataset, rows)
            if brought_pictures(dataset):
                notes = [_ON_BLACK]
        except RenderAdaptError as error:
            notes = [f"The renders are not shown, for they cannot be drawn again: {error}"]
    nearest = None if target is None else _nearest(dataset, crops, target)
    side = PICTURE_SIDE[dataset.planner.what]
    examples: list[dict[str, Any]] = []
    left = PICTURE_BYTES
    for place, (row, crop) in enumerate(zip(rows, crops, strict=True)):
        pictures = {} if sources is None else {"render": sources[place]}
        pictures["adapted" if dataset.is_adapted else "picture"] = crop.rgb
        pictures["depth"] = _colored(dataset, row, crop)
        if nearest is not None:
            pictures["nearest"] = nearest[place][0]
        entry = {
            **_facts(dataset, row),
            "size": [crop.rgb.shape[1], crop.rgb.shape[0]],
            "outlines": [outline(mask) for mask in crop.mask_visib],
            "pictures": {name: as_data_uri(picture, side) for name, picture in pictures.items()},
        }
        if nearest is not None:
            entry["nearest"] = nearest[place][1]
        left -= len(json.dumps(entry))
        if left < 0 and examples:
            break
        examples.append(entry)
    return {"shown": examples, "notes": notes, "hasNearest": nearest is not None}


def _chosen(index: Index) -> list[int]:
    """Rows of the crops to show: the worst and the best over all and of each object, and others
    evenly spread over the run, every object in turn."""
    by_object = [
        np.flatnonzero(index.object_index == object_index)
        for object_index in np.unique(index.object_index)
    ]
    rows_shown: dict[int, None] = {}
    if index.fidelity is not None:
        scored = np.flatnonzero(~np.isnan(index.fidelity))
        ranked = scored[np.argsort(index.fidelity[scored], kind="stable")]
        ranked_by_object = [
            ranked[index.object_index[ranked] == object_index]
            for object_index in np.unique(index.object_index)
        ]
        rows_shown |= dict.fromkeys([*ranked[:12].tolist(), *ranked[::-1][:12].tolist()])
        rows_shown |= dict.fromkeys(_in_turn(ranked_by_object)[: MOST_SHOWN // 4])
        rows_shown |= dict.fromkeys(
            _in_turn([rows[::-1] for rows in ranked_by_object])[: MOST_SHOWN // 8]
        )
    share = -(-(MOST_SHOWN - len(rows_shown)) // len(by_object))
    spread = _in_turn([rows[_evenly(len(rows), share)] for rows in by_object])
    return list(dict.fromkeys([*rows_shown, *spread]))[:MOST_SHOWN]


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _in_turn(lists: Sequence[NDArray[np.int64]]) -> list[int]:
    """The first of each list, then the second of each, and so on, up to `MOST_SHOWN` in all."""
    longest = max((len(rows) for rows in lists), default=0)
    merged: list[int] = []
    for place in range(longest):
        merged += [int(rows[place]) for rows in lists if place < len(rows)]
        if len(merged) >= MOST_SHOWN:
            break
    return merged[:MOST_SHOWN]


def _colored(dataset: ReportedDataset, row: int, crop: LabelledCrop) -> NDArray[np.uint8]:
    centre = float(dataset.index.centre_depth[row])
    return color_depth(crop.depth, centre, dataset.planner.depth_reach)


def _facts(dataset: ReportedDataset, row: int) -> dict[str, Any]:
    """What the page says of a crop."""
    index = dataset.index
    parts = {name: column[row] for name, column in index.parts.items()}
    fidelity = np.nan if index.fidelity is None else index.fidelity[row]
    return {
        "number": int(index.number[row]),
        "object": int(index.object_index[row]),
        "scene": int(index.scene_id[row]),
        "image": int(index.im_id[row]),
        "fidelity": None if np.isnan(fidelity) else float(f"{fidelity:.4g}"),
        "parts": {
            name.replace("_", " "): round(float(value), 4)
            for name, value in parts.items()
            if np.isfinite(value)
        },
        "visible": round(float(index.visible[row]), 4),
        "quaternion": index.quaternion[row].round(5).tolist(),
        "translation": index.translation[row].round(2).tolist(),
        "others": int(index.others[row]),
    }


def _nearest(
    dataset: ReportedDataset, crops: Sequence[LabelledCrop], target: Path
) -> list[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """For each crop the nearest real one, its file and how far it is in RMS grey levels."""
    size = crops[0].rgb.shape[0]
    if dataset.planner.what != "crop" or any(crop.rgb.shape[:2] != (size, size) for crop in crops):
        raise DatasetError("`target` compares square crops, and this dataset has whole frames")
    real = read_target(target, size=size, channels=3)
    tensors = encode(np.stack([crop.rgb for crop in crops]), None, None)
    neighbours = nearest_neighbours(tensors, real.images)
    pictures = real.images[neighbours.index].astype(np.float32)
    colors = np.rint((np.moveaxis(pictures, 1, -1) + 1) * 127.5).clip(0, 255).astype(np.uint8)
    distances = 127.5 * neighbours.distance / np.sqrt(tensors[0].size)
    return [
        (
            colors[place],
            {"file": real.names[target_index][:120], "apart": round(float(distances[place]), 1)},
        )
        for place, target_index in enumerate(neighbours.index)
    ]
