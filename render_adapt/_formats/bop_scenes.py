"""BOP scene-wise datasets: one shard is one scene, one crop is one image with its own K."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, write_models
from render_adapt._files import MOST_PICTURE, MOST_TEXT
from render_adapt._formats.carried_shard import CarriedObject, CarriedShard, Numbering
from render_adapt._formats.coco import coco_annotation, coco_image
from render_adapt._formats.crop_reader import CropReader
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.image import DEPTH_SCALE, BopImage, RgbKind, bop_image, png
from render_adapt._formats.labelled_crop import LabelledCrop, assemble_crop, crop_shape, decode_png
from render_adapt._formats.labels import InstanceLabel
from render_adapt._formats.pixel_centre import INSIDE, camera_entry, recounted
from render_adapt._formats.prepared_shard import PreparedShard
from render_adapt._formats.shard import Shard
from render_adapt._formats.shard_writer import ShardWriter
from renderer import CropBatch
from safe_files import open_file, parse_json, read_file, write_file

FOLDERS = ("rgb", "depth", "mask", "mask_visib")


def write_dataset_files(
    folder: Path,
    models: Sequence[CadModel],
    camera: NDArray[np.float64],
    width: int,
    height: int,
    pixel_centre: float,
) -> list[str]:
    """Write what all shards share in both formats: `camera.json` and `models/`.

    Args:
        folder: the dataset's.
        models: the run's objects.
        camera: (3, 3), the frames' K, or one that stands for the crops', which have their own.
        width, height: pixels.
        pixel_centre: the run's (`RunConfig.pixel_centre`).

    Returns:
        The names of the files, relative to the folder.
    """
    k = recounted(camera, INSIDE, pixel_centre)
    content = {
        "cx": k[0, 2], "cy": k[1, 2], "depth_scale": DEPTH_SCALE, "fx": k[0, 0], "fy": k[1, 1],
        "height": height, **camera_entry(pixel_centre), "width": width,
    }  # fmt: skip
    write_file(folder / "camera.json", json.dumps(content, indent=2) + "\n")
    return ["camera.json", *write_model_files(folder, models)]


def write_model_files(folder: Path, models: Sequence[CadModel]) -> list[str]:
    """Write a dataset's `models/`.

    Returns:
        The names of the files, relative to the folder.
    """
    write_models(models, folder / "models")
    meshes = [f"models/obj_{model.object_id:06d}" for model in models]
    textured = [model.mesh.texture is not None for model in models]
    return [
        "models/models_info.json",
        *(f"{mesh}.ply" for mesh in meshes),
        *(f"{mesh}.png" for mesh, has in zip(meshes, textured, strict=True) if has),
    ]


def scene_of(shard: Shard) -> str:
    """A shard's scene, relative to the dataset."""
    return f"{shard.split}/{shard.number:06d}"


