"""Unlabelled real crops from a folder: the target domain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._crop_tensor import encode
from adapter._cut import TargetCut, read_cut
from adapter._errors import AdapterError
from adapter._target.bop_scenes import bop_scene_crops, bop_scenes_of
from adapter._target.crops import Crop, DepthCrop, picture_notes
from adapter._target.depth import step_of
from adapter._target.files import Listing, list_files
from adapter._target.images import DepthSettings, image_crops
from adapter._target.json_files import numbers, read_json
from adapter._target.pictures import bits_of, eight_bits
from adapter._target.report import Tally, TargetReport, counted

FEWEST = 16
"""A domain cannot be learnt from fewer crops than this."""
WINDOW = 200.0
"""Millimetres across a crop, where nothing says otherwise."""
MOST_BEYOND = 0.5
"""Share of the depth in crops' middles; a cluttered background behind them is less."""
SETTINGS = "crops.json"


@dataclass(frozen=True)
class TargetCrops:
    """The target domain: M real crops, and how they were read."""

    images: NDArray[np.float16]
    """(M, C, H, W) in [-1, 1], as `encode` makes them."""
    names: tuple[str, ...]
    """(M,), each crop's file within the folder (and object, where crops were cut from frames)."""
    skipped: tuple[str, ...]
    """Crops that could not be read, and objects whose window leaves the frame."""
    report: TargetReport
    """What the folder was taken for, and what was left out."""
    cut: TargetCut | None = None
    """How they were cut, where the folder says so or they were cut here."""
    centre_depth: NDArray[np.float64] | None = None
    """(M,), millimetres: what each crop's depth is measured from; None without depth."""

    @property
    def has_depth(self) -> bool:
        return bool(self.images.shape[1] == 4)

    def __len__(self) -> int:
        return len(self.images)


def read_target(
    folder: Path,
    *,
    size: int = 64,
    channels: int | None = None,
    window_mm: float | None = None,
    depth_scale: float | None = None,
) -> TargetCrops:
    """Read the real crops in a folder, in natural order of their names.

    What is understood:

    - Images (PNG, JPEG, BMP, TIFF, WebP) anywhere below the folder: RGB crops. Depth, masks and
      other pictures of the crops are told from them by the names of folders (`rgb/`, `color/`,
      `images/`, `depth/`, `mask/`) or files (`color12.jpg`, `12-depth.png`), and where these leave
      a doubt by content; docs/training.md has the rules.
    - Depth of the same name as its crop: 16-bit PNG or TIFF, or float TIFF; 0, NaN and infinity are
      no measurement. The unit is told from the values, millimetres or metres. `crops.json` in the
      folder may give `{"depth_scale": 0.1, "centre_depth": {"NAME": 812.5}}`, in millimetres;
      without it the depth of a crop's centre is the median of what was measured in the middle half
      of each side. `crops.json` may also say how crops were cut: `{"cut": {"centre": "mean",
      "window_mm": 200, "off_axis_degrees": 10}}` (`TargetCut`).
    - A BOP dataset, split or scene (`scene_camera.json`). Square images of `size` pixels are taken
      whole; from others the window of `window_mm` around every object in `scene_gt.json` is cut
      at the object's distance. Only the object's place is used, not its class or rotation.

    Crops must be square; they are resampled to `size`, colours by area, depth by nearest pixel. An
    EXIF turn applies to colours and depth alike. Transparent parts become black. Pictures of 10, 12
    or 14 bits in 16 are scaled by what their greatest number needs. Hidden files, and links out of
    the folder, are passed over.

    Args:
        folder: where the crops are.
        size: side of the crops in pixels.
        channels: 3 to leave depth out, 4 to insist on it, None to take it where there is some.
        window_mm: side of the crops' window, which also scales depth; what `crops.json` says, or
            200, if not given.
        depth_scale: millimetres in a step of depth, instead of what `crops.json` or the values say;
            BOP datasets say it themselves.

    Raises:
        AdapterError: no such folder, no crops in it, too few, not square; depth that is wanted and
            missing, in colours, of 8 bits or of no plausible unit.
    """
    if not folder.is_dir():
        raise AdapterError(f"{folder} is not a folder; `target` takes a folder of real crops")
    tally = Tally()
    listing = list_files(folder, tally)
    are_scenes = bool(bop_scenes_of(listing))
    stated = _Stated() if are_scenes else _read_stated(listing)
    window = window_mm or (stated.cut.window_mm if stated.cut else WINDOW)
    if not are_scenes:
        scale = stated.depth_scale if depth_scale is None else depth_scale
        settings = DepthSettings(channels != 3, scale, stated.centres)
        crops = image_crops(listing, size, settings, tally)
    elif depth_scale is None:
        crops = bop_scene_crops(listing, size, window, channels != 3, tally)
    else:
        raise AdapterError(
            f"{folder} is a BOP dataset, whose scene_camera.json has depth_scale; leave out "
            "`depth_scale`"
        )
    _check_enough(crops, listing, tally)
    depth = None
    if _uses_depth(crops, channels, folder):
        source = "scene_camera.json" if are_scenes else SETTINGS
        depth = _depth_of(crops, folder, source if depth_scale is None else "`depth_scale`")
    bits = bits_of(max(crop.peak for crop in crops))
    images = np.concatenate([_tensor(crop, bits, depth, window) for crop in crops])
    return TargetCrops(
        images=images,
        names=tuple(crop.name for crop in crops),
        skipped=tally.skipped(),
        report=_report(crops, images, bits, depth, window, tally),
        cut=_cut_here(crops, window) or stated.cut,
        centre_depth=None if depth is None else _centres(crops, depth),
    )


