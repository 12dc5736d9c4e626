"""Which crops an existing dataset's frames have, and how each is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._existing.frames import FrameReader
from render_adapt._existing.scenes import SceneImage, SourceScene
from render_adapt._existing.settings import CropConfig
from render_adapt._files import MOST_PICTURE
from render_adapt._frames.whole_windows import WholeWindow, whole_window
from renderer import (
    CropBatch,
    Instances,
    Plans,
    RasterRenderer,
    Surfaces,
    centre_points,
    cut_camera,
)
from safe_files import picture_size, read_file

_FEWEST_PIXELS = 16
"""Of a crop of 64 x 64, that its object must have."""


@dataclass(frozen=True)
class Cut:
    """A crop of one object, to be cut from a frame."""

    scene: SourceScene
    image: SceneImage
    instance: int
    """Which of the image's objects."""
    window: WholeWindow
    """Of the frame."""
    centre_depth: float
    """z of what is in its middle, millimetres."""


@dataclass(frozen=True)
class Cuts:
    """All crops of a dataset, and the objects that have none."""

    cuts: tuple[Cut, ...]
    beyond: int
    """Objects whose window reaches over the frame's border."""
    hidden: int
    """Objects of which too little is seen."""


def find_cuts(
    scenes: Sequence[SourceScene], models: Sequence[CadModel], config: CropConfig
) -> Cuts:
    """The crops that lie wholly within their frames, image by image; no picture is decoded.

    Raises:
        DatasetError: an image shows an object that is not among the models, or is no picture.
    """
    points = dict(
        zip((m.object_id for m in models), centre_points(models, config.centre), strict=True)
    )
    cuts: list[Cut] = []
    beyond = hidden = 0
    for scene in scenes:
        width, height = _size(scene)
        for image in scene.images:
            for instance, posed in enumerate(image.objects):
                if posed.visib_fract is not None and posed.visib_fract < config.min_visible:
                    hidden += 1
                    continue
                place = posed.rotation @ points[posed.object_id] + posed.translation
                window = whole_window(image.camera_matrix, place, config.window, width, height)
                if window is None:
                    beyond += 1
                    continue
                cuts.append(Cut(scene, image, instance, window, float(place[2])))
    return Cuts(tuple(cuts), beyond, hidden)


def _size(scene: SourceScene) -> tuple[int, int]:
    """Width and height of a scene's pictures, which BOP has alike."""
    file = scene.images[0].rgb
    try:
        size = picture_size(read_file(file, most=MOST_PICTURE, inside=scene.dataset))
    except OSError as error:
        raise DatasetError(
            f"{file} cannot be read ({error.strerror}): take it from a copy"
        ) from None
    if size is None:
        raise DatasetError(f"{file} is no picture: take it from a copy")
    return size


