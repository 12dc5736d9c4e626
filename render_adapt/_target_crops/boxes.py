"""Boxes of objects by frame, as annotation tools and detectors write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._target.names import key_of
from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT
from render_adapt._target_crops.frame import Frame, Seen
from safe_files import numbers_of, parse_json, read_file

_MOST_PIXELS = 1e6
"""Of a box's place or side."""
_YOLO_COLUMNS = (5, 6)
"""Class, middle and sides, and a detector's confidence."""


@dataclass(frozen=True)
class Box:
    """An entry of a file."""

    label: str
    numbers: NDArray[np.float64]
    """(4,), x, y, width, height."""
    is_share: bool
    """They are shares of the frame's sides, and x and y are of the middle."""
    score: float

    def in_frame(self, frame: Frame) -> Seen:
        """In pixels of a frame."""
        if not self.is_share:
            return Seen(self.label, self.numbers)
        height, width = frame.rgb.shape[:2]
        x, y, w, h = self.numbers * (width, height, width, height)
        return Seen(self.label, np.array([x - w / 2, y - h / 2, w, h]))


@dataclass(frozen=True)
class _Place:
    """What a file calls a frame."""

    name: str | None = None
    number: int | None = None
    scene_id: int | None = None


class Boxes:
    """The boxes of all frames, found by the frames' names or numbers.

    Args:
        path: a JSON file, or a folder of YOLO files.
        min_score: boxes of a lower score are left out.

    Raises:
        DatasetError: it is neither, or malformed.
    """

    def __init__(self, path: Path, min_score: float) -> None:
        self._path = path
        self.below_score = 0
        """Boxes that were left out for their score."""
        self.count = 0
        """All others."""
        self._whole: dict[tuple[str, ...], list[Box]] = {}
        self._last: dict[tuple[str, ...], dict[tuple[str, ...], list[Box]]] = {}
        self._numbered: dict[tuple[int | None, int], list[Box]] = {}
        self._taken: dict[tuple[str, ...], str] = {}
        self.example = ""
        """What the file calls its first frame."""
        for place, box in _read(path):
            self.example = self.example or str(place.number if place.name is None else place.name)
            if box.score < min_score:
                self.below_score += 1
                continue
            self.count += 1
            self._keep(place, box)

    def _keep(self, place: _Place, box: Box) -> None:
        if place.name is None:
            assert place.number is not None
            self._numbered.setdefault((place.scene_id, place.number), []).append(box)
            return
        name = PurePosixPath(place.name.replace("\\", "/"))
        whole, last = key_of(Path(name)), key_of(Path(name.name))
        boxes = self._whole.setdefault(whole, [])
        boxes.append(box)
        self._last.setdefault(last, {})[whole] = boxes

    def of(self, frame: Frame) -> list[Seen]:
        """Those of a frame.

        Raises:
            DatasetError: it cannot be told which are.
        """
        return [box.in_frame(frame) for box in self._found(frame)]

    def _found(self, frame: Frame) -> list[Box]:
        if frame.number is not None and self._numbered:
            for scene_id in (frame.scene_id, None):
                if boxes := self._numbered.get((scene_id, frame.number)):
                    return boxes
        # The suffix keeps what is behind a dot of the frame's own name.
        whole = key_of(Path(f"{frame.name}.png"))
        if whole in self._whole:
            return self._whole[whole]
        named_alike = self._last.get(key_of(Path(f"{PurePosixPath(frame.name).name}.png")), {})
        for key in named_alike:
            taken_by = self._taken.setdefault(key, frame.name)
            if len(named_alike) > 1 or taken_by != frame.name:
                raise DatasetError(
                    f"`boxes` {self._path} may mean several frames by {self.example_of(key)}: name "
                    "frames there with their folders"
                )
        return next(iter(named_alike.values()), [])

    def example_of(self, key: tuple[str, ...]) -> str:
        """A key in words."""
        return "_".join(key)


def _read(path: Path) -> Iterator[tuple[_Place, Box]]:
    if path.is_dir():
        yield from _yolo_files(path)
        return
    try:
        content = parse_json(read_file(path, most=MOST_TEXT))
    except OSError as error:
        raise DatasetError(
            f"`boxes` {path} cannot be read ({error.strerror}): give a COCO file, a detector's "
            "results or a folder of YOLO files"
        ) from None
    except ValueError as error:
        raise DatasetError(
            f"`boxes` {path} cannot be read as JSON ({error}): give a COCO file, a detector's "
            "results or a folder of YOLO files"
        ) from None
    try:
        if isinstance(content, list):
            yield from _results(content)
        elif isinstance(content, dict) and {"images", "annotations"} <= content.keys():
            yield from _coco(content)
        elif isinstance(content, dict):
            yield from _by_frame(content)
        else:
            raise ValueError("it is neither an object nor a list")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"`boxes` {path} is malformed ({_problem(error)}): docs/target_crops.md has what is "
            "read"
        ) from None


