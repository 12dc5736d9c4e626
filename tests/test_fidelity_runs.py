"""Runs that judge what they make: scores in the index, crops redrawn and left out, and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest

from adapter import load_adapter
from cad_models import load_models
from render_adapt import RunConfig, SettingError, adapt_faithfully, generate, make_judge
from renderer import PlanConfig, RasterRenderer, make_plans

PIXELDA = "linemod-rgbd-fast"
"""An adapter that makes something else of other noise."""


def config(out: Path, **settings: Any) -> RunConfig:
    standard = {"n": 30, "workers": 1, "adapter": PIXELDA}
    return RunConfig(objects=("ape", "cat"), out=out, **{**standard, **settings})


def index_of(out: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = parquet.read_table(out / "index").to_pydict()
    return columns


def test_scores_are_in_the_index(tmp_path: Path) -> None:
    settings = config(tmp_path / "run")
    generate(settings)
    index = index_of(settings.out)
    models, shipped = load_models(settings.objects), load_adapter(PIXELDA)
    cut = shipped.info.cut
    assert cut is not None
    plan = PlanConfig(centre=cut.centre, off_axis=cut.off_axis_degrees, window=cut.window_mm)
    plans = make_plans(plan, models, settings.seed, 0, 30)
    renders = RasterRenderer(models, levels=False).render(plans)
    judge = make_judge(PIXELDA, shipped)
    done = adapt_faithfully(renders, shipped, judge, seed=settings.seed, window=cut.window_mm)
    np.testing.assert_array_equal(index["fidelity"], done.scores.fidelity)
    for part in ("edges", "depth", "judge"):
        np.testing.assert_array_equal(index[f"fidelity_{part}"], getattr(done.scores, part))
        assert index[f"fidelity_{part}"] == [float(f"{x:.3g}") for x in index[f"fidelity_{part}"]]
    assert index["noise_attempt"] == [0] * 30


def test_plain_renders_have_no_fidelity(tmp_path: Path) -> None:
    generate(config(tmp_path / "run", adapter="none", n=4))
    assert index_of(tmp_path / "run")["fidelity"] == [None] * 4


def test_crops_below_the_least_fidelity_are_redrawn_or_left_out(tmp_path: Path) -> None:
    every, some = config(tmp_path / "every"), config(tmp_path / "some", min_fidelity=0.4, redraws=1)
    generate(every)
    summary = generate(some)
    before = index_of(every.out)["fidelity"]
    index = index_of(some.out)
    assert summary.crops + summary.dropped == 30
    assert summary.crops == len(index["index"]) > 0
    assert summary.redrawn == sum(index["noise_attempt"]) > 0
    assert summary.dropped > 0
    assert min(index["fidelity"]) >= 0.4
    for number, fidelity, attempt in zip(
        index["index"], index["fidelity"], index["noise_attempt"], strict=True
    ):
        assert (fidelity == before[number]) == (attempt == 0) == (before[number] >= 0.4)
    # Images are numbered through, so that every reader finds them.
    assert index["im_id"] == list(range(summary.crops))
    scene = json.loads((some.out / "train" / "000000" / "scene_gt.json").read_text())
    assert list(scene) == [str(number) for number in range(summary.crops)]
    entry = json.loads((some.out / "shards" / "000000.json").read_text())
    assert (entry["redrawn"], entry["dropped"]) == (summary.redrawn, summary.dropped)


def test_the_contact_sheet_has_what_was_kept_alone(tmp_path: Path) -> None:
    run = config(tmp_path / "run", n=5, min_fidelity=0.4, redraws=0)
    summary = generate(run)
    assert 0 < summary.crops < 5
    as_many = generate(config(tmp_path / "as-many", n=summary.crops))
    shapes = [cv2.imread(str(made.contact_sheet)).shape for made in (summary, as_many)]
    assert shapes[0] == shapes[1]


def test_a_run_may_leave_out_everything(tmp_path: Path) -> None:
    summary = generate(config(tmp_path / "run", n=3, min_fidelity=1.0, redraws=0))
    assert (summary.crops, summary.dropped) == (0, 3)
    assert index_of(tmp_path / "run")["index"] == []


@pytest.mark.slow
def test_what_is_left_out_does_not_depend_on_the_workers(tmp_path: Path) -> None:
    hashes = {
        generate(
            config(tmp_path / str(workers), n=600, min_fidelity=0.1, workers=workers)
        ).sha256
        for workers in (1, 2)
    }  # fmt: skip
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_fidelity": 1.5}, "`min_fidelity` is 1.5: it must be from 0 to 1"),
        ({"min_fidelity": float("nan")}, "`min_fidelity` is nan: it must be from 0 to 1"),
        ({"redraws": -1}, "`redraws` is -1: it must be from 0 to 100"),
        ({"min_fidelity": 0.1, "adapter": "none"}, "`min_fidelity` judges what an adapter made"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        config(tmp_path / "run", **settings)
