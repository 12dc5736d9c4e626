"""Crops of BOP scenes: whole images, or windows cut around each object."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError
from adapter._target.crops import Crop, DepthCrop, check_same_size, range_of, resized, resized_depth
from adapter._target.depth import check_depth_numbers, measured
from adapter._target.files import Listing
from adapter._target.json_files import numbers, read_json
from adapter._target.pictures import Stored, Unreadable, colours, read_stored
from adapter._target.report import BEYOND_FRAME, DEPTH_DAMAGED, UNKNOWN_FRAMES, UNSEEN, Tally

VISIBLE = 0.1
"""Objects of a BOP dataset that are seen less than this are left out, as BOP does."""


def bop_scene_crops(
    listing: Listing, size: int, window_mm: float, depth: bool, tally: Tally
) -> list[Crop]:
    """Read the crops of all BOP scenes in a folder.

    Square images of `size` pixels are taken whole; from others the window of `window_mm` around
    every object is cut at its distance. Nothing is turned by EXIF: cameras and poses are of the
    pictures as they are stored.

    Args:
        listing: the target's files.
        size: side of the crops in pixels.
        window_mm: side of the window.
        depth: whether depth is read.
        tally: takes what is left out.

    Raises:
        AdapterError: a scene's files are malformed or missing, or depth is not like its picture.
    """
    reader = _Reader(listing, size, window_mm, depth, tally)
    return [crop for scene in bop_scenes_of(listing) for crop in reader.scene(scene)]


def bop_scenes_of(listing: Listing) -> list[Path]:
    """The BOP scenes in a folder, by their paths within it."""
    return [folder for folder in listing.by_folder if listing.holds(folder / "scene_camera.json")]


@dataclass(frozen=True)
class _Frame:
    """An image of a scene, and what the scene's files say of it."""

    name: str
    camera: FrameCamera
    centres: NDArray[np.float64]  # (G, 3)
    is_seen: NDArray[np.bool_]  # (G,)
    image: Path
    depth: Path | None


@dataclass(frozen=True)
class _Reader:
    listing: Listing
    size: int
    window_mm: float
    with_depth: bool
    tally: Tally

    def scene(self, scene: Path) -> Iterator[Crop]:
        """The crops of a scene."""
        for frame in self._frames(scene):
            try:
                stored = read_stored(frame.image, self.listing.folder)
                whole = self._whole(frame, stored)
            except Unreadable as reason:
                self.tally.add(str(reason), frame.image)
                continue
            if stored.pixels.shape[:2] == (self.size, self.size):
                yield whole
            else:
                yield from self._windows(frame, whole)

    def _frames(self, scene: Path) -> Iterator[_Frame]:
        cameras, truths, infos = self._files(scene)
        where = self.listing.folder / scene
        depth = {file.stem: file for file in self.listing.images_in(scene / "depth")}
        images = self.listing.images_in(scene / "rgb") or self.listing.images_in(scene / "gray")
        for file in images:
            key = str(int(file.stem)) if file.stem.isdecimal() else file.stem
            if key not in cameras or not truths.get(key):
                self.tally.add(UNKNOWN_FRAMES, file)
                continue
            centres = _read_centres(where, key, truths[key])
            yield _Frame(
                name=str(file),
                camera=read_camera(where, key, cameras[key]),
                centres=centres,
                is_seen=read_seen(where, key, infos.get(key), len(centres)),
                image=file,
                depth=depth.get(file.stem),
            )

    def _files(self, scene: Path) -> list[dict[str, Any]]:
        """`scene_camera.json`, `scene_gt.json`, and `scene_gt_info.json` where it is there."""
        listing = self.listing
        files = [scene / f"scene_{name}.json" for name in ("camera", "gt", "gt_info")]
        if not listing.holds(files[1]):
            raise AdapterError(
                f"{listing.folder / scene} has no scene_gt.json, so the objects' places are "
                "unknown; give a folder of crops instead"
            )
        return [read_json(file, listing.folder) if listing.holds(file) else {} for file in files]

    def _whole(self, frame: _Frame, stored: Stored) -> Crop:
        """A frame as a crop of its own size."""
        picture = colours(stored.pixels)
        height, width = picture.rgb.shape[:2]
        depth = None
        if frame.depth is not None and self.with_depth:
            depth = self._depth(frame, frame.depth, picture.rgb.shape)
        return Crop(
            name=frame.name,
            folder=str(frame.image.parent),
            rgb=picture.rgb,
            source_size=(width, height),
            depth=depth,
            has_depth=frame.depth is not None,
            is_grey=picture.is_grey,
            is_transparent=picture.is_transparent,
            peak=int(picture.rgb.max()) if picture.rgb.dtype.itemsize > 1 else 0,
        )

    def _depth(self, frame: _Frame, file: Path, shape: tuple[int, ...]) -> DepthCrop:
        path = self.listing.folder / file
        try:
            stored = read_stored(file, self.listing.folder)
        except Unreadable:
            raise Unreadable(DEPTH_DAMAGED) from None
        check_depth_numbers(stored, path, frame.camera.depth_scale)
        check_same_size(path, stored.pixels.shape, shape)
        values = measured(stored)
        is_float = stored.pixels.dtype.kind == "f"
        return DepthCrop(
            values, frame.camera.depth_scale, is_float, float(frame.centres[0, 2]), True,
            range_of(values),
        )  # fmt: skip

    def _windows(self, frame: _Frame, whole: Crop) -> Iterator[Crop]:
        """The windows of a frame's objects."""
        for number, centre in enumerate(frame.centres):
            name = f"{frame.name} object {number}"
            if not frame.is_seen[number]:
                self.tally.add(UNSEEN, name)
                continue
            window = window_around(frame.camera.matrix, centre, self.window_mm, whole.rgb.shape)
            if window is None:
                self.tally.add(BEYOND_FRAME, name)
                continue
            side = window[0].stop - window[0].start
            yield replace(
                whole,
                name=name,
                rgb=resized(whole.rgb[window], self.size),
                source_size=(side, side),
                depth=None if whole.depth is None else self._cut(whole.depth, window, centre),
                off_axis=float(np.degrees(np.arctan2(np.hypot(*centre[:2]), centre[2]))),
            )

    def _cut(
        self, depth: DepthCrop, window: tuple[slice, slice], centre: NDArray[np.float64]
    ) -> DepthCrop:
        values = depth.values[window]
        return replace(
            depth, values=resized_depth(values, self.size), centre=float(centre[2]),
            range=range_of(values),
        )  # fmt: skip


