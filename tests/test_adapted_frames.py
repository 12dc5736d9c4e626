"""Whole frames through an adapter: objects change where they are seen, and nothing else does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapter import FAR, Adapter, IdentityAdapter, TargetCut, load_adapter
from cad_models import load_models
from render_adapt import FaithfulCrops, RunConfig, adapt_frames, generate, load, make_judge, verify
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    FrameConfig,
    RasterRenderer,
    capture,
    centre_points,
    cut_camera,
    make_frame_plans,
    window_pixels,
)

MODELS = load_models(["ape", "benchvise", "cam", "cat", "duck"])
PIXELDA = "linemod-rgbd-fast"
SHIPPED = load_adapter(PIXELDA)
JUDGE = make_judge(PIXELDA, SHIPPED)
RENDERER = RasterRenderer(MODELS, levels=False)
ON_BOARD = dataclasses.replace(RANDOMIZATIONS["linemod"], background=("board",))


def rendered(n: int = 4, seed: int = 1, **settings: Any) -> CropBatch:
    """Frames of a camera that is near to some objects and cuts others off."""
    config = FrameConfig(width=320, height=240, objects=5, distance=(400.0, 900.0))
    plans = make_frame_plans(config, MODELS, seed, 0, n)
    randomization = dataclasses.replace(ON_BOARD, **settings)
    return capture(RENDERER.render(plans), randomization, seed, MODELS)


def adapted(frames: CropBatch, adapter: Adapter, **settings: Any) -> FaithfulCrops:
    return adapt_frames(frames, MODELS, adapter, JUDGE, **{"seed": 5, **settings})


def seen(frames: CropBatch) -> NDArray[np.bool_]:
    """(N, H, W), where any object is seen."""
    return frames.mask_visib | frames.others_mask_visib.any(axis=1)


class Spy(Adapter):
    """Adds 32 grey levels to colours and a tenth of the window to depth, and keeps what it saw."""

    def __init__(self, keeps_background: bool = False, window_mm: float = 200.0) -> None:
        cut = TargetCut(centre="mean", window_mm=window_mm, off_axis_degrees=0)
        self.info = dataclasses.replace(
            IdentityAdapter().info, cut=cut, window_mm=window_mm, keeps_background=keeps_background
        )
        self.crops: list[NDArray[np.float32]] = []
        self.noise: list[NDArray[np.float32]] = []

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self.crops += list(crops)
        self.noise += list(noise)
        change = np.float32([64 / 255] * 3 + [0.1])[:, None, None]
        return np.where(crops[:, 3:] < FAR, crops + change, crops).clip(-1, 1)


def test_what_an_adapter_changes_is_added_to_objects_and_to_nothing_else() -> None:
    frames = rendered()
    frames = dataclasses.replace(frames, rgb=np.minimum(frames.rgb, 200))
    made = adapted(frames, Spy()).crops
    where = seen(frames)
    change = made.rgb.astype(int) - frames.rgb
    assert (change[~where] == 0).all()
    # What is black on a crop's outline cannot be told from what is behind it.
    assert (np.abs(change[where] - 32) <= 1).all(axis=1).mean() > 0.98
    assert change[where].min() >= 0
    np.testing.assert_array_equal(made.depth[~where], frames.depth[~where])
    moved = (made.depth - frames.depth)[where]
    assert np.median(np.abs(moved - 20)) < 0.5
    assert (np.abs(moved - 20) < 1).mean() > 0.98
    for name in ("mask", "mask_visib", "others_mask", "others_mask_visib", "plans", "object_depth"):
        assert getattr(made, name) is getattr(frames, name)


@pytest.mark.parametrize("window", [150.0, 200.0])
def test_adapters_see_objects_as_crops_show_them(window: float) -> None:
    """One object a frame, drawn again as a crop of the same camera."""
    config = FrameConfig(width=320, height=240, objects=1, distance=(400.0, 900.0))
    plans = make_frame_plans(config, MODELS, 3, 0, 10)
    frames = RENDERER.render(plans)
    adapter = Spy(window_mm=window)
    adapted(frames, adapter)
    points = centre_points(MODELS, "mean")[plans.object_index]
    place = (plans.rotation @ points[..., None])[..., 0] + plans.translation
    fx, fy, cx, cy = plans.camera_matrix[0, [0, 1, 0, 1], [0, 1, 2, 2]]
    side = window_pixels(fx, window, place[:, 2])
    middle = np.rint(place[:, :2] / place[:, 2:] * [fx, fy] + [cx, cy])
    drawn = RENDERER.render(
        dataclasses.replace(
            plans, camera_matrix=cut_camera((fx, fy, cx, cy), middle, side, 64), width=64,
            height=64, centre_depth=place[:, 2],
        )
    )  # fmt: skip
    for row in range(10):
        corner = middle[row] - side[row] / 2
        shown = adapter.crops[row][3] < FAR
        if corner.min() < 0 or corner[0] + side[row] > 320 or corner[1] + side[row] > 240:
            continue  # the frame's border may cut it off
        both = shown & drawn.mask[row]
        assert both.sum() > 0.93 * (shown | drawn.mask[row]).sum()
        depth = place[row, 2] + window * adapter.crops[row][3]
        assert np.median(np.abs(depth - drawn.depth[row])[both]) < 1.0
        color = (adapter.crops[row][:3] + 1) * 127.5
        assert np.median(np.abs(color - np.moveaxis(drawn.rgb[row], -1, 0))[:, both]) < 8


def test_noise_follows_from_seed_frame_and_object() -> None:
    frames = rendered()
    whole, part, other = Spy(), Spy(), Spy()
    adapted(frames, whole)
    adapted(frames[2:3], part)
    adapted(frames, other, seed=6)
    every = np.stack(whole.noise)
    shown = np.concatenate([frames.mask_visib[:, None], frames.others_mask_visib], axis=1)
    objects = int(shown.any(axis=(2, 3)).sum())
    # An object that takes several windows has the same vector in all.
    assert len(np.unique(every, axis=0)) == objects < len(every)
    assert all((every == noise).all(axis=1).any() for noise in part.noise)
    assert not (every[:, None] == np.stack(other.noise)).all(axis=2).any()
    target = np.random.default_rng([5, 2, 2]).random(10, dtype=np.float32)
    second = np.random.default_rng([5, 2, 2, 0, 1]).random(10, dtype=np.float32)
    np.testing.assert_array_equal(part.noise[0], 2 * target - 1)
    np.testing.assert_array_equal(part.noise[1], 2 * second - 1)


def test_a_frame_does_not_depend_on_its_company() -> None:
    frames = rendered()
    whole = adapted(frames, SHIPPED, min_fidelity=0.3)
    part = adapted(frames[1:3], SHIPPED, min_fidelity=0.3)
    np.testing.assert_array_equal(part.crops.rgb, whole.crops.rgb[1:3])
    np.testing.assert_array_equal(part.crops.depth, whole.crops.depth[1:3])
    np.testing.assert_array_equal(part.scores.fidelity, whole.scores.fidelity[1:3])
    assert part.others is not None
    assert whole.others is not None
    np.testing.assert_array_equal(part.others.attempt, whole.others.attempt[1:3])


def test_objects_that_stay_unfaithful_are_left_as_rendered() -> None:
    frames = rendered(6)
    done = adapted(frames, SHIPPED, min_fidelity=0.6, redraws=1)
    assert done.kept.all()
    assert done.others is not None
    attempt = np.column_stack([done.attempt, done.others.attempt])
    fidelity = np.column_stack([done.scores.fidelity, done.others.fidelity])
    masks = np.concatenate([frames.mask_visib[:, None], frames.others_mask_visib], axis=1)
    same = (done.crops.rgb == frames.rgb).all(axis=-1) & (done.crops.depth == frames.depth)
    left = judged = 0
    for row, number in np.argwhere(masks.sum(axis=(2, 3)) > 200).tolist():
        is_left = attempt[row, number] == -1
        assert same[row][masks[row, number]].all() == is_left
        assert is_left == (fidelity[row, number] < 0.6)
        left, judged = left + is_left, judged + 1
    assert 0.2 * judged < left < 0.9 * judged
    assert done.redrawn == (attempt > 0).any(axis=1).sum() > 0


def test_objects_that_take_no_end_of_windows_are_left_as_rendered() -> None:
    frames = rendered(2)
    adapter = Spy(window_mm=3.0)
    done = adapted(frames, adapter)
    assert adapter.crops == []
    assert done.others is not None
    assert (done.attempt == -1).all()
    assert (done.others.attempt == -1).all()
    assert np.isnan(done.scores.fidelity).all()
    np.testing.assert_array_equal(done.crops.rgb, frames.rgb)


@pytest.mark.parametrize("keeps_background", [True, False])
def test_adapters_that_keep_backgrounds_are_shown_them_and_exact_depth(
    keeps_background: bool,
) -> None:
    frames = rendered(depth_sensor="structured-light")
    holes = seen(frames) & (frames.depth == 0)
    assert holes.sum() > 500
    adapter = Spy(keeps_background)
    made = adapted(frames, adapter).crops
    np.testing.assert_array_equal(made.depth == 0, frames.depth == 0)
    lit = [(crop[:3] > -0.9).any(axis=0) for crop in adapter.crops]
    on_object = [crop[3] < FAR for crop in adapter.crops]
    off = [light[~mask].mean() for light, mask in zip(lit, on_object, strict=True)]
    assert (min(off) > 0.3) == keeps_background
    exact = Spy(keeps_background)
    adapted(rendered(), exact)
    pairs = zip(exact.crops, adapter.crops, strict=True)
    lost = sum(((known[3] < FAR) & (crop[3] >= FAR)).sum() for known, crop in pairs)
    assert (lost == 0) == keeps_background


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same run without an adapter and with one."""
    folder = tmp_path_factory.mktemp("frames")
    for adapter in ("none", PIXELDA):
        generate(
            RunConfig(
                objects=("ape", "benchvise", "cam", "cat", "duck"), n=6, seed=3, workers=1,
                frames="320x240", objects_per_frame=5, adapter=adapter, randomize=ON_BOARD,
                out=folder / adapter,
            )
        )  # fmt: skip
    return folder / "none", folder / PIXELDA


