"""Cutting a target out of frames: found, cut, checked, written whole or not at all."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from adapter import AdapterError, TargetCut
from adapter._cut import read_cut
from adapter._target.depth import step_of
from adapter._target.json_files import numbers, read_json
from adapter._target.pictures import Unreadable
from adapter._target.read import SETTINGS
from adapter._target.report import BEYOND_FRAME, Tally, counted
from checked_settings import SettingError
from render_adapt._config import WINDOW
from render_adapt._exceptions import DatasetError
from render_adapt._files import writing
from render_adapt._formats.image import DEPTH_SCALE
from render_adapt._runs.target_sheet import write_target_sheet
from render_adapt._target_crops.bags import BagFrames, is_bag
from render_adapt._target_crops.boxes import Boxes
from render_adapt._target_crops.collection import Collection, sheet_of
from render_adapt._target_crops.cut import CutCrop, Cutter, clipped, measured_distance
from render_adapt._target_crops.frame import Frame, Seen
from render_adapt._target_crops.masks import Masks
from render_adapt._target_crops.poses import Poses
from render_adapt._target_crops.settings import CropTargetConfig, CropTargetSummary
from render_adapt._target_crops.sources import VIDEOS, FrameSource, VideoFrames, folder_frames
from renderer import Centre
from safe_files import create_file

TABLE = "crops.csv"
_LOOKED_AT = 20
"""Frames that the unit of depth is told from."""
_NO_OBJECT = "frames without an object to cut"
_OTHERS = "objects that `only` does not name"


class Finder(Protocol):
    """What says where objects are."""

    def of(self, frame: Frame) -> list[Seen]:
        """Those of a frame."""


def crop_target(config: CropTargetConfig, *, dry_run: bool = False) -> CropTargetSummary:
    """Cut unlabelled crops to train on out of a camera's frames, as LineMod's are cut.

    Args:
        config: what to cut.
        dry_run: say and draw what there is, and write no crops.

    Raises:
        RenderAdaptError: one sentence that says why nothing was cut; nothing is half-written.
    """
    _refuse_present(config.out)
    if not config.frames.exists():
        raise DatasetError(f"`frames` {config.frames} is not there: give a folder, video or bag")
    stated = _stated(config)
    source, tally = _source(config, stated), Tally()
    finder, centre = _finder(config, source, stated.cut, tally)
    window = config.window or (stated.cut.window_mm if stated.cut else WINDOW)
    steps, unit = _steps(config, source, finder)
    collection = Collection(config.frames.resolve().name, window, unit)
    with writing(config.out, "give `out` a folder that can be written"):
        config.out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{config.out.name}.", dir=config.out.parent))
        try:
            maker = _Maker(config, Cutter(config, window, steps), collection, tally, folder)
            maker.make(source, finder, dry_run)
            summary = maker.finish(centre, _notes(finder))
            if not dry_run:
                _place(folder, config.out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return summary


def _refuse_present(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} is there already: give `out` a new folder")


def _place(folder: Path, out: Path) -> None:
    folder.chmod(0o755)
    if out.exists():
        out.rmdir()
    os.replace(folder, out)


class _Stated:
    """What a crops.json beside the frames says; all of it may be missing."""

    cut: TargetCut | None = None
    depth_scale: float | None = None


def _stated(config: CropTargetConfig) -> _Stated:
    stated, file = _Stated(), config.frames / SETTINGS
    if file.is_file():
        content = read_json(Path(SETTINGS), config.frames)
        if "cut" in content:
            stated.cut = read_cut(content["cut"], file)
        if "depth_scale" in content:
            scale = numbers([content["depth_scale"]], 1)
            if scale is None or scale[0] <= 0:
                raise AdapterError(f"{file} must have a number above 0 as depth_scale")
            stated.depth_scale = float(scale[0])
    return stated


def _source(config: CropTargetConfig, stated: _Stated) -> FrameSource:
    if is_bag(config.frames):
        return BagFrames(config.frames, config)
    if config.frames.suffix.lower() in VIDEOS and config.frames.is_file():
        return VideoFrames(config.frames, config)
    if not config.frames.is_dir():
        raise SettingError(
            f"`frames` {config.frames} is neither a folder nor a video or bag that is read"
        )
    scale = stated.depth_scale if config.depth_scale is None else config.depth_scale
    return folder_frames(config, scale)


def _finder(
    config: CropTargetConfig, source: FrameSource, cut: TargetCut | None, tally: Tally
) -> tuple[Finder, Centre]:
    """What says where objects are, and what of them is in the middle of crops."""
    wanted = config.centre or (cut.centre if cut else None)
    if config.boxes is None and config.masks is None:
        if not source.has_poses:
            raise SettingError(
                f"nothing says where objects are in {config.frames}: give `boxes` or `masks`, or a "
                "BOP dataset with scene_gt.json"
            )
        poses = Poses(config.frames, wanted, config.models, config.units, config.min_visible, tally)
        return poses, poses.centre
    if wanted not in (None, "visible"):
        raise SettingError(
            f"`centre` {wanted} is known of poses alone, and boxes and masks have their own "
            "middle: give `centre` visible"
        )
    if config.boxes is not None:
        return Boxes(config.boxes, config.min_score), "visible"
    assert config.masks is not None
    return Masks(config.masks), "visible"


def _steps(
    config: CropTargetConfig, source: FrameSource, finder: Finder
) -> tuple[dict[bool, float], str]:
    """Millimetres in a step of depth whose unit nothing says, and in words what its unit is.

    Raises:
        AdapterError: the values are of no plausible unit.
    """
    medians: dict[bool, list[float]] = {False: [], True: []}
    for frame in itertools.islice(source.frames(Tally()), _LOOKED_AT):
        if frame.depth is not None and frame.depth_step is not None:
            return {}, f"in steps of {frame.depth_step:g} mm as stated"
        for seen in finder.of(frame) if frame.depth is not None else ():
            everything = np.s_[: frame.rgb.shape[0], : frame.rgb.shape[1]]
            box = clipped(seen, frame.rgb.shape) or everything
            middle = measured_distance(frame.depth, box, seen.mask)
            if middle is not None:
                medians[frame.depth_is_float].append(middle)
    steps, words = {False: 1.0, True: 1000.0}, "in millimetres"
    for is_float, values in medians.items():
        if values:
            steps[is_float], words = step_of(values, is_float, config.frames)
    return steps, words


class _Maker:
    """Makes crops into a folder that nobody else knows."""

    def __init__(
        self,
        config: CropTargetConfig,
        cutter: Cutter,
        collection: Collection,
        tally: Tally,
        folder: Path,
    ) -> None:
        self._config, self._cutter, self._folder = config, cutter, folder
        self._collection, self._tally = collection, tally
        self._frames = self._found = 0
        self._centres: dict[str, float] = {}
        self._rows: list[list[Any]] = []

    def make(self, source: FrameSource, finder: Finder, dry_run: bool) -> None:
        """Cut all, and write them unless it is a dry run.

        Raises:
            RenderAdaptError: there are none, or some have depth and others have not.
        """
        for name in () if dry_run else ("rgb", "depth"):
            (self._folder / name).mkdir()
        for frame in source.frames(self._tally):
            self._frames += 1
            before = self._collection.count
            for crop in self._cut(frame, finder):
                self._take(crop, dry_run)
            if self._collection.count == before:
                self._tally.add(_NO_OBJECT, frame.name)
        self._refuse_nothing(finder)
        self._refuse_half_depth()

    def _cut(self, frame: Frame, finder: Finder) -> Iterator[CutCrop]:
        for seen in finder.of(frame):
            self._found += 1
            name = f"{frame.name} {seen.label}"
            if self._config.only and seen.label not in self._config.only:
                self._tally.add(_OTHERS, name)
                continue
            try:
                crop = self._cutter.cut(frame, seen)
            except Unreadable as reason:
                self._tally.add(str(reason), name)
                continue
            if crop is None:
                self._tally.add(BEYOND_FRAME, name)
            else:
                yield crop

    def _take(self, crop: CutCrop, dry_run: bool) -> None:
        name = f"{self._collection.count:06d}"
        self._collection.add(name, crop)
        if crop.centre_depth is not None and crop.depth is not None:
            self._centres[name] = round(crop.centre_depth, 3)
        distance = "" if crop.centre_depth is None else f"{crop.centre_depth:.1f}"
        self._rows.append(
            [name, crop.source, crop.frame, crop.label, crop.left, crop.top, crop.side, distance]
        )
        if not dry_run:
            bgr = np.ascontiguousarray(crop.rgb[..., ::-1])
            create_file(self._folder / f"rgb/{name}.png", _png(bgr))
            if crop.depth is not None:
                # The greatest number is no measurement.
                steps = np.rint(crop.depth / DEPTH_SCALE).clip(0, 65534).astype(np.uint16)
                create_file(self._folder / f"depth/{name}.png", _png(steps))

    def _refuse_nothing(self, finder: Finder) -> None:
        if self._collection.count:
            return
        example = getattr(finder, "example", "")
        alike = f": it names {example}, and frames are named otherwise" if example else ""
        if not self._found:
            raise SettingError(
                f"no object was found in {counted(self._frames, 'frame')} of "
                f"{self._config.frames}{alike}{self._tally.in_brackets()}"
            )
        raise SettingError(
            f"none of {counted(self._found, 'object')} in {self._config.frames} can be cut"
            f"{self._tally.in_brackets()}"
        )

    def _refuse_half_depth(self) -> None:
        without = self._collection.count - self._collection.with_depth
        wanted = self._config.channels == 4
        if without and (wanted or self._collection.with_depth):
            raise AdapterError(
                f"{without} of {self._collection.count} crops of {self._config.frames} have no "
                "depth; add it or give `channels` 3"
            )

    def finish(self, centre: Centre, notes: tuple[str, ...]) -> CropTargetSummary:
        """Write what is known of all, and draw them."""
        collection, config = self._collection, self._config
        cut = collection.cut(centre)
        content: dict[str, Any] = {"cut": asdict(cut)}
        if collection.with_depth:
            content |= {"depth_scale": DEPTH_SCALE, "centre_depth": self._centres}
        elif (self._folder / "depth").exists():
            (self._folder / "depth").rmdir()
        create_file(self._folder / SETTINGS, json.dumps(content, indent=2) + "\n")
        create_file(self._folder / TABLE, _table(self._rows))
        report = collection.report(self._tally.left_out(), notes)
        sheet = sheet_of(config.out)
        name = config.out.resolve().name
        write_target_sheet(sheet, collection.sample(cut, report), name, collection.window_mm)
        return CropTargetSummary(
            folder=config.out, contact_sheet=sheet, crops=collection.count,
            by_source=dict(collection.by_source), by_object=dict(collection.by_object),
            frames=self._frames, report=report,
        )  # fmt: skip


def _notes(finder: Finder) -> tuple[str, ...]:
    below = getattr(finder, "below_score", 0)
    return (f"boxes below `min_score`, which are left out: {below}",) if below else ()


def _png(pixels: Any) -> bytes:
    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()


def _table(rows: list[list[Any]]) -> str:
    """Where each crop is from: its frame, object, place in pixels, and distance in millimetres."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["crop", "source", "frame", "object", "left", "top", "side", "distance"])
    writer.writerows(rows)
    return text.getvalue()
