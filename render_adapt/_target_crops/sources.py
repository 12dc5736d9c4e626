"""Where frames come from: folders of pictures, BOP datasets and videos."""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter._target.bop_scenes import FrameCamera, bop_scenes_of, read_camera
from adapter._target.crops import check_same_size
from adapter._target.depth import check_depth_numbers, measured
from adapter._target.files import Listing, list_files
from adapter._target.json_files import numbers, read_json
from adapter._target.pictures import Stored, Unreadable, colours, read_stored, upright
from adapter._target.report import DEPTH_DAMAGED, Tally
from adapter._target.sorting import DepthFiles, sort_pictures
from checked_settings import SettingError
from render_adapt._exceptions import DatasetError
from render_adapt._formats.pixel_centre import CENTRES, INSIDE, KEY
from render_adapt._target_crops.frame import Frame
from render_adapt._target_crops.settings import CropTargetConfig

VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"})
_CAMERA = Path("camera.json")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


class FrameSource(abc.ABC):
    """Frames, one after the other, as often as they are asked for."""

    has_poses = False
    """It is a BOP dataset with `scene_gt.json`."""

    @abc.abstractmethod
    def frames(self, tally: Tally) -> Iterator[Frame]:
        """Each so-many-th frame.

        Args:
            tally: takes what cannot be read.

        Raises:
            RenderAdaptError: one sentence that says why none can.
        """


class ImageFrames(FrameSource):
    """A folder of pictures, in whatever way their owner keeps depth and masks."""

    def __init__(self, listing: Listing, config: CropTargetConfig, depth_scale: float | None):
        self._listing, self._config, self._scale = listing, config, depth_scale
        self._camera = config.camera_matrix
        if listing.holds(_CAMERA):
            said = _folder_camera(listing)
            self._camera = said.matrix if self._camera is None else self._camera
            has_scale = "depth_scale" in read_json(_CAMERA, listing.folder)
            self._scale = said.depth_scale if has_scale and self._scale is None else self._scale

    def frames(self, tally: Tally) -> Iterator[Frame]:
        """Those that are pictures in colour."""
        pictures, depth_pictures = sort_pictures(self._listing, tally)
        if not pictures:
            raise SettingError(
                f"`frames` {self._listing.folder} holds no picture that can be a frame"
                f"{tally.in_brackets()}"
            )
        depths = DepthFiles(depth_pictures)
        for file in pictures[:: self._config.every]:
            try:
                yield self._frame(file, depths)
            except Unreadable as reason:
                tally.add(str(reason), file)

    def _frame(self, file: Path, depths: DepthFiles) -> Frame:
        stored = read_stored(file, self._listing.folder)
        depth, is_float = None, False
        of_frame = depths.of(file) if self._config.channels != 3 else []
        if of_frame:
            depth, is_float = _read_depth(of_frame[0], self._listing.folder, stored, self._scale)
        return Frame(
            name=file.with_suffix("").as_posix(),
            source=file.parent.as_posix(),
            number=number_of(file.stem),
            rgb=upright(colours(stored.pixels).rgb, stored.orientation),
            depth=depth,
            depth_step=self._scale,
            depth_is_float=is_float,
            camera=self._camera,
        )


class BopFrames(FrameSource):
    """The images of all BOP scenes in a folder, with their cameras."""

    def __init__(self, listing: Listing, config: CropTargetConfig) -> None:
        if config.depth_scale is not None or config.camera is not None:
            name = "camera" if config.depth_scale is None else "depth_scale"
            raise SettingError(
                f"`frames` {listing.folder} is a BOP dataset, whose scene_camera.json says "
                f"`{name}`: leave it out"
            )
        self._listing, self._config = listing, config
        self._scenes = bop_scenes_of(listing)
        self.has_poses = any(listing.holds(scene / "scene_gt.json") for scene in self._scenes)

    def frames(self, tally: Tally) -> Iterator[Frame]:
        """Those whose camera is known."""
        for scene in self._scenes:
            cameras = read_json(scene / "scene_camera.json", self._listing.folder)
            depths = {file.stem: file for file in self._listing.images_in(scene / "depth")}
            images = self._listing.images_in(scene / "rgb") or self._listing.images_in(
                scene / "gray"
            )
            for file in images[:: self._config.every]:
                key = str(number_of(file.stem))
                if key not in cameras:
                    tally.add("frames of which scene_camera.json does not say the camera", file)
                    continue
                camera = read_camera(self._listing.folder / scene, key, cameras[key])
                try:
                    yield self._frame(scene, file, depths.get(file.stem), camera)
                except Unreadable as reason:
                    tally.add(str(reason), file)

    def _frame(
        self, scene: Path, file: Path, depth_file: Path | None, camera: FrameCamera
    ) -> Frame:
        stored = read_stored(file, self._listing.folder)
        depth, is_float = None, False
        if depth_file is not None and self._config.channels != 3:
            as_stored = Stored(stored.pixels, 1)
            depth, is_float = _read_depth(
                depth_file, self._listing.folder, as_stored, camera.depth_scale
            )
        return Frame(
            name=file.with_suffix("").as_posix(),
            source=scene.as_posix(),
            number=number_of(file.stem),
            rgb=colours(stored.pixels).rgb,
            depth=depth,
            depth_step=camera.depth_scale,
            depth_is_float=is_float,
            camera=camera.matrix,
            scene_id=number_of(scene.name),
        )


