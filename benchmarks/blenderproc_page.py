"""The script of docs/blenderproc.md with and without its line: a picture, and by bop_toolkit.

    make blenderproc
    python -m benchmarks.blenderproc_page --toolkit bop_toolkit/ --python toolkit_env/bin/python

`--toolkit` is a checkout of github.com/thodan/bop_toolkit (cea62d6), by which BlenderProc's BOP
writer makes masks, and `--python` one with what its scripts need (benchmarks.bop_toolkit_check).
Both datasets are written by `blenderproc run` from one seed; then calc_gt_info, calc_gt_masks,
calc_gt_coco, calc_model_info and vis_poses go over copies of both.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.blenderproc_runs import CHECKOUT, environment, lay_out_blender, run_script

LINE = "data = render_adapt.blenderproc.adapt(data)\n"
IMPORT = "import render_adapt.blenderproc\n"
MODELS = CHECKOUT / "cad_models/builtin"
SCENE = "train_pbr/000000"
_SECONDS = 3600.0
_MARGIN = 24
"""Pixels around the objects in the picture."""
_QUALITY = 90


def main() -> None:
    """Print what differs, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toolkit", type=Path, required=True, help="a checkout of bop_toolkit")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--adapter", default="shipped")
    parser.add_argument("--samples", type=int, default=64, help="rays for each pixel")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--picture", type=Path, default=CHECKOUT / "docs/images/blenderproc.webp")
    arguments = parser.parse_args()
    folder = environment()
    if folder is None:
        parser.error("BlenderProc is not here: make blenderproc")
    with tempfile.TemporaryDirectory() as name:
        blender = lay_out_blender(Path(name) / "blender", folder, arguments.toolkit.resolve())
        datasets = []
        line = LINE.replace("(data)", f"(data, {arguments.adapter!r})")
        script = page_script()
        scripts = {"rendered": without_line(script), "adapted": script.replace(LINE, line)}
        for title, script in scripts.items():
            file, out = Path(name) / f"{title}.py", Path(name) / title
            file.write_text(script)
            result = run_script(
                blender, folder, file, [MODELS, out, "--samples", arguments.samples],
                seed=arguments.seed, seconds=_SECONDS,
            )  # fmt: skip
            if result.returncode:
                sys.exit(result.stdout)
            datasets.append(out)
        for what, count in differences(*datasets).items():
            print(f"{count:>8} {what}")
        counts = [toolkit_counts(out, arguments.toolkit, arguments.python) for out in datasets]
        for name in ("px_count_all", "px_count_valid", "px_count_visib"):
            sums = [sum(entry[name] for entry in entries) for entries in counts]
            print(f"{sums[0]:>8} {name} by bop_toolkit, as rendered; adapted {sums[1]}")
        save_picture(arguments.picture, *datasets)


def page_script() -> str:
    """The script of the page."""
    page = (CHECKOUT / "docs/blenderproc.md").read_text()
    (script,) = re.findall(r"```python\n(import blenderproc.*?)```", page, re.DOTALL)
    return str(script)


def without_line(script: str) -> str:
    """The script as it is without this package."""
    assert script.count(LINE) == script.count(IMPORT) == 1
    return script.replace(LINE, "").replace(IMPORT, "")


def differences(rendered: Path, adapted: Path) -> dict[str, int]:
    """How many of two datasets' files differ, by the folder or file within the scene."""
    names = [file.relative_to(rendered) for file in sorted(rendered.rglob("*")) if file.is_file()]
    table: dict[str, int] = {}
    for name in names:
        within = name.relative_to(SCENE).parts[0] if name.is_relative_to(SCENE) else name.name
        differs = (rendered / name).read_bytes() != (adapted / name).read_bytes()
        key = f"files differ of {within}"
        table[key] = table.get(key, 0) + differs
    return table


def toolkit_counts(dataset: Path, toolkit: Path, python: Path) -> list[dict[str, Any]]:
    """What bop_toolkit's scripts find in a copy of a dataset: its `scene_gt_info`, in order."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        shutil.copytree(dataset / "train_pbr", copy / "train")
        shutil.copytree(MODELS, copy / "models", ignore=shutil.ignore_patterns("*.py", "*.md"))
        shutil.copy(dataset / "camera.json", copy)
        script = Path(__file__).with_name("bop_toolkit_scripts.py")
        command = [str(part) for part in (python, script, "scripts", toolkit.resolve(), copy)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            sys.exit(f"bop_toolkit failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")
        info = json.loads((copy / "train/000000/scene_gt_info.json").read_text())
    return [entry for image in info.values() for entry in image]


def save_picture(path: Path, rendered: Path, adapted: Path) -> None:
    """Draw both frames where their objects are: as rendered above, adapted below."""
    frames = [_frames(dataset) for dataset in (rendered, adapted)]
    changed = np.any([(a != b).any(axis=2) for a, b in zip(*frames, strict=True)], axis=0)
    lines, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    height, width = changed.shape
    part = np.s_[
        max(lines[0] - _MARGIN, 0) : min(lines[-1] + _MARGIN, height),
        max(columns[0] - _MARGIN, 0) : min(columns[-1] + _MARGIN, width),
    ]
    picture = np.vstack([np.hstack([frame[part] for frame in row]) for row in frames])
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])


def _frames(dataset: Path) -> list[NDArray[np.uint8]]:
    files = sorted((dataset / SCENE / "rgb").glob("*.png"))
    return [np.asarray(cv2.imread(str(file)), np.uint8) for file in files]


if __name__ == "__main__":
    main()
