"""PVNet: a folder for each object, as PVNet's own datasets are organised."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models import Mesh, load_models
from render_adapt._formats.bop_scenes import BopSceneReader
from render_adapt._formats.format import DerivedFormat
from render_adapt._formats.image import colour_file, png
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._formats.linemod_preprocessed import best_seen
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.written import WrittenObject, written_objects
from safe_files import write_file

FOLDER = "pvnet"
KEYPOINTS = 8
_METRES = 1e-3


class PvNet(DerivedFormat):
    """`pvnet/NAME/` of each object: the frames that show it, with its masks and poses.

    Convention:
        Metres. Poses are (3, 4), model to camera. K has the first pixel's centre at (0, 0), as
        PVNet's votes count pixels. Masks are of what is seen, 0 or 255. Of several instances of an
        object the one counts that is seen most; frames in which it is seen less than a tenth are
        left out. The k-th frame of an object is its number k. `fps.txt` has the keypoints that
        PVNet's own farthest-point sampling gives, which begins at the box's centre.

    Source: https://github.com/zju3dv/clean-pvnet, README.md and tools/handle_custom_dataset.py.
    """

    name = "pvnet"
    needs = "bop"
    reads_shards = True
    of_one_camera = True
    shared = tuple(Shard(0, split).within(FOLDER) for split in SPLITS)

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes the folders."""
        reader, names = BopSceneReader(out), []
        objects = written_objects(out)
        for folder in dict.fromkeys(shard.within(FOLDER) for shard in sorted(crops)):
            writers = [_ObjectFolder(out, f"{folder}/{one.name}", one) for one in objects]
            for shard in sorted(shard for shard in crops if shard.within(FOLDER) == folder):
                for image in range(crops[shard]):
                    crop = reader.read(shard, image)
                    for writer in writers:
                        writer.add(crop)
            for writer in writers:
                names += writer.close()
        return sorted(names)


class _ObjectFolder:
    """The folder of an object."""

    def __init__(self, out: Path, folder: str, one: WrittenObject) -> None:
        self._out, self._folder, self._one = out, folder, one
        self._names: list[str] = []
        self._frames = 0
        self._camera: NDArray[np.float64] | None = None

    def add(self, crop: LabelledCrop) -> None:
        """A frame, where the object is seen in it."""
        instance = best_seen(crop, self._one.object_id)
        if instance is None:
            return
        pose = np.column_stack([crop.rotation[instance], crop.translation[instance] * _METRES])
        mask = crop.mask_visib[instance].astype(np.uint8) * 255
        self._write(f"rgb/{self._frames}.jpg", colour_file(crop.rgb, "jpg"))
        self._write(f"mask/{self._frames}.png", png(mask))
        self._write(f"pose/pose{self._frames}.npy", _npy(pose))
        self._frames += 1
        if self._camera is None:
            self._camera = crop.camera_matrix.copy()
            self._camera[:2, 2] -= crop.pixel_centre

    def close(self) -> list[str]:
        """Write what is of all frames; the names of all files. Nothing of an object that no frame
        shows."""
        if self._camera is None:
            return []
        (model,) = load_models([str(self._one.object_id)], models=self._out / "models", units="mm")
        points = model.mesh.vertices.astype(np.float64) * _METRES
        self._write("model.ply", _mesh_ply(points, model.mesh))
        self._write("fps.txt", _table(farthest_points(points, KEYPOINTS)))
        self._write("diameter.txt", _table(np.array([[self._one.diameter * _METRES]])))
        self._write("camera.txt", _table(self._camera))
        return self._names

    def _write(self, name: str, content: bytes | str) -> None:
        self._names.append(f"{self._folder}/{name}")
        path = self._out / self._names[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)


def farthest_points(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(count, 3), of (V, 3) points: each the farthest from the middle of their box and from all
    before it."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    nearest = ((points - middle) ** 2).sum(axis=1)
    chosen = []
    for _ in range(count):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return points[chosen]


def _npy(array: NDArray[np.float64]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def _table(rows: NDArray[np.float64]) -> str:
    """Numbers as `numpy.loadtxt` reads them, to the last digit."""
    return "".join(" ".join(map(repr, row)) + "\n" for row in rows.tolist())


def _mesh_ply(points: NDArray[np.float64], mesh: Mesh) -> str:
    """An ASCII PLY file of triangles: PVNet's reader takes no other."""
    head = (
        f"ply\nformat ascii 1.0\ncomment metres\nelement vertex {len(points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in mesh.faces.tolist())
    return head + _table(points) + faces