class VideoFrames(FrameSource):
    """The frames of a video, numbered from 0."""

    def __init__(self, path: Path, config: CropTargetConfig) -> None:
        self._path, self._config = path, config

    def frames(self, tally: Tally) -> Iterator[Frame]:
        """Those that OpenCV can decode."""
        video = cv2.VideoCapture(str(self._path))
        try:
            number = 0
            while video.grab():
                if number % self._config.every == 0:
                    _, picture = video.retrieve()
                    if picture is None:
                        tally.add("damaged", f"frame {number}")
                    else:
                        yield self._frame(number, picture)
                number += 1
        finally:
            video.release()
        if number == 0:
            raise DatasetError(
                f"`frames` {self._path} is no video that OpenCV can read: convert it to MP4, or "
                "give a folder of its frames"
            )

    def _frame(self, number: int, picture: NDArray[Any]) -> Frame:
        return Frame(
            name=f"{number:06d}",
            source=self._path.name,
            number=number,
            rgb=np.ascontiguousarray(picture[..., ::-1]),
            camera=self._config.camera_matrix,
        )


def folder_frames(config: CropTargetConfig, depth_scale: float | None) -> FrameSource:
    """The frames of a folder.

    Args:
        config: what to cut.
        depth_scale: millimetres in a step, where something says it.

    Raises:
        RenderAdaptError: it cannot be listed, or its camera is malformed.
    """
    listing = list_files(config.frames, Tally())
    if bop_scenes_of(listing):
        return BopFrames(listing, config)
    return ImageFrames(listing, config, depth_scale)


def number_of(stem: str) -> int | None:
    """The last number in a name."""
    match = _LAST_NUMBER.search(stem)
    return int(match[1]) if match else None


def _read_depth(
    file: Path, folder: Path, colour: Stored, scale: float | None
) -> tuple[NDArray[np.float32], bool]:
    """Depth in steps, in the view of its colours, and whether its file has fractions."""
    try:
        stored = read_stored(file, folder)
    except Unreadable:
        raise Unreadable(DEPTH_DAMAGED) from None
    check_depth_numbers(stored, folder / file, scale)
    check_same_size(folder / file, stored.pixels.shape, colour.pixels.shape)
    turn = colour.orientation if stored.orientation == 1 else stored.orientation
    return upright(measured(stored), turn), stored.pixels.dtype.kind == "f"


def _folder_camera(listing: Listing) -> FrameCamera:
    """What a camera.json beside frames says, as BOP's does or with a `cam_K`.

    Raises:
        DatasetError: it is malformed.
    """
    fields = read_json(_CAMERA, listing.folder)
    plain = [fields.get("fx"), 0, fields.get("cx"), 0, fields.get("fy"), fields.get("cy"), 0, 0, 1]
    matrix = numbers(fields.get("cam_K", plain), 9)
    scale = numbers([fields.get("depth_scale", 1.0)], 1)
    centre = fields.get(KEY, 0.0)
    if matrix is None or matrix[0] <= 0 or scale is None or scale <= 0 or centre not in CENTRES:
        raise DatasetError(
            f"{listing.folder / _CAMERA} is malformed: give fx, fy, cx and cy, or cam_K, in it"
        )
    matrix = matrix.reshape(3, 3)
    matrix[:2, 2] += INSIDE - centre
    return FrameCamera(matrix, float(scale[0]))