def test_labels_are_those_of_the_run_without_an_adapter(runs: tuple[Path, Path]) -> None:
    plain, made = (run / "train/000000" for run in runs)
    names = {file.relative_to(plain).as_posix() for file in plain.rglob("*") if file.is_file()}
    assert names == {f.relative_to(made).as_posix() for f in made.rglob("*") if f.is_file()}
    for name in names:
        is_label = not name.startswith(("rgb/", "depth/"))
        assert ((plain / name).read_bytes() == (made / name).read_bytes()) == is_label, name
    before, after = (load(run) for run in runs)
    for one, other in zip(before, after, strict=True):
        objects = one.mask_visib.any(axis=0)
        differs = (one.rgb != other.rgb).any(axis=-1)
        assert not (differs & ~objects).any()
        assert differs[objects].mean() > 0.9
        np.testing.assert_array_equal(one.depth[~objects], other.depth[~objects])
    labels = set(before.columns) - {"adapter_sha256", "config_sha256"}
    for name in (n for n in labels if not n.startswith("fidelity")):
        np.testing.assert_array_equal(before.columns[name], after.columns[name], err_msg=name)


def test_a_run_says_what_became_of_each_object_and_is_verified(runs: tuple[Path, Path]) -> None:
    assert verify(runs[1], workers=1).bad == ()
    columns = load(runs[1]).columns
    count = int(columns["others"][0])
    assert columns["others_fidelity"].shape == (6, count)
    assert (columns["others_noise_attempt"] == 0).all()
    assert np.nanmedian(columns["others_fidelity"]) > 0.01
    assert "others_fidelity" not in load(runs[0]).columns


def test_a_run_on_black_with_an_adapter_stands_its_objects_on_the_board(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "objects": ("ape", "duck"), "n": 2, "frames": "160x120", "objects_per_frame": 2,
        "workers": 1, "adapter": PIXELDA,
    }  # fmt: skip
    assert RunConfig(**settings).fitted_to(SHIPPED.info).randomization.background == ("board",)
    alone = RunConfig(**{**settings, "adapter": "none"})
    assert alone.fitted_to(None).randomization.background == ("black",)
    summary = generate(RunConfig(**settings, out=tmp_path / "d"))
    assert all((crop.rgb.max(axis=-1) > 0).mean() > 0.9 for crop in load(summary.folder))
    assert generate(RunConfig(**settings, out=tmp_path / "d")).crops_made == 0
