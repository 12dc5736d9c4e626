"""Crops of a folder of images, in whatever way their owner keeps depth, masks and the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapter._errors import AdapterError
from adapter._target.crops import (
    Crop,
    DepthCrop,
    check_same_size,
    check_square,
    range_of,
    resized,
    resized_depth,
)
from adapter._target.depth import check_depth_numbers, measured, middle_of
from adapter._target.files import Listing
from adapter._target.names import crop_name, says_depth_alone
from adapter._target.pictures import Stored, Unreadable, colours, is_binary, read_stored, upright
from adapter._target.report import (
    DEPTH_ALONE,
    DEPTH_DAMAGED,
    DEPTH_DRAWN,
    MASKS,
    VIEWS,
    WIDE_BESIDE_COLOUR,
    Tally,
    counted,
)
from adapter._target.sorting import DepthFiles, sort_pictures


@dataclass(frozen=True)
class DepthSettings:
    """What is said of depth."""

    is_read: bool
    """Whether depth is wanted at all."""
    scale: float | None
    """Millimetres in a step; None to tell it from the values."""
    centres: dict[str, float]
    """Depths of crops' centres by crops' names, millimetres."""


def image_crops(listing: Listing, size: int, settings: DepthSettings, tally: Tally) -> list[Crop]:
    """Read the crops of a folder of images, with their depth.

    Raises:
        AdapterError: a picture is not square; depth is of another size, in colours beside depth
            that is not, of 8 bits, or belongs to no crop.
    """
    pictures, depth_pictures = sort_pictures(listing, tally)
    reader = _Reader(listing.folder, size, settings, DepthFiles(depth_pictures), tally)
    crops = _without_maps([crop for file in pictures for crop in reader.crop(file)], tally)
    reader.check(crops)
    if crops and all(crop.is_wide for crop in crops) and says_depth_alone(listing.root.name):
        raise AdapterError(
            f"{listing.folder} holds depth alone; give the folder above it, with the colours"
        )
    return crops


def _without_maps(crops: list[Crop], tally: Tally) -> list[Crop]:
    """Crops but for pictures of one channel of 16 bits, where others are in colour."""
    if not any(not crop.is_grey for crop in crops):
        return crops
    for crop in crops:
        if crop.is_wide:
            tally.add(WIDE_BESIDE_COLOUR, crop.name)
    return [crop for crop in crops if not crop.is_wide]


class _Reader:
    """Reads crops one after the other, and keeps in mind what their depth is like."""

    def __init__(
        self, folder: Path, size: int, settings: DepthSettings, depth: DepthFiles, tally: Tally
    ) -> None:
        self.folder, self.size, self.settings = folder, size, settings
        self.depth, self.tally = depth, tally
        self.paired: set[Path] = set()
        self.drawn: list[Path] = []

    def crop(self, file: Path) -> Iterator[Crop]:
        """The crop in a picture, if it is one."""
        depth_files = self.depth.of(file)
        self.paired.update(depth_files)
        try:
            stored = read_stored(file, self.folder)
            if is_binary(stored):
                raise Unreadable(MASKS)
            picture = colours(stored.pixels)
            check_square(picture.rgb.shape, self.folder / file)
            name = crop_name(file)
            depth = self._depth(depth_files, stored, name) if self.settings.is_read else None
        except Unreadable as reason:
            self.tally.add(str(reason), file)
            return
        yield Crop(
            name=name,
            folder=str(file.parent),
            rgb=resized(upright(picture.rgb, stored.orientation), self.size),
            source_size=(stored.pixels.shape[1], stored.pixels.shape[0]),
            depth=depth,
            has_depth=bool(depth_files) if not self.settings.is_read else depth is not None,
            is_grey=picture.is_grey,
            is_transparent=picture.is_transparent,
            is_turned=stored.orientation != 1,
            is_wide=stored.is_wide,
            peak=int(picture.rgb.max()) if picture.rgb.dtype.itemsize > 1 else 0,
        )

    def _depth(self, files: list[Path], colour: Stored, name: str) -> DepthCrop | None:
        """A crop's depth, in the view of its colours: cameras write EXIF into JPEG alone."""
        measurement = self._measurement(files)
        if measurement is None:
            return None
        file, stored = measurement
        check_depth_numbers(stored, self.folder / file, self.settings.scale)
        check_same_size(self.folder / file, stored.pixels.shape, colour.pixels.shape)
        orientation = stored.orientation
        values = upright(measured(stored), colour.orientation if orientation == 1 else orientation)
        centre = self.settings.centres.get(name)
        return DepthCrop(
            values=resized_depth(values, self.size),
            step=self.settings.scale,
            is_float=stored.pixels.dtype.kind == "f",
            centre=middle_of(values) if centre is None else centre,
            is_stated=centre is not None,
            range=range_of(values),
        )

    def _measurement(self, files: list[Path]) -> tuple[Path, Stored] | None:
        """Of a crop's depth files the one to measure by; pictures of depth are put aside."""
        try:
            stored = [(file, read_stored(file, self.folder)) for file in files]
        except Unreadable:
            raise Unreadable(DEPTH_DAMAGED) from None
        flat = sorted((pair for pair in stored if pair[1].is_flat), key=lambda pair: _rank(pair[1]))
        if not flat:
            self.drawn += files
            return None
        for file in files:
            if file != flat[0][0]:
                self.tally.add(VIEWS, file)
        return flat[0]

    def check(self, crops: list[Crop]) -> None:
        """Say what became of depth that no crop has.

        Raises:
            AdapterError: some of it is in colours and some is not, or none belongs to a crop.
        """
        if not self.settings.is_read:
            return
        has_depth = any(crop.has_depth for crop in crops)
        for file in self.drawn:
            if has_depth:
                check_depth_numbers(read_stored(file, self.folder), self.folder / file, None)
            self.tally.add(DEPTH_DRAWN, file)
        alone = [file for file in self.depth.files if file not in self.paired]
        if alone and crops and not self.paired:
            raise AdapterError(
                f"none of the {counted(len(alone), 'depth map')} in {self.folder} ({alone[0]}) "
                "goes with a crop by its name; name them alike, or train with `channels` 3"
            )
        for file in alone:
            self.tally.add(DEPTH_ALONE, file)


def _rank(stored: Stored) -> bool:
    """Sorts measurements before pictures of 8 bits."""
    return not stored.is_wide
