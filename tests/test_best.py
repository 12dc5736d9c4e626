"""`align`, `train --preset best` and runs with what it made, on objects that are easily read."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import render_adapt
from adapter import BACKGROUNDS, FAR, PRESETS, AdapterError, TargetCut, read_info
from render_adapt import (
    AlignConfig,
    DatasetError,
    PreparedShard,
    RunConfig,
    SettingError,
    TrainRun,
    align,
    calibrate_adapter,
    generate,
    judge_adapter,
    load,
    train_adapter,
)
from render_adapt._coupling import left_to_adapter
from render_adapt._pairs.light import EVEN_LIGHT, write_even_light
from render_adapt._pairs.pairs import LIGHTS, read_pairs
from render_adapt._runs.manifest import config_hash
from renderer import (
    RANDOMIZATIONS,
    PicturePoses,
    PlanConfig,
    Randomization,
    RasterRenderer,
    RenderError,
    load_photographs,
    make_plans,
    read_randomization,
    write_poses,
)
from tests.painted import NAMES, ReadingNetwork, write_painted, write_target
from tests.shapes import ball
from tests.test_align import command, crops_of, files_of, models_in, said
from tests.test_report import data_of, picture

pytestmark = pytest.mark.several_seconds

SIZE = 64
DARK = 11
"""Grey levels behind objects, at most; objects have more of every colour."""
CALIBRATED = 1000
TRAIN = "render_adapt._align.run.train_network"
JUDGED = "render_adapt._verdict.clock.judge_adapter"
TINY = (
    "--preset", "best", "--steps", 2, "--batch", 4, "--width", 8, "--blocks", 1,
    "--discriminator-width", 4, "--noise-dimension", 3, "--threads", 1, "--source-crops", 6,
)  # fmt: skip


def noise(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, DARK, shape, np.uint8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the objects, their crops before dark grain, and what `align` made of these."""
    folder = tmp_path_factory.mktemp("parts")
    write_painted(folder)
    crops = crops_of(models_in(folder))
    before = np.where(crops.mask[..., None], crops.rgb, noise(crops.rgb.shape, 0))
    write_target(folder / "crops", before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TRAIN, lambda crops, names, config, *_: (ReadingNetwork(), config.steps))
        settings: dict[str, Any] = {
            "randomize": str(folder / "even.toml"), "size": SIZE, "source_crops": 4,
            "calibration_crops": 30, "threads": 1, "precision": "fp32",
        }  # fmt: skip
        done = align(AlignConfig(named(folder), folder / "crops", folder / "aligned", **settings))
        assert done.kept == done.crops == 16
    return folder


def named(folder: Path) -> tuple[str, ...]:
    return tuple(f"{name}={folder / name}.ply" for name in NAMES)


def train(
    parts: Path, out: Path, *flags: object, code: int = 0, target: Path | None = None
) -> None:
    command(
        "train", "--objects", ",".join(named(parts)), "--target", target or parts / "aligned",
        "--out", out, *TINY, *flags, code=code,
    )  # fmt: skip


@pytest.fixture(scope="module")
def adapter(parts: Path) -> Path:
    """What a training of two steps left; not to be changed."""
    out = parts / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            JUDGED,
            lambda path, models, plan, target, renderer: judge_adapter(
                path, models, plan, target, CALIBRATED, renderer
            ),
        )
        train(parts, out)
    return out


@pytest.fixture
def copied(adapter: Path, tmp_path: Path) -> Path:
    """An adapter, to be changed."""
    return Path(shutil.copytree(adapter, tmp_path / "adapter"))


def run_of(parts: Path, adapter: Path, out: Path, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"n": 10, "workers": 1, "seed": 3, **changes}
    return RunConfig(named(parts), out=out, adapter=str(adapter), **settings)


@pytest.fixture(scope="module")
def in_fours() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        yield


@pytest.fixture(scope="module")
def dataset(parts: Path, adapter: Path, in_fours: None) -> Path:
    """A run of three shards; not to be changed."""
    return generate(run_of(parts, adapter, parts / "dataset")).folder


