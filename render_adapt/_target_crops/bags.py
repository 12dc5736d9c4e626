"""Frames of ROS bags, read by `rosbags`, which needs no ROS."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter._target.depth import measured
from adapter._target.pictures import Stored
from adapter._target.report import Tally
from checked_settings import MissingDependency, SettingError, alternatives
from render_adapt._exceptions import DatasetError
from render_adapt._formats.pixel_centre import INSIDE
from render_adapt._target_crops.frame import Frame
from render_adapt._target_crops.settings import CropTargetConfig
from render_adapt._target_crops.sources import FrameSource
from safe_files import decode_picture

BAGS = frozenset({".bag", ".db3", ".mcap"})
_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_INFO = "sensor_msgs/msg/CameraInfo"
_COLOURS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "8UC3": 3, "mono8": 1, "8UC1": 1}
"""Channels of the encodings that are read; 8UC3 is as OpenCV has it."""
_DEPTHS: dict[str, tuple[str, float]] = {
    "16UC1": ("u2", 1.0), "mono16": ("u2", 1.0), "32FC1": ("f4", 1000.0),
}  # fmt: skip
"""Numbers of depth, and millimetres in a step, by ROS's REP 118."""
_MOST_APART = 50_000_000
"""Nanoseconds between a colour picture and its depth."""


def is_bag(path: Path) -> bool:
    """Whether a path is a bag: a file of ROS 1 or MCAP, or a folder of ROS 2."""
    return path.suffix.lower() in BAGS or (path / "metadata.yaml").is_file()


class BagFrames(FrameSource):
    """The colour pictures of a bag, numbered from 0, each with the depth that is nearest in time.

    Raises:
        MissingDependency: rosbags is not installed.
    """

    def __init__(self, path: Path, config: CropTargetConfig) -> None:
        try:
            import rosbags.highlevel
        except ImportError:
            raise MissingDependency(
                "`frames` of a ROS bag", "rosbags", "'render-adapt[rosbag]'"
            ) from None
        self._path, self._config, self._reader = path, config, rosbags.highlevel.AnyReader

    def frames(self, tally: Tally) -> Iterator[Frame]:
        """Those of the colour topic."""
        import rosbags.highlevel
        from rosbags.typesys import Stores, get_typestore

        path = self._path.parent if self._path.suffix.lower() in (".db3", ".mcap") else self._path
        try:
            store = get_typestore(Stores.LATEST)
            with self._reader([path], default_typestore=store) as bag:
                yield from self._frames(bag, tally)
        # Of some damage rosbags has no more than assertions.
        except (rosbags.highlevel.AnyReaderError, AssertionError) as error:
            raise DatasetError(
                f"`frames` {self._path} is no bag that can be read ({error}): record or copy it "
                "again"
            ) from None

    def _frames(self, bag: Any, tally: Tally) -> Iterator[Frame]:
        colours = self._topic(bag, "colour_topic", self._config.colour_topic)
        depths = None
        if self._config.channels != 3:
            depths = self._topic(bag, "depth_topic", self._config.depth_topic)
        assert colours is not None
        camera = self._config.camera_matrix
        camera = self._camera(bag, colours.topic) if camera is None else camera
        times, places = self._times(bag, depths)
        for number, (_, stamp, raw) in enumerate(bag.messages([colours])):
            if number % self._config.every:
                continue
            message = bag.deserialize(raw, colours.msgtype)
            rgb = _colours(message)
            if rgb is None:
                tally.add("damaged, or of an encoding that is not read", f"message {number}")
                continue
            depth, step = None, None
            nearest = _nearest(times, _time(message, stamp))
            if nearest is not None:
                depth, step = self._depth(bag, depths, places[nearest], rgb.shape)
            yield Frame(
                name=f"{number:06d}", source=self._path.name, number=number, rgb=rgb,
                depth=depth, depth_step=step, depth_is_float=step == 1000.0, camera=camera,
            )  # fmt: skip

    def _topic(self, bag: Any, setting: str, wanted: str | None) -> Any:
        """The connection of colours or depth; None where there is no depth."""
        pictures = [
            one for one in bag.connections
            if one.msgtype in (_IMAGE, _COMPRESSED) and not one.topic.endswith("compressedDepth")
        ]  # fmt: skip
        names = sorted({one.topic for one in pictures})
        if wanted is not None:
            found = [one for one in pictures if one.topic == wanted]
            if not found:
                raise SettingError(
                    f"`{setting}` {wanted} is no topic with pictures in {self._path}: "
                    f"{alternatives(names) if names else 'none'} is"
                )
            return found[0]
        is_depth = setting == "depth_topic"
        of_kind = [one for one in pictures if self._is_depth(bag, one) == is_depth]
        if len({one.topic for one in of_kind}) > 1:
            aligned = [one for one in of_kind if "aligned" in one.topic]
            of_kind = aligned if is_depth and aligned else of_kind
        topics = sorted({one.topic for one in of_kind})
        if len(topics) > 1:
            raise SettingError(
                f"{self._path} has several topics that may be it: give `{setting}`, one of "
                f"{alternatives(topics)}"
            )
        if not topics and not is_depth:
            raise DatasetError(
                f"`frames` {self._path} has no topic with colour pictures: record one that has"
            )
        return of_kind[0] if topics else None

    def _is_depth(self, bag: Any, connection: Any) -> bool:
        if connection.msgtype == _COMPRESSED:
            return "depth" in connection.topic
        for _, _, raw in bag.messages([connection]):
            return bag.deserialize(raw, connection.msgtype).encoding in _DEPTHS
        return False

    def _camera(self, bag: Any, topic: str) -> NDArray[np.float64] | None:
        """K of the camera_info that goes with a topic: the one whose name is most like it."""
        infos = [one for one in bag.connections if one.msgtype == _INFO]
        folder = topic.rsplit("/", 1)[0]
        beside = [one for one in infos if one.topic.rsplit("/", 1)[0] in (folder, topic)]
        chosen = beside or (infos if len({one.topic for one in infos}) == 1 else [])
        for connection in chosen[:1]:
            for _, _, raw in bag.messages([connection]):
                message = bag.deserialize(raw, connection.msgtype)
                values = message.K if hasattr(message, "K") else message.k
                matrix = np.array(values, np.float64).reshape(3, 3)
                matrix[:2, 2] += INSIDE
                return matrix if matrix[0, 0] > 0 else None
        return None

    def _times(self, bag: Any, depths: Any) -> tuple[list[int], list[int]]:
        """Times of all depth pictures in order, and when each of them was recorded."""
        if depths is None:
            return [], []
        found = [
            (_time(bag.deserialize(raw, depths.msgtype), stamp), stamp)
            for _, stamp, raw in bag.messages([depths])
        ]
        found.sort()
        return [time for time, _ in found], [stamp for _, stamp in found]

    def _depth(
        self, bag: Any, depths: Any, recorded: int, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.float32] | None, float | None]:
        for _, _, raw in bag.messages([depths], start=recorded, stop=recorded + 1):
            message = bag.deserialize(raw, depths.msgtype)
            kind, step = _DEPTHS.get(getattr(message, "encoding", ""), ("", 0.0))
            if not kind:
                return None, None
            order = ">" if message.is_bigendian else "<"
            pixels = _rows(message, order + kind, 1)
            if pixels is None:
                return None, None
            if pixels.shape != shape[:2]:
                raise SettingError(
                    f"depth of {depths.topic} is {pixels.shape[1]}x{pixels.shape[0]} pixels and "
                    f"its colours {shape[1]}x{shape[0]}: record depth that is aligned to colour "
                    "(aligned_depth_to_color), name its topic with `depth_topic`, or give "
                    "`channels` 3"
                )
            return measured(Stored(pixels, 1)), step
        return None, None


