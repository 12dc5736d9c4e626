"""What `render-adapt` offers around a run: what it would make, room, files of settings, silence."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import render_adapt
from render_adapt import DatasetError, RunConfig
from tests.command import run_command

PLAIN = ("--objects", "ape,cat", "--adapter", "none", "--workers", "1")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs `render-adapt ARGUMENTS` in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            run_command(*arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return run


def on_disk(folder: Path) -> int:
    """Bytes that files take, in blocks of 4096."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in files)


def test_a_dry_run_says_what_would_be_made_and_writes_nothing(cli, tmp_path: Path) -> None:
    code, out, error = cli(*PLAIN, "--n", 20, "--dry-run", "--distance", 400, 500, "--out", "d")
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "would make: 20 crops of 64 x 64 pixels in 1 shard, as bop"
    assert lines[1] == "objects: ape, cat"
    assert lines[2].endswith("drawn for each crop, at 400 to 500 mm")
    assert re.fullmatch(r"size on disk: about \S+ kB of \S+ \wB that are free, in d", lines[3])
    assert re.fullmatch(r"time: about .* with 1 worker, as the first 20 crops took", lines[4])
    assert list(tmp_path.iterdir()) == []


def test_its_size_is_that_of_what_is_made(cli) -> None:
    found = json.loads(cli(*PLAIN, "--n", 20, "--out", "d", "--dry-run", "--json")[1])
    assert (found["crops"], found["crops_left"], found["measured"]) == (20, 20, 20)
    assert found["seconds"] > 0
    assert cli(*PLAIN, "--n", 20, "--out", "d")[0] == 0
    assert found["bytes"] == on_disk(Path("d/train")) + on_disk(Path("d/index"))
    again = json.loads(cli(*PLAIN, "--n", 20, "--out", "d", "--dry-run", "--json")[1])
    assert (again["crops_left"], again["bytes"]) == (0, 0)


def test_enumerated_poses_and_frames_are_counted(cli) -> None:
    enumerated = ("--subdivisions", 0, "--in-plane-steps", 2)
    out = cli(*PLAIN, *enumerated, "--dry-run")[1]
    assert out.startswith("would make: 24 crops of")
    assert "\nposes: 12 of each object, one after the other, at " in out
    frames = ("--frames", "160x120", "--n", 2, "--dry-run")
    assert cli(*PLAIN, *frames)[1].startswith("would make: 2 frames of 160 x 120 pixels in 1 shard")


def test_a_dry_run_refuses_what_a_run_would(cli) -> None:
    code, _, error = cli(*PLAIN, "--n", 20, "--distance", 10, 20, "--dry-run")
    assert code == 2
    assert "--distance begins at 10 mm" in error
    code, _, error = cli(*PLAIN, "--n", 20, "--only", 3, "--dry-run")
    assert (code, "leave out --only" in error) == (2, True)


def test_a_run_that_finds_no_room_is_not_begun(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def little(place: Any) -> Usage:
        assert Path(place) == tmp_path
        return Usage(10**6, 10**6 - 200_000, 200_000)

    assert cli(*PLAIN, "--n", 4, "--out", "whole")[0] == 0
    monkeypatch.setattr(shutil, "disk_usage", little)
    code, out, error = cli(*PLAIN, "--n", 1000, "--out", "a/b")
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"render-adapt: --n 1000 needs about \S+ MB in a/b, and 200 kB are free there: "
        r"give fewer, or --out on a disk with more room\n",
        error,
    )
    with pytest.raises(DatasetError, match="`n` 1000 needs about"):
        render_adapt.generate(RunConfig(("ape",), n=1000, adapter="none", out=Path("a/b")))
    assert not Path("a").exists()
    assert cli(*PLAIN, "--n", 4, "--out", "few")[0] == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, 0))
    code, out, _ = cli(*PLAIN, "--n", 4, "--out", "whole")
    assert (code, "were there already" in out) == (0, True)


def test_more_crops_than_any_dataset_has_are_refused(cli, tmp_path: Path) -> None:
    code, _, error = cli(*PLAIN, "--n", 10**12)
    assert code == 2
    assert "--n is 1000000000000: a dataset has at most 250000000 crops" in error
    assert list(tmp_path.iterdir()) == []


def test_one_crop_is_said_as_one_and_labels_that_nobody_read_are_not_said_to_be_true(cli) -> None:
    made = cli(*PLAIN, "--n", 1, "--out", "d", "--format", "yolo")[1]
    assert re.match(r"1 crop in [\d.]+ s \([\d.]+ crops/s\), [\d.]+ kB\n", made)
    assert cli(*PLAIN, "--n", 1, "--out", "d", "--format", "yolo")[1].startswith("1 crop was there")
    checked = cli("verify", "d")[1]
    assert "as they were written, and no labels were looked at, since only others" in checked
    assert "checked 1 crop in 1 shard:" in checked


def test_quiet_and_json(cli) -> None:
    assert cli(*PLAIN, "--n", 4, "--out", "d", "--quiet") == (0, "", "")
    code, out, error = cli(*PLAIN, "--n", 4, "--out", "d", "--json")
    assert (code, error, out.count("\n")) == (0, "", 1)
    summary = json.loads(out)
    assert summary["crops"] == 4
    assert summary["crops_made"] == 0
    assert summary["folder"] == "d"
    verified = json.loads(cli("verify", "d", "--json")[1])
    assert verified["sha256"] == summary["sha256"]
    assert (verified["crops"], verified["bad"]) == (4, [])
    assert cli("verify", "d", "--quiet") == (0, "", "")
    Path("d/camera.json").write_text("{}")
    code, out, error = cli("verify", "d", "--json")
    assert code == 1
    assert json.loads(out)["bad"][0]["path"] == "d/camera.json"
    assert error.startswith("render-adapt: d/camera.json is not the file that was written")
    assert cli("verify", "d", "--repair", "--quiet") == (0, "", "")