def test_pairs_are_renders_in_the_poses_of_the_cameras_crops(parts: Path) -> None:
    models = models_in(parts)
    plan = PlanConfig(size=SIZE)
    told: list[tuple[int, int]] = []
    pairs, _ = read_pairs(
        parts / "aligned", models, plan, RasterRenderer(models, 1, levels=False), 0,
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(done, 16) for done in range(1, 17)]
    crops = list(load(parts / "aligned"))
    masks = np.stack([crop.mask[0] for crop in crops])
    assert pairs.renders.shape == (16, LIGHTS, 4, SIZE, SIZE)
    for light in range(LIGHTS):
        np.testing.assert_array_equal(pairs.renders[:, light, 3] < FAR, masks)
        np.testing.assert_array_equal(pairs.renders[:, light, 3], pairs.renders[:, 0, 3])
    # Each in another light.
    brightness = pairs.renders[:, :, :3].astype(np.float32).mean(axis=(2, 3, 4))
    assert (np.ptp(brightness, axis=1) > 0.001).all()
    seen = np.stack([crop.rgb for crop in crops])
    found = (np.moveaxis(pairs.real.astype(np.float32), 1, -1) + 1) * 127.5
    np.testing.assert_allclose(found, seen, atol=0.1)
    # Depth is from the middle of the crop, in windows of 200 mm.
    depth = pairs.renders[:, 0, 3].astype(np.float32)
    assert np.abs(np.median(depth[masks])) < 0.2
    behind = (pairs.backgrounds.astype(np.float32) + 1) * 127.5
    assert behind.max() < DARK + 6


def test_no_render_is_overexposed_in_its_light() -> None:
    """Not even of a white ball."""
    colored = ball(40.0)
    white = dataclasses.replace(colored.mesh, colors=np.full_like(colored.mesh.colors, 255))
    models = [dataclasses.replace(colored, mesh=white)]
    renderer = RasterRenderer(models, 1, levels=False)

    def brightest(randomization: Randomization) -> int:
        crops = renderer.render(make_plans(PlanConfig(), models, 0, 0, 300, randomization))
        return int(crops.rgb.max())

    assert brightest(EVEN_LIGHT) < 255
    assert brightest(RANDOMIZATIONS["linemod"]) == 255


def test_settings_that_an_adapter_has_are_left(tmp_path: Path) -> None:
    write_even_light(tmp_path)
    brought = left_to_adapter(RANDOMIZATIONS["linemod"], tmp_path)
    assert brought == EVEN_LIGHT
    (tmp_path / "randomize.toml").write_text("light_tint = 0.5\n")
    write_even_light(tmp_path)
    assert (tmp_path / "randomize.toml").read_text() == "light_tint = 0.5\n"


def test_crops_of_other_objects_are_left_out(parts: Path) -> None:
    [model] = [model for model in models_in(parts) if model.name == NAMES[0]]
    renderer = RasterRenderer([model], 1, levels=False)
    pairs, _ = read_pairs(parts / "aligned", [model], PlanConfig(size=SIZE), renderer, 0)
    assert len(pairs) == 8


def test_an_adapter_comes_with_its_cameras_backgrounds(parts: Path, adapter: Path) -> None:
    info = read_info(adapter)
    assert (info.keeps_background, info.channels, info.size) == (True, 4, SIZE)
    assert (info.preset, info.steps, info.class_names) == ("best", 2, NAMES)
    assert info.provenance == "6 renders of spike, block; 16 aligned crops: aligned"
    assert info.cut == cut_of(parts)
    pictures = load_photographs(adapter / BACKGROUNDS)
    assert {picture.shape for picture in pictures} == {(SIZE, SIZE, 3)}
    assert len(pictures) == 16
    assert 0 < np.mean(pictures) < np.max(pictures) < DARK + 6
    assert {file.name for file in adapter.iterdir()} == {
        "adapter.json", "backgrounds", "fidelity.json", "generator.onnx", "generator.safetensors",
        "MODEL_CARD.md", "randomize.toml",
    }  # fmt: skip


def shown_in(folder: Path) -> tuple[str, ...]:
    """The objects of a dataset's crops."""
    return tuple(load(folder).columns["object"])


def kept_their_place(manifest: dict[str, Any]) -> None:
    manifest["aligned"]["surroundings"] = {"spike": 0.4, "block": 0.3}


