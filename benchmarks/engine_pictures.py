"""Pictures of the same plans drawn by every engine that works here, side by side.

    python -m benchmarks.engine_pictures --out build/engines

Each row is a crop. To the right of what the first engine draws are the others, and how they differ
from it: colour (four times as strong), depth (red: farther, blue: nearer; full at 0.01 mm) and the
visible masks (white: the pixels that are not of the same object).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import (
    ENGINES,
    CropBatch,
    Instances,
    PlanConfig,
    Plans,
    Surfaces,
    check_engine,
    make_plans,
    make_renderer,
    uniform_rotation,
)

COLOR_GAIN = 4
FULL_DEPTH_DIFFERENCE = 0.01
"""Millimetres."""

_HEADER = 22


def main() -> None:
    """Draw the crops and the frame of `--out`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/engines"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    models = load_models(["ape", "can", "cat", "driller", "duck", "phone"])
    textures = [_checks((230, 120, 40)), _checks((60, 140, 220))]
    names = [name for name in ENGINES if check_engine(name).works]
    engines = {name: make_renderer(name, models, textures=textures, levels=False) for name in names}
    pictures = {
        "crops": (crowded_crops(models, 6, textures=len(textures)), 3),
        "frame": (crowded_frame(models), 1),
    }
    for title, (plans, zoom) in pictures.items():
        batches = {name: engine.render(plans) for name, engine in engines.items()}
        file = arguments.out / f"{title}.png"
        draw_differences(file, batches, zoom)
        print(file)


def crowded_crops(
    models: Sequence[CadModel], count: int, *, size: int = 64, textures: int = 0
) -> Plans:
    """Crops with a target and two other objects, seen off-centre by cameras with oblong pixels."""
    rng = np.random.default_rng(5)
    plans = make_plans(PlanConfig(size=size, viewpoints="so3"), models, 7, 0, count)
    shift = rng.uniform((-60, -60, -90), (60, 60, 60), (count, 2, 3))
    others = Instances(
        object_index=rng.integers(0, len(models), (count, 2)).astype(np.int32),
        rotation=uniform_rotation(rng.random((2 * count, 3))).reshape(count, 2, 3, 3),
        translation=plans.translation[:, None] + shift,
    )
    surfaces = replace(
        Surfaces.plain(count, 2),
        gain=rng.uniform(0.7, 1.2, (count, 3, 3)).astype(np.float32),
        specular=rng.uniform(0, 0.5, (count, 3)).astype(np.float32),
        texture=rng.integers(-1, textures, (count, 3)).astype(np.int32),
    )
    camera_matrix = plans.camera_matrix.copy()
    camera_matrix[:, 0, 2] += rng.uniform(-6, 6, count) * size / 64
    camera_matrix[:, 1, 2] += rng.uniform(-6, 6, count) * size / 64
    camera_matrix[:, 1, 1] *= rng.uniform(0.9, 1.1, count)
    return replace(plans, others=others, surfaces=surfaces, camera_matrix=camera_matrix)


def crowded_frame(models: Sequence[CadModel]) -> Plans:
    """A frame of 640 x 480 pixels with six objects, by a camera like LINEMOD's."""
    rng = np.random.default_rng(3)
    plans = make_plans(PlanConfig(viewpoints="so3"), models, 1, 0, 1)
    places = [[[-180, -60, 60], [-60, 90, -60], [60, -70, -80], [150, 60, 90], [20, 20, 150]]]
    return replace(
        plans,
        translation=np.array([[0.0, 0.0, 800.0]]),
        others=Instances(
            object_index=(1 + np.arange(5, dtype=np.int32) % (len(models) - 1))[None],
            rotation=uniform_rotation(rng.random((5, 3)))[None],
            translation=np.array([0.0, 0.0, 800.0]) + places,
        ),
        surfaces=Surfaces.plain(1, 5),
        camera_matrix=np.array([[[1144.8, 0, 325.3], [0, 1147.2, 242.0], [0, 0, 1]]]),
        width=640,
        height=480,
    )


