"""`render-adapt align`: what crops show and how it lies, on objects that can be read exactly."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import render_adapt
from cad_models import CadModel, load_models
from render_adapt import AlignConfig, AlignSummary, DatasetError, PreparedShard, align
from renderer import CropBatch, angle_between, matrix_from_quaternion
from tests.command import run_command
from tests.painted import NAMES, ReadingNetwork, planned, rendered, write_painted, write_target

pytestmark = pytest.mark.several_seconds

CROPS, CALIBRATION, SIZE = 16, 30, 64
TRAIN = "render_adapt._align.run.train_network"
STRANGE = ("black", "noise")
"""Pictures in the target that show no object."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the objects, and with a target of them and of nothing."""
    folder = tmp_path_factory.mktemp("painted")
    write_painted(folder)
    write_target(folder / "crops", crops_of(models_in(folder)).rgb)
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    for name, picture in zip(STRANGE, (np.zeros_like(noise), noise), strict=True):
        cv2.imwrite(str(folder / "crops" / f"{name}.png"), picture)
    return folder


def models_in(folder: Path) -> list[CadModel]:
    return load_models([f"{name}={folder / name}.ply" for name in NAMES])


def crops_of(models: list[CadModel]) -> CropBatch:
    return rendered(models, planned(models, CROPS, SIZE))


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained: the network reads coordinates off painted objects."""
    monkeypatch.setattr(TRAIN, lambda crops, names, config, *_: (ReadingNetwork(), config.steps))


def config_for(parts: Path, out: Path, **changes: Any) -> AlignConfig:
    settings: dict[str, Any] = {
        "objects": tuple(f"{name}={parts / name}.ply" for name in NAMES),
        "target": parts / "crops",
        "out": out,
        "randomize": str(parts / "even.toml"),
        "size": SIZE,
        "source_crops": 4,
        "calibration_crops": CALIBRATION,
        "threads": 1,
        "precision": "fp32",
    }
    return AlignConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def done(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> AlignSummary:
    """A finished alignment; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TRAIN, lambda crops, names, config, *_: (ReadingNetwork(), config.steps))
        return align(config_for(parts, tmp_path_factory.mktemp("done") / "aligned"))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "crops.csv").open() as file:
        return list(csv.DictReader(file))