def test_backgrounds_go_with_poses_where_objects_kept_their_place(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JUDGED, lambda out, *_, **__: read_info(out))
    train(parts, tmp_path / "adapter", target=edited(parts, tmp_path, kept_their_place, True))
    poses = load_photographs(tmp_path / "adapter" / BACKGROUNDS).poses
    assert poses is not None
    crops = list(load(parts / "aligned"))
    assert poses.object == shown_in(parts / "aligned")
    for row, crop in enumerate(crops):
        np.testing.assert_allclose(poses.rotation[row], crop.rotation[0], atol=1e-5)
        np.testing.assert_allclose(poses.translation[row], crop.translation[0], atol=1e-3)


def test_a_run_takes_backgrounds_of_poses_that_are_near(
    parts: Path, copied: Path, tmp_path: Path
) -> None:
    """Before its own pose a crop has the very background that was seen there."""
    files = [f"{number:06d}.png" for number in range(16)]
    crops, half = list(load(parts / "aligned")), np.zeros((3, 3))
    half[:2, 2] = 0.5
    poses = PicturePoses(
        shown_in(parts / "aligned"),
        np.stack([crop.rotation[0] for crop in crops]),
        np.stack([crop.translation[0] for crop in crops]),
        np.stack([crop.camera_matrix for crop in crops]) + half,
    )
    write_poses(copied / BACKGROUNDS, files, poses)
    done = generate(run_of(parts, copied, tmp_path / "out", n=4, min_fidelity=0.0))
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["randomization"]["background"] == ["surroundings"]
    for crop in load(done.folder):
        behind = crop.rgb[cv2.dilate(crop.mask[0].astype(np.uint8), np.ones((3, 3))) == 0]
        assert 0 < behind.mean() < behind.max() < DARK + 6
    moved = dataclasses.replace(poses, translation=poses.translation + 1.0)
    write_poses(copied / BACKGROUNDS, files, moved)
    again = generate(run_of(parts, copied, tmp_path / "again", n=4, min_fidelity=0.0))
    other = json.loads((again.folder / "manifest.json").read_text())
    assert other["randomization"]["photographs"] != manifest["randomization"]["photographs"]


def cut_of(parts: Path) -> TargetCut:
    """How the aligned crops were cut."""
    plan = json.loads((parts / "aligned/manifest.json").read_text())["alignment"]["plan"]
    return TargetCut(plan["centre"], plan["window"], plan["off_axis"] or 0.0)


def test_a_run_has_them_behind_its_objects_to_the_bit(dataset: Path, parts: Path) -> None:
    crops = list(load(dataset))
    assert len(crops) == 10
    kernel = np.ones((3, 3), np.uint8)
    backgrounds = np.stack(load_photographs(parts / "adapter" / BACKGROUNDS))
    for crop in crops:
        far = cv2.dilate(crop.mask[0].astype(np.uint8), kernel) == 0
        assert (backgrounds[:, far] == crop.rgb[far]).all(axis=(1, 2)).sum() == 1
        assert crop.rgb[crop.mask[0]].mean() > 2 * DARK
        assert crop.depth is not None
        np.testing.assert_array_equal(crop.depth > 0, crop.mask_visib[0])
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["settings"]["randomize"]["background"] == ["black"]
    assert manifest["settings"]["randomize"]["photographs"] is None
    assert manifest["randomization"]["light_intensity"] == list(EVEN_LIGHT.light_intensity)
    assert manifest["randomization"]["ambient_intensity"] == list(EVEN_LIGHT.ambient_intensity)
    assert manifest["randomization"]["background"] == ["photographs"]
    assert len(manifest["randomization"]["photographs"]) == 64
    assert str(parts) not in (dataset / "manifest.json").read_text()


def test_the_command_takes_them_too(
    parts: Path, adapter: Path, dataset: Path, tmp_path: Path, in_fours: None
) -> None:
    command(
        "--objects", ",".join(named(parts)), "--adapter", adapter, "--n", 10, "--seed", 3,
        "--workers", 1, "--out", tmp_path / "dataset",
    )  # fmt: skip
    assert files_of(tmp_path / "dataset") == files_of(dataset)


