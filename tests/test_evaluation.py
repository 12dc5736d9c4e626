"""Evaluation of task networks and the choice of a checkpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from adapter import AdapterError, LabelledCrops, Predict, choose, evaluate, label_free_score

SIZE = 32


def about_z(degrees: float) -> list[float]:
    half = math.radians(degrees) / 2
    return [math.cos(half), 0.0, 0.0, math.sin(half)]


def numbered(n: int, channels: int = 3) -> NDArray[np.float32]:
    """Plain crops whose level says their number; changes of brightness do not hide it."""
    levels = np.linspace(-0.9, 0.9, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32)
    return np.broadcast_to(levels[:, None, None, None], (n, channels, 8, 8)).copy()


def answers(logits: NDArray[np.float64], poses: list[list[float]] | None = None) -> Predict:
    """A network that knows its answer for each of the `numbered` crops."""
    levels = torch.from_numpy(numbered(len(logits))[:, 0, 0, 0])

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        number = (x[:, :3].mean(dim=(1, 2, 3))[:, None] - levels).abs().argmin(dim=1)
        pose = None if poses is None else torch.tensor(poses)[number]
        return torch.from_numpy(logits)[number], pose

    return predict


def crops_of(images: NDArray[np.float32], classes: list[int], names: int = 3) -> LabelledCrops:
    n = len(images)
    return LabelledCrops(
        images,
        np.ones((n, *images.shape[2:]), bool),
        np.array(classes),
        np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
        tuple("abcdefghij"[:names]),
    )


TURN_DEGREES = 10.0
"""By which the poses of a crop and of its turned copy are compared."""
ONE_HOT = np.eye(3)
CLASSES = [0, 0, 1, 2, 2]
PREDICTED = [0, 1, 1, 2, 0]
TURNS = [10.0, -20.0, 90.0, 170.0, 60.0]


@pytest.fixture
def five() -> tuple[LabelledCrops, Predict]:
    """Three of five right; poses wrong by `TURNS`; the last crop's pose does not count."""
    crops = crops_of(numbered(5), CLASSES)
    crops = dataclasses.replace(crops, pose_weight=np.float32([1, 1, 0.5, 1, 0]))
    return crops, answers(ONE_HOT[PREDICTED], [about_z(turn) for turn in TURNS])


