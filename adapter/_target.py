"""Unlabelled real crops from a folder: the target domain."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter._crop_tensor import encode
from adapter._cut import TargetCut, read_cut
from adapter._errors import AdapterError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
FEWEST = 16
"""A domain cannot be learnt from fewer crops than this."""
MOST_MM = 1e7
"""Of any number in a scene's files; ten kilometres are no pose."""
MOST_JSON_BYTES = 2**30
VISIBLE = 0.1
"""Objects of a BOP dataset that are seen less than this are left out, as BOP does."""


@dataclass(frozen=True)
class TargetCrops:
    """The target domain: M real crops, and how they were read."""

    images: NDArray[np.float16]
    """(M, C, H, W) in [-1, 1], as `encode` makes them."""
    names: tuple[str, ...]
    """(M,), each crop's file within the folder (and object, where crops were cut from frames)."""
    skipped: tuple[str, ...]
    """Files that could not be read, and objects whose window leaves the frame."""
    cut: TargetCut | None = None
    """How they were cut, where the folder says so or they were cut here."""

    @property
    def has_depth(self) -> bool:
        return bool(self.images.shape[1] == 4)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class _Crop:
    name: str
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.float32] | None  # (H, W), millimetres
    centre_depth: float
    pixels: int = 0  # across the window, where it was cut here
    off_axis: float = 0.0  # degrees, likewise


class _Unreadable(Exception):
    """One crop cannot be used; the others may be."""


def read_target(
    folder: Path, *, size: int = 64, channels: int | None = None, window_mm: float | None = None
) -> TargetCrops:
    """Read the real crops in a folder, in natural order of their names.

    Three layouts are understood:

    - Images (PNG, JPEG, BMP, TIFF) anywhere below the folder: RGB crops.
    - `rgb/NAME.png` and `depth/NAME.png` (uint16, 0 = no measurement): RGB-D crops. `crops.json`
      beside them may give `{"depth_scale": 0.1, "centre_depth": {"NAME": 812.5}}`, in millimetres.
      Without it a depth value is a millimetre, and the depth of a crop's centre is the median of
      what was measured in the middle half of each side. In any folder of images `crops.json` may
      say how they were cut: `{"cut": {"centre": "mean", "window_mm": 200, "off_axis_degrees": 10}}`
      (`TargetCut`).
    - A BOP dataset, split or scene (`scene_camera.json`). Square images of `size` pixels are taken
      whole; from others the window of `window_mm` around every object in `scene_gt.json` is cut
      at the object's distance. Only the object's place is used, not its class or rotation.

    Crops must be square; they are resampled to `size`, colours by area, depth by nearest pixel.

    Args:
        folder: where the crops are.
        size: side of the crops in pixels.
        channels: 3 to leave depth out, 4 to insist on it, None to take it where there is some.
        window_mm: side of the crops' window, which also scales depth; what `crops.json` says, or
            200, if not given.

    Raises:
        AdapterError: no such folder, no crops in it, too few, not square, or no depth where
            4 channels are wanted.
    """
    if not folder.is_dir():
        raise AdapterError(f"{folder} is not a folder; --target takes a folder of real crops")
    scenes = sorted({file.parent for file in folder.rglob("scene_camera.json")}, key=_natural)
    skipped: list[str] = []
    cut = None if scenes else _stated_cut(folder)
    if window_mm is None:
        window_mm = 200.0 if cut is None else cut.window_mm
    crops = (
        list(_bop_crops(folder, scenes, size, window_mm, skipped))
        if scenes
        else list(_image_crops(folder, size, skipped))
    )
    if not crops:
        files = sum(file.is_file() for file in folder.rglob("*"))
        raise AdapterError(
            f"{folder} holds {files} files, none an image that can be used as a crop; put PNG or "
            "JPEG crops of the real objects there"
        )
    if len(crops) < FEWEST:
        raise AdapterError(
            f"{folder} holds {len(crops)} usable crops; at least {FEWEST} are needed, and a few "
            "hundred for a good adapter"
        )
    with_depth = sum(crop.depth is not None for crop in crops)
    if channels == 4 and with_depth < len(crops):
        raise AdapterError(
            f"{len(crops) - with_depth} of {len(crops)} crops in {folder} have no depth; add "
            "depth/NAME.png beside rgb/NAME.png or train with --channels 3"
        )
    use_depth = channels != 3 and with_depth == len(crops)
    if channels is None and 0 < with_depth < len(crops):
        raise AdapterError(
            f"{len(crops) - with_depth} of {len(crops)} crops in {folder} have no depth; add "
            "it or train with --channels 3"
        )
    images = [
        encode(
            crop.rgb[None],
            crop.depth[None] if use_depth and crop.depth is not None else None,
            [crop.centre_depth],
            window_mm,
        ).astype(np.float16)
        for crop in crops
    ]
    names = tuple(crop.name for crop in crops)
    cut_here = [crop for crop in crops if crop.pixels]
    if cut_here:
        cut = _cut_here(cut_here, window_mm)
    return TargetCrops(np.concatenate(images), names, tuple(skipped), cut)


