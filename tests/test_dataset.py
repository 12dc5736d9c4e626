"""A whole run: what is on disk agrees with the CAD models, the poses and itself."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import trimesh
from pycocotools.coco import COCO
from scipy.spatial.transform import Rotation

from adapter import SHIPPED_ADAPTER, read_info
from render_adapt import DatasetError, RunConfig, generate, load
from renderer import RANDOMIZATIONS

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
    """A dataset without adapter: its pictures are the renders, cut as for the shipped adapter."""
    out = tmp_path_factory.mktemp("plain") / "dataset"
    cut = read_info(SHIPPED_ADAPTER).cut
    assert cut is not None
    centre, off_axis = cut.centre, cut.off_axis_degrees
    generate(config(out, adapter="none", centre=centre, off_axis=off_axis))
    return out


CLUTTER = dataclasses.replace(
    RANDOMIZATIONS["linemod"], occluders=(0, 2), neighbours=(0, 2), off_centre=0.3,
    zoom=(0.9, 1.4), lights=(1, 2), color_jitter=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def cluttered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of several objects, off-centre, cut by the border."""
    out = tmp_path_factory.mktemp("cluttered") / "dataset"
    generate(config(out, n=9, adapter="none", randomize=CLUTTER))
    return out


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole frames, small ones."""
    out = tmp_path_factory.mktemp("frames") / "dataset"
    generate(config(out, n=4, adapter="none", frames="160x120", objects_per_frame=5))
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

    def mask(self, image: int, kind: str = "mask", instance: int = 0) -> np.ndarray:
        values = cv2.imread(
            str(self.folder / f"{kind}/{image:06d}_{instance:06d}.png"), cv2.IMREAD_UNCHANGED
        )
        assert values.dtype == np.uint8
        assert set(np.unique(values)) <= {0, 255}
        return values > 0

    def pose(self, image: int, instance: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        entry = self.gt[str(image)][instance]
        return (
            np.array(self.camera[str(image)]["cam_K"]).reshape(3, 3),
            np.array(entry["cam_R_m2c"]).reshape(3, 3),
            np.array(entry["cam_t_m2c"]),
            entry["obj_id"],
        )


@functools.cache
def read_mesh(path: Path) -> trimesh.Trimesh:
    return trimesh.load(path, process=False)


def ray_cast(
    dataset: Path, scene: Scene, image: int, instance: int = 0, margin: int = 0
) -> np.ndarray:
    """Depth of the dataset's own model at its own pose and K, by embree: an independent judge.

    The picture is wider by `margin` crops on each side.
    """
    matrix, rotation, translation, object_id = scene.pose(image, instance)
    mesh = read_mesh(dataset / f"models/obj_{object_id:06d}.ply")
    vertices = np.asarray(mesh.vertices) @ rotation.T + translation
    placed = trimesh.Trimesh(vertices, mesh.faces, process=False)
    height, width = ((1 + 2 * margin) * side for side in scene.mask(image).shape)
    rows, columns = np.indices((height, width))
    rows, columns = (
        rows - margin * height // (1 + 2 * margin),
        columns - margin * width // (1 + 2 * margin),
    )
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
    rays = (np.linalg.inv(matrix) @ pixels).T
    points, hit, _ = placed.ray.intersects_location(np.zeros_like(rays), rays, multiple_hits=False)
    depth = np.zeros(height * width)
    depth[hit] = points[:, 2]
    return depth.reshape(height, width)


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


@pytest.mark.parametrize("kind", ["cluttered", "frames"])
def test_every_object_is_labelled_as_an_independent_ray_cast_sees_it(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Masks, what hides what, and counts beyond the border, of the targets and all others."""
    dataset = request.getfixturevalue(kind)
    scene = Scene(dataset)
    agreed = np.zeros(2)
    hidden = truncated = others = 0
    for image in scene.images:
        number = len(scene.gt[str(image)])
        others += number - 1
        wide = [ray_cast(dataset, scene, image, k, margin=1) for k in range(number)]
        height, width = scene.mask(image).shape
        casts = [depth[height : 2 * height, width : 2 * width] for depth in wide]
        nearest = np.min([np.where(depth > 0, depth, np.inf) for depth in casts], axis=0)
        for k, (cast, whole) in enumerate(zip(casts, wide, strict=True)):
            mask, visible = scene.mask(image, "mask", k), scene.mask(image, "mask_visib", k)
            for ours, judge in ((mask, cast > 0), (visible, (cast > 0) & (cast <= nearest))):
                agreed += (ours & judge).sum(), (ours | judge).sum()
            info = scene.info[str(image)][k]
            assert info["px_count_visib"] == visible.sum()
            assert info["px_count_valid"] == mask.sum()
            assert info["px_count_all"] == pytest.approx((whole > 0).sum(), rel=0.02, abs=8)
            if info["px_count_all"]:
                assert info["visib_fract"] == visible.sum() / info["px_count_all"] <= 1
            hidden += visible.sum() < mask.sum()
            truncated += info["px_count_all"] > mask.sum()
        assert len(list(scene.folder.glob(f"mask/{image:06d}_*.png"))) == number
    assert agreed[0] / agreed[1] > 0.99
    assert hidden >= 3
    assert truncated >= 1
    assert others >= 12