class BopSceneWriter(ShardWriter):
    """Writes the crops of one scene into a folder of a shard; `close` writes its JSON files.

    Convention:
        The k-th crop that is added is image k. Its target is instance 0, its other objects those
        after it; the masks of image k's instance g are `mask/%06d_%06d.png` and
        `mask_visib/%06d_%06d.png` % (k, g), 0 or 255. What is not seen at all is listed too.
    """

    def __init__(
        self,
        prepared: PreparedShard,
        scene: str,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> None:
        self._prepared = prepared
        self._scene = scene
        self._models = models
        self._pixel_centre = pixel_centre
        self._rgb: RgbKind = rgb
        self._camera: dict[str, Any] = {}
        self._gt: dict[str, Any] = {}
        self._gt_info: dict[str, Any] = {}
        self._coco_images: list[dict[str, Any]] = []
        self._coco_annotations: list[dict[str, Any]] = []
        for name in FOLDERS:
            (prepared.path / scene / name).mkdir(parents=True)

    def add(self, crops: CropBatch, labels: Sequence[Sequence[InstanceLabel]]) -> None:
        """Write a batch of crops with the labels of all their objects."""
        for row, of_crop in enumerate(labels):
            self._add_one(
                bop_image(crops, row, of_crop, self._models, self._pixel_centre, self._rgb)
            )

    def close(self) -> None:
        """Write the scene's camera, pose, count and COCO files."""
        for name, content in (
            ("scene_camera", self._camera),
            ("scene_gt", self._gt),
            ("scene_gt_info", self._gt_info),
        ):
            self._write(f"{name}.json", _one_entry_per_line(content))
        self._write("scene_gt_coco.json", _coco_file(self._coco()))

    def _add_one(self, image: BopImage) -> None:
        image_id = len(self._gt)
        name, key = f"{image_id:06d}", str(image_id)
        self._write(f"rgb/{name}.{self._rgb}", image.rgb)
        self._write(f"depth/{name}.png", image.depth)
        for number, (whole, visible) in enumerate(zip(image.masks, image.masks_visib, strict=True)):
            self._write(f"mask/{name}_{number:06d}.png", _mask_png(whole))
            self._write(f"mask_visib/{name}_{number:06d}.png", _mask_png(visible))
        self._camera[key] = image.camera
        self._gt[key] = image.gt
        self._gt_info[key] = image.gt_info
        self._add_to_coco(image_id, image)

    def _add_to_coco(self, image_id: int, image: BopImage) -> None:
        height, width = image.masks[0].shape
        self._coco_images.append(
            coco_image(image_id, f"rgb/{image_id:06d}.{self._rgb}", width, height)
        )
        for entry, info, whole, visible in zip(
            image.gt, image.gt_info, image.masks, image.masks_visib, strict=True
        ):
            if visible.any():
                self._coco_annotations.append(
                    coco_annotation(
                        annotation_id=len(self._coco_annotations) + 1,
                        image_id=image_id,
                        category_id=entry["obj_id"],
                        whole=whole,
                        visible=visible,
                        ignore=info["visib_fract"] < 0.1,
                    )
                )

    def _coco(self) -> dict[str, Any]:
        return {
            "info": {"description": "render-adapt crops"},
            "licenses": [],
            "categories": _categories(self._models),
            "images": self._coco_images,
            "annotations": self._coco_annotations,
        }

    def _write(self, name: str, content: bytes) -> None:
        self._prepared.write(f"{self._scene}/{name}", content)


def _mask_png(mask: NDArray[np.bool_]) -> bytes:
    return png(mask.astype(np.uint8) * 255)


def _one_entry_per_line(content: dict[str, Any]) -> bytes:
    """JSON as bop_toolkit lays it out, so that line-wise tools and diffs work."""
    lines = (f"  {json.dumps(key)}: {json.dumps(content[key], sort_keys=True)}" for key in content)
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _categories(objects: Sequence[CadModel | CarriedObject]) -> list[dict[str, Any]]:
    return [
        {"id": one.object_id, "name": one.name, "supercategory": "render-adapt"} for one in objects
    ]


def _coco_file(content: dict[str, Any]) -> bytes:
    return (json.dumps(content) + "\n").encode()


def renumbered(gt: Any, numbering: Numbering) -> Any:
    """The objects of an image, as `scene_gt.json` has them, with the numbers of another dataset."""
    return [{**entry, "obj_id": numbering.by_id[entry["obj_id"]].object_id} for entry in gt]


def _renumbered_gt(content: bytes, numbering: Numbering) -> bytes:
    images = parse_json(content)
    return _one_entry_per_line({key: renumbered(images[key], numbering) for key in images})


def _renumbered_coco(content: bytes, numbering: Numbering) -> bytes:
    """With the categories of all objects of the other dataset."""
    coco = parse_json(content)
    annotations = [
        {**entry, "category_id": numbering.by_id[entry["category_id"]].object_id}
        for entry in coco["annotations"]
    ]
    return _coco_file(
        {**coco, "categories": _categories(numbering.all), "annotations": annotations}
    )


class BopSceneReader(CropReader):
    """Reads scene-wise datasets."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(dataset)
        self._starts: dict[Path, NDArray[np.int64]] = {}

    def read_unchecked(self, shard: Shard, im_id: int) -> LabelledCrop:
        """One crop of a scene."""
        scene = self.dataset / scene_of(shard)
        gt = self._entry(scene / "scene_gt.json", im_id)
        rgb = self._colours(scene / f"rgb/{im_id:06d}")
        shape = crop_shape(rgb, len(gt))
        return assemble_crop(
            shard.number,
            im_id,
            rgb,
            self._picture(scene / f"depth/{im_id:06d}.png"),
            self._entry(scene / "scene_camera.json", im_id),
            gt,
            self._entry(scene / "scene_gt_info.json", im_id),
            {
                kind: [
                    self._mask(scene / kind / f"{im_id:06d}_{number:06d}.png", shape)
                    for number in range(len(gt))
                ]
                for kind in ("mask", "mask_visib")
            },
        )

    def _entry(self, path: Path, im_id: int) -> Any:
        """An image's entry of a scene's file, which has one entry a line."""
        if path not in self._starts:
            content = read_file(path, most=MOST_TEXT, inside=self.dataset)
            breaks = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
            self._starts[path] = breaks + 1
        start, stop = self._starts[path][im_id : im_id + 2].tolist()
        with open_file(path, most=MOST_TEXT, inside=self.dataset) as file:
            file.seek(start)
            line = file.read(stop - start).strip().removesuffix(b",")
        return parse_json(b"{" + line + b"}")[str(im_id)]

    def _colours(self, stem: Path) -> bytes:
        """A picture that is written as the run asked for."""
        jpeg = stem.with_suffix(".jpg")
        return self._picture(jpeg if jpeg.exists() else stem.with_suffix(".png"))

    def _picture(self, path: Path) -> bytes:
        return read_file(path, most=MOST_PICTURE, inside=self.dataset)

    def _mask(self, path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
        return np.asarray(decode_png(self._picture(path), cv2.IMREAD_UNCHANGED, shape) > 0)


class BopScenes(MergeableFormat):
    """BOP scene-wise: a folder of PNG and JSON files for each shard."""

    name = "bop"

    def entry(self, shard: Shard) -> str:
        """Its scene."""
        return scene_of(shard)

    def writer(
        self,
        prepared: PreparedShard,
        shard: Shard,
        models: Sequence[CadModel],
        pixel_centre: float,
        rgb: RgbKind,
    ) -> BopSceneWriter:
        """Writes a scene."""
        return BopSceneWriter(prepared, self.entry(shard), models, pixel_centre, rgb)

    def reader(self, dataset: Path) -> BopSceneReader:
        """Reads scenes."""
        return BopSceneReader(dataset)

    def file_of(self, kind: str, shard: Shard, image: int, instance: int) -> str:
        """A picture's own file, or one of the scene's."""
        scene = self.entry(shard)
        if kind == "depth":
            return f"{scene}/depth/{image:06d}.png"
        if kind in ("mask", "mask_visib"):
            return f"{scene}/{kind}/{image:06d}_{instance:06d}.png"
        return f"{scene}/scene_{'gt_coco' if kind == 'coco' else kind}.json"

    def carry(self, shard: CarriedShard) -> None:
        """Pictures, cameras and counts to the byte, poses and COCO annotations with the numbers of
        their objects."""
        scene, becomes = self.entry(shard.shard), self.entry(shard.becomes)
        changes = {"scene_gt.json": _renumbered_gt, "scene_gt_coco.json": _renumbered_coco}
        for name in shard.names(scene):
            of_scene = name.removeprefix(f"{scene}/")
            content = shard.read(name)
            if of_scene in changes:
                content = changes[of_scene](content, shard.numbering)
            shard.write(f"{becomes}/{of_scene}", content)

    def annotations(self, shard: Shard) -> str:
        """The scene's."""
        return f"{self.entry(shard)}/scene_gt_coco.json"
