"""Crops out of an existing dataset's frames, as a dataset of ours."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._config import SHARD_SIZE
from render_adapt._exceptions import DatasetError
from render_adapt._existing.cutting import Cut, Cuts, Cutter, find_cuts, without_unseen
from render_adapt._existing.folder import refuse_overlap
from render_adapt._existing.frames import dataset_models
from render_adapt._existing.scenes import read_scenes
from render_adapt._existing.settings import CropConfig, CropSummary
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._files import hash_file, writing
from render_adapt._formats.bop_scenes import write_dataset_files
from render_adapt._formats.index import Provenance
from render_adapt._formats.pixel_centre import KEY
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.registry import finish_dataset, make_writers
from render_adapt._formats.shard import Shard
from render_adapt._readers.load import load
from render_adapt._runs.labelled_shard import LabelledShard
from render_adapt._runs.manifest import config_hash, shard_range
from render_adapt._runs.run_folder import CONTINUE, RunFolder
from render_adapt._runs.sheet import enlarge, save_sheet
from renderer import cut_camera
from safe_files import write_file

SHEET = "contact_sheet.png"
TABLE = "cut_from.csv"
_PIXEL_CENTRE = 0.0
_DEPTH_NOISE = 10.0
"""Millimetres at 1 m: a fifth of how far half of an object's depth may be off its pose."""
_COLUMNS, _LINES = 8, 3
"""Of the contact sheet."""
_OUTLINE = (0, 255, 80)


def crop_dataset(
    dataset: Path, config: CropConfig, on_progress: Callable[[int, int], None] | None = None
) -> CropSummary:
    """Cut a crop around each object of a BOP dataset's frames, with its labels.

    Windows lie wholly within their frames, on whole pixels; K and poses are exact for them. The
    result is a dataset of ours, to `load`, train from and `verify`. The same call continues.

    Args:
        dataset: the folder that `train_pbr`, `test` and the like are in, or one of these.
        config: how, and where to.
        on_progress: called with (crops done, crops in all) at the start and after each shard.

    Raises:
        RenderAdaptError: one sentence that says why; nothing half-written counts as finished.
    """
    refuse_overlap(dataset, config.out)
    scenes = read_scenes(dataset)
    models = dataset_models(dataset, scenes, config.models, config.units)
    found = find_cuts(scenes, models, config)
    if not found.cuts:
        raise DatasetError(
            f"no object of {dataset} has a crop: of {found.beyond} the window reaches over the "
            f"frame's border, and {found.hidden} are hidden; give a smaller `window` or "
            "`min_visible`"
        )
    hashes = {
        f"{scene.name}/{name}": hash_file(scene.path / name, dataset)
        for scene in scenes
        for name in ("scene_camera.json", "scene_gt.json")
    }
    run = _describe(dataset, hashes, models, found, config)
    show = on_progress or (lambda done, total: None)
    work = _Work(config, run, found.cuts, models)
    with contextlib.closing(RunFolder(config.out)) as folder:
        folder.open(run)
        sha256, dropped = work.make(folder, show)
    names = load(config.out).columns["object"].tolist()
    return CropSummary(
        folder=config.out, crops=len(names),
        by_object={model.name: names.count(model.name) for model in models},
        beyond=found.beyond, hidden=found.hidden + dropped, contact_sheet=config.out / SHEET,
        sha256=sha256,
    )  # fmt: skip


