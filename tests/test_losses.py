"""PixelDA's losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adapter import losses


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random_crops(n: int = 3, channels: int = 4, size: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    source, adapted = (
        2 * torch.rand(2, n, channels, size, size, dtype=torch.float64, generator=random) - 1
    )
    mask = torch.rand(n, size, size, generator=random) < 0.4
    return source, adapted, mask


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


REAL, FAKE = (2.0, -0.5), (0.25, -1.0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "minimax",
            -(math.log(sigmoid(2.0)) + math.log(sigmoid(-0.5))) / 2
            - (math.log(1 - sigmoid(0.25)) + math.log(1 - sigmoid(-1.0))) / 2,
        ),
        ("least-squares", (1.0 + 2.25) / 2 + (0.0625 + 1.0) / 2),
        ("hinge", (0.0 + 1.5) / 2 + (1.25 + 0.0) / 2),
    ],
)
def test_discriminator_loss(kind: losses.GanLoss, expected: float) -> None:
    value = losses.discriminator_loss(double(*REAL), double(*FAKE), kind)
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_discriminator_loss_is_the_same_for_both_generator_objectives() -> None:
    real, fake = double(*REAL), double(*FAKE)
    assert losses.discriminator_loss(real, fake, "minimax") == losses.discriminator_loss(
        real, fake, "non-saturating"
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("non-saturating", -(math.log(sigmoid(0.25)) + math.log(sigmoid(-1.0))) / 2),
        ("minimax", (math.log(1 - sigmoid(0.25)) + math.log(1 - sigmoid(-1.0))) / 2),
        ("least-squares", (0.5625 + 4.0) / 2),
        ("hinge", (-0.25 + 1.0) / 2),
    ],
)
def test_generator_loss(kind: losses.GanLoss, expected: float) -> None:
    assert losses.generator_loss(double(*FAKE), kind).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["non-saturating", "minimax", "least-squares", "hinge"])
def test_generator_gains_from_crops_that_the_discriminator_takes_for_real(
    kind: losses.GanLoss,
) -> None:
    logits = double(-0.5, 0.0, 0.5).requires_grad_()
    losses.generator_loss(logits, kind).backward()
    assert logits.grad is not None
    assert (logits.grad < 0).all()


def test_logits_of_any_size_give_finite_losses() -> None:
    extreme = double(1e4, -1e4)
    assert torch.isfinite(losses.discriminator_loss(extreme, extreme))
    assert torch.isfinite(losses.generator_loss(extreme))


def test_pose_loss_of_a_quarter_turn() -> None:
    half = math.sqrt(0.5)
    predicted = double(1, 0, 0, 0).reshape(1, 4)
    quaternion = double(half, half, 0, 0).reshape(1, 4)
    expected = math.log(1e-4 + 1 - half)
    assert losses.pose_loss(predicted, quaternion).item() == pytest.approx(expected, abs=1e-12)


def test_pose_loss_takes_q_and_minus_q_for_the_same_rotation() -> None:
    random = torch.Generator().manual_seed(1)
    a, b = torch.nn.functional.normalize(
        torch.randn(2, 5, 4, dtype=torch.float64, generator=random), dim=2
    )
    assert losses.pose_loss(a, b) == losses.pose_loss(-a, b) == losses.pose_loss(a, -b)
    assert losses.pose_loss(a, -a).item() == pytest.approx(math.log(1e-4), abs=1e-6)


def test_pose_loss_of_rounded_quaternions_is_finite() -> None:
    unit = torch.nn.functional.normalize(torch.ones(1, 4), dim=1) * 1.0002
    assert torch.isfinite(losses.pose_loss(unit, unit))


def test_pose_loss_ignores_crops_of_weight_zero() -> None:
    a = double(1, 0, 0, 0, 1, 0, 0, 0).reshape(2, 4).requires_grad_()
    b = double(0.6, 0.8, 0, 0, 0.8, 0, 0.6, 0).reshape(2, 4)
    value = losses.pose_loss(a, b, double(1, 0))
    value.backward()
    assert value.item() == pytest.approx(math.log(1e-4 + 0.4) / 2, abs=1e-12)
    assert a.grad is not None
    assert (a.grad[1] == 0).all()
    assert (a.grad[0] != 0).any()


def test_task_loss_is_cross_entropy_plus_weighted_pose_loss() -> None:
    logits = double(1.0, 3.0, 0.0, 0.0).reshape(2, 2).float()
    identity = torch.tensor([[1.0, 0, 0, 0]] * 2)
    turned = torch.tensor([[0.6, 0.8, 0, 0]] * 2)
    entropy = (math.log(1 + math.exp(2.0)) + math.log(2.0)) / 2  # true class 0 in both
    value = losses.task_loss(
        logits, identity, torch.tensor([0, 0]), turned, class_weight=3.0, pose_weight=0.2
    )
    assert value.item() == pytest.approx(3.0 * entropy + 0.2 * math.log(1e-4 + 0.4), rel=1e-5)
    without_pose = losses.task_loss(logits, None, torch.tensor([0, 0]), turned, pose_weight=0.2)
    assert without_pose.item() == pytest.approx(entropy, rel=1e-6)


def test_masked_pmse_by_hand() -> None:
    """2x2 pixels, one channel, three of them masked, differences 1, 2, 3 (and 9 outside)."""
    source = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    adapted = double(1, 2, 3, 9).reshape(1, 1, 2, 2)
    mask = torch.tensor([[[True, True], [True, False]]])
    over_all = 14 / 4 - (6 / 4) ** 2
    over_mask = 14 / 3 - 2.0**2
    assert losses.masked_pmse(source, adapted, mask).item() == pytest.approx(over_all)
    assert losses.masked_pmse(source, adapted, mask, normaliser="mask").item() == pytest.approx(
        over_mask
    )


def test_masked_pmse_is_the_mean_over_pairs_of_pixels() -> None:
    """Its name: half the mean of (d_i - d_j)^2 over all pairs of masked values."""
    source, adapted, mask = random_crops(n=1, channels=1)
    d = (adapted - source)[0, 0][mask[0]]
    pairs = 0.5 * (d[:, None] - d[None, :]).square().mean()
    value = losses.masked_pmse(source, adapted, mask, normaliser="mask")
    assert value.item() == pytest.approx(pairs.item(), rel=1e-12)


def test_masked_pmse_summed_is_64_times_the_mean_for_32_crops() -> None:
    """The official code's reduction, twice Eq. 5 and summed over its batch of 32."""
    source, adapted, mask = random_crops(n=32)
    mean = losses.masked_pmse(source, adapted, mask)
    total = losses.masked_pmse(source, adapted, mask, reduction="sum")
    assert total.item() == pytest.approx(64 * mean.item(), rel=1e-12)


