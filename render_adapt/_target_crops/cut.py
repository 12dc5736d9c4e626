"""A crop around an object of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._target.bop_scenes import window_around
from adapter._target.pictures import Unreadable
from checked_settings import SettingError
from render_adapt._target_crops.frame import Frame, Seen
from render_adapt._target_crops.settings import CropTargetConfig

UNSEEN_BOX = "boxes beyond their frames, or masks of nothing"
UNMEASURED_BOX = "objects at which no depth was measured"
_FOCAL_LENGTH = 1000.0
"""Pixels, of a camera that stands in where none is known: only its ratio to distance matters."""


@dataclass(frozen=True)
class CutCrop:
    """A window of a frame."""

    frame: str
    source: str
    label: str
    rgb: NDArray[Any]
    """(S, S, 3), 8 or 16 bits, the frame's own pixels."""
    depth: NDArray[np.float32] | None
    """(S, S), millimetres, 0 where nothing was measured."""
    left: int
    top: int
    side: int
    """Pixels of the frame."""
    centre_depth: float | None
    """Millimetres; None where nothing says it."""
    middle_depth: float | None
    """What was measured in the crop's middle, millimetres; None where nothing was."""
    off_axis: float | None
    """Degrees; None where the camera is not known."""


class Cutter:
    """Cuts crops.

    Args:
        config: how.
        window_mm: side of the window, millimetres.
        steps: millimetres in a step of depth that does not say so itself: of whole numbers (False)
            and of others (True).
    """

    def __init__(
        self, config: CropTargetConfig, window_mm: float, steps: dict[bool, float]
    ) -> None:
        self._config, self._window, self._steps = config, window_mm, steps

    def cut(self, frame: Frame, seen: Seen) -> CutCrop | None:
        """The crop around an object; None where it leaves the frame.

        Raises:
            Unreadable: nothing is seen of the object, or its depth was not measured.
            SettingError: nothing says how far it is or how large.
        """
        depth = self._millimetres(frame)
        is_stood_in = frame.camera is None
        camera = np.diag([_FOCAL_LENGTH, _FOCAL_LENGTH, 1.0])
        camera = camera if frame.camera is None else frame.camera
        point = seen.point
        if point is None:
            point = self._point(frame, seen, depth, camera, is_stood_in)
        window = window_around(camera, point, self._window, frame.rgb.shape)
        if window is None:
            return None
        cut_depth = None if depth is None else depth[window]
        middle = _middle(cut_depth)
        return CutCrop(
            frame=frame.name, source=frame.source, label=seen.label,
            rgb=frame.rgb[window], depth=cut_depth,
            left=window[1].start, top=window[0].start, side=window[0].stop - window[0].start,
            centre_depth=middle if is_stood_in else float(point[2]), middle_depth=middle,
            off_axis=None if is_stood_in else _angle(point),
        )  # fmt: skip

    def _millimetres(self, frame: Frame) -> NDArray[np.float32] | None:
        if frame.depth is None:
            return None
        step = frame.depth_step
        step = self._steps[frame.depth_is_float] if step is None else step
        return frame.depth * np.float32(step)

    def _point(
        self,
        frame: Frame,
        seen: Seen,
        depth: NDArray[np.float32] | None,
        camera: NDArray[np.float64],
        is_stood_in: bool,
    ) -> NDArray[np.float64]:
        """Where the middle of a box lies, in the camera's axes."""
        box = clipped(seen, frame.rgb.shape)
        if box is None or seen.box is None:
            raise Unreadable(UNSEEN_BOX)
        distance, size = seen.distance, self._config.size_of(seen.label)
        if distance is None and size is not None:
            # Of the whole box: what is cut off by the border is no smaller.
            distance = float(camera[0, 0] * size / max(seen.box[2:]))
        if distance is None and not is_stood_in:
            distance = self._config.distance or measured_distance(depth, box, seen.mask)
        if distance is None:
            raise self._unknown(frame, seen)
        x, y = seen.box[:2] + seen.box[2:] / 2
        return np.asarray(np.linalg.inv(camera) @ (x, y, 1) * distance)

    def _unknown(self, frame: Frame, seen: Seen) -> Exception:
        if frame.camera is not None and frame.depth is not None:
            return Unreadable(UNMEASURED_BOX)
        if frame.camera is None and (frame.depth is not None or self._config.distance):
            needed = "the camera is not known: give `camera`"
        else:
            needed = "there is no depth: give `object_size`, or `distance` and `camera`"
        return SettingError(
            f"how many pixels {self._window:g} mm are at {seen.label} in {frame.name} cannot be "
            f"told, for {needed}"
        )


def clipped(seen: Seen, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Rows and columns of a box within its frame; None where there are none."""
    if seen.box is None:
        return None
    ends = np.array([*seen.box[:2], *(seen.box[:2] + seen.box[2:])])
    left, top, right, bottom = np.rint(ends).astype(int).clip(0, (shape[1], shape[0]) * 2)
    if left >= right or top >= bottom:
        return None
    return slice(top, bottom), slice(left, right)


def measured_distance(
    depth: NDArray[np.float32] | None,
    box: tuple[slice, slice],
    mask: NDArray[np.bool_] | None,
) -> float | None:
    """The middle of what was measured on a mask, or in the middle half of a box's sides; None where
    nothing was."""
    if depth is None:
        return None
    inside = depth[box] if mask is None else np.where(mask[box], depth[box], 0)
    if mask is None:
        return _middle(inside)
    return float(np.median(inside[inside > 0])) if (inside > 0).any() else None


def _middle(depth: NDArray[np.float32] | None) -> float | None:
    """The median of what was measured in the middle half of each side, else of all."""
    if depth is None:
        return None
    down, across = depth.shape[0] // 4, depth.shape[1] // 4
    inner = depth[down : depth.shape[0] - down, across : depth.shape[1] - across]
    for part in (inner, depth):
        if (part > 0).any():
            return float(np.median(part[part > 0]))
    return None


def _angle(point: NDArray[np.float64]) -> float:
    """Degrees off the camera's axis."""
    return float(np.degrees(np.arctan2(np.hypot(*point[:2]), point[2])))
