"""Formats for other people's loaders: each read by what reads it, or as its reader's source reads.

Readers that are not in the tests' environment are read here step by step as their own code does,
which docs/datasets.md names with its commit.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from pycocotools.coco import COCO

from cad_models import load_models
from render_adapt import (
    DatasetError,
    RunConfig,
    SettingError,
    StoreAddress,
    formats,
    generate,
    load,
    repair,
    verify,
)
from renderer import RANDOMIZATIONS

OBJECTS = ("ape", "benchvise", "duck")
CLUTTER = dataclasses.replace(
    RANDOMIZATIONS["linemod"], occluders=(1, 2), neighbours=(0, 2), off_centre=0.4, zoom=(0.6, 1.2)
)
ALL = (
    "bop", "bop-webdataset", "coco", "yolo", "yolo-pose", "bop-targets", "huggingface", "dope",
)  # fmt: skip


def make(out: Path, **changes: Any) -> Path:
    settings: Any = {
        "objects": OBJECTS, "n": 10, "seed": 3, "workers": 1, "adapter": "none",
        "randomize": CLUTTER, "format": ALL,
    } | changes  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        generate(RunConfig(out=out, **settings))
    return out


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten crops of several objects each, some cut by the border, in shards of four."""
    return make(tmp_path_factory.mktemp("consumers") / "dataset")


def names() -> dict[int, str]:
    return {model.object_id: model.name for model in load_models(list(OBJECTS))}


def projected_box(crop: Any, instance: int) -> NDArray[np.float64]:
    """(9, 2), where a box's corners, x changing last, and its middle project to by OpenCV, from the
    first pixel's centre."""
    (model,) = load_models([names()[int(crop.object_id[instance])]])
    least, most = model.bounds
    corners = np.array([
        [(least, most)[i][0], (least, most)[j][1], (least, most)[k][2]]
        for i in (0, 1) for j in (0, 1) for k in (0, 1)
    ])  # fmt: skip
    points = np.concatenate([corners, [(least + most) / 2]])
    rotation, _ = cv2.Rodrigues(crop.rotation[instance])
    k = crop.camera_matrix.copy()
    k[:2, 2] -= crop.pixel_centre
    found, _ = cv2.projectPoints(points, rotation, crop.translation[instance], k, np.zeros(5))
    return np.asarray(found[:, 0])


def test_one_coco_file_has_every_scene(dataset: Path) -> None:
    """By pycocotools: masks, boxes, pictures and categories are those of the scenes' own files."""
    merged = COCO(str(dataset / "annotations/instances_train.json"))
    images = merged.loadImgs(merged.getImgIds())
    assert [image["id"] for image in images] == list(range(1, 11))
    seen = 0
    for image, crop in zip(images, load(dataset), strict=True):
        assert (image["scene_id"], image["im_id"]) == (crop.scene_id, crop.im_id)
        picture = cv2.imread(str(dataset / image["file_name"]))[..., ::-1]
        np.testing.assert_array_equal(picture, crop.rgb)
        assert picture.shape[:2] == (image["height"], image["width"])
        annotations = merged.loadAnns(merged.getAnnIds(imgIds=[image["id"]]))
        instances = np.flatnonzero(crop.px_count_visib)
        for annotation, instance in zip(annotations, instances, strict=True):
            np.testing.assert_array_equal(
                merged.annToMask(annotation).astype(bool), crop.mask_visib[instance]
            )
            (category,) = merged.loadCats([annotation["category_id"]])
            assert category["name"] == names()[int(crop.object_id[instance])]
            assert len(category["keypoints"]) == 8
            keypoints = np.array(annotation["keypoints"]).reshape(8, 3)
            expected = projected_box(crop, instance)[:8]
            np.testing.assert_allclose(keypoints[:, :2], expected, atol=0.02)
            inside = ((expected > -0.5) & (expected < 63.5)).all(axis=1)
            np.testing.assert_array_equal(keypoints[:, 2], np.where(inside, 2, 1))
            seen += 1
    assert seen == len(merged.anns) > 20
    assert sorted(merged.anns) == list(range(1, seen + 1))


def read_yolo(line: str, shape: tuple[int, ...]) -> tuple[int, NDArray[np.float64], Any]:
    """As Ultralytics' `verify_image_label` checks lines and its datasets scale them."""
    columns = line.split()
    numbers = np.array(columns[1:], np.float64)
    box, rest = numbers[:4], numbers[4:].reshape(-1, 3)
    assert (box >= 0).all()
    assert (box <= 1).all()
    assert (rest[:, :2] >= 0).all()
    assert (rest[:, :2] <= 1).all()
    height, width = shape[:2]
    x, y, w, h = box * (width, height, width, height)
    return int(columns[0]), np.array([x - w / 2, y - h / 2, w, h]), rest


