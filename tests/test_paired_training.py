"""Training on aligned crops: it learns what it is shown, and goes on where it was."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from adapter import (  # noqa: E402
    FAR,
    PRESETS,
    AdapterError,
    AlignedPairs,
    LabelledCrops,
    OtherTraining,
    Progress,
    TrainConfig,
    TrainingDiverged,
    draw_noise,
    load_adapter,
    read_checkpoint,
    read_info,
    save_adapter,
    train_on_pairs,
)
from checked_settings import SettingError  # noqa: E402
from tests.paired_toy import LIGHTS, SIZE, TOY, as_camera, toy_pairs, toy_source  # noqa: E402

SOURCE, PAIRS = toy_source(12), toy_pairs(10)
LEARNS = replace(TOY, steps=120, learning_rate=2e-3, schedule="linear", ema=0.9)


def adapted(folder: Path, renders: NDArray[Any], behind: NDArray[Any]) -> NDArray[np.float32]:
    """What a saved adapter makes of renders before backgrounds: (N, 3, S, S) colours."""
    adapter = load_adapter(folder)
    far = renders[:, 3:] >= FAR
    colors = np.where(far, behind, renders[:, :3])
    x = np.concatenate([colors, renders[:, 3:]], axis=1).astype(np.float32)
    noise = draw_noise(5, np.arange(len(x)), adapter.info.noise_dimension)
    return adapter.adapt(x, noise)[:, :3]


def differences(
    checkpoint: Path, folder: Path, source: LabelledCrops, pairs: AlignedPairs
) -> tuple[float, float]:
    """How much of the difference from the camera is left, in pairs and in other renders."""
    save_adapter(checkpoint, folder, preset="toy", provenance="toy boxes")
    left = []
    unpaired = source.images.astype(np.float32)
    for renders, truth in (
        (pairs.renders[:, 0].astype(np.float32), pairs.real),
        (unpaired, as_camera(unpaired[:, :3])),
    ):
        behind = pairs.backgrounds[np.arange(len(renders)) % len(pairs)]
        masks = (renders[:, 3] < FAR).astype(np.uint8)
        inside = np.stack([cv2.erode(mask, np.ones((3, 3), np.uint8)) for mask in masks]) > 0
        made = adapted(folder, renders, behind)
        after, before = (
            np.abs(colors - truth).mean(axis=1)[inside].mean() for colors in (made, renders[:, :3])
        )
        left.append(float(after / before))
    return left[0], left[1]


@pytest.mark.several_seconds
def test_it_learns_what_it_is_shown(tmp_path: Path) -> None:
    """What the camera makes of a render's colours, of pairs and of renders that it has not seen."""
    pairs = toy_pairs()
    checkpoint = train_on_pairs(toy_source(), pairs, LEARNS, tmp_path / "training")
    # Over 8 seeds 0.19 to 0.22, and 0.20 to 0.24.
    of_pairs, of_others = differences(checkpoint, tmp_path / "adapter", toy_source(48, 9), pairs)
    assert of_pairs < 0.3
    assert of_others < 0.32
    info = read_info(tmp_path / "adapter")
    assert (info.keeps_background, info.channels, info.size) == (True, 4, SIZE)


@pytest.mark.several_seconds
def test_the_discriminator_alone_teaches_the_cameras_colors_too(tmp_path: Path) -> None:
    config = replace(LEARNS, pair_weight=0.0)
    pairs = toy_pairs()
    checkpoint = train_on_pairs(toy_source(), pairs, config, tmp_path / "training")
    of_pairs, of_others = differences(checkpoint, tmp_path / "adapter", toy_source(48, 9), pairs)
    # Over 8 seeds 0.38 to 0.51, both of them.
    assert of_pairs < 0.65
    assert of_others < 0.65


