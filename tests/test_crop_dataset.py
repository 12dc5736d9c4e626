"""Crops out of an existing dataset's frames: pixels, K, poses and masks are the frames' own."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cad_models import load_models
from render_adapt import (
    CropConfig,
    CropSummary,
    DatasetError,
    LabelledCrop,
    SettingError,
    crop_dataset,
    load,
    repair,
    verify,
)
from renderer import centre_points
from tests.bop_sets import OBJECTS, write_bop_set
from tests.command import run_command

pytestmark = pytest.mark.several_seconds


def crop(dataset: Path, out: Path, **settings: Any) -> CropSummary:
    return crop_dataset(dataset, CropConfig(out=out, **settings))


def rows_of(out: Path) -> dict[int, dict[str, str]]:
    """Of the table, by the crop's number."""
    lines = (out / "cut_from.csv").read_text().splitlines()
    return {int(row["index"]): row for row in csv.DictReader(lines)}


def by_number(summary: CropSummary) -> dict[int, LabelledCrop]:
    loaded = load(summary.folder)
    return dict(zip(loaded.columns["index"].tolist(), loaded, strict=True))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bop_set(tmp_path_factory.mktemp("bop"))


@pytest.fixture(scope="module")
def cut(theirs: Path) -> CropSummary:
    return crop(theirs, theirs.parent / "crops")