@pytest.mark.parametrize("name", ["yolo", "yolo-pose"])
def test_yolos_lines_are_the_boxes_of_what_is_seen_enough(dataset: Path, name: str) -> None:
    merged = COCO(str(dataset / "annotations/instances_train.json"))
    data = (dataset / name / "data.yaml").read_text()
    classes = dict(re.findall(r"^  (\d+): (\w+)$", data, re.M))
    assert list(classes.values()) == list(OBJECTS)
    assert ("kpt_shape: [8, 3]" in data) == (name == "yolo-pose")
    count = 0
    for crop, image in zip(load(dataset), merged.loadImgs(merged.getImgIds()), strict=True):
        folder = dataset / f"{name}/{crop.scene_id:06d}"
        picture = folder / f"images/{crop.im_id:06d}.png"
        # Ultralytics puts labels/ in the place of the last images/ of a picture's path.
        labels = Path("labels".join(str(picture).rsplit("images", 1))).with_suffix(".txt")
        pixels = cv2.imread(str(picture))[..., ::-1]
        np.testing.assert_array_equal(pixels, crop.rgb)
        found = [read_yolo(line, pixels.shape) for line in labels.read_text().splitlines()]
        annotations = [
            annotation
            for annotation in merged.loadAnns(merged.getAnnIds(imgIds=[image["id"]]))
            if not annotation["ignore"]
        ]
        for (number, box, corners), annotation in zip(found, annotations, strict=True):
            assert classes[str(number)] == merged.loadCats([annotation["category_id"]])[0]["name"]
            np.testing.assert_allclose(box, annotation["bbox"], atol=1e-3)
            assert len(corners) == (8 if name == "yolo-pose" else 0)
            keypoints = np.array(annotation["keypoints"]).reshape(8, 3)
            for corner, (x, y, visible) in zip(corners, keypoints, strict=False):
                if visible == 2:
                    at = corner[:2] * 64 - 0.5
                    np.testing.assert_allclose(at, [x, y], atol=2e-3)
                    assert corner[2] == 2
                else:
                    assert corner.tolist() == [0, 0, 0]
            count += 1
    assert count > 15


CUBOID_AXES = [
    (1, 0, 1), (0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0, 0), (0, 0, 0), (0, 1, 0), (1, 1, 0),
]  # fmt: skip
"""Least (0) or greatest (1) x, y and z of NDDS's corners, as DOPE's `add_cuboid` lists them."""


def test_dope_finds_pictures_with_their_cuboids(dataset: Path) -> None:
    """As `loadimages` and `CleanVisiiDopeLoader` of DOPE's common/utils.py read them."""
    pairs = []
    for folder in sorted(path for path in (dataset / "dope").rglob("*") if path.is_dir()):
        for file in sorted(folder.iterdir()):
            if str(file).endswith(".png") and Path(str(file).replace(".png", ".json")).exists():
                pairs.append((file, Path(str(file).replace(".png", ".json"))))
    crops = load(dataset)
    assert len(pairs) == len(crops) == 10
    for (picture, facts), crop in zip(pairs, crops, strict=True):
        np.testing.assert_array_equal(cv2.imread(str(picture))[..., ::-1], crop.rgb)
        content = json.loads(facts.read_text())
        intrinsics = content["camera_data"]["intrinsics"]
        k = crop.camera_matrix
        assert [intrinsics[name] for name in ("fx", "fy", "cx", "cy")] == pytest.approx(
            [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]
        )
        for instance, entry in enumerate(content["objects"]):
            assert entry["class"] == names()[int(crop.object_id[instance])]
            assert (entry["visibility"] > 0) == bool(crop.px_count_visib[instance])
            corners = projected_box(crop, instance)
            order = [4 * x + 2 * y + z for x, y, z in CUBOID_AXES] + [8]
            np.testing.assert_allclose(entry["projected_cuboid"], corners[order], atol=0.01)
            np.testing.assert_allclose(
                np.array(entry["location"]) * 10, crop.translation[instance], atol=1e-6
            )
            x, y, z, w = entry["quaternion_xyzw"]
            np.testing.assert_allclose([w, x, y, z], crop.quaternion[instance], atol=1e-9)
        assert len(content["objects"]) == len(crop.object_id)


