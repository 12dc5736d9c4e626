"""A contact sheet for each thing that is randomised, from least to greatest.

    python -m benchmarks.randomization_sheets --out build/sheets --photographs DIR

The columns of a sheet are the same crops in every row; rows differ in the one setting that is named
beside them. Without `--photographs` the photographs' row is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import (
    RANDOMIZATIONS,
    Centre,
    CropBatch,
    PlanConfig,
    Randomization,
    RasterRenderer,
    make_plans,
)
from renderer._capture.capture import capture
from renderer._pictures.folders import load_photographs, load_textures

OBJECTS = ("duck", "cat", "driller", "can", "ape", "glue", "holepuncher", "iron")
COLUMNS = 10
SCALE, GAP, LABEL_HEIGHT = 2, 3, 18
DEPTH_REACH = 100.0

Row = tuple[str, dict[str, Any]]


def sheets(photographs: Path | None) -> dict[str, list[Row]]:
    """The rows of every sheet: what to write beside each, and its settings."""
    board: dict[str, Any] = {"background": ("board",)}

    def constant(name: str, *values: float) -> list[Row]:
        return [(f"{name} {value:g}", {name: (value, value)}) for value in values]

    def amount(name: str, *values: float) -> list[Row]:
        return [(f"{name} up to {value:g}", {name: value}) for value in values]

    names = ("black", "board", "procedural")
    backgrounds: list[Row] = [(name, {"background": (name,)}) for name in names]
    if photographs is not None:
        pictures = {"background": ("photographs",), "photographs": photographs}
        backgrounds.append(("photographs", pictures))
    sensors: list[Row] = [
        ("exact", board),
        *[
            (
                f"gaussian, {noise:g} mm at 1 m",
                board | {"depth_sensor": "gaussian", "depth_noise": (noise, noise)},
            )
            for noise in (1.0, 2.0, 5.0)
        ],
        ("structured-light", board | {"depth_sensor": "structured-light"}),
        ("structured-light, black background", {"depth_sensor": "structured-light"}),
    ]
    return {
        "light_direction": amount("light_angle", 0, 30, 60, 90, 120),
        "light_intensity": constant("light_intensity", 0, 0.3, 0.6, 0.9, 1.2),
        "ambient_intensity": constant("ambient_intensity", 0.1, 0.3, 0.5, 0.7),
        "light_tint": amount("light_tint", 0, 0.1, 0.25, 0.5),
        "lights": [
            (f"lights {count}", {"lights": (count, count), "light_angle": 90.0})
            for count in (1, 2, 3, 8)
        ],
        "color_jitter": amount("color_jitter", 0, 0.15, 0.3, 0.6),
        "specular": [
            (f"specular {s:g}", {"specular": (s, s), "light_angle": 40.0})
            for s in (0, 0.3, 0.6, 1.0)
        ],
        "texture_swap": [(f"texture_swap {s:g}", {"texture_swap": s}) for s in (0, 0.15, 0.5, 1.0)],
        "background": backgrounds,
        "occluders": [(f"occluders {n}", {"occluders": (n, n)} | board) for n in (0, 1, 2, 3)],
        "neighbours": [(f"neighbours {n}", {"neighbours": (n, n)} | board) for n in (0, 1, 2, 4)],
        "off_centre": amount("off_centre", 0, 0.1, 0.2, 0.4),
        "zoom": constant("zoom", 0.6, 0.85, 1, 1.2, 2),
        "motion_blur": constant("motion_blur", 0, 1, 2.5, 5),
        "focus_blur": constant("focus_blur", 0, 0.5, 0.9, 2),
        "exposure": constant("exposure", -1.2, -0.6, 0, 0.6, 1.2),
        "white_balance": amount("white_balance", 0, 0.15, 0.3, 0.5),
        "color_noise": constant("color_noise", 0, 4, 8, 16),
        "depth_sensor": sensors,
    }


def cuts() -> dict[str, list[tuple[str, PlanConfig]]]:
    """The rows of the sheets of where crops are cut."""
    centres: tuple[Centre, ...] = ("box", "mean", "origin", "visible")
    return {
        "centre": [(f"centre {name}", PlanConfig(centre=name)) for name in centres],
        "off_axis": [(f"off_axis {o:g}", PlanConfig(off_axis=o)) for o in (0.0, 10.0, 25.0, 45.0)],
    }


def main() -> None:
    """Write one PNG for each sheet, and one of the presets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/sheets"))
    parser.add_argument("--photographs", type=Path, help="a folder of pictures")
    parser.add_argument("--only", help="one sheet's name")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    sheet_renderer = SheetRenderer(arguments.photographs, arguments.seed)
    base = replace(RANDOMIZATIONS["none"], light_angle=40.0)
    for name, rows in sheets(arguments.photographs).items():
        if arguments.only not in (None, name):
            continue
        pictures = []
        for label, changes in rows:
            crops = sheet_renderer.crops(replace(base, **changes), COLUMNS)
            pictures += [title_strip(label, COLUMNS), row_of(crops.rgb)]
            if name == "depth_sensor":
                pictures[-1] = row_of(depth_colors(crops))
            elif name in ("occluders", "neighbours", "background"):
                pictures += [row_of(depth_colors(crops)), row_of(color_masks(crops))]
        write(arguments.out / f"{name}.png", pictures)
    cut_look = replace(base, background=("board",), occluders=(1, 1), neighbours=(1, 1))
    for name, plans in cuts().items():
        if arguments.only not in (None, name):
            continue
        pictures = []
        for label, plan in plans:
            crops = sheet_renderer.crops(cut_look, COLUMNS, plan)
            pictures += [title_strip(label, COLUMNS), aimed(row_of(outlined(crops)))]
        write(arguments.out / f"{name}.png", pictures)
    if arguments.only in (None, "presets"):
        pictures = []
        for label, preset in RANDOMIZATIONS.items():
            crops = sheet_renderer.crops(preset, 4 * COLUMNS)
            for first in range(0, len(crops), COLUMNS):
                part = slice(first, first + COLUMNS)
                pictures += [title_strip(label, COLUMNS)] if first == 0 else []
                pictures += [row_of(crops.rgb[part]), row_of(depth_colors(crops)[part])]
        write(arguments.out / "presets.png", pictures)


