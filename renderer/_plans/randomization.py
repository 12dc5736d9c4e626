"""What differs from crop to crop beside the pose, and how far."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from checked_settings import (
    Ascending,
    Between,
    NotEmpty,
    SettingError,
    WrongValue,
    alternatives,
    fit,
    fitted_to,
    worded,
)
from safe_files import parse_toml, read_file

Background = Literal["black", "board", "photographs", "procedural", "surroundings"]
DepthSensor = Literal["exact", "gaussian", "structured-light"]
LightFrom = Literal["camera", "above"]

_MOST_BYTES = 2**20
"""Of a file of settings."""
_SHOWN_BY_PHOTOGRAPHS = ("photographs", "surroundings")
"""Kinds of background."""
_FOLDERS = {"environments", "textures", "photographs"}
_Number = TypeVar("_Number", bound=float)
_Share = Annotated[float, Between(0, 1)]
_Count = Annotated[int, Between(0, 8)]
_Strength = Annotated[float, Between(0, 10)]
_Blur = Annotated[float, Between(0, 100)]
_Noise = Annotated[float, Between(0, 100)]


class _IsFolder:
    """A rule for paths."""

    phrase = "a folder that exists"

    def holds(self, path: Path) -> bool:
        # Unlike pathlib, os.path answers for any text, however long or odd.
        return os.path.isdir(path)


_Limits = Annotated[tuple[_Number, _Number], Ascending()]
"""Least and greatest."""
_Folder = Annotated[Path, _IsFolder()]


@dataclass(frozen=True)
class Randomization:
    """What is drawn anew for each crop, from the run's seed and the crop's number alone.

    Ranges are (least, greatest), drawn uniformly; a range of two equal numbers is a constant.

    Raises:
        SettingError: a value is out of range, or a folder is missing.
    """

    lights: _Limits[Annotated[int, Between(1, 8)]] = (1, 1)
    """How many lights beside the ambient one; they share the intensity."""
    light_angle: Annotated[float, Between(0, 180)] = 75.0
    """Each light comes from up to this many degrees off the way that `light_from` says."""
    light_from: LightFrom = "camera"
    """What the lights are around: `camera`, its own direction, so that they turn with it; `above`,
    straight up from the board that the object stands on, as lights are that a room has."""
    light_intensity: _Limits[_Strength] = (0.4, 0.9)
    """Intensity of all lights together; 1 shows a surface that faces one light at full."""
    ambient_intensity: _Limits[_Strength] = (0.3, 0.6)
    """Intensity of the light that comes from everywhere."""
    light_tint: _Share = 0.1
    """How far the lights' red, green and blue may each differ from their intensity, 0 to 1."""
    environments: _Folder | None = None
    """A folder of HDRI pictures (.hdr, .exr) that light the scene; for the Blender renderer."""

    color_jitter: _Share = 0.0
    """Each object's red, green and blue are multiplied by 1 up to this much more or less."""
    specular: _Limits[_Strength] = (0.0, 0.0)
    """Strength of highlights; 0 is matt, 1 as bright as the light."""
    shininess: _Limits[Annotated[float, Between(1, 1000)]] = (5.0, 80.0)
    """Blinn's exponent; the larger, the smaller a highlight."""
    texture_swap: _Share = 0.0
    """Share of the objects, occluders too, whose colours give way to a picture."""
    texture_period: _Limits[Annotated[float, Between(1, 1e5)]] = (30.0, 150.0)
    """Millimetres of the object that the picture's width covers."""
    textures: _Folder | None = None
    """A folder of pictures for that; drawn patterns where none is given."""

    background: Annotated[tuple[Background, ...], NotEmpty()] = ("black",)
    """What is behind the objects, one of these for each crop: black, the board that the object
    stands on, a part of a photograph, a drawn pattern, or what a camera saw around an object in a
    pose near the crop's (photographs with poses.json beside them)."""
    photographs: _Folder | None = None
    """The folder of photographs for backgrounds."""
    occluders: _Limits[_Count] = (0, 0)
    """How many of the run's objects are between the camera and the target, within 200 mm of it,
    above its board and turned any way; fewer where there is no room for them."""
    occlusion: _Share = 0.5
    """The greatest share of the target's width that an occluder, or a neighbour before the target,
    reaches over."""
    neighbours: _Limits[_Count] = (0, 0)
    """How many of the run's objects stand beside the target, on the same board."""

    off_centre: _Share = 0.0
    """What the crop is cut around (`PlanConfig.centre`) is off its middle by up to this share of
    its width, both ways; from about 0.3 on the border cuts objects off."""
    zoom: _Limits[Annotated[float, Between(0.1, 10)]] = (1.0, 1.0)
    """The crop's window is this many times as large."""

    exposure: _Limits[Annotated[float, Between(-4, 4)]] = (0.0, 0.0)
    """Stops by which colours are too bright (above 0) or too dark."""
    white_balance: _Share = 0.0
    """Red and blue are multiplied by 1 up to this much more or less, over the whole crop."""
    motion_blur: _Limits[_Blur] = (0.0, 0.0)
    """Pixels that the camera moved during the exposure, in any direction."""
    focus_blur: _Limits[_Blur] = (0.0, 0.0)
    """Pixels, standard deviation of the blur of a lens out of focus."""
    color_noise: _Limits[_Noise] = (0.0, 0.0)
    """Standard deviation of the noise of each colour, of 255."""

    depth_sensor: DepthSensor = "exact"
    """What measures depth: nothing but the z-buffer, one with Gaussian noise, or a Kinect-like
    structured-light camera with shadows, dropouts and steps."""
    depth_noise: _Limits[_Noise] = (1.0, 2.0)
    """Gaussian sensor: standard deviation in millimetres at 1 m; it grows with z squared."""

    def __post_init__(self) -> None:
        fit(self)
        for kind in _SHOWN_BY_PHOTOGRAPHS:
            if kind in self.background and self.photographs is None:
                raise SettingError(
                    f"`background` has {kind} in it, but no folder of them is named: "
                    'set `photographs` = "FOLDER" beside it'
                )

    @property
    def shows_photographs(self) -> bool:
        """Whether there may be photographs behind the objects."""
        return any(kind in self.background for kind in _SHOWN_BY_PHOTOGRAPHS)


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
        SettingError: there is no such preset or file, it is no TOML, or holds an unknown key or a
            value of another kind.
    """
    if str(name) in RANDOMIZATIONS:
        return RANDOMIZATIONS[str(name)]
    path = Path(name)
    if not os.path.isfile(path):
        presets = ", ".join(RANDOMIZATIONS)
        raise WrongValue("randomize", name, f"{presets} or a TOML file that exists")
    try:
        content = parse_toml(read_file(path, most=_MOST_BYTES))
    except OSError as error:
        raise SettingError(
            f"{path} cannot be read ({error.strerror}): give a file of settings"
        ) from None
    except ValueError as error:
        raise SettingError(f"{path} is not TOML ({error}): mend that line") from None
    try:
        return _changed(content, path.parent)
    except SettingError as error:
        raise SettingError(f"{path}: {worded(str(error), _key)}") from None


def _changed(content: dict[str, Any], folder: Path) -> Randomization:
    """A preset with what a file says differs from it.

    Raises:
        SettingError: there is no such preset or setting, or a value is out of range.
    """
    preset = content.pop("preset", "linemod")
    if not isinstance(preset, str) or preset not in RANDOMIZATIONS:
        raise WrongValue("preset", preset, alternatives(RANDOMIZATIONS))
    for name in _FOLDERS & content.keys():
        if isinstance(content[name], str):
            content[name] = folder / content[name]
    return dataclasses.replace(RANDOMIZATIONS[preset], **fitted_to(Randomization, content))


def _key(name: str) -> str:
    """What a setting is called in a file."""
    return name
