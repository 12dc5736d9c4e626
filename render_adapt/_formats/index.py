"""The index: one row per crop with its pose as a quaternion and where it came from."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._fidelity.faithful import Decisions
from render_adapt._fidelity.judge import FidelityScores
from render_adapt._formats.carried_shard import CarriedShard
from render_adapt._formats.image import numbers
from render_adapt._formats.labels import InstanceLabel, box_corners
from render_adapt._formats.pixel_centre import INSIDE, recounted
from renderer import CropBatch, quaternion_from_matrix


@dataclass(frozen=True)
class Provenance:
    """Where a crop came from: columns that say so wherever the row goes."""

    seed: int
    """The run's."""
    config_sha256: str
    """As in the run's manifest: of all that decides its bytes."""
    adapter_sha256: str | None
    """Of the adapter's network, the file `generator.onnx`; None for plain renders."""
    version: str
    """Of render-adapt."""

    @staticmethod
    def of_run(manifest: Mapping[str, Any]) -> Provenance:
        """What the manifest of a run says."""
        return Provenance(
            seed=manifest["seed"],
            config_sha256=manifest["config_sha256"],
            adapter_sha256=manifest["adapter"] and manifest["adapter"]["generator.onnx"],
            version=manifest["version"],
        )


_COLUMNS = {
    "index": "int64",
    "scene_id": "int32",
    "im_id": "int32",
    "object": "string",
    "obj_id": "int32",
    "quaternion": "vector[4]",
    "translation": "vector[3]",
    "camera_matrix": "vector[9]",
    "centre_depth": "float64",
    "bbox_obj": "box",
    "bbox_visib": "box",
    "visib_fract": "float64",
    "box_corners": "vector[16]",
    "others": "int32",
    "light_direction": "vector",
    "fidelity": "float64",
    "fidelity_edges": "float64",
    "fidelity_depth": "float64",
    "fidelity_judge": "float64",
    "noise_attempt": "int32",
    "seed": "int64",
    "config_sha256": "string",
    "adapter_sha256": "string",
    "version": "string",
}
"""The index's columns; a vector is a list of float64, a number in brackets its length, a box four
int32."""
_COLUMNS_OF_FRAMES = {"others_fidelity": "vector", "others_noise_attempt": "integers"}
"""Further ones, where frames were adapted; integers are a list of int32."""
_COLUMNS_OF_SPLITS = {"split": "string"}
"""Of runs with splits."""


def index_rows(
    crops: CropBatch,
    labels: Sequence[Sequence[InstanceLabel]],
    models: Sequence[CadModel],
    provenance: Provenance,
    scores: FidelityScores,
    attempt: NDArray[np.int32],
    *,
    shard: int,
    first_image: int,
    pixel_centre: float,
    others: Decisions | None = None,
    split: str | None = None,
) -> list[dict[str, Any]]:
    """Rows for a batch of crops: of each its target, and how many other objects it shows.

    Convention:
        `quaternion` is (w, x, y, z), unit, w >= 0, model to camera; millimetres; `camera_matrix`
        is row-major, and the first pixel's centre is at (`pixel_centre`, `pixel_centre`) in its
        coordinates. `box_corners` holds u and v, in the same coordinates, of the bounding box's
        eight projected corners in turn, from the least x, y, z to the greatest, z changing first
        and x last. `light_direction` holds x, y, z of each light that is on. `seed` and
        `index` redraw the crop: its plan is stream 0 (scene 3, surfaces 4) and its noise vector
        stream 2 of `numpy.random.default_rng([seed, index, stream])`, and if `noise_attempt` is
        above 0, of `default_rng([seed, index, 2, noise_attempt])`. `fidelity` and its parts are
        from 0 to 1 (docs/fidelity.md), null where there is nothing to judge by.

        Of adapted frames `fidelity` and `noise_attempt` are the target's, and
        `others_fidelity` and `others_noise_attempt` those of the other objects, in the order of
        `scene_gt.json`; the k-th of them has its noise vector from `default_rng([seed, index, 2,
        attempt, k])`. An attempt of -1 is an object that was left as rendered.
    """

    def known(score: float) -> float | None:
        return None if np.isnan(score) else float(score)

    plans = crops.plans
    quaternions = quaternion_from_matrix(plans.rotation)
    corners = box_corners(plans, models).reshape(len(plans), 16) + (pixel_centre - INSIDE)
    cameras = recounted(plans.camera_matrix, INSIDE, pixel_centre)
    rows = []
    for row, (label, *other_labels) in enumerate(labels):
        lit = plans.light_color[row].any(axis=1)
        model = models[plans.object_index[row]]
        rows.append(
            {
                "index": int(plans.index[row]),
                "scene_id": shard,
                "im_id": first_image + row,
                "object": model.name,
                "obj_id": model.object_id,
                "quaternion": numbers(quaternions[row]),
                "translation": numbers(plans.translation[row]),
                "camera_matrix": numbers(cameras[row]),
                "centre_depth": float(plans.centre_depth[row]),
                "bbox_obj": list(label.bbox_obj),
                "bbox_visib": list(label.bbox_visib),
                "visib_fract": label.visib_fract,
                "box_corners": numbers(corners[row]),
                "others": len(other_labels),
                "light_direction": numbers(plans.light_direction[row, lit]),
                "fidelity": known(scores.fidelity[row]),
                "fidelity_edges": known(scores.edges[row]),
                "fidelity_depth": known(scores.depth[row]),
                "fidelity_judge": known(scores.judge[row]),
                "noise_attempt": int(attempt[row]),
                **vars(provenance),
            }
        )
        if others is not None:
            shown = np.flatnonzero(plans.others.object_index[row] >= 0)
            rows[-1]["others_fidelity"] = numbers(others.fidelity[row, shown])
            rows[-1]["others_noise_attempt"] = others.attempt[row, shown].tolist()
        if split is not None:
            rows[-1]["split"] = split
    return rows


