"""CoGAN: the released networks, what they share, and a shift of domains that it bridges."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter import (
    CHECKPOINT,
    AdapterError,
    CoGanConfig,
    CoupledDiscriminator,
    CoupledGenerator,
    LabelledCrops,
    OtherTraining,
    Progress,
    TrainingDiverged,
    draw_pairs,
    load_cogan,
    read_checkpoint,
    train_cogan,
)
from adapter.losses import feature_distance
from checked_settings import SettingError

SIZE = 16
TINY = CoGanConfig(
    steps=4,
    batch=4,
    noise_dimension=8,
    generator_width=1 / 128,
    discriminator_width=0.1,
    checkpoint_every=100,
    threads=1,
)
LEARNS = replace(
    TINY,
    steps=200,
    batch=16,
    noise_dimension=16,
    generator_width=1 / 32,
    discriminator_width=0.4,
    learning_rate=2e-3,
)
"""Settings under which the toy shift is bridged within seconds."""


def toy(n: int, seed: int, color: tuple[float, float, float], *, inverted: bool) -> LabelledCrops:
    """Bars (class 0, 70 %) and blocks (class 1, 30 %) of one colour on black, or the inverse."""
    random = np.random.default_rng(seed)
    class_index = (random.random(n) > 0.7).astype(np.int64)
    masks = np.zeros((n, SIZE, SIZE), bool)
    for mask, kind in zip(masks, class_index, strict=True):
        height, width = ((3, 11), (9, 9))[kind]
        top, left = random.integers(1, SIZE - height), random.integers(1, SIZE - width)
        mask[top : top + height, left : left + width] = True
    images = np.where(masks[:, None], np.reshape(color, (3, 1, 1)), -1.0)
    images = np.clip(images + random.normal(0, 0.05, images.shape), -1, 1)
    quaternion = random.normal(size=(n, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    return LabelledCrops(
        (-images if inverted else images).astype(np.float32),
        masks,
        class_index,
        quaternion.astype(np.float32),
        ("bar", "block"),
    )


SOURCE = toy(400, 0, (0.8, 0.8, 0.8), inverted=False)
LABELLED_TARGET = toy(400, 1, (0.8, -0.8, 0.3), inverted=True)
TARGET = LABELLED_TARGET.images
FEW_SOURCE, FEW_TARGET = toy(10, 0, (0.8, 0.8, 0.8), inverted=False), TARGET[:9]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CoGAN trained on the toy shift."""
    return train_cogan(SOURCE, TARGET, LEARNS, tmp_path_factory.mktemp("learnt"))


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def accuracy(checkpoint: Path, domain: Literal[0, 1], crops: LabelledCrops) -> float:
    logits, quaternion = load_cogan(checkpoint, domain=domain)(torch.from_numpy(crops.images))
    assert quaternion is None
    return float((logits.argmax(dim=1).numpy() == crops.class_index).mean())


