"""The Blender extension in Blenders without a window: built, installed, used, taken away again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from adapter import load_adapter
from cad_models import load_models
from render_adapt import load, verify
from renderer import Centre, RasterRenderer, centre_points, plans_from_poses
from tests.blend_files import PYTHON_VARIABLE

CHECKOUT = Path(__file__).resolve().parents[1]
BLENDERS = {
    "4.2": ("3.11", ["bpy==4.2.23", "numpy==1.24.4"]),
    "5.0": ("3.11", ["bpy==5.0.1"]),
    "5.2": ("3.13", ["bpy==5.2.3"]),
}
"""Further Blenders: the Python that each needs, and what makes one."""

Trial = Callable[..., dict[str, Any]]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("here", marks=pytest.mark.several_seconds),
        *(pytest.param(name, marks=pytest.mark.slow) for name in BLENDERS),
    ],
)
def blender(request: pytest.FixtureRequest) -> Path:
    """A Python with bpy."""
    if request.param == "here":
        python = os.environ.get(PYTHON_VARIABLE)
        if not python:
            pytest.skip(f"needs Blender: `make blender`, or set {PYTHON_VARIABLE}")
        return Path(python)
    return make_blender(request.param)


def make_blender(name: str) -> Path:
    """Make an environment with a Blender in it, or take that of last time."""
    version, packages = BLENDERS[name]
    folder = CHECKOUT / "build" / f"blender-{name}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        try:
            subprocess.run([f"python{version}", "-m", "venv", folder], check=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip(f"needs Python {version}")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / "installed").touch()
    return python


@pytest.fixture(scope="module")
def archive(blender: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's zip for this Blender's Python, built and validated by Blender's own tool."""
    version = subprocess.run(
        [blender, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    out = CHECKOUT / "build" / "addon" / f"tests-{version}"
    for of_another_version in out.glob("*.zip"):
        of_another_version.unlink()
    builder = os.environ.get(PYTHON_VARIABLE) or str(blender)
    subprocess.run(
        [builder, "blender_addon/build.py", f"--pythons={version}", f"--out={out}"],
        cwd=CHECKOUT, check=True, capture_output=True,
    )  # fmt: skip
    (file,) = out.glob("*.zip")
    return file


@pytest.fixture(scope="module")
def trial(blender: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Does a trial of `addon_in_blender.py` in a Blender of its own that has the extension, in a
    folder as a user may have: with a blank and letters that are not in ASCII."""
    home = tmp_path_factory.mktemp("blender_home") / "Büro für 3D"
    home.mkdir()
    # Jobs are drawn by the Blender that they are of.
    nowhere = {PYTHON_VARIABLE: "/nowhere/python", "RENDER_ADAPT_BLENDER": "/nowhere/blender"}

    def run(name: str, folder: Path, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [blender, CHECKOUT / "tests" / "addon_in_blender.py", name, folder, *arguments],
            env={
                **os.environ, **nowhere, "BLENDER_USER_RESOURCES": str(home),
                "TMPDIR": str(folder),
            },
            cwd=folder, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        # An interpreter with Blender in it that has something of ours left hangs as it ends.
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert not list(folder.glob("**/render_adapt_*"))
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen

    assert run("install", home, str(archive)) == {"enabled": True}
    return run


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Of a name as a user may give one."""
    folder = tmp_path / "Maße & Teile"
    folder.mkdir()
    return folder


def test_everything_has_a_tooltip_and_goes_away_again(trial: Trial, tmp_path: Path) -> None:
    seen = trial("describe", tmp_path)
    assert {"run", "preview", "learn", "check_python", "cancel", "open_dataset"} < set(
        seen["operators"]
    )
    assert seen["properties"] > 30
    assert seen["without tooltip"] == []
    assert seen["ending in a full stop"] == []  # Blender adds one
    assert seen["left"] == []
    assert seen["menu entries taken away"] == 1


def test_a_dataset_from_the_button(trial: Trial, tmp_path: Path) -> None:
    seen = trial("run", tmp_path)
    assert seen["preview"] == seen["run"] == ["FINISHED"]
    assert seen["picture"] > 10_000
    assert seen["other seed"].endswith(
        "holds another run (seed 5 there, 6 here): give Output another folder, or the same "
        "settings to continue that run"
    )
    assert seen["report"] == "FINISHED"
    assert seen["scene changed"] == []
    assert seen["left"] == []
    dataset = tmp_path / "dataset"
    checked = verify(dataset)
    assert checked.bad == ()
    assert (dataset / "report.html").stat().st_size > 10_000
    crops = list(load(dataset))
    assert len(crops) == 6
    # Millimetres, and the scale of the scene: a box of 100, a cone of 120 x 60 x 80.
    sizes = json.loads((dataset / "models" / "models_info.json").read_text())
    assert [[round(sizes[number][f"size_{axis}"]) for axis in "xyz"] for number in ("1", "2")] == [
        [100, 100, 100],
        [120, 60, 80],
    ]


def test_light_and_symmetries_are_the_scenes_and_what_is_spoilt_is_mended(
    trial: Trial, tmp_path: Path
) -> None:
    seen = trial("choices", tmp_path)
    dataset = tmp_path / "dataset"
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["lit_by"] == "scene"
    assert manifest["order"] == ["Box_round_001", "Ball", "Pipe"]
    assert manifest["plan"]["distractors"] == 2
    box, ball, pipe = (manifest["objects"][name] for name in manifest["order"])
    assert len(box["symmetries_discrete"]) == 7
    assert len(ball["symmetries_continuous"]) == 1
    assert pipe["symmetries_continuous"] == []
    assert seen["run"] == "FINISHED"
    sound = (
        "Checked 3 crops in 1 shard: all files are as they were written, and the labels are true"
    )
    assert seen["check"] == ["FINISHED", sound]
    lost = dataset / "train/000000/depth/000001.png"
    assert seen["spoilt"] == [f"{lost} is not there; its only shard is bad", "failed"]
    assert seen["repair"] == ["FINISHED", sound]
    assert "holds another run" in seen["repair by another scene"]
    assert seen["left"] == []


def test_a_refusal_stands_beside_what_came_of_the_job_before(trial: Trial, tmp_path: Path) -> None:
    seen = trial("refused", tmp_path)
    text = seen["finished"][1]
    assert re.fullmatch(r"98 crops in \d s", text)
    assert seen["finished"] == ["", text, "finished"]
    assert seen["refused"] == ["Output is empty: choose a folder", text, "finished"]
    assert seen["again"] == ["", "finished"]
    assert seen["not there"][0].startswith("There is no dataset in /nowhere: make one")
    assert seen["left"] == []


def test_settings_are_kept_under_a_name(trial: Trial, tmp_path: Path) -> None:
    seen = trial("presets", tmp_path)
    assert seen == {
        "before": 1000,
        "taken": [77, 12.5, "scene", "//dataset/"],
        "left": False,
    }


def test_crops_are_cut_as_the_panel_says(trial: Trial, tmp_path: Path) -> None:
    seen = trial("cut", tmp_path)
    assert seen["left to adapter"] == seen["cut"] == ["FINISHED"]
    stated = load_adapter("shipped").info.cut
    assert _cut(tmp_path / "left_to_adapter") == (
        ["box", 0.0] if stated is None else [stated.centre, stated.off_axis_degrees]
    )
    assert _cut(tmp_path / "cut") == ["mean", 12.3]
    assert verify(tmp_path / "cut").bad == ()
    _hold_to_cut(tmp_path / "cut", "mean", 12.3)
    assert any(note.endswith("not at all: give Centre box") for note in seen["notes"])
    assert not any("--" in note or "`" in note for note in seen["notes"])


def _cut(dataset: Path) -> list[Any]:
    # A manifest has what is not as it always was.
    settings = json.loads((dataset / "manifest.json").read_text())["settings"]
    return [settings.get("centre", "box"), settings.get("off_axis", 0.0)]


def _hold_to_cut(dataset: Path, centre: Centre, off_axis: float) -> None:
    """Hold crops of one object to a cut, and masks to what a camera sees by their poses."""
    models = load_models(["Cone"], models=dataset / "models")
    (point,) = centre_points(models, centre)
    assert np.linalg.norm(point - models[0].centre) > 30
    crops = list(load(dataset))
    rotations = np.array([crop.rotation[0] for crop in crops])
    places = rotations @ point + [crop.translation[0] for crop in crops]
    rays = places[:, :2] / places[:, 2:]
    pixels = np.einsum("nij,nj->ni", [crop.camera_matrix for crop in crops], places)
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], 31.5, atol=0.01)
    angles = np.degrees(np.arctan(np.linalg.norm(rays, axis=1)))
    assert angles.max() <= off_axis + 0.001
    assert angles.max() > off_axis / 2
    plans = plans_from_poses(
        models, np.zeros(len(crops)), rotations, places[:, 2], centre=centre, rays=rays
    )
    for crop, mask in zip(crops, RasterRenderer(models).render(plans).mask, strict=True):
        assert (crop.mask[0] & mask).sum() > 0.95 * (crop.mask[0] | mask).sum()


@pytest.mark.slow
def test_an_adapter_learned_from_a_folder(trial: Trial, tmp_path: Path) -> None:
    for name in ("rgb", "depth"):
        (tmp_path / "crops" / name).mkdir(parents=True)
    (tmp_path / "python").write_text(sys.executable)
    random = np.random.default_rng(0)
    for number in range(48):
        picture = random.integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "crops/rgb" / f"{number}.png"), picture)
        depth = np.full((64, 64), 900, np.uint16)
        cv2.imwrite(str(tmp_path / "crops/depth" / f"{number}.png"), depth)
    (tmp_path / "crops/rgb/broken.png").write_bytes(b"")
    seen = trial("learn", tmp_path)
    assert seen["check"] == seen["continued"] == seen["used"] == "FINISHED"
    assert seen["checked"][1].startswith("torch ")
    assert re.fullmatch(r"Step \d+ of 10,000", seen["shown"][0])
    assert any("steps/s" in line for line in seen["shown"])
    assert seen["found"] == [
        "48 crops from rgb/, 64x64 pixels",
        "depth of all is left aside: colour alone",
        "left out: 1 as damaged (rgb/broken.png)",
    ]
    assert json.loads((tmp_path / "adapter/adapter.json").read_text())["channels"] == 3
    assert any(re.fullmatch(r"[a-z ]+: [-\d.e]+", line) for line in seen["shown"])
    assert seen["stopped"] == "CANCELLED"
    assert seen["text"].startswith("The adapter learned for ")
    assert seen["adapter"] == ["FOLDER", "//adapter/"]
    assert seen["left"] == []
    assert verify(tmp_path / "dataset").bad == ()
    assert _cut(tmp_path / "dataset") == ["mean", 12.3]  # as the adapter learned


