"""A BOP dataset as somebody else may have made it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2

from render_adapt import RunConfig, generate
from renderer import RANDOMIZATIONS

OBJECTS = ("ape", "cat", "duck")


def write_bop_set(folder: Path, frames: int = 3, background: str = "board") -> Path:
    """Frames of three objects in two scenes of `train_pbr`; the second one's pictures are JPEG."""
    generate(
        RunConfig(
            objects=OBJECTS, n=frames, seed=3, workers=1, frames="240x180", objects_per_frame=3,
            adapter="none", out=folder / "run", distance=(450, 700),
            randomize=replace(RANDOMIZATIONS["linemod"], background=(background,)),
        )
    )  # fmt: skip
    dataset = folder / "theirs"
    for scene in ("000000", "000007"):
        shutil.copytree(folder / "run/train/000000", dataset / "train_pbr" / scene)
    for file in (dataset / "train_pbr/000007/rgb").iterdir():
        cv2.imwrite(str(file.with_suffix(".jpg")), cv2.imread(str(file)))
        file.unlink()
    shutil.copytree(folder / "run/models", dataset / "models")
    shutil.copy(folder / "run/camera.json", dataset)
    (dataset / "test_targets_bop19.json").write_text("[]\n")
    return dataset
