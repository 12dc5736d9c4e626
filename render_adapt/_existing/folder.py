"""The folder of an adapted dataset: what belongs to it, and how a scene is committed.

adaptation.json          what was adapted, with what; written first, never changed
SPLIT/000000/            a scene, moved here once it is whole; its `scene_adapted.json` says what
                         became of each image
adapted/NAME.sha256      a hash for each file of a scene, SPLIT-000000
dataset.sha256           a hash for every other file, and for these lists
INCOMPLETE               a note to people, present until all is done, and the lock of who adapts
.adapting/               scenes in the making, and what is done of them, piece by piece
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from render_adapt._exceptions import DatasetError
from render_adapt._existing.scenes import SourceScene
from render_adapt._files import MOST_TEXT, flush_all, hash_file, listing_text, read_listing, writing
from render_adapt._runs.manifest import LISTING, MOST_MANIFEST, refuse_other_run
from render_adapt._runs.run_folder import INCOMPLETE
from safe_files import (
    FolderLock,
    create_file,
    flush_folder,
    parse_json,
    partials_of,
    read_file,
    remove_partials,
    write_file,
)

ADAPTATION = "adaptation.json"
FORMAT = "render-adapt adaptation 1"
LISTS = "adapted"
PROVENANCE = "scene_adapted.json"
WORKING = ".adapting"


class AdaptedFolder:
    """An adapted dataset's folder. Who works in it holds its lock, from `begin` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FolderLock | None = None

    def begin(self, description: Mapping[str, Any]) -> None:
        """Begin an adaptation here, or continue it.

        Raises:
            DatasetError: the folder holds something else, or cannot be written.
        """
        file = self.path / ADAPTATION
        with writing(self.path, "give `out` a folder that can be written"):
            if file.exists():
                refuse_other_run(read_adaptation(self.path), description, self.path)
            else:
                self._refuse_other_files()
                self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.path / INCOMPLETE, self._in_use())
            if file.exists():
                # Another may have begun meanwhile.
                refuse_other_run(read_adaptation(self.path), description, self.path)
            else:
                write_file(file, json.dumps(description, indent=2, sort_keys=True) + "\n")
            self._lock.write(
                "This dataset is not whole. Give the same command again to continue it.\n"
            )
            for name in (WORKING, LISTS):
                (self.path / name).mkdir(exist_ok=True)
            remove_partials(self.path / LISTS)

    def is_whole(self, scene: SourceScene) -> bool:
        """Whether a scene is in its place, as far as names tell."""
        try:
            listing = read_scene_list(self.path, scene.name)
        except (OSError, ValueError):
            return False
        return all((self.path / name).is_file() for name in listing)

    def prepared(self, scene: SourceScene) -> Path:
        """Where a scene is made."""
        return self.path / WORKING / flat(scene.name)

    def record(self, scene: SourceScene, start: int) -> Path:
        """The file that says what was made of a scene's images from one on."""
        return self.path / WORKING / f"{flat(scene.name)}.{start:06d}.json"

    def commit(self, scene: SourceScene, hashes: Mapping[str, str]) -> None:
        """Move a scene that is whole to its place.

        Args:
            scene: which.
            hashes: of its files, by their names within it, as they were written.

        Raises:
            DatasetError: what lies there is not what was written.
        """
        prepared, place = self.prepared(scene), self.path / scene.name
        for name, sha256 in sorted(hashes.items()):
            if hash_file(prepared / name, prepared) != sha256:
                raise DatasetError(
                    f"{prepared / name} is not what was written: find out which program changes "
                    "it, or whether the disk fails, and give the same command to continue"
                )
        flush_all()
        text = listing_text({f"{scene.name}/{name}": hashes[name] for name in hashes})
        write_file(scene_list(self.path, scene.name), text)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.rmtree(place)
        os.replace(prepared, place)
        flush_folder(place.parent)

    def finish(self, scenes: Iterable[SourceScene], shared: Iterable[str]) -> str:
        """Mark the dataset as whole, let others work in the folder, and return its hash.

        Args:
            scenes: all of them, in their places.
            shared: the names of the files that are of no scene.
        """
        shutil.rmtree(self.path / WORKING)
        flush_all()
        lists = [f"{LISTS}/{flat(scene.name)}.sha256" for scene in scenes]
        names = [ADAPTATION, *shared, *lists]
        listing = listing_text({name: hash_file(self.path / name, self.path) for name in names})
        write_file(self.path / LISTING, listing)
        if self._lock is not None:
            self._lock.remove()
            self._lock = None
        return hashlib.sha256(listing.encode()).hexdigest()

    def close(self) -> None:
        """Let others work in the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _in_use(self) -> DatasetError:
        return DatasetError(
            f"another render-adapt is at work in {self.path}: wait until it has ended, or give "
            "`out` another folder"
        )

    def _refuse_other_files(self) -> None:
        if not self.path.exists():
            return
        own_files = {*partials_of(self.path / ADAPTATION), self.path / INCOMPLETE}
        if not self.path.is_dir() or any(item not in own_files for item in self.path.iterdir()):
            raise DatasetError(
                f"{self.path} holds files that are no adapted dataset: give `out` an empty or new "
                "folder"
            )


def flat(name: str) -> str:
    """A scene's name as that of a file."""
    return name.replace("/", "-")


def scene_list(folder: Path, name: str) -> Path:
    """The file with the hashes of a scene's files."""
    return folder / LISTS / f"{flat(name)}.sha256"


def read_scene_list(folder: Path, name: str) -> Mapping[str, str]:
    """Hashes of a scene's files, by their names within the dataset.

    Raises:
        OSError, ValueError: it is not there, or no such list.
    """
    return read_listing(read_file(scene_list(folder, name), most=MOST_TEXT, inside=folder).decode())


def read_adaptation(folder: Path) -> dict[str, Any]:
    """What an adapted dataset was made of.

    Raises:
        DatasetError: the file is damaged, or not there.
    """
    path = folder / ADAPTATION
    try:
        content = parse_json(read_file(path, most=MOST_MANIFEST, inside=folder))
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}): take it from a copy"
        ) from None
    except ValueError:
        raise DatasetError(f"{path} is no JSON: take it from a copy") from None
    scenes = content.get("scenes") if isinstance(content, dict) else None
    if not isinstance(scenes, dict) or content.get("format") != FORMAT:
        raise DatasetError(f"{path} is not of this version of render-adapt: take it from a copy")
    return content  # type: ignore[no-any-return]


def put_file(path: Path, content: bytes) -> str:
    """A file of a scene in the making, in place of what was left of it; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    create_file(path, content)
    return hashlib.sha256(content).hexdigest()


def refuse_overlap(dataset: Path, out: Path) -> None:
    """Refuse to write into what is read.

    Raises:
        DatasetError: one folder lies in the other.
    """
    one, other = dataset.resolve(), out.resolve()
    if one == other:
        raise DatasetError(f"{out} is the dataset itself: give `out` a folder beside it")
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise DatasetError(
            f"{out} and {dataset} lie in each other: give `out` a folder beside the dataset"
        )