SAID = {
    "nothing selected": "Nothing to render is selected: select meshes",
    "only a light selected": "Nothing to render is selected: select meshes",
    "no faces": "BézierCircle has no faces: give it some",
    "zero scale": "Cube has a scale of zero: give it a size",
    "hidden in renders": "Cube is hidden: show it",
    "hidden collection": "The collection Parts shows nothing to render: unhide",
    "no collection": "No collection is chosen: choose one",
    "no distractors": "The collection Parts shows no distractors beside the objects: unhide",
    "missing library": "Lent needs the library {folder}/library.blend, which is missing: put it",
    "unsaved picture": "The image Paint of Cube has changes that are not saved: save or pack",
    "missing picture": "The image {folder}/paint.png of Cube is missing: find it with File",
    "same name": "Two objects are called Cube, one of them linked: rename one",
    "symmetry is none": "The symmetry of Cube is upright: write z for any turn about its own z",
    "comma in a name": "Box, round has a comma or an equals sign in its name: rename it",
    "no output": "Output is empty: choose a folder",
    "output beside unsaved file": "Output is //dataset/, beside the .blend file, which is not "
    "saved yet: save it, or choose",
    "output cannot be made": "Output: /proc/dataset cannot be written (",
    "output is a file": "Output: {folder}/scene.blend/dataset cannot be written (",
    "no adapter chosen": "No adapter is chosen: choose its folder",
    "adapter is none": "There is no adapter in {folder}: choose a folder that",
    "distances exchanged": "Nearest is beyond Farthest: exchange them",
    "no dataset to report": "There is no dataset in {folder}/dataset: make one",
    "no dataset to open": "There is no dataset in {folder}/dataset: make one",
    "learning without python": "Learning needs torch: set Python with render-adapt",
    "python is not there": "/nowhere/python is no program: correct Python with render-adapt",
    "python without packages": "That Python has no render-adapt: install it there",
    "nothing to learn from": "No folder to learn from is chosen: choose your camera's crops",
}