@pytest.mark.parametrize("kind", ["cluttered", "frames"])
def test_the_coco_file_has_every_object_that_is_seen(
    kind: str, request: pytest.FixtureRequest
) -> None:
    scene = Scene(request.getfixturevalue(kind))
    coco = COCO(str(scene.folder / "scene_gt_coco.json"))
    for image in scene.images:
        annotations = iter(coco.loadAnns(coco.getAnnIds(imgIds=[image])))
        for k, entry in enumerate(scene.gt[str(image)]):
            visible = scene.mask(image, "mask_visib", k)
            if visible.any():
                annotation = next(annotations)
                np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), visible)
                assert annotation["category_id"] == entry["obj_id"]
        assert next(annotations, None) is None


@pytest.mark.parametrize("kind", ["cluttered", "frames"])
def test_index_has_the_targets_and_where_their_boxes_are(
    kind: str, request: pytest.FixtureRequest
) -> None:
    dataset = request.getfixturevalue(kind)
    scene = Scene(dataset)
    models = json.loads((dataset / "models/models_info.json").read_text())
    rows = parquet.read_table(dataset / "index/000000.parquet").to_pylist()
    for row in rows:
        matrix, rotation, translation, object_id = scene.pose(row["im_id"])
        assert row["obj_id"] == object_id
        assert row["others"] == len(scene.gt[str(row["im_id"])]) - 1
        box = models[str(object_id)]
        least = np.array([box["min_x"], box["min_y"], box["min_z"]])
        size = np.array([box["size_x"], box["size_y"], box["size_z"]])
        corners = least + size * np.array(list(itertools.product((0, 1), repeat=3)))
        pixels = (corners @ rotation.T + translation) @ matrix.T
        np.testing.assert_allclose(
            np.reshape(row["box_corners"], (8, 2)), pixels[:, :2] / pixels[:, 2:], atol=0.01
        )
        info = scene.info[str(row["im_id"])][0]
        assert row["visib_fract"] == info["visib_fract"]
        assert row["bbox_visib"] == info["bbox_visib"]
        assert len(row["light_direction"]) in (3, 6)


def test_frames_are_written_with_the_cameras_own_matrix(frames: Path) -> None:
    scene = Scene(frames)
    # Quartered from the picture's corner, which lies at (-0.5, -0.5).
    expected = np.array([572.4114, 573.57043, 325.7611, 242.54899]) / 4 - [0, 0, 0.5, 0.5]
    for image in scene.images:
        matrix = scene.pose(image)[0]
        np.testing.assert_allclose(matrix[[0, 1, 0, 1], [0, 1, 2, 2]], expected, rtol=1e-12)
        assert scene.rgb(image).shape == (120, 160, 3)
        assert scene.depth(image).shape == (120, 160)
    camera = json.loads((frames / "camera.json").read_text())
    assert [camera[key] for key in ("fx", "fy", "cx", "cy")] == pytest.approx(list(expected))
    assert (camera["width"], camera["height"]) == (160, 120)
    coco = json.loads((scene.folder / "scene_gt_coco.json").read_text())
    assert {(image["width"], image["height"]) for image in coco["images"]} == {(160, 120)}


def test_randomization_is_part_of_what_a_run_is(cluttered: Path) -> None:
    before = tree_hash(cluttered)
    changed = dataclasses.replace(CLUTTER, occlusion=0.4)
    with pytest.raises(DatasetError, match=r"\(randomization.occlusion 0\.5 there, 0\.4 here\)"):
        generate(config(cluttered, n=9, adapter="none", randomize=changed))
    assert tree_hash(cluttered) == before
    again = generate(config(cluttered, n=9, adapter="none", randomize=CLUTTER))
    assert again.crops_made == 0


@pytest.mark.parametrize("frames", [None, "96x64"])
def test_randomized_runs_have_the_same_bytes_however_they_are_batched(
    frames: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"n": 10, "adapter": "none", "randomize": "strong", "frames": frames}
    generate(config(tmp_path / "one", **settings))
    for planner in ("CropPlanner", "FramePlanner"):
        monkeypatch.setattr(f"render_adapt._planner.{planner}.at_once", 3)
    generate(config(tmp_path / "two", **settings))
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")


