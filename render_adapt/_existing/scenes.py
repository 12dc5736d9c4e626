"""The scenes of a BOP dataset that anybody may have made, as their files say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT
from render_adapt._formats.pixel_centre import CENTRES, INSIDE, KEY
from safe_files import list_folder, numbers_of, parse_json, read_file

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_LARGEST = 1e7
"""Millimetres, and pixels: of a place, and of a camera's numbers."""
_TURN_ROUNDING = 0.05
"""Of a rotation matrix times its transpose; LM-O's are off by 0.01."""


@dataclass(frozen=True)
class PosedObject:
    """An object of an image."""

    object_id: int
    """BOP's `obj_id`."""
    rotation: NDArray[np.float64]
    """(3, 3), the rotation nearest to `cam_R_m2c`."""
    translation: NDArray[np.float64]
    """(3,), `cam_t_m2c`, millimetres."""
    visib_fract: float | None
    """Of `scene_gt_info.json`; None where there is none."""


@dataclass(frozen=True)
class SceneImage:
    """An image of a scene and what the scene's files say of it."""

    im_id: int
    rgb: Path
    """Its file."""
    depth: Path | None
    camera_matrix: NDArray[np.float64]
    """(3, 3), pixels counted from the picture's corner."""
    pixel_centre: float
    """Where the first pixel's centre is in the coordinates of the K that stands in the file."""
    depth_scale: float
    """Millimetres for one step of `depth`."""
    objects: tuple[PosedObject, ...]
    """In the order of `scene_gt.json`."""


@dataclass(frozen=True)
class SourceScene:
    """A scene: a folder of images under one number."""

    dataset: Path
    name: str
    """Its folder within the dataset, with slashes, as `train_pbr/000000`."""
    images: tuple[SceneImage, ...]
    """In the order of their numbers."""
    has_masks: bool
    """Whether it says what is seen of each object; else that follows from the poses."""

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.dataset / self.name

    @property
    def scene_id(self) -> int:
        """Its number."""
        return int(self.path.name)

    def mask_file(self, image: SceneImage, instance: int) -> Path:
        """Where the mask of what is seen of an object is."""
        return self.path / f"mask_visib/{image.rgb.stem}_{instance:06d}.png"


def read_scenes(dataset: Path) -> list[SourceScene]:
    """All scenes of a dataset, or of one of its splits.

    Args:
        dataset: the folder that `train_pbr`, `test` and the like are in, or one of these.

    Raises:
        DatasetError: there are none, or what their files say makes no sense.
    """
    try:
        names = list(_scene_names(dataset))
    except OSError as error:
        raise DatasetError(
            f"{dataset} cannot be read ({error.strerror}): take it from a copy"
        ) from None
    if (dataset / "scene_camera.json").exists():
        raise DatasetError(f"{dataset} is one scene: give the folder that it is in")
    if not names and (any(dataset.glob("*.tar")) or any(dataset.glob("*/*.tar"))):
        raise DatasetError(
            f"{dataset} is a webdataset, and only scene-wise datasets are taken: unpack its tar "
            "files into scenes as in train_pbr/000000"
        )
    if not names:
        raise DatasetError(
            f"{dataset} holds no BOP scenes: give a folder with scenes as in train_pbr/000000, "
            "each with scene_camera.json and scene_gt.json"
        )
    return [_read_scene(dataset, name) for name in names]


def _scene_names(dataset: Path) -> Iterator[str]:
    for pattern in ("*", "*/*"):
        for folder in sorted(dataset.glob(pattern)):
            name = folder.relative_to(dataset).as_posix()
            hidden = any(part.startswith(".") for part in name.split("/"))
            if folder.name.isdecimal() and not hidden and (folder / "scene_camera.json").exists():
                yield name


def _read_scene(dataset: Path, name: str) -> SourceScene:
    folder = dataset / name
    cameras, truths = (_read_json(dataset, folder / f"scene_{k}.json") for k in ("camera", "gt"))
    info_file = folder / "scene_gt_info.json"
    infos = _read_json(dataset, info_file) if info_file.exists() else {}
    pictures = _by_number(folder, "rgb")
    if not pictures:
        raise DatasetError(f"{folder} has no pictures in rgb/: only colour pictures can be adapted")
    depth = _by_number(folder, "depth")
    images = []
    for number, file in sorted(pictures.items()):
        key = str(number)
        if key not in cameras or not isinstance(truths.get(key), list):
            raise DatasetError(
                f"{file} has no entry in scene_camera.json and scene_gt.json: take it out of rgb/, "
                "or complete these files"
            )
        camera, scale, centre = _read_camera(folder, key, cameras[key])
        shares = _read_shares(folder, key, infos.get(key), len(truths[key]))
        objects = tuple(
            _read_object(folder, key, entry, share)
            for entry, share in zip(truths[key], shares, strict=True)
        )
        images.append(SceneImage(number, file, depth.get(number), camera, centre, scale, objects))
    return SourceScene(dataset, name, tuple(images), (folder / "mask_visib").is_dir())