def test_without_a_terminal_progress_is_lines(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render_adapt._cli.bars._SECONDS_A_LINE", 1e9)
    assert cli(*PLAIN, "--n", 80, "--out", "a")[2] == ""
    monkeypatch.setattr("render_adapt._cli.bars._SECONDS_A_LINE", 0.0)
    begun, going_on = cli(*PLAIN, "--n", 80, "--out", "b")[2].splitlines()
    assert begun == "0 of 80 crops"
    assert re.fullmatch(r"64 of 80 crops, [\d.]+ crops/s, \d+ s left", going_on)
    assert cli(*PLAIN, "--n", 80, "--out", "c", "--quiet")[2] == ""


def test_settings_in_a_file_make_the_same_run(cli, tmp_path: Path) -> None:
    given = (*PLAIN, "--n", 3, "--distance", 400, 500, "--rectified", "--format", "bop-webdataset")
    assert cli(*given, "--out", 'a "b"\x7f é', "--save-config", "run.toml")[0] == 0
    assert cli("--config", "run.toml", "--out", "again")[0] == 0
    assert cli("--config", "run.toml", "--out", "other", "--n", 2, "--no-rectified")[0] == 0
    first, again, other = (
        json.loads(Path(folder, "manifest.json").read_text())
        for folder in ('a "b"\x7f é', "again", "other")
    )
    assert again == first
    assert (other["n"], other["plan"]["rectified"]) == (2, False)
    assert other["plan"]["distance"] == [400, 500]
    code, out, _ = cli("--config", "run.toml")
    assert (code, "all 3 crops were there already" in out) == (0, True)


def test_a_preset_may_stand_in_a_file(cli) -> None:
    Path("run.toml").write_text('preset = "linemod"\nobjects = ["ape"]\nn = 2\nadapter = "none"\n')
    assert cli("--config", "run.toml", "--out", "a", "--off-axis", 5)[0] == 0
    plan = json.loads(Path("a/manifest.json").read_text())["plan"]
    assert (plan["centre"], plan["off_axis"]) == ("mean", 5.0)
    assert cli("--config", "run.toml", "--out", "b", "--preset", "default")[0] == 0
    assert "off_axis" not in json.loads(Path("b/manifest.json").read_text())["plan"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "--config run.toml cannot be read (No such file or directory): "),
        ("n = ", "run.toml is not TOML ("),
        ("n = 'many'", "run.toml: n is many: it must be a whole number"),
        ("objcts = ['ape']", "run.toml: there is no setting objcts: objects, n, "),
        ("size = 65", "run.toml: size is 65: it must be 64, 128 or 256"),
        ("preset = 'best'", "--preset is best: it must be default, linemod or linemod-paper"),
        ("n = 0\nobjects = ['ape']", "--n is 0: it must be at least 1"),
    ],
)
def test_a_wrong_file_of_settings(cli, content: str | None, said: str) -> None:
    if content is not None:
        Path("run.toml").write_text(content)
    code, out, error = cli("--config", "run.toml", "--out", "d")
    assert (code, out) == (2, "")
    assert error.startswith(f"render-adapt: {said}")
    assert not Path("d").exists()


def test_settings_that_cannot_be_saved(cli) -> None:
    code, _, error = cli(*PLAIN, "--n", 2, "--save-config", "no/such/run.toml")
    assert code == 2
    assert "--save-config no/such/run.toml cannot be written" in error
    code, _, error = cli(*PLAIN, "--n", 2, "--out", "\udce9", "--save-config", "run.toml")
    assert (code, "cannot write a name that is no text" in error) == (2, True)
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_choices(cli) -> None:
    code, script, _ = cli("completion", "bash")
    assert code == 0
    Path("completion.sh").write_text(script)

    def completed(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in ("render-adapt", *words))
        done = subprocess.run(
            ["bash", "-c", f"source completion.sh; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
             f'_render_adapt; echo "${{COMPREPLY[@]}}"'],
            capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        return done.stdout.split()

    assert completed("ver") == ["verify"]
    assert completed("verify", "--rep") == ["--repair"]
    assert "--dry-run" in completed("--d")
    assert completed("--renderer", "ra") == ["raster"]
    assert "zsh" in cli("completion", "zsh")[1]


def test_help_ends_with_examples_of_its_own_command(cli) -> None:
    whole, verify = cli("--help")[1], cli("verify", "--help")[1]
    assert "render-adapt --config run.toml --seed 2 --out another" in whole
    assert "render-adapt verify dataset --repair" in verify
    assert "--config" not in verify
    assert "Examples" not in cli("models", "--help")[1] + cli("doctor", "--help")[1]


def test_an_estimate_from_python() -> None:
    config = RunConfig(("ape",), n=1000, adapter="none", workers=2, out=Path("no/such/folder"))
    found = render_adapt.estimate(config)
    assert (found.crops, found.shards, found.crops_left, found.measured) == (1000, 4, 1000, 64)
    assert found.bytes > 1000 * 4 * 4096, "four files a crop, each of a block or more"
    assert asdict(found)["free_bytes"] > 0
