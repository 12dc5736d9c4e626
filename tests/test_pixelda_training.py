"""Training: it learns, it continues exactly, it refuses what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from adapter import (
    CHECKPOINT,
    PRESETS,
    AdapterError,
    IdentityAdapter,
    LabelledCrops,
    OtherTraining,
    Progress,
    TrainConfig,
    TrainingDiverged,
    draw_noise,
    load_adapter,
    read_checkpoint,
    save_adapter,
    train,
)
from tests.damage import DAMAGES
from tests.pixelda_toy import GREEN, LEARNS, SIZE, TOY, toy_source, toy_target

SOURCE, TARGET = toy_source(), toy_target()
WITHOUT_HASH = {"format": "render-adapt training 1"}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter trained on the toy shift."""
    folder = tmp_path_factory.mktemp("learnt")
    checkpoint = train(SOURCE, TARGET, LEARNS, folder / "training")
    save_adapter(checkpoint, folder / "adapter", preset="toy", provenance="toy squares")
    return folder / "adapter"


def test_adapted_backgrounds_take_the_targets_colour(learnt: Path) -> None:
    adapter = load_adapter(learnt)
    adapted = adapter.adapt(SOURCE.images, draw_noise(0, np.arange(len(SOURCE))))
    background = adapted.transpose(0, 2, 3, 1)[~SOURCE.masks]
    assert np.abs(background.mean(axis=0) - GREEN).max() < 0.25
    assert np.abs(-1 - GREEN).min() > 0.35  # where the source's black background is


def test_adapted_objects_keep_their_outline(learnt: Path) -> None:
    """A threshold on green minus red finds the square where the label says that it is."""
    adapter = load_adapter(learnt)
    adapted = adapter.adapt(SOURCE.images, draw_noise(0, np.arange(len(SOURCE))))
    found = adapted[:, 1] - adapted[:, 0] < 0.5 * (GREEN[1] - GREEN[0])
    both, either = (found & SOURCE.masks).sum(), (found | SOURCE.masks).sum()
    assert both / either > 0.7


def test_other_noise_gives_another_look(learnt: Path) -> None:
    adapter = load_adapter(learnt)
    first, second = (adapter.adapt(SOURCE.images, draw_noise(s, np.arange(96))) for s in (0, 1))
    between_noises = np.abs(first - second).mean()
    assert between_noises > 0.05
    same_crop = np.repeat(SOURCE.images[:1], 96, axis=0)
    looks = adapter.adapt(same_crop, draw_noise(0, np.arange(96)))
    assert looks.mean(axis=(2, 3)).std(axis=0).max() > 0.03


FEATURES = replace(
    TOY,
    discriminator_shift=1,
    discriminator_color=0.2,
    gradient_penalty=1.0,
    gradient_penalty_every=2,
    diversity_weight=0.1,
    task_weight_in_generator=0.5,
    depth_weight=1.0,
)


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (TOY, 3),
        (FEATURES, 4),
        (replace(TOY, discriminator_norm="spectral", gan_loss="hinge", task="none", ema=0.0), 3),
        (replace(TOY, precision="bf16"), 3),
    ],
    ids=["plain", "every option", "spectral", "bf16"],
)
def test_a_continued_run_gives_the_bits_of_an_unbroken_one(
    tmp_path: Path, config: TrainConfig, channels: int
) -> None:
    source, target = toy_source(30, channels), toy_target(20, channels)
    unbroken = train(source, target, replace(config, steps=6), tmp_path / "unbroken")
    for steps in (2, 3, 6):
        broken = train(source, target, replace(config, steps=steps), tmp_path / "broken")
    expected, expected_about = read_checkpoint(unbroken)
    found, found_about = read_checkpoint(broken)
    assert found_about["step"] == expected_about["step"] == "6"
    assert found.keys() == expected.keys()
    assert {
        name for name, value in expected.items() if not torch.equal(value, found[name])
    } == set()


LABELLED = replace(SOURCE, images=TARGET[np.arange(len(SOURCE)) % len(TARGET)])


def test_labels_of_real_crops_teach_the_task_network_alone(tmp_path: Path) -> None:
    """Section 4.5's semi-supervised training, which is continued to the bit as any other is."""
    # Clipping would share one norm between the task network and the discriminator.
    config = replace(TOY, task_weight_in_generator=0.0, clip_norm=0.0)
    others = replace(LABELLED, class_index=1 - LABELLED.class_index)
    tensors = []
    for name, labelled, stops in (
        ("a", LABELLED, (4,)), ("in parts", LABELLED, (1, 3, 4)), ("b", others, (4,)),
    ):  # fmt: skip
        for steps in stops:
            part = replace(config, steps=steps)
            stored = train(SOURCE, TARGET, part, tmp_path / name, labelled_target=labelled)
        tensors.append(read_checkpoint(stored)[0])
    unbroken, in_parts, of_others = tensors
    assert all(torch.equal(value, in_parts[name]) for name, value in unbroken.items())
    changed = {
        name.split(".")[0]
        for name, value in unbroken.items()
        if not name.startswith("optimizer") and not torch.equal(value, of_others[name])
    }
    assert changed == {"task", "average_task"}


