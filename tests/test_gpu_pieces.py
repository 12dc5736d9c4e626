"""What is done on a GPU: in order, side by side, in time, and packed so that it can be carried."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import carrying, generator, running
from benchmarks.gpu.carrying import MIB, open_data, pack, unpack, write_data
from benchmarks.gpu.ceilings import hardware
from benchmarks.gpu.pieces import LINEMOD, PIECES, Piece, Step
from benchmarks.gpu.running import Place, Report, arguments_of, run_piece

ROOT = Path(__file__).resolve().parents[1]


class Clock:
    """Stands still, so that no machine is too slow; it leaps once what it waits for is true."""

    def __init__(self) -> None:
        self.now = 0.0
        self.leaps: list[tuple[Callable[[], bool], float]] = []
        """What is waited for, one after the other, and by how many seconds time then leaps."""

    def monotonic(self) -> float:
        if self.leaps and self.leaps[0][0]():
            self.now += self.leaps.pop(0)[1]
        return self.now

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(running, "time", clock)
    return clock


@pytest.fixture
def place(tmp_path: Path, clock: Clock) -> Place:
    return Place(tmp_path / "data", tmp_path / "work")


def write(path: Path, size: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


def python(code: str, name: str = "a", minutes: float = 1.0, **settings: Any) -> Step:
    return Step(name, ("-c", code), minutes, **settings)


def run(place: Place, steps: Sequence[Step], seconds: float = 60.0, at_once: int = 1) -> list[str]:
    """Steps that are not done; the report lies in `place.work`."""
    report = Report({}, [place.work / "report.json"], place)
    return run_piece(Piece("made up", 1.0, tuple(steps), at_once=at_once), place, seconds, report)


def told(place: Place) -> dict[str, Any]:
    report = json.loads((place.work / "report.json").read_text())
    return {name: step["status"] for name, step in report["steps"].items()}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from benchmarks.gpu import __main__ as gpu; gpu.NEEDED_ON_A_GPU = {}; "
        "sys.argv[1:] = ['--piece', '1']; sys.exit(gpu.main())"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(r"benchmarks.gpu: no CUDA device was found; [^.\n]*\n", result.stderr)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"torch": "torch", "its-name": "a_module.that_nobody_has", "other": "scipy.nothing"}
    monkeypatch.setattr(gpu, "NEEDED", needed)
    assert gpu.missing(rehearsal=True).startswith("its-name, other cannot be imported here")


def test_steps_run_in_order_and_what_succeeded_is_not_run_again(
    place: Place, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    append = f"open({str(log)!r}, 'a').write('%s')"
    steps = [
        python(append % "a", "first"),
        python(append % "b" + "; raise SystemExit(3)", "second"),
        python(append % "c", "third"),
    ]
    assert run(place, steps) == ["second"]
    assert log.read_text() == "abc"
    assert told(place)["second"] == "failed with exit code 3"
    assert run(place, steps) == ["second"]
    assert log.read_text() == "abcb"


def test_a_step_begins_when_those_that_it_needs_have_succeeded(
    place: Place, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    append = f"open({str(log)!r}, 'a').write('%s')"
    steps = [
        python(append % "a", "evaluation", after=("training",)),
        python(append % "b", "training"),
        python("raise SystemExit(1)", "failing"),
        python(append % "c", "lost", after=("failing",)),
        python(append % "d", "lost too", after=("lost",)),
    ]
    assert run(place, steps, at_once=2) == ["failing", "lost", "lost too"]
    assert log.read_text() == "ba"
    assert told(place)["lost"] == "not begun: it needs failing"


def meeting(name: str, other: str, **settings: Any) -> Step:
    """Succeeds if the other one is at work at the same time."""
    code = (
        "import pathlib, time; here = pathlib.Path('{work}'); (here / %r).touch()\n"
        "for _ in range(12_000):\n"
        "    if (here / %r).exists(): break\n"
        "    time.sleep(0.05)\n"
        "else: raise SystemExit(1)"
    )
    return python(code % (name, other), name, **settings)


def test_steps_run_beside_each_other_as_many_as_may(place: Place) -> None:
    assert run(place, [meeting("a", "b"), meeting("b", "a")], at_once=2) == []


def test_nothing_runs_beside_what_is_timed(place: Place) -> None:
    code = (
        "import pathlib, time; here = pathlib.Path('{work}/busy'); here.touch(exist_ok=False); "
        "time.sleep(0.3); here.unlink()"
    )
    place.work.mkdir()
    steps = [python(code, "a"), python(code, "b", alone=True), python(code, "c")]
    assert run(place, steps, at_once=3) == []


def test_a_step_that_outlasts_its_time_is_stopped_with_all_that_it_started(
    place: Place, clock: Clock
) -> None:
    code = (
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1e6)'])\n"
        "pathlib.Path('{work}/child').write_text(str(child.pid)); print('so far', flush=True)\n"
        "time.sleep(1e6)"
    )
    child_file, log = place.work / "child", place.logs / "endless.log"

    def is_at_work() -> bool:
        return child_file.exists() and child_file.read_text() != "" and "so far" in log.read_text()

    # Past its end, where it is asked to, and then past what it is given to do so.
    clock.leaps = [(is_at_work, 61.0), (lambda: True, running.GRACE_SECONDS)]
    steps = [python(code, "endless", minutes=1.0), python("print('well')", "next one")]
    assert run(place, steps, seconds=1000.0) == ["endless"]
    assert told(place) == {"endless": "stopped at the end of its time", "next one": "succeeded"}
    assert "so far" in log.read_text()
    child = Path("/proc") / child_file.read_text()
    assert not child.exists() or "Z" in (child / "stat").read_text().split(")")[1][:3]


def test_with_no_time_left_nothing_begins_and_figures_are_there(place: Place, clock: Clock) -> None:
    figure = "open('{figures}/rate.json', 'w').write('[7]')"
    clock.leaps = [((place.figures / "rate.json").exists, 3.0)]
    seconds = running.LEAST_SECONDS + 2.0
    steps = [python(figure, "measured"), python("1", "later")]
    assert run(place, steps, seconds=seconds) == ["later"]
    report = json.loads((place.work / "report.json").read_text())
    assert report["figures"] == {"rate": [7]}
    assert told(place)["later"] == "not begun: the time was up"


def test_what_takes_several_calls_goes_on(place: Place) -> None:
    more = "import pathlib; f = pathlib.Path('{work}/steps'); f.open('a').write('|')"
    steps = [
        python(more, "training", finished=lambda work: (work / "steps").read_text() == "||"
               if (work / "steps").exists() else False),
        python("1", "test", after=("training",)),
    ]  # fmt: skip
    assert run(place, steps) == ["training", "test"]
    assert told(place)["training"] == "not finished; the same command goes on"
    assert run(place, steps) == []


def test_steps_are_given_what_is_left_and_sizes_for_a_rehearsal(place: Place) -> None:
    step = Step("s", ("{minutes}", "{device}", "{crops}"), 9.0, {"crops": ("8192", "8")})
    assert arguments_of(step, place, 60.0) == ["0.90", "cuda", "8192"]
    rehearsed = Place(place.data, place.work, rehearsal=True)
    assert arguments_of(step, rehearsed, 60.0) == ["0.90", "cpu", "8"]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.title)
def test_pieces_can_be_done(piece: Piece, place: Place) -> None:
    """Needs are steps before, placeholders are known, and the time that is asked for is enough."""
    names: list[str] = []
    for step in piece.steps:
        assert set(step.after) <= set(names)
        assert step.name not in names
        names.append(step.name)
        for rehearsal in (False, True):
            there = Place(place.data, place.work, rehearsal)
            assert "{" not in "".join(arguments_of(step, there, 60.0))
    assert max(step.minutes for step in piece.steps) < piece.minutes <= 9


def test_packed_and_unpacked_are_the_same_files_in_parts_that_can_be_carried(
    place: Place, tmp_path: Path
) -> None:
    kept = [
        write(place.work / "adapters/best/checkpoint.safetensors", 2 * MIB + 7),
        write(place.work / "adapters/best/adapter.json"),
        write(place.figures / "ceilings.json", 500),
        write(place.logs / "tests.log"),
        write(place.work / "done.json"),
    ]
    write(place.work / "linemod_target/rgb/0.png", 1000)  # made again from the data
    pieces = [Piece("made up", 1.0, (), keep=("adapters/*",))]
    assert pack(pieces, place, tmp_path / "out", part=MIB) == []
    parts = sorted((tmp_path / "out").iterdir())
    assert [part.stat().st_size for part in parts[:-1]] == [MIB, MIB]
    assert parts[-1].stat().st_size <= MIB
    there = Place(tmp_path / "data", tmp_path / "there")
    unpack(tmp_path / "out", there)
    moved = [path for path in there.work.rglob("*") if path.is_file()]
    assert len(moved) == len(kept)
    for file in kept:
        assert (there.work / file.relative_to(place.work)).read_bytes() == file.read_bytes()


def test_what_does_not_fit_is_left_behind_whole_and_named(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place.work / "adapters/large/checkpoint", 3 * MIB)
    write(place.work / "adapters/large/adapter.json")
    small = write(place.work / "estimators/small/checkpoint", MIB // 2)
    pieces = [Piece("made up", 1.0, (), keep=("adapters/*", "estimators/*"))]
    large = str(place.work / "adapters/large")
    assert pack(pieces, place, tmp_path / "out", limit=MIB) == [large]
    assert large in capsys.readouterr().out
    there = Place(tmp_path, tmp_path / "there")
    unpack(tmp_path / "out", there)
    found = [file.relative_to(there.work) for file in there.work.rglob("*") if file.is_file()]
    assert found == [small.relative_to(place.work)]
    assert sum(part.stat().st_size for part in (tmp_path / "out").iterdir()) <= MIB


def test_going_on_from_nothing_begins_anew(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack(tmp_path / "not there", place)
    assert "beginning anew" in capsys.readouterr().out


def test_data_comes_out_of_a_bundle_as_it_went_in(tmp_path: Path) -> None:
    """But for test crops that are left out, and their labels."""
    data, out = tmp_path / "data", tmp_path / "out"
    models = write(data / "linemod/models/obj_000001.ply", 1000)
    write(data / "linemod/models/obj_000003.ply")  # none of the five
    write(data / "linemod/renders/fine/0.png")
    random = np.random.default_rng(0)
    names = [f"{number:04}" for number in range(5)]
    for split in ("train", "test"):
        labels = {"ape": {name: [1, 0, 0, 0] for name in names}}
        for name in names:
            file = data / f"linemod/crops/{split}/ape/{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), random.integers(0, 256, (64, 64, 3), np.uint8))
        (data / f"linemod/crops/{split}/poses.json").write_text(json.dumps(labels))
    write_data(data, LINEMOD, tmp_path / carrying.DATA, every=2)
    open_data(tmp_path, out)
    open_data(tmp_path, out)  # done before
    kept = {"train": names, "test": names[::2]}
    found = {str(f.relative_to(out)) for f in out.rglob("*.p*") if f.is_file()}
    assert found == {
        "linemod/models/obj_000001.ply",
        *(f"linemod/crops/{split}/ape/{name}.png" for split in kept for name in kept[split]),
    }
    assert (out / "linemod/models/obj_000001.ply").read_bytes() == models.read_bytes()
    for split, frames in kept.items():
        labels = json.loads((out / f"linemod/crops/{split}/poses.json").read_text())
        assert list(labels["ape"]) == frames
        for name in frames:
            crop = f"linemod/crops/{split}/ape/{name}.png"
            assert np.array_equal(cv2.imread(str(out / crop)), cv2.imread(str(data / crop)))


def test_packages_that_are_carried_are_pinned_and_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the versions that the tests have run with, and none that the check does not name."""
    asked: list[str] = []
    monkeypatch.setattr(
        carrying.subprocess, "run", lambda command, **_: asked.extend(map(str, command))
    )
    site = carrying.fetch_packages(tmp_path)
    versions = dict(word.split("==") for word in asked if re.fullmatch(r"[\w-]+==[\w.]+", word))
    assert versions.keys() == set(carrying.CARRIED)
    # Needed by others alone: cyclopts shows help texts with it.
    assert set(carrying.CARRIED) - {"rich-rst"} <= gpu.NEEDED.keys()
    assert [file.name for file in site.glob("*/*")] == ["METADATA"]


