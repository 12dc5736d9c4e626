"""The files of a target's folder: all that are its own, and those that may be crops."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from adapter._target_report import HIDDEN_FILES, LINKS, UNREAD_KINDS, Tally

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
_UNREAD_SUFFIXES = {
    ".heic", ".heif", ".gif", ".avif", ".jp2", ".exr", ".hdr", ".pfm", ".pgm", ".ppm", ".dpt",
    ".npy", ".npz", ".raw", ".dng", ".cr2", ".nef", ".arw", ".mp4", ".mov", ".avi", ".mkv", ".bag",
}  # fmt: skip
"""Of pictures, depth and recordings that somebody may take for crops."""
_SYSTEM_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information"}
_OWN_FOLDERS = ".training"
"""How folders of trainings end: their pictures are no camera's."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder, by their paths within it, in natural order."""

    folder: Path
    """As it was given."""
    root: Path
    """The same, with links in its path followed."""
    files: tuple[Path, ...]
    count: int
    """Of all its files, but for hidden ones."""

    def images(self, under: Path | None = None) -> list[Path]:
        """Those whose names are pictures', of a folder within it or of all."""
        found = [file for file in self.files if file.suffix.lower() in IMAGE_SUFFIXES]
        return found if under is None else [file for file in found if file.is_relative_to(under)]


def list_files(folder: Path, tally: Tally) -> Listing:
    """List a folder, without following links out of it or into further folders.

    Hidden files, and those that systems and trainings keep for themselves, are passed over.
    """
    root, files, count = folder.resolve(), [], 0
    for place, folders, names in os.walk(root):
        here = Path(place)
        linked = {name for name in folders if (here / name).is_symlink()}
        for name in sorted(linked):
            tally.add(LINKS, (here / name).relative_to(root))
        folders[:] = [name for name in folders if name not in linked and not _is_system(name)]
        for name in sorted(names, key=natural):
            file = here / name
            inner = file.relative_to(root)
            count += not name.startswith(".")
            if reason := _why_not(file, root):
                tally.add(reason, inner)
            elif not name.startswith(".") and file.is_file():
                files.append(inner)
    return Listing(folder, root, tuple(sorted(files, key=natural)), count)


def _is_system(folder: str) -> bool:
    name = folder.lower()
    return name.startswith(".") or name in _SYSTEM_FOLDERS or name.endswith(_OWN_FOLDERS)


def _why_not(file: Path, root: Path) -> str | None:
    """Why a file is passed over that its owner may have meant to be read."""
    kind = file.suffix.lower()
    if file.name.startswith("."):
        return HIDDEN_FILES if kind in IMAGE_SUFFIXES else None
    if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(root):
        return LINKS
    return UNREAD_KINDS if kind in _UNREAD_SUFFIXES else None


def natural(path: Path | str) -> list[tuple[int, str]]:
    """Sorts img2 before img10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