def test_dopes_cuboid_gives_the_pose_back(dataset: Path) -> None:
    """By PnP, as its `CuboidPNPSolver` does, with a box of the object's own."""
    crop = load(dataset)[0]
    entry = json.loads((dataset / "dope/000000/000000.json").read_text())["objects"][0]
    (model,) = load_models([entry["class"]])
    box = np.array([model.bounds[list(axes), [0, 1, 2]] for axes in CUBOID_AXES])
    _, turn, place = cv2.solvePnP(
        box, np.array(entry["projected_cuboid"][:8]), crop.camera_matrix, np.zeros(5)
    )
    np.testing.assert_allclose(cv2.Rodrigues(turn)[0], crop.rotation[0], atol=1e-4)
    np.testing.assert_allclose(place[:, 0], crop.translation[0], atol=0.1)


def test_targets_count_what_bop_toolkit_would(dataset: Path) -> None:
    """As its `enumerate_test_targets.py` does."""
    expected = []
    for scene in sorted((dataset / "train").iterdir()):
        gt, info = (
            json.loads((scene / f"scene_{name}.json").read_text()) for name in ("gt", "gt_info")
        )
        for image in gt:
            valid = [
                entry["obj_id"]
                for entry, facts in zip(gt[image], info[image], strict=True)
                if facts["visib_fract"] >= 0.1
            ]
            for object_id in sorted(set(valid)):
                expected.append({
                    "scene_id": int(scene.name), "im_id": int(image), "obj_id": object_id,
                    "inst_count": valid.count(object_id),
                })  # fmt: skip
    assert json.loads((dataset / "test_targets_bop19.json").read_text()) == expected
    assert len(expected) > 15
    for file in (dataset / "models").iterdir():
        assert (dataset / "models_eval" / file.name).read_bytes() == file.read_bytes()


def test_key_to_shard_is_where_both_readers_look(dataset: Path) -> None:
    """bop_toolkit and HappyPose beside the tar files, GigaPose above them."""
    beside = (dataset / "train_web/key_to_shard.json").read_bytes()
    assert (dataset / "key_to_shard.json").read_bytes() == beside


def test_the_hubs_card_names_the_tar_files_that_there_are(dataset: Path) -> None:
    card = (dataset / "README.md").read_text()
    assert card.startswith("---\n")
    (path,) = re.findall(r"^    path: (\S+)$", card, re.M)
    assert len(list(dataset.glob(path))) == 3
    assert "10 labelled pictures" in card
    for object_id, name in names().items():
        assert f"| {object_id} | {name} |" in card


