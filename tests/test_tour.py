"""The contributor's tour: what it says to do is done, and does what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.own_packages import MAIN, ROOT, attempt, run

DIFF = "examples/plug_ins/a_randomization_setting.diff"
COPIED = (
    "plug_ins", "checked_settings", "safe_files", "cad_models", "renderer", "adapter",
    "render_adapt", "tests", "docs",
)  # fmt: skip


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the packages as the tour's patch leaves them."""
    copy = tmp_path_factory.mktemp("tour")
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        ["git", "apply", ROOT / DIFF], cwd=copy, check=True,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)},
    )  # fmt: skip
    return os.environ | {"PYTHONPATH": str(copy)}


def make(environment: dict[str, str], folder: Path, out: str, vignette: float) -> Path:
    """Three crops on a board."""
    settings = folder / f"{out}.toml"
    settings.write_text(f'background = ["board"]\ncolor_noise = [4.0, 4.0]\n{vignette=}\n')
    run(
        MAIN, environment, folder, "--objects", "ape,cat", "--n", 3, "--adapter", "none",
        "--workers", 1, "--randomize", settings, "--out", out,
    )  # fmt: skip
    return folder / out / "train/000000"


def colors(scene: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    paths = sorted((scene / "rgb").iterdir())
    assert len(paths) == 3
    return np.stack([cv2.imread(str(path)) for path in paths]).astype(np.float64)


@pytest.mark.several_seconds
def test_a_randomization_setting_is_added_by_the_patch(
    changed: dict[str, str], tmp_path: Path
) -> None:
    without, darkened = (make(changed, tmp_path, f"v{v:g}", v) for v in (0.0, 1.0))
    for kind in ("depth", "mask", "mask_visib"):
        for path in sorted((without / kind).iterdir()):
            assert path.read_bytes() == (darkened / kind / path.name).read_bytes()
    for name in ("scene_gt.json", "scene_camera.json"):
        assert (without / name).read_bytes() == (darkened / name).read_bytes()
    before, after = colors(without), colors(darkened)
    corners, middle = np.s_[:, [0, 0, -1, -1], [0, -1, 0, -1]], np.s_[:, 30:34, 30:34]
    assert after[corners].mean() < 0.95 * before[corners].mean()
    assert after[middle].mean() == pytest.approx(before[middle].mean(), rel=0.02)
    assert "vignette" in json.loads((tmp_path / "v1/manifest.json").read_text())["randomization"]


@pytest.mark.several_seconds
def test_at_nothing_the_new_setting_leaves_every_crop_as_it_was(
    changed: dict[str, str], tmp_path: Path
) -> None:
    ours = os.environ | {"PYTHONPATH": str(ROOT)}
    (tmp_path / "old.toml").write_text('background = ["board"]\ncolor_noise = [4.0, 4.0]\n')
    run(
        MAIN, ours, tmp_path, "--objects", "ape,cat", "--n", 3, "--adapter", "none", "--workers",
        1, "--randomize", "old.toml", "--out", "old",
    )  # fmt: skip
    new = make(changed, tmp_path, "new", 0.0)
    for path in sorted((tmp_path / "old/train").rglob("*.png")):
        assert path.read_bytes() == (new / path.parent.name / path.name).read_bytes()


@pytest.mark.several_seconds
def test_the_new_setting_is_checked_and_described_like_all(
    changed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "much.toml").write_text("vignette = 1.5\n")
    refused = attempt(
        MAIN, changed, tmp_path, "--objects", "ape", "--n", 1, "--randomize", "much.toml", "--out",
        "d",
    )  # fmt: skip
    assert refused.returncode
    said = " ".join(refused.stderr.split())
    assert "vignette is 1.5: it must be" in said, said
    assert not (tmp_path / "d").exists()
    page = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "tests/test_randomization.py", "-k", "the_page_has_every_setting"],
        cwd=changed["PYTHONPATH"], env=changed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in page.stdout, page.stdout


def test_the_tour_names_files_and_tests_that_there_are() -> None:
    tour = (ROOT / "CONTRIBUTING.md").read_text().split("## A tour")[1].split("\n## ")[0]
    named = re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.(?:py|diff|md))`", tour)
    assert len(named) >= 12
    for name in named:
        assert (ROOT / name).is_file(), name
    assert {path.name for path in (ROOT / "examples/plug_ins").iterdir()} <= {
        part for name in re.findall(r"examples/[^`) ]+", tour) for part in name.split("/")
    }
