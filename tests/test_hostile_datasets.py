"""Datasets in which somebody has put links, pipes, giants and lies."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cad_models import ModelError
from render_adapt import DatasetError, RunConfig, generate, load, verify, write_report
from tests.test_verify import sign_again

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX systems")

FORMATS = ("bop", "bop-webdataset")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "d"
    generate(RunConfig(objects=("ape",), n=4, adapter="none", workers=1, out=out, format=FORMATS))
    return out


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "d"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_out(path: Path) -> None:
    outside = next(folder for folder in path.parents if folder.name == "d").parent / "outside"
    outside.write_bytes(b"the user's own")
    path.symlink_to(outside)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**36)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


PLANTED: dict[str, Callable[[Path], None]] = {
    "a pipe": pipe, "a link out": link_out, "a sparse giant": sparse, "a device": device,
}  # fmt: skip
FILES = (
    "manifest.json", "index/000000.parquet", "shards/000000.json", "shards/000000.sha256",
    "dataset.sha256", "train/000000/rgb/000001.png", "train/000000/mask/000001_000000.png",
    "train/000000/scene_gt.json", "train/000000/scene_gt_coco.json", "train_web/shard-000000.tar",
    "models/obj_000001.ply", "models/models_info.json", "camera.json",
)  # fmt: skip


READ = {
    "bop": (
        "manifest.json", "index/", "train/000000/rgb", "train/000000/mask",
        "train/000000/scene_gt.json",
    ),
    "bop-webdataset": ("manifest.json", "index/", "train_web/"),
}  # fmt: skip
"""What readers of each format open."""


def refusal(use: Callable[[], object]) -> str | None:
    """The sentence with which something is refused, if it is."""
    try:
        use()
    except (DatasetError, ModelError) as error:
        told = str(error)
    else:
        return None
    assert "\n" not in told
    assert "the user's own" not in told
    return told


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize("name", FILES)
def test_nothing_waits_for_or_reads_what_is_no_file_of_the_dataset(
    dataset: Path, name: str, plant: Callable[[Path], None]
) -> None:
    (dataset / name).unlink()
    plant(dataset / name)
    assert refusal(lambda: verify(dataset, workers=1)) or verify(dataset, workers=1).bad
    for format in FORMATS:
        told = refusal(lambda format=format: list(load(dataset, format)))
        assert bool(told) == name.startswith(READ[format])
    page = dataset.parent / "page.html"
    if refusal(lambda: write_report(dataset, page)) is None:
        assert "the user's own" not in page.read_text()


def test_a_report_takes_the_place_of_a_link_and_leaves_what_it_leads_to(dataset: Path) -> None:
    precious = dataset.parent / "precious"
    precious.write_text("the user's own")
    for name in ("report.html", ".report.html.partial"):
        (dataset / name).symlink_to(precious)
    page = write_report(dataset)
    assert precious.read_text() == "the user's own"
    assert not page.is_symlink()
    assert page.stat().st_size > 10_000


def test_a_run_writes_through_no_link(whole: Path, tmp_path: Path) -> None:
    """As it begins, as it goes on and as it ends."""
    precious = tmp_path / "precious"
    precious.write_text("the user's own")
    out = tmp_path / "d"
    out.mkdir()
    (out / "INCOMPLETE").symlink_to(precious)
    config = RunConfig(objects=("ape",), n=4, adapter="none", workers=1, out=out, format=FORMATS)
    with pytest.raises(DatasetError, match=r"cannot write .*INCOMPLETE"):
        generate(config)
    assert precious.read_text() == "the user's own"
    (out / "INCOMPLETE").unlink()
    for name in ("camera.json", "dataset.sha256", "contact_sheet.png"):
        shutil.rmtree(out)
        shutil.copytree(whole, out)
        (out / name).unlink()
        (out / name).symlink_to(precious)
        generate(config)
        assert precious.read_text() == "the user's own"
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("crops", [25_000_000_000, -1, 2.5, True])
def test_a_manifest_of_more_crops_than_there_can_be(dataset: Path, crops: object) -> None:
    path = dataset / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n": crops}))
    for use in (verify, load, write_report):
        with pytest.raises(DatasetError, match="damaged"):
            use(dataset)


def test_masks_that_unpack_to_gigabytes(dataset: Path) -> None:
    """A PNG of 16384 x 16384 zeros is a quarter of a megabyte, and a crop may have any number."""
    side = 16384
    giant = cv2.imencode(".png", np.zeros((side, side), np.uint8))[1].tobytes()
    assert len(giant) < 2**20
    scene = dataset / "train/000000"
    (scene / "mask/000001_000000.png").write_bytes(giant)
    sign_again(dataset)
    with pytest.raises(DatasetError, match="not of the size of rgb"):
        load(dataset, "bop")[1]
    for kind in ("rgb", "depth"):
        (scene / f"{kind}/000001.png").write_bytes(giant)
    sign_again(dataset)
    with pytest.raises(DatasetError, match="too large"):
        load(dataset, "bop")[1]
    assert verify(dataset, workers=1).bad
