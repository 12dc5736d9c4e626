"""What is done on a GPU: in order, in pieces, and packed into files that can be carried."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import (
    MIB,
    PIECES,
    Folders,
    Piece,
    PieceCommand,
    bundle,
    pack,
    run_pieces,
    unpack,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "data", tmp_path / "work", tmp_path / "results")


def write(path: Path, size: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--piece", "2"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stdout == ""
    assert re.fullmatch(r"benchmarks.gpu: no CUDA device was found; [^.\n]*\n", run.stderr)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "NEEDED", ("torch", "a_package_that_nobody_has"))
    assert gpu.missing().startswith("a_package_that_nobody_has cannot be imported here")


def python(code: str, name: str = "a") -> PieceCommand:
    return PieceCommand(name, lambda folders, minutes: ["-c", code])


def pieces(monkeypatch: pytest.MonkeyPatch, *commands: PieceCommand) -> None:
    made = tuple(Piece(command.name, (), (command,)) for command in commands)
    monkeypatch.setattr(gpu, "PIECES", made)


def test_pieces_run_in_order_and_what_succeeded_is_not_run_again(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    append = f"open({str(log)!r}, 'a').write('%s')"
    pieces(
        monkeypatch,
        python(append % "a", "first"),
        python(append % "b" + "; raise SystemExit(3)", "second"),
        python(append % "c", "third"),
    )
    assert run_pieces(range(3), 1.0, folders) == ["second"]
    assert log.read_text() == "abc"
    assert run_pieces(range(3), 1.0, folders) == ["second"]
    assert log.read_text() == "abcb"


def test_an_unfinished_piece_is_named_as_the_next(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = folders.work / "steps"
    step = (
        "import pathlib, sys; f = pathlib.Path(sys.argv[1]); f.parent.mkdir(exist_ok=True); "
        "f.write_text((f.read_text() if f.exists() else '') + '|')"
    )
    longer = PieceCommand(
        "training",
        lambda folders, minutes: ["-c", step, str(checkpoint)],
        lambda folders: checkpoint.exists() and len(checkpoint.read_text()) == 2,
    )
    pieces(monkeypatch, longer, python("print('last')", "last"))
    assert run_pieces(range(2), 1.0, folders) == []
    out = capfd.readouterr().out
    assert "next: --piece 1" in out
    assert "last" not in out
    assert run_pieces(range(2), 1.0, folders) == []
    out = capfd.readouterr().out
    assert "last: succeeded" in out
    assert "nothing is left" in out


def test_time_that_is_up_is_kept_to(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "LEAST_MINUTES", 0.001)
    pieces(monkeypatch, python("import time; time.sleep(1e6)", "endless"), python("1", "next one"))
    assert run_pieces(range(2), 0.02, folders) == ["endless"]
    out = capfd.readouterr().out
    assert "killed at the end of its time" in out
    assert "next: --piece 2" in out


def test_commands_are_given_the_minutes_that_are_left(folders: Folders) -> None:
    (command,) = PIECES[1].commands
    arguments = list(command.arguments(folders, 7.5))
    assert arguments[arguments.index("--max-minutes") + 1] == "7.50"
    assert arguments[arguments.index("--only") + 1] == "mnist-usps/pixelda"


@pytest.mark.parametrize(
    ("unfinished", "finished"),
    [(0, True), (1, False), (3, False)],
)
def test_a_table_is_finished_when_no_row_of_ours_is_open(
    folders: Folders, unfinished: int, finished: bool
) -> None:
    (command,) = PIECES[1].commands
    assert command.finished is not None
    assert not command.finished(folders)
    rows = [
        {"scenario": "mnist-usps", "system": "pixelda", "open": unfinished},
        {"scenario": "mnist-usps", "system": "dann", "open": 1},
    ]
    folders.results.mkdir()
    (folders.results / "table1-full.json").write_text(json.dumps({"rows": rows}))
    assert command.finished(folders) == finished


def test_packed_and_unpacked_are_the_same_files_in_parts_that_can_be_carried(
    folders: Folders, tmp_path: Path
) -> None:
    job = folders.work / "paper/full/mnist-usps/pixelda-paper-era/seed0"
    kept = [
        write(job / "progress.json"),
        write(job / "pixelda/checkpoint.safetensors", 2 * MIB + 7),
        write(folders.results / "table1-full.json", 500),
        write(folders.work / "done.json"),
    ]
    write(folders.work / "paper/data/mnist.npy", 1000)  # made again from the data
    write(folders.results / "table1-cpu.json")  # not the GPU's
    assert pack(folders, tmp_path / "out", part=MIB) == []
    parts = sorted((tmp_path / "out").iterdir())
    assert [part.stat().st_size for part in parts[:-1]] == [MIB, MIB]
    assert parts[-1].stat().st_size <= MIB
    there = Folders(tmp_path / "data", tmp_path / "there/work", tmp_path / "there/results")
    unpack(tmp_path / "out", there)
    moved = [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
    assert len(moved) == len(kept)
    for file in kept:
        copy = tmp_path / "there" / file.relative_to(tmp_path)
        assert copy.read_bytes() == file.read_bytes()


def test_what_does_not_fit_is_left_behind_whole_and_named(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = folders.work / "paper/full/linemod-rgb"
    large = write(jobs / "dsn/seed0/task/checkpoint.safetensors", 3 * MIB)
    write(jobs / "dsn/seed0/progress.json")
    small = write(jobs / "dann/seed0/task/checkpoint.safetensors", MIB // 2)
    write(jobs / "dann/seed0/progress.json")
    write(jobs / "mmd/seed0/task/checkpoint.safetensors", MIB)  # of a finished training: last
    write(jobs / "mmd/seed0/result.json")
    assert pack(folders, tmp_path / "out", limit=MIB)[0] == str(large)
    assert str(large) in capsys.readouterr().out
    there = Folders(tmp_path, tmp_path / "there/work", tmp_path / "there/results")
    unpack(tmp_path / "out", there)
    found = {str(f.relative_to(tmp_path / "there")) for f in there.work.rglob("*") if f.is_file()}
    prefix = "work/paper/full/linemod-rgb"
    assert found == {
        str(small.relative_to(tmp_path)),
        f"{prefix}/dann/seed0/progress.json",
        f"{prefix}/mmd/seed0/result.json",
    }
    assert sum(part.stat().st_size for part in (tmp_path / "out").iterdir()) <= MIB


def test_going_on_from_nothing_begins_anew(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack(tmp_path / "not there", folders)
    assert "beginning anew" in capsys.readouterr().out


def test_a_bundle_is_what_a_piece_needs(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write(data / "digits/mnist/train-images.gz")
    write(data / "digits/usps/usps.h5")
    write(data / "bsds500/train/1.jpg")
    write(data / "bsds500/test/2.jpg")
    bundle(PIECES[2], data, out)
    found = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    assert found == {"digits/mnist/train-images.gz", "bsds500/train/1.jpg"}