def test_one_worker_and_two_give_the_same_bytes(
    parts: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers are processes of their own, which know nothing of shards of four.
    monkeypatch.setattr("render_adapt._config.SHARD_SIZE", 250)
    one, two = (
        generate(run_of(parts, adapter, tmp_path / str(workers), n=252, workers=workers))
        for workers in (1, 2)
    )
    assert two.sha256 == one.sha256
    assert files_of(two.folder) == files_of(one.folder)


def test_it_is_verified_and_reported(dataset: Path, adapter: Path, tmp_path: Path) -> None:
    found = render_adapt.verify(dataset, workers=1)
    assert (found.bad, found.crops) == ((), 10)
    out = tmp_path / "report.html"
    command("report", dataset, "--adapter", adapter, "--out", out)
    data = data_of(out)
    assert data["notes"] == [
        "Renders are shown on black: what was behind them came with the adapter."
    ]
    crops = list(load(dataset))
    for shown in data["shown"]:
        render = picture(shown["pictures"]["render"])
        there = crops[shown["number"]].mask[0]
        assert render[there].mean() > 10 * render[~there].mean()


def test_a_damaged_shard_is_made_again(
    parts: Path, dataset: Path, tmp_path: Path, in_fours: None, adapter: Path
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    (copy / "train/000001/rgb/000002.png").write_bytes(b"noise")
    command("verify", copy, "--workers", 1, code=1)
    command("verify", copy, "--repair", "--adapter", adapter, "--workers", 1)
    assert files_of(copy) == files_of(dataset)
    # Where the adapter lies beside the dataset, nothing need be said.
    shutil.copytree(adapter, tmp_path / "adapter")
    (copy / "train/000001/rgb/000002.png").unlink()
    command("verify", copy, "--repair", "--workers", 1)
    assert files_of(copy) == files_of(dataset)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    parts: Path, dataset: Path, adapter: Path, tmp_path: Path, in_fours: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    check, commits = PreparedShard.check, []

    def killed(prepared: PreparedShard) -> None:
        commits.append(prepared.path.name)
        if len(commits) == 2:
            raise KeyboardInterrupt
        check(prepared)

    monkeypatch.setattr(PreparedShard, "check", killed)
    config = run_of(parts, adapter, tmp_path / "dataset")
    with pytest.raises(KeyboardInterrupt):
        generate(config)
    assert generate(config).crops_made == 6
    assert files_of(config.out) == files_of(dataset)


def test_one_crop_is_made_alone_as_in_the_run(
    parts: Path, dataset: Path, adapter: Path, tmp_path: Path, in_fours: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    shutil.copytree(adapter, tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    command("--out", copy, "--only", 5)
    alone = cv2.imread(str(tmp_path / "dataset-only-5/train/000001/rgb/000000.png"))
    np.testing.assert_array_equal(alone[..., ::-1], load(dataset)[5].rgb)


def test_other_backgrounds_are_another_run(
    parts: Path, dataset: Path, copied: Path, tmp_path: Path, in_fours: None
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    (copied / BACKGROUNDS / "000003.png").unlink()
    with pytest.raises(DatasetError, match=r"another run \(randomization.photographs not the"):
        generate(run_of(parts, copied, copy))


def test_without_backgrounds_objects_stand_on_a_board(
    parts: Path, copied: Path, tmp_path: Path
) -> None:
    shutil.rmtree(copied / BACKGROUNDS)
    done = generate(run_of(parts, copied, tmp_path / "dataset", n=3))
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["randomization"]["background"] == ["board"]
    assert render_adapt.verify(done.folder, workers=1).bad == ()
    crop = load(done.folder)[0]
    assert crop.depth is not None
    assert (crop.depth > 0).mean() > crop.mask[0].mean()
    # So do the report's renders.
    command("report", done.folder, "--adapter", copied)
    data = data_of(done.folder / "report.html")
    assert data["notes"] == []
    render = picture(data["shown"][0]["pictures"]["render"])
    number = data["shown"][0]["number"]
    there = load(done.folder)[number].mask[0]
    near = cv2.dilate(there.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    off = np.abs(render.astype(int) - load(done.folder)[number].rgb)[~near]
    assert off.mean() < 4  # of the page's compression
    assert render[~near].mean() > 20


def test_backgrounds_that_are_asked_for_are_left(
    parts: Path, adapter: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(read_randomization("linemod"), background=("procedural",))
    done = generate(run_of(parts, adapter, tmp_path / "dataset", n=2, randomize=settings))
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["randomization"]["background"] == ["procedural"]
    assert load(done.folder)[0].rgb.mean() > DARK


def test_calibrating_anew_gives_what_training_gave(
    parts: Path, adapter: Path, copied: Path
) -> None:
    (copied / "fidelity.json").unlink()
    command(
        "calibrate", "--adapter", copied, "--objects", ",".join(named(parts)), "--crops", CALIBRATED
    )
    assert (copied / "fidelity.json").read_bytes() == (adapter / "fidelity.json").read_bytes()


def linked_out(backgrounds: Path, mine: Path) -> None:
    (backgrounds / "000099.png").symlink_to(mine)


def folder_linked_out(backgrounds: Path, mine: Path) -> None:
    shutil.rmtree(backgrounds)
    backgrounds.symlink_to(mine.parent)


def pipe(backgrounds: Path, mine: Path) -> None:
    os.mkfifo(backgrounds / "000099.png")


def huge(backgrounds: Path, mine: Path) -> None:
    """A PNG whose header claims 10 gigapixels."""
    content = bytearray((backgrounds / "000000.png").read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    (backgrounds / "000099.png").write_bytes(content)


def damaged(backgrounds: Path, mine: Path) -> None:
    (backgrounds / "000099.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def empty(backgrounds: Path, mine: Path) -> None:
    shutil.rmtree(backgrounds)
    backgrounds.mkdir()


@pytest.mark.parametrize(
    ("damage", "pattern"),
    [
        (linked_out, "000099.png cannot be read .*link to something outside"),
        (folder_linked_out, "backgrounds leads out of the adapter's folder: remove it"),
        (pipe, "000099.png cannot be read .*not a regular file"),
        (huge, "000099.png cannot be read as a picture, or has more"),
        (damaged, "000099.png cannot be read as a picture"),
        (empty, "backgrounds holds no pictures"),
    ],
)
def test_backgrounds_of_a_stranger_are_looked_at_with_care(
    damage: Callable[[Path, Path], None],
    pattern: str,
    parts: Path,
    copied: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "mine").mkdir()
    mine = tmp_path / "mine/holiday.png"
    shutil.copy(copied / BACKGROUNDS / "000000.png", mine)
    damage(copied / BACKGROUNDS, mine)
    with pytest.raises((RenderError, AdapterError), match=pattern):
        generate(run_of(parts, copied, tmp_path / "dataset", n=2))
    assert not (tmp_path / "dataset").exists()
    with pytest.raises((RenderError, AdapterError), match=pattern):
        calibrate_adapter(copied, models_in(parts), PlanConfig(size=SIZE), CALIBRATED)


@pytest.fixture
def nothing_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("it is rendered")

    monkeypatch.setattr(RasterRenderer, "render", refused)


UNREAD = "and a training on aligned crops does not read it: leave it out"


@pytest.mark.usefixtures("nothing_is_rendered")
@pytest.mark.parametrize(
    ("flags", "pattern", "code"),
    [
        (["--target", "crops"], "crops is not aligned: give --target what `render-adapt align`", 1),
        (["--target", "missing"], "missing is not aligned: give --target", 1),
        (["--target", "adapter"], "adapter is not aligned: give --target", 1),
        (["--objects", "ape"], "aligned has no crop of ape: name what it shows", 1),
        (["--objects", "spike=block.ply"], "aligned shows another model of spike than this", 1),
        (["--channels", "3"], "--channels is of a target's depth", 2),
        (["--channels", "4"], "--channels is of a target's depth", 2),
        (["--depth-scale", "0.1"], "--depth-scale is of a target's depth", 2),
        (["--window", "150"], "--window was 200.0 as ", 2),
        (["--centre", "mean"], "--centre was box as ", 2),
        (["--similarity-weight", "3"], f"--similarity-weight is 3.0, {UNREAD}", 2),
        (["--task", "pose"], f"--task is pose, {UNREAD}", 2),
        (["--dilated"], f"--dilated is True, {UNREAD}", 2),
        (["--preset", "fast", "--architecture", "layered"], "and begin with --preset best", 2),
        (["--architecture", "pixelda"], "--pair-weight is for aligned crops", 2),
    ],
)
def test_what_does_not_go_with_it_is_one_sentence_before_anything_is_rendered(
    flags: list[str],
    pattern: str,
    code: int,
    parts: Path,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(parts)
    given: dict[str, list[object]] = {
        "--objects": [",".join(named(parts))],
        "--target": ["aligned"],
        "--out": [tmp_path / "adapter"],
    }
    given |= {str(name): [value] for name, value in zip(TINY[::2], TINY[1::2], strict=True)}
    changed = {name: [] for name in flags if name.startswith("--")}
    for flag in flags:
        if flag.startswith("--"):
            name = flag
        else:
            changed[name].append(flag)
    arguments = [text for name, values in {**given, **changed}.items() for text in (name, *values)]
    command("train", *arguments, code=code)
    assert pattern in said(capsys)
    assert not (tmp_path / "adapter").exists()


def edited(
    parts: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], signed: bool
) -> Path:
    """A copy of the aligned dataset whose manifest says something else."""
    copy = tmp_path / "edited"
    shutil.copytree(parts / "aligned", copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    if signed:
        manifest["config_sha256"] = config_hash(manifest)
        (copy / "dataset.sha256").unlink()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


@pytest.mark.usefixtures("nothing_is_rendered")
@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda m: m["alignment"]["plan"].update(size=128), "crops of 128 pixels: align with"),
        (lambda m: m["alignment"]["plan"].pop("size"), "crops of None pixels: align with"),
        (lambda m: m["alignment"]["plan"].update(centre="toe"), "a cut that is not one"),
        (lambda m: m["alignment"]["plan"].update(window="wide"), "a cut that is not one"),
        (lambda m: m["alignment"]["plan"].update(off_axis="far"), "a cut that is not one"),
        (lambda m: m["alignment"]["plan"].pop("window"), "a cut that is not one"),
        (lambda m: m["alignment"].update(plan="here"), "is not aligned"),
        (lambda m: m.update(alignment=[1]), "is not aligned"),
        (lambda m: m["objects"]["spike"].clear(), "shows another model of spike"),
    ],
)
def test_an_aligned_dataset_that_is_none_is_refused(
    change: Callable[[dict[str, Any]], object],
    pattern: str,
    parts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = edited(parts, tmp_path, change, signed=True)
    train(parts, tmp_path / "adapter", target=target, code=1)
    assert pattern in said(capsys)


@pytest.mark.usefixtures("nothing_is_rendered")
def test_a_manifest_that_was_changed_is_not_learnt_by(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = edited(parts, tmp_path, lambda m: m.update(seed=9), signed=False)
    train(parts, tmp_path / "adapter", target=target, code=1)
    assert "is not the file that was written" in said(capsys)


@pytest.mark.usefixtures("nothing_is_rendered")
def test_a_dry_run_says_what_would_be_learnt_from(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(parts, tmp_path / "adapter", "--dry-run")
    assert "target: 16 crops from train/000000/rgb/" in capsys.readouterr().out
    assert (tmp_path / "adapter.training/target.png").is_file()
    train(parts, tmp_path / "adapter", "--dry-run", target=parts / "crops", code=1)
    assert "crops is not aligned" in said(capsys)


@pytest.mark.usefixtures("nothing_is_rendered")
def test_an_alignment_that_has_not_finished_is_refused(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "aligned"
    shutil.copytree(parts / "aligned", copy)
    (copy / "INCOMPLETE").write_text("")
    train(parts, tmp_path / "adapter", target=copy, code=1)
    assert "has not been finished" in said(capsys)


@pytest.mark.usefixtures("nothing_is_rendered")
def test_pictures_in_the_adapters_place_are_not_deleted(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "adapter/backgrounds/holiday.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    train(parts, tmp_path / "adapter", code=1)
    assert "holds something else (holiday.png): give --out another folder" in said(capsys)
    assert mine.read_bytes() == b"mine"


def test_a_setting_of_anothers_is_a_setting_error(parts: Path, tmp_path: Path) -> None:
    run = TrainRun(named(parts), parts / "aligned", tmp_path / "adapter", channels=4)
    with pytest.raises(SettingError, match="`channels`"):
        train_adapter(run, PRESETS["best"], "best")


def test_training_goes_on_from_its_checkpoint(
    parts: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command, after it was interrupted, gives the same adapter."""
    monkeypatch.setattr(JUDGED, lambda out, *_, **__: read_info(out))
    out = tmp_path / "adapter"
    train(parts, out, "--max-minutes", 1e-9, "--checkpoint-every", 1)
    assert read_info(out).steps < 2
    train(parts, out)
    for name in ("generator.onnx", "generator.safetensors", "backgrounds/000007.png"):
        assert (out / name).read_bytes() == (adapter / name).read_bytes()
