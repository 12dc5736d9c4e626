"""How many of LINEMOD's real crops `render-adapt align` finds, and how well, by hidden labels.

    render-adapt align --objects ape,benchvise,cam,cat,duck --models DATA/linemod/models \\
        --photographs DATA/imagenet_samples --target build/linemod_target --channels 3 \\
        --out build/aligned
    python -m benchmarks.align --aligned build/aligned --data DATA --out benchmarks/results/align

The labels are those of `crops/train`; they are read here and nowhere before. A pose is wrong where
its object is. Errors are counted twice. As labelled: poses as the camera saw them (egocentric), so
that one who sees the crop alone is charged the angle at which it lay off the axis, 6 to 7 degrees.
Allocentric: as seen by a camera that looks straight at the crop, which is what `align` writes, for
cam and cat, whose places in the picture are known.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import load_models
from render_adapt._paper.scenarios.linemod_crops import (
    KNOWN_PLACES,
    OBJECTS,
    SIZE,
    TURNED_ABOUT_Z,
    read_real_crops,
)
from renderer import angle_between, matrix_from_quaternion, turn_towards

FAR = (20.0, 30.0, 45.0)
"""Degrees, beyond which poses are counted."""
_OF_ANOTHER = 180.0
"""Degrees that a pose of another object is off."""


@dataclass(frozen=True)
class Found:
    """What was found of N crops, and what is true of them."""

    object: NDArray[np.str_]
    """(N,), as labelled."""
    right: NDArray[np.bool_]
    """(N,), whether that object was found."""
    kept: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    as_labelled: NDArray[np.float64]
    """(N,), degrees that the pose is off."""
    allocentric: NDArray[np.float64]
    """(N,), likewise; NaN where it is not known."""

    def __getitem__(self, rows: NDArray[np.bool_]) -> Found:
        return Found(**{name: value[rows] for name, value in vars(self).items()})


def main() -> None:
    """Write FILE.json and FILE.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aligned", type=Path, required=True, help="what align wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds linemod/")
    parser.add_argument("--out", type=Path, required=True, help="without suffix")
    options = parser.parse_args()
    with (options.aligned / "crops.csv").open() as file:
        rows = list(csv.DictReader(file))
    manifest = json.loads((options.aligned / "manifest.json").read_text())
    found = compare(rows, options.data / "linemod")
    result = {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "alignment": {
            name: manifest["alignment"][name]
            for name in (
                "source_crops",
                "steps",
                "batch",
                "together",
                "rounds",
                "round_steps",
                "seed",
                "min_confidence",
            )
        },
        "crops": len(found.object),
        **figures(found),
    }
    options.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    options.out.with_suffix(".md").write_text(as_text(result))
    print(as_text(result))


def compare(rows: list[dict[str, str]], linemod: Path) -> Found:
    """Rows of an alignment's table beside the labels of their crops."""
    labels = json.loads((linemod / "crops/train/poses.json").read_text())
    straight = straight_rotations(linemod)
    names = [row["file"].rpartition("/")[2].rpartition("_") for row in rows]
    true = np.array([labels[name][frame] for name, _, frame in names])
    turned = np.stack([TURNED_ABOUT_Z.get(name, np.eye(3)) for name, *_ in names])
    unknown = np.full((3, 3), np.nan)
    alone = np.stack([straight.get((name, frame), unknown) for name, _, frame in names])
    without_pose = np.array([not row["qw"] for row in rows])
    # Any rotation where there is none: it counts as wrong.
    quaternions = [[float(row[k] or 1) for k in ("qw", "qx", "qy", "qz")] for row in rows]
    rotation = matrix_from_quaternion(np.array(quaternions))
    right = np.array([row["object"] == name for row, (name, *_) in zip(rows, names, strict=True)])
    off = angle_between(rotation, matrix_from_quaternion(true) @ turned)
    wrong = ~right | without_pose
    known = np.isfinite(alone[:, 0, 0])
    allocentric = np.where(wrong, _OF_ANOTHER, angle_between(rotation, alone))
    return Found(
        object=np.array([name for name, *_ in names]),
        right=right,
        kept=np.array([row["kept"] == "yes" for row in rows]),
        confidence=np.array([float(row["confidence"]) for row in rows]),
        as_labelled=np.where(wrong, _OF_ANOTHER, off),
        allocentric=np.where(known, allocentric, np.nan),
    )


