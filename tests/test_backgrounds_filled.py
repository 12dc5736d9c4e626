"""What the camera saw behind objects: filled with what is around, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from render_adapt import DatasetError
from render_adapt._pairs.backgrounds import MOST_KEPT, fill_backgrounds, write_backgrounds
from renderer import load_photographs

SIZE = 48
MAGENTA = np.uint8([255, 0, 255])
"""Objects' colour, which no scene comes near."""
MARGIN = 3
"""Pixels around an object that count as its own."""

Masks = NDArray[np.bool_]


def scenes(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Soft clouds of greens and greys."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(40, 160, (count, 6, 6, 3)).astype(np.float32)
    coarse[..., 1] += 60
    fine = [cv2.resize(one, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for one in coarse]
    noise = random.normal(0, 4, (count, SIZE, SIZE, 3))
    return np.clip(np.rint(np.stack(fine) + noise), 0, 220).astype(np.uint8)


def discs(*places: tuple[float, float, float]) -> Masks:
    """(N, S, S), of (x, y, radius) each."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.stack([(x - a) ** 2 + (y - b) ** 2 < r**2 for a, b, r in places])


def whole(count: int) -> Masks:
    return np.ones((count, SIZE, SIZE), np.bool_)


def near_objects(masks: Masks) -> Masks:
    """Pixels no further from an object than its margin, to the sides and across corners."""
    grown = np.zeros_like(masks)
    padded = np.pad(masks, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    for down in range(2 * MARGIN + 1):
        for across in range(2 * MARGIN + 1):
            grown |= padded[:, down : down + SIZE, across : across + SIZE]
    return grown


def painted(rgb: NDArray[np.uint8], masks: Masks) -> NDArray[np.uint8]:
    result = rgb.copy()
    result[masks] = MAGENTA
    return result


def pinkness(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How much more red and blue than green there is: 255 in objects, below 140 in scenes."""
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return np.asarray(np.minimum(red, blue) - green)


CASES: dict[str, Callable[[], Masks]] = {
    "in the middle": lambda: discs(*[(24, 24, 10)] * 6),
    "at the border": lambda: discs((2, 24, 9), (45, 45, 9), (24, 0, 9), (0, 0, 5), (47, 0, 9)),
    "a pixel": lambda: discs(*[(24, 24, 0.5)] * 4),
    "over half of it": lambda: whole(4) & (np.arange(SIZE) < 30),
    "all but a rim": lambda: discs(*[(24, 24, 23)] * 4),
    "one covered whole": lambda: np.concatenate([whole(1), discs(*[(24, 24, 8)] * 5)]),
    "all covered whole": lambda: whole(3),
    "covered but for a corner": lambda: whole(1) & (np.indices((SIZE, SIZE)).max(axis=0) >= 2),
    "one alone": lambda: discs((24, 24, 12)),
    "one alone that is covered": lambda: whole(1),
    "two objects": lambda: discs((10, 24, 6), (10, 24, 6)) | discs((38, 20, 6), (30, 40, 5)),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_of_objects_and_nothing_else_is_changed(case: str) -> None:
    masks = CASES[case]()
    clean = scenes(len(masks))
    crops = painted(clean, masks)
    before = crops.copy()
    filled = fill_backgrounds(crops, masks, seed=1)
    np.testing.assert_array_equal(crops, before)
    assert (filled.shape, filled.dtype) == (crops.shape, np.uint8)
    far = ~near_objects(masks)
    np.testing.assert_array_equal(filled[far], crops[far])
    assert pinkness(clean).max() < 140
    assert pinkness(filled).max() < 180


def test_there_is_no_seam() -> None:
    """Neighbours across a hole's outline differ as neighbours do anywhere."""
    masks = discs(*[(24, 24, 8)] * 12)
    clean = scenes(12)
    filled = fill_backgrounds(painted(clean, masks), masks, seed=0).astype(int)
    hole = near_objects(masks)
    across = hole[:, :, 1:] != hole[:, :, :-1]
    steps = np.abs(np.diff(filled, axis=2))
    anywhere = np.abs(np.diff(clean.astype(int), axis=2))
    # Pasted as they are, the parts would step by 35 levels there, and not by 4.
    assert steps[across].mean() < 1.3 * anywhere[across].mean()


def test_a_place_is_filled_with_grain_and_not_smeared() -> None:
    """Noise of 4 grey levels is in the parts of other crops that are put there."""
    masks = discs(*[(24, 24, 10)] * 8)
    filled = fill_backgrounds(painted(scenes(8), masks), masks, seed=0)
    inside = discs(*[(24, 24, 7)] * 8)

    def grain(rgb: NDArray[np.uint8]) -> float:
        fine = [one - cv2.GaussianBlur(one, (0, 0), 1.5) for one in rgb.astype(np.float32)]
        return float(np.stack(fine)[inside].std())

    assert grain(filled) > 0.6 * grain(scenes(8))


def test_crops_without_objects_stay() -> None:
    crops = scenes(3)
    none = np.zeros(crops.shape[:3], np.bool_)
    np.testing.assert_array_equal(fill_backgrounds(crops, none, seed=0), crops)


def test_the_same_seed_gives_the_same_bytes_and_another_others() -> None:
    masks = discs(*[(20, 26, 9)] * 5)
    crops = painted(scenes(5), masks)
    threads = cv2.getNumThreads()
    first = fill_backgrounds(crops, masks, seed=3)
    try:
        cv2.setNumThreads(1)
        np.testing.assert_array_equal(fill_backgrounds(crops, masks, seed=3), first)
    finally:
        cv2.setNumThreads(threads)
    assert (fill_backgrounds(crops, masks, seed=4) != first).any()


def test_progress_counts_crops() -> None:
    masks = discs(*[(24, 24, 5)] * 3)
    told: list[tuple[int, int]] = []
    fill_backgrounds(scenes(3), masks, 0, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    boxes=st.lists(
        st.tuples(*[st.integers(-5, SIZE + 5)] * 4), min_size=1, max_size=4
    ),
)  # fmt: skip
def test_any_masks(seed: int, boxes: list[tuple[int, int, int, int]]) -> None:
    masks = np.zeros((len(boxes), SIZE, SIZE), np.bool_)
    for mask, (a, b, c, d) in zip(masks, boxes, strict=True):
        mask[max(min(a, b), 0) : max(a, b, 0), max(min(c, d), 0) : max(c, d, 0)] = True
    crops = painted(scenes(len(boxes), seed), masks)
    filled = fill_backgrounds(crops, masks, seed)
    far = ~near_objects(masks)
    np.testing.assert_array_equal(filled[far], crops[far])
    assert pinkness(filled).max() < 200


def as_numbers(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.moveaxis(rgb / np.float32(127.5) - 1, -1, 1)


def test_what_is_written_is_read_as_backgrounds(tmp_path: Path) -> None:
    crops = scenes(5)
    write_backgrounds(tmp_path / "backgrounds", as_numbers(crops))
    np.testing.assert_array_equal(load_photographs(tmp_path / "backgrounds"), crops)


def test_fewer_take_the_place_of_more(tmp_path: Path) -> None:
    for count in (5, 3):
        write_backgrounds(tmp_path, as_numbers(scenes(count)))
    np.testing.assert_array_equal(load_photographs(tmp_path), scenes(3))


def test_of_many_some_are_kept_evenly_spread(tmp_path: Path) -> None:
    levels = np.arange(2 * MOST_KEPT) % 251
    grey = np.broadcast_to(levels[:, None, None, None], (len(levels), 4, 4, 3)).astype(np.uint8)
    write_backgrounds(tmp_path, as_numbers(grey))
    kept = np.array([picture[0, 0, 0] for picture in load_photographs(tmp_path)])
    rows = np.rint(np.linspace(0, len(levels) - 1, MOST_KEPT)).astype(int)
    np.testing.assert_array_equal(kept, levels[rows])


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Pictures of the user's may lie behind it."""
    theirs = tmp_path / "photographs"
    theirs.mkdir()
    (theirs / "holiday.png").write_bytes(b"mine")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/backgrounds").symlink_to(theirs)
    with pytest.raises(DatasetError, match="is a link: remove it"):
        write_backgrounds(tmp_path / "adapter/backgrounds", as_numbers(scenes(2)))
    assert [file.read_bytes() for file in theirs.iterdir()] == [b"mine"]


def test_pictures_of_others_are_left_where_they_are(tmp_path: Path) -> None:
    """A folder of that name need not be an adapter's."""
    (tmp_path / "holiday.png").write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"something else \(holiday\.png\): give `out` another"):
        write_backgrounds(tmp_path, as_numbers(scenes(2)))
    assert [file.name for file in tmp_path.iterdir()] == ["holiday.png"]
