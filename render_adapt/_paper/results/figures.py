"""The paper's figures of adapted crops, and the figures in numbers that go with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import FAR, LabelledCrops, Predict, memorisation, nearest_neighbours
from render_adapt._paper.files import make_folder, write
from render_adapt._paper.results.looks import (
    Generate,
    adapt_in_batches,
    style_and_content,
    uniform_noise,
)
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.scenarios.subsets import take

_TILE, _GAP, _MARGIN = 96, 6, 14
_FONT, _FONT_SCALE, _INK = cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40)
_PAPER, _NOTHING = 255, 225  # Grey levels: background of the figure, depth beyond the window.
_PICK, _NOISE, _SAMPLE = range(50, 53)  # Random streams, beside the seed; 53 is `looks`'.


def neighbours_figure(
    source: NDArray[Any], adapted: NDArray[Any], nearest: NDArray[Any]
) -> NDArray[np.uint8]:
    """Fig. 3 and 4: source crops, the same adapted, and the real crops nearest to these.

    Args:
        source, adapted, nearest: (N, C, H, W) in [-1, 1], one column each; with four channels
            the depth is shown below the colours, in the colours of a map from near (dark) to far
            (bright), and grey where it is beyond the crop's window.

    Returns:
        (height, width, 3) RGB.
    """
    lines = {"source": source, "adapted": adapted, "nearest real": nearest}
    rows: list[list[NDArray[np.uint8]]] = []
    labels: list[str] = []
    for name, crops in lines.items():
        tiles = [_tiles(crop) for crop in crops]
        rows += [list(row) for row in zip(*tiles, strict=True)]
        labels += [name, "depth"][: len(tiles[0])]
    return _grid(rows, labels, [""] * len(source))


def interpolation_figure(
    generate: Generate,
    source: NDArray[Any],
    first: NDArray[np.float32],
    last: NDArray[np.float32],
    columns: int = 8,
) -> NDArray[np.uint8]:
    """Suppl. Fig. 1: how adapted crops change on the way from one noise vector to another.

    Args:
        generate: the generator.
        source: (N, C, H, W) in [-1, 1], one row each.
        first, last: (Z,) noise vectors, of the first and the last column; between them linear.
        columns: adapted crops in a row.

    Returns:
        (height, width, 3) RGB.
    """
    share = np.linspace(0.0, 1.0, columns, dtype=np.float32)[:, None]
    noise = (1.0 - share) * first + share * last
    middle = [f"{value:.2f}" for value in share[1:-1, 0]]
    return _looks_figure(generate, source, noise, ["noise 0.0", *middle, "noise 1.0"])


def samples_figure(
    generate: Generate, source: NDArray[Any], noise: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Source crops, each with several looks.

    Args:
        generate: the generator.
        source: (N, C, H, W) in [-1, 1], one row each.
        noise: (N, looks, Z).

    Returns:
        (height, width, 3) RGB.
    """
    return _looks_figure(generate, source, noise, [f"look {1 + k}" for k in range(noise.shape[1])])


def write_figures(
    scenario: Scenario,
    generate: Generate,
    noise_dimension: int,
    predict: Predict | None,
    out: Path,
    seed: int,
    *,
    crops: int = 500,
) -> dict[str, Any]:
    """Write neighbours.png, interpolation.png and samples.png, and measure what they show.

    Memorisation is measured on the source crops that the generator was trained on, as the paper
    does, with the target's test crops as the real crops it never saw; style and content on source
    crops that were held out, which the task network has not seen either.

    Args:
        scenario: source and target crops.
        generate: the generator.
        noise_dimension: length of its noise vector.
        predict: a task network on adapted crops; None measures without.
        out: folder of the pictures; made if absent.
        seed: of the choice of crops and of the noise.
        crops: how many are measured on.

    Returns:
        "memorisation" and "style_and_content", each with its figures by name, and "crops", how
        many each was measured on; it can be written as JSON.

    Raises:
        DatasetError: a picture cannot be written.
    """
    make_folder(out)
    rows = _spread(scenario.source, crops, seed)
    source = scenario.source.images[rows]
    noise = uniform_noise((len(rows), noise_dimension), seed, _NOISE)
    adapted = adapt_in_batches(generate, source, noise)
    held_out = scenario.target_test.images[_spread(scenario.target_test, crops, seed)]
    copies = memorisation(adapted, scenario.target, held_out)
    _write_pictures(out, generate, source, adapted, scenario.target, noise_dimension, seed)
    unseen = scenario.source_validation
    part = take(unseen, _spread(unseen, crops, seed))
    style_figures = style_and_content(generate, predict, part, noise_dimension, seed=seed)
    return {
        "memorisation": dataclasses.asdict(copies),
        "style_and_content": dataclasses.asdict(style_figures),
        "crops": {"adapted": len(rows), "held_out": len(held_out), "looked_at": len(part)},
    }


