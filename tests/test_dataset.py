"""A whole run: what is on disk agrees with the CAD models, the poses and itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import trimesh
from pycocotools.coco import COCO
from scipy.spatial.transform import Rotation

from render_adapt import DatasetError, RunConfig, generate

OBJECTS = ("ape", "benchvise", "duck")


def config(out: Path, **changes: object) -> RunConfig:
    settings = {"objects": OBJECTS, "n": 30, "seed": 7, "workers": 1, "out": out}
    return RunConfig(**{**settings, **changes})


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset without adapter: its pictures are the renders."""
    out = tmp_path_factory.mktemp("plain") / "dataset"
    generate(config(out, adapter="none"))
    return out


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "dataset"
    generate(config(out))
    return out


class Scene:
    """One scene, read with nothing of our own."""

    def __init__(self, dataset: Path, number: int = 0) -> None:
        self.folder = dataset / f"train/{number:06d}"
        self.camera = self._json("scene_camera")
        self.gt = self._json("scene_gt")
        self.info = self._json("scene_gt_info")
        self.images = sorted(int(key) for key in self.gt)

    def _json(self, name: str) -> dict:
        return json.loads((self.folder / f"{name}.json").read_text())

    def rgb(self, image: int) -> np.ndarray:
        return cv2.imread(str(self.folder / f"rgb/{image:06d}.png"))[..., ::-1]

    def depth(self, image: int) -> np.ndarray:
        steps = cv2.imread(str(self.folder / f"depth/{image:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert steps.dtype == np.uint16
        return steps * self.camera[str(image)]["depth_scale"]

    def mask(self, image: int, kind: str = "mask") -> np.ndarray:
        values = cv2.imread(
            str(self.folder / f"{kind}/{image:06d}_000000.png"), cv2.IMREAD_UNCHANGED
        )
        assert values.dtype == np.uint8
        assert set(np.unique(values)) <= {0, 255}
        return values > 0

    def pose(self, image: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        entry = self.gt[str(image)][0]
        return (
            np.array(self.camera[str(image)]["cam_K"]).reshape(3, 3),
            np.array(entry["cam_R_m2c"]).reshape(3, 3),
            np.array(entry["cam_t_m2c"]),
            entry["obj_id"],
        )


def ray_cast(dataset: Path, scene: Scene, image: int) -> np.ndarray:
    """Depth of the dataset's own model at its own pose and K, by embree: an independent judge."""
    matrix, rotation, translation, object_id = scene.pose(image)
    mesh = trimesh.load(dataset / f"models/obj_{object_id:06d}.ply", process=False)
    vertices = np.asarray(mesh.vertices) @ rotation.T + translation
    placed = trimesh.Trimesh(vertices, mesh.faces, process=False)
    side = scene.mask(image).shape[0]
    rows, columns = np.indices((side, side))
    pixels = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5, np.ones(side * side)])
    rays = (np.linalg.inv(matrix) @ pixels).T
    points, hit, _ = placed.ray.intersects_location(np.zeros_like(rays), rays, multiple_hits=False)
    depth = np.zeros(side * side)
    depth[hit] = points[:, 2]
    return depth.reshape(side, side)


@pytest.mark.parametrize("kind", ["plain", "adapted"])
def test_masks_agree_with_an_independent_ray_cast(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Catches a wrong pose, a half-pixel shift, a wrong K, a transposed R, metres for mm."""
    dataset = request.getfixturevalue(kind)
    scene = Scene(dataset)
    intersection = union = 0
    for image in scene.images[:12]:
        expected = ray_cast(dataset, scene, image) > 0
        mask = scene.mask(image)
        intersection += (mask & expected).sum()
        union += (mask | expected).sum()
    assert intersection / union > 0.995


def test_depth_agrees_with_an_independent_ray_cast(plain: Path) -> None:
    scene = Scene(plain)
    for image in scene.images[:12]:
        expected, depth = ray_cast(plain, scene, image), scene.depth(image)
        common = (expected > 0) & (depth > 0)
        assert np.percentile(np.abs(expected - depth)[common], 99) <= 0.11  # 0.05 + half a step


def test_pictures_show_what_the_label_says(plain: Path) -> None:
    """Catches BGR for RGB, and a label beside the wrong picture: apes are red, ducks yellow."""
    scene = Scene(plain)
    for image in scene.images:
        object_id = scene.pose(image)[3]
        red, green, blue = np.median(scene.rgb(image)[scene.mask(image)], axis=0)
        if object_id == 1:
            assert red > 1.3 * max(green, blue)
        elif object_id == 9:
            assert min(red, green) > 1.5 * blue
        else:
            assert blue > red
        assert not scene.rgb(image)[~scene.mask(image)].any()


def test_index_has_the_scene_gt_poses_as_unit_quaternions(adapted: Path) -> None:
    """Catches a flipped or reordered quaternion: scipy judges."""
    scene = Scene(adapted)
    rows = parquet.read_table(adapted / "index/000000.parquet").to_pylist()
    assert [row["index"] for row in rows] == list(range(30))
    for row in rows:
        w, x, y, z = row["quaternion"]
        assert w >= 0
        assert np.linalg.norm(row["quaternion"]) == pytest.approx(1, abs=1e-12)
        matrix, rotation, translation, object_id = scene.pose(row["im_id"])
        np.testing.assert_allclose(
            Rotation.from_quat([x, y, z, w]).as_matrix(), rotation, atol=1e-9
        )
        np.testing.assert_allclose(row["translation"], translation)
        np.testing.assert_allclose(np.reshape(row["camera_matrix"], (3, 3)), matrix)
        assert row["obj_id"] == object_id
        assert row["seed"] == 7


def test_millimetres(adapted: Path) -> None:
    """The window is 200 mm at the object, which is 0.4 to 2 m away: not 0.4 to 2 mm."""
    scene = Scene(adapted)
    for image in scene.images:
        matrix, _, translation, _ = scene.pose(image)
        assert 400 <= translation[2] <= 2000
        depth = scene.depth(image)[scene.mask(image)]
        assert np.abs(np.median(depth[depth > 0]) - translation[2]) < 150
        assert 64 / matrix[0, 0] * translation[2] == pytest.approx(200, rel=0.15)


def test_coco_file_loads_in_pycocotools_and_holds_the_masks(adapted: Path) -> None:
    scene = Scene(adapted)
    coco = COCO(str(scene.folder / "scene_gt_coco.json"))
    assert sorted(coco.imgs) == scene.images
    for annotation in coco.anns.values():
        visible = scene.mask(annotation["image_id"], "mask_visib")
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), visible)
        assert annotation["category_id"] == scene.pose(annotation["image_id"])[3]
        assert (scene.folder / coco.imgs[annotation["image_id"]]["file_name"]).is_file()


def test_every_image_has_its_files_and_counts(adapted: Path) -> None:
    scene = Scene(adapted)
    for image in scene.images:
        info = scene.info[str(image)][0]
        visible = scene.mask(image, "mask_visib")
        assert info["px_count_visib"] == visible.sum()
        assert info["px_count_all"] >= scene.mask(image).sum() >= visible.sum()
        rows, columns = np.nonzero(visible)
        assert info["bbox_visib"] == [
            columns.min(), rows.min(), np.ptp(columns), np.ptp(rows)
        ]  # fmt: skip
    camera = json.loads((adapted / "camera.json").read_text())
    assert scene.rgb(0).shape == (camera["height"], camera["width"], 3)
    assert not (adapted / "INCOMPLETE").exists()
    assert (adapted / "contact_sheet.png").stat().st_size > 10_000


def test_adapted_pictures_are_not_the_renders(plain: Path, adapted: Path) -> None:
    before, after = Scene(plain), Scene(adapted)
    for image in before.images:
        np.testing.assert_array_equal(before.mask(image), after.mask(image))
        difference = np.abs(before.rgb(image).astype(int) - after.rgb(image)).mean()
        assert difference > 10


def test_same_seed_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    settings = {"objects": ("ape", "cat"), "n": 600}
    generate(config(tmp_path / "one", **settings, workers=1))
    generate(config(tmp_path / "two", **settings, workers=2))
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")


def test_another_seed_gives_another_dataset(tmp_path: Path, adapted: Path) -> None:
    generate(config(tmp_path / "other", seed=8))
    assert (tmp_path / "other/train/000000/rgb/000000.png").read_bytes() != (
        adapted / "train/000000/rgb/000000.png"
    ).read_bytes()


def test_a_run_continues_where_it_was_stopped(tmp_path: Path) -> None:
    settings = {"objects": ("ape",), "n": 300, "adapter": "none"}
    generate(config(tmp_path / "whole", **settings))
    stopped = tmp_path / "stopped"

    def stop_after_first_shard(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(config(stopped, **settings), stop_after_first_shard)
    assert (stopped / "INCOMPLETE").exists()
    first = (stopped / "shards/000000.json").stat().st_mtime_ns
    summary = generate(config(stopped, **settings))
    assert summary.crops_made == 50
    assert (stopped / "shards/000000.json").stat().st_mtime_ns == first
    assert tree_hash(stopped) == tree_hash(tmp_path / "whole")


def test_a_folder_that_holds_another_run_is_refused_untouched(adapted: Path) -> None:
    before = tree_hash(adapted)
    with pytest.raises(DatasetError, match=r"holds another run \(seed 7 there, 8 here\)"):
        generate(config(adapted, seed=8))
    with pytest.raises(DatasetError, match=r"\(objects.benchvise only there\)"):
        generate(config(adapted, objects=("ape", "duck")))
    assert tree_hash(adapted) == before


def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DatasetError, match="not a render-adapt run"):
        generate(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_that_died_at_its_very_start_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.partial").write_text('{"n"')
    generate(config(tmp_path, objects=("ape",), n=2, adapter="none"))
    assert not (tmp_path / ".manifest.json.partial").exists()
    assert not (tmp_path / "INCOMPLETE").exists()
