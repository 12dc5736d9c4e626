"""Proof that an adapted dataset is what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from render_adapt._exceptions import DatasetError
from render_adapt._existing.folder import (
    ADAPTATION,
    LISTS,
    WORKING,
    flat,
    read_adaptation,
    read_scene_list,
    scene_list,
)
from render_adapt._runs.manifest import LISTING
from render_adapt._runs.run_folder import INCOMPLETE
from render_adapt._verify.shards import (
    OF_SYSTEMS,
    UNLISTED,
    BadFile,
    BadFileError,
    check_hashes,
    files_below,
    read_hashes,
)


@dataclass(frozen=True)
class CheckedAdaptation:
    """What was found in an adapted dataset."""

    images: int
    """In scenes without fault."""
    scenes: int
    bad: tuple[BadFile, ...]
    """The first that is of no scene, and the first of each bad scene; the scenes are numbered in
    the order of their names."""


def is_adaptation(folder: Path) -> bool:
    """Whether a folder holds a dataset that `adapt` made."""
    return (folder / ADAPTATION).is_file()


def check_adaptation(
    folder: Path, on_progress: Callable[[int, int], None] | None = None
) -> CheckedAdaptation:
    """Compare all files with the hashes that they were written with, and look for others.

    Args:
        folder: the dataset's.
        on_progress: called with (images checked, images in all) after each scene.

    Raises:
        DatasetError: it is not whole, or its description is damaged.
    """
    if (folder / INCOMPLETE).exists() or (folder / WORKING).exists():
        raise DatasetError(f"{folder} has not been finished: give the command that began it again")
    described = read_adaptation(folder)["scenes"]
    counts = {
        str(name): entry["images"]
        for name, entry in described.items()
        if isinstance(entry, dict) and type(entry.get("images")) is int
    }
    if len(counts) != len(described):
        raise DatasetError(f"{folder / ADAPTATION} is damaged: take it from a copy")
    bad: list[BadFile] = []
    try:
        hashes = read_hashes(folder, LISTING)
        check_hashes(folder, hashes)
        lists = {f"{LISTS}/{flat(name)}.sha256" for name in counts}
        for name in sorted({ADAPTATION, *lists} - hashes.keys()):
            raise BadFileError(LISTING, f"does not list {name}")
        _refuse_others(folder, {*hashes, LISTING, *counts})
    except BadFileError as error:
        bad.append(BadFile(folder / error.name, error.problem))
    images = checked = 0
    for number, name in enumerate(sorted(counts)):
        checked += counts[name]
        try:
            _check_scene(folder, name)
            images += counts[name]
        except BadFileError as error:
            is_unlisted = error.problem == UNLISTED
            bad.append(BadFile(folder / error.name, error.problem, number, unlisted=is_unlisted))
        if on_progress:
            on_progress(checked, sum(counts.values()))
    return CheckedAdaptation(images, len(counts), tuple(bad))


def _check_scene(folder: Path, name: str) -> None:
    listing = scene_list(folder, name).relative_to(folder).as_posix()
    try:
        hashes = read_scene_list(folder, name)
    except OSError:
        raise BadFileError(listing, "is not there, or cannot be read") from None
    except ValueError as error:
        raise BadFileError(listing, f"is no list of hashes: {error}") from None
    check_hashes(folder, hashes)
    for file in files_below(folder, name):
        if file not in hashes and file.rpartition("/")[2] not in OF_SYSTEMS:
            raise BadFileError(file, UNLISTED)


def _refuse_others(folder: Path, known: set[str]) -> None:
    """Refuse files of no scene that are not listed."""

    def belongs(name: str) -> bool:
        return name in known or name.rpartition("/")[2] in OF_SYSTEMS

    for name in files_below(folder, leave_out=belongs):
        raise BadFileError(name, UNLISTED)
