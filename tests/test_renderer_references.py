"""The rasteriser against renders of the LINEMOD models made by others.

What was found out about those renders, by searching over distance, centre and rotation for the
best agreement of silhouettes:

- their camera looks at the mean of the mesh's vertices from 600 mm (best of 400 to 1200 mm);
- they are anti-aliased on black, so that every pixel that the object touches is lit: silhouettes
  are taken here at 4 x 4 samples a pixel, lit where any sample is;
- the ape's poses are those of a model turned by half a turn about z against BOP's: silhouettes
  agree at 0.98 with that turn and at 0.79 without. The labels of the real ape crops need the same
  turn (their reddish pixels agree with the silhouette at 0.78 with it, 0.69 without). No other
  object needs one.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import Plans, RasterRenderer, matrix_from_quaternion, plans_from_poses

DISTANCE = 600.0
SAMPLES = 4
HALF_TURN = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    return data_dir / "linemod"


def reference(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Every tenth render, (N, 64, 64, 3) RGB, and its rotation, (N, 3, 3)."""
    poses = json.loads((folder / "renders/fine/poses.json").read_text())[name]
    frames = list(poses)[::10]
    files = [folder / "renders/fine" / name / f"{frame}.png" for frame in frames]
    images = np.stack([cv2.imread(str(file))[..., ::-1] for file in files])
    return images, matrix_from_quaternion([poses[frame] for frame in frames])


def as_referenced(model: CadModel, rotation: NDArray[np.float64], size: int = 64) -> Plans:
    """Plans that look at the mean of the vertices."""
    count = len(rotation)
    plans = plans_from_poses(
        [model], np.zeros(count, int), rotation, DISTANCE, size=size, canonical=False
    )
    middle = model.mesh.vertices.mean(axis=0, dtype=np.float64)
    return dataclasses.replace(plans, translation=[0, 0, DISTANCE] - rotation @ middle)


def silhouette_agreement(folder: Path, name: str, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    (model,) = load_models([name], models=folder / "models")
    images, rotation = reference(folder, name)
    batch = RasterRenderer([model], levels=False).render(
        as_referenced(model, rotation @ turn, 64 * SAMPLES)
    )
    ours = batch.mask.reshape(-1, 64, SAMPLES, 64, SAMPLES).any(axis=(2, 4))
    theirs = images.any(axis=-1)
    return np.asarray((ours & theirs).sum(axis=(1, 2)) / (ours | theirs).sum(axis=(1, 2)))


@pytest.mark.parametrize("name", ["benchvise", "cam", "cat", "duck"])
def test_silhouettes_agree_with_reference_renders(name: str, folder: Path) -> None:
    agreement = silhouette_agreement(folder, name, np.eye(3))
    assert agreement.mean() >= 0.96
    assert agreement.min() >= 0.93


def test_the_ape_agrees_when_turned_half_round(folder: Path) -> None:
    assert silhouette_agreement(folder, "ape", HALF_TURN).mean() >= 0.96
    assert silhouette_agreement(folder, "ape", np.eye(3)).mean() < 0.85


@pytest.mark.parametrize("name", ["ape", "cat", "duck"])
def test_colors_agree_with_reference_renders(name: str, folder: Path) -> None:
    (model,) = load_models([name], models=folder / "models")
    images, rotation = reference(folder, name)
    turn = HALF_TURN if name == "ape" else np.eye(3)
    batch = RasterRenderer([model], levels=False).render(as_referenced(model, rotation @ turn))
    # Lights differ, hues do not: compare each object's share of red, green and blue.
    ours = batch.rgb[batch.mask].mean(axis=0)
    theirs = images[images.any(axis=-1)].mean(axis=0)
    np.testing.assert_allclose(ours / ours.sum(), theirs / theirs.sum(), atol=0.04)
