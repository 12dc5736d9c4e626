"""A training of one's own, as a user would write it, on the engine that all of ours are on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from adapter import (
    AdapterError,
    MovingAverage,
    OtherTraining,
    Snapshot,
    TaskProgress,
    Training,
    TrainingDiverged,
    TrainingSettings,
    run_training,
)

SLOPE, OFFSET = 3.0, -1.0
POINTS = np.linspace(-1, 1, 64, dtype=np.float32)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@dataclass(frozen=True)
class LineSettings:
    """Settings of a straight line's fit."""

    steps: int = 20
    learning_rate: float = 0.1
    max_minutes: float = 0.0
    checkpoint_every: int = 1000
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    sizes: tuple[int, int] = (1, 1)


class Line(Training):
    """Fits a straight line, with dropout, to noisy points that it draws."""

    def __init__(self, points: NDArray[np.float32], settings: LineSettings) -> None:
        super().__init__(settings)
        torch.manual_seed(settings.seed)
        self.points, self.rate = points, settings.learning_rate
        self.line = nn.Sequential(nn.Dropout(0.1), nn.Linear(*settings.sizes)).to(settings.device)
        self.adam = torch.optim.Adam(self.line.parameters(), self.rate)
        self.networks["line"], self.optimizers["adam"] = self.line, self.adam
        self.averages["average"] = MovingAverage(self.line, 0.9)

    def step(self, step: int) -> dict[str, Tensor]:
        x = torch.from_numpy(self.points)[torch.randint(len(self.points), (8, 1))]
        x, noise = (values.to(self.config.device) for values in (x, 0.1 * torch.randn(8, 1)))
        loss = (self.line(x) - (SLOPE * x + OFFSET + noise)).square().mean()
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return {"squared error": loss}

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return {"adam": 0.99**step * self.rate}

    def data(self) -> Iterable[NDArray[np.float32]]:
        return [self.points]


def fit(out: Path, settings: LineSettings, **callbacks: Callable[..., None]) -> Line:
    return run_training(partial(Line, POINTS), settings, out, **callbacks)  # type: ignore[arg-type]


