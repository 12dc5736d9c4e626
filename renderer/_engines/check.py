"""Whether an engine works on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cad_models import CadModel, Mesh, Symmetries
from checked_settings import RenderAdaptError, WrongValue, alternatives
from renderer._crops import CropBatch, Instances, Plans, Surfaces
from renderer._engines.registry import ENGINES, make_renderer

_CHECK_SECONDS = 180
_HOME = Path(__file__).resolve().parents[2]
"""The folder that the packages are in."""


@dataclass(frozen=True)
class EngineCheck:
    """Whether an engine works on this machine."""

    name: str
    works: bool
    message: str
    """What it draws with, or one sentence on what is missing and what to do."""


def check_engine(name: str) -> EngineCheck:
    """Whether an engine works here: it draws a small crop in a process of its own.

    So no driver that crashes takes this process with it. It takes some seconds.

    Raises:
        WrongValue: there is no engine of that name.
    """
    if name not in ENGINES:
        raise WrongValue("renderer", name, alternatives(ENGINES))
    # Without the working directory, where anything may be; the packages' own folder comes last.
    code = (
        f"import sys; sys.path.append({str(_HOME)!r}); "
        f"from renderer._engines import check; check.report_trial({name!r})"
    )
    try:
        result = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True, text=True, timeout=_CHECK_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return EngineCheck(name, False, f"it has drawn nothing in {_CHECK_SECONDS} s")
    lines = result.stdout.splitlines()
    if result.returncode != 0 or not lines:
        error_lines = result.stderr.strip().splitlines()
        last = f", saying: {error_lines[-1].strip()}" if error_lines else ""
        return EngineCheck(
            name, False, f"it ends the process (exit code {result.returncode}){last}"
        )
    works, message = json.loads(lines[-1])
    return EngineCheck(name, works, message)


def report_trial(name: str) -> None:
    """Try an engine in this process, and print what came of it as a line of JSON."""
    try:
        renderer = make_renderer(name, _plates())
        problem = _difference(renderer.render(_trial_plans()))
        works = problem is None
        message = problem or renderer.description
    except RenderAdaptError as error:
        works, message = False, str(error)
    except ImportError as error:
        works, message = False, f"{error}: install render-adapt again, with what it needs"
    sys.stdout.write(json.dumps([works, message]) + "\n")
    sys.stdout.flush()


def _plates() -> list[CadModel]:
    """A square of 80 mm and one of 20 mm, both grey, in the plane z = 0, facing -z."""
    models = []
    for number, half in enumerate((40.0, 10.0)):
        corners = [(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)]
        mesh = Mesh(
            vertices=np.array(corners, np.float32),
            faces=np.array([(0, 2, 1), (0, 3, 2)], np.int32),
            normals=np.tile(np.array([0, 0, -1], np.float32), (4, 1)),
            colors=np.full((4, 3), 200, np.uint8),
        )
        models.append(
            CadModel(f"plate-{number}", 1 + number, mesh, 3 * half, Symmetries(), "", "0" * 64)
        )
    return models


_TARGET = (slice(5, 13), slice(4, 12))
"""Rows and columns of the large plate in the trial's crop."""
_OTHER = (slice(7, 11), slice(6, 10))
"""Of the small one, which is before it."""


def _trial_plans() -> Plans:
    """A crop in which the large plate is 8 pixels wide, 1 m away, and the small one 4, 0.5 m."""
    turn = np.eye(3)
    return Plans(
        index=np.array([0]),
        object_index=np.array([0], np.int32),
        rotation=turn[None],
        translation=np.array([[0.0, 0.0, 1000.0]]),
        others=Instances(
            np.array([[1]], np.int32), turn[None, None], np.array([[[0.0, 0.0, 500.0]]])
        ),
        camera_matrix=np.array([[[100.0, 0.0, 8.0], [0.0, 100.0, 9.0], [0.0, 0.0, 1.0]]]),
        centre_depth=np.array([1000.0]),
        light_direction=np.array([[[0.0, 0.0, -1.0]]], np.float32),
        light_color=np.full((1, 1, 3), 0.5, np.float32),
        ambient_color=np.full((1, 3), 0.25, np.float32),
        surfaces=Surfaces.plain(1, 1),
        width=16,
        height=16,
    )


def _difference(crops: CropBatch) -> str | None:
    """What is wrong with the trial's crop, if anything."""
    target, occluder = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    target[_TARGET], occluder[_OTHER] = True, True
    depth = np.where(occluder, 500.0, np.where(target, 1000.0, 0.0))
    masks = (
        (crops.mask[0], target), (crops.mask_visib[0], target & ~occluder),
        (crops.others_mask[0, 0], occluder), (crops.others_mask_visib[0, 0], occluder),
    )  # fmt: skip
    difference = None
    if not all(np.array_equal(drawn, expected) for drawn, expected in masks):
        difference = "its masks are"
    elif not np.allclose(crops.depth[0], depth, atol=0.01):
        difference = "its depth is"
    elif np.abs(crops.rgb[0][occluder].astype(int) - 150).max() > 2:
        difference = "its colour is"
    advice = "renew the driver, or the package"
    return difference and f"it draws, but {difference} wrong on a crop that is known: {advice}"
