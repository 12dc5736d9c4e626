"""Linemod_preprocessed: LINEMOD as DenseFusion reads it, object by object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import load_models
from render_adapt._formats.bop_scenes import BopSceneReader
from render_adapt._formats.coco import coco_box
from render_adapt._formats.format import DerivedFormat
from render_adapt._formats.image import numbers, png
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.written import WrittenObject, written_objects
from safe_files import write_file

FOLDER = "Linemod_preprocessed"
LEAST_VISIBLE = 0.1
"""Frames in which an object is seen less are none of its folder's."""


def best_seen(crop: LabelledCrop, object_id: int) -> int | None:
    """Which instance of an object a frame shows most of; None where that is less than a tenth."""
    instances = np.flatnonzero(crop.object_id == object_id)
    if not len(instances):
        return None
    instance = int(instances[np.argmax(crop.visib_fract[instances])])
    return None if crop.visib_fract[instance] < LEAST_VISIBLE else instance


class LinemodPreprocessed(DerivedFormat):
    """A folder for each object: the frames that show it, its masks, `gt.yml` and `info.yml`.

    Convention:
        Depth is in whole millimetres, masks are of what is seen, in three equal channels, and
        `obj_bb` is the box of the whole silhouette within the frame: x, y, width and height in
        pixels. Of several instances of an object the one counts that is seen most. `test.txt` has
        the frames of all splits but `train`. K is written
        with the first pixel's centre at (0, 0), as DenseFusion's own numbers have it.
    """

    name = "linemod-preprocessed"
    needs = "bop"
    reads_shards = True
    of_one_camera = True
    shared = (FOLDER,)

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes the folders."""
        reader, written = BopSceneReader(out), _Written(out)
        folders = [_ObjectFolder(written, one) for one in written_objects(out)]
        places = [(shard, image) for shard in sorted(crops) for image in range(crops[shard])]
        for frame, (shard, image) in enumerate(places):
            crop = reader.read(shard, image)
            for folder in folders:
                folder.add(frame, crop, to_train_on=shard.split == SPLITS[0])
        for folder in folders:
            folder.close()
        return sorted(written.names)


@dataclass
class _Written:
    """A dataset's folder, and the names of what was written to it."""

    out: Path
    names: list[str] = field(default_factory=list)

    def write(self, name: str, content: bytes | str) -> None:
        """A file of the format's folder."""
        self.names.append(f"{FOLDER}/{name}")
        path = self.out / self.names[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)


class _ObjectFolder:
    """`data/NN` of an object."""

    def __init__(self, written: _Written, one: WrittenObject) -> None:
        self._written, self._one = written, one
        self._folder = f"data/{one.object_id:02d}"
        self._frames: list[str] = []
        self._held_out: list[str] = []
        self._gt: list[str] = []
        self._info: list[str] = []

    def add(self, frame: int, crop: LabelledCrop, *, to_train_on: bool) -> None:
        """A frame, where the object is seen in it."""
        instance = best_seen(crop, self._one.object_id)
        if instance is None:
            return
        name = f"{frame:04d}"
        depth = np.rint(crop.depth).clip(0, 65535).astype(np.uint16)
        mask = crop.mask_visib[instance].astype(np.uint8) * 255
        pictures = {
            "rgb": cv2.cvtColor(crop.rgb, cv2.COLOR_RGB2BGR),
            "depth": depth,
            "mask": np.repeat(mask[..., None], 3, axis=2),
        }
        for kind, picture in pictures.items():
            self._written.write(f"{self._folder}/{kind}/{name}.png", png(picture))
        (self._frames if to_train_on else self._held_out).append(name)
        self._describe(frame, crop, instance)

    def _describe(self, frame: int, crop: LabelledCrop, instance: int) -> None:
        k = crop.camera_matrix.copy()
        k[:2, 2] -= crop.pixel_centre
        self._info.append(f"{frame}:\n  cam_K: {numbers(k)}\n  depth_scale: 1.0\n")
        self._gt.append(
            f"{frame}:\n"
            f"- cam_R_m2c: {numbers(crop.rotation[instance])}\n"
            f"  cam_t_m2c: {numbers(crop.translation[instance])}\n"
            f"  obj_bb: {coco_box(crop.mask[instance])}\n"
            f"  obj_id: {self._one.object_id}\n"
        )

    def close(self) -> None:
        """Write what is of all frames, and the model."""
        lists = {
            "gt.yml": "".join(self._gt) or "{}\n",
            "info.yml": "".join(self._info) or "{}\n",
            "train.txt": "".join(f"{name}\n" for name in self._frames),
            "test.txt": "".join(f"{name}\n" for name in self._held_out),
        }
        for name, content in lists.items():
            self._written.write(f"{self._folder}/{name}", content)
        (model,) = load_models(
            [str(self._one.object_id)], models=self._written.out / "models", units="mm"
        )
        self._written.write(
            f"models/obj_{self._one.object_id:02d}.ply", _points_ply(model.mesh.vertices)
        )


def _points_ply(vertices: NDArray[np.float32]) -> str:
    """An ASCII PLY file of points, with the lines that DenseFusion's reader counts on."""
    head = (
        f"ply\nformat ascii 1.0\ncomment millimetres\nelement vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\nend_header\n"
    )
    return head + "".join(" ".join(map(repr, map(float, point))) + "\n" for point in vertices)