def test_the_defaults_are_the_released_codes() -> None:
    config = CoGanConfig()
    assert (config.steps, config.batch, config.noise_dimension) == (10_000, 64, 100)
    assert (config.learning_rate, config.weight_decay) == (2e-4, 5e-4)
    assert (config.class_weight, config.feature_weight) == (10.0, 0.01)
    assert (config.generator_width, config.discriminator_width, config.ema) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "`steps` is 0: it must be at least 1"),
        ({"batch": 1}, "`batch` is 1: it must be at least 2"),
        ({"generator_width": 0.0}, "`generator_width` is 0.0: it must be finite and above 0"),
        ({"discriminator_width": math.inf}, "`discriminator_width` is inf: it must be finite"),
        ({"learning_rate": math.nan}, "`learning_rate` is nan: it must be finite"),
        ({"feature_weight": -1.0}, "`feature_weight` is -1.0: it must be finite and at least 0"),
        ({"weight_decay": -1e-4}, "`weight_decay` is -0.0001: it must be finite and at least 0"),
        ({"seed": -1}, "`seed` is -1: it must be at least 0"),
        ({"ema": 1.0}, "`ema` is 1.0: it must be at least 0 and below 1"),
        ({"task": "none"}, "`task` is none: it must be digits or pose"),
        ({"precision": "fp16"}, "`precision` is fp16: it must be fp32 or bf16"),
    ],
)
def test_settings_out_of_range_are_refused_by_their_name(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        CoGanConfig(**changes)


def test_discriminator_has_the_released_number_of_parameters() -> None:
    """At 28x28 grey: 2 first layers of 520, then 25,050, 400,500, PReLU 1, 1,002, 5,010."""
    discriminator = CoupledDiscriminator(1, 28, 10)
    assert parameters(discriminator) == 2 * 520 + 25_050 + 400_500 + 1 + 1_002 + 5_010


def test_generator_shares_the_released_number_of_parameters() -> None:
    """Transposed convolutions 100-1024-512-256-128 with biases, and four PReLU."""
    generator = CoupledGenerator(1, 32)
    shared = parameters(generator) - parameters(generator.private)
    assert shared == 1_639_424 + 4_719_104 + 1_179_904 + 295_040 + 4


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("channels", [3, 4])
def test_networks_fit_crops_of_every_size(channels: int, size: int) -> None:
    generator = CoupledGenerator(channels, size, noise_dimension=5, width=1 / 64)
    discriminator = CoupledDiscriminator(channels, size, 7, "pose", width=0.1)
    pair = generator(torch.randn(3, 5))
    for crops in pair:
        assert crops.shape == (3, channels, size, size)
        assert crops.abs().max() <= 1
    features = discriminator.pair_features(*pair)
    assert [f.shape for f in features] == [(3, 50), (3, 50)]
    assert discriminator.logits(features[0]).shape == (3,)
    class_logits, quaternion = discriminator(pair[1], 1)
    assert class_logits.shape == (3, 7)
    assert quaternion.norm(dim=1).tolist() == pytest.approx([1.0] * 3)


def untouched(output: Tensor, network: nn.Module) -> set[str]:
    """Names of the parameters that the output does not depend on."""
    network.zero_grad()
    output.square().sum().backward()  # type: ignore[no-untyped-call]
    return {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}


def test_the_generators_share_all_but_the_last_layer() -> None:
    generator = CoupledGenerator(3, SIZE, noise_dimension=8, width=1 / 64)
    z = torch.randn(4, 8)
    for domain, other in ((0, 1), (1, 0)):
        biases_before_norm = {"first.bias", "shared.2.bias", "shared.5.bias"}
        assert untouched(generator(z)[domain], generator) - biases_before_norm == {
            f"private.{other}.weight",
            f"private.{other}.bias",
        }


def test_the_discriminators_share_all_but_the_first_layer() -> None:
    discriminator = CoupledDiscriminator(3, 32, 2, width=0.2)
    x = torch.rand(4, 3, 32, 32)
    for domain, other in ((0, 1), (1, 0)):
        features = discriminator.pair_features(x, x)[domain]
        output = torch.cat([discriminator.logits(features), discriminator(x, domain)[0].flatten()])
        assert untouched(output, discriminator) == {
            f"private.{other}.weight",
            f"private.{other}.bias",
        }


def test_features_of_a_pair_are_those_of_its_crops_alone() -> None:
    discriminator = CoupledDiscriminator(3, 32, 2, width=0.2).double()
    source, target = torch.rand(2, 4, 3, 32, 32, dtype=torch.float64)
    features = discriminator.pair_features(source, target)
    for domain, crops in enumerate((source, target)):
        expected = discriminator(crops, domain)[0]
        torch.testing.assert_close(discriminator.predict(features[domain])[0], expected)


def test_the_logit_is_that_of_the_released_softmax() -> None:
    discriminator = CoupledDiscriminator(3, SIZE, 2, width=0.2)
    features = torch.randn(6, discriminator.feature_count)
    is_real = torch.tensor([1, 1, 0, 0, 1, 0])
    expected = F.cross_entropy(discriminator.fake_or_real(features), is_real)
    found = F.binary_cross_entropy_with_logits(discriminator.logits(features), is_real.float())
    torch.testing.assert_close(found, expected)


def test_weights_start_within_xaviers_bound() -> None:
    """sqrt(2) sqrt(6 / (fan in + fan out)), and uniform, so that it is nearly reached."""
    weight = CoupledDiscriminator(3, 32, 10).shared[0].weight  # 20 to 50 maps, 5x5
    bound = math.sqrt(2 * 6 / (25 * (20 + 50)))
    assert isinstance(weight, Tensor)
    assert 0.999 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    generator = CoupledGenerator(3, 8, width=1 / 64)
    biases = [value for name, value in generator.named_parameters() if name.endswith("bias")]
    assert len(biases) == 4  # the first layer's, one doubling's, and the two last layers'
    assert all((bias == 0.1).all() for bias in biases)


def test_feature_distance_by_hand() -> None:
    """Pairs (1, 2)-(4, 6), 5 apart, and (0, 0)-(0, 1): the mean of 25 and 1."""
    source = torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    target = torch.tensor([[4.0, 6.0], [0.0, 1.0]], dtype=torch.float64)
    assert feature_distance(source, target).item() == 13.0
    inputs = (source.requires_grad_(), target.requires_grad_())
    assert torch.autograd.gradcheck(feature_distance, inputs)


def test_target_crops_are_classified_without_a_label_of_the_target(learnt: Path) -> None:
    assert accuracy(learnt, 0, SOURCE) > 0.95
    assert accuracy(learnt, 1, LABELLED_TARGET) > 0.9
    # More than always saying "bar" gives, and than the source's path gives.
    assert (LABELLED_TARGET.class_index == 0).mean() < 0.8
    assert accuracy(learnt, 0, LABELLED_TARGET) < 0.8


def test_a_pair_shows_one_shape_in_the_look_of_either_domain(learnt: Path) -> None:
    source, target = draw_pairs(learnt, 64)
    for crops, real in ((source, SOURCE.images), (target, TARGET)):
        assert crops.shape == (64, 3, SIZE, SIZE)
        assert crops.dtype == np.float32
        difference = crops.mean(axis=(0, 2, 3)) - real.mean(axis=(0, 2, 3))
        assert np.abs(difference).max() < 0.25

    def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
        both, either = (a & b).sum(axis=(1, 2)), (a | b).sum(axis=(1, 2))
        return float((both / np.maximum(either, 1)).mean())

    shape, its_pairs = source.mean(axis=1) > 0, target.mean(axis=1) < 0.2
    assert overlap(shape, its_pairs) > 0.35
    assert overlap(shape, its_pairs) > 2 * overlap(shape, np.roll(its_pairs, 1, axis=0))


def test_pairs_depend_on_their_seed_alone(learnt: Path) -> None:
    torch.manual_seed(1)
    first, other = draw_pairs(learnt, 3, 5), draw_pairs(learnt, 3, 6)
    torch.manual_seed(2)
    again = draw_pairs(learnt, 3, 5)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 0.1


@pytest.mark.parametrize(
    "config",
    [TINY, replace(TINY, precision="bf16", task="pose", ema=0.9)],
    ids=["plain", "every option"],
)
def test_a_continued_run_gives_the_bits_of_an_unbroken_one(
    config: CoGanConfig, tmp_path: Path
) -> None:
    expected, _ = read_checkpoint(train_cogan(FEW_SOURCE, FEW_TARGET, config, tmp_path / "a"))
    for steps in (1, 3, 4):
        shorter = replace(config, steps=steps)
        broken = train_cogan(FEW_SOURCE, FEW_TARGET, shorter, tmp_path / "b")
    found, about = read_checkpoint(broken)
    assert about["step"] == "4"
    assert found.keys() == expected.keys()
    assert {n for n, value in expected.items() if not torch.equal(value, found[n])} == set()


def test_a_run_depends_on_its_seed_alone(tmp_path: Path) -> None:
    def weights(name: str, config: CoGanConfig, callers_seed: int) -> dict[str, Tensor]:
        torch.manual_seed(callers_seed)
        return read_checkpoint(train_cogan(FEW_SOURCE, FEW_TARGET, config, tmp_path / name))[0]

    first, again = weights("a", TINY, 1), weights("b", TINY, 2)
    other = weights("c", replace(TINY, seed=1), 1)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["generator.first.weight"], other["generator.first.weight"])