def test_the_hub_library_reads_it(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cache = dataset.parent / "cache"
    loaded = datasets.load_dataset(str(dataset), split="train", cache_dir=str(cache))
    assert loaded.num_rows == 10
    for sample, crop in zip(loaded, load(dataset), strict=True):
        np.testing.assert_array_equal(np.array(sample["rgb.png"]), crop.rgb)
        np.testing.assert_allclose(np.array(sample["depth.png"]) * 0.1, crop.depth, atol=1e-3)
        assert len(sample["gt.json"]) == len(crop.object_id)


def test_all_of_it_is_listed_verified_and_made_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render_adapt._config.SHARD_SIZE", 4)
    again = make(tmp_path / "again")
    files = {path.relative_to(dataset) for path in dataset.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    for file in files:
        assert (again / file).read_bytes() == (dataset / file).read_bytes(), file
    assert verify(again, workers=1).bad == ()
    for name in (
        "annotations/instances_train.json", "yolo/000001/labels/000002.txt", "yolo-pose/data.yaml",
        "dope/000002/000000.json", "README.md", "models_eval/models_info.json", "key_to_shard.json",
    ):  # fmt: skip
        before = (again / name).read_bytes()
        (again / name).write_bytes(before + b" ")
        verification = verify(again, workers=1)
        assert [str(bad.path.relative_to(again)) for bad in verification.bad] == [name]
        repair(verification, workers=1)
        assert (again / name).read_bytes() == before


@pytest.mark.parametrize(
    ("format", "needed"),
    [("coco", "bop"), ("bop-targets", "bop"), ("huggingface", "bop-webdataset")],
)
def test_what_names_anothers_files_is_not_written_without_it(
    tmp_path: Path, format: str, needed: str
) -> None:
    with pytest.raises(SettingError, match=f"give `format` {needed},{format}"):
        RunConfig(("ape",), n=1, out=tmp_path / "d", format=(format,))
    assert formats()[format].needs == needed


def test_boxes_alone_are_a_dataset_that_load_refuses_in_words(tmp_path: Path) -> None:
    out = make(tmp_path / "boxes", format=("yolo", "dope"), n=2, rgb="jpg")
    assert not (out / "train").exists()
    assert (out / "yolo/000000/images/000001.jpg").is_file()
    assert (out / "dope/000000/000001.jpg").is_file()
    found = verify(out, workers=1)
    assert (found.bad, found.reads_labels) == ((), False)
    with pytest.raises(DatasetError, match="was written as yolo, dope, which others read"):
        load(out)


def read_as_densefusion(root: Path, object_id: int) -> list[dict[str, Any]]:
    """The training frames of an object, as `PoseDataset` of DenseFusion's
    datasets/linemod/dataset.py reads them, with the camera in its code."""
    yaml = pytest.importorskip("yaml")
    folder = root / f"data/{object_id:02d}"
    meta = yaml.safe_load((folder / "gt.yml").read_text())
    samples = []
    for line in (folder / "train.txt").read_text().splitlines():
        rgb, depth, label = (
            cv2.imread(str(folder / kind / f"{line}.png"), cv2.IMREAD_UNCHANGED)
            for kind in ("rgb", "depth", "mask")
        )
        facts = meta[int(line)][0]
        mask = (label == 255)[:, :, 0] & (depth != 0)
        rows, columns = np.nonzero(mask)
        z = depth[mask].astype(np.float32)
        x, y = (columns - 325.26110) * z / 572.41140, (rows - 242.04899) * z / 573.57043
        samples.append({
            "rgb": rgb[..., ::-1], "mask": mask, "cloud": np.stack([x, y, z], axis=1), **facts,
        })  # fmt: skip
    return samples


def read_points(path: Path) -> NDArray[np.float32]:
    """As its `ply_vtx`: the number of points is at the end of the fourth line."""
    with path.open() as file:
        assert file.readline().strip() == "ply"
        file.readline()
        file.readline()
        count = int(file.readline().split()[-1])
        while file.readline().strip() != "end_header":
            continue
        return np.array([file.readline().split()[:3] for _ in range(count)], np.float32)


def test_densefusions_clouds_lie_on_the_posed_models(tmp_path: Path) -> None:
    from scipy.spatial import cKDTree

    out = make(
        tmp_path / "frames", n=3, frames="640x480", randomize="none",
        format=("bop", "linemod-preprocessed"), rgb="jpg",
    )  # fmt: skip
    assert verify(out, workers=1).bad == ()
    root, frames = out / "Linemod_preprocessed", load(out)
    count = 0
    for object_id, name in names().items():
        points = read_points(root / f"models/obj_{object_id:02d}.ply")
        (model,) = load_models([name])
        np.testing.assert_allclose(points, model.mesh.vertices, atol=1e-3)
        solid = trimesh.Trimesh(model.mesh.vertices, model.mesh.faces, process=False)
        surface = np.asarray(trimesh.sample.sample_surface(solid, 100_000, seed=0)[0])
        samples = read_as_densefusion(root, object_id)
        shown = []
        for frame in frames:
            # Some frames show an object twice: it counts where it is seen most.
            seen = np.where(frame.object_id == object_id, frame.visib_fract, 0)
            if seen.max() >= 0.1:
                shown.append((frame, int(seen.argmax())))
        for sample, (frame, instance) in zip(samples, shown, strict=True):
            np.testing.assert_array_equal(sample["rgb"], frame.rgb)
            np.testing.assert_array_equal(sample["mask"], frame.mask_visib[instance])
            x, y, width, height = sample["obj_bb"]
            rows, columns = np.nonzero(frame.mask[instance])
            assert (x, y) == (columns.min(), rows.min())
            assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
            rotation = np.resize(np.array(sample["cam_R_m2c"]), (3, 3))
            posed = surface @ rotation.T + sample["cam_t_m2c"]
            distances, _ = cKDTree(posed).query(sample["cloud"])
            # Points of the surface are a millimetre apart, and depth is in steps of one.
            assert np.median(distances) < 1.2
            count += 1
    assert count == 9


def test_crops_are_no_frames_of_one_camera(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="crops have a K each: give `frames` too"):
        RunConfig(("ape",), n=1, out=tmp_path / "d", format=("bop", "linemod-preprocessed"))


def test_what_is_made_of_scenes_is_not_written_to_a_store() -> None:
    """Scenes go there as they are made."""
    with pytest.raises(SettingError, match="give `out` a folder, and copy that there"):
        RunConfig(("ape",), n=1, out=StoreAddress("s3", "bucket/run"), format=("bop", "coco"))
