"""Fidelity: what scores mean, who gets which, and what becomes of crops that are not faithful."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from adapter import (
    SHIPPED_ADAPTER,
    Adapter,
    AdapterError,
    IdentityAdapter,
    draw_noise,
    load_adapter,
)
from cad_models import load_models
from render_adapt import (
    Calibration,
    FidelityScores,
    Judge,
    RunConfig,
    SettingError,
    adapt_crops,
    adapt_faithfully,
    make_judge,
    read_calibration,
)
from render_adapt._fidelity.calibrate import calibrate
from render_adapt._fidelity.calibration import CALIBRATION, SHARES, measure, write_calibration
from render_adapt._fidelity.judge import JUDGE
from render_adapt._fidelity.training.faults import erased, shifted, swapped, turned
from renderer import (
    CropBatch,
    PlanConfig,
    Plans,
    angle_between,
    capture,
    make_plans,
    make_renderer,
)
from tests.damage import DAMAGES

OBJECTS = ("ape", "benchvise", "cam", "cat", "duck")


@functools.cache
def models() -> list[Any]:
    return load_models(OBJECTS)


def plan(count: int = 64, size: int = 64) -> Plans:
    return make_plans(PlanConfig(size=size), models(), 11, 0, count)


def render(plans: Plans) -> CropBatch:
    return make_renderer("raster", models(), levels=False).render(plans)


@functools.cache
def general() -> Judge:
    return Judge(read_calibration(JUDGE.with_name(CALIBRATION)))


def scores(edges: Any, depth: Any, judge: Any) -> FidelityScores:
    return FidelityScores(*(np.array(x, np.float64) for x in (edges, depth, judge)))


def test_fidelity_is_fishers_combination_of_what_is_known() -> None:
    nan = np.nan
    known = scores([0.5, 0.5, 1.0, nan, 0.2], [0.5, nan, 1.0, nan, nan], [0.9, 0.8, 1.0, nan, nan])
    # 0.225 (1 + 1.49165 + 1.11252), 0.4 (1 + 0.9163), nothing wrong, nothing known, one part alone.
    # 0.810939 and 0.766516, to three digits.
    np.testing.assert_array_equal(known.fidelity, [0.811, 0.767, 1.0, nan, 0.2])


@given(st.lists(st.floats(1e-60, 1.0), min_size=3, max_size=3))
def test_fidelity_agrees_with_the_chi_squared_distribution(parts: list[float]) -> None:
    surprise = -2 * np.log(parts).sum()
    expected = stats.chi2.sf(surprise, 6)
    # To three digits.
    np.testing.assert_allclose(scores(*parts).fidelity, expected, rtol=5.001e-3)


def test_one_in_a_hundred_is_below_a_hundredth_where_parts_have_nothing_in_common() -> None:
    parts = np.random.default_rng(0).random((3, 400_000))
    assert (FidelityScores(*parts).fidelity < 0.01).mean() == pytest.approx(0.01, rel=0.05)


def calibration(**parts: NDArray[np.float64]) -> Calibration:
    return measure(parts, adapter_sha256=None, judge_sha256="0" * 64, objects=("ape",))


def ramp() -> Calibration:
    values = np.arange(100_001) / 1000.0  # 0 to 100
    return calibration(edges=values, judge=values)


def test_a_share_is_that_of_the_crops_that_agree_no_better() -> None:
    share = ramp().share("edges", np.array([100.0, 50.0, 1.0, 0.1, 200.0, np.nan]))
    np.testing.assert_allclose(share, [1, 0.5, 0.01, 0.001, 1, np.nan], rtol=1e-3)


def test_below_all_known_crops_the_share_falls_by_tens() -> None:
    # From 1 % to 0.1 % it is 0.9; as far below 0.1 % it is 0.01 %.
    share = ramp().share("edges", np.array([0.1 - 0.9, 0.1 - 1.8]))
    np.testing.assert_allclose(share, [1e-4, 1e-5], rtol=1e-2)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_better_agreement_is_never_a_smaller_share(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    share = ramp().share("judge", ordered)
    assert (np.diff(share) >= 0).all()
    assert ((share >= 0) & (share <= 1)).all()


def test_parts_that_crops_have_nothing_for_are_left_out() -> None:
    values = np.arange(2000.0)
    known = calibration(edges=values, judge=values, depth=np.full(2000, np.nan))
    assert set(known.quantiles) == {"edges", "judge"}


def test_calibrating_by_too_few_crops_is_refused() -> None:
    with pytest.raises(SettingError, match=r"999 crops show their target .* 1000 or more"):
        calibration(edges=np.arange(999.0), judge=np.arange(999.0))


def test_a_calibration_reads_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / CALIBRATION
    file.write_text(write_calibration(ramp()))
    read = read_calibration(file)
    np.testing.assert_array_equal(read.quantiles["edges"], ramp().quantiles["edges"])
    assert dataclasses.replace(read, quantiles={}) == dataclasses.replace(ramp(), quantiles={})


@pytest.mark.parametrize(
    "change",
    [
        {"format": "render-adapt fidelity 2"},
        {"shares": [0.5, 1.0]},
        {"crops": True},
        {"objects": [1]},
        {"adapter_sha256": 3},
        {"judge_sha256": None},
        {"quantiles": {"edges": [0.0] * 16}},
        {"quantiles": {"edges": [0.0] * 16, "judge": [0.0] * 16, "taste": [0.0] * 16}},
        {"quantiles": {"edges": [0.0] * 16, "judge": [0.0] * 15}},
        {"quantiles": {"edges": [0.0] * 16, "judge": [*range(15), 3]}},
        {"quantiles": {"edges": [0.0] * 16, "judge": [float("nan")] * 16}},
        {"quantiles": {"edges": [0.0] * 16, "judge": ["0"] * 16}},
        {"quantiles": None},
    ],
)
def test_a_damaged_calibration_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / CALIBRATION
    file.write_text(json.dumps(json.loads(write_calibration(ramp())) | change))
    with pytest.raises(AdapterError, match="no fidelity calibration of this version"):
        read_calibration(file)


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b"{}", b"[]", b"3"])
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / CALIBRATION
    file.write_bytes(content)
    with pytest.raises(AdapterError, match=r"fidelity\.json is (not JSON|no fidelity calibration)"):
        read_calibration(file)


def test_an_endless_calibration_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / CALIBRATION
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(AdapterError, match="larger than 1 MiB"):
        read_calibration(file)


def test_a_damaged_judge_is_neither_taken_nor_calibrated_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(JUDGE.parent, tmp_path / "judge")
    damaged = tmp_path / "judge/judge.onnx"
    damaged.write_bytes(DAMAGES["a flipped bit"](damaged.read_bytes()))
    monkeypatch.setattr("render_adapt._fidelity.judge.JUDGE", damaged)
    general = read_calibration(JUDGE.with_name("fidelity.json"))
    said = r"judge\.onnx is not the file that came with this version .* install render-adapt again"
    with pytest.raises(AdapterError, match=said):
        Judge(general, damaged)
    with pytest.raises(AdapterError, match=said):
        calibrate(lambda renders: renders, None, load_models(["ape"]), PlanConfig(), 10, damaged)


def test_a_judge_refuses_another_judges_calibration() -> None:
    with pytest.raises(AdapterError, match="made with another judge"):
        Judge(ramp())


def test_a_judge_refuses_another_adapters_calibration(tmp_path: Path) -> None:
    known = read_calibration(SHIPPED_ADAPTER / CALIBRATION)
    other = dataclasses.replace(known, adapter_sha256="1" * 64)
    (tmp_path / CALIBRATION).write_text(write_calibration(other))
    with pytest.raises(AdapterError, match=f"calibrate --adapter {tmp_path}"):
        make_judge(tmp_path, load_adapter("shipped"))


@pytest.mark.parametrize(("channels", "judged"), [(3, False), (4, True)])
def test_depth_is_judged_where_the_adapter_makes_it(
    tmp_path: Path, channels: int, judged: bool
) -> None:
    renders = render(plan(8))
    adapter = IdentityAdapter(channels=channels)
    score = make_judge(tmp_path, adapter).score(renders, renders)
    assert np.isfinite(score.depth).all() == judged
    assert np.isfinite(score.fidelity).all()


def test_the_shipped_adapters_calibration_is_its_own() -> None:
    adapter = load_adapter("shipped")
    judge = make_judge("shipped", adapter)
    assert judge.calibration.objects == adapter.info.class_names
    assert judge.calibration.crops >= 1 / SHARES[0]


def test_scores_do_not_depend_on_the_company() -> None:
    renders = render(plan(20))
    whole = general().score(renders, renders)
    rows = np.array([17, 3, 8])
    part = general().score(renders[rows], renders[rows])
    for name in ("edges", "depth", "judge"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows])


def test_a_hidden_target_is_not_judged() -> None:
    renders = render(plan(3))
    seen = renders.mask_visib.copy()
    seen[1] = False
    seen[1, 20:23, 20:25] = True  # 15 pixels
    hidden = dataclasses.replace(renders, mask_visib=seen)
    fidelity = general().score(renders, hidden).fidelity
    np.testing.assert_array_equal(np.isnan(fidelity), [False, True, False])


@functools.cache
def adapted(fault: str) -> FidelityScores:
    plans, random = plan(), np.random.default_rng(0)
    faulty = {
        "none": lambda: plans,
        "shifted": lambda: shifted(plans, 8, random),
        "turned": lambda: turned(plans, models(), 45, random),
        "erased": lambda: erased(plans),
        "swapped": lambda: swapped(plans, models(), random),
    }[fault]()
    adapter = load_adapter("shipped")
    randomization = RunConfig(("any",), n=1).fitted_to(adapter.info).randomization

    def seen(plans: Plans) -> CropBatch:
        return capture(render(plans), randomization, 11, models())

    crops = adapt_crops(seen(faulty), adapter, 11, 200.0)
    return make_judge("shipped", adapter).score(crops, seen(plans))


def test_the_shipped_adapters_crops_are_faithful() -> None:
    fidelity = adapted("none").fidelity
    assert (fidelity < 0.01).mean() < 0.05
    assert 0.3 < np.median(fidelity) < 0.8


@pytest.mark.parametrize("fault", ["shifted", "turned", "erased", "swapped"])
def test_gross_faults_are_found_in_the_shipped_adapters_crops(fault: str) -> None:
    assert (adapted(fault).fidelity < 0.01).mean() > 0.95


@pytest.mark.parametrize("fault", ["shifted", "erased", "swapped"])
def test_gross_faults_are_found_by_colours_alone(fault: str) -> None:
    known = adapted(fault)
    without = dataclasses.replace(known, depth=np.full(len(known), np.nan))
    assert (without.fidelity < 0.01).mean() > 0.9


class Fickle(Adapter):
    """Leaves crops as they are, but for those whose first noise number is above a limit: it loses
    these."""

    def __init__(self, limit: float) -> None:
        self.info = IdentityAdapter(channels=4).info
        self._limit = limit

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        empty = np.array([-1, -1, -1, 1], np.float32)[:, None, None]
        return np.where((noise[:, 0] > self._limit)[:, None, None, None], empty, crops)


def first_good(index: int, limit: float, redraws: int) -> int | None:
    """The attempt whose first noise number is not above the limit."""
    for attempt in range(redraws + 1):
        stream = [5, index, 2, attempt] if attempt else [5, index, 2]
        if 2 * np.random.default_rng(stream).random(10, dtype=np.float32)[0] - 1 <= limit:
            return attempt
    return None


@pytest.mark.parametrize("redraws", [0, 1, 3])
def test_noise_is_redrawn_until_the_crop_is_faithful(redraws: int) -> None:
    renders, limit = render(plan(40)), 0.0
    done = adapt_faithfully(
        renders, Fickle(limit), general(), seed=5, window=200.0, min_fidelity=1e-3, redraws=redraws
    )
    expected = [first_good(i, limit, redraws) for i in range(40)]
    np.testing.assert_array_equal(done.kept, [a is not None for a in expected])
    np.testing.assert_array_equal(done.attempt[done.kept], [a for a in expected if a is not None])
    assert done.redrawn == sum(a is not None and a > 0 for a in expected)
    assert done.dropped == expected.count(None)
    np.testing.assert_array_equal(done.crops.rgb[done.kept], renders.rgb[done.kept])
    assert (done.scores.fidelity[done.kept] >= 1e-3).all()
    assert (done.scores.fidelity[~done.kept] < 1e-3).all()


def test_redrawing_does_not_depend_on_the_company() -> None:
    renders = render(plan(24))
    settings: dict[str, Any] = {"seed": 5, "window": 200.0, "min_fidelity": 1e-3}
    whole = adapt_faithfully(renders, Fickle(0.3), general(), **settings)
    part = adapt_faithfully(renders[5:9], Fickle(0.3), general(), **settings)
    np.testing.assert_array_equal(part.attempt, whole.attempt[5:9])
    np.testing.assert_array_equal(part.crops.rgb, whole.crops.rgb[5:9])
    np.testing.assert_array_equal(part.scores.fidelity, whole.scores.fidelity[5:9])


def test_nothing_is_dropped_unless_it_is_asked_for() -> None:
    renders = render(plan(16))
    done = adapt_faithfully(renders, Fickle(-2.0), general(), seed=5, window=200.0)
    assert done.kept.all()
    assert (done.attempt == 0).all()
    assert (done.scores.fidelity < 1e-3).all()


def test_redrawn_noise_has_streams_of_its_own() -> None:
    index = np.array([3, 9])
    np.testing.assert_array_equal(draw_noise(1, index), draw_noise(1, index, attempt=0))
    mixed = draw_noise(1, index, attempt=np.array([0, 2]))
    np.testing.assert_array_equal(mixed[0], draw_noise(1, index)[0])
    expected = 2 * np.random.default_rng([1, 9, 2, 2]).random(10, dtype=np.float32) - 1
    np.testing.assert_array_equal(mixed[1], expected)


def centre(plans: Plans) -> NDArray[np.float64]:
    """(N, 2), pixels, of the targets' centres."""
    middles = np.array([models()[i].centre for i in plans.object_index])
    points = np.einsum("nij,nj->ni", plans.rotation, middles) + plans.translation
    projected = np.einsum("nij,nj->ni", plans.camera_matrix, points)
    return projected[:, :2] / projected[:, 2:]


