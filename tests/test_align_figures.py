"""The figures of an alignment: what is right counts as right, and as wrong what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.align import as_text, compare, figures, straight_rotations
from renderer import matrix_from_quaternion, quaternion_from_matrix, rotation_about


def table(linemod: Path) -> list[dict[str, str]]:
    """The truth of three objects, but for every fourth crop: turned, another object, no pose, not
    kept."""
    labels = json.loads((linemod / "crops/train/poses.json").read_text())
    straight = straight_rotations(linemod)
    rows = []
    for name in ("duck", "cam", "cat"):
        for number, (frame, quaternion) in enumerate(labels[name].items()):
            rotation = straight.get((name, frame), matrix_from_quaternion(np.array(quaternion)))
            if number % 4 == 1:
                rotation = rotation_about(np.array([1.0, 0, 0]), np.radians(25)) @ rotation
            pose = ["", "", "", ""]
            if number % 8 != 2:
                pose = [repr(float(value)) for value in quaternion_from_matrix(rotation)]
            found = "ape" if number % 8 == 6 else name
            rows.append(
                {
                    "file": f"{name}_{frame}", "object": found,
                    "confidence": "0.95" if number % 4 else "0.3",
                    "kept": "no" if number % 4 == 3 else "yes",
                    **dict(zip(("qw", "qx", "qy", "qz"), pose, strict=True)),
                }
            )  # fmt: skip
    return rows


def test_figures_are_those_of_planted_errors(data_dir: Path) -> None:
    found = compare(table(data_dir / "linemod"), data_dir / "linemod")
    number = np.concatenate([np.arange(471)] * 3)
    wrong = number % 4 == 2
    np.testing.assert_array_equal(found.as_labelled == 180, wrong)
    np.testing.assert_array_equal(found.right, number % 8 != 6)
    duck = found.object == "duck"
    assert np.isnan(found.allocentric[duck]).all()
    turned = np.where(number % 4 == 1, 25.0, 0.0)
    np.testing.assert_allclose(found.as_labelled[duck & ~wrong], turned[duck & ~wrong], atol=1e-4)
    rest = ~duck & ~wrong
    np.testing.assert_allclose(found.allocentric[rest], turned[rest], atol=1e-4)
    # What is right as seen straight is off by the angle at which the crop lay off the axis.
    exact = ~duck & (number % 4 == 0)
    assert 5.5 < found.as_labelled[exact].mean() < 7.5
    result = figures(found)
    assert result["kept_share"] == pytest.approx((number % 4 != 3).mean(), abs=1e-4)
    ducks = result["objects"]["duck"]["kept"]
    assert ducks["over_30"] == pytest.approx(1 / 3, abs=2e-3)
    assert ducks["over_20"] == pytest.approx(2 / 3, abs=2e-3)
    assert ducks["object_right"] == pytest.approx(5 / 6, abs=2e-3)
    by_confidence = {one["from"]: one["right_to_20_degrees"] for one in result["confidence"]}
    assert by_confidence[0.2] == pytest.approx(1.0, abs=0.01)
    assert by_confidence[0.9] == pytest.approx(1 / 3, abs=0.1)
    said = {
        "date": "today", "machine": "mine", "crops": 1413,
        "alignment": {"steps": 1, "batch": 2, "together": True, "rounds": 3},
    }  # fmt: skip
    text = as_text({**said, **result})
    assert "1 training steps of 2 renders, poses bettered by what crops show in common, " in text
    assert "rounds on the crops themselves: 3." in text
    assert "| kept | 75.2 %" in text
    assert "1413 crops of cam, cat, duck" in text
