"""Images of an existing dataset as frames: its pictures and masks, with the depth of its poses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from render_adapt._exceptions import DatasetError
from render_adapt._existing.scenes import SceneImage, SourceScene
from render_adapt._files import MOST_PICTURE
from render_adapt._formats.labelled_crop import MOST_PIXELS
from renderer import (
    CLEARANCE,
    CropBatch,
    Instances,
    Plans,
    RasterRenderer,
    RenderError,
    Surfaces,
)
from safe_files import decode_picture, picture_size, read_file

FRAMES_OF_SCENE = 1_000_000
"""Image k of scene s is frame s times this, plus k, whatever its split."""
_AT_ONCE = 8
_PIXELS_AT_ONCE = 2**26
"""Of all masks of the frames in memory."""


@dataclass(frozen=True)
class StoredImage:
    """An image as it lies on disk."""

    image: SceneImage
    rgb: bytes
    """Its file."""
    depth: bytes | None
    steps: NDArray[np.uint16] | None
    """(H, W), of the depth file."""
    seen: tuple[int, ...]
    """Which of the image's objects the frame has, in its order: those that are seen."""


class FrameReader:
    """Reads images of a dataset as frames.

    Args:
        models: the dataset's objects.
    """

    def __init__(self, models: Sequence[CadModel]) -> None:
        self.models = list(models)
        self._places = {model.object_id: place for place, model in enumerate(models)}
        self._reach = [float(np.linalg.norm(np.abs(m.bounds).max(axis=0))) for m in models]
        self._renderer = RasterRenderer(models, 1, levels=False)

    def read(
        self, scene: SourceScene, images: Sequence[SceneImage]
    ) -> Iterator[tuple[list[StoredImage], CropBatch | None]]:
        """Images in their order, some at a time, each time those of one size.

        Frames have no images without an object that is seen: such images come alone, with None.

        Raises:
            DatasetError: one of their files is missing, damaged or of a kind that is not taken.
        """
        waiting: list[_Read] = []
        for image in images:
            read = self._read(scene, image)
            fits = waiting and waiting[0].rgb.shape == read.rgb.shape and read.stored.seen
            if waiting and not (fits and _fit_together([*waiting, read])):
                yield self._as_frames(scene, waiting)
                waiting = []
            if read.stored.seen:
                waiting.append(read)
            else:
                yield [read.stored], None
        if waiting:
            yield self._as_frames(scene, waiting)

    def _read(self, scene: SourceScene, image: SceneImage) -> _Read:
        content = _content(scene, image.rgb)
        rgb = _decoded_rgb(image, content)
        shape = rgb.shape[:2]
        depth = None if image.depth is None else _content(scene, image.depth)
        steps = None if depth is None else _decoded_depth(image, depth, shape)
        masks: list[NDArray[np.bool_]] = []
        seen = []
        for instance, posed in enumerate(image.objects):
            if posed.object_id not in self._places:
                raise DatasetError(
                    f"{scene.path / 'scene_gt.json'} names object {posed.object_id}, which is not "
                    "among the models: give the folder with all of them as `models`"
                )
            if not scene.has_masks:
                reach = self._reach[self._places[posed.object_id]]
                if posed.translation[2] > reach + CLEARANCE:
                    seen.append(instance)
                continue
            mask = _decoded_mask(scene, scene.mask_file(image, instance), shape)
            if mask.any() and posed.translation[2] > 0:
                seen.append(instance)
                masks.append(mask)
        stored = StoredImage(image, content, depth, steps, tuple(seen))
        return _Read(stored, rgb, masks)

    def _as_frames(
        self, scene: SourceScene, reads: Sequence[_Read]
    ) -> tuple[list[StoredImage], CropBatch]:
        plans = self._plans(scene, reads)
        try:
            drawn = self._renderer.render(plans)
        except RenderError as error:
            numbers = ", ".join(str(read.stored.image.im_id) for read in reads)
            raise DatasetError(
                f"the poses of images {numbers} of {scene.path} cannot be drawn: {error}"
            ) from None
        visible = np.concatenate([drawn.mask_visib[:, None], drawn.others_mask_visib], axis=1)
        depth = drawn.depth.copy()
        for row, read in enumerate(reads):
            if scene.has_masks:
                visible[row, : len(read.masks)] = read.masks
            if read.stored.steps is not None:
                depth[row] = read.stored.steps * read.stored.image.depth_scale
        frames = replace(
            drawn, rgb=np.stack([read.rgb for read in reads]), depth=depth, exact_depth=drawn.depth,
            mask_visib=visible[:, 0], others_mask_visib=visible[:, 1:],
        )  # fmt: skip
        return [read.stored for read in reads], frames

    def _plans(self, scene: SourceScene, reads: Sequence[_Read]) -> Plans:
        """The images' poses as renderers take them; light and surfaces do not matter here."""
        count, most = len(reads), max(len(read.stored.seen) for read in reads)
        object_index = np.full((count, most), -1, np.int32)
        rotation = np.tile(np.eye(3), (count, most, 1, 1))
        translation = np.zeros((count, most, 3))
        for row, read in enumerate(reads):
            for place, instance in enumerate(read.stored.seen):
                posed = read.stored.image.objects[instance]
                object_index[row, place] = self._places[posed.object_id]
                rotation[row, place], translation[row, place] = posed.rotation, posed.translation
        height, width = reads[0].rgb.shape[:2]
        images = [read.stored.image for read in reads]
        return Plans(
            index=np.array([frame_number(scene, image) for image in images]),
            object_index=object_index[:, 0],
            rotation=rotation[:, 0],
            translation=translation[:, 0],
            others=Instances(object_index[:, 1:], rotation[:, 1:], translation[:, 1:]),
            camera_matrix=np.stack([image.camera_matrix for image in images]),
            centre_depth=translation[:, 0, 2],
            light_direction=np.tile(np.array([0, 0, -1], np.float32), (count, 1, 1)),
            light_color=np.ones((count, 1, 3), np.float32),
            ambient_color=np.ones((count, 3), np.float32),
            surfaces=Surfaces.plain(count, most - 1),
            width=width,
            height=height,
        )