def _problem(error: Exception) -> str:
    """What is wrong with a file, in words: Python's own speak of its types."""
    if isinstance(error, KeyError):
        return f"an entry has no {error.args[0]!s:.40}, or names one that is not in the file"
    if isinstance(error, AttributeError | TypeError):
        return "entries are not as in one of the kinds that are read"
    return str(error)


def _coco(content: Mapping[str, Any]) -> Iterator[tuple[_Place, Box]]:
    """COCO's annotations; crowds are left out."""
    names = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
    labels = {entry["id"]: str(entry["name"]) for entry in content.get("categories", [])}
    for entry in content["annotations"]:
        if not entry.get("iscrowd"):
            category = entry["category_id"]
            box = _pixels(labels.get(category, str(category)), entry["bbox"])
            yield _Place(name=names[entry["image_id"]]), box


def _results(content: list[Any]) -> Iterator[tuple[_Place, Box]]:
    """COCO's results, bop_toolkit's among them: a list of boxes, each with its image."""
    for entry in content:
        image = entry["image_id"]
        place = _Place(name=image) if isinstance(image, str) else _Place(number=int(image))
        if isinstance(image, int) and "scene_id" in entry:
            place = _Place(number=image, scene_id=int(entry["scene_id"]))
        yield place, _pixels(str(entry["category_id"]), entry["bbox"], entry.get("score", 1.0))


def _by_frame(content: Mapping[str, Any]) -> Iterator[tuple[_Place, Box]]:
    """Lists of boxes by frame's name."""
    for name, entries in content.items():
        for entry in entries:
            label = str(entry.get("label", "object"))
            yield _Place(name=name), _pixels(label, entry["box"], entry.get("score", 1.0))


def _pixels(label: str, values: Any, score: Any = 1.0) -> Box:
    numbers = numbers_of(values, 4, most=_MOST_PIXELS)
    if numbers is None or min(numbers[2:]) <= 0:
        raise ValueError(f"{values!r:.60} is no box: x, y, width and height in pixels are")
    return Box(label, np.array(numbers), is_share=False, score=float(score))


def _yolo_files(folder: Path) -> Iterator[tuple[_Place, Box]]:
    files = sorted(path for path in folder.rglob("*.txt") if not path.name.startswith("."))
    labels: dict[str, str] = {}
    for file in files:
        if file.name == "classes.txt":
            lines = _lines(file, folder)
            labels |= {str(number): line.strip() for number, line in enumerate(lines)}
    boxed = [file for file in files if file.name != "classes.txt"]
    if not boxed:
        raise DatasetError(f"`boxes` {folder} holds no YOLO files: they end with .txt")
    for file in boxed:
        name = file.relative_to(folder).with_suffix("").as_posix()
        for line in _lines(file, folder):
            if line.strip():
                yield _Place(name=f"{name}.txt"), _yolo(file, line, labels)


def _yolo(file: Path, line: str, labels: Mapping[str, str]) -> Box:
    columns = line.split()
    try:
        numbers = [float(column) for column in columns[1:]]
    except ValueError:
        numbers = []
    # Beyond the border some tools go by a rounding.
    sane = len(columns) in _YOLO_COLUMNS and all(-0.5 <= number <= 1.5 for number in numbers)
    if not sane or min(numbers[2:4], default=0) <= 0:
        raise DatasetError(
            f"`boxes` {file} has a line that is no YOLO box ({line.strip()!r:.60}): class, x and y "
            "of the middle, width and height, as shares of the picture's sides"
        )
    score = numbers[4] if len(numbers) > 4 else 1.0
    label = labels.get(columns[0], columns[0])
    return Box(label, np.array(numbers[:4]), is_share=True, score=score)


def _lines(file: Path, folder: Path) -> list[str]:
    try:
        return read_file(file, most=MOST_TEXT, inside=folder).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DatasetError(
            f"`boxes` {file} cannot be read ({why}): mend it, or take it out of the folder"
        ) from None