def test_what_cannot_be_used_is_explained(trial: Trial, tmp_path: Path) -> None:
    seen = trial("refusals", tmp_path)
    wrong = {
        name: said
        for name, said in seen["said"].items()
        if not said.startswith(SAID[name].format(folder=tmp_path))
    }
    assert wrong == {}
    assert seen["said"].keys() == SAID.keys()
    assert seen["left"] == []
    assert seen["logs"] == 1  # of the one that was begun


def test_jobs_that_fail_or_die_say_so(trial: Trial, tmp_path: Path) -> None:
    answer = trial("conducts", tmp_path)
    seen = answer["seen"]
    assert answer["left"] == []
    said = {conduct: outcome["said"] for conduct, outcome in seen.items()}
    assert said["finish"] == "FINISHED"
    assert re.fullmatch(r"98 crops in \d s", seen["finish"]["text"])
    assert seen["finish"]["details"] == ["3 adapted anew, 2 left out", "A note"]
    assert said["fail"] == "There is no room on the disk: make some"
    assert said["crash"] == (
        "The job died (exit code -9) at: 40 of 100 crops. Its last words: "
        '"Segmentation fault in the driver". The log is LOG'
    )
    assert said["silent"].startswith("The job died (exit code 0) at: 40 of 100 crops.")
    assert said["unknown message"].startswith("The job speaks another version's language: ")
    assert {outcome["state"] for outcome in seen.values()} == {"finished", "failed"}
    assert "first line\nSegmentation fault" in seen["crash"]["log"]
    assert "Blender 4.5.0 says something of its own" in seen["finish"]["log"]