def test_training_leaves_the_callers_random_numbers_and_threads_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    train_cogan(FEW_SOURCE, FEW_TARGET, TINY, tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_predictions_come_from_the_moving_average(tmp_path: Path) -> None:
    """Which follows the weights with the factor min(ema, (1 + step) / (10 + step))."""
    states: list[dict[str, Tensor]] = []
    config = replace(TINY, ema=0.15, checkpoint_every=1)
    checkpoint = train_cogan(
        FEW_SOURCE,
        FEW_TARGET,
        config,
        tmp_path,
        on_checkpoint=lambda path: states.append(read_checkpoint(path)[0]),
    )
    assert len(states) == config.steps
    name = "private.1.weight"
    average = states[0][f"average.{name}"]
    for step, state in enumerate(states[1:], start=1):
        keep = min(0.15, (1 + step) / (10 + step))
        average = keep * average + (1 - keep) * state[f"discriminator.{name}"]
        torch.testing.assert_close(state[f"average.{name}"], average)
    x = torch.from_numpy(FEW_TARGET)
    discriminator = CoupledDiscriminator(3, SIZE, 2, width=0.1)
    prefix = "average."
    discriminator.load_state_dict(
        {k[len(prefix) :]: v for k, v in states[-1].items() if k.startswith(prefix)}
    )
    torch.testing.assert_close(load_cogan(checkpoint)(x)[0], discriminator(x, 1)[0].detach())


def test_the_feature_weight_draws_the_features_of_a_pair_together(tmp_path: Path) -> None:
    distances: dict[float, list[float]] = {}
    for weight in (0.0, 10.0):
        seen = distances[weight] = []
        train_cogan(
            FEW_SOURCE,
            FEW_TARGET,
            replace(TINY, steps=12, feature_weight=weight, learning_rate=1e-3),
            tmp_path / str(weight),
            on_progress=lambda p, seen=seen: seen.append(p.losses["feature distance"]),
        )
    assert distances[0.0][0] == distances[10.0][0]
    assert distances[10.0][-1] < 0.5 * distances[0.0][-1]


def test_a_pose_weight_of_zero_leaves_the_pose_out(tmp_path: Path) -> None:
    turned = replace(FEW_SOURCE, quaternion=FEW_SOURCE.quaternion[::-1].copy())
    name = "discriminator.private.0.weight"
    weights = [
        read_checkpoint(
            train_cogan(
                source,
                FEW_TARGET,
                replace(TINY, task="pose", pose_weight=weight),
                tmp_path / f"{number} {weight}",
            )
        )[0][name]
        for weight in (0.0, 2.0)
        for number, source in enumerate((FEW_SOURCE, turned))
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[2], weights[3])


def test_progress_reports_losses_and_time_left(tmp_path: Path) -> None:
    seen: list[Progress] = []
    train_cogan(FEW_SOURCE, FEW_TARGET, TINY, tmp_path, on_progress=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    for progress in seen:
        assert progress.losses.keys() == {
            "discriminator",
            "task",
            "feature distance",
            "generator",
        }
        assert 0 <= progress.accuracy_real <= 1
        assert 0 <= progress.accuracy_fake <= 1
        assert progress.seconds_left * progress.steps_per_second == pytest.approx(4 - progress.step)


def test_a_time_limit_stops_with_a_checkpoint_to_continue_from(tmp_path: Path) -> None:
    limited = replace(TINY, steps=100_000, max_minutes=0.005)
    checkpoint = train_cogan(FEW_SOURCE, FEW_TARGET, limited, tmp_path)
    step = int(read_checkpoint(checkpoint)[1]["step"])
    assert 0 < step < 100_000
    train_cogan(FEW_SOURCE, FEW_TARGET, replace(TINY, steps=step + 2), tmp_path)
    assert read_checkpoint(checkpoint)[1]["step"] == str(step + 2)


def test_a_run_that_diverges_stops_with_one_sentence(tmp_path: Path) -> None:
    config = replace(TINY, steps=50, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"diverged at step \d+: .*`learning_rate`"):
        train_cogan(FEW_SOURCE, FEW_TARGET, config, tmp_path)


def test_other_settings_and_other_crops_are_refused(tmp_path: Path) -> None:
    checkpoint = train_cogan(FEW_SOURCE, FEW_TARGET, TINY, tmp_path)
    before = checkpoint.read_bytes()
    with pytest.raises(AdapterError, match=r"`feature_weight` 0\.01 there, 1\.0 now"):
        train_cogan(FEW_SOURCE, FEW_TARGET, replace(TINY, feature_weight=1.0), tmp_path)
    with pytest.raises(OtherTraining, match="other crops"):
        train_cogan(FEW_SOURCE, FEW_TARGET + np.float32(0.01), TINY, tmp_path)
    assert checkpoint.read_bytes() == before


def test_the_checkpoint_of_another_system_is_refused(tmp_path: Path) -> None:
    from adapter import train
    from tests.pixelda_toy import TOY

    checkpoint = train(FEW_SOURCE, FEW_TARGET, replace(TOY, steps=1), tmp_path)
    assert checkpoint == tmp_path / CHECKPOINT
    for use in (load_cogan, lambda path: draw_pairs(path, 2)):
        with pytest.raises(AdapterError, match="another system than CoGAN"):
            use(checkpoint)
    with pytest.raises(AdapterError, match="another system than CoGAN"):
        train_cogan(FEW_SOURCE, FEW_TARGET, TINY, tmp_path)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (FEW_SOURCE, np.zeros((5, 4, SIZE, SIZE), np.float32), "must be alike"),
        (FEW_SOURCE, FEW_TARGET[:1], "at least 2"),
        (
            replace(
                FEW_SOURCE, images=FEW_SOURCE.images[..., :8, :8], masks=SOURCE.masks[:10, :8, :8]
            ),
            FEW_TARGET[..., :8, :8],
            "power of two, 16 at least",
        ),
    ],
)
def test_crops_that_do_not_fit_are_refused(
    source: LabelledCrops, target: NDArray[np.float32], message: str, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=message):
        train_cogan(source, target, TINY, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="`device` cpu"):
        train_cogan(FEW_SOURCE, FEW_TARGET, replace(TINY, device="cuda"), tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_starts_from_the_same_weights_and_predicts_alike(tmp_path: Path) -> None:
    config = replace(TINY, steps=1)
    on_cpu = train_cogan(FEW_SOURCE, FEW_TARGET, config, tmp_path / "cpu")
    on_gpu = train_cogan(FEW_SOURCE, FEW_TARGET, replace(config, device="cuda"), tmp_path / "gpu")
    x = torch.from_numpy(FEW_TARGET)
    expected = load_cogan(on_cpu)(x)[0]
    found = load_cogan(on_gpu, device="cuda")(x.cuda())[0].cpu()
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)
