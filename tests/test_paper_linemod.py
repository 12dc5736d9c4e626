"""The LineMod scenarios: renders and real crops that mean what their labels say."""

from __future__ import annotations

import inspect
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import cad_models
import renderer
from adapter import LabelledCrops, encode
from cad_models import CadModel, load_models
from checked_settings import SettingError
from render_adapt._paper.scenarios import data_files, linemod
from render_adapt._paper.scenarios.data_files import sha256_of_files
from render_adapt._paper.scenarios.linemod import (
    backgrounds,
    linemod_rgb,
    linemod_rgbd,
    source_plans,
)
from render_adapt._paper.scenarios.linemod_crops import read_real_crops
from render_adapt._paper.scenarios.linemod_depth import sensor_depth
from render_adapt._paper.scenarios.scenario import Scenario
from renderer import Plans, RasterRenderer, hemisphere_viewpoints, plans_from_poses

OBJECTS = ("ape", "cat", "duck")


@dataclass(frozen=True)
class Small:
    rgb: Scenario
    photographs: Scenario
    rgbd: Scenario
    cache: Path


@pytest.fixture(
    scope="module", params=[pytest.param("rendered", marks=pytest.mark.several_seconds)]
)
def small(data_dir: Path) -> Iterator[Small]:
    """A few poses and real crops of three objects, the one that is turned among them.

    60 renders for validation, in the tests below too.
    """
    cache = Path(tempfile.mkdtemp())
    poses = {"viewpoints": 7, "in_plane": 3, "objects": OBJECTS, "real_per_object": 12}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linemod, "SOURCE_VALIDATION", 60)
        yield Small(
            linemod_rgb(data_dir, cache, **poses),
            linemod_rgb(data_dir, cache, background="photographs", **poses),
            linemod_rgbd(data_dir, cache, **poses),
            cache,
        )
    shutil.rmtree(cache)


@pytest.fixture(scope="module")
def models(data_dir: Path) -> list[CadModel]:
    return load_models(OBJECTS, models=data_dir / "linemod/models")


def seen_straight(plans: Plans) -> NDArray[np.float64]:
    """(N, 3, 3), poses as a camera sees them that looks straight at the middle of the crop."""
    focal = plans.camera_matrix[:, [0, 1], [0, 1]]
    rays = (plans.size / 2 - plans.camera_matrix[:, :2, 2]) / focal
    axis = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    # The least turn that takes z into the ray, as a rotation vector.
    turn = np.cross([0.0, 0.0, 1.0], axis)
    sine = np.linalg.norm(turn, axis=1, keepdims=True)
    vector = turn / np.maximum(sine, 1e-12) * np.arctan2(sine, axis[:, 2:])
    return np.asarray(Rotation.from_rotvec(vector).inv().as_matrix() @ plans.rotation)


def rotations(crops: LabelledCrops) -> Rotation:
    return Rotation.from_quat(crops.quaternion, scalar_first=True)


def pixels(crops: LabelledCrops) -> NDArray[np.float64]:
    """(N, H, W, 3), 0 to 255."""
    return np.moveaxis((crops.images[:, :3].astype(np.float64) + 1) * 127.5, 1, -1)


def test_sources_are_all_viewpoints_at_all_rotations(models: list[CadModel]) -> None:
    plans = source_plans(models, 1241, 8)
    assert len(plans) == 3 * 1241 * 8
    np.testing.assert_array_equal(plans.object_index, np.repeat([0, 1, 2], 1241 * 8))
    cat = Rotation.from_matrix(seen_straight(plans)[plans.object_index == 1].reshape(-1, 3, 3))
    towards = cat.inv().apply([0, 0, -1]).reshape(1241, 8, 3)
    expected = np.broadcast_to(hemisphere_viewpoints(4)[:, None], towards.shape)
    np.testing.assert_allclose(towards, expected, atol=1e-9)
    # In the image, the model's up is turned clockwise from up by the rotation in the plane; from
    # straight above there is no such direction.
    up = cat.apply([0, 0, 1]).reshape(1241, 8, 3)[:-1]
    clockwise = np.degrees(np.arctan2(up[..., 0], -up[..., 1]))
    steps = np.broadcast_to(-40 + np.arange(8) * 80 / 7, clockwise.shape)
    np.testing.assert_allclose(clockwise, steps, atol=1e-6)