def test_a_cancelled_job_leaves_nothing(trial: Trial, tmp_path: Path) -> None:
    answer = trial("cancel", tmp_path)
    assert answer["left"] == []
    assert answer["seen"].keys() == {
        f"{conduct}, {way}" for conduct in ("obey", "stubborn") for way in ("cancel", "disable")
    }
    for case, ended in answer["seen"].items():
        assert ended["shown"] == ["40 of 100 crops", "20 crops/s, 3 s left"], case
        assert ended["run is refused meanwhile"], case
        assert ended["state"] == "cancelled", case
        assert ended["exit code"] == (130 if case.startswith("obey") else -signal.SIGKILL), case
        assert not ended["processes left"], case
        assert not ended["reader left"], case


def test_escape_cancels_over_a_view_alone(trial: Trial, tmp_path: Path) -> None:
    seen = trial("modal", tmp_path)
    assert seen["mouse"] == seen["Esc elsewhere"] == ["PASS_THROUGH"]
    assert seen["running"]
    assert seen["Esc"] == ["RUNNING_MODAL"]
    assert seen["last"] == ["CANCELLED"]
    assert seen["reports"] == [[["WARNING"], "Cancelled. The same settings continue it"]]
    assert seen["left"] == []


def test_the_fake_job_needs_nothing_of_ours() -> None:
    script = CHECKOUT / "tests" / "fake_job.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, "finish"], capture_output=True, text=True, check=True
    )
    assert '{"render-adapt": "dataset"' in done.stdout