@pytest.mark.parametrize("batch", [1, 2, 5, 500])
def test_evaluation_by_hand(five: tuple[LabelledCrops, Predict], batch: int) -> None:
    crops, predict = five
    found = evaluate(predict, crops, batch)
    assert found.accuracy_percent == 60.0
    assert found.count == 5
    np.testing.assert_array_equal(found.confusion, [[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    assert found.mean_angle_degrees == pytest.approx((10 + 20 + 90 + 170) / 4, abs=1e-5)
    assert found.median_angle_degrees == pytest.approx((20 + 90) / 2, abs=1e-5)


def test_the_nearest_of_a_symmetric_objects_poses_counts(
    five: tuple[LabelledCrops, Predict],
) -> None:
    crops, predict = five
    none, half_turn, quarter_turns = [about_z(0)], [0, 180], [0, 90, 180, 270]
    symmetries = [none * 4, [about_z(t) for t in half_turn] * 2, list(map(about_z, quarter_turns))]
    crops = dataclasses.replace(crops, symmetries=np.float32(symmetries))
    found = evaluate(predict, crops)
    # Class 0 has none; 90 is as far from 0 as from 180; 170 is 10 from 180.
    assert found.mean_angle_degrees == pytest.approx((10 + 20 + 90 + 10) / 4, abs=1e-4)


def test_angles_are_those_of_scipys_rotations() -> None:
    random = np.random.default_rng(0)
    truth, guess = (Rotation.random(40, random_state=random) for _ in range(2))
    crops = dataclasses.replace(
        crops_of(numbered(40), [0] * 40),
        quaternion=truth.as_quat(scalar_first=True).astype(np.float32),
    )
    predict = answers(np.zeros((40, 3)), guess.as_quat(scalar_first=True).tolist())
    expected = np.degrees((truth.inv() * guess).magnitude())
    found = evaluate(predict, crops)
    assert found.mean_angle_degrees == pytest.approx(expected.mean(), abs=1e-4)
    assert found.median_angle_degrees == pytest.approx(np.median(expected), abs=1e-4)


def test_without_poses_there_are_no_angles(five: tuple[LabelledCrops, Predict]) -> None:
    crops, predict = five
    no_head = evaluate(answers(ONE_HOT[PREDICTED]), crops)
    none_counts = evaluate(predict, dataclasses.replace(crops, pose_weight=np.zeros(5, "f4")))
    for found in (no_head, none_counts):
        assert found.accuracy_percent == 60.0
        assert found.mean_angle_degrees is None
        assert found.median_angle_degrees is None


def test_what_cannot_be_evaluated_is_said(five: tuple[LabelledCrops, Predict]) -> None:
    crops, predict = five
    nothing = crops_of(np.zeros((0, 3, 8, 8), np.float32), [])
    with pytest.raises(AdapterError, match="no crops to evaluate on"):
        evaluate(predict, nothing)
    with pytest.raises(AdapterError, match="3 classes apart and the crops have 4"):
        evaluate(predict, crops_of(numbered(5), CLASSES, names=4))
    with pytest.raises(AdapterError, match="no target crops"):
        label_free_score(predict, crops, nothing.images)


SOURCE = crops_of(numbered(5), CLASSES)


def test_information_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.25, 0.75]])
    source = crops_of(numbered(3), [0, 1, 1], names=2)
    found = label_free_score(answers(np.log(p)), source, numbered(3))
    mean = [2.05 / 3, 0.95 / 3]
    entropies = [-(q * math.log(q) + (1 - q) * math.log(1 - q)) for q in (0.9, 0.9, 0.25)]
    information = -sum(q * math.log(q) for q in mean) - sum(entropies) / 3
    assert found.target_information == pytest.approx(information, abs=1e-12)
    assert found.source_accuracy == pytest.approx(2 / 3)
    assert found.agreement == 1.0
    assert found.score == pytest.approx(2 / 3 * information / math.log(2), abs=1e-12)
    assert found.source_angle_degrees is None
    assert found.turn_error_degrees is None


def test_certain_and_balanced_answers_score_the_source_accuracy() -> None:
    predict = answers(100.0 * ONE_HOT[[0, 1, 2]])
    found = label_free_score(predict, crops_of(numbered(3), [0, 1, 0]), numbered(3))
    assert found.target_information == pytest.approx(math.log(3), abs=1e-12)
    assert found.score == pytest.approx(2 / 3, abs=1e-12)


def test_a_network_with_one_answer_for_all_scores_nothing() -> None:
    found = label_free_score(answers(100.0 * ONE_HOT[[1] * 5]), SOURCE, numbered(5))
    assert found.agreement == 1.0
    assert found.score == pytest.approx(0.0, abs=1e-12)


def test_a_single_class_is_scored_by_agreement_and_source_alone() -> None:
    source = crops_of(numbered(4), [0] * 4, names=1)
    assert label_free_score(answers(np.zeros((4, 1))), source, numbered(4)).score == 1.0


def test_agreement_is_the_share_of_crops_that_keep_their_class() -> None:
    """The sign of one pixel decides: a shift by one turns a striped crop's, a plain crop's stays"""
    stripes = np.where(np.arange(8) % 2, np.float32(0.8), np.float32(-0.8))
    images = np.concatenate([numbered(4), np.broadcast_to(stripes, (6, 3, 8, 8))])

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        sign = x[:, :1, 4, 4]
        return torch.cat([sign, -sign], dim=1), None

    found = label_free_score(predict, crops_of(numbered(4), [0, 0, 1, 1], names=2), images)
    assert found.agreement == 0.4


