"""Wrong command lines, files and folders, with what is said of each: golden/wrong_inputs.txt.

    python -m tests.wrong_inputs        # answers the commands in that file anew

A command is added by its `$` line alone. What commands name lies in a folder that `make_inputs`
makes: what is wrong with a file is its name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import trimesh

from adapter import SHIPPED_ADAPTER
from render_adapt import RunConfig, generate
from renderer import RANDOMIZATIONS
from tests.command import run_command

GOLDEN = Path(__file__).parent / "golden/wrong_inputs.txt"


def answered(text: str, folder: Path) -> str:
    """The file with what is said today of each of its commands.

    Args:
        text: the file.
        folder: what `make_inputs` made; it is the working directory of the commands.
    """
    kept = [line for line in text.splitlines() if not line.startswith(("  ", "exit "))]
    return "".join(f"{line}\n{_answer(line, folder)}" for line in kept)


def _answer(line: str, folder: Path) -> str:
    if not line.startswith("$ render-adapt"):
        return ""
    code, printed = _run(shlex.split(line)[2:], folder)
    said = "".join(f"  {part}\n" for part in printed.replace(str(folder), "HERE").splitlines())
    return f"exit {code}\n{said}"


def _run(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Exit code, and what was printed on both streams."""
    printed, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            run_command(*arguments)
    except SystemExit as end:
        return int(end.code or 0), printed.getvalue()
    finally:
        os.chdir(before)
    return 0, printed.getvalue()


def make_inputs(folder: Path) -> Path:
    """A folder of files and folders that commands take, one thing wrong with each."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_meshes(folder)
    _write_settings(folder)
    _write_datasets(folder)
    _write_adapters(folder)
    _write_targets(folder)
    _write_frames(folder)
    return folder


def _write_meshes(folder: Path) -> None:
    box = trimesh.creation.box((60, 40, 30))
    box.export(folder / "part.stl")
    trimesh.creation.box((0.06, 0.04, 0.03)).export(folder / "in_metres.stl")
    trimesh.creation.box((900, 40, 30)).export(folder / "beam.stl")
    whole = box.export(file_type="ply")
    (folder / "cut_short.ply").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.stl").write_bytes(b"")
    (folder / "no_faces.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    (folder / "part.blocks").write_text("a kind that nobody reads")
    (folder / "not_a_number.obj").write_text("v nan 0 0\nv 9 0 0\nv 0 9 0\nf 1 2 3\n")
    (folder / "models_without_meshes").mkdir()


def _write_settings(folder: Path) -> None:
    for name, content in {
        "no_such_setting.toml": "lihgts = [1, 2]\n",
        "out_of_range.toml": "lights = [0, 99]\n",
        "not_toml.toml": "lights = \n",
        "seed_is_text.toml": "seed = 'seven'\n",
    }.items():
        (folder / name).write_text(content)


def _write_datasets(folder: Path) -> None:
    generate(RunConfig(objects=("ape",), n=2, adapter="none", workers=1, out=folder / "dataset"))
    for name in ("changed_picture", "missing_picture", "changed_manifest", "unlisted_file"):
        shutil.copytree(folder / "dataset", folder / name)
    picture = folder / "changed_picture/train/000000/rgb/000001.png"
    picture.write_bytes(picture.read_bytes()[:-1])
    (folder / "missing_picture/train/000000/depth/000000.png").unlink()
    manifest = folder / "changed_manifest/manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": 1'))
    (folder / "unlisted_file/notes.txt").write_text("mine")
    (folder / "empty_folder").mkdir()


def _write_adapters(folder: Path) -> None:
    for name in ("flipped_bit", "no_network"):
        shutil.copytree(SHIPPED_ADAPTER, folder / name)
    network = folder / "flipped_bit/generator.onnx"
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 1
    network.write_bytes(content)
    (folder / "no_network/generator.onnx").unlink()


def _write_targets(folder: Path) -> None:
    generator = np.random.default_rng(0)

    def crops(name: str, count: int, height: int = 64, width: int = 64) -> Path:
        for number in range(count):
            picture = generator.integers(0, 255, (height, width, 3), np.uint8)
            file = folder / name / f"color/{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), picture)
        return folder / name

    crops("crops", 16)
    crops("three_crops", 3)
    crops("crops_not_square", 16, width=96)
    some = crops("depth_of_some", 16)
    unclear = crops("depth_in_no_unit", 16)
    for target, count, value in ((some, 8, 800), (unclear, 16, 9)):
        (target / "depth").mkdir()
        for number in range(count):
            depth = np.full((64, 64), value, np.uint16)
            cv2.imwrite(str(target / f"depth/{number:03}.png"), depth)
    notes = folder / "no_pictures"
    notes.mkdir()
    (notes / "readme.txt").write_text("the pictures are on the other disk")


def _write_frames(folder: Path) -> None:
    generate(
        RunConfig(
            objects=("ape", "cat"), n=1, workers=1, frames="160x120", objects_per_frame=2,
            adapter="none", out=folder / "frames_run",
            randomize=RANDOMIZATIONS["linemod"],
        )
    )  # fmt: skip
    bop = folder / "bop"
    shutil.copytree(folder / "frames_run/train", bop / "train_pbr")
    shutil.copytree(folder / "frames_run/models", bop / "models")
    for name in ("bop_without_models", "bop_gt_cut_short", "bop_without_poses"):
        shutil.copytree(bop, folder / name)
    shutil.rmtree(folder / "bop_without_models/models")
    gt = folder / "bop_gt_cut_short/train_pbr/000000/scene_gt.json"
    gt.write_text(gt.read_text()[:40])
    (folder / "bop_without_poses/train_pbr/000000/scene_gt.json").unlink()
    shutil.copytree(bop / "train_pbr/000000/rgb", folder / "pictures")
    (folder / "boxes.json").write_text(json.dumps([{"image_id": 1, "bbox": [1, 2]}]))
    (folder / "boxes_cut_short.json").write_text('{"images": [')
    shutil.rmtree(folder / "frames_run")


@contextlib.contextmanager
def inputs() -> Iterator[Path]:
    """`make_inputs` in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield make_inputs(Path(folder).resolve() / "inputs")


if __name__ == "__main__":
    with inputs() as made:
        GOLDEN.write_text(answered(GOLDEN.read_text(), made))