def test_sources_are_cut_around_the_mean_vertex_off_the_axis(models: list[CadModel]) -> None:
    plans = source_plans(models, 300, 4)
    mean = np.array([model.mesh.vertices.mean(axis=0, dtype=np.float64) for model in models])
    point = (plans.rotation @ mean[plans.object_index][..., None])[..., 0] + plans.translation
    shown = (plans.camera_matrix @ point[..., None])[..., 0]
    np.testing.assert_allclose(shown[:, :2] / shown[:, 2:], 32.0, atol=1e-3)
    off = np.degrees(np.arctan(np.hypot(point[:, 0], point[:, 1]) / point[:, 2]))
    assert off.max() <= 10.0
    assert off.mean() == pytest.approx(20 / 3, abs=0.15)


def test_sources_differ_in_light_and_distance(models: list[CadModel]) -> None:
    plans = source_plans(models, 50, 4)
    assert 650 <= plans.centre_depth.min() < 700
    assert 1050 < plans.centre_depth.max() <= 1100
    assert len(np.unique(plans.light_direction, axis=0)) == len(plans)
    assert len(np.unique(plans.light_color, axis=0)) == len(plans)
    again = source_plans(models, 50, 4)
    for name in ("rotation", "translation", "light_direction", "light_color", "ambient_color"):
        np.testing.assert_array_equal(getattr(again, name), getattr(plans, name))


@pytest.mark.parametrize(("viewpoints", "in_plane"), [(1, 1), (20, 1), (301, 2)])
def test_fewer_sources_are_some_of_them(
    models: list[CadModel], viewpoints: int, in_plane: int
) -> None:
    plans = source_plans(models, viewpoints, in_plane)
    assert len(plans) == 3 * viewpoints * in_plane
    towards = -seen_straight(plans)[:, 2]
    nearest = np.linalg.norm(towards[:, None] - hemisphere_viewpoints(4), axis=2).min(axis=1)
    assert nearest.max() < 1e-9
    assert len(np.unique(towards.round(6), axis=0)) == viewpoints