@dataclass(frozen=True)
class _Read:
    stored: StoredImage
    rgb: NDArray[np.uint8]
    masks: list[NDArray[np.bool_]]
    """Of those that are seen; none where the scene has no masks."""


def frame_number(scene: SourceScene, image: SceneImage) -> int:
    """What of an image, beside the seed, its noise vectors are drawn from."""
    return scene.scene_id * FRAMES_OF_SCENE + image.im_id


def dataset_models(
    dataset: Path, scenes: Sequence[SourceScene], models: Path | None, units: str | None
) -> list[CadModel]:
    """The models of all objects that some scenes show, in the order of their ids.

    Args:
        dataset: the folder that was given.
        scenes: of it.
        models: their folder; `models` in the dataset or beside the split if not given.
        units: as for `load_models`.

    Raises:
        DatasetError: no folder is given, and none is there.
        ModelError: an object is not in it, or not usable.
    """
    numbers = {posed.object_id for s in scenes for image in s.images for posed in image.objects}
    if not numbers:
        raise DatasetError(f"no image of {dataset} shows an object: there is nothing to do")
    places = [models] if models else [dataset / "models", dataset.absolute().parent / "models"]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise DatasetError(
            f"{dataset} has no models/ with the meshes of its objects: say where they are with "
            "`models`"
            if models is None
            else f"`models` is {models}, which is no folder: give one in BOP's layout"
        )
    return load_models([str(number) for number in sorted(numbers)], models=folder, units=units)


def _fit_together(reads: Sequence[_Read]) -> bool:
    """Whether frames may be in memory at once."""
    most = max(len(read.stored.seen) for read in reads)
    height, width = reads[0].rgb.shape[:2]
    return len(reads) <= _AT_ONCE and len(reads) * (2 + most) * height * width <= _PIXELS_AT_ONCE


def _content(scene: SourceScene, file: Path) -> bytes:
    try:
        return read_file(file, most=MOST_PICTURE, inside=scene.dataset)
    except OSError as error:
        raise DatasetError(
            f"{file} cannot be read ({error.strerror}): take it from a copy"
        ) from None


def _decoded_rgb(image: SceneImage, content: bytes) -> NDArray[np.uint8]:
    size = picture_size(content)
    if size is None or size[0] * size[1] * (2 + 2 * len(image.objects)) > MOST_PIXELS:
        raise DatasetError(f"{image.rgb} is no picture, or with its masks too large to be taken")
    picture = decode_picture(content, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise DatasetError(f"{image.rgb} is damaged: take it from a copy")
    if picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        raise DatasetError(f"{image.rgb} is no picture of 8-bit colours: convert it first")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _decoded_depth(image: SceneImage, content: bytes, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    steps = decode_picture(content, cv2.IMREAD_UNCHANGED)
    if steps is None or steps.dtype != np.uint16 or steps.shape != shape:
        raise DatasetError(f"{image.depth} is no 16-bit depth of the size of its picture")
    return np.asarray(steps, np.uint16)


def _decoded_mask(scene: SourceScene, file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    content = _content(scene, file)
    size = picture_size(content)
    mask = None if size != shape[::-1] else decode_picture(content, cv2.IMREAD_UNCHANGED)
    if mask is None or mask.shape != shape:
        raise DatasetError(f"{file} is no mask of the size of its picture")
    return np.asarray(mask > 0)


def models_hashes(models: Sequence[CadModel]) -> Mapping[str, str]:
    """Which models they are, by name."""
    return {model.name: model.sha256 for model in models}