class Cutter:
    """Cuts crops, a frame at a time.

    Masks are what the objects' poses show in the crop, but for what the dataset's own masks have
    hidden; depth is the dataset's.

    Args:
        models: the dataset's objects.
        config: the settings.
    """

    def __init__(self, models: Sequence[CadModel], config: CropConfig) -> None:
        self._reader = FrameReader(models)
        self.renderer = RasterRenderer(models, 1, levels=False)
        self._size = config.size
        self._min_visible = config.min_visible

    def cut(self, cuts: Sequence[Cut], first: int) -> Iterator[CropBatch]:
        """Some crops, numbered from `first` on, without those whose object is hidden."""
        start = 0
        while start < len(cuts):
            image = cuts[start].image
            stop = start
            while stop < len(cuts) and cuts[stop].image is image:
                stop += 1
            of_frame = cuts[start:stop]
            for (stored,), frame in self._reader.read(of_frame[0].scene, [image]):
                known = [k for k, cut in enumerate(of_frame) if cut.instance in stored.seen]
                if frame is None or not known:
                    continue
                chosen = [of_frame[k] for k in known]
                places = np.array([stored.seen.index(cut.instance) for cut in chosen])
                numbers = first + start + np.array(known)
                crops = self._crops(frame, chosen, places, numbers, stored.steps is not None)
                kept = self._kept(crops)
                if len(kept):
                    yield crops[kept]
            start = stop

    def _crops(
        self,
        frame: CropBatch,
        cuts: Sequence[Cut],
        places: NDArray[np.int64],
        numbers: NDArray[np.int64],
        has_depth: bool,
    ) -> CropBatch:
        plans = _plans(frame.plans, cuts, places, numbers, self._size)
        drawn = self.renderer.render(plans)
        masks = np.concatenate([frame.mask_visib, frame.others_mask_visib[0]])
        rgb = np.empty_like(drawn.rgb)
        depth = np.zeros_like(drawn.depth)
        visible = np.concatenate([drawn.mask_visib[:, None], drawn.others_mask_visib], axis=1)
        for row, cut in enumerate(cuts):
            window, size = cut.window, self._size
            if window.left + window.side > frame.plans.width or (
                window.top + window.side > frame.plans.height
            ):
                raise DatasetError(f"{cut.image.rgb} is of another size than its scene's others")
            rgb[row] = window.colors(frame.rgb[0], size)
            if has_depth:
                depth[row] = window.depth(frame.depth[0], size)
            order = [places[row], *(p for p in range(len(masks)) if p != places[row])]
            for number, place in enumerate(order):
                visible[row, number] &= window.mask(masks[place], size)
        return replace(
            drawn, rgb=rgb, depth=depth, mask_visib=visible[:, 0], others_mask_visib=visible[:, 1:]
        )

    def _kept(self, crops: CropBatch) -> NDArray[np.int64]:
        """Rows of those whose object is seen well enough."""
        seen = crops.mask_visib.sum(axis=(1, 2))
        whole = crops.mask.sum(axis=(1, 2))
        least = _FEWEST_PIXELS * (self._size / 64) ** 2
        return np.flatnonzero((seen >= least) & (seen >= self._min_visible * whole))


def _plans(
    frame: Plans,
    cuts: Sequence[Cut],
    places: NDArray[np.int64],
    numbers: NDArray[np.int64],
    size: int,
) -> Plans:
    """Crops of one frame; all its other objects are in each of them."""
    count = len(cuts)
    object_index = np.concatenate([frame.object_index, frame.others.object_index[0]])
    rotation = np.concatenate([frame.rotation, frame.others.rotation[0]])
    translation = np.concatenate([frame.translation, frame.others.translation[0]])
    others = np.array(
        [[p for p in range(len(object_index)) if p != place] for place in places], np.int64
    ).reshape(count, -1)
    k = frame.camera_matrix[0]
    side = np.array([cut.window.side for cut in cuts])
    middle = np.array([cut.window.middle for cut in cuts])
    camera = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
    return Plans(
        index=numbers,
        object_index=object_index[places],
        rotation=rotation[places],
        translation=translation[places],
        others=Instances(object_index[others], rotation[others], translation[others]),
        camera_matrix=cut_camera(camera, middle, side, size),
        centre_depth=np.array([cut.centre_depth for cut in cuts]),
        light_direction=np.tile(np.array([0, 0, -1], np.float32), (count, 1, 1)),
        # What lit the frame is not known.
        light_color=np.zeros((count, 1, 3), np.float32),
        ambient_color=np.ones((count, 3), np.float32),
        surfaces=Surfaces.plain(count, others.shape[1]),
        width=size,
        height=size,
    )


def without_unseen(crops: CropBatch) -> CropBatch:
    """Crops that list of their other objects those alone which reach into them."""
    others = crops.plans.others
    is_there = crops.others_mask.any(axis=(2, 3))
    listed = replace(others, object_index=np.where(is_there, others.object_index, np.int32(-1)))
    return replace(crops, plans=replace(crops.plans, others=listed))
