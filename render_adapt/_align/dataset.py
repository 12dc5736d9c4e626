"""The dataset of the crops that are kept, in the layout of every dataset of ours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.result import Result
from render_adapt._align.search import PoseSearch
from render_adapt._align.sheet import SHEET, write_aligned_sheet
from render_adapt._align.table import TABLE, table_text
from render_adapt._config import SHARD_SIZE
from render_adapt._exceptions import DatasetError
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._files import writing
from render_adapt._formats.bop_scenes import write_dataset_files
from render_adapt._formats.index import Provenance
from render_adapt._formats.pixel_centre import KEY
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.registry import finish_dataset, make_writers
from render_adapt._formats.shard import Shard
from render_adapt._runs.labelled_shard import LabelledShard
from render_adapt._runs.manifest import (
    LISTING,
    MANIFEST,
    config_hash,
    read_manifest,
    refuse_other_run,
    shard_range,
)
from render_adapt._runs.run_folder import CONTINUE, INCOMPLETE, RunFolder
from renderer import CropBatch, PlanConfig, centre_points
from safe_files import write_file

_FORMATS = ("bop",)
_PIXEL_CENTRE = 0.0
_AT_ONCE = 64
_DEPTH_NOISE = 10.0
"""Millimetres at 1 m: a fifth of how far half of a real object's depth may be off its pose."""


def finished_run(out: Path, alignment: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What an alignment of the same settings found, where its dataset is there and nothing of it is
    gone.

    Args:
        out: the dataset's folder.
        alignment: all that decides what is written.

    Raises:
        DatasetError: the folder holds something else.
    """
    if not (out / MANIFEST).exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DatasetError(
                f"{out} holds files that are no alignment of ours: give `out` an empty or new "
                "folder"
            )
        return None
    manifest = read_manifest(out)
    refuse_other_run(
        {"alignment": manifest.get("alignment", {})}, {"alignment": _as_json(alignment)}, out
    )
    shards, _ = RunFolder(out).sound(manifest)
    parts = (LISTING, TABLE, SHEET)
    whole = len(shards) == manifest.get("shards") and all((out / name).is_file() for name in parts)
    found = manifest.get("aligned")
    return found if whole and not (out / INCOMPLETE).exists() else None


def write_alignment(
    out: Path,
    result: Result,
    models: Sequence[CadModel],
    plan: PlanConfig,
    seed: int,
    alignment: Mapping[str, Any],
    aligned: Mapping[str, Any],
    threads: int,
) -> None:
    """Write the crops that are kept as a dataset, with a table and a picture of all of them.

    Args:
        out: the dataset's folder, new or of the same alignment.
        result: what was found.
        models: the objects.
        plan: how the target's crops were cut.
        seed: the alignment's.
        alignment: all that decides what is written.
        aligned: what came of it, in numbers.
        threads: of the processor.

    Raises:
        DatasetError: the folder cannot be written, or holds something else.
    """
    run = _describe(result, models, plan, seed, alignment, aligned)
    search = PoseSearch(models, plan.size, threads, levels=False)
    shards = _Shards(run, result, models, plan, search)
    with contextlib.closing(RunFolder(out)) as folder:
        folder.open(run)
        done, _ = folder.sound(run)
        with writing(out, CONTINUE):
            camera = result.view.camera_matrix.mean(axis=0)
            shared = write_dataset_files(out, models, camera, plan.size, plan.size, _PIXEL_CENTRE)
            for shard in range(run["shards"]):
                if shard not in done:
                    prepared = folder.begin_shard(shard)
                    start, stop = shards.write(prepared, shard)
                    done[shard] = folder.commit_shard(prepared, shard, start, stop)
            shared += finish_dataset(out, _FORMATS, {Shard(k): done[k].crops for k in done})
            write_file(out / TABLE, table_text(result, models))
            write_aligned_sheet(out / SHEET, result, models, search)
            folder.finish(done.values(), [*shared, TABLE, SHEET])


@dataclass(frozen=True)
class _Shards:
    """Writes shards of the crops that are kept."""

    run: Mapping[str, Any]
    result: Result
    models: Sequence[CadModel]
    plan: PlanConfig
    search: PoseSearch

    def write(self, prepared: PreparedShard, shard: int) -> tuple[int, int]:
        """Write one; its first crop, and the first one after it."""
        rows = np.flatnonzero(self.result.kept)
        start, stop = shard_range(shard, self.run)
        writers = make_writers(_FORMATS, prepared, Shard(shard), self.models, _PIXEL_CENTRE, "png")
        labelled = LabelledShard(
            prepared, shard, self.models, self.search.renderer, writers,
            Provenance.of_run(self.run), _PIXEL_CENTRE,
        )  # fmt: skip
        for first in range(start, stop, _AT_ONCE):
            some = rows[first : min(first + _AT_ONCE, stop)]
            labelled.add(FaithfulCrops.of_renders(self._labelled(some, first)))
        labelled.close()
        return start, stop

    def _labelled(self, rows: NDArray[np.int64], first: int) -> CropBatch:
        """Crops of the camera with the masks of their poses; their numbers begin at `first`."""
        poses, view = self.result.poses[rows], self.result.view
        points = centre_points(self.models, self.plan.centre)[poses.object_index]
        middle = (poses.rotation @ points[:, :, None])[:, :, 0] + poses.translation
        plans = replace(
            self.search.plans(poses),
            index=first + np.arange(len(rows)),
            centre_depth=middle[:, 2],
        )
        drawn = self.search.renderer.render(plans)
        depth = np.zeros_like(drawn.depth)
        if view.depth is not None:
            measured = view.depth[rows] + view.centre_depth[rows, None, None]
            depth = np.where(np.isfinite(measured), measured, 0).astype(np.float32)
        return replace(drawn, rgb=view.rgb[rows], depth=depth)


def _describe(
    result: Result,
    models: Sequence[CadModel],
    plan: PlanConfig,
    seed: int,
    alignment: Mapping[str, Any],
    aligned: Mapping[str, Any],
) -> dict[str, Any]:
    """The dataset's manifest: what decides its bytes, and what its readers need."""
    kept = int(result.kept.sum())
    decisive = {
        "adapter": None,
        "aligned": aligned,
        "alignment": alignment,
        "format": _FORMATS,
        "n": kept,
        "objects": {
            model.name: {
                "obj_id": model.object_id, "origin": model.origin, "sha256": model.sha256,
            }
            for model in models
        },
        "order": [model.name for model in models],
        "plan": {"centre": plan.centre, "size": plan.size, "window": plan.window},
        # What the camera saw; nothing of it was drawn at random.
        "randomization": {
            "background": ["camera"], "depth_noise": [0.0, _DEPTH_NOISE], "depth_sensor": "camera",
        },
        "seed": seed,
        "version": version("render-adapt"),
    }  # fmt: skip
    decisive = _as_json(decisive)
    return {
        **decisive,
        "config_sha256": config_hash(decisive),
        "conventions": {
            "axes": "OpenCV: x right, y down, z forward; right-handed",
            "depth": "z in millimetres = PNG value * depth_scale; 0 = no measurement",
            KEY: _PIXEL_CENTRE,
            "pose": "model to camera, millimetres",
            "quaternion": "w, x, y, z; unit; w >= 0",
        },
        "shard_size": SHARD_SIZE,
        "shards": -(-kept // SHARD_SIZE),
    }


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain
