"""bop_toolkit's own scripts agree with what we write, and the comparison that says so can fail."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("embreex")

from benchmarks.bop_toolkit_check import check, compare, make_dataset

UNEXPLAINED = "differences that are not explained"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("bop") / "dataset", 6, "raster")


def test_the_toolkits_scripts_agree_in_both_formats(dataset: Path) -> None:
    """Needs a checkout of bop_toolkit, and a Python with what that needs."""
    if "RENDER_ADAPT_BOP_TOOLKIT" not in os.environ:
        pytest.skip("set RENDER_ADAPT_BOP_TOOLKIT (a checkout) and RENDER_ADAPT_BOP_PYTHON")
    toolkit = Path(os.environ["RENDER_ADAPT_BOP_TOOLKIT"])
    python = Path(os.environ.get("RENDER_ADAPT_BOP_PYTHON", sys.executable))
    tables = check(dataset, toolkit, python)
    assert tables["bop"] == tables["bop-webdataset"]
    assert tables["bop"][UNEXPLAINED] == 0
    assert tables["bop"]["pictures that vis_poses drew"] == 6
    assert tables["bop"]["objects"] > 15
    # One pixel in some ten thousand lies on an outline, to what OpenGL rounds.
    assert tables["bop"]["pixels of masks that differ"] <= 6


def move_mask(scene: Path) -> None:
    path = scene / "mask/000003_000000.png"
    cv2.imwrite(str(path), np.roll(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 1, axis=1))


def hide_a_pixel(scene: Path) -> None:
    """In the middle of what is seen, where nothing can be a matter of rounding."""
    path = scene / "mask_visib/000003_000000.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    mask[np.unravel_index(inside.argmax(), mask.shape)] = 0
    cv2.imwrite(str(path), mask)


def count_more(scene: Path) -> None:
    path = scene / "scene_gt_info.json"
    info = json.loads(path.read_text())
    info["3"][0]["px_count_all"] += 40
    path.write_text(json.dumps(info))


def widen_box(scene: Path) -> None:
    path = scene / "scene_gt_info.json"
    info = json.loads(path.read_text())
    info["3"][0]["bbox_obj"][2] += 2
    path.write_text(json.dumps(info))


def widen_coco_box(scene: Path) -> None:
    path = scene / "scene_gt_coco.json"
    coco = json.loads(path.read_text())
    coco["annotations"][5]["bbox"][2] += 1
    path.write_text(json.dumps(coco))


def swell_model(scene: Path) -> None:
    path = scene.parents[1] / "models/models_info.json"
    info = json.loads(path.read_text())
    info["1"]["diameter"] += 0.01
    path.write_text(json.dumps(info))


@pytest.mark.parametrize(
    "fault",
    [None, move_mask, hide_a_pixel, count_more, widen_box, widen_coco_box, swell_model],
)
def test_what_is_wrong_is_counted(
    fault: Callable[[Path], None] | None, dataset: Path, tmp_path: Path
) -> None:
    """A copy that stands for what the toolkit wrote."""
    theirs = shutil.copytree(dataset, tmp_path / "theirs")
    if fault:
        fault(theirs / "train/000000")
    table = compare(dataset, dataset, theirs)
    assert (table[UNEXPLAINED] > 0) == (fault is not None)