def rotations(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    quaternions = [[float(row[name]) for name in ("qw", "qx", "qy", "qz")] for row in rows]
    return matrix_from_quaternion(np.array(quaternions))


def translations(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    return np.array([[float(row[name]) for name in ("tx", "ty", "tz")] for row in rows])


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_finds_objects_and_poses_without_labels(parts: Path, done: AlignSummary) -> None:
    assert done.finished
    assert (done.crops, done.kept) == (CROPS + len(STRANGE), CROPS)
    plans = crops_of(models_in(parts)).plans
    assert done.by_object == {
        name: int((plans.object_index == k).sum()) for k, name in enumerate(NAMES)
    }
    rows = [row for row in table(done.folder) if row["kept"] == "yes"]
    assert [row["file"] for row in rows] == [f"{number:04d}" for number in range(CROPS)]
    assert [row["object"] for row in rows] == [NAMES[k] for k in plans.object_index]
    quaternions = np.array(
        [[float(row[name]) for name in ("qw", "qx", "qy", "qz")] for row in rows]
    )
    off = angle_between(matrix_from_quaternion(quaternions), plans.rotation)
    assert np.median(off) < 3
    assert off.max() < 8
    places = translations(rows)
    np.testing.assert_allclose(places[:, :2], plans.translation[:, :2], atol=3)
    # How far an object is follows from its size alone, up to how far the crops' middle is.
    apparent = float(rows[0]["focal"]) / places[:, 2]
    np.testing.assert_allclose(
        apparent, plans.camera_matrix[:, 0, 0] / plans.translation[:, 2], rtol=0.05
    )


def test_leaves_out_what_shows_no_object(done: AlignSummary) -> None:
    strange = [row for row in table(done.folder) if row["file"] in STRANGE]
    assert len(strange) == len(STRANGE)
    for row in strange:
        assert float(row["confidence"]) < 0.5
        assert (row["kept"], row["image"]) == ("no", "")
    # Where nothing is seen at all, there is no pose.
    assert strange[0]["file"] == "black"
    assert (strange[0]["qw"], strange[0]["confidence"]) == ("", "0.0000")


def test_the_dataset_is_sound_and_holds_the_cameras_crops(parts: Path, done: AlignSummary) -> None:
    found = render_adapt.verify(done.folder, workers=1)
    assert (found.bad, found.crops) == ((), CROPS)
    rows = [row for row in table(done.folder) if row["kept"] == "yes"]
    crops = list(render_adapt.load(done.folder))
    assert len(crops) == CROPS
    np.testing.assert_allclose([crop.rotation[0] for crop in crops], rotations(rows), atol=1e-5)
    there = [crop.translation[0] for crop in crops]
    np.testing.assert_allclose(there, translations(rows), atol=2e-3)
    for row, crop in zip(rows, crops, strict=True):
        camera = cv2.imread(str(parts / "crops" / f"{row['file']}.png"))
        np.testing.assert_array_equal(crop.rgb, camera[..., ::-1])
        # What is labelled as the object is where it shows.
        seen = crop.rgb.max(axis=-1) > 12
        union = (crop.mask[0] | seen).sum()
        assert (crop.mask[0] & seen).sum() > 0.9 * union


def test_the_report_shows_it(parts: Path, done: AlignSummary, tmp_path: Path) -> None:
    copy = tmp_path / "aligned"
    shutil.copytree(done.folder, copy)
    command("report", copy)
    assert (copy / "report.html").stat().st_size > 10_000


@pytest.mark.usefixtures("reading")
def test_the_same_seed_gives_the_same_bytes(
    parts: Path, done: AlignSummary, tmp_path: Path
) -> None:
    again = align(config_for(parts, tmp_path / "other"))
    assert files_of(again.folder) == files_of(done.folder)


@pytest.mark.usefixtures("reading")
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render_adapt._align.dataset.SHARD_SIZE", 6)
    whole = align(config_for(parts, tmp_path / "whole"))
    check, commits = PreparedShard.check, []

    def killed(prepared: PreparedShard) -> None:
        """The first that is done when a shard is committed."""
        commits.append(int(prepared.path.name.removeprefix(".shard-")))
        if len(commits) == 2:
            raise KeyboardInterrupt
        check(prepared)

    monkeypatch.setattr(PreparedShard, "check", killed)
    config = config_for(parts, tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        align(config)
    assert (config.out / "INCOMPLETE").exists()
    align(config)
    assert commits == [0, 1, 1, 2]
    assert files_of(config.out) == files_of(whole.folder)


@pytest.mark.usefixtures("reading")
def test_what_is_gone_is_made_again_and_what_is_whole_is_left(
    parts: Path, done: AlignSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "aligned"
    shutil.copytree(done.folder, copy)
    config = config_for(parts, copy)
    for name in ("train/000000/rgb/000003.png", "crops.csv"):
        (copy / name).unlink()
        assert align(config) == replace(
            done, folder=copy, table=copy / "crops.csv", contact_sheet=copy / "contact_sheet.png"
        )
        assert files_of(copy) == files_of(done.folder)
    monkeypatch.setattr(TRAIN, None)
    assert align(config).kept == CROPS


def test_a_damaged_one_is_not_mended_from_what_it_has_not(
    parts: Path, done: AlignSummary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "aligned"
    shutil.copytree(done.folder, copy)
    picture = copy / "train/000000/rgb/000003.png"
    picture.write_bytes(picture.read_bytes()[:-1])
    command("verify", copy, "--repair", code=1)
    assert "made by render-adapt align" in said(capsys)


@pytest.mark.usefixtures("reading")
def test_another_alignment_is_refused_with_the_difference(
    parts: Path, done: AlignSummary, tmp_path: Path
) -> None:
    before = files_of(done.folder)
    with pytest.raises(DatasetError, match=r"another run \(alignment.seed 0 there, 1 here\)"):
        align(config_for(parts, done.folder, seed=1))
    assert files_of(done.folder) == before
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    (strangers / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds files that are no alignment"):
        align(config_for(parts, strangers))
    assert files_of(strangers) == {"notes.txt": b"mine"}


@pytest.mark.usefixtures("reading")
def test_where_none_is_sure_nothing_is_written(parts: Path, tmp_path: Path) -> None:
    config = config_for(parts, tmp_path / "aligned", min_confidence=1.0)
    with pytest.raises(DatasetError, match=r"none of the 18 crops .* `min_confidence`"):
        align(config)
    assert not config.out.exists()


@pytest.mark.usefixtures("reading")
def test_a_round_trains_on_with_what_is_sure(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons = []

    def train_further(
        network: Any, renders: Any, sure: Any, names: Any, config: AlignConfig, number: int, _: Any
    ) -> tuple[ReadingNetwork, int]:
        lessons.append((number, [len(part) for part in renders], sure))
        return ReadingNetwork(), config.round_steps

    monkeypatch.setattr("render_adapt._align.run.train_further", train_further)
    done = align(config_for(parts, tmp_path / "aligned", rounds=2))
    assert (done.finished, done.steps, done.kept) == (True, 6000, CROPS)
    assert [(number, renders) for number, renders, _ in lessons] == [(1, [4]), (2, [4])]
    crops = crops_of(models_in(parts))
    for *_, sure in lessons:
        np.testing.assert_array_equal(sure.rgb, crops.rgb)
        np.testing.assert_array_equal(sure.object_index, crops.plans.object_index)
        seen = crops.mask.reshape(CROPS, SIZE // 2, 2, SIZE // 2, 2).any(axis=(2, 4))
        both = sure.mask & seen
        assert both.sum() > 0.85 * (sure.mask | seen).sum()
        # The objects are painted with their coordinates.
        colors = sure.rgb[:, ::2, ::2].astype(float)
        lowest = np.where(sure.object_index == 0, 25, 145)[:, None, None, None]
        off = np.abs(sure.coordinates / 255 - (colors - lowest) / 100).mean(axis=-1)
        assert np.median(off[both]) < 0.05


def test_adapted_crops_are_learnt_from_beside_renders(
    parts: Path, done: AlignSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons = []

    def train_network(
        crops: Any, names: Any, config: AlignConfig, *_: Any
    ) -> tuple[ReadingNetwork, int]:
        lessons.append(crops)
        return ReadingNetwork(), config.steps

    monkeypatch.setattr(TRAIN, train_network)
    config = config_for(parts, tmp_path / "aligned", adapted=done.folder)
    align(config)
    ((renders, adapted),) = lessons
    assert len(renders) == config.source_crops
    written = render_adapt.load(done.folder)
    np.testing.assert_array_equal(adapted.rgb, np.stack([crop.rgb for crop in written]))
    assert [NAMES[k] for k in adapted.object_index] == list(written.columns["object"])
    # The objects are painted with their coordinates.
    colors = adapted.rgb[:, ::2, ::2].astype(float)
    lowest = np.where(adapted.object_index == 0, 25, 145)[:, None, None, None]
    off = np.abs(adapted.coordinates / 255 - (colors - lowest) / 100).mean(axis=-1)
    assert adapted.mask.any()
    assert np.median(off[adapted.mask]) < 0.05
    # Without them it would be another alignment.
    with pytest.raises(DatasetError, match="adapted"):
        align(replace(config, adapted=None))


@pytest.mark.usefixtures("reading")
def test_a_training_that_is_not_done_writes_nothing(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TRAIN, lambda *_: (ReadingNetwork(), 7))
    out = tmp_path / "aligned"
    command(
        "align", "--objects", f"spike={parts / 'spike.ply'}", "--target", parts / "crops", "--out",
        out, "--source-crops", 4, "--max-minutes", 1,
    )  # fmt: skip
    assert "7 of 4000 training steps are done: the same command goes on" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.usefixtures("reading")
def test_depth_says_how_far_the_objects_are(parts: Path, tmp_path: Path) -> None:
    models = models_in(parts)
    crops = crops_of(models)
    target = tmp_path / "rgbd"
    target.mkdir()
    write_target(target / "rgb", crops.rgb)
    (target / "depth").mkdir()
    for number, depth in enumerate(crops.depth):
        steps = np.rint(np.where(depth > 0, depth, 1500) * 10).astype(np.uint16)
        cv2.imwrite(str(target / "depth" / f"{number:04d}.png"), steps)
    centres = {f"{k:04d}": float(z) for k, z in enumerate(crops.plans.centre_depth)}
    (target / "crops.json").write_text(json.dumps({"depth_scale": 0.1, "centre_depth": centres}))
    done = align(config_for(parts, tmp_path / "aligned", target=target, channels=4))
    assert done.kept >= 0.9 * CROPS
    rows = [row for row in table(done.folder) if row["kept"] == "yes"]
    numbers = [int(row["file"].rpartition("/")[2]) for row in rows]
    places = translations(rows)
    np.testing.assert_allclose(places, crops.plans.translation[numbers], atol=4)
    assert render_adapt.verify(done.folder, workers=1).bad == ()
    for number, crop in zip(numbers, render_adapt.load(done.folder), strict=True):
        assert crop.depth is not None
        there = crops.mask_visib[number]
        np.testing.assert_allclose(crop.depth[there], crops.depth[number][there], atol=0.2)


def command(*arguments: object, code: int = 0) -> None:
    """`render-adapt ARGUMENTS`, which ends with this exit code."""
    with pytest.raises(SystemExit) as stop:
        run_command(*arguments)
    assert int(stop.value.code or 0) == code


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence on standard error."""
    lines = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("render-adapt: ")
    ]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.usefixtures("reading")
def test_the_command(parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "aligned"
    command(
        "align", "--objects", ",".join(f"{name}={parts / name}.ply" for name in NAMES),
        "--target", parts / "crops", "--out", out, "--randomize", parts / "even.toml",
        "--source-crops", 4, "--calibration-crops", CALIBRATION, "--threads", 1,
        "--precision", "fp32",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "16 of 18 crops are aligned" in printed
    assert "spike 8, block 8" in printed
    for name in ("", "crops.csv", "contact_sheet.png"):
        assert (out / name).exists()
        assert str(out / name) in printed


@pytest.mark.parametrize(
    ("changes", "pattern", "code"),
    [
        ({"--target": "missing"}, "missing", 1),
        ({"--target": "empty"}, "empty", 1),
        ({"--objects": "unicorn"}, "unicorn", 2),
        ({"--size": "65"}, "--size is 65: it must be a multiple of 16, from 16 to 256", 2),
        ({"--steps": "0"}, "--steps is 0", 2),
        ({"--min-confidence": "1.5"}, "--min-confidence is 1.5", 2),
        ({"--calibration-crops": "3"}, "--calibration-crops is 3", 2),
        ({"--learning-rate": "-1"}, "--learning-rate", 2),
        ({"--distance": ("50", "60")}, "--distance begins at 50 mm", 2),
        ({"--randomize": "missing.toml"}, "missing.toml", 2),
        ({"--photographs": "empty"}, "empty", 1),
        ({"--channels": "4"}, "depth", 1),
        ({"--out": "file"}, "file", 1),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_no_dataset(
    parts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    pattern: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    given = {
        "--objects": f"spike={parts / 'spike.ply'}",
        "--target": str(parts / "crops"),
        "--out": "aligned",
        "--source-crops": "4",
        **changes,
    }
    arguments = [
        text for name, value in given.items() for text in (name, *np.atleast_1d(value).tolist())
    ]
    command("align", *arguments, code=code)
    assert pattern in said(capsys)
    assert not (tmp_path / "aligned").exists()
