"""The commands that README and docs show, and a reader's folder with all that they name."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh

import cad_models
from adapter import SHIPPED_ADAPTER
from render_adapt import AdaptConfig, RunConfig, adapt_dataset, generate
from tests.bop_sets import write_bop_set

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^(?:```\w*\n.*?^```$|(?:(?: {4}.*)?\n)+)", re.MULTILINE | re.DOTALL)
_STANDS_FOR = {"$SLURM_ARRAY_TASK_ID": "3", "0f3c...": "0f3c" * 16, "DIR": "folder"}
"""What a page leaves to its reader."""


@dataclass(frozen=True)
class Command:
    """A line of a page."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def documented_commands() -> list[Command]:
    """All lines of code blocks, indented or fenced, that begin with a program's name."""
    found = []
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text()):
            for line in re.sub(r" *\\\n\s*", " ", block).splitlines():
                command = re.sub(r"\s\[-.*$", "", line.strip())
                if re.match(r"(render-adapt|make|pip|python) ", command):
                    for written, meant in _STANDS_FOR.items():
                        command = command.replace(written, meant)
                    words = shlex.split(command.split(" > ")[0], comments=True)
                    found.append(Command(page.relative_to(ROOT).as_posix(), tuple(words)))
    return list(dict.fromkeys(found))


def make_readers_folder(folder: Path) -> Path:
    """A folder with what the pages' commands name, as small as it can be."""
    folder.mkdir(parents=True)
    box = trimesh.creation.box((60, 40, 30))
    for name in ("part.stl", "lid.stl", "box.stl"):
        box.export(folder / name)
    for name, corners in (("bowl.stl", 64), ("nut.stl", 6)):
        trimesh.creation.cylinder(30, 20, sections=corners).export(folder / name)
    builtin = Path(cad_models.__file__).parent / "builtin"
    shutil.copytree(builtin, folder / "lm/models")
    theirs = write_bop_set(folder / "made", frames=1)
    for name in ("lm_pbr", "lmo"):
        shutil.copytree(theirs, folder / name)
    adapt_dataset(theirs, AdaptConfig(out=folder / "lm_adapted", workers=1))
    shutil.copytree(SHIPPED_ADAPTER, folder / "my_adapter")
    (folder / "mine.toml").write_text('preset = "strong"\nmotion_blur = [0, 2]\n')
    (folder / "run.toml").write_text('objects = ["ape", "cat"]\n')
    generate(RunConfig(objects=("ape",), n=2, adapter="none", workers=1, out=folder / "dataset"))
    shutil.copytree(folder / "dataset", folder / "all")
    _write_camera_crops(folder / "camera_crops")
    _write_recording(folder / "recording")
    boxes = {"0.png": [{"box": [260, 180, 120, 120], "label": "widget", "score": 0.9}]}
    (folder / "detections.json").write_text(json.dumps(boxes))
    return folder


def _write_camera_crops(folder: Path) -> None:
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(16):
        picture = random.integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), picture)


def _write_recording(folder: Path) -> None:
    random = np.random.default_rng(0)
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)
    picture = random.integers(0, 255, (480, 640, 3), np.uint8)
    cv2.imwrite(str(folder / "rgb/0.png"), picture)
    cv2.imwrite(str(folder / "depth/0.png"), np.full((480, 640), 800, np.uint16))