def _write_pictures(
    out: Path,
    generate: Generate,
    source: NDArray[Any],
    adapted: NDArray[Any],
    target: NDArray[Any],
    noise_dimension: int,
    seed: int,
) -> None:
    """The three pictures, of the first of the source crops."""
    first = slice(0, 10)
    nearest = target[nearest_neighbours(adapted[first], target).index]
    _write(out / "neighbours.png", neighbours_figure(source[first], adapted[first], nearest))
    first_crops = source[:5]
    ends = uniform_noise((2, noise_dimension), seed, _SAMPLE)
    _write(out / "interpolation.png", interpolation_figure(generate, first_crops, *ends))
    looks = uniform_noise((len(first_crops), 8, noise_dimension), seed, _SAMPLE)
    _write(out / "samples.png", samples_figure(generate, first_crops, looks))


def _looks_figure(
    generate: Generate, source: NDArray[Any], noise: NDArray[np.float32], columns: Sequence[str]
) -> NDArray[np.uint8]:
    """A row for each source crop: it, and its looks from noise (looks, Z) or (N, looks, Z)."""
    rows: list[list[NDArray[np.uint8]]] = []
    noise_of_crops = np.broadcast_to(noise, (len(source), *noise.shape[-2:]))
    for crop, z in zip(source, noise_of_crops, strict=True):
        looks = adapt_in_batches(generate, np.repeat(crop[None], len(z), axis=0), z)
        tiles = [_tiles(picture) for picture in (crop, *looks)]
        rows += [list(row) for row in zip(*tiles, strict=True)]
    return _grid(rows, [""] * len(rows), ["source", *columns])


def _tiles(crop: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """The crop in colour and, where it has one, its depth; enlarged, each pixel a square."""
    pixels = np.rint(np.clip((crop.astype(np.float32) + 1.0) * 127.5, 0, 255)).astype(np.uint8)
    pictures = [np.ascontiguousarray(pixels[:3].transpose(1, 2, 0))]
    if len(crop) == 4:
        depth = cv2.applyColorMap(pixels[3], cv2.COLORMAP_VIRIDIS)[..., ::-1].copy()
        depth[crop[3] >= FAR] = _NOTHING
        pictures.append(depth)
    factor = max(1, -(-_TILE // crop.shape[-1]))
    return [np.repeat(np.repeat(p, factor, axis=0), factor, axis=1) for p in pictures]


def _grid(
    rows: Sequence[Sequence[NDArray[np.uint8]]],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
) -> NDArray[np.uint8]:
    """Tiles in rows and columns, with labels at the left and above."""
    height, width = rows[0][0].shape[:2]
    left = _MARGIN + max(_text_width(label) for label in row_titles)
    left += _MARGIN if any(row_titles) else 0
    top = _MARGIN + (2 * _MARGIN if any(column_titles) else 0)
    page = np.full(
        (
            top + len(rows) * (height + _GAP) - _GAP + _MARGIN,
            left + len(rows[0]) * (width + _GAP) - _GAP + _MARGIN,
            3,
        ),
        _PAPER,
        np.uint8,
    )
    for row, (tiles, label) in enumerate(zip(rows, row_titles, strict=True)):
        y = top + row * (height + _GAP)
        _write_text(page, label, _MARGIN, y + height // 2 + 5)
        for column, tile in enumerate(tiles):
            x = left + column * (width + _GAP)
            page[y : y + height, x : x + width] = tile
    for column, label in enumerate(column_titles):
        x = left + column * (width + _GAP) + (width - _text_width(label)) // 2
        _write_text(page, label, x, top - _MARGIN + 4)
    return page


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]) if text else 0


def _write_text(page: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    cv2.putText(page, text, (x, y), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)


def _write(file: Path, picture: NDArray[np.uint8]) -> None:
    content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    write(file, content.tobytes())


def _spread(crops: LabelledCrops, n: int, seed: int) -> NDArray[np.int64]:
    """n crops drawn at random, the classes in turn, as far as there are that many."""
    random = np.random.default_rng([seed, 0, _PICK])
    order = random.permutation(len(crops))
    classes = crops.class_index[order]
    turn = np.empty(len(order), np.int64)  # How many of its class come before each.
    for class_index in np.unique(classes):
        of_class = classes == class_index
        turn[of_class] = np.arange(of_class.sum())
    return np.asarray(order[np.lexsort((classes, turn))][:n], np.int64)