def test_masked_pmse_does_not_see_what_is_outside_the_mask() -> None:
    source, adapted, mask = random_crops()
    elsewhere = torch.where(mask[:, None], adapted, -adapted)
    for normaliser in ("all", "mask"):
        assert losses.masked_pmse(
            source, adapted, mask, normaliser=normaliser
        ) == losses.masked_pmse(source, elsewhere, mask, normaliser=normaliser)


def test_masked_pmse_over_the_mask_does_not_see_a_change_of_brightness() -> None:
    source, adapted, mask = random_crops()
    before = losses.masked_pmse(source, adapted, mask, normaliser="mask")
    after = losses.masked_pmse(source, adapted + 0.3, mask, normaliser="mask")
    assert after.item() == pytest.approx(before.item(), rel=1e-10)


def test_masked_pmse_over_all_pixels_charges_a_change_of_brightness() -> None:
    """A constant c on the fraction f of the pixels costs c^2 f (1 - f)."""
    source, _, mask = random_crops(n=1)
    fraction = mask.double().mean().item()
    value = losses.masked_pmse(source, source + 0.3, mask)
    assert value.item() == pytest.approx(0.09 * fraction * (1 - fraction), rel=1e-10)


def test_masked_pmse_per_channel_does_not_see_a_colour_cast() -> None:
    source, _, mask = random_crops()
    cast = source + double(0.5, -0.2, 0.1, 0.0).reshape(1, 4, 1, 1)
    free = losses.masked_pmse(source, cast, mask, normaliser="mask", per_channel=True)
    charged = losses.masked_pmse(source, cast, mask, normaliser="mask")
    assert free.item() == pytest.approx(0.0, abs=1e-12)
    assert charged.item() > 0.05


