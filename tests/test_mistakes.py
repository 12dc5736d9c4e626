"""Wrong command lines: one sentence each, exit code 2, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import run_command

SENTENCES = {
    "verfy dataset": "there is no command verfy: did you mean verify?",
    "modles list": "there is no command modles: did you mean models?",
    "models lst": "there is no command lst: did you mean list?",
    "adapters shw x": "there is no command shw: did you mean show?",
    "xyz": "there is no command xyz: --help has them all",
    "--n 3 verify dataset": "verify is a command: it comes first, as in render-adapt verify",
    "--objects ape cat": "--objects takes its values with commas: did you mean --objects ape,cat?",
    "--objects ape cat duck --n 3": (
        "--objects takes its values with commas: did you mean --objects ape,cat,duck?"
    ),
    "train --target t --out a --objects ape cat": (
        "--objects takes its values with commas: did you mean --objects ape,cat?"
    ),
    "--objects ape --n 3 --format bop bop-webdataset": (
        "--format takes its values with commas: did you mean --format bop,bop-webdataset?"
    ),
    "--objcts ape --n 3": "there is no option --objcts: did you mean --objects?",
    "-n 3": "there is no option -n: did you mean --n?",
    "--xyzzy": "there is no option --xyzzy: --help has them all",
    "train --stps 3": "there is no option --stps: did you mean --steps?",
    "train --objects ape --stps=3": "there is no option --stps: did you mean --steps?",
    "--objects ape --n 5 6": "6 is one value too many for --n: render-adapt --help says what it "
    "takes",
    "--distance 1 2 3": "3 is one value too many for --distance: render-adapt --help says what it "
    "takes",
    "--n": "--n needs a value: render-adapt --help says which",
    "train --objects": "--objects needs a value: render-adapt train --help says which",
    "--distance 5 --n 3": "--distance needs 2 values and got 1: render-adapt --help says which",
    "--n many": "--n is many: it must be a whole number",
    "--n 2.5": "--n is 2.5: it must be a whole number",
    "--window wide": "--window is wide: it must be a number",
    "--rectified=maybe": "--rectified is maybe: it must be true or false",
    "--size 65": "--size is 65: it must be 64, 128 or 256",
    "--renderer rastr": (
        "--renderer is rastr: it must be raster, cuda, pyrender or blender; did you mean raster?"
    ),
    "verify": "DATASET is missing: render-adapt verify --help says what it is",
    "completion tcsh": "SHELL is tcsh: it must be bash, zsh, fish or powershell",
    "verify a b": "b is one word too many: render-adapt verify --help says what it takes",
    "report": "DATASET is missing: render-adapt report --help says what it is",
    "train": "--objects is missing: render-adapt train --help says what it is",
    "--objects ape --n 3 --distance 900 300.5": "--distance is 900 300.5: it must be two numbers",
    "--objects ape --n 3 --format bop,yollo": "--format is bop,yollo: it must be bop, bop-webd",
    "--objects aep --n 3": "--objects aep: not among the built-in models (did you mean ape?)",
    "--objects ape,ape --n 3": "--objects names ape twice; give each object once and each file a "
    "name of its own",
    "--objects part.stl --n 3": "--objects part.stl: not a name; for a mesh file write NAME=FILE, "
    "such as widget=part.stl",
}
"""What is said, as far as it is given here, of each command line."""


@pytest.mark.parametrize("line", SENTENCES)
def test_a_wrong_command_line_gets_one_sentence(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_command(*line.split())
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
    (said,) = printed.err.splitlines()
    assert said.startswith(f"render-adapt: {SENTENCES[line]}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lights = [0, 99]", "mine.toml: lights is "),
        ("lihgts = [1, 2]", "mine.toml: there is no setting lihgts: "),
        ("lights = ", "mine.toml is not TOML ("),
        ("preset = 'weak'", "mine.toml: preset is weak: it must be none, linemod or strong"),
    ],
)
def test_a_wrong_value_in_a_file_of_settings_is_no_less_wrong(
    content: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(content)
    with pytest.raises(SystemExit) as end:
        run_command("--objects", "ape", "--n", 2, "--randomize", "mine.toml", "--out", "d")
    assert end.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"render-adapt: {said}")
    assert not Path("d").exists()
