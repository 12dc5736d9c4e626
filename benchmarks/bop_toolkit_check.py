"""Whether bop_toolkit's own scripts find in our datasets what we wrote into them.

    python -m benchmarks.bop_toolkit_check --toolkit bop_toolkit/ --python toolkit_env/bin/python

`--toolkit` is a checkout of github.com/thodan/bop_toolkit (cea62d6), `--python` one with what it
needs: vispy, webdataset, pypng, imageio, scikit-image, scipy, matplotlib, opencv, trimesh, pytz,
tqdm; the tables were made with numpy 2.4, vispy 0.17 and Mesa's software OpenGL.

Makes crops with occluders, neighbours and objects cut by the border, in both formats and with exact
depth, has a copy of each gone over by calc_gt_info, calc_gt_masks, calc_gt_coco, calc_model_info
and vis_poses (the webdataset after the toolkit has read it), and counts what they say otherwise.

OpenGL moves every vertex to a whole 256th of a pixel before it draws. So a pixel whose centre lies
no farther than that from an outline, by a ray cast, may be on either side of it: what differs there
is explained, all else is not. The pyrender renderer draws through the same OpenGL: where its crops
differ at all, calc_gt_info says otherwise than calc_gt_masks.

The toolkit's renderers count pixels from the picture's corner, where our K counts them from the
first one's centre: before they draw, the copies' cx and cy are raised by 0.5.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from cad_models import available_models, load_models
from render_adapt import RunConfig, generate
from renderer import RANDOMIZATIONS

OBJECTS = ("ape", "benchvise", "cam", "can", "cat", "driller", "duck", "lamp")
CLUTTER = dataclasses.replace(
    RANDOMIZATIONS["linemod"], occluders=(1, 2), neighbours=(0, 2), off_centre=0.2, zoom=(0.8, 1.3)
)
FORMATS = ("bop", "bop-webdataset")
GRID = 1 / 256
"""Pixels: what OpenGL rounds the places of vertices to."""
_JUMP = 5.0
"""Millimetres, well below the toolkit's tolerance."""
_RING = GRID * np.stack([np.cos(k := np.arange(16) * np.pi / 8), np.sin(k)], axis=1)


def main() -> None:
    """Print a table for each format; exit code 1 where something differs that must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toolkit", type=Path, required=True, help="a checkout of bop_toolkit")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--renderer", nargs="+", default=["raster", "pyrender"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = []
    for renderer in arguments.renderer:
        with tempfile.TemporaryDirectory() as folder:
            dataset = make_dataset(Path(folder) / "dataset", arguments.n, renderer)
            tables = check(dataset, arguments.toolkit, arguments.python)
        for format, table in tables.items():
            print(f"{format}, {arguments.n} crops drawn by {renderer}")
            for name, count in table.items():
                print(f"  {count:>6} {name}")
            runs.append({"renderer": renderer, "crops": arguments.n, "format": format, **table})
    if arguments.json:
        arguments.json.write_text(json.dumps({"runs": runs}, indent=2) + "\n")
    sys.exit(any(run[_UNEXPLAINED] for run in runs))


def make_dataset(out: Path, n: int, renderer: str) -> Path:
    """Crops of several objects with exact depth, in both formats."""
    config = RunConfig(
        objects=OBJECTS, n=n, adapter="none", randomize=CLUTTER, format=FORMATS, out=out,
        renderer=renderer, workers=1,
    )  # fmt: skip
    generate(config)
    return out


def check(dataset: Path, toolkit: Path, python: Path) -> dict[str, dict[str, int]]:
    """Have the toolkit go over both formats of a dataset; count differences.

    Returns:
        For each format what was compared, and how much of it differs.
    """
    tables = {}
    script = Path(__file__).with_name("bop_toolkit_scripts.py")
    with tempfile.TemporaryDirectory() as folder:
        for format in FORMATS:
            our_scenes = dataset
            if format == "bop-webdataset":
                our_scenes = Path(folder) / "unpacked"
                _run(python, script, "unpack", toolkit, dataset, our_scenes)
            their_scenes = Path(folder) / format / "crops"
            their_scenes.mkdir(parents=True)
            for name in ("camera.json", "models", "train"):
                source = our_scenes / name
                copy = shutil.copytree if source.is_dir() else shutil.copy
                copy(source, their_scenes / name)
            count_from_corner(their_scenes)
            _run(python, script, "scripts", toolkit, their_scenes)
            pictures = len(list((their_scenes.parent / "pictures").rglob("*.jpg")))
            table = {"pictures that vis_poses drew": pictures}
            tables[format] = table | compare(dataset, our_scenes, their_scenes)
    return tables


def count_from_corner(dataset: Path) -> None:
    """Have K of a scene-wise dataset count pixels as bop_toolkit's renderers do."""
    for file in (dataset / "camera.json", *dataset.glob("train/*/scene_camera.json")):
        content = json.loads(file.read_text())
        for entry in [content] if "cx" in content else content.values():
            raised = 0.5 - entry.pop("pixel_center", 0.5)
            if "cam_K" in entry:
                entry["cam_K"] = [
                    value + raised * (place in (2, 5)) for place, value in enumerate(entry["cam_K"])
                ]
            else:
                entry |= {axis: entry[axis] + raised for axis in ("cx", "cy")}
        file.write_text(json.dumps(content))