def test_masked_pmse_of_a_crop_without_object_is_zero() -> None:
    source, adapted, mask = random_crops()
    value = losses.masked_pmse(source, adapted, torch.zeros_like(mask), normaliser="mask")
    assert value.item() == 0.0


def test_masked_depth_error_is_the_mean_over_the_object() -> None:
    source, adapted, mask = random_crops()
    d = (adapted - source)[:, 3]
    expected = d[mask].square().mean().item()
    value = losses.masked_depth_error(source, adapted, mask)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    colors_changed = torch.cat([-adapted[:, :3], adapted[:, 3:]], dim=1)
    assert losses.masked_depth_error(source, colors_changed, mask) == value


def test_diversity_loss_is_the_inverse_of_change_per_noise() -> None:
    first, second = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    z_first, z_second = torch.zeros(2, 10), torch.full((2, 10), 0.25)
    value = losses.diversity_loss(first, second, z_first, z_second)
    assert value.item() == pytest.approx(1 / (2.0 + 1e-5), rel=1e-6)


def test_diversity_loss_of_a_generator_that_ignores_noise_is_finite() -> None:
    same = torch.zeros(2, 3, 4, 4)
    assert torch.isfinite(losses.diversity_loss(same, same, torch.zeros(2, 3), torch.ones(2, 3)))


@pytest.mark.parametrize("degrees", [0.0, 1.0, 45.0, 90.0, 180.0])
def test_angle_between_rotations(degrees: float) -> None:
    half = math.radians(degrees) / 2
    a = double(1, 0, 0, 0).reshape(1, 4)
    b = double(math.cos(half), 0, math.sin(half), 0).reshape(1, 4)
    for sign in (1.0, -1.0):
        assert losses.angle_degrees(a, sign * b).item() == pytest.approx(degrees, abs=1e-6)


def test_gradients_match_finite_differences() -> None:
    source, adapted, mask = random_crops(n=2, channels=4, size=3)
    random = torch.Generator().manual_seed(2)
    q = torch.randn(3, 4, dtype=torch.float64, generator=random)
    p = torch.nn.functional.normalize(torch.randn(3, 4, dtype=torch.float64, generator=random))
    adapted.requires_grad_()
    q.requires_grad_()
    check = torch.autograd.gradcheck
    for normaliser in ("all", "mask"):
        for per_channel in (False, True):
            assert check(
                lambda a, n=normaliser, c=per_channel: losses.masked_pmse(
                    source, a, mask, normaliser=n, per_channel=c
                ),
                (adapted,),
            )
    assert check(lambda a: losses.masked_depth_error(source, a, mask), (adapted,))
    assert check(
        lambda q: losses.pose_loss(torch.nn.functional.normalize(q), p, double(1, 0.5, 0)), (q,)
    )
    logits = double(0.3, -0.7, 1.8).requires_grad_()
    for kind in ("non-saturating", "minimax", "least-squares", "hinge"):
        assert check(lambda x, k=kind: losses.generator_loss(x, k), (logits,))
        assert check(lambda x, k=kind: losses.discriminator_loss(x, -x, k), (logits,))
