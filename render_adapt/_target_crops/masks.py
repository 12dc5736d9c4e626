"""Masks of objects by frame: pictures named as the frames are, or with an instance's number too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adapter._target.files import list_files
from adapter._target.names import Key, key_of
from adapter._target.pictures import Unreadable, read_stored
from adapter._target.report import Tally
from render_adapt._exceptions import DatasetError
from render_adapt._target_crops.frame import Frame, Seen, box_of

_MOST_OBJECTS = 64
"""Of a mask: a photograph that is taken for one has more greys."""


class Masks:
    """The masks of all frames, read as they are asked for.

    Raises:
        DatasetError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DatasetError(f"`masks` {folder} is no folder: give one of pictures")
        self._folder = folder
        files = list_files(folder, Tally()).images()
        if not files:
            raise DatasetError(
                f"`masks` {folder} holds no pictures: give the folder that they are in"
            )
        self.count = len(files)
        self.example = str(files[0])
        self._by_key: dict[Key, list[Path]] = {}
        for file in files:
            self._by_key.setdefault(key_of(file), []).append(file)

    def of(self, frame: Frame) -> list[Seen]:
        """The objects of a frame.

        Raises:
            DatasetError: a mask is damaged, of another size, or none.
        """
        key = key_of(Path(f"{frame.name}.png"))
        files = list(self._by_key.get(key, []))
        if not files:
            # BOP's masks: the image's number, then the object's.
            for longer, of_object in self._by_key.items():
                if longer[:-1] == key and longer[-1].isdecimal():
                    files += of_object
        return [seen for file in files for seen in self._objects(file, frame)]

    def _objects(self, file: Path, frame: Frame) -> list[Seen]:
        path = self._folder / file
        try:
            pixels = read_stored(file, self._folder).pixels
        except Unreadable as reason:
            raise DatasetError(f"mask {path} cannot be read ({reason}): draw it anew") from None
        height, width = frame.rgb.shape[:2]
        if pixels.shape[:2] != (height, width):
            raise DatasetError(
                f"mask {path} is {pixels.shape[1]}x{pixels.shape[0]} pixels and its frame "
                f"{width}x{height}: they must be alike"
            )
        greys = pixels if pixels.ndim == 2 else pixels[..., :3].max(axis=2)
        values = np.unique(greys[greys > 0])
        if len(values) > _MOST_OBJECTS:
            raise DatasetError(
                f"mask {path} has {len(values)} greys, more than a frame has objects: give masks "
                "in PNG, each object in one grey"
            )
        found = []
        for value in values.tolist():
            mask = greys == value
            label = "object" if len(values) == 1 else str(value)
            found.append(Seen(label, box_of(mask), mask=mask))
        return found