@dataclass(frozen=True)
class _Work:
    config: CropConfig
    run: Mapping[str, Any]
    cuts: Sequence[Cut]
    models: Sequence[CadModel]

    def make(self, folder: RunFolder, on_progress: Callable[[int, int], None]) -> tuple[str, int]:
        """Make what is not there; the dataset's hash, and how many crops were dropped."""
        out, cutter = self.config.out, Cutter(self.models, self.config)
        done, _ = folder.sound(self.run)
        with writing(out, CONTINUE):
            size = self.config.size
            shared = write_dataset_files(
                out, self.models, self._camera(), size, size, _PIXEL_CENTRE
            )
            on_progress(sum(entry.stop - entry.start for entry in done.values()), self.run["n"])
            for shard in range(self.run["shards"]):
                if shard not in done:
                    prepared = folder.begin_shard(shard)
                    start, stop = shard_range(shard, self.run)
                    dropped = self._write(cutter, prepared, shard, start, stop)
                    done[shard] = folder.commit_shard(prepared, shard, start, stop, dropped=dropped)
                    on_progress(
                        sum(entry.stop - entry.start for entry in done.values()), self.run["n"]
                    )
            counts = {Shard(shard): entry.crops for shard, entry in done.items()}
            shared += finish_dataset(out, self.config.format, counts)
            write_file(out / TABLE, _table(self.cuts))
            _write_sheet(out / SHEET, cutter, self.cuts)
            sha256 = folder.finish(done.values(), [*shared, TABLE, SHEET])
        return sha256, sum(entry.dropped for entry in done.values())

    def _camera(self) -> NDArray[np.float64]:
        """A K that stands for the crops' own."""
        first = self.cuts[0]
        k = first.image.camera_matrix
        camera = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
        window = first.window
        return np.asarray(cut_camera(camera, [window.middle], [window.side], self.config.size)[0])

    def _write(
        self, cutter: Cutter, prepared: PreparedShard, shard: int, start: int, stop: int
    ) -> int:
        """Write a shard; how many of its crops were dropped."""
        writers = make_writers(
            self.config.format, prepared, Shard(shard), self.models, _PIXEL_CENTRE, "png"
        )
        labelled = LabelledShard(
            prepared, shard, self.models, cutter.renderer, writers, Provenance.of_run(self.run),
            _PIXEL_CENTRE,
        )  # fmt: skip
        for crops in cutter.cut(self.cuts[start:stop], start):
            labelled.add(FaithfulCrops.of_renders(without_unseen(crops)))
        labelled.close()
        return stop - start - labelled.crops


def _describe(
    dataset: Path,
    hashes: Mapping[str, str],
    models: Sequence[CadModel],
    found: Cuts,
    config: CropConfig,
) -> dict[str, Any]:
    """The dataset's manifest: what decides its bytes, and what its readers need."""
    decisive = {
        "adapter": None,
        "cut": {
            "dataset": dataset.resolve().name, "files": hashes, "min_visible": config.min_visible,
        },
        "format": config.format,
        "n": len(found.cuts),
        "objects": {
            model.name: {
                "obj_id": model.object_id, "origin": model.origin, "sha256": model.sha256,
            }
            for model in models
        },
        "order": [model.name for model in models],
        "plan": {"centre": config.centre, "size": config.size, "window": config.window},
        # What was in the frames; nothing was drawn at random.
        "randomization": {
            "background": ["frame"], "depth_noise": [0.0, _DEPTH_NOISE], "depth_sensor": "camera",
        },
        "seed": 0,
        "version": version("render-adapt"),
    }  # fmt: skip
    decisive = json.loads(json.dumps(decisive, default=str))
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
        "shards": -(-len(found.cuts) // SHARD_SIZE),
    }


def _table(cuts: Sequence[Cut]) -> str:
    """Where each crop was cut from, by its number in the index."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["index", "scene", "im_id", "instance", "left", "top", "side"])
    for number, cut in enumerate(cuts):
        window = cut.window
        frame = cut.scene.name, cut.image.im_id, cut.instance
        table.writerow([number, *frame, window.left, window.top, window.side])
    return text.getvalue()


def _write_sheet(path: Path, cutter: Cutter, cuts: Sequence[Cut]) -> None:
    """Draw some crops from all over the dataset, each beside itself with its outline."""
    count = min(len(cuts), _COLUMNS * _LINES)
    chosen = np.linspace(0, len(cuts) - 1, count).round().astype(int)
    tiles = [
        np.vstack([enlarge(crops.rgb[0]), _outlined(crops.rgb[0], crops.mask_visib[0])])
        for k in chosen
        for crops in cutter.cut([cuts[k]], int(k))
    ]
    blank = np.full_like(tiles[0], 255) if tiles else np.full((256, 128, 3), 255, np.uint8)
    tiles += [blank] * (_COLUMNS * _LINES - len(tiles))
    lines = [np.hstack(tiles[k : k + _COLUMNS]) for k in range(0, len(tiles), _COLUMNS)]
    save_sheet(path, np.vstack(lines))


def _outlined(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    picture = enlarge(rgb).copy()
    contours, _ = cv2.findContours(
        enlarge(mask.astype(np.uint8)), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(picture, contours, -1, _OUTLINE, 1)
    return picture
