"""Pieces of scenes: some images, read, adapted and written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import load_adapter
from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._existing.folder import AdaptedFolder, put_file
from render_adapt._existing.frames import FrameReader, StoredImage
from render_adapt._existing.scenes import SourceScene
from render_adapt._existing.settings import AdaptConfig
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._fidelity.judge import make_judge
from render_adapt._files import MOST_TEXT, flush_all, writing
from render_adapt._frames.adapting import adapt_frames
from render_adapt._runs.run_folder import CONTINUE
from safe_files import parse_json, read_file, write_file

SIZE = 32
"""Images of a piece: what a run that is killed does anew at most, for each worker."""
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Piece:
    """Images `start` to `stop` of a scene, by their place in it."""

    scene: SourceScene
    start: int
    stop: int


@dataclass(frozen=True)
class PieceRecord:
    """What was made of a piece."""

    files: Mapping[str, tuple[str, int]]
    """SHA-256 and bytes of what was written, by name within the scene."""
    images: Mapping[str, Any]
    """Entries of `scene_adapted.json`."""


def pieces_of(scenes: Sequence[SourceScene]) -> list[Piece]:
    """All pieces of some scenes."""
    return [
        Piece(scene, start, min(start + SIZE, len(scene.images)))
        for scene in scenes
        for start in range(0, len(scene.images), SIZE)
    ]


def read_record(folder: AdaptedFolder, piece: Piece) -> PieceRecord | None:
    """What was made of a piece, where it is all there; of another size counts as not there."""
    path, prepared = folder.record(piece.scene, piece.start), folder.prepared(piece.scene)
    try:
        content = parse_json(read_file(path, most=MOST_TEXT, inside=folder.path))
        files = {name: (str(sha), int(size)) for name, (sha, size) in content["files"].items()}
        whole = all((prepared / name).stat().st_size == size for name, (_, size) in files.items())
        images: Mapping[str, Any] = content["images"]
        return PieceRecord(files, images) if whole else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


class PieceMaker:
    """Makes pieces; one per worker process.

    Args:
        config: the settings.
        models: the dataset's objects.
        pieces: all of them.
        provenance: what each image's entry says beside what became of its objects.
    """

    def __init__(
        self,
        config: AdaptConfig,
        models: Sequence[CadModel],
        pieces: Sequence[Piece],
        provenance: Mapping[str, Any],
    ) -> None:
        cv2.setNumThreads(1)
        self._config = config
        self._pieces = pieces
        self._provenance = provenance
        self._folder = AdaptedFolder(config.out)
        self._adapter = load_adapter(config.adapter, threads=1)
        self._judge = make_judge(config.adapter, self._adapter)
        self._reader = FrameReader(models)

    def __call__(self, number: int) -> int:
        """Make a piece; returns its number."""
        piece = self._pieces[number]
        files: dict[str, tuple[str, int]] = {}
        entries: dict[str, Any] = {}
        images = piece.scene.images[piece.start : piece.stop]
        with writing(self._config.out, CONTINUE):
            for stored, frames in self._reader.read(piece.scene, images):
                if frames is None:
                    self._write(piece.scene, stored[0], None, None, files)
                    entries[str(stored[0].image.im_id)] = self._entry(stored[0], None, 0)
                    continue
                done = adapt_frames(
                    frames, self._reader.models, self._adapter, self._judge,
                    seed=self._config.seed, min_fidelity=self._config.min_fidelity,
                    redraws=self._config.redraws,
                )  # fmt: skip
                for row, one in enumerate(stored):
                    changed = (done.crops.rgb[row] != frames.rgb[row]).any()
                    rgb = done.crops.rgb[row] if changed else None
                    depth = _changed_steps(one, frames.depth[row], done.crops.depth[row])
                    self._write(piece.scene, one, rgb, depth, files)
                    entries[str(one.image.im_id)] = self._entry(one, done, row)
            # Nothing may count as written that is not on the disk itself.
            flush_all()
            record = {"files": files, "images": entries}
            write_file(self._folder.record(piece.scene, piece.start), json.dumps(record) + "\n")
        return number

    def _write(
        self,
        scene: SourceScene,
        stored: StoredImage,
        rgb: NDArray[np.uint8] | None,
        depth: NDArray[np.uint16] | None,
        files: dict[str, tuple[str, int]],
    ) -> None:
        """Write an image's pictures; of those that are None, the files that they were."""
        prepared, image = self._folder.prepared(scene), stored.image
        contents: list[tuple[Path, bytes]] = [
            (image.rgb, stored.rgb if rgb is None else _encoded(image.rgb, rgb))
        ]
        if image.depth is not None and stored.depth is not None:
            content = stored.depth if depth is None else _encoded(image.depth, depth)
            contents.append((image.depth, content))
        for file, content in contents:
            name = file.relative_to(scene.path).as_posix()
            files[name] = put_file(prepared / name, content), len(content)

    def _entry(self, stored: StoredImage, done: FaithfulCrops | None, row: int) -> dict[str, Any]:
        """An image's entry of `scene_adapted.json`."""
        objects = []
        if done is not None and done.others is not None:
            fidelity = [done.scores.fidelity[row], *done.others.fidelity[row]]
            attempt = [done.attempt[row], *done.others.attempt[row]]
            for place, instance in enumerate(stored.seen):
                score = float(fidelity[place])
                objects.append(
                    {
                        "fidelity": None if np.isnan(score) else score,
                        "instance": instance,
                        "noise_attempt": int(attempt[place]),
                        "place": place,
                    }
                )
        return {**self._provenance, "objects": objects}


def _changed_steps(
    stored: StoredImage, before: NDArray[np.float32], after: NDArray[np.float32]
) -> NDArray[np.uint16] | None:
    """A depth file's steps with what was changed; None where nothing was, or there is no file."""
    differs = before != after
    if stored.steps is None or not differs.any():
        return None
    steps = stored.steps.copy()
    # What was measured stays so.
    new = np.rint(after[differs] / stored.image.depth_scale).clip(1, 65535)
    steps[differs] = new.astype(np.uint16)
    return steps


def _encoded(file: Path, picture: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """A picture as a file of the same kind."""
    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
    suffix = file.suffix.lower()
    options = {
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    }
    is_encoded, content = cv2.imencode(suffix, picture, options.get(suffix, []))
    if not is_encoded:
        raise DatasetError(f"{file} is of a kind that cannot be written here: convert it to PNG")
    return content.tobytes()