def _run(python: Path, *arguments: object) -> None:
    result = subprocess.run(
        [str(part) for part in (python, *arguments)], capture_output=True, text=True
    )
    if result.returncode:
        raise SystemExit(f"bop_toolkit failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")


@dataclasses.dataclass
class _Image:
    """One image, as we wrote it and as the toolkit has it; G objects."""

    camera_matrix: NDArray[np.float64]
    """Pixels counted from the corner."""
    poses: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]
    """Object, rotation and translation."""
    masks: dict[str, tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]]
    """`mask` and `mask_visib`: ours and theirs."""
    measured: NDArray[np.bool_]
    """(H, W), where there is depth."""
    info: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    annotations: tuple[list[dict[str, Any]], list[dict[str, Any]]]


def compare(dataset: Path, our_scenes: Path, their_scenes: Path) -> dict[str, int]:
    """Count what is not the same in two scene-wise datasets.

    Args:
        dataset: as we wrote it; its models and its COCO files are ours.
        our_scenes: its images and labels, or what was read of its tar files.
        their_scenes: the same after the toolkit's scripts.
    """
    casts = _Casts(dataset)
    table = dict.fromkeys(_COUNTED, 0)
    table[_UNEXPLAINED] = _compare_models(dataset, their_scenes)
    for image in _images(dataset, our_scenes, their_scenes):
        for name, count in _compare_image(image, casts).items():
            table[name] += count
    return table


_UNEXPLAINED = "differences that are not explained"
_COUNTED = (
    "objects", "COCO annotations", "pixels of masks that differ",
    "pixels of visible masks that differ", "entries of scene_gt_info that differ",
    "of these, in which the toolkit contradicts itself", "COCO annotations that differ",
    _UNEXPLAINED,
)  # fmt: skip


