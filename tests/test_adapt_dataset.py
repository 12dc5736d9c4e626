"""Existing BOP datasets, adapted: pictures change on objects, and labels not at all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from render_adapt import (
    AdaptConfig,
    AdaptSummary,
    DatasetError,
    RenderAdaptError,
    RunConfig,
    adapt_dataset,
    generate,
    repair,
    verify,
)
from tests.bop_sets import OBJECTS, write_bop_set
from tests.command import run_command

pytestmark = pytest.mark.several_seconds

PIXELDA = "linemod-rgbd-fast"
"""An adapter that makes depth, too."""


def adapt(dataset: Path, out: Path, **settings: Any) -> AdaptSummary:
    return adapt_dataset(
        dataset, AdaptConfig(out=out, **{"workers": 1, "adapter": PIXELDA, **settings})
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bop_set(tmp_path_factory.mktemp("bop"))


@pytest.fixture(scope="module")
def ours(theirs: Path) -> Path:
    adapt(theirs, theirs.parent / "ours")
    return theirs.parent / "ours"


@pytest.fixture
def copy(theirs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(theirs, tmp_path / "copy")


def test_labels_are_carried_over_byte_for_byte(theirs: Path, ours: Path) -> None:
    before, after = files_of(theirs), files_of(ours)
    added = {f"train_pbr/{s}/scene_adapted.json" for s in ("000000", "000007")}
    added |= {"adaptation.json", "dataset.sha256"}
    added |= {f"adapted/train_pbr-{s}.sha256" for s in ("000000", "000007")}
    assert after.keys() == before.keys() | added
    for name, content in before.items():
        is_picture = "/rgb/" in name or "/depth/" in name
        assert (after[name] == content) != is_picture, name


def test_pictures_change_on_objects_alone_and_keep_their_kind(theirs: Path, ours: Path) -> None:
    for number in range(3):
        for scene, suffix in (("000000", "png"), ("000007", "jpg")):
            old, new = (root / "train_pbr" / scene for root in (theirs, ours))
            masks = [cv2.imread(str(f), -1) for f in old.glob(f"mask_visib/{number:06d}_*.png")]
            where = np.any(masks, axis=0)
            name = f"rgb/{number:06d}.{suffix}"
            rgb = [cv2.imread(str(folder / name)).astype(int) for folder in (old, new)]
            change = np.abs(rgb[0] - rgb[1]).max(axis=2)
            assert (change[where] > 2).mean() > 0.7
            assert change[~where].max() == 0 if suffix == "png" else change[~where].mean() < 4
            depth = [cv2.imread(str(d / f"depth/{number:06d}.png"), -1) for d in (old, new)]
            assert depth[1].dtype == np.uint16
            assert (depth[0][~where] == depth[1][~where]).all()
            assert ((depth[0] > 0) == (depth[1] > 0)).all()
            assert np.median(np.abs(depth[0].astype(int) - depth[1])[where]) < 300, "steps"


def test_objects_are_adapted_as_in_a_run_with_the_adapter(tmp_path: Path) -> None:
    """The same frames, noise vectors and adapter, one way and the other."""
    dataset = write_bop_set(tmp_path)
    adapt(dataset, tmp_path / "ours", seed=3)
    settings = {k: v for k, v in vars(_run_of(tmp_path)).items() if k not in ("out", "adapter")}
    generate(RunConfig(**settings, out=tmp_path / "direct", adapter=PIXELDA))
    for number in range(3):
        one, other = (
            cv2.imread(str(tmp_path / f)).astype(int)
            for f in (f"ours/train_pbr/000000/rgb/{number:06d}.png",
                      f"direct/train/000000/rgb/{number:06d}.png")
        )  # fmt: skip
        # Depth on disk has steps of 0.1 mm.
        assert np.abs(one - other).mean() < 0.3


def _run_of(folder: Path) -> RunConfig:
    from renderer import RANDOMIZATIONS

    return RunConfig(
        objects=OBJECTS, n=3, seed=3, workers=1, frames="240x180", objects_per_frame=3,
        distance=(450, 700), out=folder, randomize=RANDOMIZATIONS["linemod"],
    )  # fmt: skip


def test_each_image_says_what_made_it(ours: Path) -> None:
    adaptation = json.loads((ours / "adaptation.json").read_text())
    for scene in ("000000", "000007"):
        folder = ours / "train_pbr" / scene
        entries = json.loads((folder / "scene_adapted.json").read_text())
        truths = json.loads((folder / "scene_gt.json").read_text())
        assert entries.keys() == truths.keys()
        for key, entry in entries.items():
            assert entry["adapter_sha256"] == adaptation["adapter"]["generator.onnx"]
            assert entry["config_sha256"] == adaptation["config_sha256"]
            assert entry["seed"] == 0
            assert [one["instance"] for one in entry["objects"]] == [*range(len(truths[key]))]
            assert all(one["noise_attempt"] == 0 for one in entry["objects"])
            assert all(0 <= one["fidelity"] <= 1 for one in entry["objects"])
    twice = [
        json.loads((ours / f"train_pbr/{scene}/scene_adapted.json").read_text())
        for scene in ("000000", "000007")
    ]
    assert twice[0] != twice[1], "the same pictures in another scene have other noise"


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_what_was_stopped_is_continued(
    theirs: Path, ours: Path, tmp_path: Path, pieces: int
) -> None:
    out = tmp_path / "out"

    class StoppedError(Exception):
        pass

    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) > pieces:
            raise StoppedError

    with pytest.raises(StoppedError):
        adapt_dataset(theirs, AdaptConfig(out=out, workers=1, adapter=PIXELDA), stop)
    assert (out / "INCOMPLETE").exists()
    for scene in out.glob("train_pbr/*"):
        assert files_of(scene) == files_of(ours / "train_pbr" / scene.name), "whole, or absent"
    with pytest.raises(DatasetError, match="has not been finished"):
        verify(out)
    summary = adapt(theirs, out)
    assert summary.images_made == 6 - 3 * pieces
    assert files_of(out) == files_of(ours)
    again = adapt(theirs, out)
    assert (again.images_made, again.images, again.objects) == (0, 6, 18)
    assert files_of(out) == files_of(ours)


def test_a_piece_that_was_cut_short_is_made_again(theirs: Path, ours: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(done: int, total: int) -> None:
        if done == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt_dataset(theirs, AdaptConfig(out=out, workers=1, adapter=PIXELDA), stop)
    leftover = out / ".adapting/train_pbr-000000/rgb/000001.png"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half a pict")
    (out / ".adapting/train_pbr-000000.000000.json").write_text('{"files": {"rgb/000001')
    adapt(theirs, out)
    assert files_of(out) == files_of(ours)


def test_workers_make_the_same_bytes(theirs: Path, ours: Path, tmp_path: Path) -> None:
    adapt(theirs, tmp_path / "out", workers=2)
    assert files_of(tmp_path / "out") == files_of(ours)


def test_a_split_alone_is_taken_with_the_models_beside_it(theirs: Path, tmp_path: Path) -> None:
    summary = adapt(theirs / "train_pbr", tmp_path / "out")
    assert summary.images == 6
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"000000", "000007", "adapted", "adaptation.json", "dataset.sha256"}
    assert verify(tmp_path / "out").bad == ()


def test_objects_that_stay_unfaithful_are_left_with_their_bytes(
    theirs: Path, tmp_path: Path
) -> None:
    summary = adapt(theirs, tmp_path / "out", min_fidelity=1.0, redraws=1)
    assert 0 < summary.left <= summary.objects
    for scene in ("000000", "000007"):
        folder = tmp_path / "out/train_pbr" / scene
        for key, entry in json.loads((folder / "scene_adapted.json").read_text()).items():
            if any(one["noise_attempt"] >= 0 for one in entry["objects"]):
                continue
            for kind in ("rgb", "depth"):
                (file,) = folder.glob(f"{kind}/{int(key):06d}.*")
                before = theirs / "train_pbr" / scene / kind / file.name
                assert file.read_bytes() == before.read_bytes()


def test_masks_follow_from_poses_where_there_are_none(copy: Path, tmp_path: Path) -> None:
    """Nor has this dataset depth."""
    for scene in (copy / "train_pbr").iterdir():
        for kind in ("mask", "mask_visib", "depth"):
            shutil.rmtree(scene / kind)
    adapt(copy, tmp_path / "out")
    scene = tmp_path / "out/train_pbr/000000"
    assert not (scene / "depth").exists()
    old, new = (
        cv2.imread(str(d / "train_pbr/000000/rgb/000000.png")) for d in (copy, scene.parents[1])
    )
    changed = (old != new).any(axis=2)
    assert 0.01 < changed.mean() < 0.5


def test_real_frames_are_taken_as_they_are(data_dir: Path, tmp_path: Path) -> None:
    """LM-O: JPEG, neither masks nor depth, objects that hide each other."""
    lmo = data_dir / "lmo/test/000002"
    scene = tmp_path / "lmo/test/000002"
    (scene / "rgb").mkdir(parents=True)
    for file in sorted(lmo.glob("rgb/*.jpg"))[:2]:
        shutil.copy(file, scene / "rgb")
    for file in lmo.glob("*.json"):
        shutil.copy(file, scene)
    summary = adapt(tmp_path / "lmo", tmp_path / "out", models=data_dir / "linemod/models")
    assert summary.images == 2
    assert summary.objects > 10
    assert {"can", "driller"} <= set(summary.unknown)
    assert {"ape", "cat", "duck"}.isdisjoint(summary.unknown)
    assert verify(tmp_path / "out").bad == ()


def test_verify_names_what_is_not_as_it_was_written(ours: Path, tmp_path: Path) -> None:
    assert verify(ours).bad == ()
    sha256 = verify(ours).sha256
    assert verify(ours, sha256=sha256).bad == ()
    assert verify(ours, sha256="0" * 64).bad[0].path == ours / "dataset.sha256"

    def damaged(harm: Callable[[Path], object]) -> str:
        out = shutil.copytree(ours, tmp_path / "damaged", dirs_exist_ok=True)
        harm(out)
        found = verify(out)
        assert found.bad
        assert found.crops < 6 or found.bad[0].shard is None
        with pytest.raises(DatasetError, match="delete the scenes that are bad"):
            repair(found)
        name = found.bad[0].path.relative_to(out).as_posix()
        shutil.rmtree(out)
        return f"{name} {found.bad[0].problem}"

    picture, gt = "train_pbr/000000/rgb/000001.png", "train_pbr/000007/scene_gt.json"
    assert "SHA-256" in damaged(lambda out: (out / picture).write_bytes(b"other"))
    assert f"{picture} is not there" in damaged(lambda out: (out / picture).unlink())
    assert gt in damaged(lambda out: (out / gt).write_bytes(b"{}"))
    assert "listed nowhere" in damaged(lambda out: (out / "train_pbr/000000/mine").write_text("x"))
    assert "listed nowhere" in damaged(lambda out: (out / "train_pbr/000001").mkdir() or
                                       (out / "train_pbr/000001/x").write_text("x"))  # fmt: skip
    listing = "adapted/train_pbr-000007.sha256"
    assert listing in damaged(lambda out: (out / listing).write_text(""))


def test_a_scene_that_is_gone_is_made_again(theirs: Path, ours: Path, tmp_path: Path) -> None:
    out = shutil.copytree(ours, tmp_path / "out")
    shutil.rmtree(out / "train_pbr/000007")
    assert adapt(theirs, out).images_made == 3
    assert files_of(out) == files_of(ours)


def _write_json(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


SCENE = "train_pbr/000007"
HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no scenes": (lambda d: shutil.rmtree(d / "train_pbr"), "holds no BOP scenes"),
    "tar files": (
        lambda d: (shutil.rmtree(d / "train_pbr"), (d / "train_pbr").mkdir(),
                   (d / "train_pbr/shard-000000.tar").touch()),
        "is a webdataset, and only scene-wise datasets are taken",
    ),
    "no models": (lambda d: shutil.rmtree(d / "models"), "has no models/.*`models`"),
    "no pictures": (lambda d: shutil.rmtree(d / SCENE / "rgb"), "has no pictures in rgb/"),
    "no poses": (lambda d: (d / SCENE / "scene_gt.json").unlink(), "scene_gt.json cannot be read"),
    "half a file": (
        lambda d: (d / SCENE / "scene_gt.json").write_text('{"0": ['), "scene_gt.json is no JSON",
    ),
    "a list": (lambda d: (d / SCENE / "scene_gt.json").write_text("[]"), "no entries by image"),
    "no K": (
        lambda d: _write_json(d / SCENE / "scene_camera.json", lambda c: c["1"].pop("cam_K")),
        "scene_camera.json has a malformed entry for image 1",
    ),
    "an endless K": (
        lambda d: _write_json(
            d / SCENE / "scene_camera.json", lambda c: c["1"]["cam_K"].__setitem__(0, 1e300)
        ),
        "scene_camera.json has a malformed entry for image 1",
    ),
    "distortion": (
        lambda d: _write_json(
            d / SCENE / "scene_camera.json", lambda c: c["1"].__setitem__("cam_model", {})
        ),
        "distortion for image 1",
    ),
    "no rotation": (
        lambda d: _write_json(
            d / SCENE / "scene_gt.json", lambda c: c["2"][0].__setitem__("cam_R_m2c", [1] * 9)
        ),
        "scene_gt.json has a malformed entry for image 2",
    ),
    "an unknown image": (
        lambda d: shutil.copy(d / SCENE / "rgb/000000.jpg", d / SCENE / "rgb/000009.jpg"),
        "000009.jpg has no entry",
    ),
    "no number": (
        lambda d: shutil.copy(d / SCENE / "rgb/000000.jpg", d / SCENE / "rgb/one.jpg"),
        "one.jpg has no number",
    ),
    "an unknown object": (
        lambda d: _write_json(
            d / SCENE / "scene_gt.json", lambda c: c["2"][0].__setitem__("obj_id", 77)
        ),
        "77",
    ),
    "no mask": (lambda d: (d / SCENE / "mask_visib/000001_000001.png").unlink(), "cannot be read"),
    "a small mask": (
        lambda d: cv2.imwrite(str(d / SCENE / "mask_visib/000001_000001.png"), np.zeros((9, 9))),
        "000001_000001.png is no mask of the size of its picture",
    ),
    "a cut picture": (
        lambda d: (d / SCENE / "rgb/000002.jpg").write_bytes(b"\xff\xd8\xff"),
        "000002.jpg is no picture",
    ),
    "a grey picture": (
        lambda d: cv2.imwrite(str(d / SCENE / "rgb/000002.jpg"), np.zeros((180, 240), np.uint8)),
        "000002.jpg is no picture of 8-bit colours",
    ),
    "8-bit depth": (
        lambda d: cv2.imwrite(str(d / SCENE / "depth/000002.png"), np.zeros((180, 240), np.uint8)),
        "000002.png is no 16-bit depth",
    ),
    "a link": (
        lambda d: (
            (d / SCENE / "rgb/000002.jpg").unlink(),
            (d / SCENE / "rgb/000002.jpg").symlink_to(d.parent / "outside.jpg"),
        ),
        "link to something outside",
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_wrong_with_a_dataset_is_one_sentence(
    harm: str, copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"somebody's own")
    change, pattern = HARMS[harm]
    change(copy)
    with pytest.raises(RenderAdaptError, match=pattern) as refusal:
        adapt(copy, tmp_path / "out")
    assert not str(refusal.value).endswith(".")
    assert not (tmp_path / "out" / SCENE).exists(), "nothing half-written looks whole"
    assert not (tmp_path / "out/dataset.sha256").exists()


def test_what_does_not_go_together_is_refused(theirs: Path, ours: Path, tmp_path: Path) -> None:
    before = files_of(ours)
    with pytest.raises(DatasetError, match=r"another run \(.*seed 0 there, 1 here"):
        adapt(theirs, ours, seed=1)
    with pytest.raises(DatasetError, match="lie in each other"):
        adapt(theirs, theirs / "out")
    with pytest.raises(DatasetError, match="is one scene: give the folder that it is in"):
        adapt(theirs / "train_pbr/000000", tmp_path / "out")
    with pytest.raises(DatasetError, match="holds files that are no adapted dataset"):
        adapt(theirs, theirs.parent / "run")
    assert files_of(ours) == before
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_did(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("adapt", theirs, "--out", tmp_path / "out", "--workers", 1)
    with pytest.raises(SystemExit) as done:
        run_command(*run)
    assert not done.value.code
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"6 images in [\d.]+ s", out)
    assert "18 objects are seen: 0 were adapted anew, 0 left as they were" in out
    sha256 = re.search(r"sha256: ([0-9a-f]{64})", out)
    assert sha256
    with pytest.raises(SystemExit) as checked:
        run_command("verify", tmp_path / "out", "--sha256", sha256[1])
    assert not checked.value.code
    assert (
        "checked 6 images in 2 scenes: all files are as they were written"
        in capsys.readouterr().out
    )
    with pytest.raises(SystemExit) as refused:
        run_command("adapt", tmp_path, "--out", tmp_path.with_name("x"), "--adapter", "none")
    assert refused.value.code == 2
    assert capsys.readouterr().err.strip().startswith("render-adapt: ")