def test_what_is_behind_objects_comes_out_as_it_was(tmp_path: Path) -> None:
    """Of the exported generator, after training in the narrower type too."""
    config = replace(TOY, precision="bf16", learning_rate=1e-2)
    checkpoint = train_on_pairs(SOURCE, PAIRS, config, tmp_path / "training")
    save_adapter(checkpoint, tmp_path / "adapter", preset="toy", provenance="")
    renders = PAIRS.renders[:, 1]
    masks = (renders[:, 3] < FAR).astype(np.uint8)
    far = np.stack([cv2.dilate(mask, np.ones((3, 3), np.uint8)) for mask in masks]) == 0
    made = adapted(tmp_path / "adapter", renders, PAIRS.backgrounds)
    found, expected = (np.moveaxis(colors, 1, -1)[far] for colors in (made, PAIRS.backgrounds))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "config",
    [
        TOY,
        replace(TOY, precision="bf16", ema=0.0, gan_loss="least-squares"),
        replace(TOY, clip_norm=1.0, weight_decay=0.01, schedule="staircase", decay_steps=4),
    ],
    ids=["plain", "bf16", "other settings"],
)
def test_a_continued_run_gives_the_bits_of_an_unbroken_one(
    config: TrainConfig, tmp_path: Path
) -> None:
    expected, about = read_checkpoint(train_on_pairs(SOURCE, PAIRS, config, tmp_path / "unbroken"))
    for steps in (2, 3, 6):
        shorter = replace(config, steps=steps)
        broken = train_on_pairs(SOURCE, PAIRS, shorter, tmp_path / "broken")
    found, found_about = read_checkpoint(broken)
    assert found_about["step"] == about["step"] == "6"
    assert found.keys() == expected.keys()
    assert {name for name, one in expected.items() if not torch.equal(one, found[name])} == set()


def test_colors_of_a_pair_change_alike(tmp_path: Path) -> None:
    """A camera that shows objects as they are rendered teaches a generator, which begins as the
    render itself, nothing: whatever the colours."""
    renders = 0.5 * PAIRS.renders
    renders[:, :, 3:] = PAIRS.renders[:, :, 3:]
    same = replace(PAIRS, renders=renders[:, :1], real=renders[:, 0, :3])
    differences = []

    def note(progress: Progress) -> None:
        differences.append(progress.losses["pairs"])

    config = replace(TOY, steps=1, pair_hue=180.0, pair_color=0.5)
    train_on_pairs(SOURCE, same, config, tmp_path / "alike", on_progress=note)
    other = replace(same, real=same.real[:, [1, 2, 0]])
    train_on_pairs(SOURCE, other, config, tmp_path / "apart", on_progress=note)
    # Not 0: colours come out 3 % nearer to grey.
    assert differences[0] < 0.2 * differences[1]


def test_a_run_depends_on_its_seed_alone(tmp_path: Path) -> None:
    def weights(name: str, callers_seed: int, **changes: Any) -> dict[str, Any]:
        torch.manual_seed(callers_seed)
        config = replace(TOY, **changes)
        return read_checkpoint(train_on_pairs(SOURCE, PAIRS, config, tmp_path / name))[0]

    first, again, other = weights("a", 1), weights("b", 2), weights("c", 1, seed=1)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["generator.paint.weight"], other["generator.paint.weight"])


