"""Jobs for user interfaces: what they say, how they end."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render_adapt import RunConfig, SettingError, generate, jobs, verify

SMALL = {"objects": ["ape", "cat"], "n": 20, "adapter": "none", "workers": 1}


@dataclass
class Running:
    """A job's process."""

    process: subprocess.Popen[str]

    def messages(self) -> Iterator[jobs.Message]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = jobs.decode_message(line)
            assert message is not None, line
            yield message

    def cancel(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextmanager
def started(folder: Path, job: jobs.Job) -> Iterator[Running]:
    jobs.write_job(folder / "job.json", job)
    process = subprocess.Popen(
        [sys.executable, "-m", "render_adapt.jobs", str(folder / "job.json")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        yield Running(process)


def done(folder: Path, job: jobs.Job) -> tuple[list[jobs.Message], int]:
    with started(folder, job) as running:
        messages = list(running.messages())
        return messages, running.process.wait()


def test_a_dataset_is_made_and_told_of(tmp_path: Path) -> None:
    job = jobs.Job("generate", {**SMALL, "out": str(tmp_path / "d"), "n": 150})
    (reading, *counts, last), code = done(tmp_path, job)
    assert code == 0
    assert isinstance(reading, jobs.Working)
    assert all(isinstance(message, jobs.Generating) for message in counts)
    numbers = [message.done for message in counts if isinstance(message, jobs.Generating)]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (0, 150)
    assert isinstance(last, jobs.Generated)
    assert (last.crops, last.folder) == (150, str(tmp_path / "d"))
    assert Path(last.contact_sheet).is_file()
    assert not verify(tmp_path / "d", sha256=last.sha256).bad


@pytest.mark.several_seconds
def test_a_job_that_is_stopped_leaves_the_shards_of_another_run_alone(tmp_path: Path) -> None:
    out, theirs = tmp_path / "d", tmp_path / "d/.shard-000001"
    job = jobs.Job("generate", {**SMALL, "out": str(out), "n": 260})

    def stop_another(done: int, total: int) -> None:
        if theirs.exists() and not stopped:
            with started(tmp_path, job) as waiting:
                next(waiting.messages())
                # By now it reads the objects, or waits for the folder.
                time.sleep(4)
                waiting.cancel()
                stopped.append(waiting.process.wait(600))
            assert theirs.exists()

    stopped: list[int] = []
    generate(RunConfig(("ape", "cat"), n=260, adapter="none", workers=1, out=out), stop_another)
    assert stopped == [130]
    assert not verify(out, workers=1).bad


def test_a_preview_is_a_picture_and_nothing_else(tmp_path: Path) -> None:
    picture = tmp_path / "preview.png"
    settings = {**SMALL, "adapter": "shipped", "out": str(tmp_path / "d")}
    messages, code = done(tmp_path, jobs.Job("preview", settings, str(picture), crops=3))
    assert code == 0
    assert isinstance(messages[-1], jobs.Preview)
    assert messages[-1].crops == 3
    shown = cv2.imread(str(picture))
    assert shown is not None
    assert shown.shape[1] > 3 * 128
    assert not (tmp_path / "d").exists()


@pytest.mark.several_seconds
def test_a_dataset_is_looked_through_and_mended(tmp_path: Path) -> None:
    out = tmp_path / "d"
    generate(RunConfig(("ape", "cat"), n=20, adapter="none", workers=1, out=out))

    def look(**settings: Any) -> jobs.Verified:
        job = jobs.Job("verify", {"dataset": str(out), **settings})
        (*before, last), code = done(tmp_path, job)
        assert code == 0
        assert isinstance(before[0], jobs.Working)
        assert isinstance(last, jobs.Verified)
        return last

    assert look() == jobs.Verified(
        str(out),
        "checked 20 crops in 1 shard: all files are as they were written, and the labels are true",
        "", [],
    )  # fmt: skip
    lost = out / "train/000000/rgb/000003.png"
    content = lost.read_bytes()
    lost.unlink()
    seen = look()
    assert (seen.sound, seen.notes) == ("", [])
    assert seen.bad == f"{lost} is not there; its only shard is bad"
    assert not lost.exists()
    mended = look(repair=True)
    assert (mended.bad, mended.sound) == ("", look().sound)
    assert lost.read_bytes() == content


def test_check_says_what_this_python_has(tmp_path: Path) -> None:
    (message,), code = done(tmp_path, jobs.Job("check"))
    assert code == 0
    assert isinstance(message, jobs.Checked)
    assert message.version == version("render-adapt")
    assert message.python == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objects": ["apple"]}, "`objects` apple: not among the built-in models"),
        ({"seed": -1}, "`seed` is -1"),
        ({"colour": 3}, "there is no setting colour: objects, n, out,"),
        ({"n": "many"}, "`n` is many: it must be a whole number"),
        ({"n": 2.5}, "`n` is 2.5: it must be a whole number"),
        ({"n": True}, "`n` is True: it must be a whole number"),
        ({"objects": "ape"}, "`objects` is ape: it must be a list of text"),
        ({"distance": [1]}, "`distance` is [1]: it must be two numbers"),
        (
            {"distance": [9, 5]},
            "`distance` is (9.0, 5.0): it must be two numbers from 1 to 100000 mm, the smaller one "
            "first",
        ),
        ({"centre": "middle"}, "`centre` is middle: it must be mean, box, origin or visible"),
        ({"out": 3}, "`out` is 3: it must be a path"),
        ({"adapter": "/nowhere"}, "/nowhere"),
        ({"models": "gone.blend", "renderer": "blender"}, "gone.blend, which is not there"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    job = jobs.Job("generate", {**SMALL, "out": str(tmp_path / "d"), **settings})
    messages, code = done(tmp_path, job)
    assert code == 1
    assert isinstance(messages[-1], jobs.Failed)
    assert message in messages[-1].message
    assert "\n" not in messages[-1].message
    assert not (tmp_path / "d").exists()


@pytest.mark.several_seconds
def test_a_job_that_is_stopped_leaves_what_the_next_continues(tmp_path: Path) -> None:
    job = jobs.Job("generate", {**SMALL, "out": str(tmp_path / "d"), "n": 3000})
    with started(tmp_path, job) as running:
        for message in running.messages():
            if isinstance(message, jobs.Generating) and message.done > 300:
                break
        running.cancel()
        assert running.process.wait() == 130
    assert not list((tmp_path / "d").glob(".*"))
    finished = len(list((tmp_path / "d" / "shards").glob("*.json")))
    assert 1 <= finished < 12
    messages, code = done(tmp_path, job)
    assert code == 0
    counts = [message.done for message in messages if isinstance(message, jobs.Generating)]
    assert counts[0] == 250 * finished
    whole = jobs.Job("generate", {**job.settings, "out": str(tmp_path / "whole")})
    assert done(tmp_path, whole)[1] == 0
    digests = [(tmp_path / name / "dataset.sha256").read_text() for name in ("d", "whole")]
    assert digests[0] == digests[1]


@pytest.mark.several_seconds
def test_a_job_that_is_stopped_at_any_moment_ends(tmp_path: Path) -> None:
    draw = random.Random(6)
    for number in range(6):
        job = jobs.Job("generate", {**SMALL, "out": str(tmp_path / f"{number}"), "n": 100_000})
        with started(tmp_path, job) as running:
            time.sleep(draw.uniform(0, 4))
            running.cancel()
            assert running.process.wait() == 130
        assert not list((tmp_path / f"{number}").glob(".shard-*"))


def test_a_job_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    jobs.write_job(
        tmp_path / "job.json",
        jobs.Job("generate", {**SMALL, "out": str(tmp_path / "d"), "n": 100_000}),
    )
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-m', 'render_adapt.jobs', sys.argv[1]],"
        " stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "job.json")], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        while not (tmp_path / "d" / "manifest.json").exists():
            time.sleep(0.05)
        parent.kill()
    while _alive(worker):
        time.sleep(0.05)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.several_seconds
def test_an_adapter_is_learned_and_continued(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "camera").mkdir()
    for number in range(40):
        picture = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        assert cv2.imwrite(str(tmp_path / "camera" / f"{number}.png"), picture)
    settings = {
        "objects": ["ape"], "target": str(tmp_path / "camera"), "out": str(tmp_path / "a"),
        "preset": "fast", "steps": 6, "source_crops": 64, "width": 8, "batch": 4,
        "discriminator_width": 8, "precision": "fp32",
    }  # fmt: skip
    messages, code = done(tmp_path, jobs.Job("learn", settings))
    assert code == 0, messages
    (target,) = [message for message in messages if isinstance(message, jobs.Target)]
    assert (target.crops, target.with_depth) == (40, 0)
    assert target.lines == [
        "40 crops from the folder itself, 64x64 pixels", "no depth: colour alone",
    ]  # fmt: skip
    assert cv2.imread(target.contact_sheet) is not None
    assert messages.index(target) < min(
        messages.index(message) for message in messages if isinstance(message, jobs.Learning)
    )
    steps = [message.step for message in messages if isinstance(message, jobs.Learning)]
    assert steps[-1] == 6
    assert (messages[-1].folder, messages[-1].steps) == (str(tmp_path / "a"), 6)
    assert messages[-1].verdict.startswith("Below the bar: ")
    messages, code = done(tmp_path, jobs.Job("learn", {**settings, "steps": 9}))
    steps = [message.step for message in messages if isinstance(message, jobs.Learning)]
    assert min(steps) > 6
    assert (messages[-1].folder, messages[-1].steps) == (str(tmp_path / "a"), 9)


def test_a_file_that_is_no_job_is_refused(tmp_path: Path) -> None:
    for content in ("", "[]", '{"kind": "dance"}', '{"kind": "check", "speed": 3}'):
        (tmp_path / "job.json").write_text(content)
        with pytest.raises(SettingError):
            jobs.read_job(tmp_path / "job.json")


@given(
    st.builds(
        jobs.Learning,
        step=st.integers(), steps=st.integers(),
        losses=st.dictionaries(st.text(), st.floats(allow_nan=False)),
        steps_per_second=st.floats(allow_nan=False), seconds_left=st.none() | st.floats(0, 1e9),
        picture=st.none() | st.text(),
    )
    | st.builds(jobs.Failed, st.text())
    | st.builds(jobs.Target)
)  # fmt: skip
def test_messages_are_read_as_they_were_sent(message: jobs.Message) -> None:
    line = jobs.encode_message(message)
    assert "\n" not in line
    assert jobs.decode_message(line) == message


@given(st.text())
def test_lines_of_others_are_passed_over(line: str) -> None:
    assert jobs.decode_message(line) is None


def test_what_another_version_says_besides_is_left_out() -> None:
    line = json.dumps({"render-adapt": "failed", "message": "no", "color": "red"})
    assert jobs.decode_message(line) == jobs.Failed("no")
