"""`--help`: words and lines as they are typed, without waiting for what only work needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import run_command

COMMANDS = (
    "adapt", "adapters", "align", "calibrate", "completion", "crop", "crop-target", "doctor", "fit",
    "merge", "models", "presets", "report", "reproduce", "train", "verify",
)  # fmt: skip


def helped(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What `--help` prints."""
    with pytest.raises(SystemExit) as end:
        run_command(*command, "--help")
    assert not end.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_is_plain_text_without_empty_defaults(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = helped(capsys, *command)
    assert said.startswith(f"Usage: {' '.join(('render-adapt', *command))}")
    assert "`" not in said
    assert "[default: ]" not in said
    assert "[default: False]" not in said


def test_help_names_every_command_and_ends_with_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = helped(capsys)
    assert all(f" {name} " in said for name in COMMANDS)
    examples = said.split("\nExamples:\n")[1].splitlines()
    assert examples[0] == "    render-adapt --objects ape,cat --n 1000 --out dataset"
    assert all(line.startswith("    render-adapt ") for line in examples)


HELP = """
import sys
from render_adapt._start import main
sys.argv = ["render-adapt", "--help"]
try:
    main()
except SystemExit:
    pass
print("loaded:", *sorted(sys.modules))
"""
LATER = (
    "numba", "onnxruntime", "torch", "markdown_it", "rich.progress", "render_adapt._runs.pipeline",
    "render_adapt._train", "render_adapt._report.page", "adapter._settings.pixelda",
)  # fmt: skip


def test_who_asks_for_help_does_not_wait_for_what_makes_crops() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parents[1],
    ).stdout  # fmt: skip
    loaded = shown.rpartition("loaded: ")[2].split()
    assert "cyclopts" in loaded
    assert not set(LATER) & set(loaded)