def test_what_the_camera_does_leaves_labels_as_they_are(tmp_path: Path) -> None:
    """Noise, blur, background and sensor change pictures; what is drawn and where stays."""
    looks = {
        name: getattr(RANDOMIZATIONS["strong"], name)
        for name in ("exposure", "white_balance", "motion_blur", "focus_blur", "color_noise",
                     "depth_sensor")
    }  # fmt: skip
    captured = dataclasses.replace(CLUTTER, background=("procedural",), **looks)
    for name, randomize in (("plain", CLUTTER), ("captured", captured)):
        generate(config(tmp_path / name, n=6, adapter="none", randomize=randomize))
    plain, taken = Scene(tmp_path / "plain"), Scene(tmp_path / "captured")
    assert plain.gt == taken.gt
    lost = 0
    for image in plain.images:
        assert (plain.rgb(image) != taken.rgb(image)).mean() > 0.5
        assert (taken.rgb(image).max(axis=2) > 0).mean() > 0.9, "there is something behind"
        for k, entry in enumerate(plain.info[str(image)]):
            for kind in ("mask", "mask_visib"):
                np.testing.assert_array_equal(
                    plain.mask(image, kind, k), taken.mask(image, kind, k)
                )
            other = dict(taken.info[str(image)][k])
            measured = (taken.mask(image, "mask", k) & (taken.depth(image) > 0)).sum()
            assert other.pop("px_count_valid") == measured
            assert {**entry, **other} == entry
            lost += entry["px_count_valid"] - measured
    assert lost > 50, "the sensor loses some"


def test_pictures_from_folders_are_part_of_what_a_run_is(tmp_path: Path) -> None:
    """The pictures themselves, not where they lie."""
    for name, value in (("a", 50), ("b", 50), ("c", 90)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "picture.png"), np.full((8, 8, 3), value, np.uint8))

    def run(folder: str) -> None:
        swapped = dataclasses.replace(
            RANDOMIZATIONS["linemod"], texture_swap=1.0, textures=tmp_path / folder
        )
        generate(config(tmp_path / "out", n=2, adapter="none", randomize=swapped))

    run("a")
    colors = Scene(tmp_path / "out").rgb(0)[Scene(tmp_path / "out").mask(0)].astype(int)
    assert np.ptp(colors, axis=1).max() < 30, "the picture is grey, the ape was red"
    run("b")
    with pytest.raises(DatasetError, match=r"randomization.textures not the same"):
        run("c")


