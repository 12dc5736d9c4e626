"""Colours as PNG or JPEG, and all else the same."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from render_adapt import RunConfig, generate, load, verify, webdataset_pipeline


def make(out: Path, **settings: Any) -> Path:
    chosen: Any = {
        "objects": ("ape", "duck"), "n": 7, "seed": 5, "workers": 1, "adapter": "none",
        "randomize": "strong", "format": ("bop", "bop-webdataset"),
    } | settings  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        generate(RunConfig(out=out, **chosen))
    return out


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: make(folder / kind, rgb=kind) for kind in ("png", "jpg")}


def test_files_are_called_and_made_as_asked(kinds: dict[str, Path]) -> None:
    for kind, start in (("png", b"\x89PNG"), ("jpg", b"\xff\xd8\xff")):
        files = sorted((kinds[kind] / "train").glob("*/rgb/*"))
        assert {file.suffix for file in files} == {f".{kind}"}
        assert len(files) == 7
        members: dict[str, bytes] = {}
        for tar in sorted((kinds[kind] / "train_web").glob("*.tar")):
            with tarfile.open(tar) as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    assert content is not None
                    members[member.name] = content.read()
        for file in files:
            assert file.read_bytes().startswith(start)
            key = f"{file.parts[-3]}_{file.stem}"
            assert members[f"{key}.rgb.{kind}"] == file.read_bytes()
        for scene in (kinds[kind] / "train").iterdir():
            coco = json.loads((scene / "scene_gt_coco.json").read_text())
            assert all((scene / image["file_name"]).is_file() for image in coco["images"])


@pytest.mark.parametrize("format", ["bop", "bop-webdataset"])
def test_they_are_read_alike_but_for_what_jpeg_loses(kinds: dict[str, Path], format: str) -> None:
    plain, jpeg = (load(kinds[kind], format) for kind in ("png", "jpg"))
    assert len(plain) == len(jpeg) == 7
    for one, other in zip(plain, jpeg, strict=True):
        for name, value in vars(one).items():
            if name != "rgb":
                np.testing.assert_array_equal(value, getattr(other, name))
        # Noise from pixel to pixel is what JPEG is worst at.
        difference = np.abs(one.rgb.astype(int) - other.rgb)
        assert 0 < difference.mean() < 4
        assert cv2.PSNR(one.rgb, other.rgb) > 33


def test_both_formats_have_the_same_jpeg(kinds: dict[str, Path]) -> None:
    for one, other in zip(*(load(kinds["jpg"], name) for name in ("bop", "bop-webdataset")),
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one.rgb, other.rgb)


def test_labels_are_verified_and_webdataset_reads_them(kinds: dict[str, Path]) -> None:
    assert verify(kinds["jpg"], workers=1).bad == ()
    pytest.importorskip("webdataset")
    crops = list(webdataset_pipeline(kinds["jpg"]))
    assert len(crops) == 7


def test_a_run_of_png_is_described_as_before_there_was_a_choice(kinds: dict[str, Path]) -> None:
    plain, jpeg = (
        json.loads((kinds[kind] / "manifest.json").read_text()) for kind in ("png", "jpg")
    )
    assert "rgb" not in plain
    assert jpeg["rgb"] == "jpg"
    assert plain["config_sha256"] != jpeg["config_sha256"]
