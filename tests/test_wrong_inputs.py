"""What is said of wrong command lines, files and folders is what golden/wrong_inputs.txt has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command import run_command
from tests.wrong_inputs import GOLDEN, answered, make_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("wrong") / "inputs")


@pytest.mark.several_seconds
def test_what_is_said_of_wrong_inputs(folder: Path) -> None:
    """`python -m tests.wrong_inputs` writes the file anew."""
    before = sorted(folder.rglob("*"))
    assert answered(GOLDEN.read_text(), folder) == GOLDEN.read_text()
    assert sorted(folder.rglob("*")) == before, "what is refused leaves nothing behind"


ANSWERS = re.findall(
    r"^\$ (render-adapt.*)\nexit (\d+)\n((?:  .*\n)+)", GOLDEN.read_text(), re.MULTILINE
)


def test_each_wrong_input_gets_one_sentence_and_a_documented_exit_code() -> None:
    assert len(ANSWERS) >= 60
    for command, code, said in ANSWERS:
        assert code in ("1", "2"), command
        assert said.startswith("  render-adapt: "), command
        assert said.count("\n") == 1, command
        assert "Traceback" not in said
        assert "Error" not in said, "a person reads this, not a class's name"


def test_each_command_has_wrong_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command("--help")
    (listed,) = re.findall(r"─ Commands ─(.*?)╰", capsys.readouterr().out, re.DOTALL)
    commands = set(re.findall(r"^│ ([a-z][a-z-]*)", listed, re.MULTILINE))
    assert {"verify", "train"} <= commands
    given = {command.split()[1] for command, _, _ in ANSWERS}
    assert commands - given == set()