def test_labels_of_real_crops_need_a_task_and_the_sources_classes(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="labelled target crops train the task network"):
        train(SOURCE, TARGET, replace(TOY, task="none"), tmp_path, labelled_target=LABELLED)
    others = replace(LABELLED, class_names=("square", "circle"))
    with pytest.raises(AdapterError, match="the classes must be the same"):
        train(SOURCE, TARGET, TOY, tmp_path, labelled_target=others)
    train(SOURCE, TARGET, replace(TOY, steps=2), tmp_path / "a", labelled_target=LABELLED)
    with pytest.raises(OtherTraining):
        train(SOURCE, TARGET, replace(TOY, steps=4), tmp_path / "a")


@pytest.mark.parametrize("missing", ["optimizer.generator.", "average_task."])
def test_a_checkpoint_that_lacks_state_is_refused(tmp_path: Path, missing: str) -> None:
    """Fresh moments or a fresh average would make another run of it, without a word."""
    checkpoint = train(SOURCE, TARGET, TOY, tmp_path)
    tensors, metadata = read_checkpoint(checkpoint)
    less = {name: value for name, value in tensors.items() if not name.startswith(missing)}
    assert len(less) < len(tensors)
    save_file(less, checkpoint, metadata | WITHOUT_HASH)
    with pytest.raises(AdapterError, match="does not hold the whole state"):
        train(SOURCE, TARGET, replace(TOY, steps=8), tmp_path)


def test_a_run_depends_on_its_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, about = read_checkpoint(train(SOURCE, TARGET, TOY, tmp_path / "a"))
    torch.manual_seed(2)
    again, about_again = read_checkpoint(train(SOURCE, TARGET, TOY, tmp_path / "b"))
    other, _ = read_checkpoint(train(SOURCE, TARGET, replace(TOY, seed=1), tmp_path / "c"))
    assert about == about_again
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    name = "generator.conv_in.weight"
    assert not torch.equal(first[name], other[name])


