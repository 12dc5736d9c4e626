"""An existing BOP dataset from its folder to an adapted one."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from adapter import Adapter, load_adapter
from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._existing.folder import (
    FORMAT,
    PROVENANCE,
    AdaptedFolder,
    put_file,
    refuse_overlap,
)
from render_adapt._existing.frames import dataset_models, models_hashes
from render_adapt._existing.pieces import Piece, PieceMaker, PieceRecord, pieces_of, read_record
from render_adapt._existing.scenes import SourceScene, read_scenes
from render_adapt._existing.settings import AdaptConfig, AdaptSummary
from render_adapt._fidelity.calibration import write_calibration
from render_adapt._fidelity.judge import make_judge
from render_adapt._files import MOST_BYTES, MOST_TEXT, hash_file, writing
from render_adapt._runs.executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._runs.manifest import config_hash
from render_adapt._runs.run_folder import CONTINUE
from render_adapt._verdict.words import note_of
from safe_files import parse_json, read_file

_ADAPTED = ("rgb", "depth")
"""Folders of a scene that are written anew; all else is carried over."""
_SHARED = ("camera*.json", "dataset_info.md", "test_targets*.json")
"""Files of a dataset that are of no scene, by BOP's names."""


def adapt_dataset(
    dataset: Path, config: AdaptConfig, on_progress: Callable[[int, int], None] | None = None
) -> AdaptSummary:
    """Adapt every object of an existing BOP dataset, scene-wise, into a new one.

    Pictures, and depth where the adapter makes it, are written anew in files of the same kind; all
    labels are carried over byte for byte, and stay true: pixels change on objects alone, and depth
    where it was measured. The same call continues what was stopped; a scene is whole or absent.

    Args:
        dataset: the folder that `train_pbr`, `test` and the like are in, or one of these.
        config: how, and where to.
        on_progress: called with (images done, images in all) at the start and after each piece.

    Raises:
        RenderAdaptError: one sentence that says why; nothing half-written counts as finished.
    """
    started = time.perf_counter()
    refuse_overlap(dataset, config.out)
    scenes = read_scenes(dataset)
    models = dataset_models(dataset, scenes, config.models, config.units)
    adapter = load_adapter(config.adapter, threads=1)
    description = _describe(dataset, scenes, models, config, adapter)
    folder = AdaptedFolder(config.out)
    with contextlib.closing(folder):
        folder.begin(description)
        todo = [scene for scene in scenes if not folder.is_whole(scene)]
        work = _Work(config, folder, models, description, on_progress or (lambda done, total: None))
        made = work.make(todo, sum(len(scene.images) for scene in scenes))
        with writing(config.out, CONTINUE):
            shared = list(_copy_shared(dataset, config.out))
            sha256 = folder.finish(scenes, shared)
    learnt = adapter.info.class_names
    unknown = tuple(model.name for model in models if learnt and model.name not in learnt)
    seconds = time.perf_counter() - started
    summary = _summary(config.out, scenes, made, unknown, seconds, sha256)
    return replace(summary, note=note_of(adapter.info, str(config.adapter)) or "")


@dataclass(frozen=True)
class _Work:
    config: AdaptConfig
    folder: AdaptedFolder
    models: Sequence[CadModel]
    description: Mapping[str, Any]
    on_progress: Callable[[int, int], None]

    def make(self, scenes: Sequence[SourceScene], total: int) -> int:
        """Make scenes that are not there, and commit each; returns how many images were made."""
        pieces = pieces_of(scenes)
        waiting = {scene.name: 0 for scene in scenes}
        todo = []
        done = total - sum(len(scene.images) for scene in scenes)
        for number, piece in enumerate(pieces):
            if read_record(self.folder, piece) is None:
                todo.append(number)
                waiting[piece.scene.name] += 1
            else:
                done += piece.stop - piece.start
        self.on_progress(done, total)
        for scene in scenes:
            if not waiting[scene.name]:
                self._commit(scene, pieces)
        made = 0
        with contextlib.closing(self._made(pieces, todo)) as numbers:
            for number in numbers:
                piece = pieces[number]
                made += piece.stop - piece.start
                self.on_progress(done + made, total)
                waiting[piece.scene.name] -= 1
                if not waiting[piece.scene.name]:
                    self._commit(piece.scene, pieces)
        return made

    def _made(self, pieces: Sequence[Piece], todo: Sequence[int]) -> Generator[int, None, None]:
        """Numbers of pieces, as they are made; where there are none, nothing is loaded either."""
        if not todo:
            return
        workers = min(self.config.workers, len(todo))
        executor: Executor[int] = ProcessExecutor(workers) if workers > 1 else SerialExecutor()
        provenance = {
            "adapter_sha256": self.description["adapter"]["generator.onnx"],
            "config_sha256": self.description["config_sha256"],
            "seed": self.config.seed,
            "version": self.description["version"],
        }
        make_worker = functools.partial(PieceMaker, self.config, self.models, pieces, provenance)
        with contextlib.closing(executor.map(make_worker, todo)) as numbers:
            yield from numbers

    def _commit(self, scene: SourceScene, pieces: Sequence[Piece]) -> None:
        """Put a scene whose images are all made together, and in its place."""
        prepared = self.folder.prepared(scene)
        hashes: dict[str, str] = {}
        entries: dict[str, Any] = {}
        for piece in (piece for piece in pieces if piece.scene.name == scene.name):
            record: PieceRecord | None = read_record(self.folder, piece)
            if record is None:
                raise DatasetError(
                    f"something of {prepared} is gone while it is made: find out which program "
                    "takes it, and give the same command to continue"
                )
            hashes |= {name: sha256 for name, (sha256, _) in record.files.items()}
            entries |= record.images
        with writing(self.folder.path, CONTINUE):
            for file in _carried_over(scene):
                name = file.relative_to(scene.path).as_posix()
                hashes[name] = put_file(prepared / name, _content(file, scene.dataset))
            lines = (f"  {json.dumps(key)}: {json.dumps(entries[key])}" for key in entries)
            text = "{\n" + ",\n".join(lines) + "\n}\n"
            hashes[PROVENANCE] = put_file(prepared / PROVENANCE, text.encode())
            self.folder.commit(scene, hashes)