def _compare_image(image: _Image, casts: _Casts) -> dict[str, int]:
    table = {"objects": len(image.poses), "COCO annotations": len(image.annotations[0])}
    off = {kind: np.array(a) != np.array(b) for kind, (a, b) in image.masks.items()}
    table["pixels of masks that differ"] = int(off["mask"].sum())
    table["pixels of visible masks that differ"] = int(off["mask_visib"].sum())
    entries = [a != b for a, b in zip(*image.info, strict=True)]
    table["entries of scene_gt_info that differ"] = sum(entries)
    table["of these, in which the toolkit contradicts itself"] = sum(
        differ and _contradicts(image, number) for number, differ in enumerate(entries)
    )
    annotations = _different(*image.annotations)
    table["COCO annotations that differ"] = annotations
    table[_UNEXPLAINED] = 0
    if off["mask"].any() or off["mask_visib"].any() or any(entries):
        # What an OpenGL that rounds may draw otherwise.
        edges, jumps = zip(
            *(casts.undecided(image, k) for k in range(len(image.poses))), strict=True
        )
        height, width = off["mask"].shape[1:]
        crop = np.s_[height : 2 * height, width : 2 * width]
        near = np.any([jump[crop] for jump in jumps], axis=0)
        table[_UNEXPLAINED] = int(
            sum((off["mask"][k] & ~edges[k][crop]).sum() for k in range(len(edges)))
            + (off["mask_visib"] & ~near).sum()
            + sum(
                not _explained(a, b, int(edges[k].sum()), int(near.sum()))
                for k, (a, b) in enumerate(zip(*image.info, strict=True))
            )
        )
    touched = sum((off["mask"] | off["mask_visib"]).any(axis=(1, 2)).tolist())
    table[_UNEXPLAINED] += max(0, annotations - touched)
    return table


def _contradicts(image: _Image, number: int) -> bool:
    """Whether calc_gt_info counted otherwise than there are pixels in what calc_gt_masks drew."""
    info = image.info[1][number]
    mask, visible = (image.masks[kind][1][number] for kind in ("mask", "mask_visib"))
    x, y, width, height = info["bbox_obj"]
    whole = 0 <= x <= x + width < mask.shape[1] and 0 <= y <= y + height < mask.shape[0]
    return bool(
        info["px_count_visib"] != visible.sum()
        or info["px_count_valid"] != (mask & image.measured).sum()
        or (whole and info["px_count_all"] != mask.sum())
    )


def _explained(
    our_info: dict[str, Any], their_info: dict[str, Any], undecided: int, undecided_near: int
) -> bool:
    """Whether counts differ by no more than there are undecided pixels, boxes by one pixel."""
    limits = {
        "px_count_all": undecided,
        "px_count_valid": undecided,
        "px_count_visib": undecided_near,
    }
    boxes = np.array([[entry["bbox_obj"], entry["bbox_visib"]] for entry in (our_info, their_info)])
    return all(
        abs(our_info[name] - their_info[name]) <= limit for name, limit in limits.items()
    ) and (np.abs(np.diff(boxes, axis=0)).max() <= (1 if undecided_near + undecided else 0))


def _different(
    our_annotations: list[dict[str, Any]], their_annotations: list[dict[str, Any]]
) -> int:
    """Annotations that say otherwise, whatever their numbers; those beside the other's, too."""
    fields = ("category_id", "bbox", "area", "segmentation", "ignore", "iscrowd", "width", "height")
    pairs = zip(our_annotations, their_annotations, strict=False)
    return abs(len(our_annotations) - len(their_annotations)) + sum(
        any(a[field] != b[field] for field in fields) for a, b in pairs
    )


def _compare_models(dataset: Path, their_scenes: Path) -> int:
    """How many of the models' boxes and diameters are off by more than a thousandth of 1 mm."""
    stated, computed = (
        json.loads((folder / "models/models_info.json").read_text())
        for folder in (dataset, their_scenes)
    )
    facts = ("diameter", "min_x", "min_y", "min_z", "size_x", "size_y", "size_z")
    return sum(
        abs(stated[key][name] - computed[key][name]) > 1e-3 for key in stated for name in facts
    )


