"""`fit`: what was planted in crops comes back as settings."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from render_adapt import (
    DatasetError,
    FitConfig,
    FitSummary,
    RunConfig,
    SettingError,
    fit,
    generate,
)
from render_adapt._runs.manifest import config_hash
from renderer import RANDOMIZATIONS, Randomization, read_randomization
from tests.test_align import command, said
from tests.test_verify import sign_again

pytestmark = pytest.mark.several_seconds

NAMES = ("ape", "cat", "duck")
CROPS = 120
PLANTED = {
    "in a room": dataclasses.replace(
        RANDOMIZATIONS["none"], light_from="above", light_angle=50.0, light_intensity=(0.3, 0.6),
        ambient_intensity=(0.4, 0.6), specular=(0.0, 0.4), exposure=(-0.7, 0.7),
        white_balance=0.2, focus_blur=(0.4, 0.8), color_noise=(2.0, 6.0),
        off_centre=0.05, zoom=(0.9, 1.1),
    ),
    "beside the camera": dataclasses.replace(
        RANDOMIZATIONS["none"], light_angle=70.0, light_intensity=(0.4, 0.9),
        ambient_intensity=(0.3, 0.5), light_tint=0.25, motion_blur=(0.0, 3.5),
    ),
}  # fmt: skip
"""What crops are made with, and are to be found to be made with."""
TOLERANCES = {
    "light_angle": 8.0, "light_intensity": 0.12, "ambient_intensity": 0.08, "light_tint": 0.06,
    "specular": 0.1, "exposure": 0.25, "white_balance": 0.08, "motion_blur": 0.9,
    "focus_blur": 0.22, "color_noise": 1.0, "off_centre": 0.01, "zoom": 0.02, "color_jitter": 0.12,
}  # fmt: skip
"""How far a setting, or the ends of its range, may be off. Noise that is less than the objects'
own grain is not told from it, nor an exposure that is as small as chance."""


def before_photographs(randomization: Randomization, folder: Path) -> Randomization:
    """The same, before pictures that differ in brightness and colour as a room's places do."""
    pictures = folder / "photographs"
    pictures.mkdir(parents=True)
    random = np.random.default_rng(5)
    for number in range(30):
        middle = 110 * 2 ** (0.12 * random.standard_normal() + 0.04 * random.standard_normal(3))
        spots = cv2.GaussianBlur(random.standard_normal((96, 96, 3)), (0, 0), 4)
        picture = np.clip(middle * (1 + 2 * spots), 0, 255)
        cv2.imwrite(str(pictures / f"{number}.png"), picture.astype(np.uint8))
    return dataclasses.replace(randomization, background=("photographs",), photographs=pictures)


def make_aligned(folder: Path, randomization: Randomization, **changes: Any) -> Path:
    """A dataset as `align` leaves it, of renders in place of a camera's crops."""
    settings: dict[str, Any] = {
        "objects": NAMES, "n": CROPS, "out": folder, "adapter": "none", "workers": 1, "seed": 11,
        "randomize": randomization, "distance": (700.0, 900.0), **changes,
    }  # fmt: skip
    generate(RunConfig(**settings))
    change_manifest(
        folder, alignment={"plan": {"size": 64, "window": 200.0, "centre": "box", "off_axis": None}}
    )
    return folder


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    manifest["config_sha256"] = config_hash(manifest)
    path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    sign_again(folder)


@pytest.fixture(scope="module", params=PLANTED)
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Randomization, FitSummary]:
    """What crops were made with, and what was fitted to them."""
    folder = tmp_path_factory.mktemp("planted")
    wanted = PLANTED[request.param]
    aligned = make_aligned(folder / "aligned", before_photographs(wanted, folder))
    return wanted, fit(FitConfig(NAMES, aligned, folder / "mine.toml", crops=CROPS))