def test_a_rehearsal_measures_and_packs(tmp_path: Path) -> None:
    """The same script on a processor, in small, but for the tests of code for GPUs."""
    code = (
        "import sys; from dataclasses import replace; from benchmarks.gpu import __main__ as gpu\n"
        "from benchmarks.gpu import generator\n"
        "kept = [s for s in gpu.PIECES[0].steps if s.name in ('ceilings', 'rasteriser')]\n"
        "gpu.PIECES = (replace(gpu.PIECES[0], steps=tuple(kept)),); sys.exit(gpu.main())"
    )
    out = tmp_path / "out"
    options = ["--rehearse", "--work", str(tmp_path / "work"), "--out", str(out)]
    subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, check=True)
    report = json.loads((out / "gpu.json").read_text())
    assert report["rehearsal"] is True
    assert report["machine"]["packages"]["torch"] == torch.__version__
    assert {name: step["status"] for name, step in report["steps"].items()} == {
        "ceilings": "succeeded"
    }
    ceilings = report["figures"]["ceilings"]
    assert ceilings["device"] == hardware(torch.device("cpu"))
    assert ceilings["copy_gb_per_s"] > 0
    assert all(ceilings["tflops"][kind] > 0 for kind in ("bf16", "fp16", "tf32", "fp32"))
    with tarfile.open(out / "state.tar.00") as tar:
        assert {"done.json", "figures/ceilings.json", "logs/ceilings.log"} <= set(tar.getnames())


