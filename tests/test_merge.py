"""Merged datasets: one set that every reader takes, with the numbers of one set."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pyarrow import parquet
from trimesh.creation import box

from cad_models import load_models
from render_adapt import (
    DatasetError,
    RunConfig,
    generate,
    load,
    merge,
    repair,
    torch_dataset,
    verify,
    webdataset_pipeline,
    write_report,
)
from tests.command import run_command
from tests.test_dataset import tree_hash

FORMATS = (
    "bop", "bop-webdataset", "coco", "yolo", "yolo-pose", "dope", "bop-targets", "huggingface",
)  # fmt: skip


def made(out: Path, **changes: Any) -> Path:
    settings = {"n": 5, "adapter": "none", "workers": 1, "format": FORMATS, "out": out}
    generate(RunConfig(**{**settings, **changes}))
    return out


def write_textured(path: Path) -> None:
    """A tetrahedron with a picture on it."""
    corners = [(60, 0, 0), (-30, 50, 0), (-30, -50, 0), (0, 0, 40)]
    faces = [(1, 3, 2), (1, 2, 4), (2, 3, 4), (3, 1, 4)]
    lines = ["mtllib flat.mtl", *("v {} {} {}".format(*corner) for corner in corners)]
    lines += ["vt 0 0", "vt 1 0", "vt 0 1", "usemtl looks"]
    lines += ["f " + " ".join(f"{v}/{k + 1}" for k, v in enumerate(face)) for face in faces]
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".mtl").write_text("newmtl looks\nmap_Kd flat.png\n")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    cv2.imwrite(str(path.with_suffix(".png")), picture)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of built-in objects, of a mesh of one's own, and of another with the same number, adapted."""
    folder = tmp_path_factory.mktemp("merge")
    box(extents=(90, 40, 20)).export(folder / "long.ply")
    write_textured(folder / "flat.obj")
    return [
        made(folder / "first", objects=("ape", "duck"), seed=1),
        made(folder / "second", objects=("duck", f"long={folder / 'long.ply'}"), seed=2),
        made(folder / "third", objects=(f"flat={folder / 'flat.obj'}", "ape"), seed=2,
             adapter="shipped"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def merged(parts: list[Path]) -> Path:
    out = parts[0].parent / "merged"
    summary = merge(parts, out)
    assert summary.crops == 15
    assert summary.by_object == {"ape": 5, "duck": 5, "long": 2, "flat": 3}
    assert summary.notes == (f"flat of {parts[2]} is object 102 here: 101 is another's",)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def test_it_is_verified_with_all_labels(merged: Path) -> None:
    """Which draws every object anew, by its number, with the models that are there."""
    verification = verify(merged, workers=1)
    assert verification.bad == ()
    assert (verification.crops, verification.shards) == (15, 3)


def test_crops_are_those_of_the_parts(parts: list[Path], merged: Path) -> None:
    for format_ in ("bop", "bop-webdataset"):
        whole = load(merged, format_)
        crops = [crop for part in parts for crop in load(part, format_)]
        assert len(whole) == len(crops) == 15
        for ours, theirs in zip(whole, crops, strict=True):
            for name in ("rgb", "depth", "mask", "mask_visib", "rotation", "translation",
                         "camera_matrix", "bbox_obj", "visib_fract"):  # fmt: skip
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)


def test_objects_have_one_number_each_in_every_file(parts: list[Path], merged: Path) -> None:
    """The built-in ones have theirs; of two meshes with number 101 the second is 102."""
    numbers = {"ape": 1, "duck": 9, "long": 101, "flat": 102}
    info = read_json(merged / "models/models_info.json")
    assert {entry["name"]: int(key) for key, entry in info.items()} == numbers
    assert read_json(merged / "manifest.json")["order"] == list(numbers)
    flat = load_models(["102"], models=merged / "models", units="mm")[0].mesh
    theirs = load_models(["101"], models=parts[2] / "models", units="mm")[0].mesh
    for name in ("vertices", "faces", "texture_coordinates", "texture"):
        np.testing.assert_array_equal(getattr(flat, name), getattr(theirs, name))
    scene = merged / "train/000002"
    gt = [[one["obj_id"] for one in image] for image in read_json(scene / "scene_gt.json").values()]
    coco = read_json(scene / "scene_gt_coco.json")
    assert {one["id"]: one["name"] for one in coco["categories"]} == {
        number: name for name, number in numbers.items()
    }
    assert gt == [[102], [1], [102], [1], [102]]
    assert [one["category_id"] for one in coco["annotations"]] == [102, 1, 102, 1, 102]
    packed = members(merged / "train_web/shard-000002.tar")
    assert [json.loads(packed[f"000002_{k:06d}.gt.json"])[0]["obj_id"] for k in range(5)] == [
        102, 1, 102, 1, 102,
    ]  # fmt: skip
    index = load(merged).columns
    assert index["obj_id"].tolist() == [numbers[name] for name in index["object"]]
    for folder in ("yolo", "yolo-pose"):
        labels = [
            (merged / f"{folder}/000002/labels/{k:06d}.txt").read_text().split()[0]
            for k in range(5)
        ]
        assert labels == ["3", "0", "3", "0", "3"]
        names = (merged / folder / "data.yaml").read_text().partition("names:\n")[2]
        assert names == "  0: ape\n  1: duck\n  2: long\n  3: flat\n"
    cuboids = read_json(merged / "dope/000002/000000.json")["objects"]
    assert [one["class"] for one in cuboids] == ["flat"]
    targets = read_json(merged / "test_targets_bop19.json")
    assert {(row["scene_id"], row["im_id"]): row["obj_id"] for row in targets} == {
        (scene_id, im_id): obj_id
        for scene_id, im_id, obj_id in zip(
            index["scene_id"], index["im_id"], index["obj_id"], strict=True
        )
    }


def test_what_hangs_on_no_number_stays_to_the_byte(parts: list[Path], merged: Path) -> None:
    ours, theirs = files(merged), files(parts[0])
    of_shard = [
        name for name in theirs if name.startswith(("train/", "train_web/sh", "index/", "dope/"))
    ]
    changed = {name for name in of_shard if ours[name] != theirs[name]}
    # COCO names the objects of all parts.
    assert changed == {"train/000000/scene_gt_coco.json"}
    moved = files(parts[2])
    for name in ("rgb/000003.png", "mask/000001_000000.png", "scene_camera.json",
                 "scene_gt_info.json"):  # fmt: skip
        assert ours[f"train/000002/{name}"] == moved[f"train/000000/{name}"]


def test_every_crop_says_what_made_it(parts: list[Path], merged: Path) -> None:
    manifest = read_json(merged / "manifest.json")
    for part, entry in zip(parts, manifest["merged"], strict=True):
        assert entry["dataset"] == part.name
        assert entry["run"] == read_json(part / "manifest.json")
        assert entry["sha256"] == verify(part, workers=1).sha256
    rows = load(merged).columns
    for name in ("index", "seed", "config_sha256", "adapter_sha256", "version", "fidelity"):
        theirs = np.concatenate([load(part).columns[name] for part in parts])
        np.testing.assert_array_equal(rows[name], theirs, name)
    assert manifest["n"] == 15


def test_other_readers(merged: Path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco")
    coco = coco_api.COCO(str(merged / "annotations/instances_train.json"))
    whole = load(merged)
    assert len(coco.imgs) == 15
    for number, crop in enumerate(whole, 1):
        (one,) = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
        assert one["category_id"] == crop.object_id[0]
        np.testing.assert_array_equal(coco.annToMask(one).astype(bool), crop.mask_visib[0])
        assert (merged / coco.imgs[number]["file_name"]).is_file()
    table = parquet.read_table(merged / "index")
    assert table.num_rows == 15
    assert table["object"].to_pylist() == whole.columns["object"].tolist()
    keys = read_json(merged / "key_to_shard.json")
    assert keys == {f"{shard:06d}_{k:06d}": shard for shard in range(3) for k in range(5)}


def test_our_other_readers(merged: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("webdataset")
    samples = torch_dataset(merged)
    assert len(samples) == 15
    streamed = list(webdataset_pipeline(merged))
    for name in ("object_id", "scene_id", "im_id"):
        assert [int(one[name]) for one in streamed] == [int(one[name]) for one in samples]
    page = write_report(merged, tmp_path / "report.html").read_text()
    for said in ('"seed":"1 / 2"', '"name":"flat","crops":3', "merged of several"):
        assert said in page


def test_merging_step_by_step_is_merging_at_once(
    parts: list[Path], merged: Path, tmp_path: Path
) -> None:
    merge(parts[:2], tmp_path / "two")
    merge([tmp_path / "two", parts[2]], tmp_path / "three")
    assert tree_hash(tmp_path / "three") == tree_hash(merged)


def test_the_same_command_again_and_faults(parts: list[Path], merged: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(merged, tmp_path / "merged"))
    before = tree_hash(copy)
    for name in ("train/000001/rgb/000002.png", "index/000002.parquet"):
        (copy / name).write_bytes(b"")
    bad = verify(copy, workers=1)
    assert [file.shard for file in bad.bad] == [1, 2]
    with pytest.raises(DatasetError, match="made by render-adapt merge, from datasets that are"):
        repair(bad, workers=1)
    merge(parts, copy)
    assert tree_hash(copy) == before
    with pytest.raises(DatasetError, match="holds another run"):
        merge(parts[:2], copy)
    assert tree_hash(copy) == before


def test_a_set_that_grew_and_one_of_fewer_formats(parts: list[Path], tmp_path: Path) -> None:
    grown = made(tmp_path / "grown", objects=("ape",), seed=8, n=2, format=("bop",))
    made(grown, objects=("ape",), seed=8, n=5, format=("bop",))
    summary = merge([grown, parts[0]], tmp_path / "out")
    assert summary.notes[:2] == (
        f"bop-webdataset is left out, which {grown} was not written in",
        f"coco is left out, which {grown} was not written in",
    )
    whole = load(tmp_path / "out")
    assert whole.shards == [0, 1, 2]
    assert whole.columns["index"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert verify(tmp_path / "out", workers=1).bad == ()


def test_frames_of_which_some_were_adapted(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "objects": ("ape", "duck"), "frames": "96x72", "objects_per_frame": 2, "n": 2,
        "format": ("bop", "linemod-preprocessed"), "distance": (500, 600),
    }  # fmt: skip
    plain = made(tmp_path / "plain", seed=1, **settings)
    adapted = made(tmp_path / "adapted", seed=2, adapter="shipped", **settings)
    summary = merge([plain, adapted], tmp_path / "out")
    assert summary.notes == ()
    rows, theirs = load(tmp_path / "out").columns, load(adapted).columns
    for name in ("others_fidelity", "others_noise_attempt"):
        assert [list(row) for row in rows[name][2:]] == [list(row) for row in theirs[name]]
        assert [len(row) for row in rows[name]] == rows["others"].tolist()
    assert verify(tmp_path / "out", workers=1).bad == ()
    other = made(tmp_path / "other", seed=3, camera=(80, 80, 48, 36), **settings)
    notes = merge([plain, other], tmp_path / "cameras").notes
    assert notes[0].startswith("linemod-preprocessed is left out, which has one camera")
    assert notes[1].startswith(f"camera.json is that of {plain}")


def one_more(folder: Path, **changes: Any) -> Path:
    return made(folder / "other", **{"objects": ("ape",), "seed": 5, "n": 1, **changes})


def refused_as(words: str, *arguments: Path, out: Path) -> None:
    """In one sentence, and nothing is written."""
    with pytest.raises(DatasetError, match=words) as caught:
        merge(arguments, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_datasets_that_do_not_go_together(parts: list[Path], tmp_path: Path) -> None:
    first, out = parts[0], tmp_path / "out"
    refused_as("is no dataset of render-adapt", first, tmp_path / "none", out=out)
    misfits: list[tuple[str, dict[str, Any]]] = [
        ("64 x 64 pixels, .* pictures of 128 x 128 pixels", {"size": 128}),
        ("first pixel's centre at 0 .* centre at 0.5", {"pixel_centre": 0.5}),
        ("colours in PNG files, .* colours in JPG files", {"rgb": "jpg"}),
        ("has crops, .* whole frames", {"frames": "64x64", "objects_per_frame": 1}),
        ("both have crops of one run", {"objects": ("ape", "duck"), "seed": 1, "n": 2}),
    ]
    for words, changes in misfits:
        other = one_more(tmp_path / words[:12], **changes)
        refused_as(words, first, other, out=out)
    box(extents=(50, 50, 50)).export(tmp_path / "ape.stl")
    other = one_more(tmp_path / "name", objects=(f"ape={tmp_path / 'ape.stl'}",))
    refused_as("have different objects by the name ape", first, other, out=out)
    web = one_more(tmp_path / "web", format=("bop-webdataset",))
    scenes = one_more(tmp_path / "scenes", format=("bop",), seed=6)
    refused_as("no format that can be merged is common", web, scenes, out=out)


def test_where_it_is_written(parts: list[Path], merged: Path) -> None:
    for out in (parts[1], parts[1] / "merged", parts[1].parent):
        before = sorted(parts[1].parent.iterdir())
        with pytest.raises(DatasetError, match=r"is the dataset itself|lie in each other"):
            merge(parts[:2], out)
        assert sorted(parts[1].parent.iterdir()) == before


def _unfinished(folder: Path) -> None:
    (folder / "INCOMPLETE").write_text("")


def _without_shard(folder: Path) -> None:
    (folder / "shards/000000.json").unlink()


def _cut_picture(folder: Path) -> None:
    (folder / "train/000000/rgb/000001.png").write_bytes(b"")


def _changed_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 2', '"seed": 3'))


def _changed_model(folder: Path) -> None:
    path = folder / "models/obj_000101.ply"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_unfinished, "has not been finished"),
        (_without_shard, "shard 0 of .* is not as it was written: mend it with"),
        (_cut_picture, "shard 0 of .* is not as it was written: mend it with"),
        (_changed_manifest, "manifest.json is not the file that was written"),
        (_changed_model, "obj_000101.ply is not the file that was written"),
    ],
)
def test_sources_that_are_not_whole(
    damage: Callable[[Path], None], words: str, parts: list[Path], tmp_path: Path
) -> None:
    source = Path(shutil.copytree(parts[1], tmp_path / "source"))
    damage(source)
    refused_as(words, parts[0], source, out=tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["train/000000/rgb/000001.png", "train_web/shard-000000.tar", "index/000000.parquet"]
)
def test_a_bit_that_changed_is_found_and_mended(
    name: str, parts: list[Path], tmp_path: Path
) -> None:
    """What was merged by then stays, and does not count as a dataset."""
    source, out = Path(shutil.copytree(parts[1], tmp_path / "source")), tmp_path / "out"
    content = bytearray((source / name).read_bytes())
    content[len(content) // 2] ^= 1
    (source / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{name} is not the file that was written .*: mend it"):
        merge([parts[0], source], out)
    with pytest.raises(DatasetError, match="has not been finished"):
        load(out)
    repair(verify(source, workers=1), workers=1)
    assert merge([parts[0], source], out).crops == 10
    assert verify(out, workers=1).bad == ()


def test_the_command(parts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as done:
        run_command("merge", *parts[:2], "--out", out)
    assert done.value.code == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["10 crops: ape 3, duck 5, long 2", f"dataset: {out}"]
    assert printed[2] == f"sha256: {verify(out, workers=1).sha256}"
    for arguments, code in (((parts[0],), 2), ((parts[0], tmp_path / "none"), 1)):
        with pytest.raises(SystemExit) as ended:
            run_command("merge", *arguments, "--out", tmp_path / "other")
        assert ended.value.code == code
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "other").exists()
