"""LineMod crops out of what BlenderProc's renderer gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from checked_settings import Between, check
from render_adapt._config import WINDOW, Size
from render_adapt._formats.pixel_centre import INSIDE, recounted
from render_adapt._frames.whole_windows import WholeWindow, whole_window
from render_adapt.blenderproc._pictures import colors_of, depth_of, segmentation_of
from render_adapt.blenderproc._scene import PIXEL_CENTRE, SceneFrames, read_scene
from renderer import centre_points, cut_camera

FEWEST_PIXELS = 16
"""Of a crop of 64 x 64, that its object must have."""


@dataclass(frozen=True)
class SceneCrop:
    """A crop of one object in one frame, S pixels a side.

    Convention:
        As in the datasets that this package writes: millimetres; camera axes x right, y down, z
        forward; the first pixel's centre is at (0, 0) in the coordinates of K.
    """

    frame: int
    """Which of the renderer's frames."""
    name: str
    """The object's in Blender."""
    category_id: int
    """BOP's `obj_id`."""
    rgb: NDArray[np.uint8]
    """(S, S, 3)."""
    depth: NDArray[np.float32]
    """(S, S), z, 0 where there is nothing or no measurement."""
    mask_visib: NDArray[np.bool_]
    """(S, S), where the object is seen."""
    camera_matrix: NDArray[np.float64]
    """(3, 3), the crop's own K."""
    rotation: NDArray[np.float64]
    """(3, 3), `cam_R_m2c`."""
    translation: NDArray[np.float64]
    """(3,), `cam_t_m2c`."""


@dataclass(frozen=True)
class _Settings:
    size: Size
    window: Annotated[float, Between(1, 1e5, "mm")]
    centre: Literal["mean", "box", "origin"]

    def __post_init__(self) -> None:
        check(self)


def crops(
    data: Mapping[str, Any],
    *,
    target_objects: Sequence[Any] | None = None,
    size: Size = 64,
    window: float = WINDOW,
    centre: Literal["mean", "box", "origin"] = "mean",
) -> list[SceneCrop]:
    """Cut a crop around each labelled object of rendered frames, as LINEMOD's crops were cut.

    Windows lie wholly within their frames, on whole pixels; objects whose window does not have no
    crop, nor have objects of which next to nothing is seen.

    Args:
        data: what `bproc.renderer.render()` returned, or `adapt` made of it.
        target_objects: as for `adapt`.
        size: side of a crop, pixels.
        window: side of the square that a crop shows at its object's distance, millimetres.
        centre: what of the object is in the middle of a crop: the mean of its mesh's vertices, as
            in LINEMOD's crops, the centre of its bounding box, or the origin of its coordinates.

    Returns:
        Frame by frame, in the objects' order.

    Raises:
        SettingError: a value is out of range.
        SceneError: as for `adapt`.
    """
    settings = _Settings(size, window, centre)
    scene = read_scene(target_objects)
    colors, depth = colors_of(data, scene), depth_of(data, scene)
    segmentation = segmentation_of(data, scene)
    least = FEWEST_PIXELS * (size / 64) ** 2
    made = []
    for row in range(len(scene)):
        seen, rgb = segmentation.seen(row), np.ascontiguousarray(colors[row][..., :3])
        for place, cut in _windows(scene, row, settings):
            mask = cut.mask(seen[place], size)
            if mask.sum() >= least:
                pictures = cut.colors(rgb, size), cut.depth(depth[row], size), mask
                made.append(_crop(scene, row, place, cut, *pictures))
    return made


def _windows(
    scene: SceneFrames, row: int, settings: _Settings
) -> Iterator[tuple[int, WholeWindow]]:
    """Of a frame's objects, each with its place."""
    points = centre_points([item.model for item in scene.objects], settings.centre)
    for place, point in enumerate(points):
        middle = scene.rotation[row, place] @ point + scene.translation[row, place]
        cut = whole_window(scene.camera_matrix, middle, settings.window, scene.width, scene.height)
        if cut is not None:
            yield place, cut


def _crop(
    scene: SceneFrames,
    row: int,
    place: int,
    cut: WholeWindow,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> SceneCrop:
    k = scene.camera_matrix
    camera = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
    (own,) = cut_camera(camera, [cut.middle], [cut.side], len(mask))
    return SceneCrop(
        frame=row, name=scene.objects[place].name, category_id=scene.objects[place].category_id,
        rgb=rgb, depth=depth, mask_visib=mask,
        camera_matrix=recounted(own, INSIDE, PIXEL_CENTRE),
        rotation=scene.rotation[row, place], translation=scene.translation[row, place],
    )  # fmt: skip