def test_depth_is_not_brightened() -> None:
    seen: list[Tensor] = []

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        seen.append(x)
        return torch.zeros(len(x), 3), None

    images = numbered(5, channels=4)
    label_free_score(predict, SOURCE, images)
    _, plain, changed = seen
    torch.testing.assert_close(changed[:, 3], plain[:, 3], atol=1e-6, rtol=0)
    assert ((changed[:, :3] - plain[:, :3]).abs().amax(dim=(1, 2, 3)) > 1e-3).all()
    assert changed.abs().max() <= 1


def test_source_crops_take_their_own_path() -> None:
    right, wrong = answers(ONE_HOT[CLASSES]), answers(ONE_HOT[[1, 1, 2, 0, 0]])
    found = label_free_score(wrong, SOURCE, numbered(5), predict_source=right)
    assert found.source_accuracy == 1.0
    assert label_free_score(wrong, SOURCE, numbered(5)).source_accuracy == 0.0


def blobs(degrees: NDArray[np.float64]) -> NDArray[np.float32]:
    """A bright spot off the centre, in this direction clockwise from the right."""
    centre = (np.arange(SIZE) + 0.5) - SIZE / 2
    x, y = 9 * np.cos(np.radians(degrees)), 9 * np.sin(np.radians(degrees))
    squares = (centre[None, None, :] - x[:, None, None]) ** 2
    squares = squares + (centre[None, :, None] - y[:, None, None]) ** 2
    spot = 2 * np.exp(-squares / 8) - 1
    return np.repeat(spot[:, None], 3, axis=1).astype(np.float32)


def direction(x: Tensor) -> NDArray[np.float64]:
    """Where the blob is, clockwise from the right, in (-180, 180]."""
    weight = (x[:, 0] + 1).double()
    centre = (torch.arange(SIZE, dtype=torch.float64) + 0.5) - SIZE / 2
    across, down = (weight * centre).sum(dim=(1, 2)), (weight * centre[:, None]).sum(dim=(1, 2))
    return torch.rad2deg(torch.atan2(down, across)).numpy()


def sees_turn(factor: float, modulo: float = 360.0) -> Predict:
    """A network that takes the blob's direction, times a factor, for the turn about z."""

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        turns = (factor * direction(x)) % modulo
        return torch.zeros(len(x), 3), torch.tensor([about_z(turn) for turn in turns])

    return predict


DIRECTIONS = np.linspace(-170, 170, 40)


def turn_error(predict: Predict, source: LabelledCrops, directions: NDArray[np.float64]) -> float:
    found = label_free_score(predict, source, blobs(directions)).turn_error_degrees
    assert found is not None
    return found


def test_a_network_that_follows_turns_has_no_turn_error() -> None:
    source = crops_of(blobs(np.zeros(3)), [0, 1, 2])
    assert turn_error(sees_turn(1.0), source, DIRECTIONS) < 0.1
    assert turn_error(sees_turn(0.0), source, DIRECTIONS) == pytest.approx(TURN_DEGREES, abs=1e-4)
    assert turn_error(sees_turn(-1.0), source, DIRECTIONS) == pytest.approx(
        2 * TURN_DEGREES, abs=0.1
    )


def test_turn_error_knows_symmetries_and_objects_without_a_pose() -> None:
    source = crops_of(blobs(np.zeros(3)), [0, 1, 2])
    predict = sees_turn(1.0, modulo=180.0)
    at_the_jump = np.array([-0.5, 0.5] * 10)
    assert turn_error(predict, source, at_the_jump) > 60
    half_turns = np.float32([[about_z(0), about_z(180)]] * 3)
    symmetric = dataclasses.replace(source, symmetries=half_turns)
    assert turn_error(predict, symmetric, at_the_jump) < 0.1
    poseless = dataclasses.replace(source, pose_weight=np.float32([0, 1, 1]))
    assert label_free_score(predict, poseless, blobs(at_the_jump)).turn_error_degrees is None


def test_poses_enter_the_score() -> None:
    source = crops_of(blobs(np.array([40.0, 0.0])), [0, 0], names=1)

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.zeros(len(x), 1), sees_turn(1.0)(x)[1]

    found = label_free_score(predict, source, blobs(DIRECTIONS))
    assert found.source_angle_degrees == pytest.approx(20.0, abs=0.01)
    assert found.turn_error_degrees is not None
    factor = 1 + found.turn_error_degrees / TURN_DEGREES
    assert found.score == pytest.approx((1 - found.source_angle_degrees / 180) / factor, rel=1e-12)