class SheetRenderer:
    """What every sheet is made with."""

    def __init__(self, photographs: Path | None, seed: int) -> None:
        self._seed = seed
        self._models: list[CadModel] = load_models(OBJECTS)
        self._textures = load_textures(None)
        self._renderer = RasterRenderer(self._models, textures=self._textures)
        self._photographs = [] if photographs is None else load_photographs(photographs)

    def crops(
        self, randomization: Randomization, count: int, plan: PlanConfig | None = None
    ) -> CropBatch:
        """Crops 0 to `count` as they are captured."""
        plans = make_plans(
            plan or PlanConfig(), self._models, self._seed, 0, count, randomization,
            textures=len(self._textures),
        )  # fmt: skip
        renders = self._renderer.render(plans)
        return capture(renders, randomization, self._seed, self._models, self._photographs)


def depth_colors(crops: CropBatch) -> NDArray[np.uint8]:
    """Blue to red over 100 mm to either side of the target's centre; black: no measurement."""
    middle = crops.plans.centre_depth[:, None, None]
    share = np.clip((crops.depth - middle) / (2 * DEPTH_REACH) + 0.5, 0, 1)
    steps = np.rint(255 * share).astype(np.uint8)
    colors = np.stack([cv2.applyColorMap(image, cv2.COLORMAP_TURBO)[..., ::-1] for image in steps])
    colors[crops.depth == 0] = 0
    return colors.astype(np.uint8)


def color_masks(crops: CropBatch) -> NDArray[np.uint8]:
    """Green: what is seen of the target, dark green: what is hidden; others in blue."""
    colors = np.full(crops.rgb.shape, 20, np.uint8)
    for place in range(crops.others_mask.shape[1]):
        colors[crops.others_mask_visib[:, place]] = (60, 110 + 30 * (place % 5), 230)
    colors[crops.mask & ~crops.mask_visib] //= 2
    colors[crops.mask & ~crops.mask_visib] += np.array([0, 70, 0], np.uint8)
    colors[crops.mask_visib] = (0, 230, 60)
    return colors


def outlined(crops: CropBatch) -> NDArray[np.uint8]:
    """With a green line around what is seen of the target."""
    colors = crops.rgb.copy()
    for picture, visible in zip(colors, crops.mask_visib, strict=True):
        mask = visible.astype(np.uint8)
        picture[(cv2.dilate(mask, np.ones((3, 3), np.uint8)) - mask).astype(bool)] = (0, 230, 60)
    return colors


def aimed(row: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A row of crops with a red cross in the middle of each."""
    side = 64 * SCALE
    for left in range(0, row.shape[1] - side, side + GAP):
        middle = (left + side // 2, side // 2)
        cv2.drawMarker(row, middle, (255, 0, 0), cv2.MARKER_CROSS, 11, 1)
    return row


def title_strip(text: str, columns: int) -> NDArray[np.uint8]:
    """A white strip with a line of text, as wide as so many crops of 64 pixels."""
    strip = np.full((LABEL_HEIGHT, columns * (64 * SCALE + GAP), 3), 255, np.uint8)
    cv2.putText(strip, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def row_of(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crops side by side, enlarged, with white gaps."""
    large = crops.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    padded = np.pad(large, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    return np.hstack(list(padded))


def write(file: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Write rows of RGB pictures as one PNG."""
    cv2.imwrite(str(file), np.vstack(pictures)[..., ::-1])
    print(file)


if __name__ == "__main__":
    main()