@dataclass(frozen=True)
class FrameCamera:
    """The camera of an image of a scene."""

    matrix: NDArray[np.float64]
    """(3, 3), pixels counted from the picture's corner."""
    depth_scale: float
    """Millimetres in a step of its depth."""


def read_camera(scene: Path, key: str, entry: Any) -> FrameCamera:
    """An image's entry of `scene_camera.json`.

    Raises:
        AdapterError: it is malformed.
    """
    fields = entry if isinstance(entry, dict) else {}
    matrix = numbers(fields.get("cam_K"), 9)
    scale = numbers([fields.get("depth_scale", 1.0)], 1)
    # Where the first pixel's centre is: at 0 in calibrations.
    centre = fields.get("pixel_center", 0.0)
    if matrix is None or scale is None or matrix[0] <= 0 or scale[0] < 0 or centre not in (0, 0.5):
        raise malformed_entry(scene / "scene_camera.json", key)
    matrix = matrix.reshape(3, 3)
    matrix[:2, 2] += 0.5 - centre
    return FrameCamera(matrix, float(scale[0]))


def _read_centres(scene: Path, key: str, truth: Any) -> NDArray[np.float64]:
    """(G, 3), where the objects of an image are.

    Raises:
        AdapterError: its entry of `scene_gt.json` is malformed.
    """
    objects = truth if isinstance(truth, list) else [None]
    centres = [
        numbers(entry.get("cam_t_m2c") if isinstance(entry, dict) else None, 3) for entry in objects
    ]
    if any(translation is None for translation in centres):
        raise malformed_entry(scene / "scene_gt.json", key)
    return np.array(centres, dtype=np.float64)


def read_seen(
    scene: Path, key: str, info: Any, count: int, least: float = VISIBLE
) -> NDArray[np.bool_]:
    """(G,), which of an image's `count` objects are seen to a share of `least` or more; all where
    nothing says so.

    Raises:
        AdapterError: its entry of `scene_gt_info.json` is malformed.
    """
    if info is None:
        return np.ones(count, dtype=bool)
    entries = info if isinstance(info, list) else []
    shares = [
        numbers([entry.get("visib_fract", 1.0) if isinstance(entry, dict) else None], 1)
        for entry in entries
    ]
    if len(shares) != count or any(share is None for share in shares):
        raise malformed_entry(scene / "scene_gt_info.json", key)
    return np.array(shares, dtype=np.float64)[:, 0] >= least


def malformed_entry(file: Path, key: str) -> AdapterError:
    return AdapterError(
        f"{file} has a malformed entry for image {key!r:.40}; mend it, or give a folder of crops "
        "instead"
    )


def window_around(
    matrix: NDArray[np.float64],
    centre: NDArray[np.float64],
    window_mm: float,
    shape: tuple[int, ...],
) -> tuple[slice, slice] | None:
    """Rows and columns of the window around a point in camera coordinates, None if it leaves.

    Args:
        matrix: (3, 3), K with pixels counted from the picture's corner.
        centre: (3,), the point, millimetres.
        window_mm: side of the window at that point's depth.
        shape: of the picture, height and width first.

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
