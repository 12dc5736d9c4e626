"""Which frames crops are cut from, where their objects are, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from adapter import TargetReport
from adapter._target.bop_scenes import VISIBLE
from checked_settings import Above, AtLeast, Between, OneOf, SettingError, check
from render_adapt._config import Units, split_names
from render_adapt._formats.pixel_centre import CENTRES, INSIDE
from render_adapt._own_packages import refuse_own_name
from renderer import Centre

_PIXEL_CENTRE = OneOf(lambda: CENTRES)


@dataclass(frozen=True)
class CropTargetConfig:
    """What to cut out of a camera's frames, as crops to train on.

    Raises:
        SettingError: a value is out of range, or two do not go together.
    """

    frames: Path
    """The camera's frames: a folder of pictures (with or without depth), a BOP dataset, a video, or
    a ROS bag."""
    out: Path
    """Folder of the crops, a new one."""
    boxes: Path | None = None
    """Where objects are: a COCO file, a detector's results, a folder of YOLO files, or JSON with
    boxes by frame (docs/target_crops.md). Left out where `masks` or BOP poses say it."""
    masks: Path | None = None
    """A folder of masks, named as their frames: what is not 0 is an object, each grey one of its
    own."""
    only: tuple[str, ...] = ()
    """Objects to cut, by the names or numbers that boxes or poses have; all if not given."""
    camera: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy of the frames in pixels; where a BOP dataset, a camera.json beside the frames
    or the bag says them, it need not be given."""
    pixel_centre: Annotated[float, _PIXEL_CENTRE] = 0.0
    """Where the first pixel's centre is in the coordinates of `camera`: 0 or 0.5."""
    window: Annotated[float, Between(1, 1e5)] | None = None
    """Side of the square that a crop shows at the object's distance, millimetres; what a crops.json
    beside the frames says, else 200."""
    centre: Centre | None = None
    """What is in the middle of a crop: `visible`, the middle of the box or mask; of BOP poses also
    `mean`, `box` or `origin`. What a crops.json says; else visible, or of poses mean with `models`
    and origin without."""
    models: Path | None = None
    """The BOP models folder that poses are of, for `centre` mean or box."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    distance: Annotated[float, Above(0)] | None = None
    """From the camera to the objects, millimetres, where neither depth nor poses say it."""
    object_size: tuple[str, ...] = ()
    """Millimetres that the longer side of an object's box shows, where nothing says its distance:
    one number, or one by object, as in ape=90,cat=130."""
    min_visible: Annotated[float, Between(0, 1)] = VISIBLE
    """Objects of a BOP dataset that are seen less than this share are left out."""
    min_score: Annotated[float, Between(0, 1)] = 0.5
    """A detector's boxes of a lower score are left out."""
    every: Annotated[int, AtLeast(1)] = 1
    """Take each so-many-th frame: those of a video are much alike."""
    channels: Literal[3, 4] | None = None
    """3 to leave depth aside, 4 to insist on it; what the frames have, if not given."""
    depth_scale: Annotated[float, Above(0)] | None = None
    """Millimetres in a step of depth; else told from the values. BOP datasets say it."""
    colour_topic: str | None = None
    """Of a bag, the topic with the colours, where there are several."""
    depth_topic: str | None = None
    """Of a bag, the topic with the depth, where there are several."""

    def __post_init__(self) -> None:
        """Split comma-separated names and check what can be checked without a file."""
        check(self)
        refuse_own_name("out", self.out)
        object.__setattr__(self, "only", split_names(self.only))
        object.__setattr__(self, "object_size", split_names(self.object_size))
        _sizes(self.object_size)
        if self.boxes is not None and self.masks is not None:
            raise SettingError("`boxes` and `masks` both say where objects are: give one of them")
        if self.distance is not None and self.object_size:
            raise SettingError(
                "`distance` and `object_size` both say how large objects are: give one of them"
            )

    def size_of(self, label: str) -> float | None:
        """Millimetres that the longer side of an object's box shows, where it was said."""
        sizes = _sizes(self.object_size)
        return sizes.get(label, sizes.get(""))

    @property
    def camera_matrix(self) -> NDArray[np.float64] | None:
        """(3, 3), K of `camera`, with pixels counted from the picture's corner."""
        if self.camera is None:
            return None
        fx, fy, cx, cy = self.camera
        if min(fx, fy) <= 0:
            raise SettingError(f"`camera` has a focal length of {min(fx, fy):g}: give one above 0")
        shift = INSIDE - self.pixel_centre
        return np.array([[fx, 0, cx + shift], [0, fy, cy + shift], [0, 0, 1]], np.float64)


def _sizes(entries: tuple[str, ...]) -> dict[str, float]:
    """Millimetres by object; under "" what is said of all."""
    sizes = {}
    for entry in entries:
        name, _, number = entry.rpartition("=")
        try:
            sizes[name.strip()] = float(number)
        except ValueError:
            sizes[name.strip()] = 0.0
        if not 0 < sizes[name.strip()] < 1e5:
            raise SettingError(
                f"`object_size` {entry} is no size: give millimetres, as in `object_size` 120 or "
                "`object_size` ape=90,cat=130"
            )
    return sizes


@dataclass(frozen=True)
class CropTargetSummary:
    """What was cut."""

    folder: Path
    """Of the crops; it is not there after a dry run."""
    contact_sheet: Path
    """A picture of crops as a training would see them, beside the folder."""
    crops: int
    by_source: dict[str, int]
    """Crops of each folder, scene, video or bag."""
    by_object: dict[str, int]
    frames: int
    """Frames that were looked at."""
    report: TargetReport
    """As `train` gives it, with what was left out and what looks wrong."""