def straight_rotations(
    linemod: Path, split: str = "train"
) -> Mapping[tuple[str, str], NDArray[np.float64]]:
    """By object and frame: poses as seen by a camera that looks straight at the crop's middle."""
    found = {}
    for name in KNOWN_PLACES:
        (model,) = load_models([name], models=linemod / "models")
        crops = read_real_crops(linemod, split, model, np.random.default_rng(0))
        camera = crops.plans.camera_matrix
        middle = (SIZE / 2 - camera[:, :2, 2]) / camera[:, [0, 1], [0, 1]]
        rotation = np.swapaxes(turn_towards(middle), 1, 2) @ crops.plans.rotation
        found |= {(name, frame): one for frame, one in zip(crops.frames, rotation, strict=True)}
    return found


def figures(found: Found) -> dict[str, Any]:
    """Shares and errors, of all crops and of those that were kept, together and by object."""
    known = np.isin(found.object, list(KNOWN_PLACES))
    kept = found.kept
    return {
        "all": summary(found),
        "kept": summary(found[kept]),
        "kept_share": rounded(kept.mean()),
        "kept_cam_cat": summary(found[kept & known]),
        "objects": {
            name: {
                "crops": int((found.object == name).sum()),
                "kept_share": rounded(kept[found.object == name].mean()),
                "kept": summary(found[kept & (found.object == name)]),
            }
            for name in OBJECTS
            if (found.object == name).any()
        },
        "confidence": [
            {
                "from": low, "to": high, "crops": int(here.sum()),
                "right_to_20_degrees": rounded((found.as_labelled[here] <= 20).mean()),
            }
            for low, high in zip((0, 0.2, 0.4, 0.6, 0.8, 0.9), (0.2, 0.4, 0.6, 0.8, 0.9, 1.01),
                                 strict=True)
            if (here := (found.confidence >= low) & (found.confidence < high)).any()
        ],
    }  # fmt: skip


def summary(found: Found) -> dict[str, Any]:
    """Of some crops, which may be none."""
    if not len(found.object):
        return {"crops": 0}
    known = found.allocentric[np.isfinite(found.allocentric)]
    result = {
        "crops": len(found.object),
        "object_right": rounded(found.right.mean()),
        "mean": rounded(found.as_labelled.mean(), 2),
        "median": rounded(np.median(found.as_labelled), 2),
        **{f"over_{far:g}": rounded((found.as_labelled > far).mean()) for far in FAR},
    }
    if len(known):
        result |= {
            "allocentric_mean": rounded(known.mean(), 2),
            "allocentric_median": rounded(np.median(known), 2),
            "allocentric_over_30": rounded((known > 30).mean()),
        }
    return result


def rounded(value: float, digits: int = 4) -> float:
    """A plain number."""
    return round(float(value), digits)


def as_text(result: dict[str, Any]) -> str:
    """The figures as a page."""
    rows = {"all crops": result["all"], "kept": result["kept"]} | {
        name: one["kept"] for name, one in result["objects"].items()
    }
    shares = {"kept": result["kept_share"]} | {
        name: one["kept_share"] for name, one in result["objects"].items()
    }
    steps, batch, rounds, together = (
        result["alignment"][name] for name in ("steps", "batch", "rounds", "together")
    )
    columns = (
        "crops", "kept", "object right", "mean", "median", "> 20", "> 30", "allocentric mean",
        "median", "> 30",
    )  # fmt: skip
    lines = [
        f"# Real crops aligned without labels, {result['date']}",
        "",
        f"{result['crops']} crops of {', '.join(result['objects'])}; {steps} training steps of "
        f"{batch} renders, poses {'' if together else 'not '}bettered by what crops show in "
        f"common, rounds on the crops themselves: {rounds}. Degrees as labelled "
        "(egocentric), and allocentric for cam and cat, "
        "whose places are known; a crop of another object counts as 180.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for name, one in rows.items():
        lines.append(f"| {name} | {percent(shares.get(name))} | " + row_text(one) + " |")
    lines += [
        "",
        "| confidence | crops | right to 20 degrees |",
        "|---|---|---|",
        *(
            f"| {one['from']:g} to {min(one['to'], 1):g} | {one['crops']} | "
            f"{percent(one['right_to_20_degrees'])} |"
            for one in result["confidence"]
        ),
        "",
        f"Machine: {result['machine']}.",
    ]
    return "\n".join(lines) + "\n"


def row_text(one: dict[str, Any]) -> str:
    """A row's figures, but for its name and the share that was kept."""
    if not one["crops"]:
        return " | ".join([""] * 8)
    degrees = [f"{one[name]:.1f}" for name in ("mean", "median")]
    far = [percent(one[name]) for name in ("over_20", "over_30")]
    straight = ["", "", ""]
    if "allocentric_mean" in one:
        straight = [f"{one[f'allocentric_{name}']:.1f}" for name in ("mean", "median")]
        straight.append(percent(one["allocentric_over_30"]))
    return " | ".join([percent(one["object_right"]), *degrees, *far, *straight])


def percent(share: float | None) -> str:
    """A share as text; nothing of none."""
    return "" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