def test_known_settings_come_back(planted: tuple[Randomization, FitSummary]) -> None:
    wanted, summary = planted
    found = summary.randomization
    assert found.light_from == wanted.light_from
    for name, tolerance in TOLERANCES.items():
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted, name), atol=tolerance, err_msg=name
        )
    assert summary.by_object == dict.fromkeys(NAMES, CROPS // 3)
    for colors in summary.colors.values():
        np.testing.assert_allclose(colors, 1, atol=0.15)
    assert summary.distance is not None
    np.testing.assert_allclose(summary.distance, (710, 890), atol=10)


def test_renders_with_these_settings_measure_as_the_crops_do(
    planted: tuple[Randomization, FitSummary],
) -> None:
    _, summary = planted
    assert len(summary.likeness) == 6
    for one in summary.likeness:
        width = one.crops[1] - one.crops[0]
        np.testing.assert_allclose(
            one.renders, one.crops, atol=0.25 * width + 0.05, err_msg=one.name
        )


def test_what_crops_do_not_tell_is_the_presets(planted: tuple[Randomization, FitSummary]) -> None:
    _, summary = planted
    assert read_randomization(summary.file) == summary.randomization
    measured = {*TOLERANCES, "lights", "light_from", "texture_swap"}
    rest = {name: value for name, value in vars(summary.randomization).items()
            if name not in measured}  # fmt: skip
    assert rest.items() <= vars(RANDOMIZATIONS["strong"]).items()
    assert (summary.randomization.lights, summary.randomization.texture_swap) == ((1, 1), 0.0)


def test_the_picture_has_crops_above_renders(planted: tuple[Randomization, FitSummary]) -> None:
    _, summary = planted
    assert summary.contact_sheet == summary.file.with_name("mine.contact_sheet.png")
    sheet = cv2.imread(str(summary.contact_sheet))
    assert min(sheet.shape[:2]) > 1000


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty aligned crops; not to be changed."""
    folder = tmp_path_factory.mktemp("few")
    return make_aligned(folder / "aligned", PLANTED["in a room"], n=30)


def test_the_command(few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "mine.toml"
    for _ in range(2):  # its own file is written anew
        command("fit", "--objects", ",".join(NAMES), "--target", few, "--out", out,
                "--preset", "linemod")  # fmt: skip
        printed = capsys.readouterr().out
        text = out.read_text()
        assert "measured: ape 10, cat 10, duck 10\n" in printed
        assert re.search(r"^distance: --distance \d+ \d+$", printed, re.MULTILINE)
        assert f"settings: --randomize {out}\n" in printed.replace("\n/", "/")
        assert 'preset = "linemod"\n' in text
        assert "# Measured on 30 aligned crops of aligned (ape 10, cat 10, duck 10), beside" in text
    again = fit(FitConfig(NAMES, few, tmp_path / "again.toml", preset="linemod"))
    assert again.file.read_text() == text
    assert again.randomization.background == ("black",)
    command(
        "--objects", "ape", "--n", 2, "--adapter", "none", "--workers", 1, "--randomize", out,
        "--out", tmp_path / "dataset",
    )  # fmt: skip


def test_distance_is_told_by_depth_alone(few: Path, tmp_path: Path) -> None:
    flat = Path(shutil.copytree(few, tmp_path / "flat"))
    for picture in (flat / "train/000000/depth").iterdir():
        cv2.imwrite(str(picture), np.zeros((64, 64), np.uint16))
    summary = fit(FitConfig(NAMES, flat, tmp_path / "mine.toml"))
    assert summary.distance is None
    assert "distance of objects cannot be told without depth" in summary.file.read_text()


def test_other_colours_than_the_models_are_found(tmp_path: Path) -> None:
    solid = trimesh.creation.icosphere(3, 45)
    solid.apply_scale((1.0, 0.7, 1.3))
    for name, color in (("green", (120, 160, 100)), ("blue", (100, 120, 160))):
        for folder, gain in (("models", (1, 1, 1)), ("painted", (1.2, 1.0, 0.8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            gain = gain if name == "green" else (1, 1, 1)
            painted = np.tile(np.round(np.multiply(color, gain)).astype(np.uint8), (642, 1))
            mesh = trimesh.Trimesh(
                solid.vertices, solid.faces, vertex_colors=painted, process=False
            )
            mesh.export(tmp_path / folder / f"{name}.ply")
    painted_objects, objects = (
        tuple(f"{name}={tmp_path / folder / name}.ply" for name in ("green", "blue"))
        for folder in ("painted", "models")
    )
    even = dataclasses.replace(RANDOMIZATIONS["none"], background=("procedural",))
    aligned = make_aligned(tmp_path / "aligned", even, objects=painted_objects, n=40)
    change_manifest(aligned, objects={})
    summary = fit(FitConfig(objects, aligned, tmp_path / "mine.toml"))
    found = {name: np.array(colors) for name, colors in summary.colors.items()}
    np.testing.assert_allclose(found["green"] / found["blue"], (1.2, 1.0, 0.8), atol=0.04)
    # Half of the colours are off by 0.2, 0 and 0.2.
    share = math.sqrt(((24**2 + 20**2) / (120**2 + 160**2 + 100**2) + 0) / 2)
    assert summary.randomization.color_jitter == pytest.approx(math.sqrt(3) * share, abs=0.04)


def refusal(config: FitConfig) -> str:
    with pytest.raises(DatasetError) as caught:
        fit(config)
    assert not config.contact_sheet.exists()
    return str(caught.value)


def test_what_cannot_be_fitted_is_refused(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    run = tmp_path / "run"
    generate(RunConfig(("ape",), n=20, out=run, adapter="none", workers=1))
    for folder in (run, tmp_path):
        assert refusal(FitConfig(("ape",), folder, out)) == (
            f"{folder} is not aligned: give `target` what `render-adapt align` wrote of your "
            "camera's crops"
        )
    assert refusal(FitConfig(("ape",), few, out)) == (
        f"{few} has 10 crops of ape, from which no ranges can be told: align 20 or more"
    )
    assert refusal(FitConfig(("can",), few, out)) == (
        f"{few} has no crop of can: name what it shows"
    )
    other = Path(shutil.copytree(few, tmp_path / "other"))
    change_manifest(other, objects={"ape": {"sha256": "0" * 64}})
    assert refusal(FitConfig(NAMES, other, out)).startswith(
        f"{other} shows another model of ape than this"
    )
    out.write_text("exposure = [0.0, 0.0]\n")
    assert refusal(FitConfig(NAMES, few, out)) == (
        f"{out} holds something else than a fit: choose another file with `out`"
    )
    assert out.read_text() == "exposure = [0.0, 0.0]\n"
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert refusal(FitConfig(NAMES, few, folder)).startswith(f"{folder} is in the way (")


def test_objects_that_are_too_small_tell_nothing(tmp_path: Path) -> None:
    far = dataclasses.replace(RANDOMIZATIONS["none"], zoom=(9.0, 9.0))
    aligned = make_aligned(tmp_path / "aligned", far, n=20, objects=("duck",))
    assert refusal(FitConfig(("duck",), aligned, tmp_path / "mine.toml")) == (
        f"{aligned} shows too little of its objects in 20 crops to measure their light: align "
        "crops in which they are larger"
    )


def test_settings_are_checked_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for changes, pattern in (
        ({"objects": ()}, "`objects` is empty"),
        ({"preset": "weak"}, "`preset` is weak: it must be none, linemod or strong"),
        ({"out": Path("mine.txt")}, r"`out` is mine\.txt: it must be the name of a \.toml file"),
        ({"crops": 5}, "`crops` is 5: it must be at least 20"),
    ):
        settings: dict[str, Any] = {
            "objects": ("ape",), "target": tmp_path, "out": tmp_path / "mine.toml", **changes,
        }  # fmt: skip
        with pytest.raises(SettingError, match=pattern):
            FitConfig(**settings)
    command("fit", "--objects", "ape", "--target", tmp_path, "--out", tmp_path / "mine.txt", code=2)
    assert "--out is " in said(capsys)