def _by_number(folder: Path, kind: str) -> dict[int, Path]:
    """Pictures by the numbers that are their names."""
    if not (folder / kind).is_dir():
        return {}
    pictures: dict[int, Path] = {}
    try:
        files = list_folder(folder / kind, PICTURES)
    except OSError as error:
        raise DatasetError(
            f"{folder / kind} cannot be read ({error.strerror}): take it from a copy"
        ) from None
    for file in files:
        if not (file.stem.isdecimal() and file.stem.isascii()) or int(file.stem) >= 10**6:
            raise DatasetError(f"{file} has no number for its name: take it out of {kind}/")
        if int(file.stem) in pictures:
            raise DatasetError(f"{file} and {pictures[int(file.stem)].name} are of one number")
        pictures[int(file.stem)] = file
    return pictures


def _read_json(dataset: Path, file: Path) -> Mapping[str, Any]:
    try:
        content = parse_json(read_file(file, most=MOST_TEXT, inside=dataset))
    except OSError as error:
        raise DatasetError(
            f"{file} cannot be read ({error.strerror}): take it from a copy"
        ) from None
    except ValueError:
        raise DatasetError(f"{file} is no JSON: take it from a copy") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{file} has no entries by image: take it from a copy")
    return content


def _read_camera(folder: Path, key: str, entry: Any) -> tuple[NDArray[np.float64], float, float]:
    """K from the corner, the scale of depth, and where K itself has the first pixel's centre."""
    fields = entry if isinstance(entry, dict) else {}
    if "cam_model" in fields:
        raise DatasetError(
            f"{folder / 'scene_camera.json'} has a camera with distortion for image {key:.20}, and "
            "adapters take pinhole cameras: undistort the pictures first"
        )
    values = numbers_of(fields.get("cam_K"), 9, most=_LARGEST)
    scale = numbers_of([fields.get("depth_scale", 1.0)], 1, most=_LARGEST)
    centre = fields.get(KEY, 0.0)
    if values is None or scale is None or scale[0] <= 0 or centre not in CENTRES:
        raise _malformed(folder / "scene_camera.json", key)
    matrix = np.array(values).reshape(3, 3)
    fx, fy = matrix[0, 0], matrix[1, 1]
    if min(fx, fy) <= 0 or matrix.tolist() != [[fx, 0, values[2]], [0, fy, values[5]], [0, 0, 1]]:
        raise _malformed(folder / "scene_camera.json", key)
    matrix[:2, 2] += INSIDE - centre
    return matrix, scale[0], float(centre)


def _read_shares(folder: Path, key: str, entry: Any, count: int) -> list[float | None]:
    """How much is seen of each of an image's objects; None where nothing says so."""
    if entry is None:
        return [None] * count
    infos = entry if isinstance(entry, list) else []
    shares = [info.get("visib_fract") for info in infos if isinstance(info, dict)]
    values = numbers_of(shares, count, most=1e3)
    if values is None:
        raise _malformed(folder / "scene_gt_info.json", key)
    return [*values]


def _read_object(folder: Path, key: str, entry: Any, share: float | None) -> PosedObject:
    fields = entry if isinstance(entry, dict) else {}
    turn = numbers_of(fields.get("cam_R_m2c"), 9, most=2.0)
    place = numbers_of(fields.get("cam_t_m2c"), 3, most=_LARGEST)
    number = fields.get("obj_id")
    if turn is None or place is None or type(number) is not int or not 0 <= number < 10**6:
        raise _malformed(folder / "scene_gt.json", key)
    rotation = np.array(turn).reshape(3, 3)
    off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if not math.isfinite(off) or off > _TURN_ROUNDING or np.linalg.det(rotation) < 0:
        raise _malformed(folder / "scene_gt.json", key)
    left, _, right = np.linalg.svd(rotation)
    return PosedObject(number, left @ right, np.array(place), share)


def _malformed(file: Path, key: str) -> DatasetError:
    return DatasetError(
        f"{file} has a malformed entry for image {key:.20}: mend it, or take the file from a copy"
    )