def test_crops_and_labels_of_all_parts(small: Small) -> None:
    scenario = small.rgb
    assert scenario.task == "pose"
    assert scenario.name.endswith("(RGB, 3 objects)")
    counts = {"source": 3 * 21, "source_validation": 60, "target_train": 18,
              "target_validation": 18, "target_test": 36}  # fmt: skip
    for name, count in counts.items():
        crops = getattr(scenario, name)
        assert crops.images.shape == (count, 3, 64, 64)
        assert crops.images.dtype == np.float16
        assert np.abs(crops.images).max() <= 1
        assert crops.class_names == OBJECTS
        np.testing.assert_allclose(np.linalg.norm(crops.quaternion, axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(crops.symmetries, np.tile([1, 0, 0, 0], (3, 1, 1)))
        assert set(crops.class_index) == {0, 1, 2}
        assert crops.masks.any(axis=(1, 2)).all()
    assert isinstance(scenario.source.images, np.memmap)


def test_no_real_crop_is_in_two_parts(small: Small) -> None:
    scenario = small.rgb
    parts = [scenario.target_train, scenario.target_validation, scenario.target_test]
    looks = [{image.tobytes() for image in crops.images} for crops in parts]
    assert len(set.union(*looks)) == sum(map(len, parts))
    np.testing.assert_array_equal(
        scenario.target, np.concatenate([parts[0].images, parts[1].images])
    )


@pytest.mark.several_seconds
def test_splits_of_all_real_crops_of_an_object(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linemod, "SOURCE_VALIDATION", 5)
    scenario = linemod_rgb(data_dir, tmp_path, viewpoints=1, in_plane=1, objects=["duck"])
    assert len(scenario.target) == 471
    assert len(scenario.target_train) == 271
    assert len(scenario.target_validation) == 200
    assert len(scenario.target_test) == 357


def test_validation_renders_are_of_other_poses(small: Small) -> None:
    source, validation = small.rgb.source, small.rgb.source_validation
    products = validation.quaternion.astype(np.float64) @ source.quaternion.astype(np.float64).T
    assert np.abs(products).max() < 1 - 1e-7
    up = rotations(validation).apply([0, 0, 1])
    clockwise = np.degrees(np.arctan2(up[:, 0], -up[:, 1]))[np.abs(up[:, 2]) < 0.7]
    # Seen from the side, 10 degrees off the axis turn the picture by no more than that.
    assert np.abs(clockwise).max() < 50.1
    assert clockwise.std() > 20


def test_renders_are_black_where_the_object_is_not(small: Small) -> None:
    crops = small.rgb.source
    outside = np.moveaxis(crops.images, 1, -1)[~crops.masks]
    assert (outside == -1).all()


def test_photographs_are_behind_the_same_renders(small: Small) -> None:
    black, behind = small.rgb.source, small.photographs.source
    np.testing.assert_array_equal(behind.masks, black.masks)
    np.testing.assert_array_equal(behind.quaternion, black.quaternion)
    look, plain = (np.moveaxis(c.images, 1, -1) for c in (behind, black))
    np.testing.assert_array_equal(look[black.masks], plain[black.masks])
    assert len(np.unique(look[:, 0, 0], axis=0)) > 50
    assert "photographs" in small.photographs.name
    for name in ("target_train", "target_validation", "target_test"):
        np.testing.assert_array_equal(
            getattr(small.photographs, name).images, getattr(small.rgb, name).images
        )


def test_backgrounds_are_squares_of_photographs() -> None:
    height, width = 100, 200
    row, column = np.mgrid[:height, :width].astype(np.uint8)
    photographs = [np.stack([row, column, np.full_like(row, k)], axis=-1) for k in (10, 20, 30)]
    numbers = np.arange(300)
    found = backgrounds(photographs, numbers, 64, 0).astype(int)
    which = found[..., 2]
    np.testing.assert_array_equal(which, np.broadcast_to(which[:, :1, :1], which.shape))
    np.testing.assert_array_equal(np.unique(which), [10, 20, 30])
    # The ramps show where a square began, how large it is, and that it was not distorted.
    side_down, side_across = ((found[:, -1, -1, c] - found[:, 0, 0, c]) * 64 / 63 for c in (0, 1))
    assert np.abs(side_down - side_across).max() < 3
    assert side_down.min() < 68
    assert side_down.max() > 96
    assert (np.diff(found[..., 0], axis=1) >= 0).all()
    assert (np.diff(found[..., 1], axis=2) >= 0).all()
    np.testing.assert_array_equal(
        found[[7, 200]], backgrounds(photographs, np.array([7, 200]), 64, 0)
    )
    assert (found != backgrounds(photographs, numbers, 64, 1)).any(axis=(1, 2, 3)).mean() > 0.9


def test_a_photograph_smaller_than_a_crop_is_enlarged() -> None:
    found = backgrounds([np.full((40, 50, 3), 9, np.uint8)], np.arange(3), 64, 0)
    np.testing.assert_array_equal(found, np.full((3, 64, 64, 3), 9))


def colored_as(name: str, image: NDArray[np.float64]) -> NDArray[np.bool_]:
    red, green, blue = np.moveaxis(image, -1, 0)
    if name == "ape":
        return (red > 1.5 * green) & (red > 1.5 * blue) & (red > 60)
    if name == "duck":
        return (red > 110) & (green > 80) & (blue < 0.45 * green)
    pink = (red > 1.25 * green) & (red > 1.25 * blue)
    return pink & (red < 1.8 * green) & (red > 80)


@pytest.mark.parametrize("name", OBJECTS)
def test_labels_of_real_crops_show_the_object_where_it_is(small: Small, name: str) -> None:
    crops = small.rgb.target_test
    rows = np.flatnonzero(crops.class_index == OBJECTS.index(name))
    colored = colored_as(name, pixels(crops)[rows])
    masks = crops.masks[rows]

    def agreement(down: int, right: int) -> float:
        moved = np.roll(masks, (down, right), axis=(1, 2))
        both, either = (moved & colored).sum(axis=(1, 2)), (moved | colored).sum(axis=(1, 2))
        return float((both / either).mean())

    shifts = {
        (down, right): agreement(down, right) for down in range(-5, 6) for right in range(-5, 6)
    }
    best = max(shifts, key=lambda shift: shifts[shift])
    assert np.abs(best).max() <= 1
    assert shifts[0, 0] > 0.5


def test_the_apes_labels_are_of_the_mesh_that_is_rendered(
    small: Small, models: list[CadModel]
) -> None:
    crops = small.rgb.target_test
    rows = np.flatnonzero(crops.class_index == 0)
    colored = colored_as("ape", pixels(crops)[rows])
    labelled = rotations(crops)[rows].as_matrix()

    def agreement(poses: NDArray[np.float64]) -> float:
        which = np.zeros(len(poses), int)
        plans = plans_from_poses(models, which, poses, 850.0, centre="mean")
        masks = RasterRenderer(models).render(plans).mask
        return float(((masks & colored).sum() / (masks | colored).sum()).mean())

    assert agreement(labelled) > agreement(labelled @ np.diag([-1.0, -1.0, 1.0])) + 0.05


def test_rgbd_adds_depth_to_the_same_crops(small: Small) -> None:
    assert "RGB-D, simulated sensor" in small.rgbd.name
    for name in ("source", "target_train", "target_validation", "target_test"):
        with_depth, without = getattr(small.rgbd, name), getattr(small.rgb, name)
        assert with_depth.images.shape[1] == 4
        np.testing.assert_array_equal(with_depth.images[:, :3], without.images)
        np.testing.assert_array_equal(with_depth.quaternion, without.quaternion)
    source = small.rgbd.source
    assert (source.images[:, 3][~source.masks] == 1).all()
    assert (source.images[:, 3][source.masks] < 0.99).all()


@pytest.mark.parametrize("name", ["ape", "cat"])
def test_simulated_depth_is_that_of_the_labelled_pose(
    data_dir: Path, models: list[CadModel], name: str
) -> None:
    (model,) = (model for model in models if model.name == name)
    random = np.random.default_rng(3)
    poses = json.loads((data_dir / "linemod/crops/test/poses.json").read_text())[name]
    crops = read_real_crops(data_dir / "linemod", "test", model, random, list(poses)[::30])
    drawn = RasterRenderer([model], levels=False).render(crops.plans)
    measured = sensor_depth(model, crops, random)
    surely = np.stack([cv2.erode(m.astype(np.uint8), np.ones((5, 5))) for m in drawn.mask]) > 0
    seen = surely & (measured > 0)
    assert seen.sum() > 0.9 * surely.sum()
    assert np.median(np.abs(measured - drawn.depth)[seen]) < 3.0
    # The board that the object stands on is measured too, but for the sensor's shadows.
    assert (measured[~drawn.mask] > 0).mean() > 0.5


def test_a_second_reading_renders_nothing(
    small: Small, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(linemod, "RasterRenderer", refuse)
    again = linemod_rgbd(
        data_dir, small.cache, viewpoints=7, in_plane=3, objects=OBJECTS, real_per_object=12
    )
    np.testing.assert_array_equal(again.source.images, small.rgbd.source.images)
    np.testing.assert_array_equal(again.target, small.rgbd.target)


def test_crops_are_made_anew_when_any_code_changes_that_makes_them(
    small: Small, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: set[Path] = set()

    def hash_and_record(files: Iterable[Path]) -> str:
        hashed.update(files := list(files))
        return sha256_of_files(files)

    monkeypatch.setattr(data_files, "sha256_of_files", hash_and_record)
    linemod_rgb(
        data_dir, small.cache, viewpoints=7, in_plane=3, objects=OBJECTS, real_per_object=12
    )
    packages = {
        file
        for package in (cad_models, renderer)
        for file in Path(package.__path__[0]).rglob("*.py")
    }
    own = {
        Path(inspect.getfile(part))
        for part in (linemod, read_real_crops, sensor_depth, encode, data_files)
    }
    assert len({file.parent for file in packages}) > 8
    assert hashed == packages | own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"viewpoints": 0}, "`viewpoints` is 0: it must be from 1 to 1241"),
        ({"viewpoints": 1242}, "`viewpoints` is 1242"),
        ({"in_plane": 0}, "`in_plane` is 0: it must be at least 1"),
        ({"background": "green"}, "`background` is green: it must be black or photographs"),
        ({"objects": ["ape", "bowl"]}, r"`objects` is \('ape', 'bowl'\)"),
        ({"objects": []}, "`objects` is .*: it must be a list of texts ape"),
        ({"real_per_object": 1}, "`real_per_object` is 1: it must be at least 2"),
    ],
)
def test_options_out_of_range(
    data_dir: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        linemod_rgb(data_dir, tmp_path, **options)  # type: ignore[arg-type]


def test_data_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds no linemod/crops"):
        linemod_rgb(tmp_path, tmp_path / "cache")


def test_photographs_that_are_not_there(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "linemod").symlink_to(data_dir / "linemod")
    with pytest.raises(SettingError, match="holds no imagenet_samples"):
        linemod_rgb(
            tmp_path, tmp_path / "cache", viewpoints=1, in_plane=1, objects=["duck"],
            real_per_object=2, background="photographs",
        )  # fmt: skip
