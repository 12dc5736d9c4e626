"""What BlenderProc's renderer gave, with its objects as a camera would show them."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from adapter import Adapter, load_adapter
from checked_settings import AtLeast, Between, check
from render_adapt._config import MOST_REDRAWS
from render_adapt._fidelity.faithful import FaithfulCrops
from render_adapt._fidelity.judge import Judge, make_judge
from render_adapt._frames.adapting import adapt_frames
from render_adapt.blenderproc._frames import frame_of
from render_adapt.blenderproc._pictures import (
    DEPTHS,
    colors_of,
    depth_of,
    ray_lengths,
    segmentation_of,
)
from render_adapt.blenderproc._scene import SceneError, SceneFrames, read_scene
from renderer import CropBatch

_ADAPTED = "adapted"
_SEED = "BLENDER_PROC_RANDOM_SEED"
"""The variable that BlenderProc seeds Python's and numpy's generators by."""
_MILLIMETRES = 1000.0


def adapt(
    data: Mapping[str, Any],
    adapter: Path | str = "shipped",
    *,
    target_objects: Sequence[Any] | None = None,
    seed: int | None = None,
    min_fidelity: float = 0.0,
    redraws: int = 3,
) -> dict[str, Any]:
    """Pass every labelled object of rendered frames through an adapter.

    To be called after `bproc.renderer.render()`, while the camera's and the objects' poses are
    those that were rendered. Pixels change where labelled objects are seen, and nowhere else; depth
    there changes where there is some, if the adapter makes it. Nothing is changed in the scene, nor
    drawn from Python's or numpy's generators.

    Convention:
        BlenderProc's own: metres; `depth` along the camera's axis, `distance` along each pixel's
        ray.

    Args:
        data: what `bproc.renderer.render()` returned, which is not changed: `colors`, `depth` or
            `distance`, and segmentation by instance (or by category, where no two objects share
            one).
        adapter: `shipped`, a name, or a trained adapter's folder.
        target_objects: as for `bproc.writer.write_bop`: which objects; all that are not hidden and
            have a `category_id` above 0, if not given.
        seed: of the noise vectors, which follow from it, from what a frame shows and from each
            object's place among the labelled ones; BlenderProc's (BLENDER_PROC_RANDOM_SEED), or 0
            where it has none, if not given.
        min_fidelity: the least label fidelity that will do, 0 to 1 (docs/fidelity.md): an object
            below it is adapted anew, and left as rendered where that does not help; 0 takes all.
        redraws: how often an object is adapted anew at most.

    Returns:
        The same with other `colors`, `depth` and `distance`, and with `adapted`: for each frame a
        list of what became of its objects, with `name`, `category_id`, `fidelity` (None where it
        could not be told) and `noise_attempt` (-1: left as rendered).

    Raises:
        SettingError: a value is out of range.
        SceneError: something is missing, or not as it is needed; the sentence says which of
            BlenderProc's calls makes it.
        AdapterError: the adapter cannot be read.
    """
    settings = _Settings(_seed() if seed is None else seed, min_fidelity, redraws)
    scene = read_scene(target_objects)
    colors, depth = colors_of(data, scene), depth_of(data, scene)
    segmentation = segmentation_of(data, scene)
    network, judge = _loaded(str(adapter))
    models = [item.model for item in scene.objects]
    changed: dict[str, list[Any]] = {key: [] for key in ("colors", *DEPTHS) if key in data}
    entries = []
    for row in range(len(scene)):
        seen = segmentation.seen(row)
        frame = frame_of(scene, row, colors[row][..., :3], depth[row], seen)
        done = adapt_frames(
            _numbered(frame), models, network, judge, seed=settings.seed,
            min_fidelity=settings.min_fidelity, redraws=settings.redraws,
        )  # fmt: skip
        changed["colors"].append(_recolored(colors[row], done.crops))
        for key in changed.keys() & set(DEPTHS):
            moved = (done.crops.depth[0] - frame.depth[0]) / _MILLIMETRES
            changed[key].append(_moved(data[key][row], moved, key, scene))
        entries.append(_entries(scene, row, done, seen))
    return {**data, **changed, _ADAPTED: entries}


@dataclass(frozen=True)
class _Settings:
    seed: Annotated[int, AtLeast(0)]
    min_fidelity: Annotated[float, Between(0, 1)]
    redraws: Annotated[int, Between(0, MOST_REDRAWS)]

    def __post_init__(self) -> None:
        check(self)


def _seed() -> int:
    """BlenderProc's."""
    text = os.environ.get(_SEED) or "0"
    if not text.isdecimal():
        raise SceneError(
            f"{_SEED} is {text:.40}, by which no noise vector can be drawn: give `seed`, or a "
            "whole number that is not below 0"
        )
    return int(text)


@functools.lru_cache(maxsize=1)
def _loaded(adapter: str) -> tuple[Adapter, Judge]:
    """Scripts that render many scenes call with one adapter again and again."""
    network = load_adapter(adapter)
    return network, make_judge(adapter, network)


def _numbered(frame: CropBatch) -> CropBatch:
    """The frame with a number that follows from what it shows: scripts render frame 0 of many
    scenes, in one process or in many."""
    digest = hashlib.sha256(frame.rgb.tobytes()).digest()
    number = np.array([int.from_bytes(digest[:7], "big")])
    return replace(frame, plans=replace(frame.plans, index=number))


def _recolored(colors: NDArray[np.uint8], adapted: CropBatch) -> NDArray[np.uint8]:
    """Transparency, where there is some, stays."""
    return np.concatenate([adapted.rgb[0], colors[..., 3:]], axis=-1)


def _moved(
    values: Any, moved: NDArray[np.float32], key: str, scene: SceneFrames
) -> NDArray[np.floating]:
    """A frame's depth or distance, which all pixels keep to the last bit that did not move."""
    before = np.asarray(values)
    along = moved if key == "depth" else moved * ray_lengths(scene)
    return np.where(moved != 0, before + along, before).astype(before.dtype)


def _entries(
    scene: SceneFrames, row: int, done: FaithfulCrops, seen: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """What became of the objects that are seen."""
    assert done.others is not None
    fidelity = [float(done.scores.fidelity[0]), *done.others.fidelity[0].tolist()]
    attempt = [int(done.attempt[0]), *done.others.attempt[0].tolist()]
    return [
        {
            "name": item.name,
            "category_id": item.category_id,
            "fidelity": None if np.isnan(fidelity[place]) else fidelity[place],
            "noise_attempt": attempt[place],
        }
        for place, item in enumerate(scene.objects)
        if seen[place].any()
    ]
