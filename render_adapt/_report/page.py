"""The report: one page, in one file, that shows what a dataset holds and how good it is."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render_adapt._files import writing
from render_adapt._printable import printable
from render_adapt._report.adapter import adapter_card, shown_values
from render_adapt._report.examples import choose_examples
from render_adapt._report.index import RINGS, Index, ReportedDataset, read_dataset, view_cells
from render_adapt._report.settings import setting_rows
from safe_files import write_file

REPORT = "report.html"
MOST_POINTS = 100_000
"""Crops that filters and charts count; of a larger dataset so many, evenly spread."""

_TEMPLATES = Path(__file__).parent / "template"
_FIDELITY_STEPS = 1000
_NO_FIDELITY = 2**16 - 1
_DOUBTFUL = 0.01
"""Fidelity that 99 % of faithful crops exceed."""
_BINS = 36


def write_report(
    folder: Path,
    out: Path | None = None,
    *,
    target: Path | None = None,
    adapter: Path | None = None,
) -> Path:
    """Write a page about a dataset that needs nothing else: no network, no other file.

    It shows the crops of every object, how the views cover the sphere around it, fidelity with
    the worst and the best crops, and examples: the render, the adapted crop with its label's
    outline, depth in colour and the nearest real crop. The same dataset gives the same bytes.

    Args:
        folder: the dataset's, finished or not.
        out: the file to write, `report.html` in the dataset's folder if not given.
        target: a folder of real crops (see `adapter.read_target`) to find nearest neighbours in.
        adapter: the folder of the adapter that made the dataset, for its card; not needed for the
            one that comes with the package.

    Returns:
        The file.

    Raises:
        DatasetError: no dataset there, a damaged one, or the file cannot be written.
        AdapterError: no usable crops in `target`, or `adapter` is none.
    """
    dataset = read_dataset(folder)
    content = {
        **_summary(dataset),
        "adapter": adapter_card(dataset, adapter),
        "points": _points(dataset),
        **choose_examples(dataset, target),
    }
    path = folder / REPORT if out is None else out
    with writing(path, "give `out` a file that can be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, _page(content))
    return path


def _page(content: dict[str, Any]) -> str:
    """The template filled in; the page allows its own script and style and nothing else."""
    style, script = ((_TEMPLATES / name).read_text("utf-8") for name in ("page.css", "page.js"))
    # Within a script element only "<" could end it.
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    parts = {
        "STYLE_HASH": _hash_source(style),
        "SCRIPT_HASH": _hash_source(script),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": text,
    }
    page = (_TEMPLATES / "page.html").read_text("utf-8")
    before, *places = page.split("{{")
    pieces = [before]
    for place in places:
        name, after = place.split("}}", 1)
        pieces += [parts[name], after]
    return "".join(pieces)


def _hash_source(text: str) -> str:
    """As a Content-Security-Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _summary(dataset: ReportedDataset) -> dict[str, Any]:
    """What the page's head, counts and settings say."""
    index, manifest = dataset.index, dataset.manifest
    scores = None if index.fidelity is None else index.fidelity[~np.isnan(index.fidelity)]
    counts = np.bincount(index.object_index, minlength=len(dataset.models))
    return {
        "name": printable(dataset.folder.resolve().name),
        "complete": dataset.complete,
        "planned": manifest["n"],
        "crops": len(index),
        "bytes": dataset.bytes,
        "what": dataset.planner.what,
        "depthReach": dataset.planner.depth_reach,
        "isAdapted": dataset.is_adapted,
        "seed": shown_values(run["seed"] for run in dataset.runs),
        "rings": RINGS,
        "objects": [
            {
                "name": model.name,
                "crops": int(count),
                "diameter": round(model.diameter, 1),
                "symmetric": bool(
                    len(model.symmetries.discrete) or model.symmetries.continuous
                ),
                "fidelity": _mean_fidelity(index, place),
            }
            for place, (model, count) in enumerate(zip(dataset.models, counts, strict=True))
        ],
        "fidelity": None if scores is None else {
            "median": float(np.median(scores)),
            "doubtful": int((scores < _DOUBTFUL).sum()),
            "scored": len(scores),
        },
        "visible": float(np.median(index.visible)),
        "settings": setting_rows(dataset.runs),
    }  # fmt: skip


def _mean_fidelity(index: Index, object_index: int) -> float | None:
    if index.fidelity is None:
        return None
    judged = index.fidelity[(index.object_index == object_index) & ~np.isnan(index.fidelity)]
    return float(judged.mean()) if len(judged) else None


def _points(dataset: ReportedDataset) -> dict[str, Any]:
    """What charts and filters count: a few small numbers for each crop, as base64 columns."""
    index = dataset.index
    rows = np.linspace(0, len(index) - 1, min(len(index), MOST_POINTS)).round().astype(np.int64)
    near, far = float(index.centre_depth.min()), float(index.centre_depth.max())
    columns = {
        "object": index.object_index[rows].astype("<u2"),
        "cell": view_cells(dataset.direction[rows]).astype("<u2"),
        "turn": _binned(index.turn[rows], -180.0, 180.0, _BINS),
        "distance": _binned(index.centre_depth[rows], near, far, _BINS),
        "visible": _binned(index.visible[rows], 0.0, 1.0, _BINS),
    }
    if index.fidelity is not None:
        fidelity = index.fidelity[rows]
        steps = np.rint(np.nan_to_num(fidelity).clip(0, 1) * _FIDELITY_STEPS)
        columns["fidelity"] = np.where(np.isnan(fidelity), _NO_FIDELITY, steps).astype("<u2")
    return {
        "count": len(rows),
        "distances": [near, far],
        "steps": _FIDELITY_STEPS,
        "columns": {
            name: base64.b64encode(column.tobytes()).decode() for name, column in columns.items()
        },
    }


def _binned(values: NDArray[np.float64], low: float, high: float, bins: int) -> NDArray[np.uint8]:
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return (share * bins).clip(0, bins - 1).astype(np.uint8)