def test_training_leaves_the_callers_random_numbers_and_threads_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    train(SOURCE, TARGET, replace(TOY, steps=1), tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_no_label_of_a_real_crop_exists_and_no_pose_reaches_a_generator_without_task(
    tmp_path: Path,
) -> None:
    """With the task network off, other labels give the same generator, bit for bit."""
    config = replace(TOY, task="none")
    other = replace(SOURCE, class_index=1 - SOURCE.class_index, quaternion=-SOURCE.quaternion)
    first, _ = read_checkpoint(train(SOURCE, TARGET, config, tmp_path / "a"))
    second, _ = read_checkpoint(train(other, TARGET, config, tmp_path / "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_pose_weight_of_zero_leaves_the_pose_out(tmp_path: Path) -> None:
    none = np.zeros(len(SOURCE), np.float32)
    turned = replace(SOURCE, quaternion=SOURCE.quaternion[::-1].copy(), pose_weight=none)
    plain = replace(SOURCE, pose_weight=none)
    first, _ = read_checkpoint(train(plain, TARGET, TOY, tmp_path / "a"))
    second, _ = read_checkpoint(train(turned, TARGET, TOY, tmp_path / "b"))
    third, _ = read_checkpoint(train(SOURCE, TARGET, TOY, tmp_path / "c"))
    name = "task.quaternion.weight"
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], third[name])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_trains(name: str, tmp_path: Path) -> None:
    source, target = toy_source(8, channels=4), toy_target(8, channels=4)
    smaller = {"steps": 2, "batch": 4, "width": 8, "discriminator_width": 4, "threads": 1}
    seen: list[Progress] = []
    config = replace(PRESETS[name], **smaller)
    train(source, target, config, tmp_path, on_progress=seen.append)
    assert [progress.step for progress in seen] == [1, 2]
    assert all(np.isfinite(value) for value in seen[-1].losses.values())


@pytest.mark.parametrize("gan_loss", ["minimax", "least-squares", "hinge"])
def test_every_adversarial_loss_trains(gan_loss: str, tmp_path: Path) -> None:
    config = replace(TOY, steps=2, gan_loss=gan_loss)  # type: ignore[arg-type]
    assert train(SOURCE, TARGET, config, tmp_path).is_file()


def test_bf16_trains_nearly_as_fp32_does(tmp_path: Path) -> None:
    plain, _ = read_checkpoint(train(SOURCE, TARGET, TOY, tmp_path / "fp32"))
    config = replace(TOY, precision="bf16")
    half, _ = read_checkpoint(train(SOURCE, TARGET, config, tmp_path / "bf16"))
    for name, value in plain.items():
        assert half[name].dtype == value.dtype
    # Six Adam steps of 2e-4 move a weight by about 1e-3 at most.
    name = "generator.conv_in.weight"
    assert (plain[name] - half[name]).abs().max() < 2.5e-3


def test_progress_reports_rate_time_left_and_the_discriminators_accuracy(tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(SOURCE, TARGET, TOY, tmp_path, on_progress=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4, 5, 6]
    for progress in seen:
        assert progress.steps == 6
        assert progress.steps_per_second > 0
        assert 0 <= progress.accuracy_real <= 1
        assert 0 <= progress.accuracy_fake <= 1
        assert progress.seconds_left * progress.steps_per_second == pytest.approx(6 - progress.step)
    assert seen[-1].losses.keys() == {"discriminator", "generator", "similarity", "task"}


def test_a_time_limit_stops_with_a_checkpoint_to_continue_from(tmp_path: Path) -> None:
    limited = replace(TOY, steps=100_000, max_minutes=0.02)
    checkpoint = train(SOURCE, TARGET, limited, tmp_path)
    step = int(read_checkpoint(checkpoint)[1]["step"])
    assert 0 < step < 100_000
    train(SOURCE, TARGET, replace(TOY, steps=step + 2), tmp_path)
    assert read_checkpoint(checkpoint)[1]["step"] == str(step + 2)


def test_pictures_show_source_adapted_and_real_crops(tmp_path: Path) -> None:
    train(SOURCE, TARGET, replace(TOY, steps=4, checkpoint_every=2), tmp_path)
    pictures = sorted((tmp_path / "samples").iterdir())
    assert [picture.name for picture in pictures] == ["step_0000002.png", "step_0000004.png"]
    image = cv2.imread(str(pictures[-1]))
    assert image.shape == (4 * SIZE, 12 * SIZE, 3)
    expected = np.rint((TARGET[0, ::-1] + 1) * 127.5).transpose(1, 2, 0)  # OpenCV's blue first
    assert np.abs(image[3 * SIZE :, :SIZE] - expected).max() <= 1


def test_a_run_that_diverges_stops_with_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"diverged at step \d+: .*`learning_rate`"):
        train(SOURCE, TARGET, replace(TOY, steps=50, learning_rate=1e30), tmp_path)


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    checkpoint = train(SOURCE, TARGET, TOY, tmp_path)
    before = checkpoint.read_bytes()
    with pytest.raises(AdapterError, match=r"`batch` 8 there, 4 now; `learning_rate`"):
        train(SOURCE, TARGET, replace(TOY, batch=4, learning_rate=1e-3), tmp_path)
    assert checkpoint.read_bytes() == before


def test_other_crops_are_refused(tmp_path: Path) -> None:
    train(SOURCE, TARGET, TOY, tmp_path)
    with pytest.raises(OtherTraining, match="other crops"):
        train(SOURCE, TARGET + np.float32(0.01), TOY, tmp_path)


def test_steps_are_fixed_where_the_learning_rate_depends_on_them(tmp_path: Path) -> None:
    linear = replace(TOY, schedule="linear")
    train(SOURCE, TARGET, linear, tmp_path)
    with pytest.raises(OtherTraining, match="`steps` 6 there, 8 now"):
        train(SOURCE, TARGET, replace(linear, steps=8), tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04K\x01.", b"\xff" * 64])
def test_a_damaged_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(AdapterError, match="cannot be read as a training checkpoint"):
        train(SOURCE, TARGET, TOY, tmp_path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_is_not_what_was_written_is_refused(damage: str, tmp_path: Path) -> None:
    checkpoint = train(SOURCE, TARGET, TOY, tmp_path)
    sound = checkpoint.read_bytes()
    checkpoint.write_bytes(DAMAGES[damage](sound))
    with pytest.raises(AdapterError, match=r"checkpoint\.safetensors .*delete it to start the"):
        train(SOURCE, TARGET, replace(TOY, steps=8), tmp_path)
    with pytest.raises(AdapterError, match=r"checkpoint\.safetensors"):
        save_adapter(checkpoint, tmp_path / "adapter", preset="toy", provenance="")
    checkpoint.write_bytes(sound)
    assert read_checkpoint(train(SOURCE, TARGET, replace(TOY, steps=8), tmp_path))[1]["step"] == "8"


def test_any_changed_byte_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    """Also in its header: names, shapes, settings and the hash itself."""
    checkpoint = train(SOURCE, TARGET, TOY, tmp_path)
    sound = checkpoint.read_bytes()
    random = np.random.default_rng(0)
    header = int.from_bytes(sound[:8], "little")
    for at in (*random.integers(0, 8 + header, 200), *random.integers(8 + header, len(sound), 50)):
        damaged = bytearray(sound)
        damaged[at] ^= int(random.integers(1, 256))
        checkpoint.write_bytes(damaged)
        with pytest.raises(AdapterError, match=r"checkpoint\.safetensors"):
            read_checkpoint(checkpoint)


def test_a_checkpoint_from_before_they_carried_a_hash_is_continued(tmp_path: Path) -> None:
    checkpoint = train(SOURCE, TARGET, TOY, tmp_path)
    tensors, metadata = read_checkpoint(checkpoint)
    save_file(tensors, checkpoint, metadata | WITHOUT_HASH)
    assert b'"sha256"' not in checkpoint.read_bytes()
    notes: list[str] = []
    longer = replace(TOY, steps=8)
    train(SOURCE, TARGET, longer, tmp_path, on_progress=lambda state: notes.append(state.note))
    assert "was written before checkpoints carried a hash" in notes[0]
    assert not any("carried a hash" in note for note in notes[1:])
    assert b'"sha256"' in checkpoint.read_bytes()
    save_file(tensors, checkpoint, metadata)
    with pytest.raises(AdapterError, match="not a training checkpoint of this version"):
        train(SOURCE, TARGET, replace(TOY, steps=8), tmp_path)


def test_two_trainings_in_one_folder_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safe_files._lock.PATIENCE", 0.1)
    tried = []

    def begin_another(state: Progress) -> None:
        tried.append(state.step)
        with pytest.raises(AdapterError, match=r"another training is at work in .*: wait until"):
            train(SOURCE, TARGET, TOY, tmp_path)

    checkpoint = train(SOURCE, TARGET, TOY, tmp_path, on_progress=begin_another)
    assert tried == list(range(1, TOY.steps + 1))
    alone = train(SOURCE, TARGET, TOY, tmp_path / "alone")
    assert checkpoint.read_bytes()[-4096:] == alone.read_bytes()[-4096:]


def test_a_file_of_other_tensors_is_refused_as_checkpoint(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / CHECKPOINT)
    with pytest.raises(AdapterError, match="not a training checkpoint"):
        train(SOURCE, TARGET, TOY, tmp_path)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (SOURCE, toy_target(8, channels=4), "must be alike"),
        (toy_source(1), TARGET, "at least 2"),
        (SOURCE, TARGET[:1], "at least 2"),
        (
            replace(SOURCE, images=SOURCE.images[..., :15, :15], masks=SOURCE.masks[:, :15, :15]),
            TARGET[..., :15, :15],
            "power of two",
        ),
    ],
)
def test_crops_that_do_not_fit_are_refused(
    source: LabelledCrops, target: np.ndarray, message: str, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=message):
        train(source, target, TOY, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="`device` cpu"):
        train(SOURCE, TARGET, replace(TOY, device="cuda"), tmp_path)


def test_a_shift_as_large_as_the_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="`discriminator_shift`"):
        train(SOURCE, TARGET, replace(TOY, discriminator_shift=SIZE), tmp_path)


def test_the_exported_generator_has_statistics_of_its_own_activations(learnt: Path) -> None:
    """In evaluation mode it does as in training mode, up to what a batch differs from all."""
    adapter = load_adapter(learnt, "torch")
    generator = adapter._generator  # type: ignore[attr-defined]
    x = torch.from_numpy(SOURCE.images)
    z = torch.from_numpy(draw_noise(3, np.arange(len(SOURCE))))
    with torch.no_grad():
        evaluated = generator(x, z)
        trained = generator.train()(x, z)
        generator.eval()
    assert (evaluated - trained).abs().mean() < 0.05


def test_identity_adapter_gives_a_copy() -> None:
    adapter = IdentityAdapter(channels=3, size=SIZE)
    adapted = adapter.adapt(SOURCE.images, draw_noise(0, np.arange(len(SOURCE))))
    np.testing.assert_array_equal(adapted, SOURCE.images)
    assert not np.shares_memory(adapted, SOURCE.images)
