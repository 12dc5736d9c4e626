"""The paper's figures, and what is measured beside them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapter import LabelledCrops
from render_adapt import DatasetError
from render_adapt._paper.results.figures import (
    interpolation_figure,
    neighbours_figure,
    samples_figure,
    style_and_content,
    write_figures,
)
from render_adapt._paper.scenarios.scenario import Scenario
from tests.pixelda_toy import toy_source, toy_target


def random_crops(n: int, seed: int, channels: int = 3, size: int = 8) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (n, channels, size, size)).astype(np.float32)


def enlarged(crop: NDArray[np.float32], factor: int) -> NDArray[np.uint8]:
    color = np.rint((crop[:3] + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    return np.kron(color, np.ones((factor, factor, 1), np.uint8))


def place(picture: NDArray[np.uint8], tile: NDArray[np.uint8]) -> tuple[int, int]:
    """(row, column) of the one place where the tile is in the picture, pixel for pixel."""
    height, width = tile.shape[:2]
    windows = cv2.matchTemplate(picture, tile, cv2.TM_SQDIFF)
    row, column = np.unravel_index(windows.argmin(), windows.shape)
    np.testing.assert_array_equal(picture[row : row + height, column : column + width], tile)
    return int(row), int(column)


def assert_clean_margins(picture: NDArray[np.uint8]) -> None:
    inside = picture.copy()
    inside[8:-8, 8:-8] = 255
    assert picture.dtype == np.uint8
    assert (inside == 255).all()


def test_neighbours_stand_below_each_other() -> None:
    lines = [random_crops(4, seed) for seed in range(3)]
    picture = neighbours_figure(*lines)
    places = np.array([[place(picture, enlarged(crop, 12)) for crop in line] for line in lines])
    rows, columns = places[..., 0], places[..., 1]
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()
    assert (np.diff(rows, axis=0) > 96).all()
    assert (np.diff(columns, axis=1) > 96).all()
    assert_clean_margins(picture)
    beside = picture[:, : columns.min() - 1]
    for row in rows[:, 0]:
        label = beside[row : row + 96]
        assert (label < 128).any(), "each line says what it is"
        assert (label[:, -4:] == 255).all(), "in front of the crops"


@pytest.mark.parametrize(("size", "tile"), [(16, 96), (32, 96), (64, 128), (128, 128)])
def test_tiles_are_whole_multiples_large_enough_to_see(size: int, tile: int) -> None:
    crops = random_crops(2, 0, size=size)
    picture = neighbours_figure(crops, crops[::-1], crops)
    assert place(picture, enlarged(crops[0], tile // size))


def test_depth_is_shown_below_colour() -> None:
    crops = random_crops(1, 0, channels=4)
    crops[0, 3] = np.linspace(-1, 0.9, 64).reshape(8, 8)
    crops[0, 3, 0, 0] = 1.0
    others = random_crops(1, 1, channels=4), random_crops(1, 2, channels=4)
    picture = neighbours_figure(crops, *others)
    row, column = place(picture, enlarged(crops[0], 12))
    next_row, _ = place(picture, enlarged(others[0][0], 12))
    below = np.arange(row + 96, next_row)
    start = below[(picture[below, column] != 255).any(axis=1).argmax()]
    depth = picture[start + 6 : start + 96 : 12, column + 6 : column + 96 : 12]
    assert depth[0, 0].std() == 0, "beyond the window is grey"
    brightness = cv2.cvtColor(depth, cv2.COLOR_RGB2GRAY).ravel()[1:].astype(int)
    assert (np.diff(brightness) >= 0).all(), "the nearer, the darker"
    assert brightness[-1] - brightness[0] > 100
    assert (depth.reshape(-1, 3)[1:].std(axis=1) > 10).all(), "in colours"


def shade(x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
    """A generator whose noise is a colour that is added."""
    return np.asarray(np.clip(x + z[:, :3, None, None], -1, 1))


def test_interpolation_goes_from_one_noise_to_the_other() -> None:
    source = 0.2 * random_crops(2, 0)
    first, last = np.float32([0.6, 0, -0.6]), np.float32([-0.6, 0.3, 0.6])
    picture = interpolation_figure(shade, source, first, last, columns=4)
    assert_clean_margins(picture)
    columns = []
    for crop in source:
        adapted = [crop + ((1 - t) * first + t * last)[:, None, None] for t in (0, 1 / 3, 2 / 3, 1)]
        tiles = [enlarged(np.float32(c), 12) for c in (crop, *adapted)]
        places = [place_within_one(picture, tile) for tile in tiles]
        assert len({row for row, _ in places}) == 1
        columns.append([column for _, column in places])
    assert columns[0] == columns[1] == sorted(columns[0])


def place_within_one(picture: NDArray[np.uint8], tile: NDArray[np.uint8]) -> tuple[int, int]:
    """As `place`, for grey levels that rounding may have moved by one."""
    windows = cv2.matchTemplate(picture, tile, cv2.TM_SQDIFF)
    row, column = np.unravel_index(windows.argmin(), windows.shape)
    found = picture[row : row + tile.shape[0], column : column + tile.shape[1]].astype(int)
    assert np.abs(found - tile).max() <= 1
    return int(row), int(column)


def test_samples_show_each_crop_with_its_own_noise() -> None:
    source = 0.2 * random_crops(3, 0)
    noise = 0.7 * random_crops(1, 5, channels=3, size=5)[0][:, :2, :3]  # (3 crops, 2 looks, 3)
    picture = samples_figure(shade, source, noise)
    assert_clean_margins(picture)
    for crop, looks in zip(source, noise, strict=True):
        tiles = [crop, *(crop + z[:, None, None] for z in looks)]
        places = [place_within_one(picture, enlarged(tile, 12)) for tile in tiles]
        assert len({row for row, _ in places}) == 1
        assert [column for _, column in places] == sorted(column for _, column in places)


class Recorder:
    """A generator that adds its noise's first number to the background alone, and keeps it."""

    def __init__(self, crops: LabelledCrops) -> None:
        self.masks = np.concatenate([crops.masks] * 8)
        self.noise: list[NDArray[np.float32]] = []

    def __call__(self, x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
        self.noise.append(z)
        off = ~self.masks[: len(x), None]
        return np.where(off, 0.5 * z[:, :1, None, None].astype(np.float32), x)


def background(x: Tensor) -> Tensor:
    return x[:, 0, 0, 0]


def by_background(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Class by the background's sign; a pose turned about z by its value times 100 degrees."""
    half = torch.deg2rad(100 * background(x)) / 2
    zero = torch.zeros_like(half)
    pose = torch.stack([half.cos(), zero, zero, half.sin()], dim=1)
    return torch.stack([background(x), -background(x)], dim=1), pose


def by_object(x: Tensor) -> tuple[Tensor, Tensor | None]:
    centre = x[:, 0, 8, 8]
    return torch.stack([centre, -centre], dim=1), None


def measured_noise(crops: LabelledCrops, looks: int) -> NDArray[np.float32]:
    """(looks, N) the values that the recorder added."""
    recorder = Recorder(crops)
    style_and_content(recorder, None, crops, 4, looks=looks, seed=3)
    return np.float32(0.5) * np.concatenate(recorder.noise)[:, 0].reshape(looks, len(crops))


def test_style_and_content_by_hand() -> None:
    crops = toy_source(40)
    added = measured_noise(crops, looks=3)
    steps = np.abs(np.diff(added, axis=0)).mean(axis=0)
    pixels = (~crops.masks).sum(axis=(1, 2))
    found = style_and_content(Recorder(crops), by_background, crops, 4, looks=3, seed=3)
    assert found.object_change == 0.0
    assert found.object_depth_change is None
    assert found.background_change == pytest.approx(127.5 * np.average(steps, weights=pixels))
    classes = np.where(added >= 0, 0, 1)
    assert found.same_class_percent == pytest.approx(100 * (np.ptp(classes, axis=0) == 0).mean())
    assert 5 < found.same_class_percent < 60
    right = 100 * (classes == crops.class_index).mean()
    assert found.right_class_percent == pytest.approx(right)
    assert found.mean_angle_between_looks_degrees == pytest.approx(100 * steps.mean(), rel=1e-5)


def test_a_task_that_sees_the_object_alone_keeps_its_answer() -> None:
    crops = toy_source(40)
    found = style_and_content(Recorder(crops), by_object, crops, 4, seed=3)
    assert found.same_class_percent == 100.0
    assert found.mean_angle_between_looks_degrees is None


def test_angles_between_looks_leave_out_objects_without_a_pose() -> None:
    crops = toy_source(40)
    weight = np.float32(np.arange(40) < 10)
    steps = np.abs(np.diff(measured_noise(crops, looks=3), axis=0))[:, :10]
    crops = dataclasses.replace(crops, pose_weight=weight)
    found = style_and_content(Recorder(crops), by_background, crops, 4, looks=3, seed=3)
    assert found.mean_angle_between_looks_degrees == pytest.approx(100 * steps.mean(), rel=1e-5)


def test_angles_between_looks_know_symmetries() -> None:
    """A pose that jumps by half a turn about a half-turn axis has not changed."""
    crops = toy_source(40)

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        flipped = (background(x) > 0).float()
        zero = torch.zeros_like(flipped)
        return by_background(x)[0], torch.stack([1 - flipped, zero, zero, flipped], dim=1)

    jumps = np.diff(measured_noise(crops, looks=8) > 0, axis=0)
    none = style_and_content(Recorder(crops), predict, crops, 4, seed=3)
    assert none.mean_angle_between_looks_degrees == pytest.approx(180 * jumps.mean())

    identity, half_turn = [1, 0, 0, 0], [0, 0, 0, 1]
    of_class = np.float32([[identity, half_turn], [identity, identity]])
    symmetric = dataclasses.replace(crops, symmetries=of_class)
    found = style_and_content(Recorder(crops), predict, symmetric, 4, seed=3)
    left = 180 * (jumps & (crops.class_index == 1)).mean()
    assert found.mean_angle_between_looks_degrees == pytest.approx(left, abs=1e-5)


def test_depth_on_the_object_is_measured_by_itself() -> None:
    crops = toy_source(20, channels=4)

    def deeper(x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
        adapted = x.copy()
        adapted[:, 3] = 0.1 * np.sign(z[:, 0])[:, None, None]
        return adapted

    found = style_and_content(deeper, None, crops, 2, looks=9, seed=0)
    assert found.background_change == found.object_change == 0.0
    assert found.object_depth_change == pytest.approx(0.1, abs=0.03)
    assert found.same_class_percent is None


def toy_scenario() -> Scenario:
    source, target = toy_source(96), toy_target(200)

    def real(part: slice) -> LabelledCrops:
        crops = toy_source(200)
        return dataclasses.replace(
            crops,
            images=target[part],
            masks=crops.masks[part],
            class_index=crops.class_index[part],
            quaternion=crops.quaternion[part],
        )

    train = slice(0, 120)
    return Scenario(
        name="toy",
        task="pose",
        source=source,
        source_validation=toy_source(40),
        target=target[train],
        target_train=real(train),
        target_validation=real(slice(120, 150)),
        target_test=real(slice(150, 200)),
    )


def test_pictures_and_figures_are_written_and_the_same_again(tmp_path: Path) -> None:
    scenario = toy_scenario()
    folders = tmp_path / "a" / "b", tmp_path / "c"
    figures = [write_figures(scenario, shade, 5, by_object, out, 7, crops=30) for out in folders]
    assert figures[0] == figures[1] == json.loads(json.dumps(figures[0]))
    assert figures[0]["crops"] == {"adapted": 30, "held_out": 30, "looked_at": 30}
    for name in ("neighbours.png", "interpolation.png", "samples.png"):
        first, second = (folder / name for folder in folders)
        assert first.read_bytes() == second.read_bytes()
        assert_clean_margins(cv2.imread(str(first)))


def test_written_pictures_have_their_colours_right(tmp_path: Path) -> None:
    def red(x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.broadcast_to(np.float32([1, -1, -1])[:, None, None], x.shape)

    write_figures(toy_scenario(), red, 5, None, tmp_path, 0, crops=20)
    bgr = cv2.imread(str(tmp_path / "neighbours.png")).reshape(-1, 3)
    assert (bgr == (0, 0, 255)).all(axis=1).sum() == 10 * 96 * 96


def test_a_generator_that_hands_out_target_crops_is_caught(tmp_path: Path) -> None:
    scenario = toy_scenario()

    def copies(x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = (np.abs(z[:, 0]) * len(scenario.target)).astype(int)
        return np.asarray(scenario.target[rows])

    copied = write_figures(scenario, copies, 5, None, tmp_path, 0, crops=30)["memorisation"]
    honest = write_figures(scenario, shade, 5, None, tmp_path, 0, crops=30)["memorisation"]
    assert copied["share_below_half"] == copied["nearer_than_held_out"] == 1.0
    assert honest["share_below_half"] == 0.0


def test_the_first_crops_shown_are_of_different_classes(tmp_path: Path) -> None:
    """Ten classes of one brightness each: the ten columns show each once."""
    levels = np.linspace(-0.9, 0.9, 10)
    classes = np.random.default_rng(0).choice(10, 96, p=[0.55] + [0.05] * 9)
    assert len(set(classes)) == 10
    scenario = toy_scenario()
    images = np.broadcast_to(levels[classes][:, None, None, None], (96, 3, 16, 16))
    source = dataclasses.replace(
        scenario.source,
        images=images.astype(np.float32),
        class_index=classes,
        class_names=tuple("0123456789"),
    )
    scenario = dataclasses.replace(scenario, source=source)
    white = lambda x, z: np.ones_like(x)  # noqa: E731
    write_figures(scenario, white, 5, None, tmp_path, 0, crops=20)
    picture = cv2.imread(str(tmp_path / "neighbours.png"))
    shown = {tuple(pixel) for pixel in picture[40, :, :].tolist()}
    assert {(round((v + 1) * 127.5),) * 3 for v in levels} <= shown


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "neighbours.png").mkdir()
    with pytest.raises(DatasetError, match=r"neighbours\.png"):
        write_figures(toy_scenario(), shade, 5, None, tmp_path, 0, crops=20)