class _Casts:
    """Ray casts of the dataset's models by Embree: which pixels are hardly within an outline."""

    def __init__(self, dataset: Path) -> None:
        names = [model.name for model in available_models(dataset / "models")]
        models = load_models(names, models=dataset / "models")
        self._scenes = {}
        for model in models:
            scene = EmbreeScene(robust=True)
            TriangleMesh(scene, model.mesh.vertices[model.mesh.faces])
            self._scenes[model.object_id] = scene

    def undecided(self, image: _Image, number: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(3 H, 3 W) twice, pixels with an outline of the object no farther than `GRID`, and those
        where its depth jumps there."""
        height, width = image.masks["mask"][0][0].shape
        rows, columns = np.indices((3 * height, 3 * width)) + 0.5
        centres = np.stack([columns.ravel() - width, rows.ravel() - height], axis=1)
        depth = self._depth(image, number, centres).reshape(3 * height, 3 * width)
        kernel = np.ones((3, 3), np.uint8)
        steep = np.flatnonzero(cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > _JUMP)
        around = (centres[steep, None] + _RING).reshape(-1, 2)
        ring = self._depth(image, number, around).reshape(len(steep), len(_RING))
        outline, jump = np.zeros(depth.size, bool), np.zeros(depth.size, bool)
        outline[steep] = ((ring > 0) != (depth.ravel()[steep, None] > 0)).any(axis=1)
        jump[steep] = np.abs(ring - depth.ravel()[steep, None]).max(axis=1) > _JUMP
        return outline.reshape(depth.shape), jump.reshape(depth.shape)

    def _depth(
        self, image: _Image, number: int, pixels: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(P,), z of what is seen of an object alone at points of the image, 0 for nothing."""
        object_id, rotation, translation = image.poses[number]
        # With z = 1 in the camera's frame, the distance along the ray is z.
        directions = np.column_stack([pixels, np.ones(len(pixels))])
        rays = directions @ np.linalg.inv(image.camera_matrix).T @ rotation
        origins = np.tile((-translation @ rotation).astype(np.float32), (len(rays), 1))
        hits = self._scenes[object_id].run(
            origins, np.ascontiguousarray(rays, np.float32), output=True
        )
        return np.where(hits["primID"] >= 0, hits["tfar"], np.float32(0))


def _images(dataset: Path, our_scenes: Path, their_scenes: Path) -> Iterator[_Image]:
    for scene in sorted((dataset / "train").iterdir()):
        names = "scene_camera", "scene_gt", "scene_gt_info"
        camera, gt, info = (_read(our_scenes, scene.name, name) for name in names)
        their_info = _read(their_scenes, scene.name, "scene_gt_info")
        # Tar files hold no COCO file: theirs is compared with that of the scenes beside them.
        coco = [_annotations(folder, scene.name) for folder in (dataset, their_scenes)]
        for key, objects in gt.items():
            masks = {
                kind: tuple(
                    [
                        _read_image(
                            folder / f"train/{scene.name}/{kind}/{int(key):06d}_{k:06d}.png"
                        )
                        for k in range(len(objects))
                    ]
                    for folder in (our_scenes, their_scenes)
                )
                for kind in ("mask", "mask_visib")
            }
            yield _Image(
                camera_matrix=_from_corner(camera[key]),
                poses=[
                    (
                        entry["obj_id"],
                        np.reshape(entry["cam_R_m2c"], (3, 3)),
                        np.array(entry["cam_t_m2c"]),
                    )
                    for entry in objects
                ],
                masks=masks,
                measured=_read_image(our_scenes / f"train/{scene.name}/depth/{int(key):06d}.png"),
                info=(info[key], their_info[key]),
                annotations=tuple(of_scene.get(int(key), []) for of_scene in coco),
            )


def _from_corner(entry: dict[str, Any]) -> NDArray[np.float64]:
    camera_matrix = np.reshape(entry["cam_K"], (3, 3))
    camera_matrix[:2, 2] += 0.5 - entry.get("pixel_center", 0.5)
    return camera_matrix


def _read(dataset: Path, scene: str, name: str) -> Any:
    return json.loads((dataset / f"train/{scene}/{name}.json").read_text())


def _annotations(dataset: Path, scene: str) -> dict[int, list[dict[str, Any]]]:
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in _read(dataset, scene, "scene_gt_coco")["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    return by_image


def _read_image(path: Path) -> NDArray[np.bool_]:
    """(H, W), where it is not 0."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0)


if __name__ == "__main__":
    main()