def _stated_cut(folder: Path) -> TargetCut | None:
    """What `crops.json` says of how crops were cut."""
    file = folder / "crops.json"
    stated = _read_json(file).get("cut") if file.is_file() else None
    return None if stated is None else read_cut(stated, file)


def _cut_here(crops: list[_Crop], window_mm: float) -> TargetCut:
    """How crops were cut from frames: around the origins of their objects' coordinates."""
    off_axis = np.array([crop.off_axis for crop in crops])
    return TargetCut(
        centre="origin",
        window_mm=float(window_mm),
        # An even disc of rays of this radius is as far off the axis on average.
        off_axis_degrees=round(min(1.5 * float(off_axis.mean()), 60.0), 1),
        pixels=int(np.median([crop.pixels for crop in crops])),
    )


def _image_crops(folder: Path, size: int, skipped: list[str]) -> Iterator[_Crop]:
    """Crops of a folder of images, with depth where `rgb/` and `depth/` stand side by side."""
    paired = (folder / "rgb").is_dir()
    root = folder / "rgb" if paired else folder
    has_depth = paired and (folder / "depth").is_dir()
    settings = _read_json(folder / "crops.json") if (folder / "crops.json").is_file() else {}
    scale, centres = _read_settings(folder / "crops.json", settings)
    for file in _images(root):
        name = str(file.relative_to(root).with_suffix(""))
        try:
            rgb = _read_rgb(file)
            _check_square(rgb, file)
            depth_file = folder / "depth" / f"{name}.png"
            if not has_depth or not depth_file.is_file():
                yield _Crop(name, _resize(rgb, size), None, 0.0)
                continue
            depth = _read_depth(depth_file, scale)
            _check_alike(depth_file, depth, rgb)
            centre = centres[name] if name in centres else _measured_centre(depth)
        except _Unreadable:
            skipped.append(str(file.relative_to(folder)))
            continue
        yield _Crop(name, _resize(rgb, size), _resize_depth(depth, size), centre)


