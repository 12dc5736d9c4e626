"""The paper's figures of adapted crops, and the figures in numbers that go with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from adapter import FAR, LabelledCrops, memorisation, nearest_neighbours
from adapter._losses.pixelda import angle_degrees
from adapter._measures.evaluation import Predict
from benchmarks.paper._scenario import Scenario

Generate = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]
"""Crops (N, C, H, W) in [-1, 1] and noise (N, noise_dimension) to adapted crops (N, C, H, W)."""

_TILE, _GAP, _MARGIN = 96, 6, 14
_FONT, _FONT_SCALE, _INK = cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40)
_PAPER, _NOTHING = 255, 225  # Grey levels: background of the figure, depth beyond the window.
_PICK, _NOISE, _SAMPLE, _LOOKS = range(50, 54)  # Random streams, beside the seed.
_BATCH = 100


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
        shown = [_tiles(crop) for crop in crops]
        rows += [list(row) for row in zip(*shown, strict=True)]
        labels += [name, "depth"][: len(shown[0])]
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


@dataclass(frozen=True)
class StyleAndContent:
    """What changes in an adapted crop when nothing but its noise does.

    A generator whose noise changes style and not content keeps class and pose, and changes
    backgrounds. Changes are mean absolute differences between two looks of a crop.
    """

    background_change: float
    """Off the object, in grey levels of 255."""
    object_change: float
    """On the object, in grey levels of 255."""
    object_depth_change: float | None
    """Depth on the object, in the units of the crop's tensor (1 is a window's side); None without
    depth."""
    same_class_percent: float | None
    """Share of crops that the task network takes for one class in all their looks; None without
    a task network."""
    right_class_percent: float | None
    """Share of looks that it takes for the source crop's class."""
    mean_angle_between_looks_degrees: float | None
    """Mean angle between the poses that it sees in two looks of a crop; None without poses."""


def style_and_content(
    generate: Generate,
    predict: Predict | None,
    crops: LabelledCrops,
    noise_dimension: int,
    *,
    looks: int = 8,
    seed: int = 0,
) -> StyleAndContent:
    """Measure what noise changes in adapted crops.

    Args:
        generate: the generator.
        predict: a task network on adapted crops, which it takes from the processor's memory;
            None measures pixels alone.
        crops: source crops with masks and labels.
        noise_dimension: length of the noise vector, drawn from U(-1, 1).
        looks: noise vectors for each crop, 2 at least.
        seed: of the noise.
    """
    noise = _noise((looks, len(crops), noise_dimension), seed, _LOOKS)
    pictures = np.stack([_generated(generate, crops.images, z) for z in noise])  # (L, N, C, H, W)
    change = np.abs(np.diff(pictures, axis=0)).mean(axis=0)  # (N, C, H, W)
    color, on_object = 127.5 * change[:, :3].mean(axis=1), crops.masks
    has_depth = change.shape[1] == 4
    classes, poses = _predictions(predict, pictures)
    same = right = angle = None
    if classes is not None:
        same = 100.0 * float((classes == classes[0]).all(axis=0).mean())
        right = 100.0 * float((classes == crops.class_index).mean())
    if poses is not None:
        flat = torch.from_numpy(poses[1:]).flatten(0, 1)
        other = torch.from_numpy(poses[:-1]).flatten(0, 1)
        own = None if crops.symmetries is None else crops.symmetries[crops.class_index]
        every = None if own is None else torch.from_numpy(np.tile(own, (looks - 1, 1, 1)))
        counts = np.ones(len(crops), bool) if crops.pose_weight is None else crops.pose_weight > 0
        between = angle_degrees(flat, other, every).numpy()[np.tile(counts, looks - 1)]
        angle = float(between.mean()) if between.size else None
    return StyleAndContent(
        background_change=float(color[~on_object].mean()),
        object_change=float(color[on_object].mean()),
        object_depth_change=float(change[:, 3][on_object].mean()) if has_depth else None,
        same_class_percent=same,
        right_class_percent=right,
        mean_angle_between_looks_degrees=angle,
    )


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
        OSError: a picture cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = _spread(scenario.source, crops, seed)
    source = scenario.source.images[rows]
    adapted = _generated(generate, source, _noise((len(rows), noise_dimension), seed, _NOISE))
    held_out = scenario.target_test.images[_spread(scenario.target_test, crops, seed)]
    copies = memorisation(adapted, scenario.target, held_out)
    first = slice(0, 10)
    nearest = scenario.target[nearest_neighbours(adapted[first], scenario.target).index]
    _write(out / "neighbours.png", neighbours_figure(source[first], adapted[first], nearest))

    shown = source[:5]
    ends = _noise((2, noise_dimension), seed, _SAMPLE)
    _write(out / "interpolation.png", interpolation_figure(generate, shown, *ends))
    looks = _noise((len(shown), 8, noise_dimension), seed, _SAMPLE)
    _write(out / "samples.png", samples_figure(generate, shown, looks))

    unseen = scenario.source_validation
    part = _take(unseen, _spread(unseen, crops, seed))
    kept = style_and_content(generate, predict, part, noise_dimension, seed=seed)
    return {
        "memorisation": dataclasses.asdict(copies),
        "style_and_content": dataclasses.asdict(kept),
        "crops": {"adapted": len(rows), "held_out": len(held_out), "looked_at": len(part)},
    }


