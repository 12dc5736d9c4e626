"""Pictures for texture swaps and backgrounds, drawn or read from folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from renderer import RenderError, load_photographs, load_textures
from renderer._pictures.patterns import BOARD_PERIODS, board_patterns, patterns


def write(file: Path, color: tuple[int, int, int], width: int = 8, height: int = 8) -> None:
    picture = np.full((height, width, 3), color, np.uint8)
    _, encoded = cv2.imencode(file.suffix, picture[..., ::-1])
    file.write_bytes(encoded.tobytes())


def test_drawn_patterns_are_many_and_different_and_the_same_every_time() -> None:
    first = load_textures(None)
    assert len(first) >= 24
    for picture in first:
        assert picture.shape == (256, 256, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5
    assert len({picture.tobytes() for picture in first}) == len(first)
    patterns.cache_clear()
    for again, picture in zip(load_textures(None), first, strict=True):
        np.testing.assert_array_equal(again, picture)


def test_drawn_patterns_repeat_without_a_seam() -> None:
    """Across its border a picture changes no more than it does somewhere inside."""
    pictures = [*patterns(), *board_patterns()]
    assert len(board_patterns()) == len(BOARD_PERIODS)
    for picture in pictures:
        for image in (picture, picture.swapaxes(0, 1)):
            columns = image.astype(float)
            inside = np.abs(np.diff(columns, axis=1)).mean(axis=(0, 2))
            seam = np.abs(columns[:, 0] - columns[:, -1]).mean()
            assert seam <= 1.2 * inside.max()


def test_a_folder_is_read_in_the_order_of_its_names_in_rgb(tmp_path: Path) -> None:
    write(tmp_path / "b.PNG", (10, 200, 30))
    write(tmp_path / "a.png", (250, 20, 40), 512, 128)
    write(tmp_path / "ü.bmp", (1, 2, 3), 3, 2)
    cv2.imwrite(str(tmp_path / "d.png"), np.full((4, 4), 77, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more.png").mkdir()
    pictures = load_textures(tmp_path)
    assert [p.shape for p in pictures] == [(64, 256, 3), (8, 8, 3), (4, 4, 3), (2, 3, 3)]
    colors = [tuple(picture[0, 0].tolist()) for picture in pictures]
    assert colors == [(250, 20, 40), (10, 200, 30), (77, 77, 77), (1, 2, 3)]


def test_photographs_keep_their_shorter_side_to_256_pixels(tmp_path: Path) -> None:
    write(tmp_path / "wide.png", (9, 9, 9), 1024, 512)
    write(tmp_path / "small.png", (9, 9, 9), 300, 100)
    assert [p.shape for p in load_photographs(tmp_path)] == [(100, 300, 3), (256, 512, 3)]


def test_of_a_large_folder_an_even_part_is_read(tmp_path: Path) -> None:
    for number in range(1001):
        write(tmp_path / f"{number:04d}.bmp", (number // 256, number % 256, 0), 1, 1)

    def numbers(pictures: list[NDArray[np.uint8]]) -> NDArray[np.int64]:
        return np.array([256 * int(p[0, 0, 0]) + int(p[0, 0, 1]) for p in pictures])

    textures, photographs = numbers(load_textures(tmp_path)), numbers(load_photographs(tmp_path))
    assert (len(textures), len(photographs)) == (1000, 500)
    assert (photographs[0], photographs[-1]) == (0, 1000)
    assert set(np.diff(photographs)) == {2, 3}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="nowhere: name one that holds pictures"):
        load_textures(tmp_path / "nowhere")
    with pytest.raises(RenderError, match="holds no pictures"):
        load_photographs(tmp_path)
    (tmp_path / "._picture.jpg").write_bytes(b"what macOS writes beside it")
    with pytest.raises(RenderError, match="holds no pictures"):
        load_textures(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(RenderError, match=r"broken\.jpg cannot be read as a picture"):
        load_textures(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"")
    with pytest.raises(RenderError, match=r"broken\.jpg cannot be read as a picture"):
        load_photographs(tmp_path)