def test_training_leaves_the_callers_random_numbers_and_threads_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    train_on_pairs(SOURCE, PAIRS, replace(TOY, steps=1), tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_crops_may_lie_in_half_precision(tmp_path: Path) -> None:
    """As a run has them: 16 bits hold a grey level exactly enough."""
    half = AlignedPairs(
        **{name: value.astype(np.float16) for name, value in vars(PAIRS).items()}
    )  # fmt: skip
    seen: dict[str, list[Progress]] = {"single": [], "half": []}
    for name, pairs in (("single", PAIRS), ("half", half)):
        config = replace(TOY, steps=1)
        train_on_pairs(SOURCE, pairs, config, tmp_path / name, on_progress=seen[name].append)
    assert seen["half"][0].losses == pytest.approx(seen["single"][0].losses, abs=1e-2)


def test_no_label_reaches_the_generator(tmp_path: Path) -> None:
    other = replace(SOURCE, quaternion=-SOURCE.quaternion)
    first, _ = read_checkpoint(train_on_pairs(SOURCE, PAIRS, TOY, tmp_path / "a"))
    second, _ = read_checkpoint(train_on_pairs(other, PAIRS, TOY, tmp_path / "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_preset_trains(tmp_path: Path) -> None:
    seen: list[Progress] = []
    smaller = {"steps": 2, "batch": 4, "width": 8, "discriminator_width": 4, "threads": 1}
    config = replace(PRESETS["best"], **smaller)
    train_on_pairs(SOURCE, PAIRS, config, tmp_path, on_progress=seen.append)
    assert [progress.step for progress in seen] == [1, 2]
    assert seen[-1].losses.keys() == {"discriminator", "generator", "pairs"}
    assert all(np.isfinite(value) for value in seen[-1].losses.values())
    assert 0 <= seen[-1].accuracy_real <= 1
    assert 0 <= seen[-1].accuracy_fake <= 1


@pytest.mark.parametrize("gan_loss", ["minimax", "non-saturating", "least-squares", "hinge"])
def test_every_adversarial_loss_trains(gan_loss: str, tmp_path: Path) -> None:
    config = replace(TOY, steps=2, gan_loss=gan_loss)  # type: ignore[arg-type]
    assert train_on_pairs(SOURCE, PAIRS, config, tmp_path).is_file()


def test_pictures_show_renders_adapted_and_real_crops(tmp_path: Path) -> None:
    written: list[Path] = []
    config = replace(TOY, steps=2, checkpoint_every=1)
    train_on_pairs(SOURCE, PAIRS, config, tmp_path, on_checkpoint=written.append)
    assert len(written) == 2
    pictures = sorted((tmp_path / "samples").iterdir())
    assert [picture.name for picture in pictures] == ["step_0000001.png", "step_0000002.png"]
    image = cv2.imread(str(pictures[-1]))
    # Four rows of colours, each with depth below it.
    assert image.shape == (8 * SIZE, 12 * SIZE, 3)
    real = np.rint((PAIRS.real[0, ::-1] + 1) * 127.5).transpose(1, 2, 0)  # OpenCV's blue first
    assert np.abs(image[6 * SIZE : 7 * SIZE, :SIZE] - real).max() <= 1


def test_a_run_that_diverges_stops_with_one_sentence(tmp_path: Path) -> None:
    config = replace(TOY, steps=50, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"diverged at step \d+: .*`learning_rate`"):
        train_on_pairs(SOURCE, PAIRS, config, tmp_path)


def test_another_target_is_not_continued(tmp_path: Path) -> None:
    checkpoint = train_on_pairs(SOURCE, PAIRS, TOY, tmp_path)
    before = checkpoint.read_bytes()
    others: list[tuple[LabelledCrops, AlignedPairs]] = [
        (SOURCE, replace(PAIRS, **{name: -getattr(PAIRS, name)}))
        for name in ("real", "backgrounds", "renders")
    ]
    for source, pairs in [*others, (toy_source(12, 1), PAIRS)]:
        with pytest.raises(OtherTraining, match="a run on other crops"):
            train_on_pairs(source, pairs, replace(TOY, steps=8), tmp_path)
    assert checkpoint.read_bytes() == before


def test_other_settings_are_not_continued_but_longer_ones_are(tmp_path: Path) -> None:
    train_on_pairs(SOURCE, PAIRS, TOY, tmp_path / "a")
    for changes in ({"pair_weight": 1.0}, {"discriminator_shift": 1}, {"seed": 1}, {"width": 16}):
        with pytest.raises(OtherTraining, match=f"`{next(iter(changes))}`"):
            train_on_pairs(SOURCE, PAIRS, replace(TOY, **changes), tmp_path / "a")
    longer = train_on_pairs(SOURCE, PAIRS, replace(TOY, steps=7), tmp_path / "a")
    assert read_checkpoint(longer)[1]["step"] == "7"
    # A learning rate that falls to 0 depends on how long the run is.
    linear = replace(TOY, schedule="linear")
    train_on_pairs(SOURCE, PAIRS, linear, tmp_path / "b")
    with pytest.raises(OtherTraining, match="`steps` 6 there, 7 now"):
        train_on_pairs(SOURCE, PAIRS, replace(linear, steps=7), tmp_path / "b")


def shown(source: LabelledCrops, side: int) -> LabelledCrops:
    """The upper left corner of crops."""
    return replace(
        source, images=source.images[..., :side, :side], masks=source.masks[:, :side, :side]
    )


def cut(pairs: AlignedPairs, side: int) -> AlignedPairs:
    return AlignedPairs(**{name: one[..., :side, :side] for name, one in vars(pairs).items()})


def some(pairs: AlignedPairs, count: int) -> AlignedPairs:
    return AlignedPairs(**{name: one[:count] for name, one in vars(pairs).items()})


COLORS_ALONE = replace(SOURCE, images=SOURCE.images[:, :3])


@pytest.mark.parametrize(
    ("source", "pairs", "pattern"),
    [
        (shown(SOURCE, 24), PAIRS, r"\(4, 24, 24\) .* \(4, 32, 32\); they must be alike"),
        (COLORS_ALONE, PAIRS, r"\(3, 32, 32\) .* \(4, 32, 32\); they must be alike"),
        (SOURCE, some(PAIRS, 1), "12 source crops and 1 pairs; at least 2 of each"),
        (toy_source(1), PAIRS, "1 source crops and 10 pairs; at least 2 of each"),
        (shown(SOURCE, 8), cut(PAIRS, 8), "8 x 8 pixels: they must be square, 16 at least"),
        (shown(SOURCE, 28), cut(PAIRS, 28), "a multiple of 8"),
    ],
)
def test_crops_that_do_not_fit_are_refused(
    source: LabelledCrops, pairs: AlignedPairs, pattern: str, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=pattern):
        train_on_pairs(source, pairs, TOY, tmp_path)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_crops_of_sixteen_pixels_are_large_enough(tmp_path: Path) -> None:
    assert train_on_pairs(shown(SOURCE, 16), cut(PAIRS, 16), TOY, tmp_path).is_file()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("renders", lambda one: one[:, 0]),
        ("renders", lambda one: one[:-1]),
        ("renders", lambda one: one[:, :, :3]),
        ("renders", lambda one: one[..., :16]),
        ("real", lambda one: np.concatenate([one, one[:, :1]], axis=1)),
        ("real", lambda one: one[0]),
        ("backgrounds", lambda one: one[:-1]),
        ("backgrounds", lambda one: one[:, :1]),
    ],
)
def test_pairs_that_are_none_are_refused(name: str, change: Any) -> None:
    with pytest.raises(AdapterError, match=r"do not go together|are not like"):
        replace(PAIRS, **{name: change(getattr(PAIRS, name))})
    assert len(PAIRS) == 10
    assert PAIRS.renders.shape[1] == LIGHTS


OTHER_VALUES: dict[str, Any] = {
    "class_weight": 2.0, "compile": True, "depth_weight": 1.0, "dilated": True,
    "discriminator_batch_deviation": True, "discriminator_keep": 0.5, "discriminator_noise": 0.0,
    "discriminator_norm": "none", "discriminator_weight": 2.0, "diversity_weight": 0.1,
    "gradient_penalty": 1.0, "gradient_penalty_every": 2, "half_resolution": True,
    "last_kernel": 3, "noise_path": "paper", "pose_weight": 2.0, "residual_output": True,
    "similarity_normaliser": "mask", "similarity_per_channel": True,
    "similarity_reduction": "sum", "similarity_weight": 1.0, "task": "pose",
    "task_on_source": False, "task_weight_in_generator": 1.0,
}  # fmt: skip
"""Settings of PixelDA that mean nothing here."""


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_settings_that_would_change_nothing_are_refused(name: str, tmp_path: Path) -> None:
    changes = {name: OTHER_VALUES[name]}
    if name == "compile":
        changes["device"] = "cuda"
    if name == "task_weight_in_generator":
        changes["task"] = "pose"
    config = replace(TOY, **changes)
    with pytest.raises(SettingError, match=f"`{name}` is .*aligned crops does not read it"):
        train_on_pairs(SOURCE, PAIRS, config, tmp_path)


READ: dict[str, Any] = {
    "batch": 6, "blocks": 2, "clip_norm": 0.001, "discriminator_color": 0.0,
    "discriminator_learning_rate": 1e-3, "discriminator_shift": 0, "discriminator_width": 4,
    "ema": 0.05, "gan_loss": "minimax", "generator_weight": 0.5, "learning_rate": 1e-3,
    "noise_dimension": 3, "pair_color": 0.5, "pair_hue": 90.0, "pair_weight": 1.0,
    "precision": "bf16", "seed": 1,
    "weight_decay": 1.0, "width": 16,
}  # fmt: skip
WITHOUT_EFFECT = {
    "architecture", "steps", "max_minutes", "device", "threads", "checkpoint_every", "tensorboard",
}  # fmt: skip
IN_LONGER_RUNS = {"schedule", "decay", "decay_steps"}


def test_every_setting_is_read_or_refused() -> None:
    names = {field.name for field in fields(TrainConfig)}
    assert {*OTHER_VALUES, *READ, *WITHOUT_EFFECT, *IN_LONGER_RUNS} == names


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is learnt in two steps with the toy's settings."""
    config = replace(TOY, steps=2)
    folder = tmp_path_factory.mktemp("plain")
    return dict(read_checkpoint(train_on_pairs(SOURCE, PAIRS, config, folder))[0])


@pytest.mark.parametrize("name", READ)
def test_settings_that_are_read_change_what_is_learnt(
    name: str, two_steps: dict[str, Any], tmp_path: Path
) -> None:
    config = replace(TOY, steps=2, **{name: READ[name]})
    other, _ = read_checkpoint(train_on_pairs(SOURCE, PAIRS, config, tmp_path))
    assert any(
        value.shape != other[key].shape or not torch.equal(value, other[key])
        for key, value in two_steps.items()
        if key in other
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="`device` cpu"):
        train_on_pairs(SOURCE, PAIRS, replace(TOY, device="cuda"), tmp_path)


def test_a_shift_as_large_as_the_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="`discriminator_shift`"):
        train_on_pairs(SOURCE, PAIRS, replace(TOY, discriminator_shift=SIZE), tmp_path)