def _read_settings(file: Path, settings: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Millimetres in a depth value, and the depth of crops' centres by name, of `crops.json`.

    Raises:
        AdapterError: they are no numbers.
    """
    centres = settings.get("centre_depth", {})
    numbers = list(centres.values()) if isinstance(centres, dict) else [None]
    if _numbers([settings.get("depth_scale", 1.0), *numbers], 1 + len(numbers)) is None:
        raise AdapterError(
            f"{file} must have a number as depth_scale, and numbers by name as centre_depth"
        )
    return float(settings.get("depth_scale", 1.0)), centres


def _bop_crops(
    folder: Path, scenes: list[Path], size: int, window_mm: float, skipped: list[str]
) -> Iterator[_Crop]:
    """Crops of BOP scenes: whole images, or windows cut around each object."""
    for scene in scenes:
        cameras = _read_json(scene / "scene_camera.json")
        if not (scene / "scene_gt.json").is_file():
            raise AdapterError(
                f"{scene} has no scene_gt.json, so the objects' places are unknown; give a folder "
                "of crops instead"
            )
        truths = _read_json(scene / "scene_gt.json")
        info_file = scene / "scene_gt_info.json"
        infos = _read_json(info_file) if info_file.is_file() else {}
        for file in _images(scene / "rgb" if (scene / "rgb").is_dir() else scene / "gray"):
            name = str(file.relative_to(folder))
            key = str(int(file.stem)) if file.stem.isdecimal() else file.stem
            if key not in cameras or not truths.get(key):
                skipped.append(name)
                continue
            camera = _read_camera(scene, key, cameras[key])
            centres = _read_centres(scene, key, truths[key])
            is_seen = _read_seen(scene, key, infos.get(key), len(centres))
            try:
                rgb = _read_rgb(file)
                depth_file = scene / "depth" / f"{file.stem}.png"
                depth = None
                if depth_file.is_file():
                    depth = _read_depth(depth_file, camera.depth_scale)
                    _check_alike(depth_file, depth, rgb)
            except _Unreadable:
                skipped.append(name)
                continue
            if rgb.shape[:2] == (size, size):
                yield _Crop(name, rgb, depth, float(centres[0, 2]))
                continue
            for number, centre in enumerate(centres):
                if not is_seen[number]:
                    continue
                window = _window(camera.matrix, centre, window_mm, rgb.shape)
                if window is None:
                    skipped.append(f"{name} object {number}")
                    continue
                yield _Crop(
                    f"{name} object {number}",
                    _resize(rgb[window], size),
                    None if depth is None else _resize_depth(depth[window], size),
                    float(centre[2]),
                    window[0].stop - window[0].start,
                    float(np.degrees(np.arctan2(np.hypot(centre[0], centre[1]), centre[2]))),
                )


@dataclass(frozen=True)
class _Camera:
    matrix: NDArray[np.float64]  # (3, 3), pixels counted from the picture's corner
    depth_scale: float


def _read_camera(scene: Path, key: str, entry: Any) -> _Camera:
    """An image's entry of `scene_camera.json`.

    Raises:
        AdapterError: it is malformed.
    """
    fields = entry if isinstance(entry, dict) else {}
    matrix = _numbers(fields.get("cam_K"), 9)
    scale = _numbers([fields.get("depth_scale", 1.0)], 1)
    # Where the first pixel's centre is: at 0 in calibrations.
    centre = fields.get("pixel_center", 0.0)
    if matrix is None or scale is None or matrix[0] <= 0 or scale[0] < 0 or centre not in (0, 0.5):
        raise _malformed(scene / "scene_camera.json", key)
    matrix = matrix.reshape(3, 3)
    matrix[:2, 2] += 0.5 - centre
    return _Camera(matrix, float(scale[0]))


def _read_centres(scene: Path, key: str, truth: Any) -> NDArray[np.float64]:
    """(G, 3), where the objects of an image are.

    Raises:
        AdapterError: its entry of `scene_gt.json` is malformed.
    """
    objects = truth if isinstance(truth, list) else [None]
    found = [
        _numbers(one.get("cam_t_m2c") if isinstance(one, dict) else None, 3) for one in objects
    ]
    if any(centre is None for centre in found):
        raise _malformed(scene / "scene_gt.json", key)
    return np.array(found, dtype=np.float64)


def _read_seen(scene: Path, key: str, info: Any, count: int) -> NDArray[np.bool_]:
    """(G,), which of an image's `count` objects are seen enough; all where nothing says so.

    Raises:
        AdapterError: its entry of `scene_gt_info.json` is malformed.
    """
    if info is None:
        return np.ones(count, dtype=bool)
    entries = info if isinstance(info, list) else []
    seen = [
        _numbers([one.get("visib_fract", 1.0) if isinstance(one, dict) else None], 1)
        for one in entries
    ]
    if len(seen) != count or any(share is None for share in seen):
        raise _malformed(scene / "scene_gt_info.json", key)
    return np.array(seen, dtype=np.float64)[:, 0] >= VISIBLE


def _numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """So many numbers of a sane size; None where they are not."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return None
    if not all(abs(value) <= MOST_MM for value in values):
        return None
    return np.array(values, dtype=np.float64)


def _malformed(file: Path, key: str) -> AdapterError:
    return AdapterError(
        f"{file} has a malformed entry for image {key!r:.40}; mend it, or give a folder of crops "
        "instead"
    )


def _window(
    matrix: NDArray[np.float64],
    centre: NDArray[np.float64],
    window_mm: float,
    shape: tuple[int, ...],
) -> tuple[slice, slice] | None:
    """Rows and columns of the window around a point in camera coordinates, None if it leaves.

    Convention:
        The square has an even side of 2 floor(window / 2 * f / z) pixels.
    """
    if centre[2] <= 0:
        return None
    with np.errstate(all="ignore"):
        x, y, z = matrix @ centre
        place = np.array([x / z, y / z, window_mm / 2.0 * matrix[0, 0] / centre[2]])
    if not np.isfinite(place).all():
        return None
    column, row, half = round(place[0]), round(place[1]), math.floor(place[2])
    top, left = row - half, column - half
    if half < 1 or top < 0 or left < 0 or row + half > shape[0] or column + half > shape[1]:
        return None
    return slice(top, row + half), slice(left, column + half)


def _images(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((file for file in files if file.is_file()), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts img2 before img10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_JSON_BYTES:
            raise AdapterError(f"{file} is larger than 1 GiB; give a part of the dataset")
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except AdapterError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"{file} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise AdapterError(f"{file} is not a JSON object")
    return content


def _decode(file: Path, flags: int) -> NDArray[Any]:
    data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    try:
        image = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:  # larger than OpenCV's limit, 2^30 pixels
        image = None
    if image is None:
        raise _Unreadable
    return image


def _read_rgb(file: Path) -> NDArray[np.uint8]:
    return np.ascontiguousarray(_decode(file, cv2.IMREAD_COLOR)[:, :, ::-1])


def _read_depth(file: Path, scale: float) -> NDArray[np.float32]:
    depth = _decode(file, cv2.IMREAD_UNCHANGED)
    if depth.ndim != 2:
        raise AdapterError(f"{file} has {depth.shape[2]} channels; a depth image has one")
    if depth.dtype.kind not in "uif" or not np.isfinite(depth).all():
        raise _Unreadable
    return depth.astype(np.float32) * np.float32(scale)


def _check_square(image: NDArray[np.uint8], file: Path) -> None:
    height, width = image.shape[:2]
    if height != width:
        raise AdapterError(
            f"{file} is {width}x{height} pixels; crops must be square, with the object in the "
            "middle: cut them first, or give the frames as a BOP dataset"
        )


def _check_alike(file: Path, depth: NDArray[np.float32], rgb: NDArray[np.uint8]) -> None:
    if depth.shape != rgb.shape[:2]:
        raise AdapterError(
            f"{file} is {depth.shape[1]}x{depth.shape[0]} pixels and its image "
            f"{rgb.shape[1]}x{rgb.shape[0]}; they must be alike"
        )


def _measured_centre(depth: NDArray[np.float32]) -> float:
    quarter = depth.shape[0] // 4
    middle = depth[quarter : depth.shape[0] - quarter, quarter : depth.shape[1] - quarter]
    for part in (middle, depth):
        if (part > 0).any():
            return float(np.median(part[part > 0]))
    raise _Unreadable


def _resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if image.shape[0] == size:
        return image
    how = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=how).astype(np.uint8)


def _resize_depth(depth: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    # INTER_NEAREST takes the pixel above and left of the sample; the exact variant is centred.
    if depth.shape[0] == size:
        return depth
    resized = cv2.resize(depth, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(np.float32)
