"""Runs with objects that stand around those that crops are of."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render_adapt import RunConfig, SettingError, generate, load, repair, verify, write_report
from renderer import RANDOMIZATIONS


def config(out: Path, **changes: Any) -> RunConfig:
    settings = {
        "objects": ("ape", "cat"), "distractors": ("duck,can",), "n": 20, "seed": 3, "workers": 1,
        "adapter": "none", "out": out,
    }  # fmt: skip
    return RunConfig(**{**settings, **changes})


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def test_crops_are_of_objects_alone_and_distractors_are_labelled(tmp_path: Path) -> None:
    generate(config(tmp_path / "d"))
    assert verify(tmp_path / "d", workers=1).bad == ()
    crops = list(load(tmp_path / "d"))
    assert {int(crop.object_id[0]) for crop in crops} == {1, 6}
    others = np.concatenate([crop.object_id[1:] for crop in crops])
    assert {9, 5} < set(others.tolist()) | {1, 6}
    # Where nothing says how many, there are as many as there are: two before it, one beside it.
    assert 1 < max(len(crop.object_id) for crop in crops) <= 4
    assert all(len(set(crop.object_id)) == len(crop.object_id) for crop in crops)
    described = manifest(tmp_path / "d")
    assert described["order"] == ["ape", "cat", "duck", "can"]
    assert described["plan"]["distractors"] == 2
    assert described["randomization"]["occluders"] == [0, 2]
    assert described["randomization"]["neighbours"] == [0, 1]


def test_the_report_draws_their_renders_again(tmp_path: Path) -> None:
    generate(config(tmp_path / "d", adapter="shipped", n=4))
    page = write_report(tmp_path / "d").read_text()
    assert "cannot be drawn again" not in page
    assert len(re.findall(r'"render": ?"data:image', page)) == 4


def test_how_many_stand_around_is_for_the_randomisation_to_say(tmp_path: Path) -> None:
    one = dataclasses.replace(RANDOMIZATIONS["linemod"], neighbours=(1, 1))
    generate(config(tmp_path / "d", randomize=one, n=8))
    assert {len(crop.object_id) for crop in load(tmp_path / "d")} <= {1, 2}
    assert manifest(tmp_path / "d")["randomization"]["occluders"] == [0, 0]


def test_a_run_with_them_goes_on_and_is_mended(tmp_path: Path) -> None:
    cup = Path(
        shutil.copy(Path(__file__).parents[1] / "cad_models/builtin/obj_000007.ply", tmp_path)
    )
    asked = config(tmp_path / "d", distractors=(f"mug={cup}",), n=8)
    first = generate(asked).sha256
    assert generate(asked).crops_made == 0
    assert manifest(tmp_path / "d")["settings"]["distractors"] == ["mug=obj_000007.ply"]
    (tmp_path / "d/train/000000/rgb/000002.png").unlink()
    assert repair(verify(tmp_path / "d", workers=1), workers=1).sha256 == first


def test_a_run_without_them_says_nothing_of_them(tmp_path: Path) -> None:
    generate(config(tmp_path / "d", distractors=(), n=2))
    described = manifest(tmp_path / "d")
    assert "distractors" not in {**described["settings"], **described["plan"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distractors": ("cat",)}, "`distractors` cat is among `objects`: name it in one of them"),
        ({"frames": "640x480"}, "`distractors` is for crops: leave it out, or leave out `frames`"),
    ],
)
def test_what_makes_no_sense_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=message):
        config(tmp_path / "d", **changes)