def test_two_trainings_in_one_folder_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safe_files._lock.PATIENCE", 0.1)
    tried = []

    def begin_another(state: Progress) -> None:
        tried.append(state.step)
        with pytest.raises(AdapterError, match="another training is at work in"):
            train_on_pairs(SOURCE, PAIRS, TOY, tmp_path)

    train_on_pairs(SOURCE, PAIRS, replace(TOY, steps=2), tmp_path, on_progress=begin_another)
    assert tried == [1, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_trains_as_the_processor_does_and_goes_on_from_it(
    precision: str, tmp_path: Path
) -> None:
    first: dict[str, list[Progress]] = {"cpu": [], "cuda": []}
    for device, seen in first.items():
        config = replace(TOY, steps=1, device=device, precision=precision)  # type: ignore[arg-type]
        train_on_pairs(SOURCE, PAIRS, config, tmp_path / device, on_progress=seen.append)
    found, expected = (first[device][0].losses for device in ("cuda", "cpu"))
    assert found == pytest.approx(expected, rel=5e-2, abs=1e-2)
    config = replace(TOY, steps=4, device="cuda", precision=precision)  # type: ignore[arg-type]
    checkpoint = train_on_pairs(SOURCE, PAIRS, config, tmp_path / "cpu")
    save_adapter(checkpoint, tmp_path / "adapter", preset="toy", provenance="")
    assert read_info(tmp_path / "adapter").steps == 4


@pytest.mark.parametrize("fit", [True, False], ids=["resident", "too large"])
def test_crops_that_lie_on_the_device_are_learnt_from_alike(
    fit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = AlignedPairs(**{name: one.astype(np.float16) for name, one in vars(PAIRS).items()})
    plain, _ = read_checkpoint(train_on_pairs(SOURCE, half, TOY, tmp_path / "plain"))
    monkeypatch.setattr("adapter._training.device._fit_on", lambda *_: fit)
    other, _ = read_checkpoint(train_on_pairs(SOURCE, half, TOY, tmp_path / "other"))
    assert all(torch.equal(value, other[name]) for name, value in plain.items())
