"""Objects that are painted with their own coordinates, and a network that reads them off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor, nn

from cad_models import CadModel
from render_adapt._align.network import Dense
from renderer import RANDOMIZATIONS, CropBatch, PlanConfig, Plans, RasterRenderer, make_plans

NAMES = ("spike", "block")
EVEN_LIGHT = """preset = "none"
ambient_intensity = [1.0, 1.0]
light_intensity = [0.0, 0.0]
"""
"""Settings in which surfaces look as they are painted."""
_DARKEST, _COLORS = 25, 100
"""Of each channel: the first object has the lower hundred colours, the second the upper."""


def solids() -> dict[str, trimesh.Trimesh]:
    """Two closed solids without symmetries."""
    spike = trimesh.creation.cone(20, 90, sections=24)
    spike.apply_translation((25, 10, 10))
    tower = trimesh.creation.box((30, 30, 80))
    tower.apply_translation((-20, -10, 10))
    base = trimesh.creation.box((70, 50, 30))
    return {
        name: trimesh.util.concatenate([base, part]).subdivide().subdivide()
        for name, part in zip(NAMES, (spike, tower), strict=True)
    }


def write_painted(folder: Path) -> tuple[str, ...]:
    """Write the two objects and the light; how `--objects` names them."""
    for which, (name, solid) in enumerate(solids().items()):
        points = np.asarray(solid.vertices)
        share = (points - points.min(axis=0)) / np.ptp(points, axis=0)
        colors = np.rint(_DARKEST + which * (_COLORS + 20) + _COLORS * share).astype(np.uint8)
        painted = trimesh.Trimesh(points, solid.faces, vertex_colors=colors, process=False)
        painted.export(folder / f"{name}.ply")
    (folder / "even.toml").write_text(EVEN_LIGHT)
    return tuple(f"{name}={folder / name}.ply" for name in NAMES)


class ReadingNetwork(nn.Module):
    """Sees in crops of painted objects on black, at every other pixel, what their colours say."""

    def forward(self, x: Tensor) -> Dense:
        colors = (x.float() + 1) * 127.5
        colors = colors.unflatten(2, (-1, 2)).unflatten(4, (-1, 2))  # type: ignore[no-untyped-call]
        seen = (colors.amin(dim=(3, 5)) > 12).all(dim=1)
        middle = colors.mean(dim=(3, 5))
        upper = (middle > _DARKEST + _COLORS + 10).float().mean(dim=1)
        share = (upper * seen).sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)
        second = torch.where(share > 0.5, 5.0, -5.0)
        lowest = _DARKEST + torch.tensor([0.0, _COLORS + 20], device=x.device)
        coordinates = (middle[:, None] - lowest[None, :, None, None, None]) / _COLORS
        return Dense(
            torch.stack([-second, second], dim=1),
            torch.where(seen, 8.0, -8.0),
            coordinates,
        )


def planned(models: list[CadModel], count: int, size: int, seed: int = 77) -> Plans:
    """Plans of crops as `align` expects them where nothing is said of their cut."""
    return make_plans(PlanConfig(size=size), models, seed, 0, count, RANDOMIZATIONS["none"])


def rendered(models: list[CadModel], plans: Plans) -> CropBatch:
    """Crops in even light."""
    count = len(plans)
    even = {
        "light_color": np.zeros_like(plans.light_color),
        "ambient_color": np.ones((count, 3), np.float32),
    }
    return RasterRenderer(models, 1, levels=False).render(replace(plans, **even))


def write_target(folder: Path, rgb: NDArray[np.uint8], first: int = 0) -> None:
    """Write crops as a folder of pictures."""
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(rgb, first):
        cv2.imwrite(str(folder / f"{number:04d}.png"), np.ascontiguousarray(picture[..., ::-1]))