def test_folded_batch_norms_change_nothing_and_shares_are_of_the_nearer_ceiling() -> None:
    from adapter import load_adapter

    adapter: Any = load_adapter("shipped", runtime="torch")
    x, z = torch.rand(2, 4, 64, 64) * 2 - 1, torch.rand(2, adapter.info.noise_dimension) * 2 - 1
    folded = generator.fold(adapter._generator)
    with torch.inference_mode():
        assert torch.allclose(folded(x, z), adapter._generator(x, z), atol=1e-5)
    assert not any(isinstance(module, generator.BatchNorm) for module in folded.modules())
    operations, values = generator.work_of(folded, 4, 64, adapter.info.noise_dimension)
    ceilings = {"tflops": {"bf16": operations / 1e12}, "copy_gb_per_s": values * 2 / 1e9}
    # Both ceilings are one crop a second, and half of that is half of each.
    figures = generator.shares({"crops_per_s": 0.5}, "bf16", (operations, values), ceilings)
    assert figures["share_of_matrix_product"] == figures["share_of_floor"] == 0.5
    narrow = {**ceilings, "copy_gb_per_s": values / 1e9}
    figures = generator.shares({"crops_per_s": 0.5}, "bf16", (operations, values), narrow)
    assert figures["share_of_floor"] == 1.0


def test_the_page_has_the_operations_of_the_adapters_that_it_names() -> None:
    from adapter import load_adapter

    page = " ".join((ROOT / "docs/gpu.md").read_text().split())
    for name, words in (
        ("linemod-rgbd-fast", r"`linemod-rgbd-fast`\*\* \((\S+) GFLOP a crop\)"),
        ("shipped", r"default adapter now, `linemod-rgbd`, is (\S+) GFLOP a crop"),
    ):
        adapter: Any = load_adapter(name, runtime="torch")
        info = adapter.info
        network = generator.fold(adapter._generator)
        operations, _ = generator.work_of(network, info.channels, info.size, info.noise_dimension)
        (said,) = re.findall(words, page)
        assert said == f"{operations / 1e9:.2f}", name