def test_scores_depend_on_the_seed_and_not_on_batches() -> None:
    random = np.random.default_rng(0)
    weights = torch.from_numpy(random.normal(size=(3 * 8 * 8, 7)).astype(np.float32))

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        logits = (x.flatten(1)[:, :, None] * weights).sum(dim=1)
        return logits[:, :3], torch.nn.functional.normalize(logits[:, 3:], dim=1)

    images = random.uniform(-1, 1, (30, 3, 8, 8)).astype(np.float32)
    whole = label_free_score(predict, SOURCE, images)
    parts = label_free_score(predict, SOURCE, images, batch=7)
    assert dataclasses.asdict(parts) == pytest.approx(dataclasses.asdict(whole), rel=1e-6)
    other = label_free_score(predict, SOURCE, images, seed=1)
    assert other.turn_error_degrees != whole.turn_error_degrees
    assert other.target_information == whole.target_information


def test_crops_are_changed_as_opencv_changes_them() -> None:
    """Moved a pixel to either side and up or down, and turned about their centre by 10 degrees."""
    random = np.random.default_rng(0)
    smooth = [cv2.GaussianBlur(random.normal(size=(SIZE, SIZE)), (0, 0), 2.5) for _ in range(20)]
    images = np.stack([[picture] * 4 for picture in smooth]).astype(np.float32)
    seen: list[NDArray[np.float32]] = []

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        seen.append(x[:, 3].numpy())
        return torch.zeros(len(x), 3), torch.tensor([about_z(0.0)] * len(x))

    source = crops_of(np.repeat(images[:3, :1], 4, axis=1), [0, 1, 2])
    label_free_score(predict, source, images)
    _, plain, shifted, turned = seen
    np.testing.assert_array_equal(plain, images[:, 3])
    shifts = [by_opencv(0.0, right, down) for right in (-1, 1) for down in (-1, 1)]
    # OpenCV's positive angles are anticlockwise.
    turns = [by_opencv(-TURN_DEGREES, 0, 0), by_opencv(TURN_DEGREES, 0, 0)]
    for changed, possible in ((shifted, shifts), (turned, turns)):
        fits = [
            [bool(np.abs(image - change(before))[INNER].max() < 0.01) for change in possible]
            for image, before in zip(changed, smooth, strict=True)
        ]
        assert {sum(row) for row in fits} == {1}
        assert all(map(any, zip(*fits, strict=True))), "each of the changes is made to some"


INNER = (slice(9, -9), slice(9, -9))


def by_opencv(
    degrees: float, right: float, down: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    matrix = cv2.getRotationMatrix2D(((SIZE - 1) / 2, (SIZE - 1) / 2), degrees, 1.0)
    matrix[:, 2] += (right, down)
    return lambda image: np.asarray(
        cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    )


HISTORY = [
    {"step": 100, "score": 0.5, "accuracy_percent": 90.0, "mean_angle_degrees": 40.0},
    {"step": 200, "score": 0.7, "accuracy_percent": 92.0, "mean_angle_degrees": math.nan},
    {"step": 300, "score": 0.7, "accuracy_percent": 91.0, "mean_angle_degrees": 30.0},
    {"step": 400, "score": 0.6, "accuracy_percent": None, "mean_angle_degrees": 35.0},
]


@pytest.mark.parametrize(
    ("key", "step"),
    [("step", 400), ("score", 300), ("accuracy_percent", 200), ("mean_angle_degrees", 300)],
)
def test_each_key_chooses_its_best_checkpoint(key: str, step: int) -> None:
    assert choose(HISTORY, key)["step"] == step
    assert choose(HISTORY[::-1], key)["step"] == step


def test_choosing_by_what_was_not_measured_is_refused() -> None:
    with pytest.raises(AdapterError, match="'loss'"):
        choose(HISTORY, "loss")