@pytest.fixture
def copy(theirs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(theirs, tmp_path / "copy")


def crops_with_sources(
    summary: CropSummary, dataset: Path
) -> list[tuple[LabelledCrop, dict[str, str], Path]]:
    loaded = load(summary.folder)
    rows = rows_of(summary.folder)
    return [
        (one, rows[int(number)], dataset / rows[int(number)]["scene"])
        for one, number in zip(loaded, loaded.columns["index"], strict=True)
    ]


def test_crops_are_windows_of_the_frames(theirs: Path, cut: CropSummary) -> None:
    crops = crops_with_sources(cut, theirs)
    assert len(crops) == cut.crops == sum(cut.by_object.values()) > 8
    assert cut.crops + cut.beyond + cut.hidden == 18
    for one, row, scene in crops:
        left, top, side = (int(row[name]) for name in ("left", "top", "side"))
        window = np.s_[top : top + side, left : left + side]
        (file,) = scene.glob(f"rgb/{int(row['im_id']):06d}.*")
        method = cv2.INTER_AREA if side > 64 else cv2.INTER_LINEAR
        picture = cv2.resize(cv2.imread(str(file))[window], (64, 64), interpolation=method)
        np.testing.assert_array_equal(one.rgb, picture[..., ::-1])
        depth = cv2.imread(str(scene / f"depth/{int(row['im_id']):06d}.png"), -1)[window] * 0.1
        assert np.isin(np.rint(one.depth * 10), np.rint(depth * 10)).all()
        assert np.median(np.abs(one.depth - cv2.resize(depth, (64, 64)))) < 8


def test_poses_are_the_frames_and_k_is_exact_for_them(theirs: Path, cut: CropSummary) -> None:
    models = {model.object_id: model for model in load_models(list(OBJECTS))}
    for one, row, scene in crops_with_sources(cut, theirs):
        truth = json.loads((scene / "scene_gt.json").read_text())[row["im_id"]]
        entry = truth[int(row["instance"])]
        assert one.object_id[0] == entry["obj_id"]
        np.testing.assert_allclose(one.rotation[0].ravel(), entry["cam_R_m2c"], atol=1e-9)
        np.testing.assert_array_equal(one.translation[0], entry["cam_t_m2c"])
        camera = json.loads((scene / "scene_camera.json").read_text())[row["im_id"]]
        scale = 64 / int(row["side"])
        k = np.array(camera["cam_K"]).reshape(3, 3)
        point = models[entry["obj_id"]].mesh.vertices[::50] @ one.rotation[0].T + one.translation[0]
        in_frame, in_crop = (point @ matrix.T for matrix in (k, one.camera_matrix))
        corner = [int(row["left"]), int(row["top"])]
        expected = (in_frame[:, :2] / in_frame[:, 2:] + 0.5 - corner) * scale - 0.5
        np.testing.assert_allclose(in_crop[:, :2] / in_crop[:, 2:], expected, atol=1e-6)
        middle = centre_points([models[entry["obj_id"]]], "mean")[0]
        pixel = one.camera_matrix @ (one.rotation[0] @ middle + one.translation[0])
        assert np.abs(pixel[:2] / pixel[2] - 31.5).max() <= 0.5 * scale + 1e-6
        shown = 64 * pixel[2] / one.camera_matrix[0, 0]
        assert 200 * (1 - 2 / int(row["side"])) <= shown <= 200 + 1e-6


def test_masks_follow_the_poses_and_the_datasets_own(copy: Path, tmp_path: Path) -> None:
    whole = crop(copy, tmp_path / "whole")
    assert verify(whole.folder, workers=1).bad == ()
    for one, row, scene in crops_with_sources(whole, copy):
        left, top, side = (int(row[name]) for name in ("left", "top", "side"))
        name = f"mask_visib/{int(row['im_id']):06d}_{int(row['instance']):06d}.png"
        mask = cv2.imread(str(scene / name), -1)[top : top + side, left : left + side]
        own = cv2.resize(mask.astype(np.float32), (64, 64)) > 127
        assert (one.mask_visib[0] & own).sum() > 0.85 * (one.mask_visib[0] | own).sum()
    hidden, half = (
        copy / "train_pbr/000000" / f"mask_visib/{image:06d}_000000.png" for image in (0, 1)
    )
    cv2.imwrite(str(hidden), np.zeros((180, 240), np.uint8))
    mask = cv2.imread(str(half), -1)
    mask[:, : int(np.flatnonzero(mask.any(axis=0)).mean())] = 0
    cv2.imwrite(str(half), mask)
    lacking = crop(copy, tmp_path / "lacking")
    assert verify(lacking.folder, workers=1).bad == ()
    assert (lacking.crops, lacking.hidden) == (whole.crops - 1, whole.hidden + 1)
    before, after = (
        {
            int(k): one
            for one, k in zip(load(s.folder), load(s.folder).columns["index"], strict=True)
        }
        for s in (whole, lacking)
    )
    assert len(before.keys() - after.keys()) == 1
    lost = [
        before[k].px_count_visib[0] - after[k].px_count_visib[0]
        for k, row in rows_of(lacking.folder).items()
        if k in after and (row["im_id"], row["instance"]) == ("1", "0") and "000000" in row["scene"]
    ]
    assert lost
    assert lost[0] > 50


def test_what_was_stopped_is_continued_with_the_same_bytes(
    theirs: Path, cut: CropSummary, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        crop_dataset(theirs, CropConfig(out=out), stop)
    with pytest.raises(DatasetError, match="has not been finished"):
        load(out)
    assert crop(theirs, out).sha256 == cut.sha256
    assert crop(theirs, out).sha256 == cut.sha256
    assert verify(out, sha256=cut.sha256, workers=1).bad == ()


def test_other_sizes_windows_and_formats(theirs: Path, tmp_path: Path) -> None:
    summary = crop(
        theirs, tmp_path / "out", size=128, window=150.0, centre="box",
        format=("bop", "bop-webdataset"),
    )  # fmt: skip
    assert verify(summary.folder, workers=1).bad == ()
    for one, other in zip(
        load(summary.folder), load(summary.folder, "bop-webdataset"), strict=True
    ):
        assert one.rgb.shape == (128, 128, 3)
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.mask_visib, other.mask_visib)


def test_what_cannot_be_cut_is_one_sentence(theirs: Path, cut: CropSummary, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no object of .* has a crop: of 1\d the window"):
        crop(theirs, tmp_path / "out", window=5000.0)
    with pytest.raises(DatasetError, match="lie in each other"):
        crop(theirs, theirs / "crops")
    with pytest.raises(DatasetError, match=r"another run \(.*window"):
        crop(theirs, cut.folder, window=180.0)
    with pytest.raises(SettingError, match="`format` is png"):
        CropConfig(out=tmp_path, format=("png",))
    assert not (tmp_path / "out").exists()
    damaged = shutil.copytree(cut.folder, tmp_path / "damaged")
    (damaged / "train/000000/rgb/000000.png").write_bytes(b"x")
    with pytest.raises(DatasetError, match="made by render-adapt crop, from frames"):
        repair(verify(damaged, workers=1))


def test_real_frames_and_the_command(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LM-O, without masks: what is seen follows from the poses."""
    shutil.copytree(data_dir / "lmo/test/000002", tmp_path / "lmo/test/000002")
    pictures = sorted((tmp_path / "lmo/test/000002/rgb").iterdir())
    for file in pictures[3:]:
        file.unlink()
    models, out = data_dir / "linemod/models", tmp_path / "out"
    with pytest.raises(SystemExit) as done:
        run_command("crop", tmp_path / "lmo", "--models", models, "--out", out)
    assert not done.value.code
    assert "crops: ape" in capsys.readouterr().out
    assert len(load(out)) > 15
    assert cv2.imread(str(out / "contact_sheet.png")).shape == (768, 1024, 3)
    assert verify(out, workers=1).bad == ()
