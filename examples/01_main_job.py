"""Make a small dataset and read the first crop back.

Usage:

    python examples/01_main_job.py
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2

import render_adapt


def main() -> None:
    """Make 20 crops of two built-in models, then look at the first."""
    out = Path("runs/main_job")
    config = render_adapt.RunConfig(objects=("ape", "cat"), n=20, out=out, workers=1)
    summary = render_adapt.generate(config)

    scene = out / "train/000000"
    pose = json.loads((scene / "scene_gt.json").read_text())["0"][0]
    picture = cv2.imread(str(scene / "rgb/000000.png"))
    print(f"{summary.crops} crops, the first is {picture.shape} and shows obj_id {pose['obj_id']}")
    print(f"look at {summary.contact_sheet}")


if __name__ == "__main__":
    main()