def draw_differences(file: Path, batches: Mapping[str, CropBatch], zoom: int = 3) -> None:
    """Write a picture of engines' crops of the same plans, and how they differ from the first.

    Small crops' engines stand beside each other, frames' below.
    """
    (first, reference), *rest = batches.items()
    groups = [{first: list(reference.rgb), "depth": [*map(_depth_colors, reference.depth)]}]
    for name, batch in rest:
        change = np.abs(batch.rgb.astype(np.int16) - reference.rgb)
        groups.append(
            {
                name: list(batch.rgb),
                f"colour, x {COLOR_GAIN}": [*np.minimum(COLOR_GAIN * change, 255).astype(np.uint8)],
                "depth": _depth_differences(reference, batch),
                "masks": [
                    np.repeat(255 * (a != b)[..., None].astype(np.uint8), 3, axis=2)
                    for a, b in zip(_owners(reference), _owners(batch), strict=True)
                ],
            }
        )
    rows = [
        np.concatenate([_strip(caption, images, zoom) for caption, images in group.items()], axis=1)
        for group in groups
    ]
    if reference.plans.width <= 128:
        picture = np.concatenate(rows, axis=1)
    else:
        width = max(row.shape[1] for row in rows)
        picture = np.concatenate(
            [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0))) for r in rows]
        )
    if not cv2.imwrite(str(file), picture[..., ::-1]):
        raise OSError(f"cannot write {file}")


def _owners(batch: CropBatch) -> NDArray[np.int64]:
    """(N, H, W), which object a pixel shows: 0 none, 1 the target, 2 and on the others."""
    masks = np.concatenate([batch.mask_visib[:, None], batch.others_mask_visib], axis=1)
    return np.where(masks.any(axis=1), 1 + masks.argmax(axis=1), 0)


def _depth_colors(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    measured = depth > 0
    if not measured.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = depth[measured].min(), depth[measured].max()
    level = np.clip(255 * (far - depth) / max(far - near, 1e-3), 0, 255).astype(np.uint8)
    colors = cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(measured[..., None], colors, 0).astype(np.uint8)


def _depth_differences(reference: CropBatch, batch: CropBatch) -> list[NDArray[np.uint8]]:
    """Grey where they agree, red where the second is farther, blue where it is nearer."""
    pictures = []
    for a, b in zip(reference.depth, batch.depth, strict=True):
        in_both = (a > 0) & (b > 0)
        change = np.clip((b.astype(np.float64) - a) / FULL_DEPTH_DIFFERENCE, -1, 1)
        red, blue = 60 + 195 * np.maximum(change, 0), 60 + 195 * np.maximum(-change, 0)
        picture = np.stack([red, np.full_like(red, 60), blue], axis=-1)
        picture = np.where(in_both[..., None], picture, 255 * ((a > 0) != (b > 0))[..., None])
        pictures.append(picture.astype(np.uint8))
    return pictures


def _strip(caption: str, images: list[NDArray[np.uint8]], zoom: int) -> NDArray[np.uint8]:
    """Images below each other, under a caption."""
    column = np.concatenate(
        [cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT) for image in images]
    )
    column = column.repeat(zoom, axis=0).repeat(zoom, axis=1)
    header = np.full((_HEADER, column.shape[1], 3), 40, np.uint8)
    size = min(0.45, 0.9 * column.shape[1] / (9 * len(caption)))
    cv2.putText(
        header, caption, (3, 15), cv2.FONT_HERSHEY_SIMPLEX, size, (255,) * 3, 1, cv2.LINE_AA
    )
    return np.concatenate([header, column])


def _checks(color: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Squares of a colour and of grey, with blended borders."""
    squares = np.indices((4, 6)).sum(axis=0)[..., None] % 2
    picture = np.where(squares == 1, np.array(color), 150).astype(np.uint8)
    return np.asarray(cv2.resize(picture, (96, 64), interpolation=cv2.INTER_LINEAR), np.uint8)


if __name__ == "__main__":
    main()