def _time(message: Any, recorded: int) -> int:
    """When a picture was taken, nanoseconds; when it was recorded where it does not say."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec) or recorded


def _nearest(times: list[int], time: int) -> int | None:
    at = bisect.bisect(times, time)
    near = [k for k in (at - 1, at) if 0 <= k < len(times) and abs(times[k] - time) <= _MOST_APART]
    return min(near, key=lambda k: abs(times[k] - time), default=None)


def _colours(message: Any) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB."""
    if not hasattr(message, "encoding"):
        picture = decode_picture(bytes(message.data), cv2.IMREAD_COLOR)
        return None if picture is None else np.ascontiguousarray(picture[..., ::-1], np.uint8)
    channels = _COLOURS.get(message.encoding)
    pixels = None if channels is None else _rows(message, "u1", channels)
    if pixels is None:
        return None
    if channels == 1:
        return np.repeat(pixels[..., None], 3, axis=2)
    rgb = pixels[..., :3] if message.encoding.startswith("rgb") else pixels[..., 2::-1]
    return np.ascontiguousarray(rgb, np.uint8)


def _rows(message: Any, kind: str, channels: int) -> NDArray[Any] | None:
    """(H, W) or (H, W, channels) of an image's rows, which may be longer than its width needs."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    used = width * channels * np.dtype(kind).itemsize
    data = np.asarray(message.data, np.uint8)
    if not (0 < used <= step and height > 0 and len(data) >= height * step):
        return None
    rows = np.ascontiguousarray(data[: height * step].reshape(height, step)[:, :used])
    shape = (height, width) if channels == 1 else (height, width, channels)
    return rows.view(kind).reshape(shape)
