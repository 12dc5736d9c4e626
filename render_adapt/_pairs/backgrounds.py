"""What the camera saw behind objects: crops with something else of its world in their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import decode
from render_adapt._exceptions import DatasetError
from renderer import MOST_POSED, POSES, PicturePoses, write_poses
from safe_files import list_folder, write_file

_MARGIN = 3
"""Pixels around an object that count as its own: its pose may be off by some, and it has a rim."""
_DONORS = 8
"""Other crops that are looked at for each; the one that has most of what is missing goes first."""
_LEAST_SHIFT, _GREATEST_SHIFT = 0.15, 0.6
"""Of a crop's side: how far a donor is moved, since all have their objects in the middle."""
_STREAM = 80
MOST_KEPT = 500
"""Backgrounds that go with an adapter: as many as are read for a run."""


def fill_backgrounds(
    rgb: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Crops without their objects.

    Where an object was there are parts of other crops, moved and perhaps mirrored, whose colours
    are fitted to what is around (Perez et al., "Poisson Image Editing", SIGGRAPH 2003).

    Args:
        rgb: (N, S, S, 3).
        masks: (N, S, S), the objects.
        seed: decides which parts.
        on_progress: called with (done, in all).

    Returns:
        (N, S, S, 3).
    """
    kernel = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
    holes = np.stack([cv2.dilate(one.astype(np.uint8), kernel) > 0 for one in masks])
    filled = np.empty_like(rgb)
    for number in range(len(rgb)):
        random = np.random.default_rng([seed, number, _STREAM])
        patched, missing = _patched(rgb, holes, number, random)
        if missing.all():
            patched[:] = _mean_color(rgb, holes)
        elif missing.any():
            patched[:] = cv2.inpaint(patched, missing.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        filled[number] = _joined(rgb[number], patched, holes[number])
        if on_progress:
            on_progress(number + 1, len(rgb))
    return filled


def _patched(
    rgb: NDArray[np.uint8], holes: NDArray[np.bool_], number: int, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A crop whose hole has parts of others in it, and where there was none."""
    result, missing = rgb[number].copy(), holes[number].copy()
    if not missing.any():
        return result, missing
    donors = [_moved(rgb[k], holes[k], random) for k in random.integers(0, len(rgb), _DONORS)]
    while missing.any() and donors:
        gains = [(missing & known).sum() for _, known in donors]
        picture, known = donors.pop(int(np.argmax(gains)))
        taken = missing & known
        result[taken] = picture[taken]
        missing &= ~known
    return result, missing


def _moved(
    rgb: NDArray[np.uint8], hole: NDArray[np.bool_], random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A crop moved some way, perhaps mirrored, and where it has something to give."""
    size = len(rgb)
    angle = 2 * np.pi * random.random()
    reach = size * random.uniform(_LEAST_SHIFT, _GREATEST_SHIFT)
    shift = np.array([reach * np.sin(angle), reach * np.cos(angle)]).round().astype(int)
    if random.random() < 0.5:
        rgb, hole = rgb[:, ::-1], hole[:, ::-1]
    picture = np.roll(rgb, shift, axis=(0, 1))
    known = np.roll(~hole, shift, axis=(0, 1))
    for axis, by in enumerate(shift):
        wrapped = np.arange(size) < by if by > 0 else np.arange(size) >= size + by
        known = known & ~(wrapped[:, None] if axis == 0 else wrapped[None])
    return picture, known


def _joined(
    rgb: NDArray[np.uint8], patched: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The crop with `patched` in its hole, without a seam."""
    if not hole.any() or hole.all():
        return patched
    # OpenCV does not clone up to a picture's border.
    border = 2
    sides = (border,) * 4
    source = cv2.copyMakeBorder(patched, *sides, cv2.BORDER_REPLICATE)
    around = np.where(
        hole[..., None], cv2.inpaint(rgb, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA), rgb
    )
    goal = cv2.copyMakeBorder(around, *sides, cv2.BORDER_REPLICATE)
    mask = cv2.copyMakeBorder(255 * hole.astype(np.uint8), *sides, cv2.BORDER_CONSTANT)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = ((columns[0] + columns[-1] + 1) // 2, (rows[0] + rows[-1] + 1) // 2)
    joined = cv2.seamlessClone(
        source, goal, mask, (int(middle[0]), int(middle[1])), cv2.NORMAL_CLONE
    )
    # OpenCV's solution strays from the crop around the hole, by some grey levels.
    return np.where(hole[..., None], joined[border:-border, border:-border], rgb).astype(np.uint8)


def _mean_color(rgb: NDArray[np.uint8], holes: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3,), of all that is not an object; grey where nothing is."""
    behind = rgb[~holes]
    color = behind.mean(axis=0) if len(behind) else np.full(3, 127.0)
    return np.asarray(np.rint(color), np.uint8)


def write_backgrounds(
    folder: Path, backgrounds: NDArray[np.floating[Any]], poses: PicturePoses | None = None
) -> None:
    """Write pictures into a folder of their own.

    Args:
        folder: it holds nothing else.
        backgrounds: (N, 3, S, S), in [-1, 1]; 500 at most are written, evenly spread, or 2,500 with
            poses.
        poses: of what stood in them, where runs are to take them for poses that are near.

    Raises:
        DatasetError: the folder holds something else.
        OSError: it cannot be written.
    """
    refuse_other_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in list_folder(folder, frozenset({".png", ".json"})):
        old.unlink()
    most = MOST_KEPT if poses is None else MOST_POSED
    chosen = np.linspace(0, len(backgrounds) - 1, min(len(backgrounds), most)).round().astype(int)
    rgb, _ = decode(backgrounds[chosen].astype(np.float32))
    files = [f"{number:06d}.png" for number in range(len(rgb))]
    for file, picture in zip(files, rgb, strict=True):
        _, encoded = cv2.imencode(".png", picture[..., ::-1])
        write_file(folder / file, encoded.tobytes())
    if poses is not None:
        write_poses(folder, files, poses[chosen])


def refuse_other_files(folder: Path) -> None:
    """Refuse to write backgrounds where somebody else's pictures are.

    Raises:
        DatasetError: there is a link of that name, or something that is no background of ours.
    """
    if folder.is_symlink():
        raise DatasetError(f"{folder} is a link: remove it, or give `out` another folder")
    if not folder.is_dir():
        return
    # Those with a dot are the system's, and what was left of a file that was being written.
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    ours = rf"\d{{6}}\.png|{re.escape(POSES)}"
    others = [name for name in names if not re.fullmatch(ours, name)]
    if others:
        raise DatasetError(
            f"{folder} is where backgrounds go, and holds something else ({others[0][:80]}): give "
            "`out` another folder"
        )