def test_shifted_by_so_many_pixels() -> None:
    plans = plan()
    faulty = shifted(plans, 4, np.random.default_rng(0))
    step = centre(faulty) - centre(plans)
    np.testing.assert_allclose(np.linalg.norm(step, axis=1), 4.0)
    assert (np.ptp(step, axis=0) > 6).all()  # in all directions


def test_turned_by_so_many_degrees_about_the_centre() -> None:
    plans = plan()
    faulty = turned(plans, models(), 15, np.random.default_rng(0))
    np.testing.assert_allclose(angle_between(plans.rotation, faulty.rotation), 15.0)
    np.testing.assert_allclose(centre(faulty), centre(plans))


def test_erased_is_black() -> None:
    crops = render(erased(plan(5)))
    assert not crops.rgb.any()
    assert not crops.mask.any()


def test_swapped_for_another_in_its_place() -> None:
    plans = plan()
    faulty = swapped(plans, models(), np.random.default_rng(0))
    assert (faulty.object_index != plans.object_index).all()
    assert set(faulty.object_index) == set(range(5))
    np.testing.assert_array_equal(faulty.rotation, plans.rotation)
    np.testing.assert_allclose(centre(faulty), centre(plans))


def test_one_object_cannot_be_swapped() -> None:
    with pytest.raises(ValueError, match="give two or more"):
        swapped(plan(2), models()[:1], np.random.default_rng(0))