def state(out: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(out / "checkpoint.safetensors", framework="pt") as file:
        names, metadata = file.keys(), file.metadata()
        del metadata["sha256"]  # of the whole file, whose header has no order
        return {name: file.get_tensor(name) for name in names}, metadata


def test_a_line_is_learnt(tmp_path: Path) -> None:
    seen: list[TaskProgress] = []
    line = fit(tmp_path, LineSettings(steps=200), on_progress=seen.append)
    weight, bias = (value.item() for value in line.averages["average"].network.parameters())
    # Dropout keeps nine tenths and scales them up, which leaves the mean as it is.
    assert weight == pytest.approx(SLOPE, abs=0.5)
    assert bias == pytest.approx(OFFSET, abs=0.3)
    assert [progress.step for progress in seen] == list(range(1, 201))
    assert seen[-1].losses.keys() == {"squared error"}
    assert seen[-1].losses["squared error"] < 0.2 * seen[0].losses["squared error"]
    for progress in seen:
        left = progress.seconds_left * progress.steps_per_second
        assert left == pytest.approx(200 - progress.step)


@pytest.mark.parametrize("every", [1, 3, 1000])
def test_k_steps_and_m_steps_are_k_and_m_steps(every: int, tmp_path: Path) -> None:
    settings = LineSettings(checkpoint_every=every)
    torch.manual_seed(1)
    fit(tmp_path / "whole", settings)
    torch.manual_seed(2)
    for steps in (1, 7, 8, 20):
        parts = fit(tmp_path / "parts", replace(settings, steps=steps))
    (expected, about), (found, about_parts) = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert about == about_parts
    assert expected.keys() == found.keys()
    assert {name for name in expected if not torch.equal(expected[name], found[name])} == set()
    for name, value in parts.line.state_dict().items():
        assert torch.equal(value, expected[f"line.{name}"])


def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(progress: TaskProgress) -> None:
        if progress.step == 11:
            raise Killed

    settings = LineSettings(checkpoint_every=4)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", settings, on_progress=kill)
    steps: list[int] = []
    fit(tmp_path / "killed", settings, on_progress=lambda progress: steps.append(progress.step))
    assert steps == list(range(9, 21))
    fit(tmp_path / "whole", settings)
    whole, found = state(tmp_path / "whole")[0], state(tmp_path / "killed")[0]
    assert all(torch.equal(value, found[name]) for name, value in whole.items())


def test_a_finished_training_is_taken_from_its_checkpoint(tmp_path: Path) -> None:
    first = fit(tmp_path, LineSettings())
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    again = fit(tmp_path, LineSettings(), on_progress=lambda progress: pytest.fail("a step"))
    assert torch.equal(again.line[1].weight, first.line[1].weight)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_the_callers_random_numbers_and_threads_are_left_alone(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(tmp_path, LineSettings())
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_checkpoints_are_told_of_when_they_are_there(tmp_path: Path) -> None:
    told: list[str] = []

    def tell(checkpoint: Path) -> None:
        assert checkpoint == tmp_path / "checkpoint.safetensors"
        told.append(state(tmp_path)[1]["step"])

    fit(tmp_path, LineSettings(checkpoint_every=8), on_checkpoint=tell)
    assert told == ["8", "16", "20"]


def test_an_average_follows_weights_more_slowly_from_step_to_step(tmp_path: Path) -> None:
    """Its share of itself is (1 + step) / (10 + step), up to 0.9."""
    states: list[dict[str, Tensor]] = []
    settings = LineSettings(steps=120, checkpoint_every=1)
    fit(tmp_path, settings, on_checkpoint=lambda path: states.append(state(tmp_path)[0]))
    for step, (before, after) in enumerate(itertools.pairwise(states), start=1):
        keep = min(0.9, (1 + step) / (10 + step))
        expected = keep * before["average.1.weight"] + (1 - keep) * after["line.1.weight"]
        torch.testing.assert_close(after["average.1.weight"], expected)


def test_a_learning_rate_is_the_steps(tmp_path: Path) -> None:
    line = fit(tmp_path, LineSettings(steps=11))
    assert line.adam.param_groups[0]["lr"] == pytest.approx(0.1 * 0.99**10)


class Diverging(Line):
    """Its loss is no number from a step on."""

    def step(self, step: int) -> dict[str, Tensor]:
        report = super().step(step)
        return {**report, "other": report["squared error"] * (math.nan if step >= 6 else 1)}


@pytest.mark.parametrize(
    ("every", "kept"),
    [(100, r"none was saved yet"), (4, r"the checkpoint of step 4 is kept")],
)
def test_a_run_that_diverges_stops_before_it_is_saved(
    every: int, kept: str, tmp_path: Path
) -> None:
    settings = LineSettings(checkpoint_every=every)
    with pytest.raises(
        TrainingDiverged, match=rf"diverged at step 7: the other loss .* \({kept}\)"
    ):
        run_training(partial(Diverging, POINTS), settings, tmp_path)
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert checkpoint.exists() == (every == 4)
    if checkpoint.exists():
        assert state(tmp_path)[1]["step"] == "4"
        # Also when it is tried again: it goes on from there, not from what was lost.
        with pytest.raises(AdapterError, match=r"step 7: .*step 4 is kept"):
            run_training(partial(Diverging, POINTS), settings, tmp_path)


def clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Every look at the clock finds so much later than the last."""
    ticks = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: seconds * next(ticks))


def test_however_short_the_time_each_command_takes_a_step_and_is_continued_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where rendering, or trying how many threads are fastest, has taken all of it."""
    limited = LineSettings(max_minutes=0.5)
    for step in ("1", "2"):
        with monkeypatch.context() as context:
            clock(context, 31.0)
            fit(tmp_path / "parts", limited)
        assert state(tmp_path / "parts")[1]["step"] == step
    fit(tmp_path / "parts", LineSettings())
    fit(tmp_path / "whole", LineSettings())
    whole, parts = state(tmp_path / "whole")[0], state(tmp_path / "parts")[0]
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_time_left_is_at_most_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks at the clock for each step: before it, and for its progress."""
    seen: list[TaskProgress] = []
    with monkeypatch.context() as context:
        clock(context, 5.0)
        fit(tmp_path, LineSettings(max_minutes=0.5), on_progress=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3]
    assert [progress.steps_per_second for progress in seen] == [0.1, 0.1, 0.1]
    assert [progress.seconds_left for progress in seen] == [20, 10, 0]


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, LineSettings())
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(
        OtherTraining, match=r"`learning_rate` 0\.1 there, 0\.2 now; `seed` 0 there"
    ):
        fit(tmp_path, LineSettings(learning_rate=0.2, seed=1))
    with pytest.raises(OtherTraining, match="other crops"):
        run_training(partial(Line, POINTS[1:]), LineSettings(), tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    class Renamed(Line):
        def __init__(self, points: NDArray[np.float32], settings: LineSettings) -> None:
            super().__init__(points, settings)
            self.networks = {"curve": self.line}

    fit(tmp_path, LineSettings())
    with pytest.raises(AdapterError, match="does not hold the whole state of the curve"):
        run_training(partial(Renamed, POINTS), LineSettings(), tmp_path)


def test_steps_are_fixed_where_a_step_depends_on_them(tmp_path: Path) -> None:
    class Planned(Line):
        depends_on_steps = True

    run_training(partial(Planned, POINTS), LineSettings(), tmp_path)
    with pytest.raises(OtherTraining, match="`steps` 20 there, 21 now"):
        run_training(partial(Planned, POINTS), LineSettings(steps=21), tmp_path)


class Shown(Line):
    """Says more of itself with a checkpoint, and takes it up again."""

    taken_up: str = ""

    def snapshot(self, step: int) -> Snapshot:
        picture = np.full((2, 3, 3), step, np.uint8)
        return Snapshot({"copy": self.line}, {"steps twice": str(2 * step)}, picture)

    def continue_from(self, checkpoint: Path, metadata: Mapping[str, str]) -> None:
        self.taken_up = metadata["steps twice"]


def test_what_goes_with_a_checkpoint_lies_in_it_and_is_given_back(tmp_path: Path) -> None:
    import cv2

    make = partial(Shown, POINTS)
    assert run_training(make, LineSettings(checkpoint_every=15), tmp_path).taken_up == ""
    tensors, metadata = state(tmp_path)
    assert torch.equal(tensors["copy.1.weight"], tensors["line.1.weight"])
    assert metadata["steps twice"] == "40"
    samples = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert samples == ["step_0000015.png", "step_0000020.png"]
    image = cv2.imread(str(tmp_path / "samples/step_0000015.png"))
    np.testing.assert_array_equal(image, np.full((2, 3, 3), 15))
    again = run_training(make, LineSettings(steps=21, checkpoint_every=15), tmp_path)
    assert again.taken_up == "40"


def test_curves_are_what_progress_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr("adapter._training.engine.SCALARS_EVERY", 10)
    seen: dict[int, TaskProgress] = {}
    run_training(
        partial(Line, POINTS),
        LineSettings(),
        tmp_path,
        tensorboard=True,
        on_progress=lambda progress: seen.update({progress.step: progress}),
    )
    board = reader.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    names = {"loss/squared error", "learning rate/adam", "steps per second"}
    assert set(board.Tags()["scalars"]) == names
    points = board.Scalars("loss/squared error")
    assert [point.step for point in points] == [10, 20]
    for point in points:
        assert point.value == pytest.approx(seen[point.step].losses["squared error"], rel=1e-6)
    rates = [point.value for point in board.Scalars("learning rate/adam")]
    assert rates == pytest.approx([0.1 * 0.99**9, 0.1 * 0.99**19])


class Threaded(Line):
    """Its steps take as long as a clock says, by how many threads torch has."""

    tried: ClassVar[list[int]] = []

    def step(self, step: int) -> dict[str, Tensor]:
        self.tried.append(torch.get_num_threads())
        return super().step(step)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The threads of each step, on a machine for which torch would take four."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    monkeypatch.setattr(Threaded, "tried", [])
    yield Threaded.tried
    torch.set_num_threads(before)


def seconds_by_threads(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
    now = itertools.accumulate(seconds[torch.get_num_threads()] for _ in itertools.count())
    monkeypatch.setattr("time.perf_counter", lambda: next(now))


@pytest.mark.parametrize(
    ("seconds", "chosen", "in_vain"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4}, 4, 9),
        ({1: 1.0, 2: 0.6, 4: 0.9}, 2, 9),
        # Not worth a second core, and not tried with more.
        ({1: 1.0, 2: 0.97}, 1, 6),
        # A busy machine, whose second thread waits for its core: one step tells.
        ({1: 0.42, 2: 8.1}, 1, 4),
    ],
)
def test_threads_are_chosen_by_trying(
    seconds: dict[int, float],
    chosen: int,
    in_vain: int,
    tried: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes: list[str] = []
    settings = LineSettings(threads=0)
    with monkeypatch.context() as context:
        seconds_by_threads(context, seconds)
        run_training(
            partial(Threaded, POINTS), settings, tmp_path / "left_open",
            on_progress=lambda progress: notes.append(progress.note),
        )  # fmt: skip
    assert tried[in_vain:] == 20 * [chosen]
    assert sorted(set(tried[:in_vain])) == sorted(seconds)
    assert notes[0].startswith(f"`threads` {chosen}, {seconds[chosen]:.2g} s a step as measured")
    assert set(notes[1:]) == {""}
    assert torch.get_num_threads() == 4
    # The steps in vain leave no trace.
    fit(tmp_path / "given", replace(settings, threads=chosen))
    left_open, given = state(tmp_path / "left_open")[0], state(tmp_path / "given")[0]
    assert all(torch.equal(value, left_open[name]) for name, value in given.items())


def test_a_training_goes_on_with_the_threads_that_it_began_with(
    tried: list[int], tmp_path: Path
) -> None:
    notes: list[str] = []
    fit(tmp_path, LineSettings(steps=8, threads=2))
    run_training(
        partial(Threaded, POINTS), LineSettings(threads=0), tmp_path,
        on_progress=lambda progress: notes.append(progress.note),
    )  # fmt: skip
    assert tried == 12 * [2]
    assert notes[0] == "`threads` 2, as this training began with"
    run_training(partial(Threaded, POINTS), LineSettings(steps=21, threads=1), tmp_path)
    assert tried[12:] == [1]


def test_given_threads_are_not_tried(tried: list[int], tmp_path: Path) -> None:
    run_training(partial(Threaded, POINTS), LineSettings(threads=3), tmp_path)
    assert tried == 20 * [3]


@pytest.mark.parametrize("stated", ["-1", "two", "9" * 5000, "²"])
def test_a_checkpoint_of_no_number_of_threads_is_refused(stated: str, tmp_path: Path) -> None:
    fit(tmp_path, LineSettings())
    tensors, metadata = state(tmp_path)
    metadata |= {"format": "render-adapt training 1", "threads": stated}
    save_file(tensors, tmp_path / "checkpoint.safetensors", metadata)
    with pytest.raises(AdapterError, match="threads: take it from a copy"):
        fit(tmp_path, LineSettings(steps=21))


@needs_cuda
def test_on_a_gpu_losses_are_read_every_tenth_step_at_checkpoints_and_in_the_end(
    tmp_path: Path,
) -> None:
    seen: list[int] = []
    settings = LineSettings(steps=27, checkpoint_every=12, device="cuda")
    fit(tmp_path, settings, on_progress=lambda progress: seen.append(progress.step))
    assert seen == [10, 12, 20, 24, 27]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="`device` cpu"):
        fit(tmp_path, LineSettings(device="cuda"))
    assert not list(tmp_path.iterdir())


def test_settings_are_what_the_engine_asks_for() -> None:
    settings: TrainingSettings = LineSettings()
    assert (settings.steps, settings.device) == (20, "cpu")
