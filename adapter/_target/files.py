"""The files of a target's folder: all that are its own, and those that may be crops."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from adapter._errors import AdapterError
from adapter._target.report import HIDDEN_FILES, LINKS, UNREAD_KINDS, Tally

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
    """The files of a folder, by their paths within it."""

    folder: Path
    """As it was given."""
    root: Path
    """The same, with links in its path followed."""
    by_folder: dict[Path, list[Path]]
    """In natural order within each."""
    count: int
    """Of all its files, but for hidden ones."""

    def holds(self, file: Path) -> bool:
        """Whether it has a file."""
        return file in self.by_folder.get(file.parent, [])

    def images(self) -> list[Path]:
        """All files whose names are pictures', in natural order."""
        return sorted((file for folder in self.by_folder for file in self.images_in(folder)),
                      key=natural)  # fmt: skip

    def images_in(self, folder: Path) -> list[Path]:
        """Those of one folder within it."""
        files = self.by_folder.get(folder, [])
        return [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]


def list_files(folder: Path, tally: Tally) -> Listing:
    """List a folder, without following links out of it or into further folders.

    Hidden files, and those that systems and trainings keep for themselves, are passed over.

    Raises:
        AdapterError: a folder in it cannot be listed.
    """
    root, count = folder.resolve(), 0
    files_in: dict[Path, list[Path]] = {}
    pending = [Path()]
    while pending:
        subfolder = pending.pop()
        for entry in _entries(folder / subfolder):
            inner = subfolder / entry.name
            if entry.is_dir(follow_symlinks=False):
                if not _is_system(entry.name):
                    pending.append(inner)
                continue
            count += not entry.name.startswith(".")
            if reason := _why_not(entry, root):
                tally.add(reason, inner)
            elif not entry.name.startswith(".") and os.path.isfile(entry.path):
                files_in.setdefault(subfolder, []).append(inner)
    ordered = {place: files_in[place] for place in sorted(files_in, key=natural)}
    return Listing(folder, root, ordered, count)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: natural(entry.name))
    except OSError as error:
        raise AdapterError(
            f"{folder} cannot be listed ({error.strerror}); mend that, or give another folder"
        ) from None


def _is_system(folder: str) -> bool:
    name = folder.lower()
    return name.startswith(".") or name in _SYSTEM_FOLDERS or name.endswith(_OWN_FOLDERS)


def _why_not(entry: os.DirEntry[str], root: Path) -> str | None:
    """Why a file is passed over that its owner may have meant to be read."""
    kind = Path(entry.name).suffix.lower()
    if entry.name.startswith("."):
        return HIDDEN_FILES if kind in IMAGE_SUFFIXES else None
    if entry.is_symlink() and (
        os.path.isdir(entry.path) or not Path(os.path.realpath(entry.path)).is_relative_to(root)
    ):
        return LINKS
    return UNREAD_KINDS if kind in _UNREAD_SUFFIXES else None


def natural(path: Path | str) -> list[tuple[int, str]]:
    """Sorts img2 before img10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