@dataclass(frozen=True)
class _Stated:
    """What `crops.json` says; all of it may be missing."""

    cut: TargetCut | None = None
    depth_scale: float | None = None
    """Millimetres in a step."""
    centres: dict[str, float] = field(default_factory=dict)
    """Millimetres, by crops' names."""


def _read_stated(listing: Listing) -> _Stated:
    """What `crops.json` says of crops and their depth.

    Raises:
        AdapterError: it is malformed.
    """
    if not listing.holds(Path(SETTINGS)):
        return _Stated()
    file = listing.folder / SETTINGS
    content = read_json(Path(SETTINGS), listing.folder)
    centres, scale = content.get("centre_depth", {}), content.get("depth_scale", 1.0)
    values = list(centres.values()) if isinstance(centres, dict) else [None]
    if numbers([scale, *values], 1 + len(values)) is None or scale <= 0:
        raise AdapterError(
            f"{file} must have a number above 0 as depth_scale, and numbers by name as centre_depth"
        )
    cut = content.get("cut")
    return _Stated(
        None if cut is None else read_cut(cut, file),
        float(scale) if "depth_scale" in content else None,
        centres,
    )


def _check_enough(crops: list[Crop], listing: Listing, tally: Tally) -> None:
    """Refuse a folder with too few crops, and say what else it holds.

    Raises:
        AdapterError: it has too few.
    """
    if not crops:
        raise AdapterError(
            f"{listing.folder} holds {counted(listing.count, 'file')}, none an image that can be "
            f"used as a crop; put PNG or JPEG crops of the real objects there{tally.in_brackets()}"
        )
    if len(crops) < FEWEST:
        raise AdapterError(
            f"{listing.folder} holds {counted(len(crops), 'usable crop')}; at least {FEWEST} are "
            f"needed, and a few hundred for a good adapter{tally.in_brackets()}"
        )


def _uses_depth(crops: list[Crop], channels: int | None, folder: Path) -> bool:
    """Whether depth is trained on.

    Raises:
        AdapterError: some crops have none, and nobody says that it is to be left out.
    """
    without = sum(not crop.has_depth for crop in crops)
    if channels == 3 or (channels is None and without == len(crops)):
        return False
    if without:
        raise AdapterError(
            f"{without} of {len(crops)} crops in {folder} have no depth; add depth/NAME.png beside "
            "rgb/NAME.png or train with `channels` 3"
        )
    return True


@dataclass(frozen=True)
class _Depth:
    """What the crops' depth is in."""

    steps: dict[bool, float]
    """Millimetres in a step of whole numbers (False) and of others (True)."""
    unit: str
    range_mm: tuple[float, float, float]


