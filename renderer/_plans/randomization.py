"""What differs from crop to crop beside the pose, and how far."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from renderer._crops import RenderError
from safe_files import parse_toml, read_file

Range = tuple[float, float]
Background = Literal["black", "board", "photographs", "procedural"]
DepthSensor = Literal["exact", "gaussian", "structured-light"]

_MOST_BYTES = 2**20
"""Of a file of settings."""
_LIMITS: dict[str, tuple[float, float]] = {
    "lights": (1, 8),
    "light_angle": (0.0, 180.0),
    "light_intensity": (0.0, 10.0),
    "ambient_intensity": (0.0, 10.0),
    "specular": (0.0, 10.0),
    "shininess": (1.0, 1000.0),
    "texture_period": (1.0, 1e5),
    "occluders": (0, 8),
    "neighbours": (0, 8),
    "zoom": (0.1, 10.0),
    "exposure": (-4.0, 4.0),
    "motion_blur": (0.0, 100.0),
    "focus_blur": (0.0, 100.0),
    "color_noise": (0.0, 100.0),
    "depth_noise": (0.0, 100.0),
}
"""Least and greatest values; of single numbers that are not named here, 0 and 1."""


@dataclass(frozen=True)
class Randomization:
    """What is drawn anew for each crop, from the run's seed and the crop's number alone.

    Ranges are (least, greatest), drawn uniformly; a range of two equal numbers is a constant.

    Raises:
        RenderError: a value is out of range, or a folder is missing; the message names the field.
    """

    lights: tuple[int, int] = (1, 1)
    """How many lights beside the ambient one; they share the intensity."""
    light_angle: float = 75.0
    """Each light comes from up to this many degrees off the camera's own direction."""
    light_intensity: Range = (0.4, 0.9)
    """Intensity of all lights together; 1 shows a surface that faces one light at full."""
    ambient_intensity: Range = (0.3, 0.6)
    """Intensity of the light that comes from everywhere."""
    light_tint: float = 0.1
    """How far the lights' red, green and blue may each differ from their intensity, 0 to 1."""
    environments: Path | None = None
    """A folder of HDRI pictures (.hdr, .exr) that light the scene; for the Blender renderer."""

    color_jitter: float = 0.0
    """Each object's red, green and blue are multiplied by 1 up to this much more or less."""
    specular: Range = (0.0, 0.0)
    """Strength of highlights; 0 is matt, 1 as bright as the light."""
    shininess: Range = (5.0, 80.0)
    """Blinn's exponent; the larger, the smaller a highlight."""
    texture_swap: float = 0.0
    """Share of the objects, occluders too, whose colours give way to a picture."""
    texture_period: Range = (30.0, 150.0)
    """Millimetres of the object that the picture's width covers."""
    textures: Path | None = None
    """A folder of pictures for that; drawn patterns where none is given."""

    background: tuple[Background, ...] = ("black",)
    """What is behind the objects, one of these for each crop: black, the board that the object
    stands on, a part of a photograph, a drawn pattern."""
    photographs: Path | None = None
    """The folder of photographs for backgrounds."""
    occluders: tuple[int, int] = (0, 0)
    """How many of the run's objects are between the camera and the target, within 200 mm of it,
    above its board and turned any way; fewer where there is no room for them."""
    occlusion: float = 0.5
    """The greatest share of the target's width that an occluder, or a neighbour before the target,
    reaches over."""
    neighbours: tuple[int, int] = (0, 0)
    """How many of the run's objects stand beside the target, on the same board."""

    off_centre: float = 0.0
    """What the crop is cut around (`PlanConfig.centre`) is off its middle by up to this share of
    its width, both ways; from about 0.3 on the border cuts objects off."""
    zoom: Range = (1.0, 1.0)
    """The crop's window is this many times as large."""

    exposure: Range = (0.0, 0.0)
    """Stops by which colours are too bright (above 0) or too dark."""
    white_balance: float = 0.0
    """Red and blue are multiplied by 1 up to this much more or less, over the whole crop."""
    motion_blur: Range = (0.0, 0.0)
    """Pixels that the camera moved during the exposure, in any direction."""
    focus_blur: Range = (0.0, 0.0)
    """Pixels, standard deviation of the blur of a lens out of focus."""
    color_noise: Range = (0.0, 0.0)
    """Standard deviation of the noise of each colour, of 255."""

    depth_sensor: DepthSensor = "exact"
    """What measures depth: nothing but the z-buffer, one with Gaussian noise, or a Kinect-like
    structured-light camera with shadows, dropouts and steps."""
    depth_noise: Range = (1.0, 2.0)
    """Gaussian sensor: standard deviation in millimetres at 1 m; it grows with z squared."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Randomization).items():
            object.__setattr__(self, name, _fitted(name, kind, getattr(self, name)))
        if "photographs" in self.background and self.photographs is None:
            raise RenderError(
                "background has photographs in it, but no folder of them is named: "
                'set photographs = "FOLDER" beside it.'
            )


def _fitted(name: str, kind: Any, value: Any) -> Any:
    """A setting's value as the field's own kind, so that equal settings are written alike.

    Raises:
        RenderError: it is of another kind or out of range.
    """
    if get_origin(kind) is tuple and get_args(kind)[1] is not ...:
        return _fitted_range(name, get_args(kind)[0], value)
    if kind is float:
        greatest = _LIMITS.get(name, (0.0, 1.0))[1]
        valid = _is_number(value, float) and 0.0 <= value <= greatest
        return float(_checked(name, value, valid, f"a number from 0 to {greatest:g}"))
    if get_origin(kind) is Literal:
        known = get_args(kind)
        return _checked(name, value, value in known, f"one of {', '.join(known)}")
    if get_origin(kind) is tuple:
        known = get_args(get_args(kind)[0])
        valid = (
            isinstance(value, list | tuple) and len(value) > 0 and all(v in known for v in value)
        )
        return tuple(_checked(name, value, valid, f"a list of some of {', '.join(known)}"))
    if value is None:
        return None
    # Unlike pathlib, os.path answers for any text, however long or odd.
    valid = isinstance(value, str | Path) and os.path.isdir(value)
    return Path(_checked(name, value, valid, "a folder that exists"))


def _fitted_range(name: str, kind: type, value: Any) -> tuple[Any, Any]:
    least, greatest = _LIMITS[name]
    valid = (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(_is_number(limit, kind) for limit in value)
        and least <= value[0] <= value[1] <= greatest
    )
    numbers = "two whole numbers" if kind is int else "two numbers"
    allowed = f"{numbers} from {least:g} to {greatest:g}, the smaller one first"
    first, second = _checked(name, value, valid, allowed)
    return kind(first), kind(second)


def _is_number(value: Any, kind: type) -> bool:
    known = Integral if kind is int else Real
    return isinstance(value, known) and not isinstance(value, bool)


def _checked(name: str, value: Any, valid: bool, allowed: str) -> Any:
    if not valid:
        raise RenderError(f"{name} is {_shown(value)}: give {allowed}.")
    return value


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, str | Path) else repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


RANDOMIZATIONS: dict[str, Randomization] = {
    "none": Randomization(
        light_angle=0.0,
        light_intensity=(0.6, 0.6),
        ambient_intensity=(0.4, 0.4),
        light_tint=0.0,
    ),
    "linemod": Randomization(),
    "strong": Randomization(
        lights=(1, 3),
        light_angle=90.0,
        light_intensity=(0.2, 1.2),
        ambient_intensity=(0.1, 0.7),
        light_tint=0.25,
        color_jitter=0.3,
        specular=(0.0, 0.6),
        texture_swap=0.15,
        background=("board", "procedural"),
        occluders=(0, 2),
        neighbours=(0, 2),
        off_centre=0.1,
        zoom=(0.85, 1.2),
        exposure=(-0.6, 0.6),
        white_balance=0.15,
        motion_blur=(0.0, 2.5),
        focus_blur=(0.0, 0.9),
        color_noise=(0.0, 8.0),
        depth_sensor="structured-light",
    ),
}
"""`none`: one steady light. `linemod`: what LINEMOD's camera saw change, light alone, on black, for
an adapter to go on from. `strong`: everything, for training without an adapter or against one."""


def read_randomization(name: str | Path) -> Randomization:
    """A preset by name, or a TOML file: `preset = "strong"` and what differs from it.

    Folders in the file are relative to the file's own.

    Raises:
        RenderError: there is no such preset or file, it is no TOML, or holds an unknown key or a
            value of another kind.
    """
    if str(name) in RANDOMIZATIONS:
        return RANDOMIZATIONS[str(name)]
    path = Path(name)
    if not os.path.isfile(path):
        known = ", ".join(RANDOMIZATIONS)
        raise RenderError(f"--randomize is {name}: give {known}, or a TOML file that exists.")
    try:
        content = parse_toml(read_file(path, most=_MOST_BYTES))
    except OSError as error:
        raise RenderError(
            f"{path} cannot be read ({error.strerror}): give a file of settings."
        ) from None
    except ValueError as error:
        raise RenderError(f"{path} is not TOML ({error}): mend that line.") from None
    preset = content.pop("preset", "linemod")
    if not isinstance(preset, str) or preset not in RANDOMIZATIONS:
        known = ", ".join(RANDOMIZATIONS)
        raise RenderError(f"{path}: preset is {_shown(preset)}: give one of {known}.")
    kinds = get_type_hints(Randomization)
    for key, value in content.items():
        if key not in kinds:
            raise RenderError(f"{path}: there is no setting {key}: {', '.join(kinds)} are known.")
        if kinds[key] == Path | None and isinstance(value, str):
            content[key] = path.parent / value
    try:
        return dataclasses.replace(RANDOMIZATIONS[preset], **content)
    except RenderError as error:
        raise RenderError(f"{path}: {error}") from None