def carried_rows(
    columns: Mapping[str, NDArray[Any]],
    shard: CarriedShard,
    *,
    as_adapted_frames: bool,
    with_split: bool,
) -> list[dict[str, Any]]:
    """The rows of a shard's index, as another dataset has them: where their crops are there, and
    what their objects are. All else, what made them above all, stays.

    Args:
        columns: of the index, as `read_columns` gives them.
        shard: the shard.
        as_adapted_frames: whether rows say what became of objects beside the target, as those of
            adapted frames do; of frames that were not adapted nothing did.
        with_split: whether rows say which split they are of.

    Raises:
        LookupError, TypeError, ValueError: they are not as they are written here.
    """
    rows = []
    more = _COLUMNS_OF_FRAMES if as_adapted_frames else {}
    for row in range(len(columns["index"])):
        values = {name: _plain(columns[name][row]) for name in (_COLUMNS | more) if name in columns}
        one = shard.numbering.by_name[values["object"]]
        if as_adapted_frames:
            count = values["others"]
            values = {
                "others_fidelity": [math.nan] * count, "others_noise_attempt": [0] * count,
            } | values  # fmt: skip
        rows.append(
            values
            | {"scene_id": shard.becomes.number, "object": one.name, "obj_id": one.object_id}
            | ({"split": shard.becomes.split} if with_split else {})
        )
    return rows


def _plain(value: Any) -> Any:
    """As rows have it: arrays as lists, what is not known as None."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    plain = value.item() if isinstance(value, np.generic) else value
    return None if plain != plain else plain


def index_file(rows: Sequence[dict[str, Any]]) -> bytes:
    """The Parquet file of rows."""
    # pyarrow is five times as large, and refuses numpy of before 2, which Blender's Python has.
    from arro3.core import Array, DataType, Table, fixed_size_list_array, list_array
    from arro3.io import write_parquet

    def column(values: list[Any], kind: str) -> Any:
        if kind == "vector":
            starts = np.cumsum([0, *map(len, values)])
            return list_array(Array(starts.astype(np.int32)), flat(values, "float64"))
        if kind.startswith("vector"):
            return fixed_size_list_array(flat(values, "float64"), int(kind[7:-1]))
        if kind == "integers":
            starts = np.cumsum([0, *map(len, values)])
            return list_array(Array(starts.astype(np.int32)), flat(values, "int32"))
        if kind == "box":
            return fixed_size_list_array(flat(values, "int32"), 4)
        return Array(values, getattr(DataType, kind)())

    def flat(rows: list[Any], kind: str) -> Any:
        return Array([entry for row in rows for entry in row], getattr(DataType, kind)())

    more = _COLUMNS_OF_FRAMES | _COLUMNS_OF_SPLITS
    kinds = _COLUMNS | {name: more[name] for name in more if rows and name in rows[0]}
    columns = {name: column([row[name] for row in rows], kind) for name, kind in kinds.items()}
    file = io.BytesIO()
    write_parquet(Table.from_pydict(columns), file, compression="snappy")
    return file.getvalue()
