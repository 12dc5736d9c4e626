"""What `import renderer` gives and costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_origin

import pytest

import renderer


def test_public_names_are_there_and_explained() -> None:
    for name in renderer.__all__:
        # Python gives the names of types for annotations no docstring.
        assert getattr(renderer, name).__doc__ or get_origin(getattr(renderer, name)) is Literal
    with pytest.raises(AttributeError, match="no attribute 'NoRenderer'"):
        _ = renderer.NoRenderer


def test_importing_loads_neither_compiler_nor_mesh_library() -> None:
    code = (
        "import sys, renderer; renderer.make_plans;"
        "print(*sorted({'numba', 'scipy', 'torch', 'trimesh'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


COMPILE = """
import logging, numpy as np
logging.basicConfig(level=logging.INFO, format="%(message)s")
from renderer import PlanConfig, RasterRenderer, make_plans
from tests.shapes import rectangle
models = [rectangle(-30, -30, 30, 30)]
print(RasterRenderer(models).render(make_plans(PlanConfig(), models, 0, 0, 1)).mask.any())
"""


@pytest.mark.several_seconds
def test_compiling_is_announced_once(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for announced in (True, False):
        result = subprocess.run(
            [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True,
            cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip
        assert result.stdout == "True\n", result.stderr
        assert ("Compiling the rasteriser" in result.stderr) == announced


FIRST_CROP = """
import sys
from cad_models import load_models
from render_adapt import label_crops
from renderer import PlanConfig, RasterRenderer, make_plans
models = load_models(["ape"])
renderer = RasterRenderer(models, levels=False)
crops = renderer.render(make_plans(PlanConfig(window=1000), models, 0, 0, 1))
print(len(label_crops(crops, renderer, models)))
print(sorted({"scipy.sparse", "scipy.spatial", "pyarrow", "torch"} & set(sys.modules)))
"""


def test_a_crop_within_its_borders_waits_for_no_library_that_takes_long_to_import() -> None:
    result = subprocess.run(
        [sys.executable, "-c", FIRST_CROP], capture_output=True, text=True, check=True
    )
    assert result.stdout == "1\n[]\n", result.stderr
