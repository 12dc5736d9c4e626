"""What an adapter changed of an object, carried from its windows to a frame's own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._coupling import mostly_pure, spread
from render_adapt._frames.windows import Windows
from renderer import CropBatch

_RIM = np.float32(1e-2)
"""How much a pixel of a crop's outline is heeded, where adapters mix objects with what is behind
them, beside those within."""
_FADE = 8
"""One such part of a window's side at each border is where it and its neighbours blend."""
_SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Change:
    """What an adapter changed of an object in a window."""

    corner: NDArray[np.int64]
    """(2,), of the window, pixels of the frame."""
    values: NDArray[np.float32]
    """(4, side, side): red, green, blue, and millimetres of depth."""

    @staticmethod
    def of(windows: Windows, w: int, crops: CropBatch, adapted: CropBatch) -> Change:
        """Of window w, shown to an adapter as `crops` and given back as `adapted`."""
        side, weight = int(windows.side[w]), _inner(crops.mask_visib[w])
        change = adapted.rgb[w].astype(np.float32) - crops.rgb[w]
        colors = spread(np.moveaxis(change, -1, 0), weight, side)
        measured = (adapted.depth[w] > 0) & (crops.depth[w] > 0)
        moved = np.where(measured, adapted.depth[w] - crops.depth[w], np.float32(0))
        return Change(
            windows.corner[w],
            np.concatenate([colors, spread(moved[None], weight * measured, side)]),
        )

    def placed(self, width: int, height: int) -> tuple[slice, slice, NDArray[np.float32]]:
        """Lines and columns of a frame, and (4, lines, columns) what changes there."""
        left, top = self.corner.tolist()
        side = self.values.shape[-1]
        lines = slice(max(top, 0), max(min(top + side, height), 0))
        columns = slice(max(left, 0), max(min(left + side, width), 0))
        part = self.values[
            :, lines.start - top : lines.stop - top, columns.start - left : columns.stop - left
        ]
        return lines, columns, part

    @property
    def faded(self) -> Change:
        """The same with a weight as its fifth plane, by which all others are multiplied: less
        towards the window's border, where others take over."""
        side = self.values.shape[-1]
        steps = np.arange(side, dtype=np.float32)
        ramp = ((np.minimum(steps, side - 1 - steps) + 1) * (_FADE / side)).clip(0, 1)
        weight = np.outer(ramp, ramp)[None]
        return Change(self.corner, np.concatenate([self.values * weight, weight]))


def paint(
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    seen: NDArray[np.bool_],
    changes: Sequence[Change],
) -> None:
    """Change a frame where an object of it is seen.

    Args:
        rgb, depth: (H, W, 3) and (H, W), of the frame, which are changed.
        seen: (H, W), where the object is seen.
        changes: of its windows.
    """
    lines, columns, change = _joined(changes, seen)
    mask, part, near = seen[lines, columns], rgb[lines, columns], depth[lines, columns]
    painted = part + np.moveaxis(change[:3], 0, -1)
    np.copyto(part, np.rint(painted.clip(0, 255)).astype(np.uint8), where=mask[..., None])
    np.copyto(near, near + change[3], where=mask & (near > 0) & (change[3] != 0))


def _joined(
    changes: Sequence[Change], seen: NDArray[np.bool_]
) -> tuple[slice, slice, NDArray[np.float32]]:
    """Lines and columns of a frame, and what changes there, of one window or of several."""
    height, width = seen.shape
    if len(changes) == 1:
        return changes[0].placed(width, height)
    placed = [change.faded.placed(width, height) for change in changes]
    lines = slice(min(part[0].start for part in placed), max(part[0].stop for part in placed))
    columns = slice(min(part[1].start for part in placed), max(part[1].stop for part in placed))
    total = np.zeros((5, lines.stop - lines.start, columns.stop - columns.start), np.float32)
    for own_lines, own_columns, part in placed:
        top, left = own_lines.start - lines.start, own_columns.start - columns.start
        total[:, top : top + part.shape[1], left : left + part.shape[2]] += part
    return lines, columns, total[:4] / np.maximum(total[4], np.float32(1e-6))


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weights that heed an object's outermost pixels only where there are no others near."""
    inside = mask.astype(np.float32)
    inner = cv2.erode(mask.astype(np.uint8), _SQUARE, borderValue=1)
    return np.where(inner > 0, inside, _RIM * mostly_pure(inside)).astype(np.float32)
