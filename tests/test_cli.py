"""The command line: what it makes, and one clear sentence for each thing that is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import trimesh

import cad_models
from adapter import SHIPPED_ADAPTER
from render_adapt import PRESETS, RunConfig
from renderer import ENGINES
from tests.command import run_command


class Outcome:
    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """Runs `render-adapt ARGUMENTS` and returns its exit code and what it printed."""

    def run(*arguments: object) -> Outcome:
        code = 0
        try:
            run_command(*arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def one_sentence(outcome: Outcome, pattern: str, code: int = 1) -> None:
    """Nothing but one sentence was printed; `code` is 2 where what was asked for is wrong."""
    assert outcome.code == code, outcome.error
    lines = [line for line in outcome.error.splitlines() if line.startswith("render-adapt: ")]
    assert len(lines) == 1
    assert re.search(pattern, lines[0]), lines[0]
    assert "Traceback" not in outcome.error


def test_main_job(cli, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    outcome = cli("--objects", "ape,cat", "--n", 6, "--seed", 7, "--workers", 1, "--out", out)
    assert outcome.code == 0, outcome.error
    assert str(out) in outcome.out
    assert "crops/s" in outcome.out
    scene = json.loads((out / "train/000000/scene_gt.json").read_text())
    assert [entry[0]["obj_id"] for entry in scene.values()] == [1, 6, 1, 6, 1, 6]
    again = cli("--objects", "ape,cat", "--n", 6, "--seed", 7, "--workers", 1, "--out", out)
    assert again.code == 0
    assert "all 6 crops were there already" in again.out


def test_verify_says_what_is_bad_and_repair_mends_it(cli, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    assert cli("--objects", "ape,cat", "--n", 6, "--adapter", "none", "--out", out).code == 0
    sound = cli("verify", out)
    assert sound.code == 0
    assert "checked 6 crops in 1 shard: all files are as they were written" in sound.out
    assert "the labels are true" in sound.out
    picture = out / "train/000000/rgb/000004.png"
    before = picture.read_bytes()
    picture.write_bytes(before[:-1])
    bad = cli("verify", out)
    one_sentence(
        bad,
        rf"{picture} is not the file that was written: its SHA-256 differs; its only shard is bad; "
        rf"render-adapt verify {out} --repair makes anew what is bad",
    )
    mended = cli("verify", out, "--repair")
    assert mended.code == 0, mended.error
    assert "the labels are true" in mended.out
    assert picture.read_bytes() == before
    assert cli("verify", out).code == 0
    one_sentence(
        cli("verify", tmp_path), r"is no dataset of render-adapt: it has no manifest\.json"
    )
    one_sentence(cli("verify", out, "--workers", 0), r"--workers is 0", 2)


def test_a_repair_that_makes_other_bytes_says_so(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with another version of a library, here one that writes its pictures otherwise."""
    out = tmp_path / "dataset"
    made = ("--objects", "ape", "--n", 2, "--adapter", "none", "--workers", 1, "--out", out)
    assert cli(*made).code == 0
    (out / "train/000000/rgb/000001.png").unlink()
    encode = cv2.imencode
    monkeypatch.setattr(
        cv2,
        "imencode",
        lambda kind, picture, *_: encode(kind, picture, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    )
    mended = cli("verify", out, "--repair", "--workers", 1)
    assert mended.code == 0, mended.error
    assert "note: what was made anew is not to the bit what was there" in mended.out
    assert "the dataset has another hash now" in mended.out
    assert cli("verify", out).code == 0


def test_a_training_preset_that_is_none(cli, tmp_path: Path) -> None:
    outcome = cli(
        "train", "--objects", "ape", "--target", tmp_path, "--out", tmp_path / "a",
        "--preset", "quick",
    )  # fmt: skip
    one_sentence(outcome, "--preset is quick: it must be .*fast", 2)


@pytest.mark.several_seconds
def test_calibration_of_an_adapter_by_its_own_crops(cli, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(SHIPPED_ADAPTER, adapter)
    (adapter / "fidelity.json").unlink()
    few = cli("calibrate", "--adapter", adapter, "--objects", "ape,cup", "--crops", 10)
    one_sentence(few, "10 crops show .* give 1000 or more", 2)
    assert not (adapter / "fidelity.json").exists()
    done = cli("calibrate", "--adapter", adapter, "--objects", "ape,cup", "--crops", 1000)
    assert done.code == 0, done.error
    assert f"label fidelity is calibrated for {adapter}" in done.out
    out = tmp_path / "d"
    made = cli("--objects", "ape", "--n", 3, "--adapter", adapter, "--out", out)
    assert made.code == 0, made.error
    assert "calibrated" not in made.out + made.error
    calibration = json.loads((out / "manifest.json").read_text())["fidelity"]
    digest = hashlib.sha256((adapter / "fidelity.json").read_bytes()).hexdigest()
    assert calibration["calibration_sha256"] == digest


def test_verify_by_the_hash_that_the_run_printed(cli, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    made = cli("--objects", "ape", "--n", 2, "--adapter", "none", "--out", out)
    (root,) = re.findall(r"sha256: ([0-9a-f]{64})", made.out)
    assert hashlib.sha256((out / "dataset.sha256").read_bytes()).hexdigest() == root
    sound = cli("verify", out, "--sha256", root.upper())
    assert sound.code == 0, sound.error
    assert f"sha256: {root}" in sound.out
    other = root[:-1] + ("0" if root[-1] != "0" else "1")
    one_sentence(cli("verify", out, "--sha256", other), rf"its SHA-256 is {root}, and not {other}")
    one_sentence(cli("verify", out, "--sha256", other, "--repair"), "this is another dataset")
    one_sentence(cli("verify", out, "--sha256", "12"), "--sha256 is 12: it must be the 64 hex", 2)
    (out / "notes.txt").write_text("mine")
    one_sentence(cli("verify", out), r"notes\.txt is listed nowhere.*; its only shard is in order$")


def test_one_crop_alone(cli, tmp_path: Path) -> None:
    """The run's own settings are taken; what is given beside them must be the same."""
    out = tmp_path / "dataset"
    arguments = ("--objects", "ape,cat", "--n", 6, "--seed", 4, "--adapter", "none", "--out", out)
    assert cli(*arguments).code == 0
    alone = cli("--out", out, "--only", 5)
    assert alone.code == 0, alone.error
    folder = tmp_path / "dataset-only-5"
    assert f"crop 5: {folder}" in alone.out
    assert (folder / "contact_sheet.png").exists()
    assert (folder / "train/000000/rgb/000000.png").read_bytes() == (
        out / "train/000000/rgb/000005.png"
    ).read_bytes()
    assert cli(*arguments, "--only", 5).code == 0
    one_sentence(cli("--out", out, "--only", 6), r"--only is 6: this run has crops 0 to 5", 2)
    one_sentence(cli("--out", out, "--seed", 5, "--only", 5), r"seed 4 there, 5 here")
    one_sentence(cli("--out", tmp_path / "none", "--only", 5), r"--objects is empty", 2)


def test_one_crop_alone_of_a_run_that_took_folders(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest has their names alone; they are found again where the command is given."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(cad_models.__file__).parent / "builtin", "meshes")
    Path("pictures").mkdir()
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(f"pictures/{number}.png", picture)
    Path("mine.toml").write_text('textures = "pictures"\ntexture_swap = 1.0\n')
    made = (
        "--objects", "ape,cat", "--models", "meshes", "--randomize", "mine.toml", "--n", 4,
        "--adapter", "none", "--workers", 1, "--out", "d",
    )  # fmt: skip
    assert cli(*made).code == 0
    alone = cli("--out", "d", "--only", 3)
    assert alone.code == 0, alone.error
    pair = Path("d-only-3/train/000000/rgb/000000.png"), Path("d/train/000000/rgb/000003.png")
    assert pair[0].read_bytes() == pair[1].read_bytes()
    shutil.move("pictures", "elsewhere")
    one_sentence(cli("--out", "d", "--only", 2), "pictures", 2)


@pytest.mark.parametrize("size", [128, 256])
def test_sizes(cli, tmp_path: Path, size: int) -> None:
    outcome = cli("--objects", "duck", "--n", 2, "--size", size, "--out", tmp_path / "d")
    assert outcome.code == 0, outcome.error
    assert cv2.imread(str(tmp_path / "d/train/000000/rgb/000001.png")).shape == (size, size, 3)


def test_linemod_alias_and_a_mesh_of_ones_own(cli, tmp_path: Path) -> None:
    trimesh.creation.box((60, 40, 30)).export(tmp_path / "part.stl")
    outcome = cli(
        "--objects", f"benchviseblue,widget={tmp_path / 'part.stl'}", "--n", 4,
        "--adapter", "none", "--out", tmp_path / "d",
    )  # fmt: skip
    assert outcome.code == 0, outcome.error
    names = json.loads((tmp_path / "d/manifest.json").read_text())["objects"]
    assert sorted(names) == ["benchvise", "widget"]


def test_an_object_much_larger_than_the_window_is_noted(cli, tmp_path: Path) -> None:
    trimesh.creation.box((900, 40, 30)).export(tmp_path / "beam.stl")
    arguments = ("--objects", f"beam={tmp_path / 'beam.stl'}", "--n", 2, "--adapter", "none")
    outcome = cli(*arguments, "--out", tmp_path / "d")
    assert outcome.code == 0, outcome.error
    assert "note: beam is 901 mm across and a crop shows 200 mm: give --window 1000" in outcome.out
    wide = ("--window", 1000, "--distance", 2000, 3000)
    whole = cli(*arguments, *wide, "--out", tmp_path / "w")
    assert whole.code == 0, whole.error
    assert "note:" not in whole.out
    near = cli(*arguments, "--distance", 100, 200, "--out", tmp_path / "n")
    one_sentence(near, r"--distance begins at 100 mm, but beam reaches 451 mm .* begin at 472", 2)
    assert not (tmp_path / "n").exists()


def test_models_list_and_version(cli) -> None:
    listed = cli("models", "list")
    assert listed.code == 0
    for name in ("ape", "benchvise", "bowl", "phone"):
        assert re.search(rf"^ *{name} ", listed.out, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+\s*", cli("--version").out)


def test_models_list_says_when_a_folder_is_not_in_millimetres(cli, tmp_path: Path) -> None:
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / "obj_01.ply")
    one_sentence(cli("models", "list", "--models", tmp_path), r"probably in metres.* --units m")
    listed = cli("models", "list", "--models", tmp_path, "--units", "m")
    assert re.search(r"^ *obj_000001 +1 +173\.2 +12", listed.out, re.MULTILINE)


def test_help_shows_every_setting(cli) -> None:
    text = cli("--help").out
    for flag in ("--objects", "--n", "--seed", "--size", "--out", "--adapter", "--models",
                 "--workers", "--renderer", "--randomize", "--preset", "--viewpoints",
                 "--subdivisions", "--in-plane", "--in-plane-steps", "--rectified", "--frames",
                 "--objects-per-frame", "--camera", "--only", "--format", "--window", "--centre",
                 "--off-axis", "--cut-from", "--pixel-centre", "--repeat-objects"):  # fmt: skip
        assert flag in text
    for default in ("[default: 64]", "[default: shipped]", "[default: linemod]"):
        assert default in text


def test_the_paper_preset_is_every_pose_of_eleven_objects_once() -> None:
    paper = RunConfig(**PRESETS["linemod-paper"])
    assert paper.n == 109_208
    assert paper.planner.config.poses == 1241 * 8
    assert (paper.distance, paper.window, paper.adapter) == ((400.0, 400.0), 200.0, "none")
    coarse = RunConfig(**{**PRESETS["linemod-paper"], "subdivisions": 3, "objects": ("ape",)})
    assert coarse.n == 301 * 8


def test_preset_with_settings_that_differ_from_it(cli, tmp_path: Path) -> None:
    out = tmp_path / "d"
    outcome = cli(
        "--preset", "linemod-paper", "--objects", "ape,duck", "--subdivisions", 0,
        "--in-plane-steps", 2, "--workers", 1, "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.error
    gt = json.loads((out / "train/000000/scene_gt.json").read_text())
    assert [entry[0]["obj_id"] for entry in gt.values()] == [1, 9] * 12
    rotations = np.array([entry[0]["cam_R_m2c"] for entry in gt.values()])
    assert len(np.unique(rotations[::2].round(6), axis=0)) == 12
    rows = parquet.read_table(out / "index/000000.parquet").to_pylist()
    assert {row["centre_depth"] for row in rows} == {400.0}


def test_crops_that_are_cut_from_a_cameras_pictures(cli, tmp_path: Path) -> None:
    out = tmp_path / "d"
    outcome = cli(
        "--objects", "ape,duck", "--preset", "linemod", "--n", 4, "--adapter", "none",
        "--cut-from", "640x480", "--camera", 600, 610, 310, 250, "--workers", 1, "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.error
    plan = json.loads((out / "manifest.json").read_text())["plan"]
    assert (plan["centre"], plan["off_axis"], plan["picture"]) == ("mean", 10.0, [640, 480])
    assert plan["camera"] == [600, 610, 310.5, 250.5]
    for entry in json.loads((out / "train/000000/scene_camera.json").read_text()).values():
        assert entry["cam_K"][4] / entry["cam_K"][0] == pytest.approx(610 / 600)


def test_whole_frames_with_a_file_of_settings(cli, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("lights = [2, 2]\nspecular = [0.1, 0.5]\n")
    out = tmp_path / "d"
    outcome = cli(
        "--objects", "ape,duck,can", "--n", 2, "--adapter", "none", "--frames", "160x120",
        "--objects-per-frame", 3, "--camera", 150, 155, 80, 60, "--randomize",
        tmp_path / "mine.toml", "--workers", 1, "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.error
    assert cv2.imread(str(out / "train/000000/rgb/000001.png")).shape == (120, 160, 3)
    cameras = json.loads((out / "train/000000/scene_camera.json").read_text())
    assert cameras["0"]["cam_K"] == [150, 0, 80, 0, 155, 60, 0, 0, 1]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["randomization"]["lights"] == [2, 2]
    assert manifest["plan"]["objects"] == 3


def test_environments_are_for_blender(cli, tmp_path: Path) -> None:
    (tmp_path / "skies").mkdir()
    (tmp_path / "mine.toml").write_text('environments = "skies"\n')
    arguments = ("--objects", "ape", "--n", 2, "--adapter", "none", "--out", tmp_path / "d")
    outcome = cli(*arguments, "--randomize", tmp_path / "mine.toml")
    one_sentence(outcome, r"environments is .*skies.*--renderer blender")
    assert not (tmp_path / "d").exists()


def test_renderers_that_can_be_named_are_those_that_there_are(cli, tmp_path: Path) -> None:
    shown = " ".join(cli("--help").out.replace("│", " ").split())
    assert f"[choices: {', '.join(ENGINES)}]" in shown
    refused = cli("--objects", "ape", "--n", 2, "--renderer", "povray", "--out", tmp_path / "d")
    one_sentence(refused, "--renderer is povray: it must be ", 2)
    assert all(name in refused.error for name in ENGINES)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--objects", "aep", "--n", 3], r"ape"),
        (["--objects", "ape", "--n", 0], r"--n is 0"),
        (["--objects", "ape", "--n", 3, "--seed", -1], r"--seed is -1"),
        (["--objects", "ape", "--n", 3, "--workers", 0], r"--workers is 0"),
        (["--objects", "ape", "--n", 3, "--window", 0], r"--window is 0"),
        (["--objects", ",", "--n", 3], r"--objects is empty"),
        (["--objects", "ape", "--n", 3, "--adapter", "no/such/folder"], r"no/such/folder"),
        (["--objects", "ape", "--n", 3, "--models", "no/such/folder"], r"no/such/folder"),
        (["--objects", "ape,ape", "--n", 3], r"ape"),
        (["--n", 3], r"--objects is empty"),
        (["--objects", "ape"], r"--n is missing: give the number of crops, as in --n 1000"),
        (["--objects", "ape", "--n", 0], r"--n is 0: it must be at least 1"),
        (["--objects", "ape", "--n", "1.5"], r"--n is 1\.5: it must be a whole number"),
        (["--objects", "ape", "--n", "-0.5"], r"--n is -0\.5: it must be a whole number"),
        (["--objects", "ape", "--n", 3, "--seed", "0.7"], r"--seed is 0\.7: .* whole number"),
        (["--objects", "ape", "--n", 3, "--workers=1.2"], r"--workers is 1\.2: .* whole number"),
        (["--objects", "ape", "--n", 3, "--only", "1.2"], r"--only is 1\.2: .* whole number"),
        (
            ["--objects", "ape", "--n", 3, "--pixel-centre", 1],
            r"--pixel-centre is 1.*: .*0\.5",
        ),
        (["--objects", "ape", "--n", 3, "--preset", "best"], r"--preset is best.*linemod-paper"),
        (["--objects", "ape", "--n", 3, "--randomize", "weak"], r"--randomize is weak"),
        (["--objects", "ape", "--n", 3, "--in-plane", 200], r"--in-plane is 200"),
        (["--objects", "ape", "--n", 3, "--subdivisions", 9], r"--subdivisions is 9"),
        (["--objects", "ape", "--n", 3, "--in-plane-steps", 2, "--rectified"], r"leave out"),
        (
            ["--objects", "ape", "--n", 3, "--frames", "640x480", "--window", 150],
            r"--window is for",
        ),
        (["--objects", "ape", "--n", 3, "--frames", "640"], r"--frames is 640: .*640x480"),
        (["--objects", "ape", "--n", 3, "--frames", "4x480", "--adapter", "none"], r"--frames is"),
        (
            ["--objects", "ape", "--n", 3, "--frames", "640x480", "--size", 128],
            r"--size is for crops",
        ),
        (
            ["--objects", "ape", "--n", 3, "--camera", 1, 1, 1, 1],
            r"--camera is for --frames or --cut-from",
        ),
        (["--objects", "ape", "--n", 3, "--off-axis", 61], r"--off-axis is 61"),
        (["--objects", "ape", "--n", 3, "--cut-from", "640"], r"--cut-from is 640: .*640x480"),
        (
            ["--objects", "ape", "--n", 3, "--frames", "640x480", "--off-axis", 5],
            r"--off-axis is for crops",
        ),
    ],
)
def test_bad_settings_leave_nothing_behind(
    cli, tmp_path: Path, arguments: list[object], pattern: str
) -> None:
    missing = "no/such/folder" in arguments
    one_sentence(cli(*arguments, "--out", tmp_path / "d"), pattern, 1 if missing else 2)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("flag", ["--source-crops", "--steps"])
def test_trainings_take_whole_numbers_too(cli, tmp_path: Path, flag: str) -> None:
    arguments = ["--objects", "ape", "--target", tmp_path, "--out", tmp_path / "a", flag, "2.5"]
    one_sentence(cli("train", *arguments), rf"{flag} is 2\.5: it must be a whole number", 2)


def test_a_whole_number_may_have_a_point(cli, tmp_path: Path) -> None:
    arguments = ["--objects", "ape", "--n", "2.0", "--adapter", "none", "--workers", 1]
    assert cli(*arguments, "--out", tmp_path / "d").code == 0
    assert json.loads((tmp_path / "d/manifest.json").read_text())["n"] == 2


def test_bad_value_is_a_usage_error(cli, tmp_path: Path) -> None:
    arguments = ("--objects", "ape", "--out", tmp_path / "d")
    one_sentence(cli(*arguments, "--n", "many"), "--n is many: it must be a whole number", 2)
    one_sentence(cli(*arguments, "--n", 3, "--size", 65), "--size is 65: it must be 64, 128 or", 2)
    assert not (tmp_path / "d").exists()


def test_unreadable_mesh(cli, tmp_path: Path) -> None:
    (tmp_path / "part.stl").write_bytes(b"solid nonsense" * 5)
    outcome = cli("--objects", f"widget={tmp_path / 'part.stl'}", "--n", 3, "--out", tmp_path / "d")
    one_sentence(outcome, r"part\.stl")
    assert not (tmp_path / "d").exists()


def test_metres_for_millimetres(cli, tmp_path: Path) -> None:
    trimesh.creation.box((0.06, 0.04, 0.03)).export(tmp_path / "part.stl")
    arguments = ("--objects", f"widget={tmp_path / 'part.stl'}", "--n", 2, "--adapter", "none")
    one_sentence(cli(*arguments, "--out", tmp_path / "d"), r"metres.*--units m")
    assert not (tmp_path / "d").exists()
    assert cli(*arguments, "--units", "m", "--out", tmp_path / "d").code == 0
    info = json.loads((tmp_path / "d/models/models_info.json").read_text())
    (entry,) = info.values()
    assert entry["size_x"] == pytest.approx(60)


def test_a_run_is_not_continued_in_another_unit(cli, tmp_path: Path) -> None:
    trimesh.creation.box((6, 4, 3)).export(tmp_path / "part.stl")
    arguments = ("--objects", f"widget={tmp_path / 'part.stl'}", "--n", 2, "--adapter", "none")
    assert cli(*arguments, "--units", "cm", "--out", tmp_path / "d").code == 0
    refused = cli(*arguments, "--units", "mm", "--out", tmp_path / "d")
    one_sentence(refused, r'holds another run \(units "cm" there, "mm" here\)')


def test_corrupt_adapter(cli, tmp_path: Path) -> None:
    broken = tmp_path / "adapter"
    shutil.copytree(SHIPPED_ADAPTER, broken)
    network = bytearray((broken / "generator.onnx").read_bytes())
    network[len(network) // 2] ^= 1
    (broken / "generator.onnx").write_bytes(network)
    arguments = ("--objects", "ape", "--n", 3, "--adapter", broken, "--out", tmp_path / "d")
    one_sentence(cli(*arguments), r"generator\.onnx")
    assert not (tmp_path / "d").exists()


def test_folder_of_another_run(cli, tmp_path: Path) -> None:
    arguments = ("--objects", "ape", "--n", 3, "--adapter", "none", "--out", tmp_path / "d")
    assert cli(*arguments).code == 0
    before = sorted(path.name for path in (tmp_path / "d").rglob("*"))
    one_sentence(cli(*arguments, "--seed", 5), r"holds another run \(seed 0 there, 5 here\)")
    assert sorted(path.name for path in (tmp_path / "d").rglob("*")) == before


def test_unwritable_folder(cli, tmp_path: Path) -> None:
    """A file where a folder should be: also root cannot write there."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "d"
    one_sentence(cli("--objects", "ape", "--n", 3, "--out", out), r"cannot write .*--out")


def test_target_folder_without_images(cli, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    for number in range(20):
        (target / f"{number}.txt").write_text("not a picture")
    outcome = cli("train", "--objects", "ape", "--target", target, "--out", tmp_path / "adapter")
    one_sentence(outcome, r"target")
    assert not (tmp_path / "adapter").exists()


def camera_crops(folder: Path) -> Path:
    """20 RGB-D crops with masks, two of them damaged."""
    generator = np.random.default_rng(0)
    for kind in ("color", "depth", "mask"):
        (folder / kind).mkdir(parents=True)
    for number in range(20):
        picture = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"color/{number}.png"), picture)
        depth = np.full((64, 64), 800 + number, np.uint16)
        cv2.imwrite(str(folder / f"depth/{number}.png"), depth)
        cv2.imwrite(str(folder / f"mask/{number}.png"), np.full((64, 64), 255, np.uint8))
    for number in (3, 7):
        (folder / f"color/{number}.png").write_bytes(b"")
    return folder


def test_a_dry_run_says_and_draws_what_there_is_to_learn_from(cli, tmp_path: Path) -> None:
    target, out = camera_crops(tmp_path / "crops"), tmp_path / "adapter"
    outcome = cli("train", "--objects", "ape", "--target", target, "--out", out, "--dry-run")
    assert outcome.code == 0, outcome.error
    picture = tmp_path / "adapter.training" / "target.png"
    assert outcome.out.splitlines() == [
        "target: 18 crops from color/, 64x64 pixels",
        "target: depth of all, in millimetres by its values: 800 to 819 mm, median 810 mm",
        "target: left out: 20 as masks or labels (mask/0.png)",
        "target: left out: 2 as damaged (color/3.png)",
        f"target: picture {picture}",
        "target: 18 crops are few: an adapter has more to learn from 300 or more, and what is "
        "measured of it then is less rough",
    ]
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert not out.exists()
    # Each crop is there twice as large, one pixel as four.
    tile = cv2.resize(cv2.imread(str(target / "color/0.png")), None, fx=2, fy=2, interpolation=0)
    apart = cv2.matchTemplate(drawn, tile, cv2.TM_SQDIFF)
    assert apart.min() / tile.size < 1
    outcome = cli(
        "train", "--objects", "ape", "--target", target, "--out", out, "--dry-run",
        "--channels", 3,
    )  # fmt: skip
    assert outcome.out.splitlines()[1] == "target: depth of all is left aside: colour alone"
    without_depth = cv2.imread(str(picture))
    assert without_depth is not None
    assert without_depth.shape[0] < drawn.shape[0]


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        (["--depth-scale", "0"], r"--depth-scale is 0\.0: it must be finite and above 0"),
        (["--depth-scale", "inf"], r"--depth-scale is inf"),
        (["--depth-scale", "nan"], r"--depth-scale is nan"),
        (["--objects", "apple"], r"apple"),
        (["--distance", "10", "20"], r"--distance"),
    ],
)
def test_a_dry_run_refuses_what_training_would(cli, tmp_path: Path, flags, pattern: str) -> None:
    target = camera_crops(tmp_path / "crops")
    given = ["--objects", "ape"] if "--objects" not in flags else []
    outcome = cli(
        "train", *given, "--target", target, "--out", tmp_path / "a", "--dry-run", *flags
    )  # fmt: skip
    one_sentence(outcome, pattern, 2)
    assert not (tmp_path / "a.training").exists()


def test_depth_that_is_missing_or_misread_is_refused_with_the_flag_to_give(
    cli, tmp_path: Path
) -> None:
    target = camera_crops(tmp_path / "crops")
    command = ["train", "--objects", "ape", "--target", target, "--out", tmp_path / "a"]
    (target / "depth/0.png").unlink()
    one_sentence(cli(*command), r"1 of 18 crops .* have no depth; .* or train with --channels 3")
    assert cli(*command, "--channels", 3, "--dry-run").code == 0
    one_sentence(cli(*command, "--channels", 4), r"1 of 18 crops .* have no depth")
    for file in (target / "depth").iterdir():
        cv2.imwrite(str(file), np.full((64, 64), 9000, np.uint16))
    cv2.imwrite(str(target / "depth/0.png"), np.full((64, 64), 9000, np.uint16))
    one_sentence(cli(*command), r"has a median of 9000, too far .*--depth-scale.*0\.1 would make")
    said = cli(*command, "--depth-scale", 0.1, "--dry-run").out.splitlines()[1]
    assert said == (
        "target: depth of all, in steps of 0.1 mm by --depth-scale: 900 to 900 mm, median 900 mm"
    )


@pytest.mark.several_seconds
def test_training_writes_an_adapter_that_the_main_job_takes(cli, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    generator = np.random.default_rng(0)
    for number in range(20):
        picture = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(target / f"{number}.png"), picture)
    stated = {"centre": "mean", "window_mm": 150, "off_axis_degrees": 10}
    (target / "crops.json").write_text(json.dumps({"cut": stated}))
    adapter = tmp_path / "adapter"
    (target / "depth").mkdir()
    for number in range(20):
        depth = np.full((64, 64), 9000, np.uint16)  # which no scale is said of
        cv2.imwrite(str(target / "depth" / f"{number}.png"), depth)
    trained = cli(
        "train", "--objects", "ape", "--target", target, "--out", adapter, "--steps", 2,
        "--channels", 3,
        "--batch", 4, "--width", 8, "--discriminator-width", 4, "--source-crops", 20,
        "--precision", "fp32", "--off-axis", 15,
    )  # fmt: skip
    assert trained.code == 0, trained.error
    assert trained.out.startswith("target: 20 crops from the folder itself, 64x64 pixels\n")
    assert json.loads((adapter / "adapter.json").read_text())["channels"] == 3
    out = tmp_path / "d"
    outcome = cli("--objects", "ape", "--n", 3, "--adapter", adapter, "--out", out)
    assert outcome.code == 0, outcome.error
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["adapter"] == json.loads((adapter / "adapter.json").read_text())["sha256"]
    plan = manifest["plan"]
    assert (plan["centre"], plan["off_axis"], plan["window"]) == ("mean", 15.0, 150.0)
    assert "another way" not in outcome.out + outcome.error


def command(folder: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """`render-adapt ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "render_adapt", *map(str, arguments)],
        cwd=folder, text=True, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def but_for_progress(errors: str) -> list[str]:
    """Lines but those that say every ten seconds how far a run is: a busy machine takes long."""
    lines = [line for line in errors.splitlines() if line.strip()]
    return [line for line in lines if not re.match(r"\d+ of \d+ crops", line)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("models", "list"), ("--help",)])
def test_a_full_standard_output_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        found = command(tmp_path, *arguments, stdout=full)
    assert found.returncode == 1
    assert re.fullmatch(
        r"render-adapt: standard output cannot be written \(No space left on device\): .*\n",
        found.stderr,
    )


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX systems")
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    found = command(tmp_path, "models", "list", stdout=writing)
    os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


@pytest.mark.skipif(os.name != "posix", reason="descriptors of POSIX systems")
def test_without_standard_streams_no_file_takes_their_place(tmp_path: Path) -> None:
    """The next file that is opened would be what every library prints to."""
    arguments = ("--objects", "ape", "--n", 2, "--adapter", "none", "--workers", 1, "--out", "d")
    found = command(tmp_path, *arguments, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.close(1))
    assert (found.returncode, but_for_progress(found.stderr)) == (0, [])
    sound = command(tmp_path, "verify", "d", stdout=subprocess.DEVNULL)
    assert sound.returncode == 0, sound.stderr


FOLDER_NAMES = ("x[/b]", "[red]", "é", "\udce9")
MADE_CHECKED_AND_SHOWN = """
import sys
from render_adapt._start import main
for name in sys.argv[1:]:
    making = f"--objects ape --n 2 --adapter none --workers 1 --out {name}".split()
    for arguments in (making, ["verify", name], ["report", name]):
        sys.argv[1:] = arguments
        try:
            main()
        except SystemExit as end:
            assert not end.code, (arguments, end.code)
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_folder_may_have_any_name(tmp_path: Path, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    found = subprocess.run(
        [sys.executable, "-c", MADE_CHECKED_AND_SHOWN, *FOLDER_NAMES],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (found.returncode, but_for_progress(found.stderr)) == (0, [])
    reports = [line for line in found.stdout.splitlines() if line.startswith("report: ")]
    shown = [
        name if encoding == "utf-8" and name.isprintable() else ascii(name)[1:-1]
        for name in FOLDER_NAMES
    ]
    assert reports == [f"report: {name}/report.html" for name in shown]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
@pytest.mark.parametrize("module", ["cyclopts", "numpy", "rich", "cv2"])
def test_an_interrupt_while_the_command_starts_is_one_line(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    found = command(
        tmp_path, "models", "list", env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (130, "")
    assert found.stderr == "render-adapt: interrupted\n"


def test_an_interrupted_training_does_not_promise_to_go_on_from_nothing(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("render_adapt._cli.train.train_adapter", interrupted)
    arguments = ("train", "--objects", "ape", "--target", tmp_path, "--out", tmp_path / "a")
    outcome = cli(*arguments)
    assert outcome.code == 130
    assert outcome.error.strip() == "render-adapt: interrupted; nothing was saved yet"
    (tmp_path / "a.training").mkdir()
    (tmp_path / "a.training/checkpoint.safetensors").touch()
    outcome = cli(*arguments)
    assert outcome.error.strip() == "render-adapt: interrupted; the same command continues"
