"""What pictures are by their names, and which of them belong together.

People keep crops as `rgb/12.png depth/12.png mask/12.png`, as `color12.jpg depth12.png mask12.png`,
as `000012-color.png 000012-depth.png 000012-label.png` and in many ways more. A name says what a
picture is, and what is left of it without the words that do is what it has in common with the
others of the same crop.
"""

from __future__ import annotations

import functools
import re
from enum import Enum
from pathlib import Path


class Role(Enum):
    """What a picture is."""

    COLOUR = "colour"
    DEPTH = "depth"
    MASK = "mask"
    VIEW = "view"
    """A drawing or measurement of a crop: normals, confidence, depth in colours, a thumbnail."""
    CHANNEL = "channel"
    """The same crop by another of the camera's sensors, or in grey."""


_WORDS = {
    Role.MASK: "mask masks seg segm segmentation segmentations silhouette silhouettes label labels "
    "labelmap instance instances semantic semantics matte mattes annotation annotations",
    Role.VIEW: "vis viz visual visualization visualisation visualizations visualisations colormap "
    "colourmap colorized colourised heatmap jet preview previews thumb thumbs thumbnail thumbnails "
    "overlay overlays debug normal normals nocs flow xyz uv confidence conf amplitude disparity "
    "disp edges bbox bboxes",
    Role.DEPTH: "depth depths depthmap depthmaps dpt",
    Role.CHANNEL: "gray grey mono ir infra infrared nir thermal",
    Role.COLOUR: "rgb bgr color colors colour colours image images img imgs picture pictures photo "
    "photos",
}
"""In the order in which they decide: a depth mask is a mask."""
_ROLES = {word: role for role, words in reversed(_WORDS.items()) for word in words.split()}
_STRONG = {"rgb", "bgr", "color", "colors", "colour", "colours"}
_FILLING = {
    "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "frame", "frames",
    "raw", "rect", "rectified", "aligned", "registered", "to", "jpeg", "jpg", "png", "tiff", "map",
    "maps", "class", "object", "visib", "camera", "norm", "normalized", "normalised", "bit",
    "scaled", "filtered", "filled",
}  # fmt: skip
"""Words that pictures of one crop need not share."""
_PREVIEWS = {"preview", "thumbnail", "contactsheet", "collage", "montage", "overview"}
_RUN_TOGETHER = re.compile(
    "(depth|rgb|colou?r|mask|label)(raw|aligned|images?|imgs?|frames?|maps?|vis|png)"
)
_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]|\d+")

Key = tuple[str, ...]


def role_of(picture: Path) -> tuple[Role | None, bool]:
    """What a picture is, and whether that is certain: a folder says nothing else.

    Args:
        picture: its path within the target's folder.
    """
    folders = [_role(name) for name in reversed(picture.parent.parts)]
    certain = next((role for role, whole in folders if role and whole), None)
    if certain and certain is not Role.COLOUR:
        return certain, True
    role_of_name, _ = _role(picture.stem)
    if role_of_name and role_of_name is not Role.COLOUR:
        return role_of_name, False
    if certain:
        return certain, True
    return role_of_name or next((role for role, _ in folders if role), None), False


def in_colour_folder(picture: Path, *, clearly: bool) -> bool:
    """Whether a folder that a picture lies in is one of colour pictures.

    Args:
        picture: its path within the target's folder.
        clearly: `images/` is not enough.
    """
    return any(
        _role(name) == (Role.COLOUR, True) and not (clearly and _STRONG.isdisjoint(_words(name)))
        for name in picture.parent.parts
    )


def is_preview(picture: Path) -> bool:
    """Whether a picture is by its name one of others, not of an object."""
    return "".join(_words(picture.stem)) in _PREVIEWS


def is_aligned(picture: Path) -> bool:
    """Whether a name says that depth was brought into the colour picture's view."""
    return any(not {"aligned", "registered"}.isdisjoint(_words(part)) for part in picture.parts)


def says_depth_alone(folder: str) -> bool:
    """Whether a folder by its own name holds depth."""
    return _role(folder) == (Role.DEPTH, True)


def key_of(picture: Path, *, exact: bool = False) -> Key:
    """What a picture's name has in common with the others of its crop.

    Args:
        picture: its path within the target's folder.
        exact: tell 7 from 007, and `depth16/` from `depth/`.
    """
    folders = [name for name in picture.parent.parts if exact or not all(_role(name))]
    words = [word for part in (*folders, picture.stem) for word in _words(part)]
    return tuple(
        str(int(word)) if word.isdecimal() and not exact else word
        for word in words
        if word not in _ROLES and word not in _FILLING
    )


def crop_name(picture: Path) -> str:
    """A crop's name: its path without folders of colour pictures, and without its suffix."""
    parts = [part for part in picture.parent.parts if _role(part) != (Role.COLOUR, True)]
    return str(Path(*parts, picture.stem))


@functools.lru_cache(10_000)
def _role(name: str) -> tuple[Role | None, bool]:
    """What a folder's or file's name says, and whether it says nothing else."""
    words = _words(name)
    roles = {_ROLES[word] for word in words if word in _ROLES}
    role = next((role for role in _WORDS if role in roles), None)
    return role, all(word in _ROLES or word in _FILLING or word.isdecimal() for word in words)


@functools.lru_cache(10_000)
def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in map(str.lower, _WORD.findall(name)):
        together = _RUN_TOGETHER.fullmatch(word)
        words += together.groups() if together else (word,)
    return words