def test_photographs_are_put_behind_and_are_part_of_what_a_run_is(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    picture = tmp_path / "photographs/one.png"
    cv2.imwrite(str(picture), np.full((90, 90, 3), (30, 60, 200), np.uint8))
    behind = dataclasses.replace(
        RANDOMIZATIONS["linemod"], background=("photographs",), photographs=picture.parent
    )

    def run() -> None:
        generate(config(tmp_path / "out", n=2, adapter="none", randomize=behind))

    run()
    scene = Scene(tmp_path / "out")
    np.testing.assert_array_equal(np.unique(scene.rgb(0)[~scene.mask(0)], axis=0), [[200, 60, 30]])
    assert not scene.depth(0)[~scene.mask(0)].any()
    cv2.imwrite(str(picture), np.full((90, 90, 3), (30, 60, 201), np.uint8))
    with pytest.raises(DatasetError, match=r"randomization.photographs not the same"):
        run()


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


def test_the_contact_sheet_has_a_row_of_adapted_crops_where_there_are_any(
    plain: Path, adapted: Path
) -> None:
    heights = [cv2.imread(str(run / "contact_sheet.png")).shape[0] for run in (plain, adapted)]
    bands = -(-min(len(Scene(plain).images), 24) // 8)
    assert heights[1] - heights[0] == bands * (128 + 4)


@pytest.mark.parametrize(
    ("settings", "reach"),
    [({"size": 128}, 100.0), ({"frames": "128x128"}, 300.0), ({"frames": "96x128"}, 300.0)],
)
def test_the_contact_sheet_shows_depth_as_far_as_the_picture_goes(
    settings: dict[str, object], reach: float, tmp_path: Path
) -> None:
    """Also where a frame is as wide as it is high."""
    out = tmp_path / "d"
    sheet = cv2.imread(str(generate(config(out, n=2, adapter="none", **settings)).contact_sheet))
    scene, columns = Scene(out), parquet.read_table(out / "index/000000.parquet").to_pydict()
    width = scene.rgb(0).shape[1]
    for image, centre in enumerate(columns["centre_depth"]):
        depth = scene.depth(image)
        step = np.clip((depth - centre) / (2 * reach) + 0.5, 0, 1) * 255
        wanted = cv2.applyColorMap(np.rint(step).astype(np.uint8), cv2.COLORMAP_TURBO)
        x = 16 + 76 + image * (width + 4)
        shown = sheet[16 + 20 + 132 :, x:][:128, :width]
        # The picture's depth is as rendered, the file's in tenths of a millimetre.
        apart = np.abs(shown.astype(int) - np.where(depth[..., None] > 0, wanted, 0))
        assert (depth > 0).any()
        assert apart.max() <= 12


def test_adapted_pictures_are_not_the_renders(plain: Path, adapted: Path) -> None:
    before, after = Scene(plain), Scene(adapted)
    for image in before.images:
        np.testing.assert_array_equal(before.mask(image), after.mask(image))
        difference = np.abs(before.rgb(image).astype(int) - after.rgb(image)).mean()
        assert difference > 10


@pytest.mark.several_seconds
def test_same_seed_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    settings = {"objects": ("ape", "cat"), "n": 270}
    generate(config(tmp_path / "one", **settings, workers=1))
    generate(config(tmp_path / "two", **settings, workers=2))
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")


def test_a_run_that_goes_on_with_other_libraries_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path / "d", objects=("ape",), n=3, adapter="none")
    assert generate(settings).notes == ()
    cv2_version = cv2.__version__
    monkeypatch.setattr("render_adapt._runs.description.cv2.__version__", "9.9")
    (note,) = generate(settings).notes
    assert f"began with opencv {cv2_version}, and other versions may round otherwise" in note


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
        if done > 250:
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
    with pytest.raises(DatasetError, match=r"\(objects.benchvise only there, order"):
        generate(config(adapted, objects=("ape", "duck")))
    with pytest.raises(DatasetError, match=r"\(order \[\"ape\", \"benchvise\", \"duck\"\] there, "):
        generate(config(adapted, objects=("duck", "benchvise", "ape")))
    assert tree_hash(adapted) == before


def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DatasetError, match="not a render-adapt run"):
        generate(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_that_died_at_its_very_start_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / f".manifest.json.{16 * '0'}.partial").write_text('{"n"')
    (tmp_path / "INCOMPLETE").write_text("")
    generate(config(tmp_path, objects=("ape",), n=2, adapter="none"))
    assert not (tmp_path / f".manifest.json.{16 * '0'}.partial").exists()
    assert not (tmp_path / "INCOMPLETE").exists()


LENGTHS = {
    "quaternion": 4, "translation": 3, "camera_matrix": 9, "box_corners": 16, "bbox_obj": 4,
    "bbox_visib": 4,
}  # fmt: skip


def test_lists_of_one_length_say_so_in_the_index(cluttered: Path) -> None:
    schema = parquet.read_schema(cluttered / "index/000000.parquet")
    for name, length in LENGTHS.items():
        assert schema.field(name).type.list_size == length
    columns = load(cluttered).columns
    assert {name: columns[name].shape for name in LENGTHS} == {
        name: (9, length) for name, length in LENGTHS.items()
    }


@pytest.mark.parametrize("library", ["pandas", "polars", "duckdb"])
def test_other_libraries_read_the_index(library: str, cluttered: Path) -> None:
    """One file, and the folder."""
    module = pytest.importorskip(library)
    expected = load(cluttered).columns
    for path in (cluttered / "index/000000.parquet", cluttered / "index/*.parquet"):
        if library == "duckdb":
            read = module.sql(f"select * from '{path}' order by index").fetchnumpy()
        elif library == "polars":
            read = {column.name: column.to_numpy() for column in module.read_parquet(path)}
        else:
            read = module.read_parquet(path if path.stem != "*" else path.parent)
        for name in LENGTHS:
            rows = np.array([list(row) for row in read[name]])
            np.testing.assert_array_equal(rows, expected[name])


def test_no_zero_has_a_sign(tmp_path: Path) -> None:
    """On the axis, around the origin, places were at -0.0."""
    generate(config(tmp_path / "d", adapter="none", n=6, centre="origin", off_axis=0.0))
    for file in (tmp_path / "d").rglob("*.json"):
        assert not re.search(r"-0\.0\b(?!\d|e)", file.read_text()), file
    for name, column in load(tmp_path / "d").columns.items():
        if column.dtype.kind == "f":
            assert not np.signbit(column[column == 0]).any(), name