def _depth_of(crops: list[Crop], folder: Path, source: str) -> _Depth:
    """What the crops' depth is in: as `source` states, else as its values tell.

    Raises:
        AdapterError: they tell nothing plausible.
    """
    depths = [crop.depth for crop in crops if crop.depth is not None]
    steps, units = {}, []
    for is_float in sorted({depth.is_float for depth in depths if depth.step is None}):
        medians = [depth.range[1] for depth in depths if depth.is_float == is_float]
        steps[is_float], unit = step_of(medians, is_float, folder)
        units.append(unit)
    for step in sorted({depth.step for depth in depths if depth.step is not None}):
        units.append(f"in steps of {step:g} mm by {source}")
    ranges = np.array([_in_mm(depth, steps, depth.range) for depth in depths])
    ranges = ranges[ranges[:, 1] > 0] if ranges.any() else ranges
    least, middle, most = ranges[:, 0].min(), np.median(ranges[:, 1]), ranges[:, 2].max()
    return _Depth(steps, " and ".join(units), (float(least), float(middle), float(most)))


def _in_mm(depth: DepthCrop, steps: dict[bool, float], values: Any) -> NDArray[np.float32]:
    step = steps[depth.is_float] if depth.step is None else depth.step
    return np.asarray(values, np.float32) * np.float32(step)


def _centre(crop: DepthCrop, depth: _Depth) -> float:
    """The depth of a crop's centre, millimetres."""
    return crop.centre if crop.is_stated else float(_in_mm(crop, depth.steps, crop.centre))


def _centres(crops: list[Crop], depth: _Depth) -> NDArray[np.float64]:
    """(M,), depths of crops' centres, millimetres."""
    return np.array([_centre(crop.depth, depth) for crop in crops if crop.depth is not None])


def _tensor(crop: Crop, bits: int, depth: _Depth | None, window: float) -> NDArray[np.float16]:
    """(1, C, H, W), a crop as networks take it."""
    rgb = eight_bits(crop.rgb, bits)
    if depth is None or crop.depth is None:
        return encode(rgb[None], None, None).astype(np.float16)
    values = _in_mm(crop.depth, depth.steps, crop.depth.values)
    centre = _centre(crop.depth, depth)
    return encode(rgb[None], values[None], [centre], window).astype(np.float16)


def _doubts(crops: list[Crop], depth: _Depth, window: float) -> list[str]:
    """What is wrong with crops most of whose depth no network would see."""
    shares = []
    for crop in crops:
        assert crop.depth is not None
        quarter = crop.depth.values.shape[0] // 4
        middle = crop.depth.values[quarter:-quarter, quarter:-quarter]
        away = _in_mm(crop.depth, depth.steps, middle[middle > 0]) - _centre(crop.depth, depth)
        shares.append(float((np.abs(away) > window).mean()) if away.size else 0.0)
    share = float(np.mean(shares))
    if share <= MOST_BEYOND:
        return []
    return [
        f"{share:.0%} of the depth in the crops' middles is more than a window ({window:g} mm) "
        "from their centres: are `depth_scale` and `window` right?"
    ]


def _report(
    crops: list[Crop],
    images: NDArray[np.float16],
    bits: int,
    depth: _Depth | None,
    window: float,
    tally: Tally,
) -> TargetReport:
    sizes = sorted((crop.source_size for crop in crops), key=lambda size: size[0] * size[1])
    doubts = [] if depth is None else _doubts(crops, depth, window)
    distinct = len({image.tobytes() for image in images})
    return TargetReport(
        crops=len(crops),
        folders=dict(Counter(crop.folder for crop in crops)),
        smallest=sizes[0],
        largest=sizes[-1],
        with_depth=sum(crop.has_depth for crop in crops),
        channels=images.shape[1],
        depth_unit=None if depth is None else depth.unit,
        depth_mm=None if depth is None else depth.range_mm,
        left_out=tally.left_out(),
        notes=(*picture_notes(crops, bits, distinct), *doubts),
    )


def _cut_here(crops: list[Crop], window: float) -> TargetCut | None:
    """How crops were cut from frames: around the origins of their objects' coordinates."""
    cut = [crop for crop in crops if crop.off_axis is not None]
    if not cut:
        return None
    off_axis = np.array([crop.off_axis for crop in cut])
    return TargetCut(
        centre="origin",
        window_mm=float(window),
        # An even disc of rays of this radius is as far off the axis on average.
        off_axis_degrees=round(min(1.5 * float(off_axis.mean()), 60.0), 1),
        pixels=int(np.median([crop.source_size[0] for crop in cut])),
    )
