"""What is known of all crops together, as they come one by one."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapter import TargetCrops, TargetCut, TargetReport, encode
from adapter._target.crops import range_of, resized, resized_depth
from adapter._target.pictures import bits_of, eight_bits
from adapter._target.read import FEWEST
from adapter._target.report import LeftOut
from render_adapt._target_crops.cut import CutCrop
from renderer import Centre

_SIZE = 64
"""Pixels of the crops in the picture: those of a training."""
_MOST_KEPT = 80
"""Crops that are kept for the picture."""
_FEW = 200
_HOLES = 0.3


@dataclass(frozen=True)
class _Small:
    """A crop as a training sees it."""

    name: str
    rgb: NDArray[np.uint8] | NDArray[np.uint16]
    depth: NDArray[np.float32] | None
    centre: float | None


@dataclass
class Collection:
    """Counts, ranges, and some of the crops, evenly spread."""

    name: str
    """Of the frames as a whole."""
    window_mm: float
    depth_unit: str = ""
    by_source: Counter[str] = field(default_factory=Counter)
    by_object: Counter[str] = field(default_factory=Counter)
    count: int = 0
    with_depth: int = 0
    _sides: list[int] = field(default_factory=list)
    _ranges: list[tuple[float, float, float]] = field(default_factory=list)
    _holes: list[float] = field(default_factory=list)
    _off_centre: list[float] = field(default_factory=list)
    _off_axis: list[float | None] = field(default_factory=list)
    _digests: set[bytes] = field(default_factory=set)
    _kept: list[_Small] = field(default_factory=list)
    _stride: int = 1
    _peak: int = 0

    def add(self, name: str, crop: CutCrop) -> None:
        """One more, by the name that it is written under."""
        if self.count % self._stride == 0:
            self._keep(name, crop)
        self.count += 1
        self.by_source[self.name if crop.source == "." else crop.source] += 1
        self.by_object[crop.label] += 1
        self._sides.append(crop.side)
        self._off_axis.append(crop.off_axis)
        self._digests.add(hashlib.sha256(np.ascontiguousarray(crop.rgb).tobytes()).digest())
        if crop.rgb.dtype.itemsize > 1:
            self._peak = max(self._peak, int(crop.rgb.max()))
        if crop.depth is not None:
            self.with_depth += 1
            self._ranges.append(range_of(crop.depth))
            self._holes.append(float((crop.depth == 0).mean()))
            if crop.middle_depth is not None and crop.centre_depth is not None:
                self._off_centre.append(abs(crop.middle_depth - crop.centre_depth))

    def _keep(self, name: str, crop: CutCrop) -> None:
        depth = None if crop.depth is None else resized_depth(crop.depth, _SIZE)
        rgb = resized(crop.rgb, _SIZE)
        self._kept.append(_Small(f"{name} {crop.label}", rgb, depth, crop.centre_depth))
        if len(self._kept) > _MOST_KEPT:
            self._kept = self._kept[::2]
            self._stride *= 2

    def cut(self, centre: Centre) -> TargetCut:
        """How they were cut."""
        known = [angle for angle in self._off_axis if angle is not None]
        return TargetCut(
            centre=centre,
            window_mm=float(self.window_mm),
            # An even disc of rays of this radius is as far off the axis on average.
            off_axis_degrees=round(min(1.5 * float(np.mean(known)), 60.0), 1) if known else 0.0,
            pixels=int(np.median(self._sides)),
        )

    def report(self, left_out: tuple[LeftOut, ...], notes: tuple[str, ...]) -> TargetReport:
        """As a training will give it."""
        uses_depth = self.with_depth == self.count
        ranges = np.array([one for one in self._ranges if one[1] > 0]).reshape(-1, 3)
        return TargetReport(
            crops=self.count,
            folders={"rgb": self.count},
            smallest=(min(self._sides),) * 2,
            largest=(max(self._sides),) * 2,
            with_depth=self.with_depth,
            channels=4 if uses_depth else 3,
            depth_unit=self.depth_unit if uses_depth else None,
            depth_mm=(
                float(ranges[:, 0].min()), float(np.median(ranges[:, 1])),
                float(ranges[:, 2].max()),
            ) if uses_depth and len(ranges) else None,
            left_out=left_out,
            notes=(*notes, *self._notes()),
        )  # fmt: skip

    def _notes(self) -> list[str]:
        notes = []
        if same := self.count - len(self._digests):
            notes.append(f"{same} of the crops are the same as another, pixel by pixel")
        if self._holes:
            share = float(np.mean(self._holes))
            doubt = ": is depth aligned to colour?" if share > _HOLES else ""
            notes.append(f"{share:.0%} of the crops' pixels have no depth{doubt}")
        off = float(np.median(self._off_centre)) if self._off_centre else 0.0
        if off > self.window_mm / 2:
            notes.append(
                f"depth in the crops' middles is {off:.0f} mm from where their objects are said to "
                "be: are `depth_scale`, `camera` and poses right, and depth aligned to colour?"
            )
        if self.count < FEWEST:
            notes.append(f"training takes at least {FEWEST} crops: take more frames")
        elif self.count < _FEW:
            notes.append("a few hundred crops make a good adapter: take more frames if you can")
        if any(angle is None for angle in self._off_axis):
            notes.append(
                "how far off the camera's axis crops lie is not known without `camera`, and 0 "
                "degrees is written in crops.json"
            )
        return notes

    def sample(self, cut: TargetCut, report: TargetReport) -> TargetCrops:
        """The kept crops, as a training would see them."""
        bits = bits_of(self._peak)
        with_depth = report.channels == 4
        images = []
        for small in self._kept:
            rgb, depth, centre = eight_bits(small.rgb, bits)[None], small.depth, small.centre
            if with_depth and depth is not None and centre is not None:
                image = encode(rgb, depth[None], [centre], self.window_mm)
            else:
                image = encode(rgb, None, None)
            images.append(image.astype(np.float16))
        return TargetCrops(
            images=np.concatenate(images),
            names=tuple(small.name for small in self._kept),
            skipped=(),
            report=report,
            cut=cut,
        )


def sheet_of(out: Path) -> Path:
    """Where the picture of a folder's crops is: beside it, where no training takes it for one."""
    return out.with_name(f"{out.name}_sheet.png")