def _looks_figure(
    generate: Generate, source: NDArray[Any], noise: NDArray[np.float32], columns: Sequence[str]
) -> NDArray[np.uint8]:
    """A row for each source crop: it, and its looks from noise (looks, Z) or (N, looks, Z)."""
    rows: list[list[NDArray[np.uint8]]] = []
    every = np.broadcast_to(noise, (len(source), *noise.shape[-2:]))
    for crop, z in zip(source, every, strict=True):
        looks = _generated(generate, np.repeat(crop[None], len(z), axis=0), z)
        shown = [_tiles(picture) for picture in (crop, *looks)]
        rows += [list(row) for row in zip(*shown, strict=True)]
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
    row_labels: Sequence[str],
    column_labels: Sequence[str],
) -> NDArray[np.uint8]:
    """Tiles in rows and columns, with labels at the left and above."""
    height, width = rows[0][0].shape[:2]
    left = _MARGIN + max(_text_width(label) for label in row_labels)
    left += _MARGIN if any(row_labels) else 0
    top = _MARGIN + (2 * _MARGIN if any(column_labels) else 0)
    page = np.full(
        (
            top + len(rows) * (height + _GAP) - _GAP + _MARGIN,
            left + len(rows[0]) * (width + _GAP) - _GAP + _MARGIN,
            3,
        ),
        _PAPER,
        np.uint8,
    )
    for row, (tiles, label) in enumerate(zip(rows, row_labels, strict=True)):
        y = top + row * (height + _GAP)
        _write_text(page, label, _MARGIN, y + height // 2 + 5)
        for column, tile in enumerate(tiles):
            x = left + column * (width + _GAP)
            page[y : y + height, x : x + width] = tile
    for column, label in enumerate(column_labels):
        x = left + column * (width + _GAP) + (width - _text_width(label)) // 2
        _write_text(page, label, x, top - _MARGIN + 4)
    return page


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]) if text else 0


def _write_text(page: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    cv2.putText(page, text, (x, y), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)


def _write(file: Path, picture: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{file} cannot be written; choose a folder that can")


def _generated(
    generate: Generate, crops: NDArray[Any], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Adapted crops, a batch at a time."""
    parts = [
        np.asarray(generate(crops[i : i + _BATCH].astype(np.float32), noise[i : i + _BATCH].copy()))
        for i in range(0, len(crops), _BATCH)
    ]
    return np.concatenate(parts).astype(np.float32)


def _predictions(
    predict: Predict | None, pictures: NDArray[np.float32]
) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
    """Classes (looks, N) and poses (looks, N, 4), as far as the task network gives them."""
    if predict is None:
        return None, None
    looks, n = pictures.shape[:2]
    flat = torch.from_numpy(pictures).flatten(0, 1)
    with torch.no_grad():
        parts = [predict(part) for part in torch.split(flat, _BATCH)]
    classes = torch.cat([logits.argmax(dim=1) for logits, _ in parts]).cpu().numpy()
    poses = [pose for _, pose in parts if pose is not None]
    return (
        classes.reshape(looks, n),
        torch.cat(poses).cpu().numpy().reshape(looks, n, 4) if poses else None,
    )


def _spread(crops: LabelledCrops, n: int, seed: int) -> NDArray[np.int64]:
    """n crops drawn at random, the classes in turn, as far as there are that many."""
    random = np.random.default_rng([seed, 0, _PICK])
    order = random.permutation(len(crops))
    classes = crops.class_index[order]
    turn = np.empty(len(order), np.int64)  # How many of its class come before each.
    for class_index in np.unique(classes):
        here = classes == class_index
        turn[here] = np.arange(here.sum())
    return np.asarray(order[np.lexsort((classes, turn))][:n], np.int64)


def _take(crops: LabelledCrops, rows: NDArray[np.int64]) -> LabelledCrops:
    return dataclasses.replace(
        crops,
        images=crops.images[rows],
        masks=crops.masks[rows],
        class_index=crops.class_index[rows],
        quaternion=crops.quaternion[rows],
        pose_weight=None if crops.pose_weight is None else crops.pose_weight[rows],
    )


def _noise(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float32]:
    random = np.random.default_rng([seed, 0, stream])
    return random.uniform(-1.0, 1.0, shape).astype(np.float32)