def _describe(
    dataset: Path,
    scenes: Sequence[SourceScene],
    models: Sequence[CadModel],
    config: AdaptConfig,
    adapter: Adapter,
) -> dict[str, Any]:
    """What decides the bytes, as JSON has it."""
    calibration = make_judge(config.adapter, adapter).calibration
    decisive = {
        "adapter": dict(adapter.info.sha256),
        "dataset": dataset.resolve().name,
        "fidelity": {
            "calibration_sha256": hashlib.sha256(
                write_calibration(calibration).encode()
            ).hexdigest(),
            "judge_sha256": calibration.judge_sha256,
            "min_fidelity": config.min_fidelity,
            "redraws": config.redraws,
        },
        "format": FORMAT,
        "models": models_hashes(models),
        "scenes": {
            scene.name: {
                "images": len(scene.images),
                **{
                    name: hash_file(scene.path / name, dataset)
                    for name in ("scene_camera.json", "scene_gt.json")
                },
            }
            for scene in scenes
        },
        "seed": config.seed,
        "version": version("render-adapt"),
    }
    return {**decisive, "config_sha256": config_hash(decisive)}


def _carried_over(scene: SourceScene) -> Iterator[Path]:
    """A scene's files but for its pictures."""
    for file in _files_below(scene.path):
        if file.relative_to(scene.path).parts[0] not in (*_ADAPTED, PROVENANCE):
            yield file


def _copy_shared(dataset: Path, out: Path) -> Iterator[str]:
    """Copy what is of no scene; the names of the files."""
    files = [file for pattern in _SHARED for file in sorted(dataset.glob(pattern))]
    for folder in sorted(dataset.glob("models*")):
        files += _files_below(folder)
    for file in files:
        name = file.relative_to(dataset).as_posix()
        put_file(out / name, _content(file, dataset))
        yield name


def _files_below(folder: Path) -> list[Path]:
    """Files in a folder and in those below it, but for hidden ones."""
    files = (file for file in folder.rglob("*") if not file.is_dir())
    return sorted(
        file
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _content(file: Path, inside: Path) -> bytes:
    try:
        return read_file(file, most=MOST_BYTES, inside=inside)
    except OSError as error:
        raise DatasetError(
            f"{file} cannot be read ({error.strerror}): take it from a copy"
        ) from None


def _summary(
    out: Path,
    scenes: Sequence[SourceScene],
    made: int,
    unknown: tuple[str, ...],
    seconds: float,
    sha256: str,
) -> AdaptSummary:
    """From what the scenes say of themselves."""
    objects = []
    for scene in scenes:
        file = out / scene.name / PROVENANCE
        entries = parse_json(read_file(file, most=MOST_TEXT, inside=out))
        objects += [entry for image in entries.values() for entry in image["objects"]]
    known = [entry["fidelity"] for entry in objects if entry["fidelity"] is not None]
    attempts = np.array([entry["noise_attempt"] for entry in objects], np.int64)
    return AdaptSummary(
        folder=out,
        images=sum(len(scene.images) for scene in scenes),
        images_made=made,
        objects=len(objects),
        left=int((attempts < 0).sum()),
        redrawn=int((attempts > 0).sum()),
        fidelity=float(np.median(known)) if known else float("nan"),
        unknown=unknown,
        seconds=seconds,
        sha256=sha256,
    )
